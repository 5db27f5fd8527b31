"""The curves of gates and their slopes, in two factors that a product with any float can use.

`sigmoid(-100)` is no normal float32, yet `1e30 * sigmoid(-100)` is. A curve here is a pair `(a, b)`
whose product is the curve: `(y * a) * b` is right wherever it is a normal number. Nothing cancels,
neither far out nor around the zero of a slope. Made for float32.
"""

import keras
import numpy as np
from keras import ops

from keras_actloss.core.kernels import at_least, at_most, clip
from keras_actloss.core.numerics import exact_multiple, polynomial, with_gradient

# Each slope but the sigmoid's has one zero, left of 0: in two floats where it is, then by the
# distance from it what the slope holds beside a factor that cannot cancel.
#
# SiLU: 1 + x + exp(x) = d - (1 + flat) * (exp(d) - 1), the latter as a series for |d| < 1/2.
_SILU_FLAT = (-1.2784645557403564, 1.29792826e-08)
_EXPM1 = (1, 1 / 2, 1 / 6, 1 / 24, 1 / 120, 1 / 720, 1 / 5040)

# GELU: polynomials in z = (t - 4) / (t + 4) with t = |x|, to 3e-8, of (t + 4) * m and of
# (m - t / sqrt(2 * pi)) / (t0 - t), where m = exp(t**2 / 2) * cdf(-t) and t0 is the zero.
_GELU_FLAT = (0.7517915368080139, -1.21144494586e-8)
_MILLS = (
    0.7552851358446894,
    -0.6078965046127769,
    0.3871369363596495,
    -0.1865252412589066,
    0.06040208648783957,
    -0.007515954399721325,
    -0.003499371097471897,
    0.0015592650283986344,
    0.00015401216322928765,
    -0.00014278188851202784,
)
_MILLS_SLOPE = (
    0.4622112565175388,
    -0.10336593239463159,
    0.060462173700742604,
    -0.02808286746434177,
    0.009512523806695244,
    -0.0017883473890010473,
    -0.00017984813685746238,
    0.00017631249203540222,
    1.1042983347518246e-05,
)

# GELU in its tanh form, x * sigmoid(linear * x + cubic * x**3): the slope by sigmoid and d.
_TANH_FLAT = (-0.7524614334106445, 1.1339628272762e-8)
_TANH_SLOPE = (
    1.9045991238220834,
    -0.816318468559459,
    0.06160514172811754,
    0.0023185347959650826,
    0.010204979227520073,
    -0.0016839759332898977,
    -0.0008306078834023395,
)
# Both coefficients as a sum whose first part has few enough bits for exact products.
_LINEAR = (1.5957679748535156, 1.1467522150867598e-06)
_CUBIC = (9 / 128, 0.0010423162726002487)


def left_to_kernels(dtype):
    """Whether the backend's own kernels take the place of these curves in a dtype.

    Torch runs the exact maths op by op, in more than ten times what its kernels take.
    """
    return dtype == "float64" or (dtype == "float32" and keras.backend.backend() == "torch")


def _distance_times(d, flat, series):
    """`(d - flat[1]) * series`; a difference of constants would be folded into one float."""
    return d * series - flat[1] * series


def _in_halves(x, right, left, rest, divisor=1):
    """`right` for positive x, else `left` with the second factor `rest`, both by `divisor`."""
    return ops.where(x > 0, right, left) / divisor, ops.where(x > 0, 1.0, rest)


def _sum(large, small):
    """The sum of two floats, and what its rounding drops."""
    total = large + small
    return total, (large - total) + small


def _decay(x, low=None):
    """`|x|` and `exp(-|x + low|)` as two factors: far out as its root, twice."""
    # At an infinity 0 times infinity would be NaN; here the exponential is 0 long before.
    m = at_most(ops.abs(x), 2000.0)
    deep = m > 80
    e = ops.exp(-ops.where(deep, m / 2, m))
    rest = ops.where(deep, e, 1.0)
    # Not e plus a product with e, which would be flushed to zero long before e is.
    return m, (e if low is None else e * (1 - ops.sign(x) * low)), rest


def sigmoid(x, low=None):
    """Of `x`, or of the sum `x + low` of two floats."""
    _, e, rest = _decay(x, low)
    return _in_halves(x, 1.0, e, rest, 1 + e)


def sigmoid_slope(x, low=None):
    _, e, rest = _decay(x, low)
    return e / ((1 + e) * (1 + e)), rest


def _until_shut(x, t):
    """`x`, but 0 where `sigmoid(t)` is: an infinity times 0 would be NaN."""
    return ops.where(t < -200, 0.0, x)


def silu(x, factor=1.0):
    """`x * sigmoid(factor * x)`, for a number or a tensor."""
    t, low = exact_multiple(x, factor, 300)
    a, b = sigmoid(t, low)
    # Half of a tiny x is no normal number: x belongs to the factor that comes last.
    return a, _until_shut(x, t) * b


def silu_slope(x, factor=1.0):
    t, low = exact_multiple(x, factor, 300)
    m, e, rest = _decay(t, low)
    d = t - _SILU_FLAT[0]
    d = d if low is None else d + low
    series = 1 - (1 + sum(_SILU_FLAT)) * polynomial(_EXPM1, d)
    near = _distance_times(d, _SILU_FLAT, series)
    left = e * ops.where(ops.abs(d) < 0.5, near, (1 - m) + e)
    right = 1 + e * (1 + m)
    return _in_halves(t, right, left, rest, (1 + e) * (1 + e))


def fast_silu_slope(x, factor):
    """`silu_slope` in fewer steps, for torch; `factor` is a number and may be rounded."""
    flat = sum(_SILU_FLAT) / factor
    rounded = float(np.float32(flat))
    d = clip(factor * ((x - rounded) - (flat - rounded)), -200, 85)
    # By the distance from its zero, 1 + t + exp(t) is a sum of terms of one sign.
    least = -1 - sum(_SILU_FLAT)
    e = least * ops.exp(d)
    return e / (1 + e), (d + least * ops.expm1(d)) / (1 + e)


def silu_slope_by_factor(x, factor):
    t, low = exact_multiple(x, factor, 300)
    a, b = sigmoid_slope(t, low)
    x = _until_shut(x, -ops.abs(t))
    return x * a, x * b


def _gaussian(x):
    """`|x|`, its place in the polynomials, and `exp(-x**2 / 2)` as two factors."""
    t = at_most(ops.abs(x), 30.0)
    lead = ops.round(t * 64) / 64
    deep = t > 12
    scale = ops.where(deep, -0.25, -0.5)
    exponent, low = _sum(scale * (lead * lead), scale * ((t - lead) * (t + lead)))
    e = ops.exp(exponent) * (1 + low)
    return t, (t - 4) / (t + 4), e, ops.where(deep, e, 1.0)


def _normal_tail(x):
    t, z, e, rest = _gaussian(x)
    return e * (polynomial(_MILLS, z) / (t + 4)), rest


def normal_tail(x):
    """What a normal distribution has beyond `|x|`."""
    tail, rest = _normal_tail(x)
    return tail * rest


def gelu(x):
    tail, rest = _normal_tail(x)
    a, b = _in_halves(x, 1 - tail, tail, rest)
    return a, at_least(x, -30.0) * b


def gelu_slope(x):
    t, z, e, rest = _gaussian(x)
    series = polynomial(_MILLS_SLOPE, z)
    tail = -e * _distance_times(t - _GELU_FLAT[0], _GELU_FLAT, series)
    return _in_halves(x, 1 - tail, tail, rest)


def _cubic(x):
    """`|x|` and `linear * |x| + cubic * |x|**3` as a sum of two floats that may be an exponent."""
    t = at_most(ops.abs(x), 14.0)
    lead = ops.round(t * 64) / 64
    more = t - lead
    # The factor of t as a sum, then as its leading 12 bits and the rest.
    large = _LINEAR[0] + _CUBIC[0] * (lead * lead)
    small = _LINEAR[1] + _CUBIC[1] * (lead * lead) + sum(_CUBIC) * (more * (t + lead))
    factor = ops.round((large + small) * 256) / 256
    small = (large - factor) + small
    return t, *_sum(lead * factor, lead * small + more * (factor + small))


def gelu_tanh(x):
    _, e, rest = _decay(*_cubic(x)[1:])
    a, b = _in_halves(x, 1.0, e, rest, 1 + e)
    return a, at_least(x, -14.0) * b


def gelu_tanh_slope(x):
    t, *exponent = _cubic(x)
    _, e, rest = _decay(*exponent)
    d = x - _TANH_FLAT[0]
    near = _distance_times(d, _TANH_FLAT, polynomial(_TANH_SLOPE, d))
    turn = t * (sum(_LINEAR) + 3 * sum(_CUBIC) * (t * t)) / (1 + e)
    left = ops.where(ops.abs(d) < 0.3, near, 1 - turn)
    return _in_halves(x, 1 + e * turn, e * left, rest, 1 + e)


def _fast_gelu_tanh_parts(x):
    """`x` as far as its gate is neither 0 nor 1, and what it is times in the sigmoid, as a sum."""
    inside = clip(x, -14, 14)
    return inside, sum(_LINEAR), sum(_CUBIC) * ops.square(inside)


def _fast_gelu_tanh_value(x):
    if keras.backend.backend() == "torch":
        return ops.gelu(x, approximate=True)
    inside, linear, cubic = _fast_gelu_tanh_parts(x)
    return at_least(x, -14) * ops.sigmoid(inside * (linear + cubic))


def _fast_gelu_tanh_gradient(upstream, x):
    inside, linear, cubic = _fast_gelu_tanh_parts(x)
    gate = ops.sigmoid(inside * (linear + cubic))
    return upstream * (gate + gate * (1 - gate) * (inside * (linear + 3 * cubic)))


# As fast as the backends' own, and right where their squares overflow, which makes their slope NaN,
# and where their tanh is -1, which makes their tail 0. Around the zero of its slope it cancels.
fast_gelu_tanh = with_gradient(_fast_gelu_tanh_value, _fast_gelu_tanh_gradient)
