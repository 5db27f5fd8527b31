"""Losses of bounding boxes, a value for each pair of a box and its target."""

import functools
import math
import operator
from typing import Any, NamedTuple, Unpack

from keras import ops

from keras_actloss.core.checks import one_of
from keras_actloss.core.functions import loss_function
from keras_actloss.core.keras_fixes import amax, moved
from keras_actloss.core.loss import Loss, LossArguments
from keras_actloss.core.numerics import SMALLEST, with_gradient
from keras_actloss.core.registry import register

_FORMATS = ("xyxy", "yxyx", "xywh", "center_xywh", "center_yxhw")
# In units of the image's sides, which only what each axis can be scaled by does not depend on.
_SCALED = ("rel_xyxy", "rel_yxyx", "rel_xywh", "rel_center_xywh")


def _corners(boxes, bounding_box_format):
    """Two opposite corners, `(1, 4, ...)`: the axes of one, then those of the other."""
    boxes = moved(boxes, -1, 0)[None]
    if bounding_box_format.endswith(("xyxy", "yxyx")):
        return boxes
    first, second = boxes[:, :2], boxes[:, 2:]
    if "center" in bounding_box_format:
        return ops.concatenate([first - second / 2, first + second / 2], axis=1)
    return ops.concatenate([first, first + second], axis=1)


def _across(x):
    """What belongs to the other axis of the image."""
    return ops.flip(x, 1)


class _Pair(NamedTuple):
    """Lengths in units of the box that encloses two boxes, `(1, 2, ...)` for the axes of the image.

    No length is a difference of two others, so that what is nearly 0 still has its digits. What is
    of both boxes, or of both edges, is one tensor `(2, 2, ...)`: of some thousand boxes an op costs
    more than its arithmetic.
    """

    sizes: Any  # of the box and its target
    rests: Any  # sizes - overlap
    overlap: Any
    gap: Any
    met: Any  # the overlap along the other axis, if there is no gap along this one
    missed: Any  # and if there is one
    beyond: Any  # how far the lower and the upper edge are outside of the target's
    room: Any  # `() ->` 1 less twice how far the center is off, where the edge is the enclosing one
    hull: Any  # the size of the enclosing box, and the same as what to divide by
    unit: Any

    @classmethod
    def of(cls, lows, highs):
        low, true_low, high, true_high = lows[:1], lows[1:], highs[:1], highs[1:]
        hull = ops.maximum(high, true_high) - ops.minimum(low, true_low)
        unit = ops.where(hull < SMALLEST, 1.0, hull)
        inner = ops.minimum(high, true_high) - ops.maximum(low, true_low)
        # Divided as one, for what is alike to stay alike: XLA takes the reciprocal of the divisor.
        lengths = ops.concatenate([highs - lows, inner]) / unit
        sizes, inner = lengths[:2], lengths[2:]
        beyond = ops.concatenate([true_low - low, high - true_high]) / unit
        outside = ops.relu(beyond)
        within = outside - beyond
        rests = outside[:1] + outside[1:], within[:1] + within[1:]
        overlap = ops.relu(inner)
        gap, across = overlap - inner, _across(overlap)
        # A box without width inside the other one does overlap: it has a gradient to grow.
        missed = across * ops.sign(gap)
        return cls(
            sizes=sizes,
            # Not what lies between two boxes.
            rests=[ops.minimum(sizes[i : i + 1], rests[i]) for i in (0, 1)],
            overlap=overlap,
            gap=gap,
            met=across - missed,
            missed=missed,
            beyond=beyond,
            room=lambda: (
                ops.flip(outside, 0) + ops.concatenate([high - true_low, true_high - low]) / unit
            ),
            hull=hull,
            unit=unit,
        )

    def share(self):
        """The union of the areas, and the part of it that is not the intersection."""
        overlap, across = self.overlap[:, 0], self.overlap[:, 1]
        (rest, true_rest), sides = self.rests, self.sizes[:, 1]
        either = rest[:, 0] * sides[:1] + true_rest[:, 0] * sides[1:]
        either = either + overlap * (rest[:, 1] + true_rest[:, 1])
        union = either + overlap * across
        # Of two boxes without area nothing overlaps.
        nothing = 1 - ops.sign(union)
        union = union + nothing
        return union, (either + nothing) / union


class _Part(NamedTuple):
    """A term of a loss, and its slopes by how far an edge moves away from the center.

    Slopes are in units of the enclosing box, `(1, 2, ...)` or for both edges `(2, 2, ...)`.
    """

    value: Any
    outside: Any  # where the edge is the enclosing one, too
    inside: Any  # where it is not


def _share(pair):
    """The part of the union that is not the intersection."""
    union, value = pair.share()
    overlap, true_size = pair.overlap, pair.sizes[1:]
    size = _across(pair.sizes[:1]) / union
    true_area = true_size[:, 0] * true_size[:, 1]
    return _Part(
        value,
        outside=overlap[:, 0] * overlap[:, 1] / union * size,
        inside=-pair.met / union * (size * pair.rests[0] + true_area / union),
    )


def _hull(pair):
    """The part of the enclosing box that is not the union."""
    (rest, true_rest), gap = pair.rests, pair.gap
    size = _across(pair.sizes[:1])
    rest_across, true_across, gap_across = _across(rest), _across(true_rest), gap[:, 1]
    value = rest[:, 0] * (true_across[:, 0] + gap_across)
    value = value + true_rest[:, 0] * (rest_across[:, 0] + gap_across)
    return _Part(
        value + pair.overlap[:, 0] * gap_across + gap[:, 0],
        outside=true_across * pair.sizes[1:] - true_rest * rest_across - gap * size,
        inside=-(rest_across + pair.missed),
    )


def _proportions(pair):
    """The sides of the enclosing box beside its longer one."""
    longer = amax(pair.hull, axis=1, keepdims=True)
    return pair.hull / ops.where(longer < SMALLEST, 1.0, longer)


def _centers(pair):
    """The squared distance of the centers, beside the squared diagonal of the enclosing box."""
    square = ops.square(_proportions(pair))
    weight = square / (square[:, :1] + square[:, 1:] + SMALLEST)
    beyond = pair.beyond
    shift = (beyond[1:] - beyond[:1]) / 2
    parts, others = weight * ops.square(shift), _across(weight)
    # Of the center, along the direction from it to either edge.
    outward = ops.concatenate([-shift, shift])
    # outward - 2 * (parts + parts across), with as much as possible of the former left.
    room = outward * (pair.room() + 2 * outward * others) - 2 * _across(parts)
    return _Part(parts[:, 0] + parts[:, 1], outside=weight * room, inside=weight * outward)


def _aspect(pair):
    """The squared difference of the aspect ratios as angles, beside what else there is to mend."""
    sides = _proportions(pair)
    sizes = pair.sizes * sides
    (x, y), (true_x, true_y) = ((sizes[i : i + 1, 0], sizes[i : i + 1, 1]) for i in (0, 1))
    # The difference of two arc tangents, as one.
    angle = 2 / math.pi * ops.arctan2(true_x * y - x * true_y, true_x * x + true_y * y)
    square = ops.square(angle)
    all_of = pair.share()[1] + square
    alpha = square / ops.where(all_of == 0, 1.0, all_of)
    # The gradient of the box's angle, (y, -x) by the squared diagonal.
    longer = ops.maximum(x, y)
    longer = ops.where(longer == 0, 1.0, longer)
    x, y = x / longer, y / longer
    scale = -4 / math.pi * alpha * angle / (x * x + y * y + SMALLEST) / longer
    slope = ops.stack([scale * y, -scale * x], axis=1) * sides
    return _Part(alpha * square, outside=slope, inside=slope)


def _sum_of(*measures):
    """`loss(y_true, y_pred, bounding_box_format)`, the sum of what the measures find."""

    def shared(pred, true):
        # In a tensor of long rows, which those of four numbers are not; and in quarters, for the
        # reciprocal of a length, with which XLA divides, to be a normal number.
        corners = ops.concatenate([pred, true]) / 4
        first, second = corners[:, :2], corners[:, 2:]
        pair = _Pair.of(ops.minimum(first, second), ops.maximum(first, second))
        parts = [measure(pair) for measure in measures]
        total = _Part(
            *(functools.reduce(operator.add, terms) for terms in zip(*parts, strict=True))
        )
        return pair, total, first[:1] > second[:1]

    def value(shared, pred, true):
        return shared[1].value[0]

    def gradient(upstream, shared, pred, true):
        pair, total, swapped = shared
        # Where both boxes have the edge, the mean of what lies on its two sides.
        outside = ops.sign(pair.beyond) / 2 + 0.5
        slope = outside * total.outside + (1 - outside) * total.inside
        slope = slope / pair.unit * (upstream / 4)
        low, high = -slope[:1], slope[1:]
        both = ops.where(swapped, high, low), ops.where(swapped, low, high)
        return ops.concatenate(both, axis=1), None

    def loss(y_true, y_pred, bounding_box_format):
        if y_pred.shape[-1] != 4:
            raise ValueError(
                "the last axis of boxes holds 4 numbers, got y_pred of shape "
                f"{tuple(y_pred.shape)}; see bounding_box_format"
            )
        pred, true = (_corners(boxes, bounding_box_format) for boxes in (y_pred, y_true))
        return with_gradient(value, gradient, shared)(pred, true)

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
    better the boxes overlap; its weight `alpha` has no gradient. A box that is a point has no
    aspect-ratio term.

    Formula:

        low, high = corners(y_pred, bounding_box_format)
        true_low, true_high = corners(y_true, bounding_box_format)
        size, true_size = high - low, true_high - true_low
        inner = maximum(minimum(high, true_high) - maximum(low, true_low), 0)
        outer = maximum(high, true_high) - minimum(low, true_low)
        overlap, area, true_area = (v[..., 0] * v[..., 1] for v in (inner, size, true_size))
        union = area + true_area - overlap
        loss = 1 - overlap / where(union == 0, 1, union)
        turn = true_size[..., 0] * size[..., 1] - size[..., 0] * true_size[..., 1]
        aspect = (2 / pi * arctan(turn, sum(size * true_size, axis=-1))) ** 2
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
        `torchvision.ops.complete_box_iou_loss` with `eps=0`. KerasCV's `CIoULoss` squares the
        `4/pi**2` of the aspect-ratio term too. Of boxes of one aspect ratio, `diou`.

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
