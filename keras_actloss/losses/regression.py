"""Losses of a number predicted by a number."""

from typing import Unpack

from keras import ops

from keras_actloss.core.functions import loss_function
from keras_actloss.core.loss import Loss, LossArguments
from keras_actloss.core.numerics import absolute
from keras_actloss.core.registry import register
from keras_actloss.core.tensors import mean


@loss_function()
def mean_squared_error(y_true, y_pred, mask=None):
    """Mean of the squared errors over the last axis.

    The default for a regression whose errors are Gaussian. Take `mean_absolute_error` or `huber`
    where a few outliers would rule it.

    Formula:

        loss = mean((y_true - y_pred) ** 2, axis=-1)

    Args:
        y_true: Targets.
        y_pred: Predictions.
        mask: Boolean, `True` where an entry counts; shape of `y_pred`, or without its last axes.
            Defaults to `None`.

    Shapes:
        `y_true` and `y_pred`: `(batch, ..., n)`; `(batch,)` beside `(batch, 1)` is the same. The
        loss: `(batch, ...)`.

    Raises:
        ValueError: If the shapes do not fit.

    Example:

    >>> float(keras_actloss.losses.mean_squared_error([[0.0, 0.0]], [[1.0, 3.0]])[0])
    5.0

    Related:
        Half of it is `huber` with a large `delta`.

    Reference:
        [Goodfellow et al., 2016, section 5.5.1](https://www.deeplearningbook.org)
    """
    return mean(ops.square(y_pred - y_true), mask)


@register("losses")
class MeanSquaredError(Loss, fn=mean_squared_error):
    """Class form of `mean_squared_error`."""

    def __init__(self, **kwargs: Unpack[LossArguments]):
        super().__init__(**kwargs)


@loss_function()
def mean_absolute_error(y_true, y_pred, mask=None):
    """Mean of the absolute errors over the last axis.

    Its best constant prediction is the median, so outliers do not move it. Take `huber` where the
    constant slope near zero keeps the training from settling.

    Formula:

        loss = mean(abs(y_true - y_pred), axis=-1)

    Args:
        y_true: Targets.
        y_pred: Predictions.
        mask: Boolean, `True` where an entry counts; shape of `y_pred`, or without its last axes.
            Defaults to `None`.

    Shapes:
        `y_true` and `y_pred`: `(batch, ..., n)`; `(batch,)` beside `(batch, 1)` is the same. The
        loss: `(batch, ...)`. The gradient of an exact prediction is 0.

    Raises:
        ValueError: If the shapes do not fit.

    Example:

    >>> float(keras_actloss.losses.mean_absolute_error([[0.0, 0.0]], [[1.0, 3.0]])[0])
    2.0

    Related:
        `huber` approaches `delta` times it as `delta` goes to 0.

    Reference:
        [Bloomfield and Steiger, 1983](https://doi.org/10.1007/978-1-4684-8574-5)
    """
    return mean(absolute(y_pred - y_true), mask)


@register("losses")
class MeanAbsoluteError(Loss, fn=mean_absolute_error):
    """Class form of `mean_absolute_error`."""

    def __init__(self, **kwargs: Unpack[LossArguments]):
        super().__init__(**kwargs)
