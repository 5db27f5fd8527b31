"""Activations with parameters, and the layers that learn them.

A layer with the function's own name learns, unless there is a layer with `Learned` before the name:
then that one learns, and the plain one holds the settings it is given.
"""

import math
import numbers
from typing import Any, Unpack

import numpy as np
from keras import ops

from keras_actloss.activations.rectifiers import leaky_relu
from keras_actloss.core import tensors
from keras_actloss.core.checks import finite, flag, integer_axis, or_tensor, positive_integer
from keras_actloss.core.functions import activation
from keras_actloss.core.keras_fixes import amax
from keras_actloss.core.kernels import at_least, at_most, between, select
from keras_actloss.core.layer import (
    ActivationLayer,
    Axes,
    Constraint,
    Initializer,
    LayerArguments,
    Regularizer,
)
from keras_actloss.core.numerics import expm1, polynomial, tanh_slope
from keras_actloss.core.parameters import LearnedActivation, parametric
from keras_actloss.core.registry import register


@activation(num_units=positive_integer, axis=integer_axis)
def maxout(x: Any, num_units: Any, axis=-1) -> Any:
    """Largest of several linear pieces: the maximum over groups of channels.

    Take it after a layer with a multiple of `num_units` channels, with dropout; it learns the
    activation's shape in the weights before it, at the price of so many times more of them.

    Formula:

        pieces = split(x, size(x, axis) // num_units, axis)
        y = max(pieces, axis=0)

    Args:
        x: Tensor.
        num_units: Channels of the output, a divisor of those of `x`. Channel `i` is the maximum of
            the channels `i`, `i + num_units`, `i + 2 * num_units` and so on of `x`.
        axis: Axis of the channels. Defaults to `-1`.

    Shapes:
        Any with at least one axis; in the output the size of `axis` is `num_units`.

    Raises:
        TypeError: If `axis` is not an integer.
        ValueError: If `num_units` is no integer of at least 1 or does not divide the channels, or
            `axis` does not exist in `x`.

    Example:

    >>> keras_actloss.activations.maxout([1.0, 2.0, 5.0, 0.0], num_units=2).shape[0]
    2

    Related:
        With pieces `x` and `0` it is `relu`. Same grouping as TFA's `Maxout`.

    Reference:
        [Goodfellow et al., 2013](https://arxiv.org/abs/1302.4389)
    """
    axis, sizes = _grouped(x.shape, num_units, axis), list(ops.shape(x))
    sizes[axis : axis + 1] = [-1 if x.shape[axis] is None else sizes[axis] // num_units, num_units]
    return amax(ops.reshape(x, sizes), axis=axis)


def _grouped(shape, num_units, axis):
    """The axis of the channels, counted from the first, which `num_units` must divide."""
    tensors.check_axis(axis, shape, "maxout")
    if shape[axis] == 0 or (shape[axis] is not None and shape[axis] % num_units):
        raise ValueError(
            f"maxout: num_units={num_units} does not divide the {shape[axis]} channels of x of "
            f"shape {tuple(shape)}; give the layer before it a multiple of num_units"
        )
    return axis % len(shape)


@register("layers")
class Maxout(ActivationLayer, fn=maxout):
    """Layer form of `maxout`."""

    def __init__(self, num_units, axis=-1, **kwargs: Unpack[LayerArguments]):
        super().__init__(**kwargs)
        self.num_units = num_units
        self.axis = axis

    def compute_output_shape(self, input_shape):
        axis = _grouped(input_shape, self.num_units, self.axis)
        return (*input_shape[:axis], self.num_units, *input_shape[axis + 1 :])

    def resized_mask(self, mask, axis):
        # A maximum over steps holds where all of them do.
        left_out = ops.cast(ops.logical_not(mask), "float32")
        return maxout.prepared(left_out, num_units=self.num_units, axis=axis) == 0


@activation(alpha=or_tensor(finite))
def prelu(x: Any, alpha: Any) -> Any:
    """Rectifier whose slope for negative inputs is a parameter.

    Take it instead of `leaky_relu` where some data is at hand to find the slope, as in image
    restoration and face recognition.

    Formula:

        y = where(x > 0, x, alpha * x)

    Args:
        x: Tensor.
        alpha: Slope for negative inputs, a number or a tensor that broadcasts to `x`.

    Shapes:
        Any; the output has the shape and dtype of `x`.

    Raises:
        ValueError: If a number `alpha` is not finite, or a tensor does not broadcast to `x`.

    Example:

    >>> float(keras_actloss.activations.prelu(-2.0, alpha=0.25))
    -0.5

    Related:
        `alpha = 0` is `relu`, a fixed `alpha` is `leaky_relu`.

    Reference:
        [He et al., 2015](https://arxiv.org/abs/1502.01852)
    """
    if isinstance(alpha, numbers.Real):
        return leaky_relu.prepared(x, negative_slope=float(alpha))
    return _prelu(x, alpha)


_prelu = parametric(
    lambda x, alpha: at_least(x, 0) + alpha * at_most(x, 0),
    lambda x, alpha: between(alpha, ops.ones_like(alpha), ops.relu(ops.sign(x))),
    lambda x, alpha: at_most(x, 0),
)


@register("layers")
class PReLU(LearnedActivation, fn=prelu):
    """Layer form of `prelu`; its weights load into and from `keras.layers.PReLU`.

    Without `shared_axes` there is one slope for each channel, where Keras has one for each entry of
    a sample. With `shared_axes` the weight has Keras's shape. PyTorch's default is
    `PReLU(alpha_initializer=0.25, shared_axes="all")`.
    """

    def __init__(
        self,
        alpha_initializer: Initializer = "zeros",
        alpha_regularizer: Regularizer = None,
        alpha_constraint: Constraint = None,
        shared_axes: Axes = None,
        **kwargs: Unpack[LayerArguments],
    ):
        super().__init__(**kwargs)
        self.shared_axes = shared_axes
        self.learn("alpha", alpha_initializer, alpha_regularizer, alpha_constraint)


@activation(tau=or_tensor(finite), alpha=or_tensor(finite))
def tlu(x: Any, tau: Any, alpha=0.0) -> Any:
    """Thresholded linear unit: a rectifier whose floor is a parameter.

    Take it after a normalization that does not center, as filter response normalization, where the
    zero of `relu` is arbitrary.

    Formula:

        y = maximum(x, tau + alpha * x)

    Args:
        x: Tensor.
        tau: Floor, a number or a tensor that broadcasts to `x`.
        alpha: Slope of the floor, a number or a tensor that broadcasts to `x`. Defaults to `0.0`.

    Shapes:
        Any; the output has the shape and dtype of `x`.

    Raises:
        ValueError: If a parameter is a number that is not finite, or a tensor that does not
            broadcast to `x`.

    Example:

    >>> float(keras_actloss.activations.tlu(-2.0, tau=-0.5))
    -0.5

    Related:
        `tau = 0` is `relu`, and `prelu` for an `alpha` below 1.

    Reference:
        [Singh and Krishnan, 2020](https://arxiv.org/abs/1911.09737)
    """
    return _tlu(x, tau, alpha)


def _floor(x, tau, alpha):
    # A constant 0 is left out, since it would make NaN of an infinite input.
    return tau if isinstance(alpha, numbers.Real) and alpha == 0 else tau + alpha * x


_tlu = parametric(
    lambda x, tau, alpha: ops.maximum(x, _floor(x, tau, alpha)),
    lambda x, tau, alpha: ops.where(x > _floor(x, tau, alpha), ops.ones_like(x), alpha),
    lambda x, tau, alpha: ops.cast(x <= _floor(x, tau, alpha), x.dtype),
    lambda x, tau, alpha: ops.where(x > _floor(x, tau, alpha), ops.zeros_like(x), x),
)


@register("layers")
class TLU(LearnedActivation, fn=tlu):
    """Layer form of `tlu`; it learns `tau`, and `alpha` if `affine` is true.

    One of each for a channel, as in the paper; TFA's has one for each entry of a sample.

    Args:
        affine: Whether there is an `alpha`. Defaults to `False`.
    """

    own_checks = {**LearnedActivation.own_checks, "affine": flag}  # noqa: RUF012

    def __init__(
        self,
        affine=False,
        tau_initializer: Initializer = "zeros",
        tau_regularizer: Regularizer = None,
        tau_constraint: Constraint = None,
        alpha_initializer: Initializer = "zeros",
        alpha_regularizer: Regularizer = None,
        alpha_constraint: Constraint = None,
        shared_axes: Axes = None,
        **kwargs: Unpack[LayerArguments],
    ):
        super().__init__(**kwargs)
        self.shared_axes = shared_axes
        self.affine = affine
        self.learn("tau", tau_initializer, tau_regularizer, tau_constraint)
        self.learn("alpha", alpha_initializer, alpha_regularizer, alpha_constraint)
        if not affine:
            self.learned.pop("alpha")
            self.alpha = 0.0

    @classmethod
    def of_settings(cls, settings):
        return super().of_settings({"affine": "alpha" in settings, **settings})


@activation(scale=or_tensor(finite), bias=or_tensor(finite))
def star_relu(x: Any, scale=0.8944, bias=-0.4472) -> Any:
    """Square of the rectifier, scaled and shifted.

    Take it instead of `gelu` in transformers that have to be fast. The defaults give mean 0 and
    variance 1 for a standard normal input.

    Formula:

        y = scale * maximum(x, 0) ** 2 + bias

    Args:
        x: Tensor.
        scale: Factor of the square, a number or a tensor that broadcasts to `x`. Defaults to
            `0.8944`.
        bias: Output for negative inputs, a number or a tensor that broadcasts to `x`. Defaults to
            `-0.4472`.

    Shapes:
        Any; the output has the shape and dtype of `x`.

    Raises:
        ValueError: If a parameter is a number that is not finite, or a tensor that does not
            broadcast to `x`.

    Example:

    >>> float(keras_actloss.activations.star_relu(1.0, scale=2.0, bias=-0.5))
    1.5

    Related:
        `scale = 1, bias = 0` is the squared rectifier.

    Reference:
        [Yu et al., 2022](https://arxiv.org/abs/2210.13452)
    """
    return _star_relu(x, scale, bias)


_star_relu = parametric(
    # The square alone may overflow.
    lambda x, scale, bias: (scale * ops.relu(x)) * ops.relu(x) + bias,
    lambda x, scale, bias: (2 * scale) * ops.relu(x),
    lambda x, scale, bias: ops.square(ops.relu(x)),
    lambda x, scale, bias: ops.ones_like(x),
)


@register("layers")
class StarReLU(ActivationLayer, fn=star_relu):
    """Layer form of `star_relu` with a scale and a bias that are given."""

    def __init__(self, scale=0.8944, bias=-0.4472, **kwargs: Unpack[LayerArguments]):
        super().__init__(**kwargs)
        self.scale = scale
        self.bias = bias


@register("layers")
class LearnedStarReLU(LearnedActivation, fn=star_relu):
    """Layer form of `star_relu` that learns one scale and one bias for all channels.

    The code of the paper, and timm, initialize them to 1 and 0.
    """

    def __init__(
        self,
        scale_initializer: Initializer = 0.8944,
        scale_regularizer: Regularizer = None,
        scale_constraint: Constraint = None,
        bias_initializer: Initializer = -0.4472,
        bias_regularizer: Regularizer = None,
        bias_constraint: Constraint = None,
        **kwargs: Unpack[LayerArguments],
    ):
        super().__init__(**kwargs)
        self.learn("scale", scale_initializer, scale_regularizer, scale_constraint, scalar=True)
        self.learn("bias", bias_initializer, bias_regularizer, bias_constraint, scalar=True)


@activation(alpha=or_tensor(finite), gamma=or_tensor(finite), beta=or_tensor(finite))
def dynamic_tanh(x: Any, alpha=0.5, gamma=1.0, beta=0.0) -> Any:
    """Hyperbolic tangent with a learned width, gain and offset, in place of a normalization layer.

    Take it where a transformer has layer normalization: it needs no statistics. Larger language
    models want a smaller initial `alpha`, and each a larger one before attention than elsewhere.

    Formula:

        y = gamma * tanh(alpha * x) + beta

    Args:
        x: Tensor.
        alpha: One over the width, a number or a tensor that broadcasts to `x`. Defaults to `0.5`.
        gamma: Gain, likewise. Defaults to `1.0`.
        beta: Offset, likewise. Defaults to `0.0`.

    Shapes:
        Any; the output has the shape and dtype of `x`.

    Raises:
        ValueError: If a parameter is a number that is not finite, or a tensor that does not
            broadcast to `x`.

    Example:

    >>> float(keras_actloss.activations.dynamic_tanh(1.0))
    0.4621...

    Related:
        `alpha = 1, gamma = 1, beta = 0` is `tanh`.

    Reference:
        [Zhu et al., 2025](https://arxiv.org/abs/2503.10622)
    """
    return _dynamic_tanh(x, alpha, gamma, beta)


_dynamic_tanh = parametric(
    lambda x, alpha, gamma, beta: gamma * ops.tanh(alpha * x) + beta,
    lambda x, alpha, gamma, beta: gamma * alpha * tanh_slope(x, alpha),
    lambda x, alpha, gamma, beta: gamma * x * tanh_slope(x, alpha),
    lambda x, alpha, gamma, beta: ops.tanh(alpha * x),
    lambda x, alpha, gamma, beta: ops.ones_like(x),
)


@register("layers")
class DynamicTanh(LearnedActivation, fn=dynamic_tanh):
    """Layer form of `dynamic_tanh`: `alpha` for all channels, `gamma` and `beta` for each."""

    def __init__(
        self,
        alpha_initializer: Initializer = 0.5,
        alpha_regularizer: Regularizer = None,
        alpha_constraint: Constraint = None,
        gamma_initializer: Initializer = "ones",
        gamma_regularizer: Regularizer = None,
        gamma_constraint: Constraint = None,
        beta_initializer: Initializer = "zeros",
        beta_regularizer: Regularizer = None,
        beta_constraint: Constraint = None,
        shared_axes: Axes = None,
        **kwargs: Unpack[LayerArguments],
    ):
        super().__init__(**kwargs)
        self.shared_axes = shared_axes
        self.learn("alpha", alpha_initializer, alpha_regularizer, alpha_constraint, scalar=True)
        self.learn("gamma", gamma_initializer, gamma_regularizer, gamma_constraint)
        self.learn("beta", beta_initializer, beta_regularizer, beta_constraint)


# What softplus makes 0.8 and 0.3 of.
_ALPHA_P = math.log(math.expm1(0.8))
_ALPHA_N = math.log(math.expm1(0.3))


@activation(alpha_p=or_tensor(finite), alpha_n=or_tensor(finite), beta=or_tensor(finite))
def xielu(x: Any, alpha_p=_ALPHA_P, alpha_n=_ALPHA_N, beta=0.5) -> Any:
    """Expanded integral of ELU: quadratic for positive inputs, linear for very negative ones.

    Take it instead of `squared_relu` in language models: its slope for negative inputs adapts by
    layer.

    Formula:

        right = log(1 + exp(alpha_p))
        left = beta + log(1 + exp(alpha_n))
        y = where(x > 0, right * x**2, left * (expm1(minimum(x, 0)) - x)) + beta * x

    Args:
        x: Tensor.
        alpha_p: Pre-softplus curvature for positive inputs, a number or a tensor that broadcasts to
            `x`. Defaults to `0.2033823208110246`, which gives the curvature 0.8.
        alpha_n: Pre-softplus scale for negative inputs, less `beta`; likewise. Defaults to
            `-1.0502256128148468`, which gives the scale 0.8.
        beta: Slope at zero. Defaults to `0.5`.

    Shapes:
        Any; the output has the shape and dtype of `x`.

    Raises:
        ValueError: If a parameter is a number that is not finite, or a tensor that does not
            broadcast to `x`.

    Example:

    >>> float(keras_actloss.activations.xielu(-1.0))
    -0.205...

    Related:
        Its derivative is `2 * right * x + beta` for positive inputs and `elu(x, alpha=left) + beta`
        for negative ones.

    Reference:
        [Huang and Schlag, 2024](https://arxiv.org/abs/2411.13010)
    """
    return _xielu(x, _softplus(alpha_p), _softplus(alpha_n), beta)


def _softplus(parameter):
    if isinstance(parameter, numbers.Real):
        return float(np.logaddexp(0.0, float(parameter)))
    parameter = tensors.float_tensor(parameter)
    return ops.softplus(ops.cast(parameter, tensors.wide(tensors.dtype_of(parameter))))


# The best polynomial of degree 5 for (expm1(x) - x) / x^2 between -1 and 0.
_CURVATURE = (0.5, 0.16666603, 0.041659255, 0.0083011705, 0.001324818, 0.00013742418)


def _near(x):
    """`expm1(x) - x` between -1 and 0, of which a difference would leave nothing near 0."""
    return polynomial(_CURVATURE, x) * ops.square(x)


def _expm1_less_x(x):
    """`expm1(x) - x` for `x <= 0`."""
    return select(x > -1, _near(x), expm1(x) - x)


def _xielu_value(x, right, slope, beta):
    low = at_most(x, 0)
    # Far out the linear terms are one, which does not overflow before their sum does.
    is_near = x > -1
    curve = select(is_near, _near(low), expm1(low))
    left = (beta + slope) * curve + select(is_near, beta * low, -slope * low)
    return select(x > 0, right * x * x + beta * x, left)


_xielu = parametric(
    _xielu_value,
    lambda x, right, slope, beta: (
        ops.where(x > 0, 2 * right * x, (beta + slope) * expm1(at_most(x, 0))) + beta
    ),
    lambda x, right, slope, beta: ops.square(ops.relu(x)),
    lambda x, right, slope, beta: _expm1_less_x(at_most(x, 0)),
    lambda x, right, slope, beta: ops.where(x > 0, x, expm1(at_most(x, 0))),
)


@register("layers")
class XIELU(LearnedActivation, fn=xielu):
    """Layer form of `xielu` that learns one `alpha_p` and one `alpha_n` for all channels."""

    def __init__(
        self,
        alpha_p_initializer: Initializer = _ALPHA_P,
        alpha_p_regularizer: Regularizer = None,
        alpha_p_constraint: Constraint = None,
        alpha_n_initializer: Initializer = _ALPHA_N,
        alpha_n_regularizer: Regularizer = None,
        alpha_n_constraint: Constraint = None,
        beta=0.5,
        **kwargs: Unpack[LayerArguments],
    ):
        super().__init__(**kwargs)
        self.beta = beta
        self.learn(
            "alpha_p", alpha_p_initializer, alpha_p_regularizer, alpha_p_constraint, scalar=True
        )
        self.learn(
            "alpha_n", alpha_n_initializer, alpha_n_regularizer, alpha_n_constraint, scalar=True
        )
