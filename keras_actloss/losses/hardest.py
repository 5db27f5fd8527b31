"""Losses over the hardest entries of each sample: online hard example mining."""

import math
from typing import Any, Unpack

from keras import ops

from keras_actloss.core.binary import binary_entries
from keras_actloss.core.categorical import of_categorical, of_sparse
from keras_actloss.core.checks import positive_fraction
from keras_actloss.core.curves import OPTIONS
from keras_actloss.core.functions import loss_function
from keras_actloss.core.loss import Loss, LossArguments
from keras_actloss.core.registry import register
from keras_actloss.core.settings import as_list
from keras_actloss.core.tensors import fit, mean


def _mean_of_largest(values, fraction, mask):
    """Mean of the largest entries of each sample, of those that `mask` keeps.

    How many there are at most is known before the mask is: a graph has a fixed shape.
    """
    sizes = values.shape[1:]
    size = math.prod(sizes) if None not in sizes else -1
    rows = ops.reshape(values, (ops.shape(values)[0], size))

    def count(entries):
        return ops.maximum(ops.floor(fraction * ops.cast(entries, values.dtype) + 0.5), 1)

    if size == -1:
        most = ops.cast(count(ops.shape(rows)[1]), "int32")
    else:
        most = min(size, max(1, math.floor(fraction * size + 0.5)))
    if mask is None:
        return mean(ops.top_k(rows, most)[0])
    keep = ops.broadcast_to(fit(mask, values.shape), ops.shape(values))
    keep = ops.reshape(keep, ops.shape(rows))
    kept = ops.sum(ops.cast(keep, values.dtype), axis=-1, keepdims=True)
    # No entry of a cross-entropy is below 0: what is left out comes last.
    largest, _ = ops.top_k(ops.where(keep, rows, -1.0), most)
    place = ops.cast(ops.arange(most), values.dtype)
    wanted = ops.logical_and(place < count(kept), largest != -1.0)
    return mean(largest, wanted)


@loss_function("binary", fraction=positive_fraction, **OPTIONS)
def top_k_binary_crossentropy(
    y_true: Any,
    y_pred: Any,
    from_logits=False,
    label_smoothing=0.0,
    fraction=0.1,
    class_weights: Any = None,
    ignore_class: Any = None,
    mask: Any = None,
) -> Any:
    """Binary cross-entropy of the hardest entries of each sample only.

    Online hard example mining (OHEM): take it for the pixels of an image or the anchors of a
    detector, of which most are easy and would rule the mean. nnU-Net takes 10 % of the batch, this
    loss of each sample.

    Formula:

        p = 1 / (1 + exp(-y_pred)) if from_logits else y_pred
        q = 1 / (1 + exp(y_pred)) if from_logits else 1 - y_pred
        y = y_true * (1 - label_smoothing) + label_smoothing / 2
        w = (1, 1) if class_weights is None else class_weights
        entries = sort(flat(-w[1] * xlogy(y, p) - w[0] * xlogy(1 - y, q)), axis=-1)
        k = floor(fraction * size(entries, -1) + 1 / 2)
        loss = mean(entries[:, -k:] if k > 1 else entries[:, -1:], axis=-1)

    Args:
        y_true: Labels from 0 to 1, for each output.
        y_pred: Probabilities, or logits with `from_logits=True`.
        from_logits: Whether `y_pred` holds logits. Defaults to `False`.
        label_smoothing: How far labels move towards 1/2, in [0, 1). Defaults to `0.0`.
        fraction: Share of a sample's entries that count, in (0, 1]; at least one does. Of what
            `mask` and `ignore_class` leave, if given. Defaults to `0.1`.
        class_weights: Weights of the classes 0 and 1, or `None` for 1 and 1. Defaults to `None`.
        ignore_class: Label, often -1, whose entries are left out. Defaults to `None`.
        mask: Boolean, `True` where an entry counts; shape of `y_pred`, or without its last axes.
            Defaults to `None`.

    Shapes:
        `y_true` and `y_pred`: `(batch, ..., n)`; `(batch,)` beside `(batch, 1)` is the same. The
        loss: `(batch,)`. No gradient flows to `y_true`, nor to entries that are not among the
        hardest.

    Raises:
        ValueError: If an option or a label is out of range, or the shapes do not fit.

    Example:

    >>> loss = keras_actloss.losses.top_k_binary_crossentropy
    >>> float(loss([[1, 1, 1, 1]], [[0.25, 0.5, 0.9, 0.9]], fraction=0.5)[0])
    1.0397...

    Related:
        With `fraction=1`, `binary_crossentropy` averaged over each sample.

    Reference:
        [Shrivastava et al., 2016](https://arxiv.org/abs/1604.03540),
        [Fan et al., 2017](https://arxiv.org/abs/1705.08826)
    """
    entries = binary_entries(y_true, y_pred, from_logits, label_smoothing, class_weights)
    return _mean_of_largest(entries, fraction, mask)


@register("losses")
class TopKBinaryCrossentropy(Loss, fn=top_k_binary_crossentropy):
    """Class form of `top_k_binary_crossentropy`."""

    def __init__(
        self,
        from_logits=False,
        label_smoothing=0.0,
        fraction=0.1,
        class_weights=None,
        ignore_class=None,
        **kwargs: Unpack[LossArguments],
    ):
        super().__init__(**kwargs)
        self.from_logits = from_logits
        self.label_smoothing = label_smoothing
        self.fraction = fraction
        self.class_weights = as_list(class_weights)
        self.ignore_class = ignore_class


@loss_function("onehot", fraction=positive_fraction, **OPTIONS)
def top_k_categorical_crossentropy(
    y_true: Any,
    y_pred: Any,
    from_logits=False,
    label_smoothing=0.0,
    axis=-1,
    fraction=0.1,
    class_weights: Any = None,
    ignore_class: Any = None,
    mask: Any = None,
) -> Any:
    """Cross-entropy of one-hot or soft labels over the hardest entries of each sample only.

    Online hard example mining (OHEM) of labels that are rows, such as the averaged masks of several
    annotators; see `top_k_sparse_categorical_crossentropy`.

    Formula:

        p = exp(y_pred - max(y_pred, axis=axis, keepdims=True)) if from_logits else y_pred
        p = p / sum(p, axis=axis, keepdims=True)
        y = y_true * (1 - label_smoothing) + label_smoothing / size(y_pred, axis)
        w = 1 if class_weights is None else along(class_weights, axis)
        entries = sort(flat(-sum(w * xlogy(y, p), axis=axis)), axis=-1)
        k = floor(fraction * size(entries, -1) + 1 / 2)
        loss = mean(entries[:, -k:] if k > 1 else entries[:, -1:], axis=-1)

    Args:
        y_true: Labels: one-hot rows, or distributions over the classes.
        y_pred: Probabilities, which need not sum to 1, or logits with `from_logits=True`.
        from_logits: Whether `y_pred` holds logits. Defaults to `False`.
        label_smoothing: Share of the label that is spread over all classes, in [0, 1). Defaults to
            `0.0`.
        axis: The class axis. Defaults to `-1`.
        fraction: Share of a sample's labels that count, in (0, 1]; at least one does. Of what
            `mask` and `ignore_class` leave, if given. Defaults to `0.1`.
        class_weights: One weight of at least 0 per class. Defaults to `None`, all 1.
        ignore_class: Class whose rows are left out: those with their largest entry there, and those
            without a label. Defaults to `None`.
        mask: Boolean, `True` where a label counts; shape of `y_pred` without `axis`, or without its
            last axes too. Defaults to `None`.

    Shapes:
        `y_true` and `y_pred`: `(batch, ..., classes)`, the classes on `axis`. The loss: `(batch,)`.
        No gradient flows to `y_true`.

    Raises:
        ValueError: If an option is out of range or the shapes do not fit.

    Example:

    >>> loss = keras_actloss.losses.top_k_categorical_crossentropy
    >>> float(loss([[[1, 0], [0, 1]]], [[[0.5, 0.5], [0.1, 0.9]]], fraction=0.5)[0])
    0.6931...

    Related:
        With `fraction=1`, `categorical_crossentropy` averaged over each sample.

    Reference:
        [Shrivastava et al., 2016](https://arxiv.org/abs/1604.03540),
        [Fan et al., 2017](https://arxiv.org/abs/1705.08826)
    """
    values = of_categorical(y_true, y_pred, from_logits, label_smoothing, axis, class_weights)
    return _mean_of_largest(values, fraction, mask)


@register("losses")
class TopKCategoricalCrossentropy(Loss, fn=top_k_categorical_crossentropy):
    """Class form of `top_k_categorical_crossentropy`."""

    def __init__(
        self,
        from_logits=False,
        label_smoothing=0.0,
        axis=-1,
        fraction=0.1,
        class_weights=None,
        ignore_class=None,
        **kwargs: Unpack[LossArguments],
    ):
        super().__init__(**kwargs)
        self.from_logits = from_logits
        self.label_smoothing = label_smoothing
        self.axis = axis
        self.fraction = fraction
        self.class_weights = as_list(class_weights)
        self.ignore_class = ignore_class


@loss_function("ids", fraction=positive_fraction, **OPTIONS)
def top_k_sparse_categorical_crossentropy(
    y_true: Any,
    y_pred: Any,
    from_logits=False,
    ignore_class: Any = None,
    axis=-1,
    label_smoothing=0.0,
    fraction=0.1,
    class_weights: Any = None,
    mask: Any = None,
) -> Any:
    """Cross-entropy of class ids over the hardest entries of each sample only.

    Online hard example mining (OHEM): take it for segmentation, where most pixels are easy and
    would rule the mean. With one label per sample there is nothing to choose from.

    Formula:

        p = exp(y_pred - max(y_pred, axis=axis, keepdims=True)) if from_logits else y_pred
        p = p / sum(p, axis=axis, keepdims=True)
        y = one_hot(y_true, size(y_pred, axis), axis) * (1 - label_smoothing)
        y = y + label_smoothing / size(y_pred, axis)
        w = 1 if class_weights is None else along(class_weights, axis)
        entries = sort(flat(-sum(w * xlogy(y, p), axis=axis)), axis=-1)
        k = floor(fraction * size(entries, -1) + 1 / 2)
        loss = mean(entries[:, -k:] if k > 1 else entries[:, -1:], axis=-1)

    Args:
        y_true: Class ids, integers from 0.
        y_pred: Probabilities, which need not sum to 1, or logits with `from_logits=True`.
        from_logits: Whether `y_pred` holds logits. Defaults to `False`.
        ignore_class: Id, often -1 or 255, whose entries are left out. Defaults to `None`.
        axis: The class axis. Defaults to `-1`.
        label_smoothing: Share of the label that is spread over all classes, in [0, 1). Defaults to
            `0.0`.
        fraction: Share of a sample's labels that count, in (0, 1]; at least one does. Of what
            `mask` and `ignore_class` leave, if given. Defaults to `0.1`.
        class_weights: One weight of at least 0 per class. Defaults to `None`, all 1.
        mask: Boolean, `True` where a label counts; shape of `y_true`, or without its last axes.
            Defaults to `None`.

    Shapes:
        `y_pred`: `(batch, ..., classes)`, the classes on `axis`. `y_true`: the same without
        `axis`. The loss: `(batch,)`.

    Raises:
        TypeError: If `y_true` is not of an integer dtype.
        ValueError: If an option or an id is out of range, or the shapes do not fit.

    Example:

    >>> loss = keras_actloss.losses.top_k_sparse_categorical_crossentropy
    >>> float(loss([[0, 1]], [[[0.5, 0.5], [0.1, 0.9]]], fraction=0.5)[0])
    0.6931...

    Related:
        `top_k_categorical_crossentropy` of the one-hot labels. With `fraction=1`,
        `sparse_categorical_crossentropy` averaged over each sample.

    Reference:
        [Shrivastava et al., 2016](https://arxiv.org/abs/1604.03540),
        [Fan et al., 2017](https://arxiv.org/abs/1705.08826)
    """
    values = of_sparse(y_true, y_pred, from_logits, label_smoothing, axis, class_weights)
    return _mean_of_largest(values, fraction, mask)


@register("losses")
class TopKSparseCategoricalCrossentropy(Loss, fn=top_k_sparse_categorical_crossentropy):
    """Class form of `top_k_sparse_categorical_crossentropy`."""

    def __init__(
        self,
        from_logits=False,
        ignore_class=None,
        axis=-1,
        label_smoothing=0.0,
        fraction=0.1,
        class_weights=None,
        **kwargs: Unpack[LossArguments],
    ):
        super().__init__(**kwargs)
        self.from_logits = from_logits
        self.ignore_class = ignore_class
        self.axis = axis
        self.label_smoothing = label_smoothing
        self.fraction = fraction
        self.class_weights = as_list(class_weights)
