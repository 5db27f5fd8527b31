"""S-shaped activations: logistic sigmoid and hyperbolic tangent."""

from typing import Unpack

from keras import ops

from keras_actloss.core.functions import activation, by_width
from keras_actloss.core.layer import ActivationLayer, LayerArguments
from keras_actloss.core.numerics import tail, with_gradient
from keras_actloss.core.registry import register
from keras_actloss.core.tensors import attach_logits


def _sigmoid_gradient(upstream, x):
    small = tail(x)
    return upstream * (small * (1 - small))


def _tanh_gradient(upstream, x):
    # 1 - tanh(x)^2 = 4 s (1 - s) with s = sigmoid(-2|x|), which does not cancel.
    small = tail(2 * x)
    return upstream * (4 * small * (1 - small))


@activation()
def sigmoid(x):
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
    y = by_width(x, ops.sigmoid, with_gradient(ops.sigmoid, _sigmoid_gradient))
    return attach_logits(y, x)


@register("layers")
class Sigmoid(ActivationLayer, fn=sigmoid):
    """Layer form of `sigmoid`."""

    def __init__(self, **kwargs: Unpack[LayerArguments]):
        super().__init__(**kwargs)


@activation()
def tanh(x):
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
    return by_width(x, ops.tanh, with_gradient(ops.tanh, _tanh_gradient))


@register("layers")
class Tanh(ActivationLayer, fn=tanh):
    """Layer form of `tanh`."""

    def __init__(self, **kwargs: Unpack[LayerArguments]):
        super().__init__(**kwargs)
