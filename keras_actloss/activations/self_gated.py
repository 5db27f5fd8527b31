"""Activations that multiply their input by a smooth gate of itself: silu, gelu and their kin."""

import numbers
from typing import Unpack

import keras
from keras import ops

from keras_actloss.core import tensors
from keras_actloss.core.checks import finite_or_tensor, flag
from keras_actloss.core.functions import activation, by_width
from keras_actloss.core.layer import ActivationLayer, LayerArguments
from keras_actloss.core.numerics import exact_square, product, tail, with_gradient
from keras_actloss.core.registry import register

# Where a slope crosses zero its terms cancel. Near it these minimax polynomials stand in, in the
# distance from the float next to the zero, constant term first: its position is given with them.
# Those of silu and gelu are slopes at `-a`, told in `a`.
_SILU_ZERO = 1.2784645557403564
_SILU_SLOPE = (
    *(-2.82703967e-09, -0.217811704, 0.146648879, -0.0188745984),
    *(-0.015226764, 0.00660240418, 0.000177823349, -0.000773565871),
)
_GELU_ZERO = 0.7517915368080139
_GELU_SLOPE = (
    *(-5.2273121e-09, -0.431493987, 0.38828495, 0.0182004357, -0.114006436),
    *(0.0147477484, 0.019396081, -0.00430291459, -0.00211151374),
)
_GELU_TANH_ZERO = 0.7524614334106445
_GELU_TANH_SLOPE = (
    *(-4.88057699e-09, -0.430400087, 0.387518404, 0.0157837929, -0.113942183),
    *(0.0165899169, 0.0196491435, -0.00496812141, -0.00225286999),
)
_MISH_ZERO = -1.1924312114715576
_MISH_SLOPE = (
    *(8.12572793e-10, 0.266947914, 0.204731274, 0.0419080898, -0.0202723425),
    *(-0.0158293345, -0.00335349102, 0.00117282998, 0.000955548246),
)

# Normal tail over normal density (Mills ratio) at `a` of 0 to 15: `v` times this polynomial in
# `v = 1 / (1 + a / 3)`, to 1e-9.
_MILLS_RATIO = (
    *(0.333337092, 0.333212141, 0.297996022, 0.208544927, 0.193506273, -0.214109939),
    *(0.503670384, -0.88513736, 0.724961238, -0.289287544, 0.0466209043),
)


def _polynomial(coefficients, x):
    total = coefficients[-1]
    for coefficient in coefficients[-2::-1]:
        total = total * x + coefficient
    return total


def _near_zero(distance, coefficients, slope):
    near = ops.abs(distance) < 0.4
    return ops.where(near, _polynomial(coefficients, distance), slope)


def _single(x, exact, wide):
    """`exact` computed in float32 and rounded once in 16 bit; `wide` in float64."""
    dtype = tensors.dtype_of(x)
    return wide(x) if dtype == "float64" else ops.cast(exact(ops.cast(x, "float32")), dtype)


def _distance(x):
    """`|x|` up to the largest float32: infinity times a gate of 0 would be NaN."""
    return ops.minimum(ops.abs(x), 3.4028235e38)


def _whole(x, mirrored):
    """The slope at `x` from the slope at `-|x|`."""
    return ops.where(x > 0, 1 - mirrored, mirrored)


def _mirrored(left, slope):
    """`f(x) = x * gate(x)` where `gate(x) + gate(-x) = 1`, from its left half.

    `left(a)` is `-f(-a)` and `slope(a)` the derivative of `f` at `-a`, both for `a >= 0`. The right
    half follows from `f(x) - f(-x) = x`, so that no gate is ever subtracted from 1.
    """
    return with_gradient(
        lambda x: ops.relu(x) - left(_distance(x)),
        lambda upstream, x: upstream * _whole(x, slope(_distance(x))),
    )


# A logistic gate at `-t` is `h * h / (1 + h * h)` with `h = exp(-t / 2)`. The square of `h` may
# underflow where its product with `a` does not, so `h` is multiplied in twice.


def _logistic_left(a, h):
    return (a * h / (1 + h * h)) * h


def _logistic_slope(numerator, h):
    """Slope of `x * sigmoid(t(x))` at `-a`, where `numerator = 1 + h * h - a * t'(a)`."""
    share = h / (1 + h * h)
    return (numerator * share) * share


def _silu_gate(x):
    """`sigmoid(-|x|)` and a scale: shifted where it underflows before its product with `x`."""
    low = x < -80
    scale = ops.where(low, ops.full_like(x, 1.2664165549094176e-14), 1.0)  # exp(-32)
    return ops.sigmoid(-ops.abs(ops.where(low, x + 32, x))), scale


def _silu_value(x):
    small, scale = _silu_gate(x)
    return (ops.maximum(x, -1000.0) * ops.where(x > 0, 1 - small, small)) * scale


def _silu_gradient(upstream, x):
    small, scale = _silu_gate(x)
    gate, complement = ops.where(x > 0, 1 - small, small), ops.where(x > 0, small, 1 - small)
    slope = gate * (1 + ops.clip(x, -1000.0, 1000.0) * complement)
    return upstream * (_near_zero(-x - _SILU_ZERO, _SILU_SLOPE, slope) * scale)


# On torch each step is a pass over memory, and subnormal numbers are kept: fewer steps do.


def _silu_value_torch(x):
    e = ops.exp(ops.minimum(x, 88.0))
    return ops.maximum(x, -1000.0) * (e / (1 + e))


def _silu_gradient_torch(upstream, x):
    bounded = ops.clip(x, -1000.0, 88.0)
    e = ops.exp(bounded)
    # In this order the sum has the right sign down to the float next to its zero.
    return upstream * ((e / (1 + e)) * (((1 + bounded) + e) / (1 + e)))


_exact_silu = with_gradient(_silu_value, _silu_gradient)
_exact_silu_torch = with_gradient(_silu_value_torch, _silu_gradient_torch)


def _silu_32(x):
    return (_exact_silu_torch if keras.backend.backend() == "torch" else _exact_silu)(x)


def _swish_parts(a, beta, rest):
    """The exponent `t = a * beta * (1 + rest)`, what its rounding dropped, and `exp(-t / 2)`."""
    t, dropped = product(a, beta)
    t = ops.minimum(t, 1000.0)
    return t, dropped + t * rest, ops.exp(-0.5 * t)


def _swish_left(a, beta, rest=0.0):
    _, dropped, h = _swish_parts(a, beta, rest)
    return _logistic_left(a, h) * (1 - dropped)


def _swish_slope(a, beta, rest=0.0):
    t, dropped, h = _swish_parts(a, beta, rest)
    slope = _logistic_slope(((1 + h * h) - t) - dropped, h) * (1 - dropped)
    return _near_zero((t - _SILU_ZERO) + dropped, _SILU_SLOPE, slope)


def _fixed_swish(beta):
    """`swish` with a number, of which float32 drops a part."""
    size = abs(float(beta))
    shifted = size * 2.0**29
    rounded = (size + shifted) - shifted
    rest = (size - rounded) / rounded if rounded else 0.0
    steepness = ops.convert_to_tensor(rounded, dtype="float32")
    exact = _mirrored(
        lambda a: _swish_left(a, steepness, rest), lambda a: _swish_slope(a, steepness, rest)
    )
    return exact if beta >= 0 else lambda x: ops.negative(exact(-x))


def _swish_gradient(upstream, x, beta):
    a = _distance(x)
    _, dropped, h = _swish_parts(a, beta, 0.0)
    share = a * h / (1 + h * h)
    of_beta = (upstream * share) * share
    return upstream * _whole(x, _swish_slope(a, beta)), of_beta * (1 - dropped)


_positive_swish = with_gradient(
    lambda x, beta: ops.relu(x) - _swish_left(_distance(x), beta), _swish_gradient
)


def _learned_swish(x, beta):
    """`swish` with a tensor. A negative `beta` is a positive one, turned about the origin."""
    beta = ops.broadcast_to(beta, ops.shape(x))
    sign = ops.where(beta < 0, -ops.ones_like(beta), 1.0)
    return sign * _positive_swish(sign * x, sign * beta)


def _gelu_tail(a, weigh):
    """The normal density at `a` times `weigh(Mills ratio)`."""
    square, dropped = exact_square(a)
    v = 1 / (1 + a / 3)
    root = 0.6316187777460647 * ops.exp(-0.25 * square)
    # As with `h`, the density itself may underflow.
    density = (weigh(v * _polynomial(_MILLS_RATIO, v)) * root) * root
    return density * (1 - 0.5 * dropped)


def _gelu_left(a):
    a = ops.minimum(a, 15.0)
    return _gelu_tail(a, lambda ratio: a * ratio)


def _gelu_slope(a):
    a = ops.minimum(a, 15.0)
    return _near_zero(a - _GELU_ZERO, _GELU_SLOPE, _gelu_tail(a, lambda ratio: ratio - a))


_exact_gelu = _mirrored(_gelu_left, _gelu_slope)


def _gelu_tanh_parts(a):
    """What `t(a) = outer * (1 + cubic)` is made of, and `exp(-t / 2)`."""
    cubic = 0.044715 * (a * a)
    outer = 1.5957691216057308 * a
    return outer, cubic, ops.exp(-0.5 * (outer * (1 + cubic)))


def _gelu_tanh_left(a):
    a = ops.minimum(a, 16.0)
    _, _, h = _gelu_tanh_parts(a)
    return _logistic_left(a, h)


def _gelu_tanh_slope(a):
    a = ops.minimum(a, 16.0)
    outer, cubic, h = _gelu_tanh_parts(a)
    slope = _logistic_slope((1 + h * h) - outer * (1 + 3 * cubic), h)
    return _near_zero(a - _GELU_TANH_ZERO, _GELU_TANH_SLOPE, slope)


_approximate_gelu = _mirrored(_gelu_tanh_left, _gelu_tanh_slope)


def _mish_parts(x):
    # tanh(log1p(e)) = e * (e + 2) / (e * (e + 2) + 2), and e = h * h as above. It is 1 at 20.
    h = ops.exp(0.5 * ops.minimum(x, 20.0))
    e = h * h
    return h, e, e * (e + 2) + 2


def _mish_value(x):
    h, e, denominator = _mish_parts(x)
    return (ops.maximum(x, -1000.0) * (h * ((e + 2) / denominator))) * h


def _mish_gradient(upstream, x):
    h, e, denominator = _mish_parts(x)
    bounded = ops.clip(x, -1000.0, 20.0)
    share = h / denominator
    slope = ((4 * (1 + bounded) * (1 + e) + e * (2 + e * (4 + e))) * share) * share
    return upstream * _near_zero(x - _MISH_ZERO, _MISH_SLOPE, slope)


_exact_mish = with_gradient(_mish_value, _mish_gradient)


def _lisht_gradient(upstream, x):
    small = tail(2 * x)
    bounded = ops.clip(x, -1000.0, 1000.0)
    return upstream * (ops.tanh(x) + bounded * (4 * small * (1 - small)))


_exact_lisht = with_gradient(lambda x: x * ops.tanh(x), _lisht_gradient)


@activation()
def silu(x):
    """Sigmoid linear unit: the input times its own sigmoid, a smooth `relu`.

    The default of modern convolutional networks and of the gates of language models. Take `gelu`
    where pretrained transformer weights ask for it, `swish` for a steeper or a learned gate.

    Formula:

        y = x / (1 + exp(-x))

    Args:
        x: Tensor.

    Shapes:
        Any; the output has the shape and dtype of `x`.

    Example:

    >>> float(keras_actloss.activations.silu(1.0))
    0.7310...

    Related:
        `swish(x, beta=1.0)`; `silu(x) - silu(-x) = x`.

    Reference:
        [Elfwing et al., 2017](https://arxiv.org/abs/1702.03118)
    """
    return by_width(x, lambda x: _single(x, _silu_32, ops.silu), _fixed_swish(1.0))


@register("layers")
class SiLU(ActivationLayer, fn=silu):
    """Layer form of `silu`."""

    def __init__(self, **kwargs: Unpack[LayerArguments]):
        super().__init__(**kwargs)


@activation(beta=finite_or_tensor)
def swish(x, beta=1.0):
    """`silu` with a gate of another steepness, fixed or learned.

    Between the linear `x / 2` at `beta = 0` and `relu` for large `beta`. Take `silu` for
    `beta = 1`: it is faster.

    Formula:

        y = x / (1 + exp(-beta * x))

    Args:
        x: Tensor.
        beta: Steepness of the gate, a finite number. Or a tensor or variable that broadcasts to
            `x`, which gets its own gradient. Defaults to `1.0`.

    Shapes:
        Any; the output has the shape and dtype of `x`.

    Raises:
        TypeError: If `beta` is neither a number nor a tensor.
        ValueError: If `beta` is infinite or NaN.

    Example:

    >>> float(keras_actloss.activations.swish(1.0, beta=2.0))
    0.8807...

    Related:
        `beta = 1` is `silu`, `beta = 1.702` is `quick_gelu`.

    Reference:
        [Ramachandran et al., 2017](https://arxiv.org/abs/1710.05941)
    """
    if isinstance(beta, numbers.Real):
        return _single(x, _fixed_swish(beta), lambda x: x * ops.sigmoid(beta * x))
    beta = ops.convert_to_tensor(beta)
    return _single(
        x,
        lambda x: _learned_swish(x, ops.cast(beta, "float32")),
        lambda x: x * ops.sigmoid(ops.cast(beta, "float64") * x),
    )


@register("layers")
class Swish(ActivationLayer, fn=swish):
    """Layer form of `swish`, with a fixed `beta`."""

    def __init__(self, beta=1.0, **kwargs: Unpack[LayerArguments]):
        super().__init__(**kwargs)
        self.beta = beta


@activation()
def quick_gelu(x):
    """`gelu` with a logistic gate, as CLIP was trained with.

    Take it for weights that were trained with it. In a new network `gelu` is as good, and its
    tanh form a hundred times closer to `gelu` than this is.

    Formula:

        y = x / (1 + exp(-1.702 * x))

    Args:
        x: Tensor.

    Shapes:
        Any; the output has the shape and dtype of `x`.

    Example:

    >>> float(keras_actloss.activations.quick_gelu(1.0))
    0.8457...

    Related:
        `swish(x, beta=1.702)`.

    Reference:
        [Hendrycks and Gimpel, 2016](https://arxiv.org/abs/1606.08415)
    """
    return swish(x, 1.702)


@register("layers")
class QuickGELU(ActivationLayer, fn=quick_gelu):
    """Layer form of `quick_gelu`."""

    def __init__(self, **kwargs: Unpack[LayerArguments]):
        super().__init__(**kwargs)


@activation(approximate=flag)
def gelu(x, approximate=False):
    """Gaussian error linear unit: the input times the normal distribution function of it.

    The default of transformers. The weights say which form: BERT and ViT were trained with the
    exact one, GPT-2 and Gemma with `approximate=True`.

    Formula:

        inner = sqrt(2 / pi) * (x + 0.044715 * x**3)
        y = x * (1 + (tanh(inner) if approximate else erf(x / sqrt(2)))) / 2

    Args:
        x: Tensor.
        approximate: Whether to take the tanh form, which is up to 5e-4 off the exact one. Defaults
            to `False`, as in `keras.activations.gelu`; `keras.ops.gelu` has `True`.

    Shapes:
        Any; the output has the shape and dtype of `x`.

    Raises:
        TypeError: If `approximate` is not `True` or `False`.

    Example:

    >>> float(keras_actloss.activations.gelu(1.0))
    0.8413...

    Related:
        `quick_gelu` approximates it with a logistic gate; `gelu(x) - gelu(-x) = x`.

    Reference:
        [Hendrycks and Gimpel, 2016](https://arxiv.org/abs/1606.08415)
    """
    exact = _approximate_gelu if approximate else _exact_gelu
    return _single(x, exact, lambda x: ops.gelu(x, approximate=approximate))


@register("layers")
class GELU(ActivationLayer, fn=gelu):
    """Layer form of `gelu`."""

    def __init__(self, approximate=False, **kwargs: Unpack[LayerArguments]):
        super().__init__(**kwargs)
        self.approximate = approximate


@activation()
def mish(x):
    """Self-regularized gate: the input times the hyperbolic tangent of its `softplus`.

    Take it in detectors of the YOLO family, whose weights were trained with it; elsewhere `silu`
    is as good and cheaper.

    Formula:

        y = x * tanh(log1p(exp(x)))

    Args:
        x: Tensor.

    Shapes:
        Any; the output has the shape and dtype of `x`.

    Example:

    >>> float(keras_actloss.activations.mish(1.0))
    0.8650...

    Related:
        With `e = exp(x)`, `mish(x) = x * e * (e + 2) / (e * (e + 2) + 2)`.

    Reference:
        [Misra, 2019](https://arxiv.org/abs/1908.08681)
    """
    return _single(x, _exact_mish, lambda x: x * ops.tanh(ops.softplus(x)))


@register("layers")
class Mish(ActivationLayer, fn=mish):
    """Layer form of `mish`."""

    def __init__(self, **kwargs: Unpack[LayerArguments]):
        super().__init__(**kwargs)


@activation()
def lisht(x):
    """Linearly scaled hyperbolic tangent: even, never negative, like a smooth `abs(x)`.

    Take it where the sign of a feature does not matter; unlike `silu` and `mish` it keeps large
    negative inputs.

    Formula:

        y = x * tanh(x)

    Args:
        x: Tensor.

    Shapes:
        Any; the output has the shape and dtype of `x`.

    Example:

    >>> float(keras_actloss.activations.lisht(-1.0))
    0.7615...

    Related:
        `lisht(x) = swish(x, beta=2.0) + swish(-x, beta=2.0)`.

    Reference:
        [Roy et al., 2019](https://arxiv.org/abs/1901.05894)
    """
    return by_width(x, _exact_lisht, _exact_lisht)


@register("layers")
class LiSHT(ActivationLayer, fn=lisht):
    """Layer form of `lisht`."""

    def __init__(self, **kwargs: Unpack[LayerArguments]):
        super().__init__(**kwargs)
