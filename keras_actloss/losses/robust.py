"""Regression losses that outliers do not rule."""

from typing import Unpack

from keras import ops

from keras_actloss.core.checks import positive
from keras_actloss.core.functions import loss_function
from keras_actloss.core.loss import Loss, LossArguments
from keras_actloss.core.registry import register
from keras_actloss.core.tensors import mean


@loss_function(delta=positive)
def huber(y_true, y_pred, delta=1.0, mask=None):
    """Squared error near zero, absolute error beyond `delta`, mean over the last axis.

    Take it for regression with outliers: the slope never exceeds `delta`, and small errors still
    settle quadratically.

    Formula:

        error = abs(y_true - y_pred)
        loss = mean(where(error <= delta, error**2 / 2, delta * (error - delta / 2)), axis=-1)

    Args:
        y_true: Targets.
        y_pred: Predictions.
        delta: Error at which the loss turns linear, in the unit of the targets, above 0. Defaults
            to `1.0`.
        mask: Boolean, `True` where an entry counts; shape of `y_pred`, or without its last axes.
            Defaults to `None`.

    Shapes:
        `y_true` and `y_pred`: `(batch, ..., n)`; `(batch,)` beside `(batch, 1)` is the same. The
        loss: `(batch, ...)`.

    Raises:
        ValueError: If `delta` is not positive or the shapes do not fit.

    Example:

    >>> float(keras_actloss.losses.huber([[0.0]], [[3.0]], delta=2.0)[0])
    4.0

    Related:
        `huber / delta` is the smooth L1 loss with `beta = delta`. Keras 3.15's class loses `delta`
        when it is saved.

    Reference:
        [Huber, 1964](https://doi.org/10.1214/aoms/1177703732)
    """
    error = ops.abs(y_pred - y_true)
    # Both branches in one product: neither squares an error that would overflow.
    bounded = ops.minimum(error, delta)
    return mean(bounded * (error - 0.5 * bounded), mask)


@register("losses")
class Huber(Loss, fn=huber):
    """Class form of `huber`."""

    def __init__(self, delta=1.0, **kwargs: Unpack[LossArguments]):
        super().__init__(**kwargs)
        self.delta = delta
