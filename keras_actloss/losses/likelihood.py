"""Negative log-likelihoods of real numbers.

The parameters of a distribution stand on the last axis of `y_pred`, one set for a number in
`y_true`. They are unconstrained, with logarithms of what must be positive, unless `from_log=False`
says otherwise. `full=True` adds the terms that do not depend on `y_pred`.
"""

import math
from collections.abc import Callable
from typing import Any, Unpack

from keras import ops

from keras_actloss.core import special
from keras_actloss.core.checks import all_of, finite_non_negative, flag, positive, within
from keras_actloss.core.functions import loss_function
from keras_actloss.core.heads import LOGARITHMS, POSITIVE, of_parameters
from keras_actloss.core.loss import Loss, LossArguments
from keras_actloss.core.numerics import leader, with_gradient
from keras_actloss.core.registry import register

_LOG_2PI = 2 * special.HALF_LOG_2PI


def _gaussian(y_true, y_pred, name, beta=0.0, constant=0.0):
    """Likelihood times a power of the variance, which counts as a constant for the gradient."""

    def shared(y, mean, log_variance):
        # Each factor of the square has its share of the variance, for neither to overflow alone.
        a, b = special.product_factors(beta - 1, log_variance)
        c, d = special.product_factors(beta, log_variance) if beta else (1.0, 1.0)
        error = y - mean
        half = 0.5 * (log_variance + constant) * c * d
        return half, error * a, b, (0.5 * error) * b, 0.5 * c * d

    def value(half, scaled, rest, error, weight):
        return half + scaled * error

    def gradient(half, scaled, rest, error, weight):
        return -scaled * rest, weight - scaled * error

    parameters = ("the mean", "the log-variance")
    return of_parameters(name, parameters, value, gradient, shared)(y_true, y_pred)


def _gaussian_of_variance(y_true, y_pred, name, constant):
    def shared(y, mean, variance):
        variance = ops.maximum(variance, special.SMALLEST)
        return variance, y - mean, (y - mean) / variance

    def value(variance, error, scaled):
        return 0.5 * ((ops.log(variance) + constant) + scaled * error)

    def gradient(variance, error, scaled):
        return -scaled, 0.5 * (1 / variance - scaled * scaled)

    parameters = ("the mean", "the variance")
    return of_parameters(name, parameters, value, gradient, shared)(y_true, y_pred)


@loss_function("target", from_log=flag, full=flag)
def gaussian_nll(y_true: Any, y_pred: Any, from_log=True, full=False) -> Any:
    """Gaussian negative log-likelihood of a predicted mean and variance.

    Take it for a regression that also says how sure it is. Where the means of hard samples are not
    learned, take `beta_nll`; where outliers blow up the variance, `student_t_nll`.

    Formula:

        mean, variance = y_pred[..., 0], exp(y_pred[..., 1]) if from_log else y_pred[..., 1]
        constant = log(2 * pi) if full else 0
        loss = (log(variance) + (y_true - mean) ** 2 / variance + constant) / 2

    Args:
        y_true: Targets.
        y_pred: Mean and logarithm of the variance on the last axis, or mean and variance with
            `from_log=False`.
        from_log: Whether the variance is given by its logarithm. Defaults to `True`.
        full: Whether to add the constant. Defaults to `False`.

    Shapes:
        `y_pred`: `(batch, ..., 2)`. `y_true` and the loss: `(batch, ...)`. No gradient flows to
        `y_true`.

    Raises:
        ValueError: If the shapes do not fit.

    Example:

    >>> float(keras_actloss.losses.gaussian_nll([3.0], [[1.0, 0.0]])[0])
    2.0

    Related:
        With `from_log=False`, `torch.nn.GaussianNLLLoss`, but for its clamp of the variance at
        1e-6. With a log-variance of 0, half of `mean_squared_error`.

    Reference:
        [Nix and Weigend, 1994](https://doi.org/10.1109/ICNN.1994.374138)
    """
    nll = _gaussian if from_log else _gaussian_of_variance
    return nll(y_true, y_pred, "gaussian_nll", constant=_LOG_2PI if full else 0.0)


@register("losses")
class GaussianNLL(Loss, fn=gaussian_nll):
    """Class form of `gaussian_nll`."""

    width = 2

    def __init__(self, from_log=True, full=False, **kwargs: Unpack[LossArguments]):
        super().__init__(**kwargs)
        self.from_log = from_log
        self.full = full

    @property
    def predictions(self):
        return LOGARITHMS if self.from_log else POSITIVE


@loss_function("target", beta=finite_non_negative, full=flag)
def beta_nll(y_true: Any, y_pred: Any, beta=0.5, full=False) -> Any:
    """Gaussian negative log-likelihood, weighted by a power of the predicted variance.

    Take it in place of `gaussian_nll` where that one calls hard samples noise and stops learning
    their mean. The weight counts as a constant for the gradient.

    Formula:

        mean, variance = y_pred[..., 0], exp(y_pred[..., 1])
        constant = log(2 * pi) if full else 0
        nll = (log(variance) + (y_true - mean) ** 2 / variance + constant) / 2
        loss = stop_gradient(variance**beta) * nll

    Args:
        y_true: Targets.
        y_pred: Mean and logarithm of the variance on the last axis.
        beta: Power of the variance, at least 0: 0 is `gaussian_nll`, and with 1 the mean is
            learned as by `mean_squared_error`. Defaults to `0.5`.
        full: Whether to add the constant of the likelihood. Defaults to `False`.

    Shapes:
        `y_pred`: `(batch, ..., 2)`. `y_true` and the loss: `(batch, ...)`. No gradient flows to
        `y_true`.

    Raises:
        ValueError: If `beta` is negative or infinite, or the shapes do not fit.

    Example:

    >>> float(keras_actloss.losses.beta_nll([3.0], [[1.0, 0.0]])[0])
    2.0

    Related:
        `gaussian_nll`.

    Reference:
        [Seitzer et al., 2022](https://arxiv.org/abs/2203.09168)
    """
    return _gaussian(y_true, y_pred, "beta_nll", beta, _LOG_2PI if full else 0.0)


@register("losses")
class BetaNLL(Loss, fn=beta_nll):
    """Class form of `beta_nll`."""

    width = 2
    stops_gradient = True
    predictions = LOGARITHMS

    def __init__(self, beta=0.5, full=False, **kwargs: Unpack[LossArguments]):
        super().__init__(**kwargs)
        self.beta = beta
        self.full = full


def _laplace_shared(y, location, log_scale):
    a, b = special.exp_factors(-log_scale)
    error = y - location
    return log_scale, ops.abs(error) * a * b, ops.sign(error) * a, b


def _laplace_gradient(log_scale, distance, signed, rest):
    return -signed * rest, 1 - distance


@loss_function("target", full=flag)
def laplace_nll(y_true: Any, y_pred: Any, full=False) -> Any:
    """Laplace negative log-likelihood of a predicted location and scale.

    Take it in place of `gaussian_nll` for heavier tails: the location learned is the median, the
    scale the mean absolute error.

    Formula:

        location, scale = y_pred[..., 0], exp(y_pred[..., 1])
        loss = log(2 * scale if full else scale) + abs(y_true - location) / scale

    Args:
        y_true: Targets.
        y_pred: Location and logarithm of the scale on the last axis.
        full: Whether to add the constant. Defaults to `False`.

    Shapes:
        `y_pred`: `(batch, ..., 2)`. `y_true` and the loss: `(batch, ...)`. No gradient flows to
        `y_true`.

    Raises:
        ValueError: If the shapes do not fit.

    Example:

    >>> float(keras_actloss.losses.laplace_nll([3.0], [[1.0, 0.0]])[0])
    2.0

    Related:
        `full=True` is `-torch.distributions.Laplace(location, scale).log_prob(y_true)`. With a
        log-scale of 0, `mean_absolute_error`.

    Reference:
        [Norton, 1984](https://doi.org/10.1080/00031305.1984.10483185)
    """
    nll = of_parameters(
        "laplace_nll",
        ("the location", "the log-scale"),
        lambda log_scale, distance, *_: log_scale + distance,
        _laplace_gradient,
        _laplace_shared,
    )(y_true, y_pred)
    return nll + math.log(2) if full else nll


@register("losses")
class LaplaceNLL(Loss, fn=laplace_nll):
    """Class form of `laplace_nll`."""

    width = 2
    predictions = LOGARITHMS

    def __init__(self, full=False, **kwargs: Unpack[LossArguments]):
        super().__init__(**kwargs)
        self.full = full


def _log_student_constant(df):
    """What the density of `df` degrees of freedom lacks of its own exponent."""
    if df > 100:  # The difference of two large numbers, as a series.
        return _LOG_2PI / 2 + 1 / (4 * df) - 1 / (24 * df**3)
    return math.lgamma(df / 2) - math.lgamma((df + 1) / 2) + math.log(math.pi * df) / 2


def _student_t(df):
    def shared(y, location, log_scale):
        a, b = special.exp_factors(-2 * log_scale)
        error = y - location
        square = ((error * a) * (error * b)) / df
        far = square > 1
        outer = 1 / ops.where(far, square, 1.0)
        inner = ops.where(far, 0.0, square)
        # Of a square that is no float32 the logarithm is known still.
        log = ops.log(ops.where(far, ops.minimum(square, 1e36), 1.0))
        beyond = 2 * (ops.log(ops.where(far, ops.abs(error), 1.0)) - log_scale) - math.log(df)
        log = ops.where(square > 1e36, beyond, log) + ops.log1p(ops.where(far, outer, inner))
        weight = ops.where(far, 1 / (1 + outer), inner / (1 + inner))
        pull = ops.where(
            far, weight / ops.where(far, error, 1.0), ((error * a) * b) / ((1 + inner) * df)
        )
        return log_scale, log, pull, weight

    def value(log_scale, log, pull, weight):
        return log_scale + (df + 1) / 2 * log

    def gradient(log_scale, log, pull, weight):
        return -(df + 1) * pull, 1 - (df + 1) * weight

    parameters = ("the location", "the log-scale")
    return of_parameters("student_t_nll", parameters, value, gradient, shared)


@loss_function(
    "target",
    df=all_of(
        positive, within(0, math.inf, "()", "; its limit is GaussianNLL of twice the log-scale")
    ),
    full=flag,
)
def student_t_nll(y_true: Any, y_pred: Any, df=4.0, full=False) -> Any:
    """Negative log-likelihood of Student's t distribution of a predicted location and scale.

    Take it in place of `gaussian_nll` for targets with outliers, which move neither location nor
    scale by more than a bounded amount.

    Formula:

        location, scale = y_pred[..., 0], exp(y_pred[..., 1])
        z = (y_true - location) / scale
        constant = log(gamma(df / 2) / gamma((df + 1) / 2) * sqrt(pi * df))
        loss = log(scale) + (df + 1) / 2 * log1p(z**2 / df) + (constant if full else 0)

    Args:
        y_true: Targets.
        y_pred: Location and logarithm of the scale on the last axis.
        df: Degrees of freedom, above 0: the smaller, the heavier the tails. Defaults to `4.0`.
        full: Whether to add the constant. Defaults to `False`.

    Shapes:
        `y_pred`: `(batch, ..., 2)`. `y_true` and the loss: `(batch, ...)`. No gradient flows to
        `y_true`.

    Raises:
        ValueError: If `df` is not positive and finite or the shapes do not fit.

    Example:

    >>> float(keras_actloss.losses.student_t_nll([3.0], [[1.0, 0.0]])[0])
    1.7328...

    Related:
        `full=True` is `-torch.distributions.StudentT(df, location, scale).log_prob(y_true)`. As
        `df` grows, `gaussian_nll` of twice the log-scale.

    Reference:
        [Lange et al., 1989](https://doi.org/10.1080/01621459.1989.10478852)
    """
    nll = _student_t(df)(y_true, y_pred)
    return nll + _log_student_constant(df) if full else nll


@register("losses")
class StudentTNLL(Loss, fn=student_t_nll):
    """Class form of `student_t_nll`."""

    width = 2
    predictions = LOGARITHMS

    def __init__(self, df=4.0, full=False, **kwargs: Unpack[LossArguments]):
        super().__init__(**kwargs)
        self.df = df
        self.full = full


def _log_sum_exp(x):
    """Leader of the last axis, `log(sum(exp(x)))` beside it, and the softmax."""
    top, leads, others, rest = leader(x, -1)
    return top[..., 0], ops.log1p(rest[..., 0]), ops.where(leads, 1.0, others) / (1 + rest)


def _mixture_parts(y, y_pred):
    logits, locations, log_scales = ops.split(y_pred, 3, axis=-1)
    a, b = special.exp_factors(-2 * log_scales)
    error = ops.expand_dims(y, -1) - locations
    # Where a component is so far that it weighs nothing, 0 times its slope shall be 0.
    square = ops.minimum((error * a) * (error * b), 1e38)
    pull = ops.clip((error * a) * b, -1e38, 1e38)
    prior = _log_sum_exp(logits)
    posterior = _log_sum_exp(logits - (log_scales + 0.5 * square))
    return square, pull, prior, posterior


def _mixture_value(kept, y, y_pred):
    _, _, prior, posterior = kept
    return (prior[0] - posterior[0]) + (prior[1] - posterior[1])


def _mixture_gradient(upstream, kept, y, y_pred):
    square, pull, prior, posterior = kept
    slopes = (prior[2] - posterior[2], -posterior[2] * pull, posterior[2] * (1 - square))
    return None, ops.expand_dims(upstream, -1) * ops.concatenate(slopes, axis=-1)


_mixture: Callable[..., Any] = with_gradient(_mixture_value, _mixture_gradient, _mixture_parts)


@loss_function("target", full=flag)
def mixture_density_nll(y_true: Any, y_pred: Any, full=False) -> Any:
    """Negative log-likelihood of a mixture of Gaussians.

    Take it where several answers are right, as in inverse problems, and their mean is not one.

    Formula:

        count = size(y_pred, -1) // 3
        logits, scales = y_pred[..., :count], exp(y_pred[..., 2 * count :])
        weights = exp(logits) / sum(exp(logits), axis=-1, keepdims=True)
        z = (y_true[..., None] - y_pred[..., count : 2 * count]) / scales
        densities = exp(-z**2 / 2) / scales
        loss = -log(sum(weights * densities, axis=-1)) + (log(2 * pi) / 2 if full else 0)

    Args:
        y_true: Targets.
        y_pred: For K components, K logits of their weights, K means, K logarithms of their
            deviations on the last axis.
        full: Whether to add the constant. Defaults to `False`.

    Shapes:
        `y_pred`: `(batch, ..., 3 * K)`. `y_true` and the loss: `(batch, ...)`. No gradient flows to
        `y_true`.

    Raises:
        ValueError: If the last axis of `y_pred` is no multiple of 3 or the shapes do not fit.

    Example:

    >>> float(keras_actloss.losses.mixture_density_nll([2.0], [[0.0, 0.0, 0.0]])[0])
    2.0

    Related:
        Of one component, `gaussian_nll` of twice the log-scale.

    Reference:
        [Bishop, 1994](https://publications.aston.ac.uk/id/eprint/373/)
    """
    if y_pred.shape[-1] % 3:
        raise ValueError(
            "mixture_density_nll: the last axis of y_pred holds a logit, a mean and a log-scale a "
            f"component, so its size is a multiple of 3; got shape {tuple(y_pred.shape)}"
        )
    nll = _mixture(y_true, y_pred)
    return nll + _LOG_2PI / 2 if full else nll


@register("losses")
class MixtureDensityNLL(Loss, fn=mixture_density_nll):
    """Class form of `mixture_density_nll`."""

    # For the checks, two components: any multiple of 3 will do.
    width = 6
    predictions = LOGARITHMS

    def __init__(self, full=False, **kwargs: Unpack[LossArguments]):
        super().__init__(**kwargs)
        self.full = full
