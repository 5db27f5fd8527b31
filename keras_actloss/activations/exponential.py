"""Activations with an exponential branch."""

from typing import Unpack

from keras import ops

from keras_actloss.core.checks import non_negative
from keras_actloss.core.functions import activation, by_width
from keras_actloss.core.layer import ActivationLayer, LayerArguments
from keras_actloss.core.numerics import with_gradient
from keras_actloss.core.registry import register


@activation(alpha=non_negative)
def elu(x, alpha=1.0):
    """Exponential linear unit: linear right of zero, saturating at `-alpha` left of it.

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
        ValueError: If `alpha` is negative.

    Example:

    >>> float(keras_actloss.activations.elu(-1.0, alpha=2.0))
    -1.2642...

    Related:
        `alpha = 0` is `relu`.

    Reference:
        [Clevert et al., 2016](https://arxiv.org/abs/1511.07289)
    """
    exact = with_gradient(
        lambda x: ops.where(x > 0, x, alpha * ops.expm1(ops.minimum(x, 0))),
        lambda upstream, x: upstream * ops.where(x > 0, 1.0, alpha * ops.exp(ops.minimum(x, 0))),
    )
    return by_width(x, lambda x: ops.elu(x, alpha), exact)


@register("layers")
class ELU(ActivationLayer, fn=elu):
    """Layer form of `elu`."""

    def __init__(self, alpha=1.0, **kwargs: Unpack[LayerArguments]):
        super().__init__(**kwargs)
        self.alpha = alpha
