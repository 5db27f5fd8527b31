"""Losses of where masks lie: how far from a border, and along which lines."""

import functools
from typing import Any, Unpack

from keras import ops

from keras_actloss.core.checks import (
    class_weights_or_none,
    flag,
    integer_axis,
    one_of,
    positive_integer,
)
from keras_actloss.core.loss import Loss, LossArguments
from keras_actloss.core.numerics import over, repeat_times, with_gradient
from keras_actloss.core.regions import (
    OPTIONS,
    count,
    for_samples,
    labels_of,
    mean_of_classes,
    miss,
    priced,
    probabilities,
    region_loss,
    sum_pixels,
    weights_of,
    weights_of_classes,
)
from keras_actloss.core.registry import register
from keras_actloss.core.settings import as_list


@region_loss(
    "values",
    constant=True,
    from_logits=flag,
    encoding=one_of("onehot", "multilabel"),
    background=flag,
    class_weights=class_weights_or_none,
    axis=integer_axis,
)
def boundary(
    y_true: Any,
    y_pred: Any,
    from_logits=False,
    encoding="onehot",
    background=True,
    class_weights: Any = None,
    axis=-1,
    mask: Any = None,
) -> Any:
    """Mean distance of a predicted mask to the border of the true one, counted negative inside.

    Take it beside `dice` for small or elongated structures, with a weight that grows from 0: it
    says how far off a false pixel is, but starts flat. `y_true` is no mask but the signed distance
    to its border, one map per class, made once with the data; the authors' is, in SciPy,
    `np.where(mask, 1 - distance_transform_edt(mask), distance_transform_edt(~mask))`.

    Formula:

        p = sigmoid(y_pred) if encoding == "multilabel" else softmax(y_pred, axis)
        reach = pixels((p if from_logits else y_pred) * y_true, "image", axis)
        loss = class_mean(mean(reach, axis=1), reach, "count", background, class_weights)

    Args:
        y_true: Signed distances, in any unit: positive outside of a class, negative inside. 0 where
            an image lacks the class.
        y_pred: Probabilities of each class, or logits with `from_logits=True`.
        from_logits: Whether `y_pred` holds logits. Defaults to `False`.
        encoding: Whether logits go through a softmax, `"onehot"`, or a sigmoid, `"multilabel"`.
            Defaults to `"onehot"`.
        background: Whether class 0 counts. Defaults to `True`.
        class_weights: One weight of at least 0 per class, for a weighted mean. NaN in a class of
            weight 0 is ignored, except in logits of a softmax. Defaults to `None`, all 1.
        axis: The class axis. Defaults to `-1`.
        mask: `True` where a pixel counts, or what it weighs; shape of `y_pred` without `axis`, or
            without its last axes. The class takes weights of pixels as `sample_weight`. With
            weights of pixels the mean is over images with a nonzero weight, with weights of images
            over all, as in Keras. Defaults to `None`.

    Shapes:
        `y_true` and `y_pred`: `(batch, ..., classes)`, the classes on `axis`. The loss: `(batch,)`.
        No gradient flows to `y_true`.

    Raises:
        ValueError: If an option is out of range or the shapes do not fit.

    Example:

    >>> y_true, y_pred = [[[-1.0], [2.0]]], [[[0.5], [0.5]]]
    >>> float(keras_actloss.losses.boundary(y_true, y_pred)[0])
    0.25

    Related:
        It may be negative, and is least for a mask that fits. There is no `per`: the mean over a
        batch is that of its images, where others have ratios of sums. Nor is there `ignore_class`,
        for a distance is no class: a `mask` leaves pixels out. MONAI's `BoundaryLoss` is the
        same, but makes the distances from masks in each step, on the CPU.

    Reference:
        [Kervadec et al., 2018](https://arxiv.org/abs/1812.07032)
    """
    p = probabilities(y_pred, from_logits, encoding, axis)
    pixel = ops.ones_like(p[:1]) if mask is None else weights_of(mask, p, encoding, axis)
    pixel = ops.broadcast_to(pixel, ops.shape(p))
    reach = over(sum_pixels(pixel * p * y_true, axis), sum_pixels(pixel, axis))
    size = ops.ones_like(reach)
    weight = weights_of_classes(size, y_pred, "count", background, class_weights, axis)
    return for_samples(mean_of_classes(reach, weight), y_pred, mask)


@register("losses")
class Boundary(Loss, fn=boundary):
    """Class form of `boundary`."""

    def __init__(
        self,
        from_logits=False,
        encoding="onehot",
        background=True,
        class_weights=None,
        axis=-1,
        **kwargs: Unpack[LossArguments],
    ):
        super().__init__(**kwargs)
        self.from_logits = from_logits
        self.encoding = encoding
        self.background = background
        self.class_weights = as_list(class_weights)
        self.axis = axis


def _lower(a, b):
    # Of two that are equal one has the gradient, the same on every backend.
    return ops.where(a < b, a, b)


def _upper(a, b):
    return ops.where(a > b, a, b)


def _neighborhood(choose, x, axis):
    """The least or greatest of each entry and its two neighbors along `axis`."""
    before, all_but_first, all_but_last, last = (
        x[(slice(None),) * axis + (part,)]
        for part in (slice(0, 1), slice(1, None), slice(None, -1), slice(-1, None))
    )
    earlier = ops.concatenate([before, all_but_last], axis=axis)
    later = ops.concatenate([all_but_first, last], axis=axis)
    return choose(choose(earlier, x), later)


def _opened(x, axes):
    return functools.reduce(lambda y, axis: _neighborhood(_upper, y, axis), axes, x)


def _eroded(x, axes):
    return functools.reduce(_lower, [_neighborhood(_lower, x, axis) for axis in axes])


@functools.cache
def _thinning(axes):
    """A step of `_skeleton`, one object for all calls, for JAX to compile it once."""

    def step(state):
        x, skeleton = state
        thinner = _eroded(x, axes)
        ridge = ops.relu(x - _opened(thinner, axes))
        return thinner, skeleton + ops.relu(ridge - skeleton * ridge)

    return step


def _skeleton(x, iterations, axes):
    """The soft skeleton: what an opening takes away, from masks that get thinner and thinner."""
    return repeat_times(_thinning(tuple(axes)), (x, ops.zeros_like(x)), iterations + 1)[1]


def _unlike(a, b):
    """One less the harmonic mean of `1 - a` and `1 - b`."""

    def value(a, b):
        total = (1 - a) + (1 - b)
        return ops.where(total == 0, 1.0, over((1 - a) * b + (1 - b) * a, total))

    def gradient(upstream, a, b):
        total = (1 - a) + (1 - b)
        return tuple(2 * upstream * ops.square(over(1 - other, total)) for other in (b, a))

    return with_gradient(value, gradient)(a, b)


@region_loss(
    iterations=positive_integer,
    **OPTIONS,
)
def centerline_dice(
    y_true: Any,
    y_pred: Any,
    from_logits=False,
    encoding="onehot",
    iterations=3,
    smooth=1.0,
    per="image",
    absent="count",
    background=True,
    class_weights: Any = None,
    ignore_class: Any = None,
    axis=-1,
    mask: Any = None,
) -> Any:
    """Dice of centerlines (clDice): whether the skeleton of each mask lies within the other mask.

    Take it beside `dice` for vessels, roads and nerves, where an interruption matters more than the
    width. The skeletons are soft: what an opening takes away while the mask is thinned.

    Formula:

        p = sigmoid(y_pred) if encoding == "multilabel" else softmax(y_pred, axis)
        p = p if from_logits else y_pred
        y = one_hot(y_true, size(y_pred, axis), axis) if encoding == "ids" else y_true
        above, below = pair(smooth)
        lines_p, lines_y = skeleton(p, iterations, axis), skeleton(y, iterations, axis)
        p, y = pixels(p, per, axis), pixels(y, per, axis)
        lines_p, lines_y = pixels(lines_p, per, axis), pixels(lines_y, per, axis)
        precision = (sum(lines_p * y, axis=1) + above) / (sum(lines_p, axis=1) + below)
        recall = (sum(lines_y * p, axis=1) + above) / (sum(lines_y, axis=1) + below)
        miss = 1 - 2 * precision * recall / (precision + recall)
        loss = class_mean(miss, y, absent, background, class_weights)

    Args:
        y_true: Labels, as `encoding` says.
        y_pred: Probabilities of each class, or logits with `from_logits=True`.
        from_logits: Whether `y_pred` holds logits. Defaults to `False`.
        encoding: What `y_true` holds: `"onehot"` rows or `"ids"` of classes of which a pixel has
            one, or `"multilabel"`, one binary mask per channel. The first two take a softmax of
            logits, the last a sigmoid. Defaults to `"onehot"`.
        iterations: How often masks are thinned, at least 1; the half-width, in pixels, of the
            thickest structure. Defaults to `3`.
        smooth: Added to both sides of the ratio, in pixels, at least 0; a pair is for numerator and
            denominator. Defaults to `1.0`.
        per: Whether to count in each `"image"` or in the whole `"batch"`. Defaults to `"image"`.
        absent: Whether a class without a labeled pixel has its place in the mean, `"count"`, or
            not, `"skip"`. Defaults to `"count"`.
        background: Whether class 0 counts. Defaults to `True`.
        class_weights: One weight of at least 0 per class, for a weighted mean. NaN in a class of
            weight 0 is ignored, except in logits of a softmax. Defaults to `None`, all 1.
        ignore_class: Class, often -1 or 255, whose pixels are left out. Defaults to `None`.
        axis: The class axis. Defaults to `-1`.
        mask: `True` where a pixel counts, or what it weighs; shape of `y_pred` without `axis`, or
            without its last axes. The class takes weights of pixels as `sample_weight`. With
            weights of pixels the mean is over images with a nonzero weight, with weights of images
            over all, as in Keras. Defaults to `None`.

    Shapes:
        `y_pred`: `(batch, ..., classes)`, the classes on `axis`. `y_true`: the same, of ids without
        `axis`. The loss: `(batch,)`, with `per="batch"` the same for each. No gradient flows to
        `y_true`.

    Raises:
        TypeError: If ids are not of an integer dtype.
        ValueError: If an option, an id or an entry of `"multilabel"` is out of range, or the shapes
            do not fit.

    Example:

    >>> y_true = [[[0], [1], [0]]]
    >>> y_pred = [[[0.0], [0.5], [0.0]]]
    >>> float(keras_actloss.losses.centerline_dice(y_true, y_pred, smooth=0.0)[0])
    0.3333...

    Related:
        With `smooth=1.0` and one channel, that of the authors, and of MONAI but for 1e-4 in a
        denominator; of more channels they take the sums over all.

    Reference:
        [Shit et al., 2021](https://arxiv.org/abs/2003.07311)
    """
    axis = axis % len(y_pred.shape)
    axes = [i for i in range(1, len(y_pred.shape)) if i != axis]
    if not axes:
        raise ValueError(
            f"centerline_dice: y_pred of shape {tuple(y_pred.shape)} has no axis of pixels; "
            "give it as (batch, ..., classes)"
        )
    # What a pixel weighs is no matter of where the lines are.
    there = None if mask is None else ops.cast(mask, "bool")
    y, keep = labels_of(y_true, y_pred, encoding, axis, there)
    p = probabilities(y_pred, from_logits, encoding, axis)
    lines_p = _skeleton(p if keep is None else p * keep, iterations, axes)
    lines_y = ops.stop_gradient(_skeleton(y, iterations, axes))
    rows = "onehot" if encoding == "ids" else encoding
    of_p = count(y, lines_p, False, "multilabel", per, axis, mask, priced(1.0, 0.0, absent))
    of_y = count(lines_y, y_pred, from_logits, rows, per, axis, mask, priced(0.0, 1.0, "count"))
    values = _unlike(*(miss(counts, 1.0, smooth) for counts in (of_p, of_y)))
    weight = weights_of_classes(of_p[-1], y_pred, absent, background, class_weights, axis)
    return for_samples(mean_of_classes(values, weight), y_pred, mask)


@register("losses")
class CenterlineDice(Loss, fn=centerline_dice):
    """Class form of `centerline_dice`."""

    rank = 3

    def __init__(
        self,
        from_logits=False,
        encoding="onehot",
        iterations=3,
        smooth=1.0,
        per="image",
        absent="count",
        background=True,
        class_weights=None,
        ignore_class=None,
        axis=-1,
        **kwargs: Unpack[LossArguments],
    ):
        super().__init__(**kwargs)
        self.from_logits = from_logits
        self.encoding = encoding
        self.iterations = iterations
        self.smooth = as_list(smooth)
        self.per = per
        self.absent = absent
        self.background = background
        self.class_weights = as_list(class_weights)
        self.ignore_class = ignore_class
        self.axis = axis
