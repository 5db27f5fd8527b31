"""Losses of a number predicted by a number."""

import math
from typing import Any, Unpack

from keras import ops

from keras_actloss.core import special
from keras_actloss.core.checks import finite_positive, integer_axis, within
from keras_actloss.core.functions import loss_function
from keras_actloss.core.kernels import select
from keras_actloss.core.loss import Loss, LossArguments
from keras_actloss.core.numerics import (
    absolute,
    length,
    log1p_quotient,
    over,
    reciprocal,
    scaled,
    with_gradient,
)
from keras_actloss.core.registry import register
from keras_actloss.core.tensors import fit, mean

# The least distance to -1 that float32 has below 1.
_EDGE = 2.0**-24


# `log(p / y)`; a `p` of 0 counts as the smallest normal number.
_log_ratio = with_gradient(
    lambda y, p: special.log_ratio(ops.maximum(p, special.SMALLEST), y),
    lambda upstream, y, p: (None, upstream * reciprocal(p)),
)


def _log1p_distance(y, p):
    inside = ops.maximum(p, _EDGE - 1)
    small, distance = ops.minimum(inside, y) + 1, ops.abs(inside - y)
    return log1p_quotient(distance, small) + ops.relu(_EDGE - 1 - p)


def _squared_log1p_gradient(upstream, distance, y, p):
    slope = 1 / select(p < _EDGE - 1, 1.0, p + 1)
    return None, upstream * (2 * ops.sign(p - y) * distance * slope)


# `log((1 + p) / (1 + y))**2`, whose root goes on with slope 1 where `p` leaves the domain.
_squared_log1p_ratio = with_gradient(
    lambda distance, y, p: ops.square(distance), _squared_log1p_gradient, _log1p_distance
)


def _percentage(y, p):
    """`(m, r, |p - y| / (|y| + |p|))`: the larger of both, and the smaller relative to it."""
    large = ops.maximum(ops.abs(y), ops.abs(p))
    large = ops.where(large == 0, 1.0, large)
    small = ops.minimum(ops.abs(y), ops.abs(p)) / large
    # A difference that overflows is one of opposite signs.
    return large, small, ops.minimum(ops.abs(p - y) / large, 1 + small) / (1 + small)


def _percentage_gradient(upstream, y, p):
    large, small, _ = _percentage(y, p)
    # 2 where the signs agree, 0 where they do not, and the mean of both at 0.
    agree = 1 + ops.sign(y) * ops.sign(p)
    # No quotient by `large` twice, which a compiler would turn into one by its square.
    share = ops.where(ops.abs(y) < ops.abs(p), small, 1.0)
    return None, upstream * (
        ops.sign(p - y) * agree * (200 * share / ops.square(1 + small))
    ) / large


# `200 |p - y| / (|y| + |p|)`, which of opposite signs is constant.
_symmetric_percentage = with_gradient(
    lambda y, p: 200 * _percentage(y, p)[-1], _percentage_gradient
)


def _root(g, keep, focus):
    """Square root of the mean square of `g` less `focus` of the squared mean, where `keep`."""
    axes = tuple(range(1, len(g.shape)))

    def moments(g, keep):
        count = ops.sum(ops.cast(keep, g.dtype), axis=axes, keepdims=True)
        count = ops.maximum(count, 1)
        center = ops.sum(ops.where(keep, g, 0.0), axis=axes, keepdims=True) / count
        around = ops.where(keep, g - center, 0.0)
        # A difference of the two means would cancel.
        spread = ops.sum(ops.square(around), axis=axes, keepdims=True) / count
        return count, center, around, ops.sqrt(spread + (1 - focus) * ops.square(center))

    def value(kept, g, keep):
        return ops.squeeze(kept[-1], axes)

    def gradient(upstream, kept, g, keep):
        count, center, around, root = kept
        upstream = ops.reshape(upstream, ops.shape(root)) / count
        slope = over(1.0, root)
        return ops.where(keep, upstream * slope * (around + (1 - focus) * center), 0.0), None

    return with_gradient(value, gradient, moments)(g, keep)


@loss_function()
def mean_squared_error(y_true: Any, y_pred: Any, mask: Any = None) -> Any:
    """Mean of the squared errors over the last axis.

    The default for a regression whose errors are Gaussian. Take `mean_absolute_error` or `huber`
    where a few outliers would rule it.

    Formula:

        loss = mean((y_true - y_pred) ** 2, axis=-1)

    Args:
        y_true: Targets.
        y_pred: Predictions.
        mask: Boolean, `True` where an entry counts; shape of `y_pred`, or without its last axes.
            Defaults to `None`.

    Shapes:
        `y_true` and `y_pred`: `(batch, ..., n)`; `(batch,)` beside `(batch, 1)` is the same. The
        loss: `(batch, ...)`.

    Raises:
        ValueError: If the shapes do not fit.

    Example:

    >>> float(keras_actloss.losses.mean_squared_error([[0.0, 0.0]], [[1.0, 3.0]])[0])
    5.0

    Related:
        Half of it is `huber` with a large `delta`, and the mean of `optax.losses.l2_loss`.

    Reference:
        [Goodfellow et al., 2016, section 5.5.1](https://www.deeplearningbook.org)
    """
    return mean(ops.square(y_pred - y_true), mask)


@register("losses")
class MeanSquaredError(Loss, fn=mean_squared_error):
    """Class form of `mean_squared_error`."""

    def __init__(self, **kwargs: Unpack[LossArguments]):
        super().__init__(**kwargs)


@loss_function()
def mean_absolute_error(y_true: Any, y_pred: Any, mask: Any = None) -> Any:
    """Mean of the absolute errors over the last axis.

    Its best constant prediction is the median, so outliers do not move it. Take `huber` where the
    constant slope near zero keeps the training from settling.

    Formula:

        loss = mean(abs(y_true - y_pred), axis=-1)

    Args:
        y_true: Targets.
        y_pred: Predictions.
        mask: Boolean, `True` where an entry counts; shape of `y_pred`, or without its last axes.
            Defaults to `None`.

    Shapes:
        `y_true` and `y_pred`: `(batch, ..., n)`; `(batch,)` beside `(batch, 1)` is the same. The
        loss: `(batch, ...)`. The gradient of an exact prediction is 0.

    Raises:
        ValueError: If the shapes do not fit.

    Example:

    >>> float(keras_actloss.losses.mean_absolute_error([[0.0, 0.0]], [[1.0, 3.0]])[0])
    2.0

    Related:
        `huber` approaches `delta` times it as `delta` goes to 0.

    Reference:
        [Bloomfield and Steiger, 1983](https://doi.org/10.1007/978-1-4684-8574-5)
    """
    return mean(absolute(y_pred - y_true), mask)


@register("losses")
class MeanAbsoluteError(Loss, fn=mean_absolute_error):
    """Class form of `mean_absolute_error`."""

    def __init__(self, **kwargs: Unpack[LossArguments]):
        super().__init__(**kwargs)


@loss_function(epsilon=finite_positive)
def mean_absolute_percentage_error(y_true: Any, y_pred: Any, epsilon=1e-7, mask: Any = None) -> Any:
    """Mean of the absolute errors in percent of the targets, over the last axis.

    Take it where errors count in proportion and targets stay away from 0: a target of 0 counts as
    `epsilon`, so with the default an error of 1 there costs 1e9. Raise `epsilon` to the least
    target that matters, or take `symmetric_mean_absolute_percentage_error`.

    Formula:

        loss = mean(100 * abs(y_true - y_pred) / maximum(abs(y_true), epsilon), axis=-1)

    Args:
        y_true: Targets.
        y_pred: Predictions.
        epsilon: Least magnitude that a target counts with, in its unit, above 0. Defaults to
            `1e-07`.
        mask: Boolean, `True` where an entry counts; shape of `y_pred`, or without its last axes.
            Defaults to `None`.

    Shapes:
        `y_true` and `y_pred`: `(batch, ..., n)`; `(batch,)` beside `(batch, 1)` is the same. The
        loss: `(batch, ...)`.

    Raises:
        ValueError: If `epsilon` is not positive and finite, or the shapes do not fit.

    Example:

    >>> float(keras_actloss.losses.mean_absolute_percentage_error([[2.0]], [[3.0]])[0])
    50.0

    Related:
        Where every target is 1, 100 times `mean_absolute_error`.

    Reference:
        [de Myttenaere et al., 2016](https://arxiv.org/abs/1605.02541)
    """
    # The magnitude last: XLA sums that of a quotient in half of the time of the other order.
    return 100 * mean(absolute((y_pred - y_true) / ops.maximum(ops.abs(y_true), epsilon)), mask)


@register("losses")
class MeanAbsolutePercentageError(Loss, fn=mean_absolute_percentage_error):
    """Class form of `mean_absolute_percentage_error`."""

    def __init__(self, epsilon=1e-7, **kwargs: Unpack[LossArguments]):
        super().__init__(**kwargs)
        self.epsilon = epsilon


@loss_function()
def symmetric_mean_absolute_percentage_error(y_true: Any, y_pred: Any, mask: Any = None) -> Any:
    """Mean of the absolute errors in percent of the mean magnitude, over the last axis.

    Take it for forecasts scored by it: from 0 to 200, also where targets are 0. It cannot teach a
    sign: of a prediction on the other side of 0, or of a target of 0, it is 200 whatever the
    distance, with gradient 0.

    Formula:

        total = abs(y_true) + abs(y_pred)
        ratio = abs(y_true - y_pred) / where(total == 0, 1, total)
        loss = mean(200 * ratio, axis=-1)

    Args:
        y_true: Targets.
        y_pred: Predictions.
        mask: Boolean, `True` where an entry counts; shape of `y_pred`, or without its last axes.
            Defaults to `None`.

    Shapes:
        `y_true` and `y_pred`: `(batch, ..., n)`; `(batch,)` beside `(batch, 1)` is the same. The
        loss: `(batch, ...)`. No gradient flows to `y_true`.

    Raises:
        ValueError: If the shapes do not fit.

    Example:

    >>> loss = keras_actloss.losses.symmetric_mean_absolute_percentage_error
    >>> float(loss([[1.0]], [[3.0]])[0])
    100.0

    Related:
        The same with `y_true` and `y_pred` exchanged. Others divide by 2 for 0 to 100, or by 100.

    Reference:
        [Makridakis, 1993](https://doi.org/10.1016/0169-2070(93)90079-3)
    """
    return mean(_symmetric_percentage(y_true, y_pred), mask)


@register("losses")
class SymmetricMeanAbsolutePercentageError(Loss, fn=symmetric_mean_absolute_percentage_error):
    """Class form of `symmetric_mean_absolute_percentage_error`."""

    def __init__(self, **kwargs: Unpack[LossArguments]):
        super().__init__(**kwargs)


@loss_function()
def mean_squared_logarithmic_error(y_true: Any, y_pred: Any, mask: Any = None) -> Any:
    """Mean of the squared errors of `log(1 + y)` over the last axis.

    Take it for counts and amounts over many orders of magnitude. Keras clips at 1e-7, so negative
    predictions have no gradient there; here all above -1 are exact. At -1 and below the logarithm
    continues as a line of slope 1.

    Formula:

        edge = 2**-24
        p = maximum(1 + y_pred, edge)
        beyond = maximum(edge - (1 + y_pred), 0)
        loss = mean((log(p) - beyond - log(1 + y_true)) ** 2, axis=-1)

    Args:
        y_true: Targets above -1; the loss of others is infinite or NaN.
        y_pred: Predictions, meant to be above -1.
        mask: Boolean, `True` where an entry counts; shape of `y_pred`, or without its last axes.
            Defaults to `None`.

    Shapes:
        `y_true` and `y_pred`: `(batch, ..., n)`; `(batch,)` beside `(batch, 1)` is the same. The
        loss: `(batch, ...)`. No gradient flows to `y_true`.

    Raises:
        ValueError: If the shapes do not fit.

    Example:

    >>> float(keras_actloss.losses.mean_squared_logarithmic_error([[0.0]], [[1.0]])[0])
    0.4804...

    Related:
        `mean_squared_error` of `log1p` of both.

    Reference:
        [Tofallis, 2015](https://doi.org/10.1057/jors.2014.103)
    """
    return mean(_squared_log1p_ratio(y_true, y_pred), mask)


@register("losses")
class MeanSquaredLogarithmicError(Loss, fn=mean_squared_logarithmic_error):
    """Class form of `mean_squared_logarithmic_error`."""

    targets = (-1.0, math.inf)

    def __init__(self, **kwargs: Unpack[LossArguments]):
        super().__init__(**kwargs)


@loss_function(axis=integer_axis)
def cosine_similarity(y_true: Any, y_pred: Any, axis=-1, mask: Any = None) -> Any:
    """Cosine of the angle between two vectors, negated: -1 where they point the same way.

    Take it for embeddings, whose length means nothing. A vector of zeros has no direction: its loss
    and gradient are 0, where Keras's gradient is NaN. Vectors of any length are fine, where Keras
    loses those below 1e-7. Keras 3.15's class loses `axis` when it is saved.

    Formula:

        dot = sum(y_true * y_pred, axis=axis)
        lengths = sqrt(sum(y_true**2, axis=axis)) * sqrt(sum(y_pred**2, axis=axis))
        loss = -dot / where(lengths == 0, 1, lengths)

    Args:
        y_true: Vectors.
        y_pred: Vectors.
        axis: The axis along which a vector lies. Defaults to `-1`.
        mask: Boolean, `True` where an entry counts; shape of `y_pred`, or without its last axes.
            Defaults to `None`.

    Shapes:
        `y_true` and `y_pred`: `(batch, ..., n)`, the vectors along `axis`. The loss: the same
        without `axis`.

    Raises:
        ValueError: If `axis` is no integer or the shapes do not fit.

    Example:

    >>> float(keras_actloss.losses.cosine_similarity([[1.0, 0.0]], [[3.0, 4.0]])[0])
    -0.6...

    Related:
        1 plus it is `optax.losses.cosine_distance`, half the squared distance of the two unit
        vectors.

    Reference:
        [Salton et al., 1975](https://doi.org/10.1145/361219.361220)
    """
    if mask is not None:
        y_pred = ops.where(fit(mask, y_pred.shape, axis=axis), y_pred, ops.zeros_like(y_pred))
    (y_true, _), (y_pred, _) = scaled(y_true, axis), scaled(y_pred, axis)
    dot = ops.sum(y_true * y_pred, axis=axis, keepdims=True)
    return ops.squeeze(-dot / (length(y_true, axis) * length(y_pred, axis)), axis)


@register("losses")
class CosineSimilarity(Loss, fn=cosine_similarity):
    """Class form of `cosine_similarity`."""

    def __init__(self, axis=-1, **kwargs: Unpack[LossArguments]):
        super().__init__(**kwargs)
        self.axis = axis


@loss_function(variance_focus=within(0, 1, remedy="; 1 forgives any scale"))
def scale_invariant_logarithmic_error(
    y_true: Any, y_pred: Any, variance_focus=0.5, mask: Any = None
) -> Any:
    """Root mean square of log ratios that a common factor adds little to, over a sample.

    Take it for depth and other maps whose scale is uncertain: an error of the whole map by a factor
    counts only `1 - variance_focus` of its square. Targets of 0 or below are places without a
    measurement, as depth maps have them, and are left out.

    Formula:

        axes = tuple(range(1, y_pred.ndim))
        valid = y_true > 0
        count = maximum(sum(where(valid, 1, 0), axis=axes), 1)
        g = log(where(valid, y_pred, 1)) - log(where(valid, y_true, 1))
        square = sum(g**2, axis=axes) / count
        loss = sqrt(square - variance_focus * (sum(g, axis=axes) / count) ** 2)

    Args:
        y_true: Positive targets; others are left out.
        y_pred: Positive predictions, from an `exp` or softplus; of others the loss is NaN.
        variance_focus: The paper's lambda, in [0, 1]: how much of an error that all entries share
            is forgiven. Defaults to `0.5`.
        mask: Boolean, `True` where an entry counts; shape of `y_pred`, or without its last axes.
            Defaults to `None`.

    Shapes:
        `y_true` and `y_pred`: `(batch, ..., n)`. The loss: `(batch,)`, over all axes but the first.
        No gradient flows to `y_true`, and none from an exact prediction.

    Raises:
        ValueError: If `variance_focus` is out of range or the shapes do not fit.

    Example:

    >>> loss = keras_actloss.losses.scale_invariant_logarithmic_error
    >>> float(loss([[1.0, 1.0]], [[2.0, 2.0]])[0])
    0.4901...

    Related:
        Eigen et al. train its square. BTS trains 10 times it with `variance_focus=0.85`, and
        keras_hub it with 0.5.

    Reference:
        [Eigen et al., 2014](https://arxiv.org/abs/1406.2283)
    """
    keep = y_true > 0
    if mask is not None:
        keep = ops.logical_and(keep, fit(mask, y_pred.shape))
    one = ops.ones_like(y_pred)
    ratio = _log_ratio(ops.where(keep, y_true, one), ops.where(keep, y_pred, one))
    return _root(ratio, keep, variance_focus)


@register("losses")
class ScaleInvariantLogarithmicError(Loss, fn=scale_invariant_logarithmic_error):
    """Class form of `scale_invariant_logarithmic_error`."""

    targets = (0.0, math.inf)
    predictions = (0.0, math.inf)

    def __init__(self, variance_focus=0.5, **kwargs: Unpack[LossArguments]):
        super().__init__(**kwargs)
        self.variance_focus = variance_focus
