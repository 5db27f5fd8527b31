"""Identity and rectifiers: zero or almost zero below a threshold, growing above it."""

from typing import Any, Unpack

from keras import ops

from keras_actloss.core.checks import (
    finite_non_negative,
    integer_axis,
    non_negative,
    number,
    or_none,
)
from keras_actloss.core.functions import activation, by_kernel, by_width, in_float32
from keras_actloss.core.kernels import runs_torch, select
from keras_actloss.core.layer import ActivationLayer, LayerArguments
from keras_actloss.core.numerics import rounded_once
from keras_actloss.core.registry import register


@activation()
def linear(x: Any) -> Any:
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


@activation(
    negative_slope=finite_non_negative, max_value=or_none(non_negative), threshold=non_negative
)
def relu(x: Any, negative_slope=0.0, max_value: Any = None, threshold=0.0) -> Any:
    """Rectified linear unit: the positive part.

    The default of hidden layers. Take `leaky_relu` or `elu` where units die, a `max_value` of 6
    for networks that will be quantized.

    Formula:

        linear_part = minimum(x, inf if max_value is None else max_value)
        y = where(x > threshold, linear_part, negative_slope * (x - threshold))

    Args:
        x: Tensor.
        negative_slope: Slope below the threshold, at least 0. Defaults to `0.0`.
        max_value: Largest value of the output, at least 0, or `None` for no bound. Defaults to
            `None`.
        threshold: Where the linear part begins, at least 0. Defaults to `0.0`.

    Shapes:
        Any; the output has the shape and dtype of `x`.

    Raises:
        ValueError: If a setting is negative, or `negative_slope` infinite.

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
        return leaky_relu.prepared(x, negative_slope=negative_slope)

    def general(x):
        linear_part = x if max_value is None else ops.minimum(x, max_value)
        if negative_slope == 0:
            # Compared this way round NaN stays NaN, and minus infinity is not multiplied by 0.
            return ops.where(x <= threshold, ops.zeros_like(x), linear_part)
        return ops.where(x > threshold, linear_part, negative_slope * (x - threshold))

    def gradient(upstream, x):
        above = upstream if max_value is None else ops.where(x < max_value, upstream, 0.0)
        return ops.where(x > threshold, above, negative_slope * upstream)

    return rounded_once(general, gradient)(x)


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


@activation()
def relu6(x: Any) -> Any:
    """Rectifier that stops at 6: `relu` for networks that will be quantized.

    A bounded output spreads few bits over a known range. Take `relu` with a `max_value` for
    another bound.

    Formula:

        y = minimum(maximum(x, 0), 6)

    Args:
        x: Tensor.

    Shapes:
        Any; the output has the shape and dtype of `x`.

    Example:

    >>> float(keras_actloss.activations.relu6(7.5))
    6.0

    Related:
        `relu(x, max_value=6.0)`.

    Reference:
        [Krizhevsky, 2010](https://www.cs.toronto.edu/~kriz/conv-cifar10-aug2010.pdf)
    """
    return ops.relu6(x)


@register("layers")
class ReLU6(ActivationLayer, fn=relu6):
    """Layer form of `relu6`."""

    def __init__(self, **kwargs: Unpack[LayerArguments]):
        super().__init__(**kwargs)


@activation(negative_slope=finite_non_negative)
def leaky_relu(x: Any, negative_slope=0.3) -> Any:
    """Rectifier with a small slope for negative inputs, so that no unit is without gradient.

    Take it where `relu` leaves units dead, as in discriminators. The default slope is that of
    Keras's layer; Keras's function has 0.2, torch and JAX 0.01.

    Formula:

        y = where(x > 0, x, negative_slope * x)

    Args:
        x: Tensor.
        negative_slope: Slope for negative inputs, at least 0. Defaults to `0.3`.

    Shapes:
        Any; the output has the shape and dtype of `x`.

    Raises:
        ValueError: If `negative_slope` is negative or infinite.

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

    return by_width(x, lambda x: in_float32(leaky, x), leaky, narrow=("torch",))


@register("layers")
class LeakyReLU(ActivationLayer, fn=leaky_relu):
    """Layer form of `leaky_relu`."""

    def __init__(self, negative_slope=0.3, **kwargs: Unpack[LayerArguments]):
        super().__init__(**kwargs)
        self.negative_slope = negative_slope


def _above(x, threshold, default_value):
    """`x` where it exceeds the threshold."""

    def kept(x):
        if runs_torch():
            return ops.threshold(x, threshold, default_value)
        # Compared the other way round than in Keras, where NaN becomes the default value.
        return ops.where(x <= threshold, default_value, x)

    def gradient(upstream, x):
        return ops.where(x > threshold, upstream, 0.0)

    return by_kernel(x, kept, gradient, narrow=("torch",))


@activation(threshold=number, default_value=number)
def threshold(x: Any, threshold=1.0, default_value=0.0) -> Any:
    """The input where it exceeds a threshold, a constant elsewhere.

    Take it to cut off small responses without moving the large ones; `soft_shrink` moves them and
    is continuous. Keras's function has no defaults; these are those of `thresholded_relu`.

    Formula:

        y = where(x > threshold, x, default_value)

    Args:
        x: Tensor.
        threshold: What the input must exceed to be kept. Defaults to `1.0`.
        default_value: The output elsewhere. Defaults to `0.0`.

    Shapes:
        Any; the output has the shape and dtype of `x`.

    Raises:
        ValueError: If `threshold` or `default_value` is NaN.

    Example:

    >>> float(keras_actloss.activations.threshold(0.5, threshold=1.0, default_value=-2.0))
    -2.0

    Related:
        `threshold = default_value = 0` is `relu`.

    Reference:
        [Konda et al., 2014](https://arxiv.org/abs/1402.3337)
    """
    return _above(x, threshold, default_value)


@register("layers")
class Threshold(ActivationLayer, fn=threshold):
    """Layer form of `threshold`."""

    def __init__(self, threshold=1.0, default_value=0.0, **kwargs: Unpack[LayerArguments]):
        super().__init__(**kwargs)
        self.threshold = threshold
        self.default_value = default_value


@activation(theta=non_negative)
def thresholded_relu(x: Any, theta=1.0) -> Any:
    """Rectifier without the part below a threshold: it jumps from 0 to the threshold there.

    Take it for sparse codes without biases, and to load models that use the layer of that name of
    Keras 1 and 2. At the threshold itself the output is 0.

    Formula:

        y = where(x > theta, x, 0)

    Args:
        x: Tensor.
        theta: The threshold, at least 0. Defaults to `1.0`.

    Shapes:
        Any; the output has the shape and dtype of `x`.

    Raises:
        ValueError: If `theta` is negative.

    Example:

    >>> float(keras_actloss.activations.thresholded_relu(1.5))
    1.5

    Related:
        `theta = 0` is `relu`; `threshold(x, theta)`; `hard_shrink` does the same on both sides.

    Reference:
        [Konda et al., 2014](https://arxiv.org/abs/1402.3337)
    """
    return _above(x, theta, 0.0)


@register("layers")
class ThresholdedReLU(ActivationLayer, fn=thresholded_relu):
    """Layer form of `thresholded_relu`."""

    def __init__(self, theta=1.0, **kwargs: Unpack[LayerArguments]):
        super().__init__(**kwargs)
        self.theta = theta


@activation()
def squared_relu(x: Any) -> Any:
    """Square of the positive part.

    Take it in the feed-forward blocks of transformers, where it is as cheap as `relu` and its
    slope has no jump at 0. Large inputs grow fast: 256 is beyond float16.

    Formula:

        y = maximum(x, 0) ** 2

    Args:
        x: Tensor.

    Shapes:
        Any; the output has the shape and dtype of `x`.

    Example:

    >>> float(keras_actloss.activations.squared_relu(3.0))
    9.0

    Related:
        `squared_relu(x) = relu(x) ** 2`.

    Reference:
        [So et al., 2021](https://arxiv.org/abs/2109.08668)
    """

    def squared(x):
        return ops.square(ops.relu(x))

    return rounded_once(squared, lambda upstream, x: 2 * ops.relu(x) * upstream)(x)


@register("layers")
class SquaredReLU(ActivationLayer, fn=squared_relu):
    """Layer form of `squared_relu`."""

    def __init__(self, **kwargs: Unpack[LayerArguments]):
        super().__init__(**kwargs)


@activation(axis=integer_axis)
def crelu(x: Any, axis=-1) -> Any:
    """Concatenated rectifier: the positive and the negative part, side by side.

    Take it where filters come in pairs of opposite sign, as in the first layers of an image
    network: half of them do. No unit can die.

    Formula:

        y = concatenate((maximum(x, 0), maximum(-x, 0)), axis=axis)

    Args:
        x: Tensor.
        axis: Axis along which the parts are joined, the channels. Defaults to `-1`.

    Shapes:
        Any with at least one axis; the output has the dtype of `x`, and `axis` is twice as long.

    Raises:
        TypeError: If `axis` is not an integer.
        ValueError: If `axis` does not exist in `x`.

    Example:

    >>> keras_actloss.activations.crelu([2.0, -1.0]).shape[0]
    4

    Related:
        The difference of the halves is the input, their sum its absolute value.

    Reference:
        [Shang et al., 2016](https://arxiv.org/abs/1603.05201)
    """
    return ops.concatenate((ops.relu(x), ops.relu(-x)), axis=axis)


@register("layers")
class CReLU(ActivationLayer, fn=crelu):
    """Layer form of `crelu`."""

    def __init__(self, axis=-1, **kwargs: Unpack[LayerArguments]):
        super().__init__(**kwargs)
        self.axis = axis

    def compute_output_shape(self, input_shape):
        shape = list(input_shape)
        if shape[self.axis] is not None:
            shape[self.axis] *= 2
        return tuple(shape)

    def resized_mask(self, mask, axis):
        # Joined along the steps, both parts of a step that is masked are.
        return ops.concatenate((mask, mask), axis=axis)


_parabola = rounded_once(
    lambda x: ops.where(x < 1, ops.square(ops.hard_tanh(x) + 1) / 4, x),
    lambda upstream, x: upstream * ((ops.hard_tanh(x) + 1) / 2),
    table="sparse_plus",
)


@activation()
def sparse_plus(x: Any) -> Any:
    """Softplus with a finite tail: a parabola between -1 and 1 joins 0 to the identity.

    Take it for a smooth rectifier without exponentials whose output is exactly 0 below -1.

    Formula:

        y = where(x <= -1, 0, where(x < 1, (x + 1) ** 2 / 4, x))

    Args:
        x: Tensor.

    Shapes:
        Any; the output has the shape and dtype of `x`.

    Example:

    >>> float(keras_actloss.activations.sparse_plus(0.0))
    0.25

    Related:
        Its derivative is `sparse_sigmoid`.

    Reference:
        [Blondel et al., 2020](https://arxiv.org/abs/1901.02324)
    """
    return _parabola(x)


@register("layers")
class SparsePlus(ActivationLayer, fn=sparse_plus):
    """Layer form of `sparse_plus`."""

    def __init__(self, **kwargs: Unpack[LayerArguments]):
        super().__init__(**kwargs)


def _hard_silu_value(x):
    return x * ops.hard_sigmoid(x)


def _hard_silu_gradient(upstream, x):
    # One sum, where the product rule subtracts two rounded terms around the minimum at -1.5.
    return upstream * select(ops.abs(x) >= 3, ops.clip(x, 0, 1), (x + 1.5) / 3)


@activation()
def hard_silu(x: Any) -> Any:
    """Piecewise quadratic stand-in for `silu`, also called hard swish.

    Take it for networks on phones and microcontrollers, where an exponential is dear.

    Formula:

        y = x * minimum(maximum(x + 3, 0), 6) / 6

    Args:
        x: Tensor.

    Shapes:
        Any; the output has the shape and dtype of `x`.

    Example:

    >>> float(keras_actloss.activations.hard_silu(-1.5))
    -0.375

    Related:
        `hard_silu(x) = x * hard_sigmoid(x)`.

    Reference:
        [Howard et al., 2019](https://arxiv.org/abs/1905.02244)
    """
    exact = rounded_once(_hard_silu_value, _hard_silu_gradient, table="hard_silu")
    # Torch has one kernel for it, which overflows beyond 5e37, but is several times as fast.
    return by_width(x, exact, ops.hard_silu, on=("torch",))


@register("layers")
class HardSiLU(ActivationLayer, fn=hard_silu):
    """Layer form of `hard_silu`."""

    def __init__(self, **kwargs: Unpack[LayerArguments]):
        super().__init__(**kwargs)
