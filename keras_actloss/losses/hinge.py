"""Margins of yes/no scores: hinges, the logistic loss, and the perceptron, which asks for none."""

from typing import Any, Unpack

from keras import ops

from keras_actloss.core.binary import logistic, of_entries
from keras_actloss.core.curves import OPTIONS
from keras_actloss.core.functions import loss_function
from keras_actloss.core.kernels import rectified
from keras_actloss.core.loss import Loss, LossArguments
from keras_actloss.core.registry import register
from keras_actloss.core.settings import as_list
from keras_actloss.core.tensors import mean


def _mean_of_sides(loss, y_true, y_pred, class_weights, mask):
    """Mean of `loss` of how far scores are on their own side; a label of 0 means -1."""
    sign = ops.where(y_true == 0, -1.0, y_true)
    values = of_entries(lambda x: loss(sign * x), y_true > 0, y_pred, class_weights)
    return mean(values, mask)


def _short(side):
    """How far scores fall short of 1 on their own side."""
    return rectified(1 - side)


@loss_function("values", **OPTIONS)
def hinge(
    y_true: Any,
    y_pred: Any,
    class_weights: Any = None,
    ignore_class: Any = None,
    mask: Any = None,
) -> Any:
    """How far scores fall short of a margin of 1, mean over the last axis.

    Take it for maximum-margin classifiers; `binary_crossentropy` where probabilities are wanted.

    Formula:

        sign = where(y_true == 0, -1, y_true)
        w = (1, 1) if class_weights is None else class_weights
        w = where(y_true > 0, w[1], w[0])
        loss = mean(w * maximum(1 - sign * y_pred, 0), axis=-1)

    Args:
        y_true: Labels, -1 or 1, or 0 or 1: each 0 counts as -1. Keras looks at the whole batch to
            decide, so there a label's meaning depends on its neighbors.
        y_pred: Scores, any real number.
        class_weights: Weights of the negative and of the positive label, or `None` for 1 and 1.
            Defaults to `None`.
        ignore_class: Label whose entries are left out, such as -1 beside labels of 0 and 1.
            Defaults to `None`.
        mask: Boolean, `True` where an entry counts; shape of `y_pred`, or without its last axes.
            Defaults to `None`.

    Shapes:
        `y_true` and `y_pred`: `(batch, ..., n)`; `(batch,)` beside `(batch, 1)` is the same. The
        loss: `(batch, ...)`.

    Raises:
        ValueError: If an option is out of range or the shapes do not fit.

    Example:

    >>> float(keras_actloss.losses.hinge([[1.0, -1.0]], [[0.5, 0.5]])[0])
    1.0

    Related:
        `squared_hinge`; `soft_margin` bends smoothly; `categorical_hinge` and `multi_margin` for
        more than two classes.

    Reference:
        [Cortes and Vapnik, 1995](https://doi.org/10.1007/BF00994018)
    """
    return _mean_of_sides(_short, y_true, y_pred, class_weights, mask)


@register("losses")
class Hinge(Loss, fn=hinge):
    """Class form of `hinge`."""

    def __init__(self, class_weights=None, ignore_class=None, **kwargs: Unpack[LossArguments]):
        super().__init__(**kwargs)
        self.class_weights = as_list(class_weights)
        self.ignore_class = ignore_class


@loss_function("values", **OPTIONS)
def squared_hinge(
    y_true: Any,
    y_pred: Any,
    class_weights: Any = None,
    ignore_class: Any = None,
    mask: Any = None,
) -> Any:
    """Squared shortfall of scores from a margin of 1, mean over the last axis.

    Take it in place of `hinge` for a smooth loss that punishes large violations more.

    Formula:

        sign = where(y_true == 0, -1, y_true)
        w = (1, 1) if class_weights is None else class_weights
        w = where(y_true > 0, w[1], w[0])
        loss = mean(w * maximum(1 - sign * y_pred, 0) ** 2, axis=-1)

    Args:
        y_true: Labels, -1 or 1, or 0 or 1: each 0 counts as -1.
        y_pred: Scores, any real number.
        class_weights: Weights of the negative and of the positive label, or `None` for 1 and 1.
            Defaults to `None`.
        ignore_class: Label whose entries are left out, such as -1 beside labels of 0 and 1.
            Defaults to `None`.
        mask: Boolean, `True` where an entry counts; shape of `y_pred`, or without its last axes.
            Defaults to `None`.

    Shapes:
        `y_true` and `y_pred`: `(batch, ..., n)`; `(batch,)` beside `(batch, 1)` is the same. The
        loss: `(batch, ...)`.

    Raises:
        ValueError: If an option is out of range or the shapes do not fit.

    Example:

    >>> float(keras_actloss.losses.squared_hinge([[1.0, -1.0]], [[0.5, 0.5]])[0])
    1.25

    Related:
        `hinge`.

    Reference:
        [Lee and Mangasarian, 2001](https://doi.org/10.1023/A:1011215321374)
    """
    return _mean_of_sides(
        lambda side: ops.square(_short(side)), y_true, y_pred, class_weights, mask
    )


@register("losses")
class SquaredHinge(Loss, fn=squared_hinge):
    """Class form of `squared_hinge`."""

    def __init__(self, class_weights=None, ignore_class=None, **kwargs: Unpack[LossArguments]):
        super().__init__(**kwargs)
        self.class_weights = as_list(class_weights)
        self.ignore_class = ignore_class


@loss_function("values", **OPTIONS)
def soft_margin(
    y_true: Any,
    y_pred: Any,
    class_weights: Any = None,
    ignore_class: Any = None,
    mask: Any = None,
) -> Any:
    """Logistic loss of scores on their own side, mean over the last axis.

    A `hinge` with a smooth bend: no score is ever far enough. PyTorch 2.13 gives infinity with a
    gradient of NaN for a score of -100.

    Formula:

        sign = where(y_true == 0, -1, y_true)
        w = (1, 1) if class_weights is None else class_weights
        w = where(y_true > 0, w[1], w[0])
        loss = mean(w * log1p(exp(-sign * y_pred)), axis=-1)

    Args:
        y_true: Labels, -1 or 1, or 0 or 1: each 0 counts as -1.
        y_pred: Scores, any real number.
        class_weights: Weights of the negative and of the positive label, or `None` for 1 and 1.
            Defaults to `None`.
        ignore_class: Label whose entries are left out, such as -1 beside labels of 0 and 1.
            Defaults to `None`.
        mask: Boolean, `True` where an entry counts; shape of `y_pred`, or without its last axes.
            Defaults to `None`.

    Shapes:
        `y_true` and `y_pred`: `(batch, ..., n)`; `(batch,)` beside `(batch, 1)` is the same. The
        loss: `(batch, ...)`.

    Raises:
        ValueError: If an option is out of range or the shapes do not fit.

    Example:

    >>> float(keras_actloss.losses.soft_margin([[1.0]], [[0.0]])[0])
    0.6931...

    Related:
        `binary_crossentropy(from_logits=True)` with labels 0 and 1, which also takes soft ones.

    Reference:
        [Friedman et al., 2000](https://doi.org/10.1214/aos/1016218223)
    """
    return _mean_of_sides(
        lambda side: logistic(side, ops.ones_like(side)), y_true, y_pred, class_weights, mask
    )


@register("losses")
class SoftMargin(Loss, fn=soft_margin):
    """Class form of `soft_margin`."""

    from_logits = True

    def __init__(self, class_weights=None, ignore_class=None, **kwargs: Unpack[LossArguments]):
        super().__init__(**kwargs)
        self.class_weights = as_list(class_weights)
        self.ignore_class = ignore_class


@loss_function("values", **OPTIONS)
def perceptron(
    y_true: Any,
    y_pred: Any,
    class_weights: Any = None,
    ignore_class: Any = None,
    mask: Any = None,
) -> Any:
    """How far scores lie on the wrong side of 0, mean over the last axis.

    Take it for a linear classifier without a margin; `hinge` asks for one. What is right by
    anything costs nothing.

    Formula:

        sign = where(y_true == 0, -1, y_true)
        w = (1, 1) if class_weights is None else class_weights
        w = where(y_true > 0, w[1], w[0])
        loss = mean(w * maximum(-sign * y_pred, 0), axis=-1)

    Args:
        y_true: Labels, -1 or 1, or 0 or 1: each 0 counts as -1. optax takes -1 and 1 only.
        y_pred: Scores, any real number.
        class_weights: Weights of the negative and of the positive label, or `None` for 1 and 1.
            Defaults to `None`.
        ignore_class: Label whose entries are left out, such as -1 beside labels of 0 and 1.
            Defaults to `None`.
        mask: Boolean, `True` where an entry counts; shape of `y_pred`, or without its last axes.
            Defaults to `None`.

    Shapes:
        `y_true` and `y_pred`: `(batch, ..., n)`; `(batch,)` beside `(batch, 1)` is the same. The
        loss: `(batch, ...)`.

    Raises:
        ValueError: If an option is out of range or the shapes do not fit.

    Example:

    >>> float(keras_actloss.losses.perceptron([[1.0, 0.0]], [[0.5, 0.5]])[0])
    0.25

    Related:
        `hinge` of scores moved by 1 to the right side; `categorical_perceptron`.

    Reference:
        [Rosenblatt, 1958](https://doi.org/10.1037/h0042519)
    """
    return _mean_of_sides(lambda side: rectified(-side), y_true, y_pred, class_weights, mask)


@register("losses")
class Perceptron(Loss, fn=perceptron):
    """Class form of `perceptron`."""

    def __init__(self, class_weights=None, ignore_class=None, **kwargs: Unpack[LossArguments]):
        super().__init__(**kwargs)
        self.class_weights = as_list(class_weights)
        self.ignore_class = ignore_class
