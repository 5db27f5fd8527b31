"""Special functions that `keras.ops` lacks, of float32, with exact gradients."""

import math

import numpy as np
from keras import ops

from keras_actloss.core.gates import normal_tail
from keras_actloss.core.numerics import (
    SMALLEST,
    expm1,
    is_power_of_two,
    polynomial,
    product,
    with_gradient,
)
from keras_actloss.core.tensors import dtype_of

HALF_LOG_2PI = math.log(2 * math.pi) / 2

# Minimax polynomials. (atanh(z) / z - 1) / z**2 by z**2 up to 1/4.
_ATANH = (
    0.3333333332635889,
    0.20000003529137986,
    0.14285422858200564,
    0.11120213753852941,
    0.08952772100631792,
    0.08810371864854691,
    0.018275601125330308,
    0.15845873168606536,
)
# (exp(x) - 1 - x) / x**2 by x from -1 to 2.
_EXPM1_EXCESS = (
    0.5000000020825125,
    0.16666669466558054,
    0.04166662828328154,
    0.00833314301914123,
    0.0013890472740018078,
    0.0001987216921010378,
    2.454036194841889e-05,
    2.6336364681028563e-06,
    4.196350443582131e-07,
)
# lgamma(x) / ((x - 1) * (x - 2)) by (x - 2) / (x + 2), for x from 1/2 to 8.
_LGAMMA = (
    0.422784335273699,
    -0.4012693092321343,
    0.12617084761744948,
    -0.1389672231761582,
    0.0829309585118423,
    -0.08745141214281026,
    0.06255300131716113,
    -0.06041607741730497,
    0.04689718323674572,
    -0.07400119941431503,
    0.06130561347849881,
    0.032177562980389166,
    -0.028683861288968583,
    -0.14363267995667336,
    0.1257346594157382,
)
# x * (log(x) - digamma(x)) by 1/x up to 1.
_DIGAMMA = (
    0.4999999993648241,
    0.08333347469310266,
    -5.1783397925468525e-06,
    -0.00825989226006131,
    -0.0005266684473900194,
    0.006104606050404866,
    -0.005001570411352442,
    0.0017319912755461898,
    -9.383767242331549e-05,
    -6.726008439584996e-05,
)
# x * binet(x) by 1/x up to 1.
_BINET = (
    0.08333333391001656,
    -9.576217576193462e-08,
    -0.002775170287678989,
    -2.696496741395493e-05,
    0.0009286153249632286,
    -0.00034522991897727883,
    -0.00023282987197113098,
    0.00024435091095079424,
    -6.454310327647782e-05,
)


def exp_factors(x, low=0.0):
    """Two factors of `exp(x + low)`, for `x` within 176 of 0 and a `low` that is a rounding.

    `exp(100)` is no float32, yet `1e-30 * exp(100)` is: `(y * a) * b` is right wherever the product
    is a normal number.
    """
    deep = ops.abs(x) > 80
    a = ops.exp(ops.clip(ops.where(deep, x / 2, x), -88, 88))
    return a if isinstance(low, float) else a * (1 + low), ops.where(deep, a, ops.ones_like(a))


def product_factors(factor, x, low=0.0):
    """`exp_factors` of `factor * (x + low)`, the rounding of the product made good."""
    if factor == 0:
        return ops.ones_like(x), ops.ones_like(x)
    if is_power_of_two(abs(factor)) or dtype_of(x) == "float64":
        return exp_factors(factor * x, factor * low)
    x = ops.clip(x, -200 / abs(factor), 200 / abs(factor))
    high = float(np.float32(factor))
    t, dropped = product(ops.convert_to_tensor(high, dtype=x.dtype), x)
    return exp_factors(t, dropped + (factor - high) * x + factor * low)


def power_factors(x, exponent):
    """Two factors of `x**exponent`, for positive x."""
    # The rounding of the logarithm, up to 64 units of its exponential, found and made good.
    log = ops.log(x)
    a, b = exp_factors(-log)
    return product_factors(exponent, log, (x * a) * b - 1)


def _log_ratio(a, b, difference):
    large, small = ops.maximum(a, b), ops.minimum(a, b)
    # One logarithm, of the larger over the smaller: exact next to 0 as well as far from it.
    # Its sign is no function `sign`, whose product with `abs` has the slope 0 at 0.
    side = ops.sign(ops.sign(difference) + 0.5)
    beyond = side * difference / small
    wide = beyond > 2.0**120
    narrowed = (large * 2.0**-64) / (small * 2.0**64) - 1
    apart = ops.log1p(ops.where(wide, narrowed, beyond))
    return side * (apart + 128 * math.log(2) * ops.cast(wide, a.dtype))


_log_ratio_of_three = with_gradient(
    _log_ratio, lambda upstream, a, b, difference: (upstream / a, -upstream / b, None)
)


def log_ratio(a, b, difference=None):
    """`log(a / b)` of positive numbers, exact where they are close and where `a / b` overflows.

    `difference` is `a - b`, for who knows it better than the two roundings do.
    """
    return _log_ratio_of_three(a, b, a - b if difference is None else difference)


def relative_entropy(a, b, difference=None):
    """`a * log(a / b) - a + b` of numbers of at least 0: at least 0 too, and 0 if they are equal.

    It comes without a gradient. `difference` is `a - b`, as in `log_ratio`.
    """
    difference = a - b if difference is None else difference
    total = a + b
    z = difference / ops.where(total == 0, 1.0, total)
    # Both logarithms of the near form, 2 * atanh(z), without what cancels between them.
    near = difference * z + 2 * a * z * (z * z) * polynomial(_ATANH, z * z)
    ratio = log_ratio(ops.maximum(a, SMALLEST), ops.maximum(b, SMALLEST))
    return ops.where(ops.abs(z) < 0.5, near, a * ratio - difference)


def _expm1_excess_value(x):
    inside = ops.clip(x, -1, 2)
    near = inside * inside * polynomial(_EXPM1_EXCESS, inside)
    return ops.where(x == inside, near, ops.exp(x) - (1 + x))


# `exp(x) - 1 - x`, which is at least 0.
expm1_excess = with_gradient(_expm1_excess_value, lambda upstream, x: upstream * expm1(x))


def normal_between(edges):
    """What a normal distribution has between each two neighbors of the last axis, in order."""
    tail, inner = normal_tail(edges), 0.5 * ops.erf(edges * math.sqrt(1 / 2))
    low, high = edges[..., :-1], edges[..., 1:]
    across = ops.logical_and(low < 0, high > 0)
    beside = ops.abs(tail[..., 1:] - tail[..., :-1])
    return ops.where(across, inner[..., 1:] - inner[..., :-1], beside)


def binet(x):
    """What Stirling's formula leaves of `lgamma(x)`, for positive x.

    `lgamma(x) = (x - 1/2) * log(x) - x + log(2 * pi) / 2 + binet(x)`. Exact beside 1, not for
    itself: it goes to 0.
    """
    # One step up from below 1, where the polynomial ends.
    below = x < 1
    w = 1 / ops.where(below, x + 1, x)
    step = (x + 0.5) * ops.log1p(1 / ops.where(below, x, 1.0)) - 1
    return w * polynomial(_BINET, w) + ops.where(below, step, 0.0)


def log_minus_digamma(x):
    """`log(x) - digamma(x)` of positive x, which is positive."""
    below = x < 1
    w = 1 / ops.where(below, x + 1, x)
    inverse = 1 / ops.where(below, x, 1.0)
    step = inverse - ops.log1p(inverse)
    return w * polynomial(_DIGAMMA, w) + ops.where(below, step, 0.0)


def digamma(x):
    """Derivative of `lgamma`, for positive x."""
    return ops.log(x) - log_minus_digamma(x)


def _lgamma_value(x):
    small, large = x < 0.5, x > 8
    inside = ops.clip(ops.where(small, x + 1, x), 0.5, 8.0)
    z = (inside - 2) / (inside + 2)
    near = (inside - 1) * (inside - 2) * polynomial(_LGAMMA, z)
    log = ops.log(ops.where(small | large, x, 1.0))
    w = 1 / ops.maximum(x, 8.0)
    far = x * (log - 1) - 0.5 * log + (HALF_LOG_2PI + w * polynomial(_BINET[:4], w))
    return ops.where(large, far, near - ops.where(small, log, 0.0))


# Logarithm of the gamma function of positive numbers.
lgamma = with_gradient(_lgamma_value, lambda upstream, x: upstream * digamma(x))
