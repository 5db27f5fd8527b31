"""Losses for labels of which few are positive: by focus on mistakes, or by overlap."""

from typing import Any, Unpack

from keras import ops

from keras_actloss.core.binary import bernoulli, both_sides, logistic, of_entries, sides
from keras_actloss.core.categorical import along
from keras_actloss.core.checks import finite_non_negative
from keras_actloss.core.checks import smoothing as share
from keras_actloss.core.curves import OPTIONS
from keras_actloss.core.functions import loss_function
from keras_actloss.core.kernels import asked
from keras_actloss.core.loss import Loss, LossArguments
from keras_actloss.core.numerics import over, power, reciprocal, with_gradient
from keras_actloss.core.registry import register
from keras_actloss.core.settings import as_list
from keras_actloss.core.tensors import cast, dtype_of, fit, mean


def _focused(x, y, gamma, from_logits, where=None):
    """`|p - y| ** gamma` times the cross-entropy of `x`, the power only where `where` is True."""
    cross_entropy = logistic if from_logits else bernoulli
    if gamma == 0:
        return cross_entropy(x, y)

    def parts(x, y, *where):
        p, q = both_sides(x, from_logits)
        miss = (1 - y) * p - y * q
        focus = power(ops.abs(miss), gamma)
        focus = ops.where(where[0], focus, 1.0) if where else focus
        return p, q, miss, focus, cross_entropy(x, y)

    def value(x, y, *where):
        *_, focus, loss = parts(x, y, *where)
        return focus * loss

    def gradient(upstream, x, y, *where):
        p, q, miss, focus, loss = parts(x, y, *where)
        # Miss and slope have the sign of each other: nothing cancels.
        of_power = gamma * (p * q) if from_logits else gamma
        of_power = of_power * ops.cast(where[0], p.dtype) if where else of_power
        of_loss = miss if from_logits else miss * reciprocal(p) * reciprocal(q)
        # Where the loss is infinite, of the power there is nothing left: 0, not 0 times infinity.
        slope = of_loss + of_power * over(ops.minimum(loss, 2.0**126), miss)
        return upstream * (focus * slope), *[None for _ in (y, *where)]

    tensors = (x, y) if where is None else (x, y, where)
    return with_gradient(value, gradient)(*tensors)


def _shifted(x, gamma, clip, from_logits):
    """`-u ** gamma * log(1 - u)` of the probability less a margin, `u = max(p - clip, 0)`."""

    def parts(x):
        p, q = both_sides(x, from_logits)
        # XLA would make (1 - p) + clip one difference from a rounded constant; it cannot here.
        u, rest = ops.relu(p - clip), ops.relu(q) + clip
        # The logarithm of the smaller of u and 1 - u, whose digits are all there.
        far = ops.log(ops.where(p > 0.5, rest, 1.0))
        near = ops.log1p(-ops.where(p > 0.5, 0.0, u))
        return p, q, u, rest, power(u, gamma), -far - near

    def value(x):
        *_, focus, loss = parts(x)
        return focus * loss

    def gradient(upstream, x):
        p, q, u, rest, focus, loss = parts(x)
        slope = ops.where(u > 0, focus * (gamma * over(loss, u) + 1 / rest), 0.0)
        return upstream * slope * (p * q if from_logits else 1.0)

    return with_gradient(value, gradient)(x)


@loss_function(
    "binary",
    gamma_negative=finite_non_negative,
    gamma_positive=finite_non_negative,
    clip=share,
    **OPTIONS,
)
def asymmetric_binary_crossentropy(
    y_true: Any,
    y_pred: Any,
    from_logits=False,
    gamma_negative=4.0,
    gamma_positive=1.0,
    clip=0.05,
    label_smoothing=0.0,
    axis=-1,
    class_weights: Any = None,
    ignore_class: Any = None,
    mask: Any = None,
) -> Any:
    """Asymmetric loss (ASL) of multi-label outputs, mean over an axis.

    Take it instead of `binary_crossentropy` where most labels of a sample are 0: negatives are
    focused more than positives, and those with a probability below `clip` cost nothing. timm and
    the authors sum over the classes, which is this mean times their number. The gradient flows
    through the focusing factor, as in timm; the authors train with that held constant.

    Formula:

        p = 1 / (1 + exp(-y_pred)) if from_logits else y_pred
        q = 1 / (1 + exp(y_pred)) if from_logits else 1 - y_pred
        u = maximum(p - clip, 0)
        y = y_true * (1 - label_smoothing) + label_smoothing / 2
        w = (1, 1) if class_weights is None else class_weights
        positive = -(q ** gamma_positive) * xlogy(y, p)
        negative = -(u ** gamma_negative) * xlogy(1 - y, minimum(q + clip, 1))
        loss = mean(w[1] * positive + w[0] * negative, axis=axis)

    Args:
        y_true: Labels from 0 to 1, for each output.
        y_pred: Probabilities, or logits with `from_logits=True`.
        from_logits: Whether `y_pred` holds logits. Defaults to `False`.
        gamma_negative: Focus on wrong negatives, at least 0. Defaults to `4.0`.
        gamma_positive: Focus on wrong positives, at least 0. Defaults to `1.0`.
        clip: Probability margin that is subtracted from those of negatives, in [0, 1); a negative
            below it costs nothing. Defaults to `0.05`.
        label_smoothing: How far labels move towards 1/2, in [0, 1). Defaults to `0.0`.
        axis: Axis that the mean is taken over. Defaults to `-1`.
        class_weights: Weights of the classes 0 and 1, or `None` for 1 and 1. Defaults to `None`.
        ignore_class: Label, often -1, whose entries are left out. Defaults to `None`.
        mask: Boolean, `True` where an entry counts; shape of `y_pred`, or without its last axes.
            Defaults to `None`.

    Shapes:
        `y_true` and `y_pred`: `(batch, ..., n)`; `(batch,)` beside `(batch, 1)` is the same. The
        loss: the same without `axis`. No gradient flows to `y_true`.

    Raises:
        ValueError: If an option or a label is out of range, or the shapes do not fit.

    Example:

    >>> loss = keras_actloss.losses.asymmetric_binary_crossentropy
    >>> float(loss([[1, 0]], [[0.5, 0.5]])[0])
    0.1855...

    Related:
        With `clip=0` and equal gammas, `binary_focal_crossentropy`; with `clip=0` and gammas of 0,
        `binary_crossentropy`.

    Reference:
        [Ridnik et al., 2021](https://arxiv.org/abs/2009.14119)
    """
    yes, no = sides(cast(y_true, dtype_of(y_pred)), class_weights, label_smoothing)
    if class_weights is not None:
        y_pred = ops.where(yes + no == 0, 0.5, y_pred)
    positive = _focused(y_pred, ops.ones_like(y_pred), gamma_positive, from_logits)
    if clip:
        negative = _shifted(y_pred, gamma_negative, clip, from_logits)
    else:
        negative = _focused(y_pred, ops.zeros_like(y_pred), gamma_negative, from_logits)
    return mean(asked(yes, positive) + asked(no, negative), mask, axis)


@register("losses")
class AsymmetricBinaryCrossentropy(Loss, fn=asymmetric_binary_crossentropy):
    """Class form of `asymmetric_binary_crossentropy`."""

    def __init__(
        self,
        from_logits=False,
        gamma_negative=4.0,
        gamma_positive=1.0,
        clip=0.05,
        label_smoothing=0.0,
        axis=-1,
        class_weights=None,
        ignore_class=None,
        **kwargs: Unpack[LossArguments],
    ):
        super().__init__(**kwargs)
        self.from_logits = from_logits
        self.gamma_negative = gamma_negative
        self.gamma_positive = gamma_positive
        self.clip = clip
        self.label_smoothing = label_smoothing
        self.axis = axis
        self.class_weights = as_list(class_weights)
        self.ignore_class = ignore_class


@loss_function(
    "values", constant=True, alpha=finite_non_negative, gamma=finite_non_negative, **OPTIONS
)
def varifocal(
    y_true: Any,
    y_pred: Any,
    from_logits=False,
    alpha=0.75,
    gamma=2.0,
    ignore_class: Any = None,
    mask: Any = None,
) -> Any:
    """Cross-entropy of scores between 0 and 1 in which only negatives are focused.

    Take it for a detector's classification score that is trained towards the IoU of its box:
    positives weigh as much as their target, so the good boxes lead. `quality_focal` focuses both.

    Formula:

        p = 1 / (1 + exp(-y_pred)) if from_logits else y_pred
        q = 1 / (1 + exp(y_pred)) if from_logits else 1 - y_pred
        cross_entropy = -xlogy(y_true, p) - xlogy(1 - y_true, q)
        loss = mean(where(y_true > 0, y_true, alpha * p ** gamma) * cross_entropy, axis=-1)

    Args:
        y_true: Targets from 0 to 1, which is not checked: the IoU at the class of the object, 0
            elsewhere.
        y_pred: Probabilities, or logits with `from_logits=True`.
        from_logits: Whether `y_pred` holds logits. Defaults to `False`.
        alpha: Weight of negatives, at least 0. Defaults to `0.75`.
        gamma: Focus on wrong negatives, at least 0. Defaults to `2.0`.
        ignore_class: Target, often -1, whose entries are left out. Defaults to `None`.
        mask: Boolean, `True` where an entry counts; shape of `y_pred`, or without its last axes.
            Defaults to `None`.

    Shapes:
        `y_true` and `y_pred`: `(batch, ..., n)`; `(batch,)` beside `(batch, 1)` is the same. The
        loss: `(batch, ...)`. No gradient flows to `y_true`.

    Raises:
        ValueError: If an option is out of range or the shapes do not fit.

    Example:

    >>> float(keras_actloss.losses.varifocal([[0.8, 0.0]], [[0.5, 0.5]])[0])
    0.3422...

    Related:
        `quality_focal`. No `class_weights`: `alpha` weighs negatives, their targets positives.

    Reference:
        [Zhang et al., 2021](https://arxiv.org/abs/2008.13367)
    """
    negative = y_true <= 0
    weight = ops.where(negative, alpha, y_true)
    return mean(weight * _focused(y_pred, y_true, gamma, from_logits, negative), mask)


@register("losses")
class Varifocal(Loss, fn=varifocal):
    """Class form of `varifocal`."""

    targets = (0.0, 1.0)

    def __init__(
        self,
        from_logits=False,
        alpha=0.75,
        gamma=2.0,
        ignore_class=None,
        **kwargs: Unpack[LossArguments],
    ):
        super().__init__(**kwargs)
        self.from_logits = from_logits
        self.alpha = alpha
        self.gamma = gamma
        self.ignore_class = ignore_class


@loss_function("values", constant=True, beta=finite_non_negative, **OPTIONS)
def quality_focal(
    y_true: Any,
    y_pred: Any,
    from_logits=False,
    beta=2.0,
    class_weights: Any = None,
    ignore_class: Any = None,
    mask: Any = None,
) -> Any:
    """Cross-entropy of scores between 0 and 1, focused by how far they are off.

    Take it for a detector's score that stands for class and quality at once, with the IoU as its
    target. With targets of 0 and 1 it is the binary focal loss.

    Formula:

        p = 1 / (1 + exp(-y_pred)) if from_logits else y_pred
        q = 1 / (1 + exp(y_pred)) if from_logits else 1 - y_pred
        cross_entropy = -xlogy(y_true, p) - xlogy(1 - y_true, q)
        w = (1, 1) if class_weights is None else class_weights
        w = w[1] * y_true + w[0] * (1 - y_true)
        loss = mean(w * abs((1 - y_true) * p - y_true * q) ** beta * cross_entropy, axis=-1)

    Args:
        y_true: Targets from 0 to 1, which is not checked: the IoU at the class of the object, 0
            elsewhere.
        y_pred: Probabilities, or logits with `from_logits=True`.
        from_logits: Whether `y_pred` holds logits. Defaults to `False`.
        beta: Focus on scores that are off, at least 0. Defaults to `2.0`.
        class_weights: Weights of the targets 0 and 1, and of those between them in proportion, or
            `None` for 1 and 1. Defaults to `None`.
        ignore_class: Target, often -1, whose entries are left out. Defaults to `None`.
        mask: Boolean, `True` where an entry counts; shape of `y_pred`, or without its last axes.
            Defaults to `None`.

    Shapes:
        `y_true` and `y_pred`: `(batch, ..., n)`; `(batch,)` beside `(batch, 1)` is the same. The
        loss: `(batch, ...)`. No gradient flows to `y_true`.

    Raises:
        ValueError: If an option is out of range or the shapes do not fit.

    Example:

    >>> float(keras_actloss.losses.quality_focal([[0.8, 0.0]], [[0.5, 0.5]])[0])
    0.1178...

    Related:
        `varifocal` focuses negatives only. Without `class_weights`, or with targets of 0 and 1,
        `beta=0` is `binary_crossentropy`.

    Reference:
        [Li et al., 2020](https://arxiv.org/abs/2006.04388)
    """

    def loss(x):
        return _focused(x, y_true, beta, from_logits)

    return mean(of_entries(loss, y_true, y_pred, class_weights), mask)


@register("losses")
class QualityFocal(Loss, fn=quality_focal):
    """Class form of `quality_focal`."""

    targets = (0.0, 1.0)

    def __init__(
        self,
        from_logits=False,
        beta=2.0,
        class_weights=None,
        ignore_class=None,
        **kwargs: Unpack[LossArguments],
    ):
        super().__init__(**kwargs)
        self.from_logits = from_logits
        self.beta = beta
        self.class_weights = as_list(class_weights)
        self.ignore_class = ignore_class


@loss_function(
    "values", constant=True, alpha=finite_non_negative, beta=finite_non_negative, **OPTIONS
)
def penalty_reduced_focal(
    y_true: Any,
    y_pred: Any,
    from_logits=False,
    alpha=2.0,
    beta=4.0,
    class_weights: Any = None,
    ignore_class: Any = None,
    mask: Any = None,
) -> Any:
    """Focal loss of a heat map with a Gaussian around each peak, a sample's sum over its peaks.

    Take it for detectors that find objects as points, such as CornerNet and CenterNet: `y_true` is
    1 at a center, and what lies near one is punished less. The papers count the peaks of the batch,
    this loss those of the sample, so a sample does not depend on its neighbors. KerasCV takes a
    target of 0.99 for a peak and divides by nothing.

    Formula:

        p = 1 / (1 + exp(-y_pred)) if from_logits else y_pred
        q = 1 / (1 + exp(y_pred)) if from_logits else 1 - y_pred
        peak = y_true == 1
        w = (1, 1) if class_weights is None else class_weights
        positive = -(q ** alpha) * xlogy(where(peak, 1, 0), p)
        negative = -((1 - y_true) ** beta) * p ** alpha * xlogy(where(peak, 0, 1), q)
        axes = tuple(range(1, peak.ndim))
        entries = w[1] * positive + w[0] * negative
        loss = sum(entries, axis=axes) / maximum(sum(peak, axis=axes), 1)

    Args:
        y_true: Targets from 0 to 1, which is not checked; exactly 1 at a peak.
        y_pred: Probabilities, or logits with `from_logits=True`.
        from_logits: Whether `y_pred` holds logits. Defaults to `False`.
        alpha: Focus on wrong entries, at least 0. Defaults to `2.0`.
        beta: How fast the penalty fades towards a peak, at least 0. Defaults to `4.0`.
        class_weights: Weights of entries that are no peak and of peaks, or `None` for 1 and 1.
            Defaults to `None`.
        ignore_class: Target, often -1, whose entries are left out. Defaults to `None`.
        mask: Boolean, `True` where an entry counts; shape of `y_pred`, or without its last axes.
            Defaults to `None`.

    Shapes:
        `y_true` and `y_pred`: `(batch, ..., n)`, such as `(batch, height, width, classes)`. The
        loss: `(batch,)`. A sample without a peak costs the sum of its entries. No gradient flows
        to `y_true`.

    Raises:
        ValueError: If an option is out of range or the shapes do not fit.

    Example:

    >>> loss = keras_actloss.losses.penalty_reduced_focal
    >>> float(loss([[1.0, 0.5, 0.0]], [[0.5, 0.5, 0.5]])[0])
    0.3574...

    Related:
        With targets of 0 and 1, the sum of a binary focal loss with `gamma = alpha`, divided by the
        number of peaks.

    Reference:
        [Law and Deng, 2018](https://arxiv.org/abs/1808.01244),
        [Zhou et al., 2019](https://arxiv.org/abs/1904.07850)
    """
    peak = ops.cast(y_true == 1, y_pred.dtype)
    fading = ops.where(y_true == 1, 1.0, power(1 - y_true, beta))

    def loss(x):
        return fading * _focused(x, peak, alpha, from_logits)

    values = of_entries(loss, peak, y_pred, class_weights)
    if mask is not None:
        keep = fit(mask, values.shape)
        values, peak = (ops.where(keep, v, 0.0) for v in (values, peak))
    axes = tuple(range(1, len(values.shape)))
    return ops.sum(values, axis=axes) / ops.maximum(ops.sum(peak, axis=axes), 1)


@register("losses")
class PenaltyReducedFocal(Loss, fn=penalty_reduced_focal):
    """Class form of `penalty_reduced_focal`."""

    targets = (0.0, 1.0)

    def __init__(
        self,
        from_logits=False,
        alpha=2.0,
        beta=4.0,
        class_weights=None,
        ignore_class=None,
        **kwargs: Unpack[LossArguments],
    ):
        super().__init__(**kwargs)
        self.from_logits = from_logits
        self.alpha = alpha
        self.beta = beta
        self.class_weights = as_list(class_weights)
        self.ignore_class = ignore_class


@loss_function("binary", smooth=finite_non_negative, **OPTIONS)
def soft_f1(
    y_true: Any,
    y_pred: Any,
    from_logits=False,
    smooth=1.0,
    axis=-1,
    class_weights: Any = None,
    ignore_class: Any = None,
    mask: Any = None,
) -> Any:
    """One minus the F1 score of probabilities, with the counts of a sample along an axis.

    Take it for multi-label outputs that are judged by F1, mostly after or beside
    `binary_crossentropy`. A sample without positives costs `s / (s + smooth)`, where `s` is the
    sum of its probabilities: with a small `smooth` it costs 1 whatever is predicted.

    Formula:

        p = 1 / (1 + exp(-y_pred)) if from_logits else y_pred
        w = 1 if class_weights is None else along(class_weights, axis)
        hits = sum(w * y_true * p, axis=axis)
        total = sum(w * (y_true + p), axis=axis)
        loss = 1 - (2 * hits + smooth) / (total + smooth)

    Args:
        y_true: Labels from 0 to 1, for each output.
        y_pred: Probabilities, or logits with `from_logits=True`.
        from_logits: Whether `y_pred` holds logits. Defaults to `False`.
        smooth: Added to both sides of the ratio, at least 0. Defaults to `1.0`.
        axis: Axis that is counted along, mostly that of the classes. Defaults to `-1`.
        class_weights: How much each class, or what else is on `axis`, counts: one weight of at
            least 0 for each. Defaults to `None`, all 1.
        ignore_class: Label, often -1, whose entries are left out. Defaults to `None`.
        mask: Boolean, `True` where an entry counts; shape of `y_pred`, or without its last axes.
            Defaults to `None`.

    Shapes:
        `y_true` and `y_pred`: `(batch, ..., n)`; `(batch,)` beside `(batch, 1)` is the same. The
        loss: the same without `axis`. No gradient flows to `y_true`.

    Raises:
        ValueError: If an option or a label is out of range, or the shapes do not fit.

    Example:

    >>> float(keras_actloss.losses.soft_f1([[1, 0]], [[0.75, 0.25]], smooth=0.0)[0])
    0.25

    Related:
        F1 is the Dice coefficient: here of labels and probabilities along one axis.

    Reference:
        [Dembczynski et al., 2011](https://papers.nips.cc/paper/4204)
    """

    def parts(x, y, *weight):
        p, q = both_sides(x, from_logits)
        yes, no, there = y, 1 - y, p
        for w in weight:
            yes, no, there = w * yes, w * no, w * there
        # The numerator without the 1 that would cancel: what is missed and what is wrongly there.
        wrong, total, hits = (
            ops.sum(v, axis=axis, keepdims=True) for v in (yes * q + no * p, yes + there, yes * p)
        )
        return p, q, yes, no, wrong, total + smooth, 2 * hits + smooth

    def value(x, y, *weight):
        *_, wrong, total, _ = parts(x, y, *weight)
        return ops.squeeze(over(wrong, total), axis)

    def gradient(upstream, x, y, *weight):
        p, q, yes, no, wrong, total, hits = parts(x, y, *weight)
        upstream = ops.expand_dims(upstream, axis)
        slope = no * over(hits, total) - yes * over(total + wrong, total)
        slope = upstream * over(slope, total)
        return slope * (p * q) if from_logits else slope, None, *(None for _ in weight)

    weights = []
    if class_weights is not None:
        weights.append(along(class_weights, y_pred, axis))
        y_pred = ops.where(weights[0] == 0, 0.5, y_pred)
    if mask is not None:
        weights.append(ops.cast(fit(mask, y_pred.shape, axis=axis), y_pred.dtype))
    y = cast(y_true, dtype_of(y_pred))
    return with_gradient(value, gradient)(y_pred, y, *weights)


@register("losses")
class SoftF1(Loss, fn=soft_f1):
    """Class form of `soft_f1`."""

    @property
    def width(self):
        return None if self.class_weights is None else len(self.class_weights)

    def __init__(
        self,
        from_logits=False,
        smooth=1.0,
        axis=-1,
        class_weights=None,
        ignore_class=None,
        **kwargs: Unpack[LossArguments],
    ):
        super().__init__(**kwargs)
        self.from_logits = from_logits
        self.smooth = smooth
        self.axis = axis
        self.class_weights = as_list(class_weights)
        self.ignore_class = ignore_class
