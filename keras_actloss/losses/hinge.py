"""Margin losses of support vector machines."""

from typing import Unpack

import numpy as np
from keras import ops

from keras_actloss.core.functions import loss_function
from keras_actloss.core.keras_fixes import amax
from keras_actloss.core.loss import Loss, LossArguments
from keras_actloss.core.registry import register
from keras_actloss.core.tensors import mean


def _margin(y_true, y_pred):
    """How far a score falls short of 1 on its own side; a label of 0 means -1."""
    sign = ops.where(y_true == 0, -1.0, y_true)
    return ops.relu(1 - sign * y_pred)


@loss_function()
def hinge(y_true, y_pred, mask=None):
    """How far scores fall short of a margin of 1, mean over the last axis.

    Take it for maximum-margin classifiers; `binary_crossentropy` where probabilities are wanted.

    Formula:

        sign = where(y_true == 0, -1, y_true)
        loss = mean(maximum(1 - sign * y_pred, 0), axis=-1)

    Args:
        y_true: Labels, -1 or 1, or 0 or 1: each 0 counts as -1. Keras looks at the whole batch to
            decide, so there a label's meaning hangs on its neighbors.
        y_pred: Scores, any real number.
        mask: Boolean, `True` where an entry counts; shape of `y_pred`, or without its last axes.
            Defaults to `None`.

    Shapes:
        `y_true` and `y_pred`: `(batch, ..., n)`; `(batch,)` beside `(batch, 1)` is the same. The
        loss: `(batch, ...)`.

    Raises:
        ValueError: If the shapes do not fit.

    Example:

    >>> float(keras_actloss.losses.hinge([[1.0, -1.0]], [[0.5, 0.5]])[0])
    1.0

    Related:
        `squared_hinge`; `categorical_hinge` for more than two classes.

    Reference:
        [Cortes and Vapnik, 1995](https://doi.org/10.1007/BF00994018)
    """
    return mean(_margin(y_true, y_pred), mask)


@register("losses")
class Hinge(Loss, fn=hinge):
    """Class form of `hinge`."""

    def __init__(self, **kwargs: Unpack[LossArguments]):
        super().__init__(**kwargs)


@loss_function()
def squared_hinge(y_true, y_pred, mask=None):
    """Squared shortfall of scores from a margin of 1, mean over the last axis.

    Take it in place of `hinge` for a smooth loss that punishes large violations more.

    Formula:

        sign = where(y_true == 0, -1, y_true)
        loss = mean(maximum(1 - sign * y_pred, 0) ** 2, axis=-1)

    Args:
        y_true: Labels, -1 or 1, or 0 or 1: each 0 counts as -1.
        y_pred: Scores, any real number.
        mask: Boolean, `True` where an entry counts; shape of `y_pred`, or without its last axes.
            Defaults to `None`.

    Shapes:
        `y_true` and `y_pred`: `(batch, ..., n)`; `(batch,)` beside `(batch, 1)` is the same. The
        loss: `(batch, ...)`.

    Raises:
        ValueError: If the shapes do not fit.

    Example:

    >>> float(keras_actloss.losses.squared_hinge([[1.0, -1.0]], [[0.5, 0.5]])[0])
    1.25

    Related:
        `hinge`.

    Reference:
        [Lee and Mangasarian, 2001](https://doi.org/10.1023/A:1011215321374)
    """
    return mean(ops.square(_margin(y_true, y_pred)), mask)


@register("losses")
class SquaredHinge(Loss, fn=squared_hinge):
    """Class form of `squared_hinge`."""

    def __init__(self, **kwargs: Unpack[LossArguments]):
        super().__init__(**kwargs)


@loss_function("onehot")
def categorical_hinge(y_true, y_pred):
    """How far the label's score falls short of the best other score plus 1.

    The multi-class hinge of Crammer and Singer. Keras 3.15 lets the label's own entry, as a 0,
    take part among the others, so with all scores negative its loss is too large.

    Formula:

        label = y_true == max(y_true, axis=-1, keepdims=True)
        best_other = max(where(label, -inf, y_pred), axis=-1)
        loss = maximum(1 + best_other - sum(where(label, y_pred, 0), axis=-1), 0)

    Args:
        y_true: One-hot labels; the largest entry of a row is its class.
        y_pred: Scores, any real number.

    Shapes:
        `y_true` and `y_pred`: `(batch, ..., classes)`. The loss: `(batch, ...)`.

    Raises:
        ValueError: If the shapes do not fit.

    Example:

    >>> float(keras_actloss.losses.categorical_hinge([[1, 0, 0]], [[-3.0, -2.0, -2.5]])[0])
    2.0

    Related:
        Of two classes, `hinge` of the difference of the scores.

    Reference:
        [Crammer and Singer, 2001](https://www.jmlr.org/papers/v2/crammer01a.html)
    """
    label = y_true == amax(y_true, axis=-1, keepdims=True)
    others = ops.where(label, -np.inf, y_pred)
    own = ops.sum(ops.where(label, y_pred, 0.0), axis=-1)
    return ops.relu(1 + (amax(others, axis=-1) - own))


@register("losses")
class CategoricalHinge(Loss, fn=categorical_hinge):
    """Class form of `categorical_hinge`."""

    def __init__(self, **kwargs: Unpack[LossArguments]):
        super().__init__(**kwargs)
