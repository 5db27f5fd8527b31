"""Losses of quantiles and their kin, one or several in a head."""

import numbers
from typing import Any, Unpack

from keras import ops

from keras_actloss.core.checks import finite_positive, fractions
from keras_actloss.core.functions import loss_function
from keras_actloss.core.kernels import vector
from keras_actloss.core.loss import Loss, LossArguments
from keras_actloss.core.numerics import absolute, smooth_absolute
from keras_actloss.core.registry import register
from keras_actloss.core.settings import as_list
from keras_actloss.core.tensors import dtype_of, mean


def _labels_by(setting):
    """A number is for predictions as many as targets, a list for several of one target."""
    return lambda settings: "values" if isinstance(settings[setting], numbers.Real) else "target"


def _count(levels):
    return None if isinstance(levels, numbers.Real) else len(levels)


def _errors(y_true, y_pred, levels, name):
    """`(d, weight)`: targets less predictions, and the level or 1 less it by the sign of `d`."""
    if isinstance(levels, numbers.Real):
        above, below = float(levels), 1 - float(levels)
    else:
        if y_pred.shape[-1] not in (None, len(levels)):
            raise ValueError(
                f"{name} has {len(levels)} entries, but the last axis of y_pred of shape "
                f"{tuple(y_pred.shape)} has {y_pred.shape[-1]}; predict one number for each"
            )
        y_true = ops.expand_dims(y_true, -1)
        above, below = list(map(float, levels)), [1 - float(level) for level in levels]
    above, below = (vector(x, dtype_of(y_pred)) for x in (above, below))
    d = y_true - y_pred
    return d, ops.where(d > 0, above, below)


@loss_function(_labels_by("quantiles"), quantiles=fractions)
def quantile(y_true: Any, y_pred: Any, quantiles=0.5, mask: Any = None) -> Any:
    """Pinball loss, whose best prediction is a quantile of the target, mean over the last axis.

    Take it for forecasts with an interval, several quantiles in one head; they may cross. With
    `(batch, k)` on both sides TFA's pinball loss takes each target for another quantile; ours
    refuses that.

    Formula:

        y = y_true.reshape(*y_pred.shape[:-1], -1)
        level = along(quantiles, -1)
        loss = mean(where(y_pred < y, level, 1 - level) * abs(y - y_pred), axis=-1)

    Args:
        y_true: Targets.
        y_pred: Predictions.
        quantiles: Quantiles, between 0 and 1. A number is for as many predictions as targets. A
            list is for several predictions of one target, one per entry. Defaults to `0.5`.
        mask: Boolean, `True` where an entry counts; shape of `y_true`, or without its last axes.
            Defaults to `None`.

    Shapes:
        With a number, `y_true` and `y_pred`: `(batch, ..., n)`; `(batch,)` beside `(batch, 1)` is
        the same. With a list of k, `y_pred`: `(batch, ..., k)`; `y_true`: `(batch, ...)` or
        `(batch, ..., 1)`; outputs with k each are `(batch, n)` beside `(batch, n, k)`. The loss:
        `(batch, ...)`.

    Raises:
        TypeError: If `quantiles` is neither a number nor a flat list.
        ValueError: If a quantile is out of range, or the shapes do not fit each other
            and the list.

    Example:

    >>> float(keras_actloss.losses.quantile([1.0], [[0.0, 3.0]], quantiles=[0.25, 0.75])[0])
    0.375

    Related:
        `quantile(0.5)` is half of `mean_absolute_error`. `quantile_huber` is smooth, `expectile`
        squared.

    Reference:
        [Koenker and Bassett, 1978](https://doi.org/10.2307/1913643)
    """
    d, weight = _errors(y_true, y_pred, quantiles, "quantile: quantiles")
    return mean(weight * absolute(d), mask)


@register("losses")
class Quantile(Loss, fn=quantile):
    """Class form of `quantile`."""

    @property
    def width(self):
        return _count(self.quantiles)

    def __init__(self, quantiles=0.5, **kwargs: Unpack[LossArguments]):
        super().__init__(**kwargs)
        self.quantiles = as_list(quantiles)


@loss_function(_labels_by("expectiles"), expectiles=fractions)
def expectile(y_true: Any, y_pred: Any, expectiles=0.5, mask: Any = None) -> Any:
    """Squared error weighed by its side, whose best prediction is an expectile, mean over an axis.

    Take it for asymmetric regression with a smooth loss, as implicit Q-learning does with 0.7 to
    0.9; outliers move expectiles, not quantiles.

    Formula:

        y = y_true.reshape(*y_pred.shape[:-1], -1)
        level = along(expectiles, -1)
        loss = mean(where(y_pred < y, level, 1 - level) * (y - y_pred) ** 2, axis=-1)

    Args:
        y_true: Targets.
        y_pred: Predictions.
        expectiles: Expectiles, between 0 and 1. A number is for as many predictions as targets. A
            list is for several predictions of one target, one per entry. Defaults to `0.5`.
        mask: Boolean, `True` where an entry counts; shape of `y_true`, or without its last axes.
            Defaults to `None`.

    Shapes:
        With a number, `y_true` and `y_pred`: `(batch, ..., n)`; `(batch,)` beside `(batch, 1)` is
        the same. With a list of k, `y_pred`: `(batch, ..., k)`; `y_true`: `(batch, ...)` or
        `(batch, ..., 1)`; outputs with k each are `(batch, n)` beside `(batch, n, k)`. The loss:
        `(batch, ...)`.

    Raises:
        TypeError: If `expectiles` is neither a number nor a flat list.
        ValueError: If an expectile is out of range, or the shapes do not fit each other
            and the list.

    Example:

    >>> float(keras_actloss.losses.expectile([[2.0]], [[0.0]], expectiles=0.75)[0])
    3.0

    Related:
        `expectile(0.5)` is half of `mean_squared_error`. `quantile` is its absolute form. The best
        constant is `scipy.stats.expectile`.

    Reference:
        [Newey and Powell, 1987](https://doi.org/10.2307/1911031)
    """
    d, weight = _errors(y_true, y_pred, expectiles, "expectile: expectiles")
    return mean(weight * d * d, mask)


@register("losses")
class Expectile(Loss, fn=expectile):
    """Class form of `expectile`."""

    @property
    def width(self):
        return _count(self.expectiles)

    def __init__(self, expectiles=0.5, **kwargs: Unpack[LossArguments]):
        super().__init__(**kwargs)
        self.expectiles = as_list(expectiles)


@loss_function(_labels_by("quantiles"), quantiles=fractions, delta=finite_positive)
def quantile_huber(y_true: Any, y_pred: Any, quantiles=0.5, delta=1.0, mask: Any = None) -> Any:
    """Pinball loss whose kink is rounded off below `delta`, mean over the last axis.

    Take it for the return distribution in reinforcement learning (QR-DQN, IQN), and wherever the
    kink of `quantile` keeps training from settling.

    Formula:

        y = y_true.reshape(*y_pred.shape[:-1], -1)
        level = along(quantiles, -1)
        error = abs(y - y_pred)
        huber = where(error <= delta, error**2 / 2, delta * (error - delta / 2))
        loss = mean(where(y_pred < y, level, 1 - level) * huber / delta, axis=-1)

    Args:
        y_true: Targets.
        y_pred: Predictions.
        quantiles: Quantiles, between 0 and 1. A number is for as many predictions as targets. A
            list is for several predictions of one target, one per entry. Defaults to `0.5`.
        delta: Error at which the loss turns linear, in the unit of the targets, above 0; the
            paper's kappa. Defaults to `1.0`.
        mask: Boolean, `True` where an entry counts; shape of `y_true`, or without its last axes.
            Defaults to `None`.

    Shapes:
        With a number, `y_true` and `y_pred`: `(batch, ..., n)`; `(batch,)` beside `(batch, 1)` is
        the same. With a list of k, `y_pred`: `(batch, ..., k)`; `y_true`: `(batch, ...)` or
        `(batch, ..., 1)`; outputs with k each are `(batch, n)` beside `(batch, n, k)`. The loss:
        `(batch, ...)`.

    Raises:
        TypeError: If `quantiles` is neither a number nor a flat list.
        ValueError: If a quantile or `delta` is out of range, or the shapes do not fit each other
            and the list.

    Example:

    >>> loss = keras_actloss.losses.quantile_huber
    >>> float(loss([1.0], [[0.0, 3.0]], quantiles=[0.25, 0.75])[0])
    0.25

    Related:
        `quantile_huber(0.5)` is half of `smooth_l1` with `beta = delta`; as `delta` goes to 0,
        `quantile`. QR-DQN sums over the k quantiles: k times ours. For several target samples
        repeat both on an axis before the last.

    Reference:
        [Dabney et al., 2017](https://arxiv.org/abs/1710.10044)
    """
    d, weight = _errors(y_true, y_pred, quantiles, "quantile_huber: quantiles")
    return mean(weight * smooth_absolute(d, delta), mask)


@register("losses")
class QuantileHuber(Loss, fn=quantile_huber):
    """Class form of `quantile_huber`."""

    @property
    def width(self):
        return _count(self.quantiles)

    def __init__(self, quantiles=0.5, delta=1.0, **kwargs: Unpack[LossArguments]):
        super().__init__(**kwargs)
        self.quantiles = as_list(quantiles)
        self.delta = delta
