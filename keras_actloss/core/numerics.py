"""Stable primitives: exact gradients where automatic differentiation cancels, in one wrapper."""

import sys

import keras
import numpy as np
from keras import ops

from keras_actloss.core.keras_fixes import amax


def with_gradient(value, gradient):
    """`value(*tensors)` whose gradient is `gradient(upstream, *tensors)`, a value for each tensor.

    The backends disagree on how the gradient is called: torch passes the arguments and a keyword,
    JAX and TensorFlow the upstream alone. The gradient is computed from the arguments it is handed,
    never from what the forward pass left behind, so that it can be differentiated again on torch.
    """

    @ops.custom_gradient
    def function(*tensors):
        def backward(*args, upstream=None):
            if upstream is None:
                return gradient(args[0], *tensors)
            return gradient(upstream, *args)

        return value(*tensors), backward

    return function


def repeat(step, state, most):
    """`step(*state)` again and again, until the flag that ends what it returns is False.

    A graph that torch traces cannot end on a value: there it takes the `most` steps of any input.
    """
    if keras.backend.backend() == "torch":
        torch = sys.modules["torch"]
        if torch.compiler.is_compiling() or torch.jit.is_tracing():
            for _ in range(most):
                state = step(*state)
            return state
    return ops.while_loop(lambda *state: state[-1], step, state)


def tail(x):
    """`sigmoid(-|x|)`: the smaller of `sigmoid(x)` and `1 - sigmoid(x)`, without cancellation."""
    return ops.sigmoid(-ops.abs(x))


def absolute(x):
    """`|x|` with derivative 0 at 0, where JAX has 1."""
    return with_gradient(ops.abs, lambda upstream, x: upstream * ops.sign(x))(x)


def _positive(x):
    """`x` kept at or above the smallest normal float32, below which its logarithm is lost."""
    return ops.maximum(x, 1.1754944e-38)


def _reciprocal(x):
    """`1 / x`, and at 0 a bounded value: times the zero slope of a saturated unit it is not NaN."""
    return 1 / ops.where(x == 0, 2.0**-14, x)


def exp_difference(x, top):
    """`exp(x - top)`, the rounding of the difference made good.

    At a distance of 60 half a unit in the last place of the difference is 16 units of its
    exponential. What the subtraction drops is found exactly (Knuth's two-sum) and added to first
    order.
    """
    difference = x - top
    back = difference - x
    dropped = (x - (difference - back)) - (top + back)
    e = ops.exp(difference)
    # Where the exponential is 0 the difference may be infinite and what was dropped NaN.
    return ops.where(e == 0, e, e + e * dropped)


def leader(x, axis):
    """What log-sum-exp needs without cancellation: maximum, where it stands, and the rest.

    `logsumexp(x) = top + log1p(rest)`, where `rest` sums `exp(x - top)` over all entries but one
    that attains the maximum. Subtracting 1 from the whole sum would lose `rest` where one entry
    leads.

    Returns:
        `(top, leads, others, rest)`: the maximum with `axis` kept, a mask of the entries that
        attain it, `exp(x - top)` with 0 at those, and `rest`.
    """
    top = amax(x, axis=axis, keepdims=True)
    # A row of -inf has no leader to subtract: its entries stay -inf and their exponentials 0.
    top = ops.where(ops.isfinite(top), top, ops.zeros_like(top))
    leads = x == top
    others = ops.where(leads, ops.zeros_like(x), exp_difference(x, top))
    ties = ops.sum(ops.cast(leads, x.dtype), axis=axis, keepdims=True)
    rest = ops.sum(others, axis=axis, keepdims=True) + ops.maximum(ties - 1, 0)
    return top, leads, others, rest


def _logistic_value(x, y):
    return (ops.relu(x) - x * y) + ops.log1p(ops.exp(-ops.abs(x)))


def _logistic_gradient(upstream, x, y):
    # Never sigmoid(x) - 1: a logit that is right by 17 still has its gradient.
    if keras.backend.backend() == "torch":  # Two fused kernels beat one exponential in five passes.
        slope = (1 - y) * ops.sigmoid(x) - y * ops.sigmoid(-x)
    else:
        e = ops.exp(-ops.abs(x))
        small = e / (1 + e)
        slope = ops.where(x > 0, (1 - y) - small, small - y)
    return upstream * slope, None


# `y * softplus(-x) + (1 - y) * softplus(x)`: cross-entropy of a logit. Labels are constants.
logistic = with_gradient(_logistic_value, _logistic_gradient)


def _bernoulli_value(p, y):
    # Below 1/2 the complement would round, above it it is exact.
    log_complement = ops.where(p < 0.5, ops.log1p(-ops.minimum(p, 0.5)), ops.log(_positive(1 - p)))
    return -y * ops.log(_positive(p)) - (1 - y) * log_complement


def _bernoulli_gradient(upstream, p, y):
    return upstream * ((1 - y) * _reciprocal(1 - p) - y * _reciprocal(p)), None


# `-y * log(p) - (1 - y) * log(1 - p)`: cross-entropy of a probability. Labels are constants.
bernoulli = with_gradient(_bernoulli_value, _bernoulli_gradient)


def categorical(target, x, axis, from_logits):
    """Cross-entropy `sum(target * (log(sum(p)) - log(p)))` of logits or of unnormalized `p`.

    Both are told by the distance of each entry to the leading one, and by what the others weigh:
    a leader's own loss is `log1p(rest)`, which a difference of logarithms would lose.
    """

    def parts(x):
        if from_logits:
            top, leads, others, rest = leader(x, axis)
            return top - x, leads, others, rest, 1.0
        top = _positive(amax(x, axis=axis, keepdims=True))
        leads = x == top
        others = ops.where(leads, ops.zeros_like(x), x / top)
        ties = ops.sum(ops.cast(leads, x.dtype), axis=axis, keepdims=True)
        rest = ops.sum(others, axis=axis, keepdims=True) + ops.maximum(ties - 1, 0)
        return ops.log(top / _positive(x)), leads, others, rest, top

    def value(target, x):
        distance, _, _, rest, _ = parts(x)
        # An entry at minus infinity that nobody asks for is no loss.
        asked = ops.where(target == 0, ops.zeros_like(x), target * distance)
        mass = ops.sum(target, axis=axis)
        return ops.sum(asked, axis=axis) + mass * ops.log1p(ops.squeeze(rest, axis))

    def gradient(upstream, target, x):
        _, leads, others, rest, top = parts(x)
        p = ops.where(leads, 1.0, others) / (1 + rest)
        complement = ops.where(leads, rest / (1 + rest), 1 - p)
        mass = ops.sum(target, axis=axis, keepdims=True)
        upstream = ops.expand_dims(upstream, axis)
        if from_logits:
            return None, upstream * (p * (mass - target) - target * complement)
        slope = (mass - target) / (top * (1 + rest)) - target * complement * _reciprocal(x)
        return None, upstream * slope

    return with_gradient(value, gradient)(target, x)


def sparse_categorical(ids, x, axis, from_logits):
    """`categorical` for class ids: the label is told from the others by its id, not by a matrix."""

    def parts(ids, x):
        classes = ops.arange(x.shape[axis], dtype="int32")
        shape = [1] * len(x.shape)
        shape[axis] = -1
        label = ops.reshape(classes, shape) == ops.expand_dims(ids, axis)
        top = amax(x, axis=axis, keepdims=True)
        if from_logits:
            top = ops.where(ops.isfinite(top), top, ops.zeros_like(top))
            weights = exp_difference(x, top)
        else:
            top = _positive(top)
            weights = x / top
        # A maximum, so that an id out of range, which no entry has, shows as an infinite loss.
        chosen = amax(ops.where(label, x, -np.inf), axis=axis, keepdims=True)
        rest = ops.sum(ops.where(label, ops.zeros_like(x), weights), axis=axis, keepdims=True)
        own = exp_difference(chosen, top) if from_logits else ops.maximum(chosen, 0) / top
        return label, top, weights, chosen, rest, own

    def value(ids, x):
        _, top, _, chosen, rest, own = parts(ids, x)
        distance = top - chosen if from_logits else ops.log(top / _positive(chosen))
        # One of `rest` and `own` holds the leader's 1, so nothing is lost by taking it out.
        return ops.squeeze(distance + ops.log1p(rest + (own - 1)), axis)

    def gradient(upstream, ids, x):
        label, top, weights, chosen, rest, own = parts(ids, x)
        total = rest + own
        upstream = ops.expand_dims(upstream, axis)
        if from_logits:
            return None, upstream * (ops.where(label, -rest, weights) / total)
        slope = ops.where(label, -rest * _reciprocal(chosen), 1 / top) / total
        return None, upstream * slope

    return with_gradient(value, gradient)(ids, x)
