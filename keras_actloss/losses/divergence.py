"""How far a predicted distribution is from the one it should be."""

from collections.abc import Callable
from typing import Any, Unpack

from keras import ops

from keras_actloss.core import special
from keras_actloss.core.checks import flag, integer_axis, within
from keras_actloss.core.functions import loss_function
from keras_actloss.core.heads import LOGARITHMS, POSITIVE, of_parameters
from keras_actloss.core.kernels import asked, fused, spent
from keras_actloss.core.loss import Loss, LossArguments
from keras_actloss.core.numerics import (
    above_zero,
    expm1,
    leader,
    log_quotient,
    positive,
    with_gradient,
)
from keras_actloss.core.registry import register
from keras_actloss.core.tensors import mean as mean_of

_CHECKS = {"from_logits": flag, "axis": integer_axis}


def _softmax_parts(p, x, axis):
    """The softmax `q` of `x`, where it leads, what the others weigh beside that, and `p - q`."""
    top, leads, others, rest = leader(x, axis)
    q = ops.where(leads, 1.0, others) / (1 + rest)
    # A leader is told from 1 by what the others weigh, not by its rounding.
    gap = ops.where(leads, (p - 1) + rest / (1 + rest), p - q)
    return top, leads, rest, q, gap


def _kl_of_probabilities(p, q, axis):
    if fused():
        # In JAX the choice of `asked` keeps the logarithm from the kernel that sums, which is slow
        # for short rows.
        return ops.sum(asked(p, log_quotient(p, positive(q))), axis=axis)
    # One logarithm, of the larger over the smaller: exact next to 0 as well as far from it. The
    # quotient of probabilities is a float; anything else is held to the largest power of two.
    a, b = positive(p), positive(q)
    gap = a - b
    apart = ops.log1p(ops.minimum(ops.abs(gap) / ops.minimum(a, b), 2.0**127))
    # That is faster than a choice, and than a function `sign`.
    signed = spent("multiply", gap / positive(ops.abs(gap)), apart)
    return ops.sum(spent("multiply", signed, p), axis=axis)


def _kl(axis, from_logits):
    if not from_logits:
        return with_gradient(
            lambda p, q: _kl_of_probabilities(p, q, axis),
            lambda upstream, p, q: (
                None,
                spent("multiply", p / above_zero(q), ops.expand_dims(-upstream, axis)),
            ),
        )

    def shared(p, x):
        return _softmax_parts(p, x, axis)

    def value(kept, p, x):
        top, _, rest, q, gap = kept
        near = ops.abs(gap) < q / 2
        close = ops.log1p(ops.where(near, gap / ops.where(near, q, 1.0), 0.0))
        log_q = (x - top) - ops.log1p(rest)
        far = ops.log(ops.maximum(p, special.SMALLEST)) - log_q
        return ops.sum(ops.where(p == 0, 0.0, p * ops.where(near, close, far)), axis=axis)

    def gradient(upstream, kept, p, x):
        _, leads, rest, q, _ = kept
        others = ops.sum(ops.where(leads, 0.0, p), axis=axis, keepdims=True)
        led = ops.sum(ops.where(leads, p, 0.0), axis=axis, keepdims=True)
        # By what the others weigh nothing cancels at a leader, whose weight is 1 to the last digit.
        of_leader = ((led - p) + others - p * rest) / (1 + rest)
        slope = ops.where(leads, of_leader, (led + others) * q - p)
        return None, ops.expand_dims(upstream, axis) * slope

    return with_gradient(value, gradient, shared)


@loss_function("onehot", **_CHECKS)
def kl_divergence(y_true: Any, y_pred: Any, from_logits=False, axis=-1) -> Any:
    """Kullback-Leibler divergence of the true distribution from the predicted one.

    Take it for soft targets, as of a teacher: from logits it has the gradient of
    `categorical_crossentropy`, but it is 0 when the targets are met. Keras clips both at 1e-7, so
    that its loss stops at 16.1 and has no gradient where a prediction is below.

    Formula:

        p = exp(y_pred - max(y_pred, axis=axis, keepdims=True)) if from_logits else y_pred
        q = p / sum(p, axis=axis, keepdims=True) if from_logits else y_pred
        loss = sum(xlogy(y_true, y_true) - xlogy(y_true, q), axis=axis)

    Args:
        y_true: Probabilities, some of which may be 0.
        y_pred: Probabilities, or logits with `from_logits=True`. A probability of 0 counts as the
            smallest normal number.
        from_logits: Whether `y_pred` holds logits. Defaults to `False`.
        axis: The axis of a distribution. Defaults to `-1`.

    Shapes:
        `y_true` and `y_pred`: `(batch, ..., classes)`, the classes on `axis`. The loss: the same
        without `axis`. No gradient flows to `y_true`.

    Raises:
        ValueError: If the shapes do not fit.

    Example:

    >>> float(keras_actloss.losses.kl_divergence([[0.0, 1.0]], [[0.5, 0.5]])[0])
    0.6931...

    Related:
        The order of Keras and of the paper, true ones first. `torch.nn.functional.kl_div(log_q, p)`
        and `optax.losses.kl_divergence(log_q, p)` take logarithms, and the predicted ones first;
        swapped, it is the reverse divergence, `jensen_shannon` with `beta=1`. PyTorch's default
        mean divides by the number of classes too, its `"batchmean"` does not.

    Reference:
        [Kullback and Leibler, 1951](https://doi.org/10.1214/aoms/1177729694)
    """
    return _kl(axis, from_logits)(y_true, y_pred)


@register("losses")
class KLDivergence(Loss, fn=kl_divergence):
    """Class form of `kl_divergence`."""

    def __init__(self, from_logits=False, axis=-1, **kwargs: Unpack[LossArguments]):
        super().__init__(**kwargs)
        self.from_logits = from_logits
        self.axis = axis


def _generalized_gradient(upstream, p, q):
    return None, upstream * ((q - p) / above_zero(q))


_generalized: Callable[..., Any] = with_gradient(special.relative_entropy, _generalized_gradient)


@loss_function()
def generalized_kl_divergence(y_true: Any, y_pred: Any, mask: Any = None) -> Any:
    """Kullback-Leibler divergence of numbers that need not sum to 1, summed over the last axis.

    Take it for intensities, counts and unnormalized weights, as in the factorization of
    non-negative matrices. It is never negative, and 0 where both are equal.

    Formula:

        terms = xlogy(y_true, y_true) - xlogy(y_true, y_pred) - y_true + y_pred
        loss = sum(terms, axis=-1)

    Args:
        y_true: Numbers of at least 0.
        y_pred: Numbers of at least 0; a 0 counts as the smallest normal number.
        mask: Boolean, `True` where an entry counts; shape of `y_pred`, or without its last axes.
            Defaults to `None`.

    Shapes:
        `y_true` and `y_pred`: `(batch, ..., n)`; `(batch,)` beside `(batch, 1)` is the same. The
        loss: `(batch, ...)`. No gradient flows to `y_true`.

    Raises:
        ValueError: If the shapes do not fit.

    Example:

    >>> float(keras_actloss.losses.generalized_kl_divergence([[0.0, 2.0]], [[3.0, 2.0]])[0])
    3.0

    Related:
        `optax.losses.generalized_kl_divergence`, which takes logarithms. Of distributions,
        `kl_divergence`; up to a constant, the sum of `poisson`.

    Reference:
        [Lee and Seung, 1999](https://doi.org/10.1038/44565)
    """
    values = _generalized(y_true, y_pred)
    if mask is None:
        return ops.sum(values, axis=-1)
    if len(mask.shape) == len(values.shape):
        return ops.sum(ops.where(mask, values, 0.0), axis=-1)
    return mean_of(values, mask) * ops.cast(ops.shape(values)[-1], values.dtype)


@register("losses")
class GeneralizedKLDivergence(Loss, fn=generalized_kl_divergence):
    """Class form of `generalized_kl_divergence`."""

    targets = POSITIVE
    predictions = POSITIVE

    def __init__(self, **kwargs: Unpack[LossArguments]):
        super().__init__(**kwargs)


_SHARE = within(0, 1, remedy="; 0 is KL(y_true || y_pred), 1 the reverse")


def _mixed(beta):
    """Value and slope of the divergences from a mixture, without what cancels between the two."""

    def mixture(p, q):
        return ops.maximum(beta * p + (1 - beta) * q, special.SMALLEST)

    def value(p, q, gap):
        m = mixture(p, q)
        of_p = special.relative_entropy(p, m, (1 - beta) * gap)
        return beta * of_p + (1 - beta) * special.relative_entropy(q, m, -beta * gap)

    def slope(p, q, gap):
        q = ops.maximum(q, special.SMALLEST)
        return (1 - beta) * special.log_ratio(q, mixture(p, q), -beta * gap)

    return value, slope


def _reverse_ratio(p, q, gap):
    return special.log_ratio(
        ops.maximum(q, special.SMALLEST), ops.maximum(p, special.SMALLEST), -gap
    )


_REVERSE = (
    lambda p, q, gap: q * _reverse_ratio(p, q, gap),
    lambda p, q, gap: 1 + _reverse_ratio(p, q, gap),
)


def _of_probabilities(value, slope, axis):
    return with_gradient(
        lambda p, q: ops.sum(value(p, q, p - q), axis=axis),
        lambda upstream, p, q: (None, ops.expand_dims(upstream, axis) * slope(p, q, p - q)),
    )


def _of_logits(value, slope, axis):
    def parts(p, x):
        _, leads, _, q, gap = _softmax_parts(p, x, axis)
        return leads, q, gap

    def gradient(upstream, kept, p, x):
        leads, q, gap = kept
        slopes = slope(p, q, gap)
        # A constant moves no softmax: without a leader's slope there is nothing to cancel.
        count = ops.sum(ops.cast(leads, x.dtype), axis=axis, keepdims=True)
        leading = ops.sum(ops.where(leads, slopes, 0.0), axis=axis, keepdims=True) / count
        alone = ops.logical_and(leads, count == 1)
        slopes = ops.where(alone, 0.0, slopes - leading)
        slopes = slopes - ops.sum(slopes * q, axis=axis, keepdims=True)
        return None, ops.expand_dims(upstream, axis) * (q * slopes)

    return with_gradient(
        lambda kept, p, x: ops.sum(value(p, kept[1], kept[2]), axis=axis), gradient, parts
    )


@loss_function("onehot", beta=_SHARE, **_CHECKS)
def jensen_shannon(y_true: Any, y_pred: Any, beta=0.5, from_logits=False, axis=-1) -> Any:
    """Divergence of two distributions from their mixture, weighted by `beta`.

    Take it for the distillation of a teacher where `kl_divergence` makes the student cover all the
    teacher does: towards `beta=1` it seeks one mode instead. Between 0 and 1 it is bounded.

    Formula:

        p = exp(y_pred - max(y_pred, axis=axis, keepdims=True)) if from_logits else y_pred
        q = p / sum(p, axis=axis, keepdims=True) if from_logits else y_pred
        m = beta * y_true + (1 - beta) * q
        from_true = sum(xlogy(y_true, y_true) - xlogy(y_true, m), axis=axis)
        from_predicted = sum(xlogy(q, q) - xlogy(q, m), axis=axis)
        forward = sum(xlogy(y_true, y_true) - xlogy(y_true, q), axis=axis)
        reverse = sum(xlogy(q, q) - xlogy(q, maximum(y_true, 2**-126)), axis=axis)
        mixed = beta * from_true + (1 - beta) * from_predicted
        loss = forward if beta == 0 else reverse if beta == 1 else mixed

    Args:
        y_true: Probabilities, of the teacher. For the reverse divergence a 0 counts as the smallest
            normal number.
        y_pred: Probabilities of the student, or logits with `from_logits=True`.
        beta: Share of `y_true` in the mixture, in [0, 1]. At 0 the loss is `kl_divergence` and at 1
            the reverse divergence, which are its limits by `beta` and by `1 - beta`. Defaults to
            `0.5`.
        from_logits: Whether `y_pred` holds logits. Defaults to `False`.
        axis: The axis of a distribution. Defaults to `-1`.

    Shapes:
        `y_true` and `y_pred`: `(batch, ..., classes)`, the classes on `axis`. The loss: the same
        without `axis`. No gradient flows to `y_true`.

    Raises:
        ValueError: If `beta` is not in [0, 1] or the shapes do not fit.

    Example:

    >>> float(keras_actloss.losses.jensen_shannon([[0.0, 1.0]], [[1.0, 0.0]])[0])
    0.6931...

    Related:
        The generalized divergence of Liger Kernel and TRL, whose `beta` is this one. With
        `beta=0.5` symmetric, and half of the sum that some call by this name.

    Reference:
        [Lin, 1991](https://doi.org/10.1109/18.61115);
        [Agarwal et al., 2024](https://arxiv.org/abs/2306.13649)
    """
    if beta == 0:
        return _kl(axis, from_logits)(y_true, y_pred)
    divergence = _of_logits if from_logits else _of_probabilities
    value, slope = _REVERSE if beta == 1 else _mixed(beta)
    return divergence(value, slope, axis)(y_true, y_pred)


@register("losses")
class JensenShannon(Loss, fn=jensen_shannon):
    """Class form of `jensen_shannon`."""

    def __init__(self, beta=0.5, from_logits=False, axis=-1, **kwargs: Unpack[LossArguments]):
        super().__init__(**kwargs)
        self.beta = beta
        self.from_logits = from_logits
        self.axis = axis


@loss_function("target")
def gaussian_kl(y_true: Any, y_pred: Any) -> Any:
    """Kullback-Leibler divergence of a predicted Gaussian from one of variance 1.

    The term that keeps the latent numbers of a variational autoencoder near their prior: `y_true`
    is the prior's mean, so pass zeros for the standard one. It needs no likelihood of data.

    Formula:

        mean, variance = y_pred[..., 0], exp(y_pred[..., 1])
        loss = (variance - log(variance) - 1 + (mean - y_true) ** 2) / 2

    Args:
        y_true: Mean of the prior, mostly 0.
        y_pred: Mean and logarithm of the variance on the last axis.

    Shapes:
        `y_pred`: `(batch, ..., 2)`. `y_true` and the loss: `(batch, ...)`, a value for each latent
        number. No gradient flows to `y_true`.

    Raises:
        ValueError: If the shapes do not fit.

    Example:

    >>> float(keras_actloss.losses.gaussian_kl([0.0], [[2.0, 0.0]])[0])
    2.0

    Related:
        Papers sum it over the latent numbers where a mean reduction divides by their count too: for
        a batch of `(batch, n, 2)` weigh it by `n`. `gaussian_nll`.

    Reference:
        [Kingma and Welling, 2014](https://arxiv.org/abs/1312.6114)
    """
    return of_parameters(
        "gaussian_kl",
        ("the mean", "the log-variance"),
        lambda error, x: 0.5 * (special.expm1_excess(x) + error * error),
        lambda error, x: (error, 0.5 * expm1(x)),
        lambda y, mean, log_variance: (mean - y, log_variance),
    )(y_true, y_pred)


@register("losses")
class GaussianKL(Loss, fn=gaussian_kl):
    """Class form of `gaussian_kl`."""

    width = 2
    predictions = LOGARITHMS

    def __init__(self, **kwargs: Unpack[LossArguments]):
        super().__init__(**kwargs)
