"""Losses of bounding boxes, a value for each pair of a box and its target."""

import math
from typing import Any, NamedTuple, Unpack

from keras import ops

from keras_actloss.core.checks import one_of
from keras_actloss.core.functions import loss_function
from keras_actloss.core.keras_fixes import amax
from keras_actloss.core.loss import Loss, LossArguments
from keras_actloss.core.numerics import SMALLEST, with_gradient
from keras_actloss.core.registry import register

_FORMATS = ("xyxy", "yxyx", "xywh", "center_xywh", "center_yxhw")
# In units of the image's sides, which only what each axis can be scaled by does not depend on.
_SCALED = ("rel_xyxy", "rel_yxyx", "rel_xywh", "rel_center_xywh")


def _corners(boxes, bounding_box_format):
    """The corners of the least and of the greatest coordinates, in any order of the axes."""
    # With the axes of the image first: what is done to both is done to long rows.
    boxes = ops.stack(ops.unstack(boxes, 4, axis=-1))
    first, second = boxes[:2], boxes[2:]
    if "center" in bounding_box_format:
        first, second = first - second / 2, first + second / 2
    elif bounding_box_format.endswith("wh"):
        second = first + second
    swapped = first > second
    return ops.where(swapped, second, first), ops.where(swapped, first, second)


class _Pair(NamedTuple):
    """Lengths along both axes, on the first axis, in units of the box that encloses two boxes.

    No length is a difference of two others, so that what is nearly 0 still has its digits.
    """

    size: object
    true_size: object
    overlap: object
    rest: object  # size - overlap
    true_rest: object  # true_size - overlap
    gap: object
    outward: object  # of the center, along the direction from it to either edge: (2, 2, ...)
    room: object  # 1 - 2 * outward, where the edge is also the enclosing one
    hull: object  # the size of the enclosing box, and the same as what to divide by
    unit: object

    @classmethod
    def of(cls, low, high, true_low, true_high):
        inner_low, inner_high = ops.maximum(low, true_low), ops.minimum(high, true_high)
        hull = ops.maximum(high, true_high) - ops.minimum(low, true_low)
        unit = ops.where(hull < SMALLEST, 1.0, hull)
        size, true_size = (high - low) / unit, (true_high - true_low) / unit
        overlap = ops.relu(inner_high - inner_low) / unit
        beyond_low, beyond_high = ops.relu(true_low - low), ops.relu(high - true_high)
        rest = (beyond_low + beyond_high) / unit
        true_rest = (ops.relu(low - true_low) + ops.relu(true_high - high)) / unit
        # A box without width inside the other one does overlap: it has a gradient to grow.
        apart = inner_low > inner_high
        shift = ((low - true_low) + (high - true_high)) / (2 * unit)
        room = [beyond_high + (high - true_low), beyond_low + (true_high - low)]
        return cls(
            size,
            true_size,
            overlap,
            ops.where(apart, size, rest),
            ops.where(apart, true_size, true_rest),
            ops.relu(inner_low - inner_high) / unit,
            ops.stack([-shift, shift]),
            ops.stack(room) / unit,
            hull,
            unit,
        )

    def union(self):
        """`(union, union - intersection)` of the areas."""
        (_, size), (_, true_size) = _axes(self.size), _axes(self.true_size)
        (overlap, overlap_across), (rest, rest_across) = _axes(self.overlap), _axes(self.rest)
        true_rest, true_rest_across = _axes(self.true_rest)
        either = rest * size + true_rest * true_size + overlap * (rest_across + true_rest_across)
        return either + overlap * overlap_across, either


class _Part(NamedTuple):
    """A term of a loss, and its slopes by how far an edge moves away from the center.

    Slopes are in units of the enclosing box, `(2, ...)` or for both edges `(2, 2, ...)`.
    """

    value: object
    outside: object  # where the edge is the enclosing one, too
    inside: object  # where it is not


def _axes(x):
    return x[0], x[1]


def _across(x):
    """What belongs to the other axis."""
    return ops.stack([x[1], x[0]])


def _share(pair):
    """The part of the union that is not the intersection."""
    union, either = pair.union()
    # Of two boxes without area nothing overlaps.
    value = ops.where(union == 0, 1.0, either / ops.where(union == 0, 1.0, union))
    union = ops.where(union == 0, 1.0, union)
    size, overlap = _across(pair.size), _across(pair.overlap)
    true_area = pair.true_size * _across(pair.true_size)
    lost = ops.where(pair.gap > 0, 0.0, overlap) / union
    return _Part(
        value,
        outside=pair.overlap * overlap / union * (size / union),
        inside=-lost * ((size * pair.rest + true_area) / union),
    )


def _hull(pair):
    """The part of the enclosing box that is not the union."""
    (overlap, _), (gap, gap_across) = _axes(pair.overlap), _axes(pair.gap)
    (rest, rest_across), (true_rest, true_across) = _axes(pair.rest), _axes(pair.true_rest)
    value = rest * (true_across + gap_across) + true_rest * (rest_across + gap_across)
    outside = _across(pair.true_rest) * pair.true_size - pair.true_rest * _across(pair.rest)
    return _Part(
        value + overlap * gap_across + gap,
        outside=outside - pair.gap * _across(pair.size),
        inside=-ops.where(pair.gap > 0, _across(pair.size), _across(pair.rest)),
    )


def _proportions(pair):
    """The sides of the enclosing box beside its longer one."""
    longer = amax(pair.hull, axis=0, keepdims=True)
    return pair.hull / ops.where(longer < SMALLEST, 1.0, longer)


def _centers(pair):
    """The squared distance of the centers, beside the squared diagonal of the enclosing box."""
    square = ops.square(_proportions(pair))
    weight = square / (ops.sum(square, axis=0, keepdims=True) + SMALLEST)
    parts = weight * ops.square(pair.outward[0])
    others = _across(weight)
    # outward - 2 * (parts + parts across), with as much as possible of the former left.
    room = pair.outward * (pair.room + 2 * pair.outward * others) - 2 * _across(parts)
    return _Part(ops.sum(parts, axis=0), outside=weight * room, inside=weight * pair.outward)


def _aspect(pair):
    """The squared difference of the aspect ratios as angles, beside what else there is to mend."""
    sides = _proportions(pair)
    size, true_size = pair.size * sides, pair.true_size * sides
    (x, y), (true_x, true_y) = _axes(size), _axes(true_size)
    # The difference of two arc tangents, as one.
    angle = 2 / math.pi * ops.arctan2(true_x * y - x * true_y, true_x * x + true_y * y)
    square = ops.square(angle)
    all_of = _share(pair).value + square
    alpha = square / ops.where(all_of == 0, 1.0, all_of)
    # The gradient of the box's angle, (y, -x) by the squared diagonal.
    longer = ops.maximum(x, y)
    longer = ops.where(longer == 0, 1.0, longer)
    x, y = x / longer, y / longer
    scale = -4 / math.pi * alpha * angle / (x * x + y * y + SMALLEST) / longer
    slope = ops.stack([scale * y, -scale * x]) * sides
    return _Part(alpha * square, outside=slope, inside=slope)


def _sum_of(*measures):
    """`loss(y_true, y_pred, bounding_box_format)`, the sum of what the measures find."""

    def shared(*corners):
        pair = _Pair.of(*corners)
        return pair, [measure(pair) for measure in measures]

    def value(shared, *corners):
        return sum(part.value for part in shared[1])

    def gradient(upstream, shared, low, high, true_low, true_high):
        pair, parts = shared
        beyond = ops.stack([true_low - low, high - true_high])
        outside, inside = (sum(part[i] for part in parts) for i in (1, 2))
        # Where both boxes have the edge, the mean of what lies on its two sides.
        slope = ops.where(beyond == 0, 0.5 * (outside + inside), inside)
        slope = ops.where(beyond > 0, outside, slope) / pair.unit * upstream
        return -slope[0], slope[1], None, None

    def loss(y_true, y_pred, bounding_box_format):
        if y_pred.shape[-1] != 4:
            raise ValueError(
                "the last axis of boxes holds 4 numbers, got y_pred of shape "
                f"{tuple(y_pred.shape)}; see bounding_box_format"
            )
        pred, true = (_corners(boxes, bounding_box_format) for boxes in (y_pred, y_true))
        return with_gradient(value, gradient, shared)(*pred, *true)

    return loss


@loss_function(bounding_box_format=one_of(*_FORMATS, *_SCALED))
def iou(y_true: Any, y_pred: Any, bounding_box_format="xyxy") -> Any:
    """One minus the intersection over union (Jaccard index) of two boxes.

    Take it where boxes overlap from the start, as anchors that were matched do: boxes that do not
    overlap have no gradient. `giou`, `diou` and `ciou` move those, too.

    Formula:

        low, high = corners(y_pred, bounding_box_format)
        true_low, true_high = corners(y_true, bounding_box_format)
        inner = maximum(minimum(high, true_high) - maximum(low, true_low), 0)
        overlap, area, true_area = (
            v[..., 0] * v[..., 1] for v in (inner, high - low, true_high - true_low)
        )
        union = area + true_area - overlap
        loss = 1 - overlap / where(union == 0, 1, union)

    Args:
        y_true: Boxes.
        y_pred: Boxes.
        bounding_box_format: What the four numbers are, as in `keras.utils.bounding_boxes`:
            `"xyxy"`, `"yxyx"`, `"xywh"`, `"center_xywh"`, `"center_yxhw"`, or one of the first four
            as shares of the image with `"rel_"` before it. Corners may come in any order. Defaults
            to `"xyxy"`.

    Shapes:
        `y_true` and `y_pred`: `(batch, ..., 4)`, a target for each box. The loss: `(batch, ...)`.
        No gradient flows to `y_true`.

    Raises:
        ValueError: If the format is unknown, or the shapes do not fit.

    Example:

    >>> float(keras_actloss.losses.iou([[0, 0, 2, 2]], [[1.0, 0.0, 3.0, 2.0]])[0])
    0.6666...

    Related:
        TFA's `GIoULoss(mode="iou")` has the order `"yxyx"`. KerasCV's `IoULoss` has this as mode
        `"linear"`; its `"log"`, the default, is `-log(1 - loss)`, infinite without an overlap, and
        its `"quadratic"` `1 - (1 - loss)**2`.

    Reference:
        [Yu et al., 2016](https://arxiv.org/abs/1608.01471)
    """
    return _sum_of(_share)(y_true, y_pred, bounding_box_format)


@register("losses")
class IoU(Loss, fn=iou):
    """Class form of `iou`."""

    width = 4

    def __init__(self, bounding_box_format="xyxy", **kwargs: Unpack[LossArguments]):
        super().__init__(**kwargs)
        self.bounding_box_format = bounding_box_format


@loss_function(bounding_box_format=one_of(*_FORMATS, *_SCALED))
def giou(y_true: Any, y_pred: Any, bounding_box_format="xyxy") -> Any:
    """Generalized IoU loss: `iou` plus the share of the enclosing box that neither box covers.

    Take it where boxes may be far from their targets, as in a detector without anchors. It first
    grows a box until it overlaps; `diou` moves it there.

    Formula:

        low, high = corners(y_pred, bounding_box_format)
        true_low, true_high = corners(y_true, bounding_box_format)
        inner = maximum(minimum(high, true_high) - maximum(low, true_low), 0)
        outer = maximum(high, true_high) - minimum(low, true_low)
        overlap, area, true_area, hull = (
            v[..., 0] * v[..., 1] for v in (inner, high - low, true_high - true_low, outer)
        )
        union = area + true_area - overlap
        loss = 1 - overlap / where(union == 0, 1, union)
        loss = loss + (hull - union) / where(hull == 0, 1, hull)

    Args:
        y_true: Boxes.
        y_pred: Boxes.
        bounding_box_format: What the four numbers are, as in `keras.utils.bounding_boxes`:
            `"xyxy"`, `"yxyx"`, `"xywh"`, `"center_xywh"`, `"center_yxhw"`, or one of the first four
            as shares of the image with `"rel_"` before it. Corners may come in any order. Defaults
            to `"xyxy"`.

    Shapes:
        `y_true` and `y_pred`: `(batch, ..., 4)`, a target for each box. The loss, from 0 to 2:
        `(batch, ...)`. No gradient flows to `y_true`.

    Raises:
        ValueError: If the format is unknown, or the shapes do not fit.

    Example:

    >>> float(keras_actloss.losses.giou([[0, 0, 2, 2]], [[3.0, 0.0, 4.0, 2.0]])[0])
    1.25

    Related:
        `torchvision.ops.generalized_box_iou_loss` with `eps=0`; TFA's `GIoULoss` has the order
        `"yxyx"`. Both, and KerasCV's `GIoULoss`, have what is here for boxes with an area.

    Reference:
        [Rezatofighi et al., 2019](https://arxiv.org/abs/1902.09630)
    """
    return _sum_of(_share, _hull)(y_true, y_pred, bounding_box_format)


@register("losses")
class GIoU(Loss, fn=giou):
    """Class form of `giou`."""

    width = 4

    def __init__(self, bounding_box_format="xyxy", **kwargs: Unpack[LossArguments]):
        super().__init__(**kwargs)
        self.bounding_box_format = bounding_box_format


@loss_function(bounding_box_format=one_of(*_FORMATS))
def diou(y_true: Any, y_pred: Any, bounding_box_format="xyxy") -> Any:
    """Distance IoU loss: `iou` plus the squared distance of the centers by the enclosing diagonal.

    Take it for boxes that may not overlap, or lie within each other: it moves a box straight to its
    target and trains faster than `giou`.

    Formula:

        low, high = corners(y_pred, bounding_box_format)
        true_low, true_high = corners(y_true, bounding_box_format)
        inner = maximum(minimum(high, true_high) - maximum(low, true_low), 0)
        outer = maximum(high, true_high) - minimum(low, true_low)
        overlap, area, true_area = (
            v[..., 0] * v[..., 1] for v in (inner, high - low, true_high - true_low)
        )
        union = area + true_area - overlap
        loss = 1 - overlap / where(union == 0, 1, union)
        shift = (low + high - true_low - true_high) / 2
        diagonal = sum(outer**2, axis=-1)
        loss = loss + sum(shift**2, axis=-1) / where(diagonal == 0, 1, diagonal)

    Args:
        y_true: Boxes.
        y_pred: Boxes.
        bounding_box_format: What the four numbers are, as in `keras.utils.bounding_boxes`:
            `"xyxy"`, `"yxyx"`, `"xywh"`, `"center_xywh"` or `"center_yxhw"`; not shares of the
            image, whose sides may differ. Corners may come in any order. Defaults to `"xyxy"`.

    Shapes:
        `y_true` and `y_pred`: `(batch, ..., 4)`, a target for each box. The loss, from 0 to 2:
        `(batch, ...)`. No gradient flows to `y_true`.

    Raises:
        ValueError: If the format is unknown, or the shapes do not fit.

    Example:

    >>> float(keras_actloss.losses.diou([[0, 0, 2, 2]], [[3.0, 0.0, 4.0, 2.0]])[0])
    1.3125

    Related:
        `torchvision.ops.distance_box_iou_loss` with `eps=0`. `ciou` adds the aspect ratio.

    Reference:
        [Zheng et al., 2020](https://arxiv.org/abs/1911.08287)
    """
    return _sum_of(_share, _centers)(y_true, y_pred, bounding_box_format)


@register("losses")
class DIoU(Loss, fn=diou):
    """Class form of `diou`."""

    width = 4

    def __init__(self, bounding_box_format="xyxy", **kwargs: Unpack[LossArguments]):
        super().__init__(**kwargs)
        self.bounding_box_format = bounding_box_format


@loss_function(bounding_box_format=one_of(*_FORMATS))
def ciou(y_true: Any, y_pred: Any, bounding_box_format="xyxy") -> Any:
    """Complete IoU loss: `diou` plus the difference of the aspect ratios.

    Take it as the loss of boxes in a detector of the YOLO family. The aspect ratio weighs more, the
    better the boxes overlap; its weight `alpha` has no gradient.

    Formula:

        low, high = corners(y_pred, bounding_box_format)
        true_low, true_high = corners(y_true, bounding_box_format)
        size, true_size = high - low, true_high - true_low
        inner = maximum(minimum(high, true_high) - maximum(low, true_low), 0)
        outer = maximum(high, true_high) - minimum(low, true_low)
        overlap, area, true_area = (v[..., 0] * v[..., 1] for v in (inner, size, true_size))
        union = area + true_area - overlap
        loss = 1 - overlap / where(union == 0, 1, union)
        ratio, true_ratio = (arctan(v[..., 0], v[..., 1]) for v in (size, true_size))
        aspect = (2 / pi * (true_ratio - ratio)) ** 2
        whole = stop_gradient(loss + aspect)
        alpha = stop_gradient(aspect) / where(whole == 0, 1, whole)
        shift = (low + high - true_low - true_high) / 2
        diagonal = sum(outer**2, axis=-1)
        loss = loss + sum(shift**2, axis=-1) / where(diagonal == 0, 1, diagonal)
        loss = loss + alpha * aspect

    Args:
        y_true: Boxes.
        y_pred: Boxes.
        bounding_box_format: What the four numbers are, as in `keras.utils.bounding_boxes`:
            `"xyxy"`, `"yxyx"`, `"xywh"`, `"center_xywh"` or `"center_yxhw"`; not shares of the
            image, whose sides may differ. Corners may come in any order. Defaults to `"xyxy"`.

    Shapes:
        `y_true` and `y_pred`: `(batch, ..., 4)`, a target for each box. The loss: `(batch, ...)`.
        No gradient flows to `y_true`.

    Raises:
        ValueError: If the format is unknown, or the shapes do not fit.

    Example:

    >>> float(keras_actloss.losses.ciou([[0, 0, 2, 2]], [[3.0, 0.0, 4.0, 2.0]])[0])
    1.3141...

    Related:
        `torchvision.ops.complete_box_iou_loss` with `eps=0`, and KerasCV's `CIoULoss`. Of boxes of
        one aspect ratio, `diou`.

    Reference:
        [Zheng et al., 2020](https://arxiv.org/abs/1911.08287)
    """
    return _sum_of(_share, _centers, _aspect)(y_true, y_pred, bounding_box_format)


@register("losses")
class CIoU(Loss, fn=ciou):
    """Class form of `ciou`."""

    width = 4
    stops_gradient = True

    def __init__(self, bounding_box_format="xyxy", **kwargs: Unpack[LossArguments]):
        super().__init__(**kwargs)
        self.bounding_box_format = bounding_box_format
