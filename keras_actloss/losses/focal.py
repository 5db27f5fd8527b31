"""Focal losses: cross-entropies that leave what is already right alone."""

from typing import Any, Unpack

from keras import ops

from keras_actloss.core.binary import of_binary
from keras_actloss.core.categorical import along, of_categorical, of_sparse
from keras_actloss.core.checks import class_weights_or_none, finite_non_negative, fraction, or_none
from keras_actloss.core.curves import OPTIONS, Curve
from keras_actloss.core.functions import loss_function
from keras_actloss.core.loss import Loss, LossArguments
from keras_actloss.core.numerics import power
from keras_actloss.core.registry import register
from keras_actloss.core.settings import as_list

_CHECKS = {**OPTIONS, "gamma": finite_non_negative, "alpha": class_weights_or_none}


def _focal(gamma):
    """`(1 - p)**gamma * -log(p)`."""
    if gamma == 0:
        return None

    def slope(label):
        if gamma >= 1:
            return power(label.q, gamma - 1) * (label.q + gamma * (label.p * label.loss))
        # Not (1 - p)**(gamma - 1), which is infinite at 1 for a gamma below it.
        right = label.q == 0
        ratio = ops.where(right, 1.0, label.loss / ops.where(right, 1.0, label.q))
        return power(label.q, gamma) * (1 + gamma * label.p * ratio)

    return Curve(lambda label: power(label.q, gamma) * label.loss, slope)


def _weights(alpha, y_pred, axis):
    """`alpha` as the weights of the classes, under its own name if it is not one per class."""
    return None if alpha is None else ops.reshape(along(alpha, y_pred, axis, "alpha"), (-1,))


@loss_function("binary", **{**_CHECKS, "alpha": or_none(fraction)})
def binary_focal_crossentropy(
    y_true: Any,
    y_pred: Any,
    alpha: Any = None,
    gamma=2.0,
    from_logits=False,
    label_smoothing=0.0,
    axis=-1,
    ignore_class: Any = None,
    mask: Any = None,
) -> Any:
    """Cross-entropy of yes/no labels times the missing probability to a power, mean over an axis.

    Take it in place of `binary_crossentropy` where easy negatives outnumber all else, as in dense
    detection. It works in log space from logits; Keras's stops at 16.1, without a gradient, where
    a logit is confident and wrong. Keras's `apply_class_balancing` is an `alpha` here.

    Formula:

        p = 1 / (1 + exp(-y_pred)) if from_logits else y_pred
        q = 1 / (1 + exp(y_pred)) if from_logits else 1 - y_pred
        y = y_true * (1 - label_smoothing) + label_smoothing / 2
        w = (1, 1) if alpha is None else (1 - alpha, alpha)
        yes = w[1] * q**gamma * xlogy(y, p)
        no = w[0] * p**gamma * xlogy(1 - y, q)
        loss = mean(-yes - no, axis=axis)

    Args:
        y_true: Labels from 0 to 1, for each output.
        y_pred: Probabilities, or logits with `from_logits=True`.
        alpha: Weight of the label 1, from 0 to 1; the label 0 has `1 - alpha`. Defaults to `None`,
            1 for both.
        gamma: How much right answers are left alone, at least 0. Defaults to `2.0`.
        from_logits: Whether `y_pred` holds logits. Defaults to `False`.
        label_smoothing: How far labels move towards 1/2, in [0, 1). Defaults to `0.0`.
        axis: Axis that the mean is taken over. Defaults to `-1`.
        ignore_class: Label, often -1, whose entries are left out. Defaults to `None`.
        mask: Boolean, `True` where an entry counts; shape of `y_pred`, or without its last axes.
            Defaults to `None`.

    Shapes:
        `y_true` and `y_pred`: `(batch, ..., n)`; `(batch,)` beside `(batch, 1)` is the same. The
        loss: the same without `axis`. No gradient flows to `y_true`.

    Raises:
        ValueError: If an option or a label is out of range, or the shapes do not fit.

    Example:

    >>> float(keras_actloss.losses.binary_focal_crossentropy([[1]], [[0.5]])[0])
    0.1732...

    Related:
        `gamma=0` is `binary_crossentropy`, with `class_weights=(1 - alpha, alpha)`. The focal loss
        of a soft label is here that of both answers, weighed by the label; Keras's focuses on their
        mean. `alpha` is 0.25 by default in TFA, KerasCV and torchvision, and not used in optax,
        MONAI and segmentation_models.pytorch; TFA and KerasCV sum over the axis.

    Reference:
        [Lin et al., 2017](https://arxiv.org/abs/1708.02002)
    """
    weights = None if alpha is None else (1 - alpha, alpha)
    curve = _focal(gamma)
    return of_binary(y_true, y_pred, from_logits, label_smoothing, axis, weights, mask, curve)


@register("losses")
class BinaryFocalCrossentropy(Loss, fn=binary_focal_crossentropy):
    """Class form of `binary_focal_crossentropy`."""

    def __init__(
        self,
        alpha=None,
        gamma=2.0,
        from_logits=False,
        label_smoothing=0.0,
        axis=-1,
        ignore_class=None,
        **kwargs: Unpack[LossArguments],
    ):
        super().__init__(**kwargs)
        self.alpha = alpha
        self.gamma = gamma
        self.from_logits = from_logits
        self.label_smoothing = label_smoothing
        self.axis = axis
        self.ignore_class = ignore_class


@loss_function("onehot", **_CHECKS)
def categorical_focal_crossentropy(
    y_true: Any,
    y_pred: Any,
    alpha: Any = None,
    gamma=2.0,
    from_logits=False,
    label_smoothing=0.0,
    axis=-1,
    ignore_class: Any = None,
) -> Any:
    """Cross-entropy of one-hot or soft labels times the missing probability to a power.

    Take it in place of `categorical_crossentropy` where easy samples outnumber the others. The
    probability is that of a softmax. Keras's `alpha` of 0.25 scales the whole loss; here `alpha`
    weighs classes.

    Formula:

        p = exp(y_pred - max(y_pred, axis=axis, keepdims=True)) if from_logits else y_pred
        p = p / sum(p, axis=axis, keepdims=True)
        y = y_true * (1 - label_smoothing) + label_smoothing / size(y_pred, axis)
        w = 1 if alpha is None else along(alpha, axis)
        loss = -sum(w * (1 - p) ** gamma * xlogy(y, p), axis=axis)

    Args:
        y_true: Labels: one-hot rows, or distributions over the classes.
        y_pred: Probabilities, which need not sum to 1, or logits with `from_logits=True`.
        alpha: One weight of at least 0 per class. Defaults to `None`, all 1.
        gamma: How much right answers are left alone, at least 0. Defaults to `2.0`.
        from_logits: Whether `y_pred` holds logits. Defaults to `False`.
        label_smoothing: Share of the label that is spread over all classes, in [0, 1). Defaults to
            `0.0`.
        axis: The class axis. Defaults to `-1`.
        ignore_class: Class whose rows are left out: those with their largest entry there, and
            those without a label. Defaults to `None`.

    Shapes:
        `y_true` and `y_pred`: `(batch, ..., classes)`, the classes on `axis`. The loss: the same
        without `axis`. No gradient flows to `y_true`.

    Raises:
        ValueError: If an option is out of range or the shapes do not fit.

    Example:

    >>> float(keras_actloss.losses.categorical_focal_crossentropy([[0, 1]], [[0.5, 0.5]])[0])
    0.1732...

    Related:
        `gamma=0` is `categorical_crossentropy` with `class_weights=alpha`. In MONAI, with a
        softmax, and kornia an `alpha` of `a` means `[1 - a, a, a, ...]`, and the mean divides by
        the number of classes too. segmentation_models.pytorch has one sigmoid per class for several
        classes: `binary_focal_crossentropy` of the one-hot labels.

    Reference:
        [Lin et al., 2017](https://arxiv.org/abs/1708.02002)
    """
    weights, curve = _weights(alpha, y_pred, axis), _focal(gamma)
    return of_categorical(y_true, y_pred, from_logits, label_smoothing, axis, weights, curve)


@register("losses")
class CategoricalFocalCrossentropy(Loss, fn=categorical_focal_crossentropy):
    """Class form of `categorical_focal_crossentropy`."""

    def __init__(
        self,
        alpha=None,
        gamma=2.0,
        from_logits=False,
        label_smoothing=0.0,
        axis=-1,
        ignore_class=None,
        **kwargs: Unpack[LossArguments],
    ):
        super().__init__(**kwargs)
        self.alpha = as_list(alpha)
        self.gamma = gamma
        self.from_logits = from_logits
        self.label_smoothing = label_smoothing
        self.axis = axis
        self.ignore_class = ignore_class


@loss_function("ids", **_CHECKS)
def sparse_categorical_focal_crossentropy(
    y_true: Any,
    y_pred: Any,
    alpha: Any = None,
    gamma=2.0,
    from_logits=False,
    ignore_class: Any = None,
    axis=-1,
    label_smoothing=0.0,
) -> Any:
    """Cross-entropy of class ids times the missing probability to a power.

    Take it in place of `sparse_categorical_crossentropy` where easy samples outnumber the others,
    such as background pixels. The probability is that of a softmax, not one sigmoid per class.

    Formula:

        p = exp(y_pred - max(y_pred, axis=axis, keepdims=True)) if from_logits else y_pred
        p = p / sum(p, axis=axis, keepdims=True)
        y = one_hot(y_true, size(y_pred, axis), axis) * (1 - label_smoothing)
        y = y + label_smoothing / size(y_pred, axis)
        w = 1 if alpha is None else along(alpha, axis)
        loss = -sum(w * (1 - p) ** gamma * xlogy(y, p), axis=axis)

    Args:
        y_true: Class ids, integers from 0.
        y_pred: Probabilities, which need not sum to 1, or logits with `from_logits=True`.
        alpha: One weight of at least 0 per class. Defaults to `None`, all 1.
        gamma: How much right answers are left alone, at least 0. Defaults to `2.0`.
        from_logits: Whether `y_pred` holds logits. Defaults to `False`.
        ignore_class: Id, often -1 or 255, whose entries are left out. Defaults to `None`.
        axis: The class axis. Defaults to `-1`.
        label_smoothing: Share of the label that is spread over all classes, in [0, 1). Defaults to
            `0.0`.

    Shapes:
        `y_pred`: `(batch, ..., classes)`, the classes on `axis`. `y_true` and the loss: the same
        without `axis`.

    Raises:
        TypeError: If `y_true` is not of an integer dtype.
        ValueError: If an option or an id is out of range, or the shapes do not fit.

    Example:

    >>> float(keras_actloss.losses.sparse_categorical_focal_crossentropy([1], [[0.5, 0.5]])[0])
    0.1732...

    Related:
        `categorical_focal_crossentropy` of the one-hot labels; see there for other packages.

    Reference:
        [Lin et al., 2017](https://arxiv.org/abs/1708.02002)
    """
    weights, curve = _weights(alpha, y_pred, axis), _focal(gamma)
    return of_sparse(y_true, y_pred, from_logits, label_smoothing, axis, weights, curve)


@register("losses")
class SparseCategoricalFocalCrossentropy(Loss, fn=sparse_categorical_focal_crossentropy):
    """Class form of `sparse_categorical_focal_crossentropy`."""

    def __init__(
        self,
        alpha=None,
        gamma=2.0,
        from_logits=False,
        ignore_class=None,
        axis=-1,
        label_smoothing=0.0,
        **kwargs: Unpack[LossArguments],
    ):
        super().__init__(**kwargs)
        self.alpha = as_list(alpha)
        self.gamma = gamma
        self.from_logits = from_logits
        self.ignore_class = ignore_class
        self.axis = axis
        self.label_smoothing = label_smoothing
