"""Stable primitives: exact gradients where automatic differentiation cancels, in one wrapper."""

import math
import sys
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_actloss.core.keras_fixes import amax, custom_gradient


def with_gradient(value, gradient, shared=None) -> Callable[..., Any]:
    """`value(*tensors)` whose gradient is `gradient(upstream, *tensors)`, a value for each tensor.

    With `shared`, both take what `shared(*tensors)` gives as their first argument, and it is
    computed once.

    The backends disagree on how the gradient is called: torch passes the arguments and a keyword,
    JAX and TensorFlow the upstream alone. A gradient that is differentiated again on torch is
    computed from the arguments it is handed, for what the forward pass left behind is a constant
    there.
    """

    def prepared(tensors):
        return () if shared is None else (shared(*tensors),)

    @custom_gradient
    def function(*tensors):
        kept = prepared(tensors)

        def backward(*args, upstream=None):
            if upstream is None:
                return gradient(args[0], *kept, *tensors)
            again = sys.modules["torch"].is_grad_enabled()
            return gradient(upstream, *(prepared(args) if again else kept), *args)

        return value(*kept, *tensors), backward

    def exportable(*tensors):
        if traced_by_torch():
            return value(*prepared(tensors), *tensors)
        return function(*tensors)

    return exportable


def traced_by_torch():
    """Whether torch records a graph for a file, in which exporters know but the common ops."""
    return keras.backend.backend() == "torch" and sys.modules["torch"].jit.is_tracing()


def runs_torch():
    """Whether torch runs what is called, and so its kernels serve; not where it records them."""
    return keras.backend.backend() == "torch" and not traced_by_torch()


def repeat(step, state, most):
    """`step(*state)` again and again, until the flag that ends what it returns is False.

    A graph that torch traces cannot end on a value: there it takes the `most` steps of any input.
    """
    torch = keras.backend.backend() == "torch" and sys.modules["torch"]
    if torch and (torch.compiler.is_compiling() or traced_by_torch()):
        for _ in range(most):
            state = step(*state)
        return state
    return ops.while_loop(lambda *state: state[-1], step, state)


def tail(x):
    """`sigmoid(-|x|)`: the smaller of `sigmoid(x)` and `1 - sigmoid(x)`, without cancellation."""
    return ops.sigmoid(-ops.abs(x))


def tanh_slope(x):
    """`1 - tanh(x)**2` as `4 s (1 - s)` with `s = sigmoid(-2 |x|)`, which does not cancel."""
    small = tail(2 * x)
    return 4 * small * (1 - small)


def absolute(x):
    """`|x|` with derivative 0 at 0, where `ops.abs` has 1 on JAX."""
    if keras.backend.backend() != "jax":
        return ops.abs(x)
    return with_gradient(ops.abs, lambda upstream, x: upstream * ops.sign(x))(x)


def smooth_absolute(x, beta):
    """`|x| - beta / 2`, and below `beta` the parabola `x**2 / (2 beta)` that goes on with it."""
    if beta == 0:
        return absolute(x)

    def value(x):
        bounded = ops.minimum(ops.abs(x), beta)
        return bounded / beta * (ops.abs(x) - 0.5 * bounded)

    return with_gradient(value, lambda upstream, x: upstream * ops.clip(x / beta, -1, 1))(x)


# Of float32. Below it compilers flush to zero, and the logarithm is lost.
_SMALLEST = 2.0**-126


def _positive(x):
    """`x`, at least the smallest normal number."""
    return ops.maximum(x, _SMALLEST)


def _reciprocal(x):
    """`1 / x`, and at 0 a bounded value: times the zero slope of a saturated unit it is not NaN."""
    return 1 / ops.where(x == 0, 2.0**-14, x)


def expm1(x):
    """`exp(x) - 1` without cancellation, in ops that every exporter knows.

    Off torch the product is as exact as the backend's own kernel and no slower: XLA computes that
    one with it, and shares the exponential with a gradient that has it. Its hyperbolic tangent
    loses inputs below 2.4e-38, whose half is flushed to zero.
    """
    if runs_torch():
        return ops.expm1(x)
    return ops.tanh(x / 2) * (ops.exp(x) + 1)


def polynomial(coefficients, x):
    """The polynomial with these coefficients, constant term first."""
    result = coefficients[-1]
    for coefficient in reversed(coefficients[:-1]):
        result = result * x + coefficient
    return result


def is_power_of_two(factor):
    """Whether a product with `factor` is exact."""
    return math.frexp(factor)[0] == 0.5


def exp_multiple(x, factor):
    """`exp(factor * x)` for `x` at most 0, the rounding of the product made good.

    At -60 half a unit in the last place of the product is 32 units of its exponential. The product
    of the leading 12 bits of both is exact, and what they leave is a small exponent of its own.
    """
    if is_power_of_two(factor) or keras.backend.standardize_dtype(x.dtype) == "float64":
        return ops.exp(factor * x)
    # A step of x times the factor is between 1/32 and 1/16; where there are more than 4096 of them
    # the result is 0.
    step = 2.0 ** -(math.frexp(factor)[1] + 4)
    leading = math.ldexp(round(math.ldexp(factor * step, 16)), -16)
    x = ops.maximum(x, -128 / factor)
    steps = ops.round(x * (1 / step))
    rest = (factor * step - leading) * steps + factor * (x - step * steps)
    e = ops.exp(leading * steps)
    # A series, since XLA would merge two exponentials into one of the sum.
    return e + e * rest * (1 + rest * (1 / 2 + rest * (1 / 6 + rest * (1 / 24))))


def _halves(x):
    """`x` of float32 as a sum of two floats with half of the digits each."""
    # A power of two, so that a fused multiply-add of a compiler changes nothing.
    shifted = x * 4096.0
    high = (x + shifted) - shifted
    return high, x - high


def product(a, b):
    """`a * b` of float32 tensors and what its rounding dropped (Dekker's two-product).

    Where the product goes into an exponential that matters: at an exponent of 60 half a unit in its
    last place is 32 units of the exponential.
    """
    rounded = a * b
    (high_a, low_a), (high_b, low_b) = _halves(a), _halves(b)
    dropped = ((high_a * high_b - rounded) + (high_a * low_b + low_a * high_b)) + low_a * low_b
    # NaN where a half overflows; nobody asks for an exponential there.
    return rounded, ops.where(ops.abs(dropped) < 1, dropped, ops.zeros_like(dropped))


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


def exp_near(x, top):
    """`exp(x - shift)` and `shift`, such that what is near `top` neither over- nor underflows.

    The exponential of a rounded difference is off by 16 units in the last place at a distance of
    60. Here nothing is subtracted from most rows, and from the others a whole number that leaves
    what counts exact: everything down to `top - 71` stays a normal float, and a sum of a billion
    terms finite.
    """
    shift = ops.round(ops.relu(top - 64)) - ops.round(ops.relu(-16 - top))
    return ops.exp(x - shift), shift


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
    e, shift = exp_near(ops.where(leads, -np.inf, x), top)
    others = e * ops.exp(shift - top)
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
    log_p, log_complement = ops.log(ops.maximum(p, 0)), ops.log1p(-ops.minimum(p, 1))
    # The loss of a certain mistake is that of the smallest normal number.
    least = math.log(_SMALLEST)
    return -y * ops.maximum(log_p, least) - (1 - y) * ops.maximum(log_complement, least)


def _bernoulli_gradient(upstream, p, y):
    return upstream * ((1 - y) * _reciprocal(1 - p) - y * _reciprocal(p)), None


# `-y * log(p) - (1 - y) * log(1 - p)`: cross-entropy of a probability. Labels are constants.
bernoulli = with_gradient(_bernoulli_value, _bernoulli_gradient)


def categorical(target, x, axis, from_logits):
    """Cross-entropy `sum(target * (log(sum(p)) - log(p)))` of logits or of unnormalized `p`.

    Both are told by the distance of each entry to the leading one, and by what the others weigh
    beside it: a leader's own loss is `log1p(rest)`, which a difference of logarithms would lose.
    """

    def others(x, top):
        """Which entries lead, and what the others weigh: a product, for a sum to be scaled once."""
        leads = x == top
        if from_logits:
            e, shift = exp_near(x, top)
            scale = ops.exp(shift - top)
        else:
            e, scale = x, 1 / top
        return leads, ops.where(leads, 0.0, e), scale

    def shared(target, x):
        top = amax(x, axis=axis, keepdims=True)
        # A row of -inf has no leader to subtract: its entries stay -inf and weigh nothing.
        top = ops.where(ops.isfinite(top), top, 0.0) if from_logits else _positive(top)
        leads, e, scale = others(x, top)
        ties = ops.sum(ops.cast(leads, x.dtype), axis=axis, keepdims=True)
        rest = ops.sum(e, axis=axis, keepdims=True) * scale + ops.maximum(ties - 1, 0)
        return top, rest, ops.sum(target, axis=axis, keepdims=True)

    def value(shared, target, x):
        top, rest, mass = shared
        distance = top - x if from_logits else ops.log(top / _positive(x))
        # An entry at minus infinity that nobody asks for is no loss.
        asked = ops.where(target == 0, 0.0, target * distance)
        return ops.sum(asked, axis=axis) + ops.squeeze(mass * ops.log1p(rest), axis)

    def gradient(upstream, shared, target, x):
        top, rest, mass = shared
        upstream = ops.expand_dims(upstream, axis) / (1 + rest)
        leads, e, scale = others(x, top)
        weight = ops.where(leads, 1.0, e * scale)
        # In this order nothing cancels at a leader, whose weight is 1 to the last digit.
        if from_logits:
            return None, upstream * ((mass * weight - target) - target * rest)
        ratio = target * _reciprocal(weight)
        return None, upstream / top * ((mass - ratio) - ratio * rest)

    return with_gradient(value, gradient, shared)(target, x)


def _against_logits(label, own, x, axis):
    """`-log(softmax(x))` of the label's logit `own`, and its derivatives.

    Returns:
        `(loss, of_label, factor, of_others)`: the derivative is `of_label` at the label and
        `factor * of_others` elsewhere.
    """
    others = ops.where(label, -np.inf, x)
    top = amax(others, axis=axis, keepdims=True)
    # With no other class there is nothing to be behind.
    top = ops.where(ops.isfinite(top), top, own)
    e, shift = exp_near(others, top)
    total = ops.sum(e, axis=axis, keepdims=True)
    # Relative to the larger of `top` and `own`, one of the two weights is at least 1.
    behind = own < top
    small = exp_difference(ops.minimum(own, top), ops.maximum(own, top))
    weight = total * ops.exp(shift - top) * ops.where(behind, 1.0, small)
    own_weight = ops.where(behind, small, 1.0)
    loss = ops.relu(top - own) + ops.log1p(weight + (own_weight - 1))
    p = weight / (weight + own_weight)
    return loss, -p, p / ops.where(total == 0, 1.0, total), e


def _against_probabilities(label, own, x, axis):
    """`_against_logits` for probabilities, which need not sum to 1."""
    total = ops.sum(ops.where(label, 0.0, x), axis=axis, keepdims=True)
    own = ops.relu(own)
    ratio = total / _positive(own)
    large = ops.log(_positive(total)) - ops.log(_positive(own))
    loss = ops.where(ops.isfinite(ratio), ops.log1p(ratio), large)
    factor = _reciprocal(total + own)
    return loss, -total * _reciprocal(own) * factor, factor, 1.0


def sparse_categorical(ids, x, axis, from_logits):
    """`categorical` for class ids: the label is told from the others by its id, not by a matrix."""

    def shared(ids, x):
        classes = ops.arange(x.shape[axis], dtype="int32")
        shape = [1] * len(x.shape)
        shape[axis] = -1
        ids = ops.expand_dims(ids, axis)
        label = ops.reshape(classes, shape) == ids
        # Out of range, where JAX gives NaN and others raise; a negative id counts from the end.
        ids = ops.where(ids < 0, x.shape[axis], ids)
        own = ops.take_along_axis(x, ids, axis)
        against = _against_logits if from_logits else _against_probabilities
        return label, *against(label, own, x, axis)

    def value(shared, ids, x):
        return ops.squeeze(shared[1], axis)

    def gradient(upstream, shared, ids, x):
        label, _, of_label, factor, of_others = shared
        upstream = ops.expand_dims(upstream, axis)
        return None, ops.where(label, upstream * of_label, upstream * factor * of_others)

    return with_gradient(value, gradient, shared)(ids, x)
