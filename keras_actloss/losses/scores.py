"""Scores of probabilities of classes, and of one logit per class."""

import math
from typing import Any, Unpack

from keras import ops

from keras_actloss.core.binary import both_sides, logistic, of_entries, sides
from keras_actloss.core.categorical import along, of_rows, one_hot
from keras_actloss.core.curves import OPTIONS, smoothed
from keras_actloss.core.functions import loss_function
from keras_actloss.core.loss import Loss, LossArguments
from keras_actloss.core.numerics import leader, with_gradient
from keras_actloss.core.registry import register
from keras_actloss.core.settings import as_list
from keras_actloss.core.tensors import cast, dtype_of, mean


def _softmax_brier(y, x, axis):
    """`sum((softmax(x) - y)**2)`."""

    def shared(y, x):
        _, leads, others, rest = leader(x, axis)
        total = 1 + rest
        weight = ops.where(leads, 1.0, others)
        # In this order nothing cancels where the label leads.
        return leads, rest, weight / total, ((weight - y) - y * rest) / total

    def value(shared, y, x):
        return ops.sum(ops.square(shared[3]), axis=axis)

    def gradient(upstream, shared, y, x):
        leads, rest, p, error = shared
        mean_error = ops.sum(p * error, axis=axis, keepdims=True)
        # Of a single leader that is almost all of the mean, what the others leave of it.
        of_others = ops.sum(ops.where(leads, 0.0, p * error), axis=axis, keepdims=True)
        beside = ops.where(
            ops.logical_and(leads, rest < 1),
            error * (rest / (1 + rest)) - of_others,
            error - mean_error,
        )
        return None, 2 * ops.expand_dims(upstream, axis) * p * beside

    return with_gradient(value, gradient, shared)(y, x)


@loss_function("onehot", **OPTIONS)
def categorical_nll(
    y_true: Any,
    y_pred: Any,
    label_smoothing=0.0,
    axis=-1,
    class_weights: Any = None,
    ignore_class: Any = None,
) -> Any:
    """Negative log-likelihood of one-hot or soft labels under log-probabilities.

    Take it where the model ends in a log-softmax, or mixes log-probabilities by itself;
    `categorical_crossentropy` for logits, which it normalizes.

    Formula:

        y = y_true * (1 - label_smoothing) + label_smoothing / size(y_pred, axis)
        w = 1 if class_weights is None else along(class_weights, axis)
        loss = -sum(w * y * y_pred, axis=axis)

    Args:
        y_true: Labels: one-hot rows, or distributions over the classes.
        y_pred: Log-probabilities.
        label_smoothing: Share of the label that is spread over all classes, in [0, 1). Defaults to
            `0.0`.
        axis: The class axis. Defaults to `-1`.
        class_weights: One weight of at least 0 per class. Defaults to `None`, all 1.
        ignore_class: Class whose rows are left out: those with their largest entry there, and those
            without a label. Defaults to `None`.

    Shapes:
        `y_true` and `y_pred`: `(batch, ..., classes)`, the classes on `axis`. The loss: the same
        without `axis`. No gradient flows to `y_true`.

    Raises:
        ValueError: If an option is out of range or the shapes do not fit.

    Example:

    >>> float(keras_actloss.losses.categorical_nll([[0, 1]], [[-0.25, -1.5]])[0])
    1.5

    Related:
        Of `log_softmax(x)`, `categorical_crossentropy` of the logits `x`.

    Reference:
        [Goodfellow et al., 2016, section 6.2.1.1](https://www.deeplearningbook.org)
    """
    y = smoothed(y_true, label_smoothing, y_pred.shape[axis])
    if class_weights is not None:
        y = y * along(class_weights, y_pred, axis)
    # An entry at minus infinity that nobody asks for is no loss.
    return -ops.sum(y * ops.where(y == 0, ops.zeros_like(y_pred), y_pred), axis=axis)


@register("losses")
class CategoricalNLL(Loss, fn=categorical_nll):
    """Class form of `categorical_nll`."""

    predictions = (-math.inf, 0.0)

    def __init__(
        self,
        label_smoothing=0.0,
        axis=-1,
        class_weights=None,
        ignore_class=None,
        **kwargs: Unpack[LossArguments],
    ):
        super().__init__(**kwargs)
        self.label_smoothing = label_smoothing
        self.axis = axis
        self.class_weights = as_list(class_weights)
        self.ignore_class = ignore_class


@loss_function("ids", **OPTIONS)
def sparse_categorical_nll(
    y_true: Any,
    y_pred: Any,
    ignore_class: Any = None,
    axis=-1,
    label_smoothing=0.0,
    class_weights: Any = None,
) -> Any:
    """Negative log-likelihood of class ids under log-probabilities.

    Take it for labels that are ids; see `categorical_nll`.

    Formula:

        y = one_hot(y_true, size(y_pred, axis), axis) * (1 - label_smoothing)
        y = y + label_smoothing / size(y_pred, axis)
        w = 1 if class_weights is None else along(class_weights, axis)
        loss = -sum(w * y * y_pred, axis=axis)

    Args:
        y_true: Class ids, integers from 0.
        y_pred: Log-probabilities.
        ignore_class: Id, often -1 or 255, whose entries are left out. Defaults to `None`.
        axis: The class axis. Defaults to `-1`.
        label_smoothing: Share of the label that is spread over all classes, in [0, 1). Defaults to
            `0.0`.
        class_weights: One weight of at least 0 per class. Defaults to `None`, all 1.

    Shapes:
        `y_pred`: `(batch, ..., classes)`, the classes on `axis`. `y_true` and the loss: the same
        without `axis`.

    Raises:
        TypeError: If `y_true` is not of an integer dtype.
        ValueError: If an option or an id is out of range, or the shapes do not fit.

    Example:

    >>> nll = keras_actloss.losses.sparse_categorical_nll
    >>> float(nll([1], [[-0.25, -1.5]])[0])
    1.5

    Related:
        `categorical_nll` of the one-hot labels; of `log_softmax(x)`,
        `sparse_categorical_crossentropy` of the logits `x`.

    Reference:
        [Goodfellow et al., 2016, section 6.2.1.1](https://www.deeplearningbook.org)
    """
    return categorical_nll.maths(
        one_hot(y_true, y_pred, axis),
        y_pred,
        label_smoothing=label_smoothing,
        axis=axis,
        class_weights=class_weights,
    )


@register("losses")
class SparseCategoricalNLL(Loss, fn=sparse_categorical_nll):
    """Class form of `sparse_categorical_nll`."""

    predictions = (-math.inf, 0.0)

    def __init__(
        self,
        ignore_class=None,
        axis=-1,
        label_smoothing=0.0,
        class_weights=None,
        **kwargs: Unpack[LossArguments],
    ):
        super().__init__(**kwargs)
        self.ignore_class = ignore_class
        self.axis = axis
        self.label_smoothing = label_smoothing
        self.class_weights = as_list(class_weights)


@loss_function("binary", **OPTIONS)
def multilabel_soft_margin(
    y_true: Any,
    y_pred: Any,
    label_smoothing=0.0,
    axis=-1,
    class_weights: Any = None,
    ignore_class: Any = None,
    mask: Any = None,
) -> Any:
    """Cross-entropy of one logit per class, mean over the classes.

    Take it for samples with any number of classes at once, to weigh the classes against each other.

    Formula:

        p = 1 / (1 + exp(-y_pred))
        q = 1 / (1 + exp(y_pred))
        y = y_true * (1 - label_smoothing) + label_smoothing / 2
        w = 1 if class_weights is None else along(class_weights, axis)
        loss = mean(w * (-xlogy(y, p) - xlogy(1 - y, q)), axis=axis)

    Args:
        y_true: Labels from 0 to 1, for each class.
        y_pred: Logits.
        label_smoothing: How far labels move towards 1/2, in [0, 1). Defaults to `0.0`.
        axis: Axis of the classes, which the mean is taken over. Defaults to `-1`.
        class_weights: One weight of at least 0 per class. Defaults to `None`, all 1.
        ignore_class: Label, often -1, whose entries are left out. Defaults to `None`.
        mask: Boolean, `True` where an entry counts; shape of `y_pred`, or without its last axes.
            Defaults to `None`.

    Shapes:
        `y_true` and `y_pred`: `(batch, ..., n)`; `(batch,)` beside `(batch, 1)` is the same. The
        loss: the same without `axis`. No gradient flows to `y_true`.

    Raises:
        ValueError: If an option or a label is out of range, or the shapes do not fit.

    Example:

    >>> float(keras_actloss.losses.multilabel_soft_margin([[1, 0]], [[0.0, 0.0]])[0])
    0.6931...

    Related:
        Without weights it is `binary_crossentropy` of logits, whose `class_weights` weigh the
        labels 0 and 1.

    Reference:
        [PyTorch](https://docs.pytorch.org/docs/stable/generated/torch.nn.MultiLabelSoftMarginLoss.html)
    """
    y = cast(y_true, dtype_of(y_pred))
    if class_weights is None:
        return mean(logistic(y_pred, y, label_smoothing=label_smoothing), mask, axis)
    weights = along(class_weights, y_pred, axis)
    y_pred = ops.where(weights == 0, ops.full_like(y_pred, 0.5), y_pred)
    return mean(weights * logistic(y_pred, y, label_smoothing=label_smoothing), mask, axis)


@register("losses")
class MultilabelSoftMargin(Loss, fn=multilabel_soft_margin):
    """Class form of `multilabel_soft_margin`."""

    from_logits = True

    def __init__(
        self,
        label_smoothing=0.0,
        axis=-1,
        class_weights=None,
        ignore_class=None,
        **kwargs: Unpack[LossArguments],
    ):
        super().__init__(**kwargs)
        self.label_smoothing = label_smoothing
        self.axis = axis
        self.class_weights = as_list(class_weights)
        self.ignore_class = ignore_class

    @property
    def width(self):
        return None if self.class_weights is None else len(self.class_weights)


def _binary_brier(from_logits, label_smoothing):
    def miss(x, y):
        p, q = both_sides(x, from_logits)
        yes, no = sides(y, None, label_smoothing)
        return p, q, no * p - yes * q

    def gradient(upstream, x, y):
        p, q, error = miss(x, y)
        return 2 * upstream * error * (p * q if from_logits else 1.0), None

    return with_gradient(lambda x, y: ops.square(miss(x, y)[-1]), gradient)


@loss_function("binary", **OPTIONS)
def binary_brier(
    y_true: Any,
    y_pred: Any,
    from_logits=False,
    label_smoothing=0.0,
    axis=-1,
    class_weights: Any = None,
    ignore_class: Any = None,
    mask: Any = None,
) -> Any:
    """Squared distance of a probability from its yes/no label, mean over an axis.

    Take it for calibrated probabilities where a confident mistake must not cost more than 1, or as
    a score beside `binary_crossentropy`.

    Formula:

        p = 1 / (1 + exp(-y_pred)) if from_logits else y_pred
        y = y_true * (1 - label_smoothing) + label_smoothing / 2
        w = (1, 1) if class_weights is None else class_weights
        loss = mean((w[1] * y_true + w[0] * (1 - y_true)) * (p - y) ** 2, axis=axis)

    Args:
        y_true: Labels from 0 to 1, for each output.
        y_pred: Probabilities, or logits with `from_logits=True`.
        from_logits: Whether `y_pred` holds logits. Defaults to `False`.
        label_smoothing: How far labels move towards 1/2, in [0, 1). Defaults to `0.0`.
        axis: Axis that the mean is taken over. Defaults to `-1`.
        class_weights: Weights of the classes 0 and 1, or `None` for 1 and 1. Defaults to `None`.
        ignore_class: Label, often -1, whose entries are left out. Defaults to `None`.
        mask: Boolean, `True` where an entry counts; shape of `y_pred`, or without its last axes.
            Defaults to `None`.

    Shapes:
        `y_true` and `y_pred`: `(batch, ..., n)`; `(batch,)` beside `(batch, 1)` is the same. The
        loss: the same without `axis`. No gradient flows to `y_true`.

    Raises:
        ValueError: If an option or a label is out of range, or the shapes do not fit.

    Example:

    >>> float(keras_actloss.losses.binary_brier([[1]], [[0.75]])[0])
    0.0625

    Related:
        Of probabilities, `mean_squared_error`, and scikit-learn's `brier_score_loss`; half of
        `categorical_brier` of the two classes.

    Reference:
        [Brier, 1950](https://doi.org/10.1175/1520-0493(1950)078%3C0001:VOFEIT%3E2.0.CO;2)
    """
    y = cast(y_true, dtype_of(y_pred))
    brier = _binary_brier(from_logits, label_smoothing)
    return mean(of_entries(lambda x: brier(x, y), y_true, y_pred, class_weights), mask, axis)


@register("losses")
class BinaryBrier(Loss, fn=binary_brier):
    """Class form of `binary_brier`."""

    def __init__(
        self,
        from_logits=False,
        label_smoothing=0.0,
        axis=-1,
        class_weights=None,
        ignore_class=None,
        **kwargs: Unpack[LossArguments],
    ):
        super().__init__(**kwargs)
        self.from_logits = from_logits
        self.label_smoothing = label_smoothing
        self.axis = axis
        self.class_weights = as_list(class_weights)
        self.ignore_class = ignore_class


@loss_function("onehot", **OPTIONS)
def categorical_brier(
    y_true: Any,
    y_pred: Any,
    from_logits=False,
    label_smoothing=0.0,
    axis=-1,
    class_weights: Any = None,
    ignore_class: Any = None,
) -> Any:
    """Squared distance of probabilities from one-hot or soft labels.

    Take it for calibrated probabilities where a confident mistake must not cost more than 2, or as
    a score beside `categorical_crossentropy`.

    Formula:

        e = exp(y_pred - max(y_pred, axis=axis, keepdims=True))
        p = e / sum(e, axis=axis, keepdims=True) if from_logits else y_pred
        y = y_true * (1 - label_smoothing) + label_smoothing / size(y_pred, axis)
        w = 1 if class_weights is None else sum(y_true * along(class_weights, axis), axis=axis)
        loss = w * sum((p - y) ** 2, axis=axis)

    Args:
        y_true: Labels: one-hot rows, or distributions over the classes.
        y_pred: Probabilities, taken as they are, or logits with `from_logits=True`.
        from_logits: Whether `y_pred` holds logits. Defaults to `False`.
        label_smoothing: Share of the label that is spread over all classes, in [0, 1). Defaults to
            `0.0`.
        axis: The class axis. Defaults to `-1`.
        class_weights: One weight of at least 0 per class, for the rows with its label. Defaults to
            `None`, all 1.
        ignore_class: Class whose rows are left out: those with their largest entry there, and those
            without a label. Defaults to `None`.

    Shapes:
        `y_true` and `y_pred`: `(batch, ..., classes)`, the classes on `axis`. The loss: the same
        without `axis`. No gradient flows to `y_true`.

    Raises:
        ValueError: If an option is out of range or the shapes do not fit.

    Example:

    >>> float(keras_actloss.losses.categorical_brier([[0, 1]], [[0.25, 0.75]])[0])
    0.125

    Related:
        Of two classes, twice `binary_brier`.

    Reference:
        [Brier, 1950](https://doi.org/10.1175/1520-0493(1950)078%3C0001:VOFEIT%3E2.0.CO;2)
    """

    def loss(y, x):
        if from_logits:
            return _softmax_brier(y, x, axis)
        return ops.sum(ops.square(x - y), axis=axis)

    return of_rows(loss, y_true, y_pred, label_smoothing, axis, class_weights)


@register("losses")
class CategoricalBrier(Loss, fn=categorical_brier):
    """Class form of `categorical_brier`."""

    def __init__(
        self,
        from_logits=False,
        label_smoothing=0.0,
        axis=-1,
        class_weights=None,
        ignore_class=None,
        **kwargs: Unpack[LossArguments],
    ):
        super().__init__(**kwargs)
        self.from_logits = from_logits
        self.label_smoothing = label_smoothing
        self.axis = axis
        self.class_weights = as_list(class_weights)
        self.ignore_class = ignore_class


@loss_function("ids", **OPTIONS)
def sparse_categorical_brier(
    y_true: Any,
    y_pred: Any,
    from_logits=False,
    ignore_class: Any = None,
    axis=-1,
    label_smoothing=0.0,
    class_weights: Any = None,
) -> Any:
    """Squared distance of probabilities from class ids.

    Take it for calibrated probabilities where a confident mistake must not cost more than 2; see
    `categorical_brier`.

    Formula:

        e = exp(y_pred - max(y_pred, axis=axis, keepdims=True))
        p = e / sum(e, axis=axis, keepdims=True) if from_logits else y_pred
        label = one_hot(y_true, size(y_pred, axis), axis)
        y = label * (1 - label_smoothing) + label_smoothing / size(y_pred, axis)
        w = 1 if class_weights is None else sum(label * along(class_weights, axis), axis=axis)
        loss = w * sum((p - y) ** 2, axis=axis)

    Args:
        y_true: Class ids, integers from 0.
        y_pred: Probabilities, taken as they are, or logits with `from_logits=True`.
        from_logits: Whether `y_pred` holds logits. Defaults to `False`.
        ignore_class: Id, often -1 or 255, whose entries are left out. Defaults to `None`.
        axis: The class axis. Defaults to `-1`.
        label_smoothing: Share of the label that is spread over all classes, in [0, 1). Defaults to
            `0.0`.
        class_weights: One weight of at least 0 per class, for the rows with its label. Defaults to
            `None`, all 1.

    Shapes:
        `y_pred`: `(batch, ..., classes)`, the classes on `axis`. `y_true` and the loss: the same
        without `axis`.

    Raises:
        TypeError: If `y_true` is not of an integer dtype.
        ValueError: If an option or an id is out of range, or the shapes do not fit.

    Example:

    >>> float(keras_actloss.losses.sparse_categorical_brier([1], [[0.25, 0.75]])[0])
    0.125

    Related:
        `categorical_brier` of the one-hot labels.

    Reference:
        [Brier, 1950](https://doi.org/10.1175/1520-0493(1950)078%3C0001:VOFEIT%3E2.0.CO;2)
    """
    return categorical_brier.maths(
        one_hot(y_true, y_pred, axis),
        y_pred,
        from_logits=from_logits,
        label_smoothing=label_smoothing,
        axis=axis,
        class_weights=class_weights,
    )


@register("losses")
class SparseCategoricalBrier(Loss, fn=sparse_categorical_brier):
    """Class form of `sparse_categorical_brier`."""

    def __init__(
        self,
        from_logits=False,
        ignore_class=None,
        axis=-1,
        label_smoothing=0.0,
        class_weights=None,
        **kwargs: Unpack[LossArguments],
    ):
        super().__init__(**kwargs)
        self.from_logits = from_logits
        self.ignore_class = ignore_class
        self.axis = axis
        self.label_smoothing = label_smoothing
        self.class_weights = as_list(class_weights)
