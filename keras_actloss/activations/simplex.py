"""Activations onto the probability simplex."""

from collections.abc import Sequence
from typing import Unpack

import numpy as np
from keras import ops

from keras_actloss.core import tensors
from keras_actloss.core.checks import axes, integer_axis
from keras_actloss.core.functions import activation, by_width
from keras_actloss.core.keras_fixes import amax
from keras_actloss.core.layer import ActivationLayer, LayerArguments
from keras_actloss.core.numerics import leader, with_gradient
from keras_actloss.core.registry import register


def _over_last_axis(function, x, axis):
    """`function` over several axes at once: they are moved to the end and flattened."""
    rank = len(x.shape)
    axis = [a % rank for a in axis]
    order = [a for a in range(rank) if a not in axis] + axis
    back = sorted(range(rank), key=order.__getitem__)
    moved = ops.transpose(x, order)
    sizes = ops.shape(moved)
    flat = ops.reshape(moved, (*sizes[: rank - len(axis)], -1))
    return ops.transpose(ops.reshape(function(flat), sizes), back)


def _exact_softmax(axis):
    def gradient(upstream, x):
        _, leads, others, rest = leader(x, axis)
        y = ops.where(leads, 1.0, others) / (1 + rest)
        # Relative to the upstream value of one leader nothing cancels at a saturated row.
        reference = amax(ops.where(leads, upstream, -np.inf), axis=axis, keepdims=True)
        relative = upstream - reference
        return y * (relative - ops.sum(y * relative, axis=axis, keepdims=True))

    return with_gradient(lambda x: ops.softmax(x, axis=axis), gradient)


def _exact_log_softmax(axis):
    def value(x):
        top, _, _, rest = leader(x, axis)
        return (x - top) - ops.log1p(rest)

    def gradient(upstream, x):
        _, leads, others, rest = leader(x, axis)
        y = ops.where(leads, 1.0, others) / (1 + rest)
        # 1 - y of a leader, without subtracting y from 1.
        complement = ops.where(leads, rest / (1 + rest), 1 - y)
        total = ops.sum(upstream, axis=axis, keepdims=True)
        return upstream * complement - y * (total - upstream)

    return with_gradient(value, gradient)


@activation(axis=axes)
def softmax(x, axis: int | Sequence[int] = -1, mask=None):
    """Softmax: logits to probabilities that sum to 1 along an axis.

    Take it for the output of a classifier with exclusive classes, and for attention weights with
    `mask`. The cross-entropies of this package recover the logits from its result.

    Formula:

        e = exp(x - max(x, axis=axis, keepdims=True))
        y = e / sum(e, axis=axis, keepdims=True)

    Args:
        x: Tensor of logits.
        axis: Axis, or several, over which the result sums to 1. Defaults to `-1`.
        mask: Boolean tensor that broadcasts to `x`, `True` where an entry takes part. Entries
            left out get exactly 0, a row with none left only zeros. Defaults to `None`.

    Shapes:
        Any with at least one axis; the output has the shape and dtype of `x`.

    Raises:
        TypeError: If `axis` is not an integer or several.

    Example:

    >>> float(keras_actloss.activations.softmax([0.0, 1.0])[1])
    0.7310...

    Related:
        Of two logits, `sigmoid` of their difference; `log_softmax` is its logarithm.

    Reference:
        [Bridle, 1990](https://doi.org/10.1007/978-3-642-76153-9_28)
    """
    if mask is not None:
        mask = ops.cast(ops.convert_to_tensor(mask), "bool")
        mask = ops.broadcast_to(mask, ops.shape(x))
        # Minus infinity leaves an entry out; a row of nothing else would be NaN, so it keeps zeros.
        some = ops.any(mask, axis=axis, keepdims=True)
        x = ops.where(mask, x, ops.where(some, ops.full_like(x, -np.inf), ops.zeros_like(x)))

    def along(axis):
        return lambda x: by_width(x, lambda x: ops.softmax(x, axis=axis), _exact_softmax(axis))

    axes = (axis,) if isinstance(axis, int) else tuple(axis)
    y = along(axes[0])(x) if len(axes) == 1 else _over_last_axis(along(-1), x, axes)
    if mask is not None:
        y = ops.where(mask, y, ops.zeros_like(y))
    return tensors.attach_logits(y, x) if len(axes) == 1 else y


@register("layers")
class Softmax(ActivationLayer, fn=softmax):
    """Layer form of `softmax`; `layer(x, mask)` leaves entries out."""

    def __init__(self, axis: int | Sequence[int] = -1, **kwargs: Unpack[LayerArguments]):
        super().__init__(**kwargs)
        self.axis = tuple(axis) if isinstance(axis, list) else axis

    def call(self, inputs, mask=None):
        # A Keras mask of steps reaches all entries of a step.
        while mask is not None and len(mask.shape) < len(inputs.shape):
            mask = ops.expand_dims(mask, -1)
        return self.apply_fn(inputs, mask=mask)


@activation(axis=integer_axis)
def log_softmax(x, axis=-1):
    """Logarithm of the softmax, computed without forming the probabilities.

    Take it where log-probabilities are wanted; `log(softmax(x))` is minus infinity where a
    probability underflows.

    Formula:

        top = max(x, axis=axis, keepdims=True)
        y = (x - top) - log(sum(exp(x - top), axis=axis, keepdims=True))

    Args:
        x: Tensor of logits.
        axis: Axis over which the exponential of the result sums to 1. Defaults to `-1`.

    Shapes:
        Any with at least one axis; the output has the shape and dtype of `x`.

    Raises:
        TypeError: If `axis` is not an integer.

    Example:

    >>> float(keras_actloss.activations.log_softmax([0.0, 1.0])[1])
    -0.3132...

    Related:
        `exp(log_softmax(x)) = softmax(x)`.

    Reference:
        [Goodfellow et al., 2016, section 6.2.2.3](https://www.deeplearningbook.org)
    """
    return by_width(x, lambda x: ops.log_softmax(x, axis=axis), _exact_log_softmax(axis))


@register("layers")
class LogSoftmax(ActivationLayer, fn=log_softmax):
    """Layer form of `log_softmax`."""

    def __init__(self, axis=-1, **kwargs: Unpack[LayerArguments]):
        super().__init__(**kwargs)
        self.axis = axis
