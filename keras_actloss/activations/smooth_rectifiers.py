"""Smooth rectifiers: the positive part with its corner rounded off."""

from typing import Any, Unpack

from keras import ops

from keras_actloss.core.checks import finite_positive
from keras_actloss.core.functions import activation, by_width
from keras_actloss.core.kernels import at_least, at_most, spent
from keras_actloss.core.layer import ActivationLayer, LayerArguments
from keras_actloss.core.numerics import exp_multiple, expm1, log1p, rounded_once
from keras_actloss.core.registry import register


@activation(beta=finite_positive)
def softplus(x: Any, beta=1.0) -> Any:
    """Smooth rectifier: the positive part, off by less than `0.7 / beta`.

    Take it for outputs that must be positive, as a scale or a rate, and instead of `relu` where
    second derivatives are needed. `squareplus` is similar without an exponential.

    Formula:

        y = log1p(exp(beta * x)) / beta

    Args:
        x: Tensor.
        beta: Sharpness, greater than 0; the larger, the closer to `relu`. Defaults to `1.0`.

    Shapes:
        Any; the output has the shape and dtype of `x`.

    Raises:
        ValueError: If `beta` is not positive and finite.

    Example:

    >>> float(keras_actloss.activations.softplus(1.0))
    1.3132...

    Related:
        The derivative is `sigmoid(beta * x)`; `softplus(x) = -log_sigmoid(-x)`. PyTorch's is the
        input itself where `beta * x` exceeds its `threshold` of 20.

    Reference:
        [Glorot et al., 2011](https://proceedings.mlr.press/v15/glorot11a.html)
    """

    def gradient(upstream, x):
        e = exp_multiple(-ops.abs(x), beta)
        # The numerator is 1 for positive inputs and e for negative ones.
        return upstream * (at_least(e, ops.sign(x)) / (1 + e))

    exact = rounded_once(
        lambda x: ops.relu(x) + log1p(exp_multiple(-ops.abs(x), beta)) / beta,
        gradient,
        table=("softplus", beta),
    )
    if beta != 1:
        return exact(x)
    return by_width(x, exact, ops.softplus, ("tensorflow", "torch"), narrow=("torch",))


@register("layers")
class Softplus(ActivationLayer, fn=softplus):
    """Layer form of `softplus`."""

    def __init__(self, beta=1.0, **kwargs: Unpack[LayerArguments]):
        super().__init__(**kwargs)
        self.beta = beta


@activation()
def shifted_softplus(x: Any) -> Any:
    """Softplus moved down by `log(2)`, so that zero stays zero.

    Take it for networks of atomic energies and forces, which need all derivatives of a function
    that is smooth everywhere.

    Formula:

        y = log((1 + exp(x)) / 2)

    Args:
        x: Tensor.

    Shapes:
        Any; the output has the shape and dtype of `x`.

    Example:

    >>> float(keras_actloss.activations.shifted_softplus(1.0))
    0.6201...

    Related:
        `softplus(x) - log(2)`, which would lose small inputs.

    Reference:
        [Schütt et al., 2017](https://arxiv.org/abs/1706.08566)
    """
    # From 20 on the slope is 1 to the last digit, and the exponential need not grow further.
    function = rounded_once(
        lambda x: ops.relu(x - 20) + log1p(expm1(at_most(x, 20)) / 2),
        lambda upstream, x: upstream * ops.sigmoid(x),
        table="shifted_softplus",
    )
    return function(x)


@register("layers")
class ShiftedSoftplus(ActivationLayer, fn=shifted_softplus):
    """Layer form of `shifted_softplus`."""

    def __init__(self, **kwargs: Unpack[LayerArguments]):
        super().__init__(**kwargs)


@activation(b=finite_positive)
def squareplus(x: Any, b=4) -> Any:
    """Smooth rectifier of algebraic operations only, a branch of a hyperbola.

    Take it instead of `softplus` where exponentials are dear; its left tail falls off as `1 / x`,
    so that no unit is without gradient.

    Formula:

        y = (x + sqrt(x ** 2 + b)) / 2

    Args:
        x: Tensor.
        b: Width of the rounding, greater than 0: the value at zero is `sqrt(b) / 2`. Defaults to
            `4`.

    Shapes:
        Any; the output has the shape and dtype of `x`.

    Raises:
        ValueError: If `b` is not positive and finite.

    Example:

    >>> float(keras_actloss.activations.squareplus(1.0))
    1.6180...

    Related:
        `b = 0` would be `relu`. Keras's and JAX's lose the left tail, which is 0 at -1e4.

    Reference:
        [Barron, 2021](https://arxiv.org/abs/2112.11687)
    """

    def sides(x):
        """Hypotenuse and side of a right triangle whose other side is `sqrt(b)`."""
        size = ops.abs(x)
        # Of a size whose square might overflow, b adds nothing to the square.
        square = spent("add", spent("square", at_most(size, 2.0**60)), b)
        return at_least(spent("sqrt", square), size, spare=True), size

    def value(hypotenuse, size, x):
        # Of `hypotenuse - size`, which would cancel.
        half = spent("multiply", spent("reciprocal", spent("add", size, hypotenuse)), b / 2)
        return spent("add", half, at_least(x, 0))

    def gradient(upstream, x):
        hypotenuse, size = sides(x)
        # Bounded, so that infinity over infinity does not arise.
        slope = at_most(value(hypotenuse, size, x), 3e38, spare=True)
        return upstream * spent("divide", slope, at_most(hypotenuse, 3e38, spare=True))

    return rounded_once(lambda x: value(*sides(x), x), gradient, table=("squareplus", b))(x)


@register("layers")
class Squareplus(ActivationLayer, fn=squareplus):
    """Layer form of `squareplus`."""

    def __init__(self, b=4, **kwargs: Unpack[LayerArguments]):
        super().__init__(**kwargs)
        self.b = b
