"""Cross-entropies: binary, categorical and sparse categorical."""

from typing import Any, Unpack

from keras_actloss.core.binary import of_binary
from keras_actloss.core.categorical import of_categorical, of_sparse
from keras_actloss.core.curves import OPTIONS
from keras_actloss.core.functions import loss_function
from keras_actloss.core.loss import Loss, LossArguments
from keras_actloss.core.registry import register
from keras_actloss.core.settings import as_list


@loss_function("binary", **OPTIONS)
def binary_crossentropy(
    y_true: Any,
    y_pred: Any,
    from_logits=False,
    label_smoothing=0.0,
    axis=-1,
    class_weights: Any = None,
    ignore_class: Any = None,
    mask: Any = None,
) -> Any:
    """Cross-entropy of yes/no labels, mean over an axis.

    Take it for two classes and for multi-label outputs. It works in log space from logits, also
    from those that a sigmoid leaves on its result, on every backend. From bare probabilities Keras
    clips at 1e-7 and a confident mistake has no gradient; here it has.

    Formula:

        p = 1 / (1 + exp(-y_pred)) if from_logits else y_pred
        q = 1 / (1 + exp(y_pred)) if from_logits else 1 - y_pred
        y = y_true * (1 - label_smoothing) + label_smoothing / 2
        w = (1, 1) if class_weights is None else class_weights
        loss = mean(-w[1] * xlogy(y, p) - w[0] * xlogy(1 - y, q), axis=axis)

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

    >>> float(keras_actloss.losses.binary_crossentropy([[1]], [[0.5]])[0])
    0.6931...

    Related:
        Of a logit, `categorical_crossentropy` of the two logits 0 and `y_pred`. PyTorch's
        `pos_weight` is the second of `class_weights`. Labels are smoothed as in Keras; a
        `smooth_factor` of segmentation_models.pytorch moves them twice as far, and timm smooths
        rows of class ids as `categorical_crossentropy` does.

    Reference:
        [Goodfellow et al., 2016, section 6.2.2.2](https://www.deeplearningbook.org)
    """
    return of_binary(y_true, y_pred, from_logits, label_smoothing, axis, class_weights, mask)


@register("losses")
class BinaryCrossentropy(Loss, fn=binary_crossentropy):
    """Class form of `binary_crossentropy`."""

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
def categorical_crossentropy(
    y_true: Any,
    y_pred: Any,
    from_logits=False,
    label_smoothing=0.0,
    axis=-1,
    class_weights: Any = None,
    ignore_class: Any = None,
) -> Any:
    """Cross-entropy of one-hot or soft labels over exclusive classes.

    Take it for soft labels and one-hot data, `sparse_categorical_crossentropy` for class ids. It
    works in log space from logits, also from those that a softmax leaves on its result. Keras
    stops at 16.1 with no gradient where bare probabilities are confident and wrong.

    Formula:

        p = exp(y_pred - max(y_pred, axis=axis, keepdims=True)) if from_logits else y_pred
        p = p / sum(p, axis=axis, keepdims=True)
        y = y_true * (1 - label_smoothing) + label_smoothing / size(y_pred, axis)
        w = 1 if class_weights is None else along(class_weights, axis)
        loss = -sum(w * xlogy(y, p), axis=axis)

    Args:
        y_true: Labels: one-hot rows, or distributions over the classes.
        y_pred: Probabilities, which need not sum to 1, or logits with `from_logits=True`.
        from_logits: Whether `y_pred` holds logits. Defaults to `False`.
        label_smoothing: Share of the label that is spread over all classes, in [0, 1). Defaults to
            `0.0`.
        axis: The class axis. Defaults to `-1`.
        class_weights: One weight of at least 0 per class. Defaults to `None`, all 1.
        ignore_class: Class whose rows are left out: those with their largest entry there, and,
            for ids out of range that became rows of zeros, those without a label. Defaults to
            `None`.

    Shapes:
        `y_true` and `y_pred`: `(batch, ..., classes)`, the classes on `axis`. The loss: the same
        without `axis`. No gradient flows to `y_true`.

    Raises:
        ValueError: If an option is out of range or the shapes do not fit.

    Example:

    >>> float(keras_actloss.losses.categorical_crossentropy([[0, 1]], [[0.5, 0.5]])[0])
    0.6931...

    Related:
        With one-hot labels, `sparse_categorical_crossentropy` of their ids. Labels are smoothed as
        in Keras, PyTorch, optax and timm; the share of a class weighs what the class does, as in
        PyTorch.

    Reference:
        [Goodfellow et al., 2016, section 6.2.2.3](https://www.deeplearningbook.org)
    """
    return of_categorical(y_true, y_pred, from_logits, label_smoothing, axis, class_weights)


@register("losses")
class CategoricalCrossentropy(Loss, fn=categorical_crossentropy):
    """Class form of `categorical_crossentropy`."""

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
def sparse_categorical_crossentropy(
    y_true: Any,
    y_pred: Any,
    from_logits=False,
    ignore_class: Any = None,
    axis=-1,
    label_smoothing=0.0,
    class_weights: Any = None,
) -> Any:
    """Cross-entropy of class ids over exclusive classes.

    Take it for labels that are ids, with any number of classes and on any axis;
    `categorical_crossentropy` for soft labels. Keras rounds ids in 16 bit, and knows other axes
    than the last on torch only.

    Formula:

        p = exp(y_pred - max(y_pred, axis=axis, keepdims=True)) if from_logits else y_pred
        p = p / sum(p, axis=axis, keepdims=True)
        y = one_hot(y_true, size(y_pred, axis), axis) * (1 - label_smoothing)
        y = y + label_smoothing / size(y_pred, axis)
        w = 1 if class_weights is None else along(class_weights, axis)
        loss = -sum(w * xlogy(y, p), axis=axis)

    Args:
        y_true: Class ids, integers from 0.
        y_pred: Probabilities, which need not sum to 1, or logits with `from_logits=True`.
        from_logits: Whether `y_pred` holds logits. Defaults to `False`.
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

    >>> float(keras_actloss.losses.sparse_categorical_crossentropy([1], [[0.5, 0.5]])[0])
    0.6931...

    Related:
        `categorical_crossentropy` of the one-hot labels. PyTorch leaves out the id -100 by default,
        and divides a weighted mean by the sum of the weights of the labels, where a mean here is
        over their number: for its mean without `label_smoothing` hand `weights[y_true]` to the
        class as `sample_weight` in place of `class_weights`, with
        `reduction="mean_with_sample_weight"`. With smoothing that is not the same.
        segmentation_models.pytorch's mean counts what it ignores.

    Reference:
        [Goodfellow et al., 2016, section 6.2.2.3](https://www.deeplearningbook.org)
    """
    return of_sparse(y_true, y_pred, from_logits, label_smoothing, axis, class_weights)


@register("losses")
class SparseCategoricalCrossentropy(Loss, fn=sparse_categorical_crossentropy):
    """Class form of `sparse_categorical_crossentropy`."""

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
