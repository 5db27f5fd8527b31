"""The curves of gates and their slopes, in two factors that a product with any float can use.

`sigmoid(-100)` is no normal float32, yet `1e30 * sigmoid(-100)` is. A curve here is a pair `(a, b)`
whose product is the curve: `(y * a) * b` is right wherever it is a normal number. Nothing cancels,
neither far out nor around the zero of a slope. Made for float32.
"""

import numbers

import keras
import numpy as np
from keras import ops

from keras_actloss.core.kernels import at_least, at_most, clip, exp_to_square, spent
from keras_actloss.core.numerics import exact_multiple, polynomial, with_gradient

# Each slope but the sigmoid's has one zero, left of 0: in two floats where it is, then by the
# distance from it what the slope holds beside a factor that cannot cancel.
#
# SiLU: 1 + x + exp(x) = d - (1 + flat) * (exp(d) - 1), the latter as a series for |d| < 1/4.
_SILU_FLAT = (-1.2784645557403564, 1.29792826e-08)
_EXPM1 = (1, 1 / 2, 1 / 6, 1 / 24, 1 / 120, 1 / 720)

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


def _sum(large, small):
    """The sum of two floats, and what its rounding drops.

    As a difference: TensorFlow's optimizer takes a sum of sums, of 1 and that say, in an order of
    its own.
    """
    total = large + small
    return total, small - (total - large)


def _root(size, low=None):
    """`exp(-(size + low) / 2)`: where its square underflows, a float times both need not.

    It is the one function here that XLA keeps for all that is computed of it: a quotient that stood
    twice would take a pass over memory of its own.
    """
    root = exp_to_square(-0.5 * size)
    return root if low is None else root * (1 - 0.5 * low)


def _size(x, factor=1.0):
    """`|factor * x|` of a number or a tensor, as a sum of two floats."""
    size, low = exact_multiple(ops.abs(x), abs(factor), 300)
    is_clipped = low is not None and isinstance(factor, numbers.Real)
    # At an infinity 0 times infinity would be NaN; the root is 0 long before.
    return size if is_clipped else at_most(size, 300.0), low


def _in_halves(t, right, left, root):
    """The two factors of `right` for positive `t`, else of `left * root`."""
    return ops.where(t > 0, right, left), ops.where(t > 0, 1.0, root)


def sigmoid(x, factor=1.0):
    root = _root(*_size(x, factor))
    a, b = _in_halves(factor * x, 1.0, root, root)
    return a / (1 + ops.square(root)), b


def sigmoid_slope(x, factor=1.0):
    root = _root(*_size(x, factor))
    return root / ops.square(1 + ops.square(root)), root


def _until_shut(x, t):
    """`x`, but 0 where `sigmoid(t)` is: an infinity times 0 would be NaN."""
    return ops.where(t < -200, 0.0, x)


def silu(x, factor=1.0):
    """`x * sigmoid(factor * x)`."""
    a, b = sigmoid(x, factor)
    # Half of a tiny x is no normal number: x belongs to the factor that comes last.
    return a, _until_shut(x, factor * x) * b


def _from_silu_flat(x, size, low, factor):
    """How far `-size` is right of the slope's zero: `scale * (distance - flat[1])`.

    By a number that keeps both floats the zero is divided, and the distance that of `x`, which no
    product has rounded.
    """
    scale = abs(float(factor)) if isinstance(factor, numbers.Real) else 0.0
    if not 2.0**-100 < scale < 2.0**100:
        distance = -size - _SILU_FLAT[0]
        return distance if low is None else distance - low, _SILU_FLAT, 1.0
    flat = sum(_SILU_FLAT) / scale
    rounded = float(np.float32(flat))
    return -ops.abs(x) - rounded, (rounded, flat - rounded), scale


def silu_slope(x, factor=1.0):
    size, low = _size(x, factor)
    root = _root(size, low)
    e = ops.square(root)
    distance, flat, scale = _from_silu_flat(x, size, low, factor)
    d = scale * distance
    series = scale - scale * (1 + sum(_SILU_FLAT)) * polynomial(_EXPM1, d)
    left = ops.where(ops.abs(d) < 0.25, _distance_times(distance, flat, series), (1 - size) + e)
    a, b = _in_halves(factor * x, 1 + e * (1 + size), root * left, root)
    return a / ops.square(1 + e), b


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
    a, b = sigmoid_slope(x, factor)
    x = _until_shut(x, -ops.abs(factor * x))
    return x * a, x * b


def _gaussian(x):
    """`|x|`, its place in the polynomials, and the root of `exp(-x**2 / 2)`."""
    t = at_most(ops.abs(x), 30.0)
    lead = ops.round(t * 64) / 64
    exponent, low = _sum(-0.25 * (lead * lead), -0.25 * ((t - lead) * (t + lead)))
    return t, (t - 4) / (t + 4), ops.exp(exponent) * (1 + low)


def _normal_tail(x):
    t, z, root = _gaussian(x)
    return root * (polynomial(_MILLS, z) / (t + 4)), root


def normal_tail(x):
    """What a normal distribution has beyond `|x|`."""
    tail, root = _normal_tail(x)
    return tail * root


def gelu(x):
    tail, root = _normal_tail(x)
    a, b = _in_halves(x, 1 - tail * root, tail, root)
    return a, at_least(x, -30.0) * b


def gelu_slope(x):
    t, z, root = _gaussian(x)
    series = polynomial(_MILLS_SLOPE, z)
    tail = -root * _distance_times(t - _GELU_FLAT[0], _GELU_FLAT, series)
    return _in_halves(x, 1 - tail * root, tail, root)


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
    root = _root(*_cubic(x)[1:])
    a, b = _in_halves(x, 1.0, root, root)
    return a / (1 + ops.square(root)), at_least(x, -14.0) * b


def gelu_tanh_slope(x):
    t, *exponent = _cubic(x)
    root = _root(*exponent)
    e = ops.square(root)
    d = x - _TANH_FLAT[0]
    near = _distance_times(d, _TANH_FLAT, polynomial(_TANH_SLOPE, d))
    turn = t * (sum(_LINEAR) + 3 * sum(_CUBIC) * (t * t)) / (1 + e)
    left = ops.where(ops.abs(d) < 0.3, near, 1 - turn)
    a, b = _in_halves(x, 1 + e * turn, root * left, root)
    return a / (1 + e), b


def _fast_gelu_tanh_parts(x):
    """`x` as far as its gate is neither 0 nor 1, `cubic * x**2` and the gate."""
    inside = clip(x, -14, 14)
    cubic = spent("multiply", ops.square(inside), sum(_CUBIC))
    return inside, cubic, spent("sigmoid", spent("multiply", cubic + sum(_LINEAR), inside))


def _fast_gelu_tanh_value(x):
    if keras.backend.backend() == "torch":
        return ops.gelu(x, approximate=True)
    return at_least(x, -14) * _fast_gelu_tanh_parts(x)[-1]


def _fast_gelu_tanh_gradient(upstream, x):
    inside, cubic, gate = _fast_gelu_tanh_parts(x)
    turn = spent("multiply", spent("add", spent("multiply", cubic, 3), sum(_LINEAR)), inside)
    slope = spent("multiply", spent("add", spent("multiply", turn, 1 - gate), 1), gate)
    return spent("multiply", slope, upstream)


# As fast as the backends' own, and right where their squares overflow, which makes their slope NaN,
# and where their tanh is -1, which makes their tail 0. Around the zero of its slope it cancels.
fast_gelu_tanh = with_gradient(_fast_gelu_tanh_value, _fast_gelu_tanh_gradient)
