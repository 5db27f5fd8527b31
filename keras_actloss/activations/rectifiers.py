"""Piecewise linear activations: identity and rectifiers."""

from typing import Unpack

from keras import ops

from keras_actloss.core.checks import non_negative, non_negative_or_none
from keras_actloss.core.functions import activation, by_width
from keras_actloss.core.layer import ActivationLayer, LayerArguments
from keras_actloss.core.registry import register


@activation()
def linear(x):
    """The input, unchanged.

    Take it where an interface wants an activation and none is meant, as on a regression output.

    Formula:

        y = x

    Args:
        x: Tensor.

    Shapes:
        Any; the output has the shape and dtype of `x`.

    Example:

    >>> float(keras_actloss.activations.linear(2.0))
    2.0

    Related:
        `relu(x, negative_slope=1.0)`.

    Reference:
        [Goodfellow et al., 2016, section 6.2.2](https://www.deeplearningbook.org)
    """
    return x


@register("layers")
class Linear(ActivationLayer, fn=linear):
    """Layer form of `linear`."""

    def __init__(self, **kwargs: Unpack[LayerArguments]):
        super().__init__(**kwargs)


@activation(negative_slope=non_negative, max_value=non_negative_or_none, threshold=non_negative)
def relu(x, negative_slope=0.0, max_value=None, threshold=0.0):
    """Rectified linear unit: the positive part.

    The default of hidden layers. Take `leaky_relu` or `elu` where units die, a `max_value` of 6
    for networks that will be quantized.

    Formula:

        linear_part = minimum(x, inf if max_value is None else max_value)
        y = where(x > threshold, linear_part, negative_slope * (x - threshold))

    Args:
        x: Tensor.
        negative_slope: Slope left of the threshold, at least 0. Defaults to `0.0`.
        max_value: Largest value of the output, at least 0, or `None` for no bound. Defaults to
            `None`.
        threshold: Where the linear part begins, at least 0. Defaults to `0.0`.

    Shapes:
        Any; the output has the shape and dtype of `x`.

    Raises:
        ValueError: If a setting is negative.

    Example:

    >>> float(keras_actloss.activations.relu(7.5, max_value=6.0))
    6.0

    Related:
        `relu(x, negative_slope=0.01)` is `leaky_relu(x, negative_slope=0.01)`.

    Reference:
        [Nair and Hinton, 2010](https://www.cs.toronto.edu/~fritz/absps/reluICML.pdf)
    """
    if threshold == 0 and negative_slope == 0:
        if max_value is None:
            return ops.relu(x)
        return ops.relu6(x) if max_value == 6 else ops.minimum(ops.relu(x), max_value)
    if threshold == 0 and max_value is None:
        return leaky_relu(x, negative_slope)

    def general(x):
        linear_part = x if max_value is None else ops.minimum(x, max_value)
        if negative_slope == 0:
            # Compared this way round NaN stays NaN, and minus infinity is not multiplied by 0.
            return ops.where(x <= threshold, ops.zeros_like(x), linear_part)
        return ops.where(x > threshold, linear_part, negative_slope * (x - threshold))

    return by_width(x, general, general)


@register("layers")
class ReLU(ActivationLayer, fn=relu):
    """Layer form of `relu`, with Keras's argument order."""

    def __init__(
        self, max_value=None, negative_slope=0.0, threshold=0.0, **kwargs: Unpack[LayerArguments]
    ):
        super().__init__(**kwargs)
        self.max_value = max_value
        self.negative_slope = negative_slope
        self.threshold = threshold


@activation(negative_slope=non_negative)
def leaky_relu(x, negative_slope=0.3):
    """Rectifier with a small slope left of zero, so that no unit is without gradient.

    Take it where `relu` leaves units dead, as in discriminators. The default slope is that of
    Keras's layer; Keras's function has 0.2, torch and JAX 0.01.

    Formula:

        y = where(x > 0, x, negative_slope * x)

    Args:
        x: Tensor.
        negative_slope: Slope left of zero, at least 0. Defaults to `0.3`.

    Shapes:
        Any; the output has the shape and dtype of `x`.

    Raises:
        ValueError: If `negative_slope` is negative.

    Example:

    >>> float(keras_actloss.activations.leaky_relu(-2.0, negative_slope=0.25))
    -0.5

    Related:
        `negative_slope = 0` is `relu`.

    Reference:
        [Maas et al., 2013](https://ai.stanford.edu/~amaas/papers/relu_hybrid_icml2013_final.pdf)
    """

    def leaky(x):
        return ops.leaky_relu(x, negative_slope)

    return by_width(x, leaky, leaky)


@register("layers")
class LeakyReLU(ActivationLayer, fn=leaky_relu):
    """Layer form of `leaky_relu`."""

    def __init__(self, negative_slope=0.3, **kwargs: Unpack[LayerArguments]):
        super().__init__(**kwargs)
        self.negative_slope = negative_slope
