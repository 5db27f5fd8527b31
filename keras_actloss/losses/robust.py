"""Regression losses that outliers do not rule."""

import math
from typing import Any, Unpack

import numpy as np
from keras import ops

from keras_actloss.core import numerics
from keras_actloss.core.checks import (
    all_of,
    finite_non_negative,
    finite_positive,
    number,
    positive,
    within,
)
from keras_actloss.core.functions import loss_function
from keras_actloss.core.kernels import at_least, at_most, rectified, spent
from keras_actloss.core.loss import Loss, LossArguments
from keras_actloss.core.numerics import with_gradient
from keras_actloss.core.registry import register
from keras_actloss.core.tensors import mean


@loss_function(
    delta=all_of(positive, within(0, math.inf, "()", "; its limit is half of MeanSquaredError"))
)
def huber(y_true: Any, y_pred: Any, delta=1.0, mask: Any = None) -> Any:
    """Squared error near zero, absolute error beyond `delta`, mean over the last axis.

    Take it for regression with outliers: the slope never exceeds `delta`, and small errors still
    settle quadratically.

    Formula:

        error = abs(y_true - y_pred)
        loss = mean(where(error <= delta, error**2 / 2, delta * (error - delta / 2)), axis=-1)

    Args:
        y_true: Targets.
        y_pred: Predictions.
        delta: Error at which the loss turns linear, in the unit of the targets, above 0. Defaults
            to `1.0`.
        mask: Boolean, `True` where an entry counts; shape of `y_pred`, or without its last axes.
            Defaults to `None`.

    Shapes:
        `y_true` and `y_pred`: `(batch, ..., n)`; `(batch,)` beside `(batch, 1)` is the same. The
        loss: `(batch, ...)`.

    Raises:
        ValueError: If `delta` is not positive and finite or the shapes do not fit.

    Example:

    >>> float(keras_actloss.losses.huber([[0.0]], [[3.0]], delta=2.0)[0])
    4.0

    Related:
        `huber / delta` is the smooth L1 loss with `beta = delta`. Keras 3.15's class loses `delta`
        when it is saved.

    Reference:
        [Huber, 1964](https://doi.org/10.1214/aoms/1177703732)
    """
    return mean(numerics.smooth_absolute(y_pred - y_true, delta, delta), mask)


@register("losses")
class Huber(Loss, fn=huber):
    """Class form of `huber`."""

    def __init__(self, delta=1.0, **kwargs: Unpack[LossArguments]):
        super().__init__(**kwargs)
        self.delta = delta


def _log_cosh_value(d):
    # From 20 on it has slope 1.
    distance = ops.abs(d)
    e = numerics.expm1(at_most(distance, 20.0))
    cosh_m1 = spent("multiply", 0.5 * e, e)
    cosh_m1 = spent("divide", cosh_m1, spent("add", e, 1))
    rest = at_least(spent("subtract", distance, 20.0), 0, spare=True)
    return spent("add", spent("log1p", cosh_m1), rest)


_log_cosh = with_gradient(_log_cosh_value, lambda upstream, d: upstream * ops.tanh(d))


@loss_function()
def log_cosh(y_true: Any, y_pred: Any, mask: Any = None) -> Any:
    """Logarithm of the hyperbolic cosine of the errors, mean over the last axis.

    Take it in place of `huber` where a smooth curvature is wanted: half the squared error near 0,
    the absolute error less log(2) far out. Keras and optax round errors below 3e-4 to 0 or less.

    Formula:

        error = abs(y_true - y_pred)
        loss = mean(error + log1p(exp(-2 * error)) - log(2), axis=-1)

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

    >>> float(keras_actloss.losses.log_cosh([[0.0]], [[1.0]])[0])
    0.4337...

    Related:
        `huber`, which is exactly quadratic and linear on its two sides.

    Reference:
        [Saleh and Saleh, 2022](https://arxiv.org/abs/2208.04564)
    """
    return mean(_log_cosh(y_pred - y_true), mask)


@register("losses")
class LogCosh(Loss, fn=log_cosh):
    """Class form of `log_cosh`."""

    def __init__(self, **kwargs: Unpack[LossArguments]):
        super().__init__(**kwargs)


@loss_function(beta=finite_non_negative)
def smooth_l1(y_true: Any, y_pred: Any, beta=1.0, mask: Any = None) -> Any:
    """Absolute error whose kink is rounded off below `beta`, mean over the last axis.

    Take it for boxes and other regressions whose slope shall be 1 whatever `beta`; `huber` keeps
    the curvature instead. KerasCV's subtracts 1/2 at any cutoff and turns negative.

    Formula:

        error = abs(y_true - y_pred)
        curved = error**2 / (2 * where(beta == 0, 1, beta))
        loss = mean(where(error < beta, curved, error - beta / 2), axis=-1)

    Args:
        y_true: Targets.
        y_pred: Predictions.
        beta: Error at which the loss turns linear, in the unit of the targets, at least 0. Defaults
            to `1.0`.
        mask: Boolean, `True` where an entry counts; shape of `y_pred`, or without its last axes.
            Defaults to `None`.

    Shapes:
        `y_true` and `y_pred`: `(batch, ..., n)`; `(batch,)` beside `(batch, 1)` is the same. The
        loss: `(batch, ...)`.

    Raises:
        ValueError: If `beta` is negative or infinite, or the shapes do not fit.

    Example:

    >>> float(keras_actloss.losses.smooth_l1([[0.0]], [[3.0]], beta=2.0)[0])
    2.0

    Related:
        `huber` with `delta = beta`, divided by `beta`; `mean_absolute_error` at `beta = 0`. Same
        as PyTorch's.

    Reference:
        [Girshick, 2015](https://arxiv.org/abs/1504.08083)
    """
    return mean(numerics.smooth_absolute(y_pred - y_true, beta), mask)


@register("losses")
class SmoothL1(Loss, fn=smooth_l1):
    """Class form of `smooth_l1`."""

    def __init__(self, beta=1.0, **kwargs: Unpack[LossArguments]):
        super().__init__(**kwargs)
        self.beta = beta


def _hypotenuse(epsilon):
    """`sqrt(d**2 + epsilon**2)` with no square that over- or underflows."""

    def parts(d):
        error = ops.abs(d)
        long = ops.maximum(error, epsilon)
        return long, ops.sqrt(1 + ops.square(ops.minimum(error, epsilon) / long))

    def value(d):
        long, factor = parts(d)
        return long * factor

    def gradient(upstream, d):
        # A difference that overflows is as steep as the largest that does not.
        d = ops.clip(d, -_MOST, _MOST)
        long, factor = parts(d)
        return upstream * (d / long / factor)

    return with_gradient(value, gradient)


@loss_function(epsilon=finite_positive)
def charbonnier(y_true: Any, y_pred: Any, epsilon=1e-3, mask: Any = None) -> Any:
    """Absolute error whose kink is rounded off within about `epsilon`, mean over the last axis.

    Take it for images and optical flow, in place of `mean_absolute_error`. An exact prediction
    costs `epsilon`, not 0, as in the papers on super-resolution.

    Formula:

        loss = mean(sqrt((y_true - y_pred) ** 2 + epsilon**2), axis=-1)

    Args:
        y_true: Targets.
        y_pred: Predictions.
        epsilon: Error at which it bends, in the unit of the targets, above 0. Defaults to `0.001`.
        mask: Boolean, `True` where an entry counts; shape of `y_pred`, or without its last axes.
            Defaults to `None`.

    Shapes:
        `y_true` and `y_pred`: `(batch, ..., n)`; `(batch,)` beside `(batch, 1)` is the same. The
        loss: `(batch, ...)`.

    Raises:
        ValueError: If `epsilon` is not positive and finite, or the shapes do not fit.

    Example:

    >>> float(keras_actloss.losses.charbonnier([[0.0]], [[3.0]], epsilon=4.0)[0])
    5.0

    Related:
        `charbonnier / epsilon - 1` is `general_robust` with `alpha=1` and `scale=epsilon`.
        BasicSR's `eps` is the square of `epsilon`; kornia's is ours with `epsilon=1`, less 1.

    Reference:
        [Lai et al., 2017](https://arxiv.org/abs/1704.03915)
    """
    return mean(_hypotenuse(epsilon)(y_pred - y_true), mask)


@register("losses")
class Charbonnier(Loss, fn=charbonnier):
    """Class form of `charbonnier`."""

    def __init__(self, epsilon=1e-3, **kwargs: Unpack[LossArguments]):
        super().__init__(**kwargs)
        self.epsilon = epsilon


def _welsch(scale):
    """`1 - exp(-(d / scale)**2 / 2)`."""
    # A power of two, so that the scaled error is exact.
    unit = 2.0 ** -round(math.log2(scale))
    factor = 0.5 / (scale * unit) ** 2

    def value(d):
        return -numerics.expm1(-factor * ops.square(d * unit))

    def gradient(upstream, d):
        # Further out the exponential is 0.
        x = ops.clip(d * unit, -64, 64)
        # At an exponent of 60 the rounding of the square would be 64 units in the last place.
        square, dropped = numerics.product(x, x)
        e = numerics.exp_multiple(-square, factor)
        return upstream * (x / (scale * unit) * e * (1 - factor * dropped) / scale)

    return with_gradient(value, gradient)


def _barron(alpha, scale):
    """`b / alpha * ((1 + r**2) ** (alpha / 2) - 1)`, `b = |alpha - 2|`, `r = d / scale / sqrt(b)`.

    Powers are those of `h`, a multiple of `sqrt(1 + r**2)`, so that no square and no power
    overflows before the loss does.
    """
    b = abs(alpha - 2)
    length = scale * math.sqrt(b)
    # From 1 up `h**alpha` is in the loss as it is.
    unit, factor = ((b / alpha) ** (1 / alpha), 1.0) if alpha > 1 else (1.0, b / (alpha or 1))

    def parts(d):
        # An error of more scales than float32 can count is one of so many.
        r = ops.minimum(ops.abs(d) / length, _MOST)
        near = r < 2.0**30
        root = ops.sqrt(1 + ops.square(r))
        far = ops.minimum(ops.abs(d) * (unit / length), _MOST)
        return r, ops.where(near, r / root, 1.0), ops.where(near, unit * root, far)

    def power(h, exponent):
        rounded = float(np.float32(exponent))
        result = ops.power(h, rounded)
        if rounded != exponent:
            result = result * (1 + (exponent - rounded) * ops.log(h))
        return result

    def log_of(r):
        """The logarithm of `1 + r**2`."""
        near = r < 2.0**30
        return (2 - ops.cast(near, r.dtype)) * ops.log1p(ops.where(near, ops.square(r), r - 1))

    def value(d):
        r, ratio, h = parts(d)
        if alpha == 1:
            return r * (r / (1 + h))
        if alpha == -2:
            return 2 * ops.square(ratio)
        log = log_of(r)
        exponent = alpha / 2 * log
        if abs(alpha) < 1e-4:
            return b / 2 * log * (1 + exponent * (1 / 2 + exponent * (1 / 6)))
        result = b / alpha * numerics.expm1(exponent)
        if alpha < 0:
            return result
        # An exponential would magnify the rounding of a large exponent.
        far = factor * power(h, alpha) - b / alpha
        return ops.where(exponent > 1, far, result)

    def gradient(upstream, d):
        r, ratio, h = parts(d)
        if alpha == -2:
            # The choice keeps compilers from dividing by a square that overflows.
            slope = ops.where(r < 1, r / (1 + r * r), 1 / (r + 1 / r)) / (1 + r * r)
        elif alpha < -6:  # Where a rounding of `h` would be magnified.
            slope = r * ops.exp((alpha / 2 - 1) * log_of(r))
        else:
            slope = ratio * power(h, alpha - 1)
        outer = math.sqrt(b) / scale * unit ** (1 - alpha)
        return upstream * ops.sign(d) * (outer * slope)

    return with_gradient(value, gradient)


_MOST = float(np.finfo("float32").max)

# Closer to 2 than this, no digit of a float32 tells the difference.
_CLOSE = 1e-10


def _shape(name, value):
    number(name, value)
    if value == math.inf:
        raise ValueError(f"{name} must be below infinity, got {value!r}; 2 is the squared error")


@loss_function(alpha=_shape, scale=finite_positive)
def general_robust(y_true: Any, y_pred: Any, alpha=1.0, scale=1.0, mask: Any = None) -> Any:
    """A family of losses from squared error to ones that forget outliers, mean over the last axis.

    Take it to choose robustness by a number: `alpha` is 2 for squared error, 1 for Charbonnier,
    0 for Cauchy, -2 for Geman-McClure and `-inf` for Welsch. Below 1 outliers lose their slope.

    Formula:

        z = ((y_true - y_pred) / scale) ** 2
        b = abs(alpha - 2)
        if alpha == 2:
            values = z / 2
        elif alpha == 0:
            values = log1p(z / 2)
        elif alpha == -inf:
            values = -expm1(-z / 2)
        else:
            values = b / alpha * ((z / b + 1) ** (alpha / 2) - 1)
        loss = mean(values, axis=-1)

    Args:
        y_true: Targets.
        y_pred: Predictions.
        alpha: Shape, a number or `-inf`; smaller is more robust. Defaults to `1.0`.
        scale: Error at which the loss leaves the parabola, in the unit of the targets, above 0.
            Defaults to `1.0`.
        mask: Boolean, `True` where an entry counts; shape of `y_pred`, or without its last axes.
            Defaults to `None`.

    Shapes:
        `y_true` and `y_pred`: `(batch, ..., n)`; `(batch,)` beside `(batch, 1)` is the same. The
        loss: `(batch, ...)`.

    Raises:
        ValueError: If `alpha` is `inf`, `scale` is not positive and finite, or the shapes do not
            fit.

    Example:

    >>> float(keras_actloss.losses.general_robust([[0.0]], [[4.0]], alpha=0.0)[0])
    2.197...

    Related:
        With `alpha=2`, `mean_squared_error / (2 * scale**2)`; with `alpha=1`,
        `charbonnier / scale - 1` of `epsilon=scale`. kornia's Charbonnier, Cauchy, Geman-McClure
        and Welsch losses are those of a `scale` of 1.

    Reference:
        [Barron, 2019](https://arxiv.org/abs/1701.03077)
    """
    d = y_pred - y_true
    if abs(alpha - 2) < _CLOSE:
        return mean((0.5 / scale * d) * (d / scale), mask)
    values = _welsch(scale) if alpha == -math.inf else _barron(alpha, scale)
    return mean(values(d), mask)


@register("losses")
class GeneralRobust(Loss, fn=general_robust):
    """Class form of `general_robust`."""

    def __init__(self, alpha=1.0, scale=1.0, **kwargs: Unpack[LossArguments]):
        super().__init__(**kwargs)
        self.alpha = alpha
        self.scale = scale


@loss_function(width=finite_positive, curvature=finite_positive)
def wing(y_true: Any, y_pred: Any, width=10.0, curvature=2.0, mask: Any = None) -> Any:
    """Logarithm of errors below `width`, absolute error beyond, mean over the last axis.

    Take it for landmarks, in pixels: small errors, which `mean_absolute_error` and `huber` neglect
    beside large ones, have the steepest slope.

    Formula:

        error = abs(y_true - y_pred)
        curved = width * log(1 + error / curvature)
        offset = width - width * log(1 + width / curvature)
        loss = mean(where(error < width, curved, error - offset), axis=-1)

    Args:
        y_true: Targets.
        y_pred: Predictions.
        width: Error at which the loss turns linear, in the unit of the targets, above 0. Defaults
            to `10.0`.
        curvature: Error over which the slope of the logarithm halves, above 0; the paper's epsilon.
            Defaults to `2.0`.
        mask: Boolean, `True` where an entry counts; shape of `y_pred`, or without its last axes.
            Defaults to `None`.

    Shapes:
        `y_true` and `y_pred`: `(batch, ..., n)`; `(batch,)` beside `(batch, 1)` is the same. The
        loss: `(batch, ...)`.

    Raises:
        ValueError: If `width` or `curvature` is not positive and finite, or the shapes do not fit.

    Example:

    >>> float(keras_actloss.losses.wing([[0.0]], [[12.0]])[0])
    19.917...

    Related:
        `mean_absolute_error`. Defaults are the paper's; segmentation_models.pytorch has 5 and 0.5.

    Reference:
        [Feng et al., 2018](https://arxiv.org/abs/1711.06753)
    """
    error = numerics.absolute(y_pred - y_true)
    curved = width * ops.log1p(ops.minimum(error, width) / curvature)
    return mean(curved + rectified(error - width), mask)


@register("losses")
class Wing(Loss, fn=wing):
    """Class form of `wing`."""

    def __init__(self, width=10.0, curvature=2.0, **kwargs: Unpack[LossArguments]):
        super().__init__(**kwargs)
        self.width = width
        self.curvature = curvature
