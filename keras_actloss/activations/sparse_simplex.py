"""Activations onto the probability simplex that give exact zeros."""

import numbers
from typing import Any, Unpack

import numpy as np
from keras import ops

from keras_actloss.core import simplex
from keras_actloss.core.checks import above_one, integer_axis, or_tensor
from keras_actloss.core.functions import activation, in_float32
from keras_actloss.core.keras_fixes import amax
from keras_actloss.core.layer import (
    ActivationLayer,
    Constraint,
    Initializer,
    LayerArguments,
    Regularizer,
)
from keras_actloss.core.parameters import LearnedActivation
from keras_actloss.core.registry import register
from keras_actloss.core.tensors import broadcasts


@activation(axis=integer_axis)
def sparsemax(x: Any, axis=-1) -> Any:
    """Sparsemax: the point of the probability simplex that is closest to the logits.

    Take it instead of `softmax` where few classes or positions should get everything and the others
    exactly 0, as in sparse attention. Entries that get 0 have no gradient.

    Formula:

        top = max(x, axis=axis, keepdims=True)
        total = lambda tau: sum(maximum(x - tau, 0), axis=axis, keepdims=True)
        tau = root(lambda tau: total(tau) - 1, top - 1, top)
        y = maximum(x - tau, 0)

    Args:
        x: Tensor of logits; minus infinity leaves an entry out.
        axis: Axis over which the result sums to 1. Defaults to `-1`.

    Shapes:
        Any with at least one axis; the output has the shape and dtype of `x`.

    Raises:
        TypeError: If `axis` is not an integer.
        ValueError: If `axis` does not exist in `x`, or has no entries.

    Example:

    >>> float(keras_actloss.activations.sparsemax([1.0, 0.5, -1.0])[0])
    0.75

    Related:
        `entmax(x, alpha=2.0)`; `entmax15` lies between it and `softmax`. What Keras 3.15 gives does
        not sum to 1 where the support has more than one entry.

    Reference:
        [Martins and Astudillo, 2016](https://arxiv.org/abs/1602.02068)
    """

    def project(x):
        z = simplex.distance(x, axis)
        return simplex.sparsemax_at(z, *simplex.sparsemax_height(z, axis), axis=axis)

    return in_float32(project, x)


@register("layers")
class Sparsemax(ActivationLayer, fn=sparsemax):
    """Layer form of `sparsemax`."""

    def __init__(self, axis=-1, **kwargs: Unpack[LayerArguments]):
        super().__init__(**kwargs)
        self.axis = axis


@activation(axis=integer_axis)
def entmax15(x: Any, axis=-1) -> Any:
    """1.5-entmax: between softmax and sparsemax, sparse and with a smooth edge.

    Take it instead of `softmax` for sparse attention and sparse outputs: unlike with `sparsemax`
    the gradient of an entry fades before the entry reaches 0.

    Formula:

        z = (x - max(x, axis=axis, keepdims=True)) / 2
        total = lambda tau: sum(maximum(z - tau, 0) ** 2, axis=axis, keepdims=True)
        tau = root(lambda tau: total(tau) - 1, -1, 0)
        y = maximum(z - tau, 0) ** 2

    Args:
        x: Tensor of logits; minus infinity leaves an entry out.
        axis: Axis over which the result sums to 1. Defaults to `-1`.

    Shapes:
        Any with at least one axis; the output has the shape and dtype of `x`.

    Raises:
        TypeError: If `axis` is not an integer.
        ValueError: If `axis` does not exist in `x`, or has no entries.

    Example:

    >>> float(keras_actloss.activations.entmax15([1.0, 0.0])[0])
    0.8307...

    Related:
        `entmax(x, alpha=1.5)`.

    Reference:
        [Peters et al., 2019](https://arxiv.org/abs/1905.05702)
    """

    def project(x):
        z = simplex.distance(x, axis) / 2
        return simplex.entmax15_at(z, simplex.entmax15_height(z, axis), axis)

    return in_float32(project, x)


@register("layers")
class Entmax15(ActivationLayer, fn=entmax15):
    """Layer form of `entmax15`."""

    def __init__(self, axis=-1, **kwargs: Unpack[LayerArguments]):
        super().__init__(**kwargs)
        self.axis = axis


@activation(alpha=or_tensor(above_one(100)), axis=integer_axis)
def entmax(x: Any, alpha=1.5, axis=-1) -> Any:
    """Entmax: from softmax (`alpha` towards 1) through sparsemax (2) to a single one (infinity).

    Take it where the right sparsity is not known: `alpha` may be a tensor, and has a gradient. For
    a fixed `alpha` of 1.5 or 2 it is `entmax15` and `sparsemax`, which are faster.

    Formula:

        z = (alpha - 1) * (x - max(x, axis=axis, keepdims=True))
        lifted = lambda tau: maximum(z - tau, 0) ** (1 / (alpha - 1))
        tau = root(lambda tau: sum(lifted(tau), axis=axis, keepdims=True) - 1, -1, 0)
        y = lifted(tau)

    Args:
        x: Tensor of logits; minus infinity leaves an entry out.
        alpha: Number in (1, 100], or a tensor of such that broadcasts against `x` and has size 1
            along `axis`: one for all, or one per head or row. Defaults to `1.5`.
        axis: Axis over which the result sums to 1. Defaults to `-1`.

    Shapes:
        Any with at least one axis; the output has the shape and dtype of `x`.

    Raises:
        TypeError: If `axis` is not an integer.
        ValueError: If the number `alpha` is not in (1, 100], a tensor `alpha` does not fit, or
            `axis` does not exist in `x` or has no entries.

    Example:

    >>> float(keras_actloss.activations.entmax([1.0, 0.0], alpha=1.25)[0])
    0.7754...

    Related:
        `alpha = 1.5` is `entmax15`, `alpha = 2` is `sparsemax`; `LearnedEntmax` learns it.

    Reference:
        [Peters et al., 2019](https://arxiv.org/abs/1905.05702), learned `alpha`:
        [Correia et al., 2019](https://arxiv.org/abs/1909.00015)
    """
    fixed = isinstance(alpha, numbers.Real)
    if fixed and alpha in (1.5, 2):
        return (entmax15 if alpha == 1.5 else sparsemax).prepared(x, axis=axis)

    def project(x):
        z = simplex.distance(x, axis)
        # One per row, so that what broadcast has its gradient summed; 1 is subtracted from the
        # number itself, not from its rounding.
        rows = ops.zeros_like(ops.stop_gradient(amax(x, axis=axis, keepdims=True)))
        if not broadcasts(np.shape(alpha), rows.shape):
            raise ValueError(
                f"entmax: alpha of shape {tuple(np.shape(alpha))} does not broadcast to the rows "
                f"along axis={axis} of x, {tuple(rows.shape)}; give it one entry, or one a row"
            )
        exponent = ops.cast(ops.convert_to_tensor(alpha - 1), z.dtype) + rows
        height = simplex.entmax_height(z, exponent, axis, convex=fixed and alpha < 2)
        return simplex.entmax_at(z, exponent, height, axis, fixed)

    return in_float32(project, x)


@register("layers")
class Entmax(ActivationLayer, fn=entmax):
    """Layer form of `entmax`."""

    def __init__(self, alpha=1.5, axis=-1, **kwargs: Unpack[LayerArguments]):
        super().__init__(**kwargs)
        self.alpha = alpha
        self.axis = axis


@register("layers")
class LearnedEntmax(LearnedActivation, fn=entmax):
    """Layer form of `entmax` that learns one `alpha` for all rows.

    A weight that training takes below 1.01 is clipped to 1.01, which is close to `softmax`, and
    still gets the gradient there.
    """

    def __init__(
        self,
        axis=-1,
        alpha_initializer: Initializer = 1.5,
        alpha_regularizer: Regularizer = None,
        alpha_constraint: Constraint = None,
        **kwargs: Unpack[LayerArguments],
    ):
        super().__init__(**kwargs)
        self.axis = axis
        self.learn("alpha", alpha_initializer, alpha_regularizer, alpha_constraint, scalar=True)

    def fn_settings(self):
        settings = super().fn_settings()
        alpha = settings["alpha"]
        return settings | {"alpha": alpha + ops.stop_gradient(ops.relu(1.01 - alpha))}
