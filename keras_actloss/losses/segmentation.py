"""Losses of masks by counts of pixels beyond the overlap: by rarity and by correlation."""

import functools
from typing import Any, Unpack

from keras import ops

from keras_actloss.core.checks import finite_non_negative
from keras_actloss.core.keras_fixes import amax
from keras_actloss.core.loss import Loss, LossArguments
from keras_actloss.core.numerics import over, with_gradient
from keras_actloss.core.regions import (
    EACH,
    OPTIONS,
    count,
    for_samples,
    mean_of_classes,
    miss,
    priced,
    region_loss,
    weights_of_classes,
)
from keras_actloss.core.registry import register
from keras_actloss.core.settings import as_list


def _rarity(size, weight):
    """`weight` over the square of each class's size, in sizes of the rarest class that counts."""
    size = ops.stop_gradient(size)
    present = ops.logical_and(size > 0, weight > 0)
    inverse = ops.where(present, 1 / ops.where(present, size, 1.0), 0.0)
    most = amax(inverse, axis=-1, keepdims=True)
    # Classes that are absent weigh as the rarest of the others; in an image without any, alike.
    ratio = ops.where(present, over(inverse, most), 1.0)
    return weight * ratio * ratio


def _discord(counts, smooth):
    """One less the correlation of labels and predictions, in which nothing cancels."""

    def parts(counts):
        # As shares of all pixels, whose products stay in range.
        hits, extra, missed, empty = ops.unstack(counts, 4)
        hits, empty = hits + smooth, empty + smooth
        share = over(1.0, hits + extra + missed + empty)
        hits, extra, missed, empty = (v * share for v in (hits, extra, missed, empty))
        margins = hits + extra, hits + missed, empty + extra, empty + missed
        spread = functools.reduce(lambda a, b: a * b, map(ops.sqrt, margins))
        return (hits, extra, missed, empty), margins, spread, share

    def value(counts):
        (hits, extra, missed, empty), _, spread, _ = parts(counts)
        agree, differ = hits * empty, extra * missed
        rows, columns = hits * missed + extra * empty, hits * extra + missed * empty
        # spread**2 - (agree - differ)**2, multiplied out: a sum without a minus.
        square = 4 * agree * differ + (agree + differ) * (rows + columns) + rows * columns
        right = agree > differ
        safe = ops.where(right, agree - differ, 0.0)
        gap = ops.where(right, over(square, spread + safe), spread + (differ - agree))
        return over(gap, spread)

    def gradient(upstream, counts):
        (hits, extra, missed, empty), margins, spread, share = parts(counts)
        of_hits, of_label, of_other, of_empty = margins
        slopes = (
            -over(extra * of_empty, of_hits) - over(missed * of_other, of_label),
            over(hits * of_empty, of_hits) + over(empty * of_label, of_other),
            over(hits * of_other, of_label) + over(empty * of_hits, of_empty),
            -over(extra * of_label, of_other) - over(missed * of_hits, of_empty),
        )
        scale = over(0.5 * upstream * share, spread)
        return ops.stack([scale * slope for slope in slopes])

    return with_gradient(value, gradient)(counts)


@region_loss(**OPTIONS)
def generalized_dice(
    y_true: Any,
    y_pred: Any,
    from_logits=False,
    encoding="onehot",
    smooth=1.0,
    per="image",
    absent="count",
    background=True,
    class_weights: Any = None,
    ignore_class: Any = None,
    axis=-1,
    mask: Any = None,
) -> Any:
    """One minus one Dice coefficient of all classes, each weighed by the square of its rarity.

    Take it for classes of very different size, whose pixels then share one ratio. A class without a
    labeled pixel weighs as the rarest of the others; elsewhere it has a weight without bound.

    Formula:

        p = sigmoid(y_pred) if encoding == "multilabel" else softmax(y_pred, axis)
        p = pixels(p if from_logits else y_pred, per, axis)
        y = one_hot(y_true, size(y_pred, axis), axis) if encoding == "ids" else y_true
        y = pixels(y, per, axis)
        found, extra, missed = (sum(v, axis=1) for v in (p * y, p * (1 - y), (1 - p) * y))
        rarity = rarities(y, absent, background, class_weights)
        found, extra, missed = (sum(rarity * v, axis=-1) for v in (found, extra, missed))
        above, below = pair(smooth)
        loss = 1 - (2 * found + above) / (2 * found + extra + missed + below)

    Args:
        y_true: Labels, as `encoding` says.
        y_pred: Probabilities of each class, or logits with `from_logits=True`.
        from_logits: Whether `y_pred` holds logits. Defaults to `False`.
        encoding: What `y_true` holds: `"onehot"` rows or `"ids"` of classes of which a pixel has
            one, or `"multilabel"`, one binary mask per channel. The first two take a softmax of
            logits, the last a sigmoid. Defaults to `"onehot"`.
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

    >>> y_true = [[[1, 0], [0, 1], [0, 1]]]
    >>> y_pred = [[[0.5, 0.5], [0.0, 1.0], [0.0, 1.0]]]
    >>> float(keras_actloss.losses.generalized_dice(y_true, y_pred, smooth=0.0)[0])
    0.2380...

    Related:
        `dice` where there is one class. The rarest class has the weight 1, so that `smooth` is in
        its pixels. With `smooth=0.0` it is MONAI's `GeneralizedDiceLoss`, also where a class is
        absent. optax's is a weighted mean of Dice losses.

    Reference:
        [Sudre et al., 2017](https://arxiv.org/abs/1707.03237)
    """
    sums = priced(1.0, 1.0, "skip")
    counts = count(y_true, y_pred, from_logits, encoding, per, axis, mask, sums)
    size = counts[-1]
    weight = weights_of_classes(size, y_pred, absent, background, class_weights, axis)
    pooled = ops.sum(_rarity(size, weight) * counts, axis=-1)
    return for_samples(miss(pooled, 2.0, smooth), y_pred, mask)


@register("losses")
class GeneralizedDice(Loss, fn=generalized_dice):
    """Class form of `generalized_dice`."""

    def __init__(
        self,
        from_logits=False,
        encoding="onehot",
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
        self.smooth = as_list(smooth)
        self.per = per
        self.absent = absent
        self.background = background
        self.class_weights = as_list(class_weights)
        self.ignore_class = ignore_class
        self.axis = axis


@region_loss(**OPTIONS | {"smooth": finite_non_negative})
def matthews_correlation(
    y_true: Any,
    y_pred: Any,
    from_logits=False,
    encoding="onehot",
    smooth=1.0,
    per="batch",
    absent="count",
    background=True,
    class_weights: Any = None,
    ignore_class: Any = None,
    axis=-1,
    mask: Any = None,
) -> Any:
    """One minus the Matthews correlation coefficient (MCC) of each class, mean over the classes.

    Take it where pixels that are rightly empty should count, too, which the overlap losses do not
    look at. It compares a class with all the rest, so its counts are those of the batch: an image
    often has nothing of a class, or nothing else.

    Formula:

        p = sigmoid(y_pred) if encoding == "multilabel" else softmax(y_pred, axis)
        p = pixels(p if from_logits else y_pred, per, axis)
        y = one_hot(y_true, size(y_pred, axis), axis) if encoding == "ids" else y_true
        y = pixels(y, per, axis)
        found, extra, missed = (sum(v, axis=1) for v in (p * y, p * (1 - y), (1 - p) * y))
        found, empty = found + smooth, sum((1 - p) * (1 - y), axis=1) + smooth
        spread = (found + extra) * (found + missed) * (empty + extra) * (empty + missed)
        miss = 1 - (found * empty - extra * missed) / sqrt(spread)
        loss = class_mean(miss, y, absent, background, class_weights)

    Args:
        y_true: Labels, as `encoding` says.
        y_pred: Probabilities of each class, or logits with `from_logits=True`.
        from_logits: Whether `y_pred` holds logits. Defaults to `False`.
        encoding: What `y_true` holds: `"onehot"` rows or `"ids"` of classes of which a pixel has
            one, or `"multilabel"`, one binary mask per channel. The first two take a softmax of
            logits, the last a sigmoid. Defaults to `"onehot"`.
        smooth: Added to the pixels that are rightly there and to those that are rightly not, at
            least 0. Defaults to `1.0`.
        per: Whether to count in each `"image"` or in the whole `"batch"`. Defaults to `"batch"`.
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

    >>> y_true, y_pred = [[[1], [0], [0]]], [[[0.5], [0.25], [0.0]]]
    >>> loss = keras_actloss.losses.matthews_correlation
    >>> float(loss(y_true, y_pred, smooth=0.0)[0])
    0.5917...

    Related:
        With `smooth=0.0` it is MONAI's `MCCLoss(batch=True)` and, of one channel, SMP's `MCCLoss`,
        which takes probabilities, but for an epsilon below the root and in the denominator.

    Reference:
        [Abhishek and Hamarneh, 2020](https://arxiv.org/abs/2010.13454)
    """
    counts = count(y_true, y_pred, from_logits, encoding, per, axis, mask, EACH)
    size = counts[0] + counts[2]
    weight = weights_of_classes(size, y_pred, absent, background, class_weights, axis)
    return for_samples(mean_of_classes(_discord(counts, smooth), weight), y_pred, mask)


@register("losses")
class MatthewsCorrelation(Loss, fn=matthews_correlation):
    """Class form of `matthews_correlation`."""

    def __init__(
        self,
        from_logits=False,
        encoding="onehot",
        smooth=1.0,
        per="batch",
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
        self.smooth = smooth
        self.per = per
        self.absent = absent
        self.background = background
        self.class_weights = as_list(class_weights)
        self.ignore_class = ignore_class
        self.axis = axis
