"""S-shaped activations, smooth and piecewise linear, and the logarithm of the logistic sigmoid."""

from typing import Any, Unpack

from keras import ops

from keras_actloss.core.checks import finite_positive, number, ordered
from keras_actloss.core.functions import activation, by_kernel, by_width
from keras_actloss.core.kernels import hard_sigmoid_slope, runs_torch, softsign_slope
from keras_actloss.core.layer import ActivationLayer, LayerArguments
from keras_actloss.core.numerics import rounded_once, tail, tanh_slope, with_gradient
from keras_actloss.core.registry import register
from keras_actloss.core.tensors import attach_logits


def _sigmoid_gradient(upstream, x):
    small = tail(x)
    return upstream * (small * (1 - small))


def _tanh_gradient(upstream, x):
    return upstream * tanh_slope(x)


@activation()
def sigmoid(x: Any) -> Any:
    """Logistic sigmoid: a logit to a probability.

    Take it for binary and multi-label outputs; the cross-entropies of this package recover the
    logits from its result and lose nothing where it saturates.

    Formula:

        y = 1 / (1 + exp(-x))

    Args:
        x: Tensor of logits.

    Shapes:
        Any; the output has the shape and dtype of `x`.

    Example:

    >>> float(keras_actloss.activations.sigmoid(1.0))
    0.7310...

    Related:
        `sigmoid(x) = (1 + tanh(x / 2)) / 2`.

    Reference:
        [Goodfellow et al., 2016, section 3.10](https://www.deeplearningbook.org)
    """
    return attach_logits(by_kernel(x, ops.sigmoid, _sigmoid_gradient, table="sigmoid"), x)


@register("layers")
class Sigmoid(ActivationLayer, fn=sigmoid):
    """Layer form of `sigmoid`."""

    def __init__(self, **kwargs: Unpack[LayerArguments]):
        super().__init__(**kwargs)


@activation()
def tanh(x: Any) -> Any:
    """Hyperbolic tangent: a sigmoid centered on zero, between -1 and 1.

    Take it for recurrent cells and bounded outputs.

    Formula:

        y = (exp(x) - exp(-x)) / (exp(x) + exp(-x))

    Args:
        x: Tensor.

    Shapes:
        Any; the output has the shape and dtype of `x`.

    Example:

    >>> float(keras_actloss.activations.tanh(1.0))
    0.7615...

    Related:
        `tanh(x) = 2 * sigmoid(2 * x) - 1`.

    Reference:
        [LeCun et al., 1998](https://doi.org/10.1007/3-540-49430-8_2)
    """
    return by_kernel(x, ops.tanh, _tanh_gradient, table="tanh")


@register("layers")
class Tanh(ActivationLayer, fn=tanh):
    """Layer form of `tanh`."""

    def __init__(self, **kwargs: Unpack[LayerArguments]):
        super().__init__(**kwargs)


@activation()
def log_sigmoid(x: Any) -> Any:
    """Logarithm of the logistic sigmoid: a logit to a log-probability.

    Take it wherever `log(sigmoid(x))` is meant, which is minus infinity below -88.

    Formula:

        y = -log1p(exp(-x))

    Args:
        x: Tensor of logits.

    Shapes:
        Any; the output has the shape and dtype of `x`.

    Example:

    >>> float(keras_actloss.activations.log_sigmoid(1.0))
    -0.3132...

    Related:
        `log_sigmoid(x) = -softplus(-x)`.

    Reference:
        [Goodfellow et al., 2016, section 3.10](https://www.deeplearningbook.org)
    """

    def value(x):
        if runs_torch():
            return ops.log_sigmoid(x)
        # Of an op for the whole, ONNX exporters make log(sigmoid(x)), minus infinity far out.
        return -ops.softplus(-x)

    def gradient(upstream, x):
        return upstream * ops.sigmoid(-x)

    return by_kernel(x, value, gradient, table="log_sigmoid")


@register("layers")
class LogSigmoid(ActivationLayer, fn=log_sigmoid):
    """Layer form of `log_sigmoid`."""

    def __init__(self, **kwargs: Unpack[LayerArguments]):
        super().__init__(**kwargs)


def _softsign_slope(upstream, x):
    return upstream / ops.square(1 + ops.abs(x))


def _softsign_slopes(again, upstream, x):
    slope = _softsign_slope(again, x)
    return slope, -2 * ops.sign(x) / (1 + ops.abs(x)) * upstream * slope


_softsign_of_tensorflow = with_gradient(
    ops.softsign, with_gradient(softsign_slope, _softsign_slopes)
)


@activation()
def softsign(x: Any) -> Any:
    """Sigmoid of algebraic operations only, between -1 and 1.

    Take it instead of `tanh` where units should saturate late: its slope falls off as `1 / x**2`.

    Formula:

        y = x / (1 + abs(x))

    Args:
        x: Tensor.

    Shapes:
        Any; the output has the shape and dtype of `x`.

    Example:

    >>> float(keras_actloss.activations.softsign(3.0))
    0.75

    Related:
        `squareplus` is to `softplus` as this is to `tanh`.

    Reference:
        [Glorot and Bengio, 2010](https://proceedings.mlr.press/v9/glorot10a.html)
    """

    exact = rounded_once(ops.softsign, _softsign_slope, table="softsign")
    return by_width(x, exact, _softsign_of_tensorflow, on=("tensorflow",))


@register("layers")
class Softsign(ActivationLayer, fn=softsign):
    """Layer form of `softsign`."""

    def __init__(self, **kwargs: Unpack[LayerArguments]):
        super().__init__(**kwargs)


@activation(cap=finite_positive)
def softcap(x: Any, cap: Any) -> Any:
    """Soft clipping: the identity near zero, bounded by `-cap` and `cap`.

    Take it to keep logits in a range without the zero gradient of a hard clip: Gemma 2 caps its
    attention logits at 50 and its final logits at 30.

    Formula:

        y = cap * tanh(x / cap)

    Args:
        x: Tensor.
        cap: Limit of the output's size, greater than 0.

    Shapes:
        Any; the output has the shape and dtype of `x`.

    Raises:
        ValueError: If `cap` is not positive and finite.

    Example:

    >>> float(keras_actloss.activations.softcap(100.0, cap=50.0))
    48.2013...

    Related:
        `cap = 1` is `tanh`.

    Reference:
        [Gemma Team, 2024](https://arxiv.org/abs/2408.00118)
    """

    function = rounded_once(
        lambda x: cap * ops.tanh(x / cap),
        lambda upstream, x: upstream * tanh_slope(x, 1 / cap),
        table=("softcap", cap),
    )
    return function(x)


@register("layers")
class Softcap(ActivationLayer, fn=softcap):
    """Layer form of `softcap`."""

    def __init__(self, cap, **kwargs: Unpack[LayerArguments]):
        super().__init__(**kwargs)
        self.cap = cap


@activation(min_value=number, max_value=number)
def hard_tanh(x: Any, min_value=-1.0, max_value=1.0) -> Any:
    """The input, clipped: a tanh made of three straight lines.

    Take it for a bounded output that costs nothing, or to clip to a range of your own. The
    gradient is 0 beyond the bounds.

    Formula:

        y = minimum(maximum(x, min_value), max_value)

    Args:
        x: Tensor.
        min_value: Smallest value of the output. Defaults to `-1.0`.
        max_value: Largest value of the output, not below `min_value`. Defaults to `1.0`.

    Shapes:
        Any; the output has the shape and dtype of `x`.

    Raises:
        ValueError: If `min_value` exceeds `max_value`.

    Example:

    >>> float(keras_actloss.activations.hard_tanh(3.0, max_value=2.0))
    2.0

    Related:
        `hard_tanh(x, min_value=0.0, max_value=6.0)` is `relu6(x)`.

    Reference:
        [Collobert et al., 2011](https://arxiv.org/abs/1103.0398)
    """
    ordered("hard_tanh", min_value=min_value, max_value=max_value)
    if (min_value, max_value) == (-1, 1):
        return ops.hard_tanh(x)

    def clipped(x):
        return ops.clip(x, min_value, max_value)

    def gradient(upstream, x):
        inside = ops.logical_and(min_value <= x, x <= max_value)
        return ops.where(inside, upstream, 0.0)

    return by_kernel(x, clipped, gradient)


@register("layers")
class HardTanh(ActivationLayer, fn=hard_tanh):
    """Layer form of `hard_tanh`."""

    def __init__(self, min_value=-1.0, max_value=1.0, **kwargs: Unpack[LayerArguments]):
        super().__init__(**kwargs)
        self.min_value = min_value
        self.max_value = max_value
        ordered("HardTanh", min_value=min_value, max_value=max_value)


def _hard_sigmoid_slope(upstream, x):
    return ops.where(ops.abs(x) < 3, upstream / 6, 0.0)


_hard_sigmoid_of_torch = with_gradient(
    ops.hard_sigmoid,
    with_gradient(
        hard_sigmoid_slope, lambda again, upstream, x: (_hard_sigmoid_slope(again, x), None)
    ),
)


@activation()
def hard_sigmoid(x: Any) -> Any:
    """Piecewise linear stand-in for `sigmoid`: 0 below -3, 1 above 3.

    Take it for gates on devices where an exponential is dear. Models of Keras 2 have the steeper
    `hard_sigmoid(1.2 * x)` under the same name.

    Formula:

        y = minimum(maximum(x + 3, 0), 6) / 6

    Args:
        x: Tensor.

    Shapes:
        Any; the output has the shape and dtype of `x`.

    Example:

    >>> float(keras_actloss.activations.hard_sigmoid(-1.5))
    0.25

    Related:
        `hard_sigmoid(x) = sparse_sigmoid(x / 3)`.

    Reference:
        [Howard et al., 2019](https://arxiv.org/abs/1905.02244)
    """
    native = _hard_sigmoid_of_torch if runs_torch() else ops.hard_sigmoid
    exact = rounded_once(ops.hard_sigmoid, _hard_sigmoid_slope)
    return by_width(x, exact, native, narrow=("torch",))


@register("layers")
class HardSigmoid(ActivationLayer, fn=hard_sigmoid):
    """Layer form of `hard_sigmoid`."""

    def __init__(self, **kwargs: Unpack[LayerArguments]):
        super().__init__(**kwargs)


def _line(x):
    return ops.where(x <= -1, 0.0, ops.where(x >= 1, 1.0, (x + 1) / 2))


@activation()
def sparse_sigmoid(x: Any) -> Any:
    """Sigmoid that reaches its limits: 0 below -1, 1 above 1, a straight line between.

    Take it for probabilities that may be exactly 0 or 1, as `sparsemax` gives them for more than
    two classes.

    Formula:

        y = minimum(maximum((x + 1) / 2, 0), 1)

    Args:
        x: Tensor.

    Shapes:
        Any; the output has the shape and dtype of `x`.

    Example:

    >>> float(keras_actloss.activations.sparse_sigmoid(0.5))
    0.75

    Related:
        `sparse_sigmoid(x) = (1 + hard_tanh(x)) / 2`, the derivative of `sparse_plus`.

    Reference:
        [Blondel et al., 2020](https://arxiv.org/abs/1901.02324)
    """

    def gradient(upstream, x):
        return ops.where(ops.abs(x) < 1, 0.5 * upstream, 0.0)

    # Torch keeps two masks of bytes for the line; JAX would keep two tensors more.
    return by_kernel(x, _line, gradient, on=("torch",))


@register("layers")
class SparseSigmoid(ActivationLayer, fn=sparse_sigmoid):
    """Layer form of `sparse_sigmoid`."""

    def __init__(self, **kwargs: Unpack[LayerArguments]):
        super().__init__(**kwargs)
