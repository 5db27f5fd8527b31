"""Negative log-likelihoods of counts and of positive amounts, with the rules of `likelihood`."""

import math
from typing import Any, Unpack

from keras import ops

from keras_actloss.core import special
from keras_actloss.core.checks import flag, within
from keras_actloss.core.functions import loss_function
from keras_actloss.core.heads import LOGARITHMS, POSITIVE, of_parameters
from keras_actloss.core.kernels import alone, summed_relu
from keras_actloss.core.loss import Loss, LossArguments
from keras_actloss.core.numerics import above_zero, with_gradient
from keras_actloss.core.registry import register
from keras_actloss.core.tensors import mean as mean_of


def _log_factorial_gap(y):
    """`log(y!) - y * log(y) + y`, which grows with half the logarithm of y."""
    some, more = ops.maximum(y, special.SMALLEST), ops.maximum(y, 1.0)
    near = special.lgamma(y + 1) - y * ops.log(some) + y
    far = 0.5 * ops.log(more) + special.HALF_LOG_2PI + special.binet(more)
    return ops.where(y < 1, near, far)


def _rate_value(y, rate):
    certain = y * ops.log(ops.maximum(rate, alone(special.SMALLEST, rate)))
    return summed_relu(rate) - certain


def _rate_gradient(upstream, y, rate):
    # A rate of 0 or below counts as 0; where there are events it is led back by a bounded slope.
    return None, upstream * ((ops.relu(rate) - y) / above_zero(rate))


def _log_rate_value(y, x):
    return ops.exp(x) - y * x


def _log_rate_gradient(upstream, y, x):
    return None, upstream * (ops.exp(x) - y)


def _full_rate_value(y, rate):
    return special.relative_entropy(y, ops.relu(rate)) + _log_factorial_gap(y)


def _full_log_rate_value(y, x):
    # A rate that is no float32 has its logarithm still.
    near = ops.abs(x) < 80
    gap = special.relative_entropy(y, ops.exp(ops.where(near, x, 0.0))) + _log_factorial_gap(y)
    return ops.where(near, gap, (ops.exp(x) - y * x) + special.lgamma(y + 1))


_POISSON = {
    (False, False): with_gradient(_rate_value, _rate_gradient),
    (False, True): with_gradient(_full_rate_value, _rate_gradient),
    (True, False): with_gradient(_log_rate_value, _log_rate_gradient),
    (True, True): with_gradient(_full_log_rate_value, _log_rate_gradient),
}


@loss_function(from_log=flag, full=flag)
def poisson(y_true: Any, y_pred: Any, from_log=False, full=False, mask: Any = None) -> Any:
    """Poisson negative log-likelihood of counts, mean over the last axis.

    Take it for counts whose variance is their mean; `negative_binomial_nll` where they vary more.
    Keras adds 1e-7 to the rate and a negative rate makes it NaN; here it counts as 0, whose
    logarithm is that of the smallest normal number.

    Formula:

        rate = exp(y_pred) if from_log else y_pred
        log_factorial = log(gamma(y_true + 1)) if full else 0
        loss = mean(rate - xlogy(y_true, rate) + log_factorial, axis=-1)

    Args:
        y_true: Counts, at least 0, which is not checked; they need not be whole.
        y_pred: Rates, or their logarithms with `from_log=True`.
        from_log: Whether `y_pred` holds logarithms of rates. Defaults to `False`.
        full: Whether to add the logarithm of the factorial of `y_true`. Defaults to `False`.
        mask: Boolean, `True` where an entry counts; shape of `y_pred`, or without its last axes.
            Defaults to `None`.

    Shapes:
        `y_true` and `y_pred`: `(batch, ..., n)`; `(batch,)` beside `(batch, 1)` is the same. The
        loss: `(batch, ...)`. No gradient flows to `y_true`.

    Raises:
        ValueError: If the shapes do not fit.

    Example:

    >>> float(keras_actloss.losses.poisson([[2.0]], [[1.0]])[0])
    1.0

    Related:
        `torch.nn.PoissonNLLLoss()` has `from_log=True`; its `full=True` takes Stirling's formula
        for the factorial. `tweedie` as `power` goes to 1 has the same gradient; its value differs
        by a constant that grows without bound.

    Reference:
        [McCullagh and Nelder, 1989](https://doi.org/10.1201/9780203753736)
    """
    return mean_of(_POISSON[bool(from_log), bool(full)](y_true, y_pred), mask)


@register("losses")
class Poisson(Loss, fn=poisson):
    """Class form of `poisson`."""

    targets = POSITIVE

    def __init__(self, from_log=False, full=False, **kwargs: Unpack[LossArguments]):
        super().__init__(**kwargs)
        self.from_log = from_log
        self.full = full

    @property
    def predictions(self):
        return LOGARITHMS if self.from_log else POSITIVE


_POWER = within(1, 2, "()", "; at 1 it is poisson, at 2 gamma_nll")


def _tweedie(power, from_log):
    """`y * mean**(1 - power) / (power - 1) + mean**(2 - power) / (2 - power)`, both positive."""
    to_count, to_size = 1 - power, 2 - power

    def factors(x, exponent):
        return (
            special.product_factors(exponent, x) if from_log else special.power_factors(x, exponent)
        )

    def shared(y, x):
        x = x if from_log else ops.maximum(x, special.SMALLEST)
        return *factors(x, to_count), *factors(x, to_size)

    def value(kept, y, x):
        a, b, c, d = kept
        return ((y * a) * b) / -to_count + (c * d) / to_size

    def gradient(upstream, kept, y, x):
        a, b, c, d = kept
        if from_log:
            return None, upstream * (c * d - (y * a) * b)
        # A mean of 0 or below counts as 0, and is led back by a bounded slope.
        inside = above_zero(x)
        return None, upstream * ((ops.where(x > 0, a * b, 1.0)) * ((inside - y) / inside))

    return with_gradient(value, gradient, shared)


@loss_function(power=_POWER, from_log=flag)
def tweedie(y_true: Any, y_pred: Any, power=1.5, from_log=True, mask: Any = None) -> Any:
    """Tweedie negative log-likelihood, but for its constant, mean over the last axis.

    Take it for amounts that are often exactly 0 and else positive, such as claims or rainfall: a
    Poisson number of gamma distributed amounts.

    Formula:

        mean_value = exp(y_pred) if from_log else y_pred
        events = y_true * mean_value ** (1 - power) / (1 - power)
        loss = mean(mean_value ** (2 - power) / (2 - power) - events, axis=-1)

    Args:
        y_true: Amounts, at least 0, which is not checked.
        y_pred: Logarithms of the means, or the means with `from_log=False`.
        power: The variance is proportional to this power of the mean, between 1 and 2. Defaults to
            `1.5`.
        from_log: Whether `y_pred` holds logarithms of the means. Defaults to `True`.
        mask: Boolean, `True` where an entry counts; shape of `y_pred`, or without its last axes.
            Defaults to `None`.

    Shapes:
        `y_true` and `y_pred`: `(batch, ..., n)`; `(batch,)` beside `(batch, 1)` is the same. The
        loss: `(batch, ...)`. No gradient flows to `y_true`.

    Raises:
        ValueError: If `power` does not lie between 1 and 2 or the shapes do not fit.

    Example:

    >>> float(keras_actloss.losses.tweedie([[1.0]], [[0.0]])[0])
    4.0

    Related:
        With `from_log=False`, half of `sklearn.metrics.mean_tweedie_deviance` but for what depends
        on `y_true` alone. The objectives of LightGBM and XGBoost are the default.

    Reference:
        [Jorgensen, 1987](https://doi.org/10.1111/j.2517-6161.1987.tb01685.x)
    """
    return mean_of(_tweedie(power, from_log)(y_true, y_pred), mask)


@register("losses")
class Tweedie(Loss, fn=tweedie):
    """Class form of `tweedie`."""

    targets = POSITIVE

    def __init__(self, power=1.5, from_log=True, **kwargs: Unpack[LossArguments]):
        super().__init__(**kwargs)
        self.power = power
        self.from_log = from_log

    @property
    def predictions(self):
        return LOGARITHMS if self.from_log else POSITIVE


_LOG_SMALLEST = math.log(special.SMALLEST)


def _gamma_shared(y, log_mean, log_shape):
    a, b = special.exp_factors(-log_mean)
    c, d = special.exp_factors(log_shape)
    y = ops.maximum(y, special.SMALLEST)
    ratio = (y * a) * b
    lost = ops.logical_or(ratio < special.SMALLEST, ratio > 2.0**126)
    one = ops.ones_like(ratio)
    excess = special.relative_entropy(one, ops.where(lost, 1.0, ratio))
    shape = ops.clip(c * d, special.SMALLEST, 3e38)
    # Of a ratio that is no float32 the product with the shape may be one.
    e, f = special.exp_factors(log_shape - log_mean)
    events = (y * e) * f
    apart = shape * ((log_mean - ops.log(y)) - 1) + events
    lost = ops.logical_or(lost, log_shape < _LOG_SMALLEST)
    excess = ops.where(lost, apart, shape * excess)
    error = ops.where(lost, shape - events, shape * (1 - ratio))
    return log_shape, shape, excess, error


def _gamma_value(log_shape, shape, excess, error):
    gap = (special.HALF_LOG_2PI - 0.5 * log_shape) + special.binet(shape)
    # A shape that is no float32 has its logarithm still, of which the gap is what remains.
    below = ops.relu(_LOG_SMALLEST - log_shape)
    return excess + (gap + 0.5 * below)


def _gamma_gradient(log_shape, shape, excess, error):
    return error, excess - shape * special.log_minus_digamma(shape)


@loss_function("target", constant=True, full=flag)
def gamma_nll(y_true: Any, y_pred: Any, full=False) -> Any:
    """Gamma negative log-likelihood of a predicted mean and shape.

    Take it for positive amounts whose deviation grows with their mean, as costs and durations;
    `tweedie` where some are 0.

    Formula:

        mean, shape = exp(y_pred[..., 0]), exp(y_pred[..., 1])
        rate = shape / mean
        nll = log(gamma(shape)) - shape * log(rate) - (shape - 1) * log(y_true) + rate * y_true
        loss = nll if full else nll - log(y_true)

    Args:
        y_true: Amounts above 0; a 0 counts as the smallest normal number.
        y_pred: Logarithm of the mean and logarithm of the shape on the last axis.
        full: Whether to add the logarithm of `y_true`. Defaults to `False`.

    Shapes:
        `y_pred`: `(batch, ..., 2)`. `y_true` and the loss: `(batch, ...)`. No gradient flows to
        `y_true`.

    Raises:
        ValueError: If the shapes do not fit.

    Example:

    >>> float(keras_actloss.losses.gamma_nll([2.0], [[0.0, 0.0]], full=True)[0])
    2.0

    Related:
        `full=True` is `-torch.distributions.Gamma(shape, shape / mean).log_prob(y_true)`. With a
        log-shape of 0, half of `sklearn.metrics.mean_gamma_deviance` and 1.

    Reference:
        [McCullagh and Nelder, 1989](https://doi.org/10.1201/9780203753736)
    """
    parameters = ("the log-mean", "the log-shape")
    nll = of_parameters("gamma_nll", parameters, _gamma_value, _gamma_gradient, _gamma_shared)
    value = nll(y_true, y_pred)
    return value + ops.log(ops.maximum(y_true, special.SMALLEST)) if full else value


@register("losses")
class GammaNLL(Loss, fn=gamma_nll):
    """Class form of `gamma_nll`."""

    targets = POSITIVE
    width = 2
    predictions = LOGARITHMS

    def __init__(self, full=False, **kwargs: Unpack[LossArguments]):
        super().__init__(**kwargs)
        self.full = full


def _negative_binomial_shared(y, log_mean, log_count):
    x, k = ops.clip(log_mean, -75, 75), ops.clip(log_count, -75, 75)
    above, below = ops.relu(log_mean - x), ops.relu(x - log_mean)
    few = ops.where(y > 0, ops.relu(k - log_count), 0.0)
    mean, count = ops.exp(x), ops.exp(k)
    error = y - mean
    both, drawn = mean + count, y + count
    # log((mean + count) / drawn), and log(y / mean) less that, neither as a difference.
    less = special.log_ratio(both, drawn, -error)
    tilt = (error / mean) * (count / drawn)
    near = ops.abs(tilt) < 0.5
    ratio = (y / mean) * ops.minimum(both / drawn, 1e38)
    far = ops.log(ops.maximum(ops.where(near, 1.0, ratio), special.SMALLEST))
    more = ops.where(near, ops.log1p(ops.where(near, tilt, 0.0)), far)
    # What is no float32 has its logarithm still.
    beyond = count * above, y * below + few
    return y, count, error, both, drawn, less, more, beyond


def _negative_binomial_value(y, count, error, both, drawn, less, more, beyond):
    stirling = special.binet(count) - special.binet(drawn)
    gap = 0.5 * ops.log1p(y / count) + stirling
    return (y * more + count * less) + gap + sum(beyond)


def _negative_binomial_gradient(y, count, error, both, drawn, less, more, beyond):
    excess = special.relative_entropy(ops.ones_like(both), drawn / both, -error / both)
    gap = special.log_minus_digamma(count) - special.log_minus_digamma(drawn)
    return -error * (count / both), count * excess - count * gap + beyond[0]


@loss_function("target", constant=True, full=flag)
def negative_binomial_nll(y_true: Any, y_pred: Any, full=False) -> Any:
    """Negative binomial negative log-likelihood of a predicted mean and dispersion.

    Take it in place of `poisson` for counts that vary more than their mean: the variance is
    `mean + mean**2 / total_count`.

    Formula:

        mean, total_count = exp(y_pred[..., 0]), exp(y_pred[..., 1])
        both = mean + total_count
        arrangements = log(gamma(total_count + y_true) / gamma(total_count))
        certain = total_count * log(total_count / both) + xlogy(y_true, mean / both)
        loss = -certain - arrangements + (log(gamma(y_true + 1)) if full else 0)

    Args:
        y_true: Counts, at least 0, which is not checked; they need not be whole.
        y_pred: Logarithm of the mean and logarithm of the total count, the inverse of the
            dispersion, on the last axis.
        full: Whether to add the logarithm of the factorial of `y_true`. Defaults to `False`.

    Shapes:
        `y_pred`: `(batch, ..., 2)`. `y_true` and the loss: `(batch, ...)`. No gradient flows to
        `y_true`.

    Raises:
        ValueError: If the shapes do not fit.

    Example:

    >>> float(keras_actloss.losses.negative_binomial_nll([0.0], [[0.0, 0.0]])[0])
    0.6931...

    Related:
        `full=True` is `-log_prob(y_true)` of `torch.distributions.NegativeBinomial(total_count,
        logits=log_mean - log_total_count)`. As the total count grows, `poisson`.

    Reference:
        [Hilbe, 2011](https://doi.org/10.1017/CBO9780511973420)
    """
    value = of_parameters(
        "negative_binomial_nll",
        ("the log-mean", "the log of the total count"),
        _negative_binomial_value,
        _negative_binomial_gradient,
        _negative_binomial_shared,
    )(y_true, y_pred)
    if full:
        return value + _log_factorial_gap(y_true)
    return value + (y_true - y_true * ops.log(ops.maximum(y_true, special.SMALLEST)))


@register("losses")
class NegativeBinomialNLL(Loss, fn=negative_binomial_nll):
    """Class form of `negative_binomial_nll`."""

    targets = POSITIVE
    width = 2
    predictions = LOGARITHMS

    def __init__(self, full=False, **kwargs: Unpack[LossArguments]):
        super().__init__(**kwargs)
        self.full = full
