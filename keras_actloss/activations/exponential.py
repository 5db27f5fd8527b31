"""Activations with an exponential branch, and the symmetric logarithm with its inverse."""

from typing import Any, Unpack

from keras import ops

from keras_actloss.core.checks import finite_non_negative, finite_positive
from keras_actloss.core.functions import activation, by_kernel, by_width
from keras_actloss.core.kernels import at_most
from keras_actloss.core.layer import ActivationLayer, LayerArguments
from keras_actloss.core.numerics import exp_multiple, expm1, is_power_of_two, log1p, rounded_once
from keras_actloss.core.registry import register

# The fixed point of mean 0 and variance 1: Klambauer et al., equation 14.
_SELU_ALPHA = 1.6732632423543772
_SELU_SCALE = 1.0507009873554805


def _exact_elu(alpha, scale=1.0):
    """`scale * elu(x, alpha)`, by a gradient that does not cancel where the unit saturates."""

    def gradient(upstream, x):
        e = ops.exp(at_most(x, 0))
        return upstream * ops.where(x > 0, scale, scale * alpha * e)

    return rounded_once(lambda x: scale * (ops.relu(x) + alpha * expm1(at_most(x, 0))), gradient)


# Torch has kernels for these, which round once in 16 bit too.
_KERNELS = {"on": ("tensorflow", "torch"), "narrow": ("torch",)}


@activation(alpha=finite_non_negative)
def elu(x: Any, alpha=1.0) -> Any:
    """Exponential linear unit: linear for positive inputs, towards `-alpha` for negative ones.

    Take it for networks without normalization: its outputs have a mean closer to zero than those
    of `relu`, and every unit has a gradient.

    Formula:

        y = where(x > 0, x, alpha * expm1(minimum(x, 0)))

    Args:
        x: Tensor.
        alpha: Minus the limit for large negative inputs, at least 0. Defaults to `1.0`.

    Shapes:
        Any; the output has the shape and dtype of `x`.

    Raises:
        ValueError: If `alpha` is negative or infinite.

    Example:

    >>> float(keras_actloss.activations.elu(-1.0, alpha=2.0))
    -1.2642...

    Related:
        `alpha = 0` is `relu`.

    Reference:
        [Clevert et al., 2016](https://arxiv.org/abs/1511.07289)
    """
    return by_width(x, _exact_elu(alpha), lambda x: ops.elu(x, alpha), **_KERNELS)


@register("layers")
class ELU(ActivationLayer, fn=elu):
    """Layer form of `elu`."""

    def __init__(self, alpha=1.0, **kwargs: Unpack[LayerArguments]):
        super().__init__(**kwargs)
        self.alpha = alpha


@activation()
def selu(x: Any) -> Any:
    """Scaled exponential linear unit: keeps activations near mean 0 and variance 1 by itself.

    Take it for deep dense networks without normalization, with `lecun_normal` initial weights and
    `AlphaDropout`, all of which the self-normalization needs.

    Formula:

        alpha, scale = 1.6732632423543772, 1.0507009873554805
        y = scale * where(x > 0, x, alpha * expm1(minimum(x, 0)))

    Args:
        x: Tensor.

    Shapes:
        Any; the output has the shape and dtype of `x`.

    Example:

    >>> float(keras_actloss.activations.selu(-1.0))
    -1.1113...

    Related:
        1.0507 times `elu(x, alpha=1.6733)`.

    Reference:
        [Klambauer et al., 2017](https://arxiv.org/abs/1706.02515)
    """
    exact = _exact_elu(_SELU_ALPHA, _SELU_SCALE)
    return by_width(x, exact, ops.selu, **_KERNELS)


@register("layers")
class SELU(ActivationLayer, fn=selu):
    """Layer form of `selu`."""

    def __init__(self, **kwargs: Unpack[LayerArguments]):
        super().__init__(**kwargs)


@activation(alpha=finite_positive)
def celu(x: Any, alpha=1.0) -> Any:
    """Continuously differentiable ELU: its slope at zero is 1 from both sides whatever `alpha`.

    Take it instead of `elu` when `alpha` is not 1, where the slope of `elu` jumps.

    Formula:

        y = maximum(x, 0) + alpha * expm1(minimum(x, 0) / alpha)

    Args:
        x: Tensor.
        alpha: Minus the limit for large negative inputs, greater than 0. Defaults to `1.0`.

    Shapes:
        Any; the output has the shape and dtype of `x`.

    Raises:
        ValueError: If `alpha` is not positive and finite.

    Example:

    >>> float(keras_actloss.activations.celu(-1.0, alpha=2.0))
    -0.7869...

    Related:
        `alpha = 1` is `elu`; `celu(x, alpha) = alpha * elu(x / alpha)`.

    Reference:
        [Barron, 2017](https://arxiv.org/abs/1704.07483)
    """
    exact = rounded_once(
        lambda x: ops.relu(x) + alpha * expm1(at_most(x, 0) / alpha),
        lambda upstream, x: upstream * exp_multiple(at_most(x, 0), 1 / alpha),
        table=("celu", alpha),
    )
    # The kernel of torch takes the exponential of a rounded quotient.
    kernels = ("torch",) if is_power_of_two(alpha) else ()
    return by_width(x, exact, lambda x: ops.celu(x, alpha), kernels, kernels)


@register("layers")
class CELU(ActivationLayer, fn=celu):
    """Layer form of `celu`."""

    def __init__(self, alpha=1.0, **kwargs: Unpack[LayerArguments]):
        super().__init__(**kwargs)
        self.alpha = alpha


@activation()
def exponential(x: Any) -> Any:
    """Exponential function: any number to a positive one.

    Take it for the rate of a Poisson output or a variance, whose loss is then convex in the
    input; `softplus` where large inputs may occur.

    Formula:

        y = exp(x)

    Args:
        x: Tensor.

    Shapes:
        Any; the output has the shape and dtype of `x`.

    Example:

    >>> float(keras_actloss.activations.exponential(1.0))
    2.7182...

    Related:
        `exponential(log_softmax(x)) = softmax(x)`.

    Reference:
        [Nelder and Wedderburn, 1972](https://doi.org/10.2307/2344614)
    """
    return by_kernel(x, ops.exp, lambda upstream, x: upstream * ops.exp(x), table="exponential")


@register("layers")
class Exponential(ActivationLayer, fn=exponential):
    """Layer form of `exponential`."""

    def __init__(self, **kwargs: Unpack[LayerArguments]):
        super().__init__(**kwargs)


@activation()
def symlog(x: Any) -> Any:
    """Symmetric logarithm: the identity near zero, logarithmic in both tails.

    Take it to squash inputs or targets of unknown scale, as rewards, without losing their sign;
    predictions of squashed targets go back through `symexp`.

    Formula:

        y = sign(x) * log1p(abs(x))

    Args:
        x: Tensor.

    Shapes:
        Any; the output has the shape and dtype of `x`.

    Example:

    >>> float(keras_actloss.activations.symlog(-1000.0))
    -6.9087...

    Related:
        `symexp(symlog(x)) = x`.

    Reference:
        [Hafner et al., 2023](https://arxiv.org/abs/2301.04104)
    """
    # The slope of abs and sign at zero differs by backend; that of the whole is 1.
    function = rounded_once(
        lambda x: ops.sign(x) * log1p(ops.abs(x)),
        lambda upstream, x: upstream / (1 + ops.abs(x)),
        table="symlog",
    )
    return function(x)


@register("layers")
class Symlog(ActivationLayer, fn=symlog):
    """Layer form of `symlog`."""

    def __init__(self, **kwargs: Unpack[LayerArguments]):
        super().__init__(**kwargs)


@activation()
def symexp(x: Any) -> Any:
    """Symmetric exponential: the identity near zero, exponential in both tails.

    Take it to bring predictions of `symlog` targets back to their scale. It overflows float32
    beyond 88.7, float16 beyond 11.

    Formula:

        y = sign(x) * expm1(abs(x))

    Args:
        x: Tensor.

    Shapes:
        Any; the output has the shape and dtype of `x`.

    Example:

    >>> float(keras_actloss.activations.symexp(-2.0))
    -6.3890...

    Related:
        `symlog(symexp(x)) = x`.

    Reference:
        [Hafner et al., 2023](https://arxiv.org/abs/2301.04104)
    """
    function = rounded_once(
        lambda x: ops.sign(x) * expm1(ops.abs(x)),
        lambda upstream, x: upstream * ops.exp(ops.abs(x)),
        table="symexp",
    )
    return function(x)


@register("layers")
class Symexp(ActivationLayer, fn=symexp):
    """Layer form of `symexp`."""

    def __init__(self, **kwargs: Unpack[LayerArguments]):
        super().__init__(**kwargs)
