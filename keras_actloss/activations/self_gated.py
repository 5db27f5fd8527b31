"""Activations that multiply their input by a smooth gate of itself: silu, gelu and their kin."""

import math
import numbers
from typing import Any, Unpack

import keras
from keras import ops

from keras_actloss.core import gates, tensors
from keras_actloss.core.checks import finite, flag, or_tensor
from keras_actloss.core.functions import activation, by_width
from keras_actloss.core.keras_fixes import recomputed
from keras_actloss.core.kernels import at_least, at_most, clip, exp_to_square, runs_torch, spent
from keras_actloss.core.layer import (
    ActivationLayer,
    Axes,
    Constraint,
    Initializer,
    LayerArguments,
    Regularizer,
)
from keras_actloss.core.numerics import rounded_once, tanh_slope
from keras_actloss.core.parameters import LearnedActivation, as_wide, parametric
from keras_actloss.core.registry import register

# Where the slope of mish is 0, in two floats, and the exponential of that.
_MISH_FLAT = (-1.1924312114715576, -3.04393759e-09)
_MISH_EXP = 0.3034825352815289
# From here on the slope is 1, for nothing that is made of the exponential, 2**32, is rounded.
_MISH_LAST = 32 * math.log(2)


def _of_factors(curve, slope):
    """A function from the two factors that `core.gates` has of its value and of its slope."""

    def gradient(upstream, x):
        a, b = slope(x)
        return (upstream * a) * b

    return rounded_once(lambda x: ops.multiply(*curve(x)), gradient, table=curve)


# Where the backend's own kernels are several times as fast as their exact forms.
_FUSED = ("tensorflow", "torch")


def _single(exact, wide):
    """`exact`, which is made for float32, and `wide` in float64."""
    return lambda x: (wide if tensors.dtype_of(x) == "float64" else exact)(x)


def _gelu(x):
    return ops.gelu(x, approximate=False)


_exact_gelu = _of_factors(gates.gelu, gates.gelu_slope)
_approximate_gelu = _of_factors(gates.gelu_tanh, gates.gelu_tanh_slope)
_exact_swish = parametric(
    lambda x, beta: ops.multiply(*gates.silu(x, beta)),
    lambda x, beta: ops.multiply(*gates.silu_slope(x, beta)),
    lambda x, beta: ops.multiply(*gates.silu_slope_by_factor(x, beta)),
)


def _mish_parts(x):
    """`h = exp(x / 2)`, `e = h**2` and what divides `e * (e + 2)` to be `tanh(log1p(e))`.

    Where `e` underflows, the product of `h` with `x` need not.
    """
    h = exp_to_square(spent("multiply", at_most(x, _MISH_LAST), 0.5))
    e = ops.square(h)
    return h, e, spent("add", spent("multiply", e + 2, e), 2)


def _mish_value(x):
    h, e, denominator = _mish_parts(x)
    gate = spent("multiply", spent("divide", spent("add", e, 2), denominator), h)
    return spent("multiply", spent("multiply", gate, at_least(x, -1000.0)), h)


def _mish_gradient(upstream, x):
    upstream, x = recomputed(upstream, x)
    h, e, denominator = _mish_parts(x)
    # e**3 + 4 * e**2 + (4 * x + 6) * e + 4 * x + 4 less the same at its zero, by the distances from
    # the zero and from its exponential: terms of one sign.
    flat, more = _MISH_FLAT
    # The clip keeps a compiler from making one number of both.
    distance = spent("subtract", clip(x - flat, -1000.0, _MISH_LAST - flat), more)
    # Far out the rounding of the distance would count, and that of a tanh near 1.
    near, bend = at_most(distance, 1.0), math.e * _MISH_EXP
    if runs_torch():
        # A third of what its tanh takes.
        of_exp = spent("multiply", spent("expm1", near), _MISH_EXP)
    else:
        of_exp = ops.tanh(near / 2) * (at_most(e, bend) + _MISH_EXP)
    of_exp = spent("add", of_exp, spent("relu", e - bend))
    rest = sum(_MISH_FLAT) * 4 + 6 + 4 * _MISH_EXP + _MISH_EXP**2
    slope = spent("add", spent("multiply", e + (4 + _MISH_EXP), e), rest)
    slope = spent("multiply", slope, of_exp)
    turned = spent("multiply", spent("multiply", spent("add", e, 1), distance), 4)
    share = spent("divide", h, denominator)
    slope = spent("multiply", spent("multiply", spent("add", slope, turned), share), share)
    return spent("multiply", slope, upstream)


_exact_mish = rounded_once(_mish_value, _mish_gradient, table="mish")


def _lisht_gradient(upstream, x):
    bounded = clip(x, -1000.0, 1000.0)
    return upstream * (ops.tanh(x) + bounded * tanh_slope(x))


_exact_lisht = rounded_once(lambda x: x * ops.tanh(x), _lisht_gradient, table="lisht")


@activation()
def silu(x: Any) -> Any:
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
    return by_width(x, _single(lambda x: _exact_swish(x, 1.0), ops.silu), ops.silu, on=_FUSED)


@register("layers")
class SiLU(ActivationLayer, fn=silu):
    """Layer form of `silu`."""

    def __init__(self, **kwargs: Unpack[LayerArguments]):
        super().__init__(**kwargs)


@activation(beta=or_tensor(finite))
def swish(x: Any, beta=1.0) -> Any:
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
        ValueError: If `beta` is infinite or NaN, or a tensor does not broadcast to `x`.

    Example:

    >>> float(keras_actloss.activations.swish(1.0, beta=2.0))
    0.8807...

    Related:
        `beta = 1` is `silu`, `beta = 1.702` is `quick_gelu`; `LearnedSwish` learns it.

    Reference:
        [Ramachandran et al., 2017](https://arxiv.org/abs/1710.05941)
    """
    if isinstance(beta, numbers.Real) and beta in (0, 1):
        return silu.prepared(x) if beta else x / 2
    if gates.left_to_kernels(tensors.dtype_of(x)):
        return x * ops.sigmoid(as_wide(beta, x) * x)
    return _exact_swish(x, beta)


@register("layers")
class Swish(ActivationLayer, fn=swish):
    """Layer form of `swish`, with a fixed `beta`."""

    def __init__(self, beta=1.0, **kwargs: Unpack[LayerArguments]):
        super().__init__(**kwargs)
        self.beta = beta


@register("layers")
class LearnedSwish(LearnedActivation, fn=swish):
    """Layer form of `swish` that learns the steepness `beta`, one for each channel."""

    def __init__(
        self,
        beta_initializer: Initializer = "ones",
        beta_regularizer: Regularizer = None,
        beta_constraint: Constraint = None,
        shared_axes: Axes = None,
        **kwargs: Unpack[LayerArguments],
    ):
        super().__init__(**kwargs)
        self.shared_axes = shared_axes
        self.learn("beta", beta_initializer, beta_regularizer, beta_constraint)


@activation()
def quick_gelu(x: Any) -> Any:
    """`gelu` with a logistic gate, as CLIP was trained with.

    Take it for weights that were trained with it. In a new network `gelu` is as good, and its
    tanh form forty times closer to `gelu` than this is.

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
    return swish.prepared(x, beta=1.702)


@register("layers")
class QuickGELU(ActivationLayer, fn=quick_gelu):
    """Layer form of `quick_gelu`."""

    def __init__(self, **kwargs: Unpack[LayerArguments]):
        super().__init__(**kwargs)


@activation(approximate=flag)
def gelu(x: Any, approximate=False) -> Any:
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
        `quick_gelu` approximates it with a logistic gate; `gelu(x) - gelu(-x) = x`. Exact by
        default as in `keras.activations` and PyTorch; the default of `keras.ops.gelu`, JAX and TFA
        is `approximate=True`.

    Reference:
        [Hendrycks and Gimpel, 2016](https://arxiv.org/abs/1606.08415)
    """
    if approximate:
        return by_width(x, _single(_approximate_gelu, gates.fast_gelu_tanh), gates.fast_gelu_tanh)
    return by_width(x, _single(_exact_gelu, _gelu), _gelu, on=_FUSED)


@register("layers")
class GELU(ActivationLayer, fn=gelu):
    """Layer form of `gelu`."""

    def __init__(self, approximate=False, **kwargs: Unpack[LayerArguments]):
        super().__init__(**kwargs)
        self.approximate = approximate


@activation()
def mish(x: Any) -> Any:
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
    return _single(_exact_mish, keras.activations.mish)(x)


@register("layers")
class Mish(ActivationLayer, fn=mish):
    """Layer form of `mish`."""

    def __init__(self, **kwargs: Unpack[LayerArguments]):
        super().__init__(**kwargs)


@activation()
def lisht(x: Any) -> Any:
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
    return _exact_lisht(x)


@register("layers")
class LiSHT(ActivationLayer, fn=lisht):
    """Layer form of `lisht`."""

    def __init__(self, **kwargs: Unpack[LayerArguments]):
        super().__init__(**kwargs)
