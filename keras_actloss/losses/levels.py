"""Losses of ordered classes by one logit per threshold: whether the class lies above it."""

from typing import Any, Unpack

from keras import ops

from keras_actloss.core.binary import logistic
from keras_actloss.core.categorical import along
from keras_actloss.core.checks import class_weights_or_none
from keras_actloss.core.curves import OPTIONS
from keras_actloss.core.functions import loss_function
from keras_actloss.core.keras_fixes import moved
from keras_actloss.core.kernels import vector
from keras_actloss.core.loss import Loss, LossArguments
from keras_actloss.core.registry import register
from keras_actloss.core.settings import as_list
from keras_actloss.core.tensors import dtype_of


def _of_levels(loss, ids, x, axis, class_weights):
    """Sum of `loss(ids, levels, x)` over the thresholds on the last axis, weighed as the class."""
    x = moved(x, axis, -1)
    count, weight = x.shape[-1], None
    if class_weights is not None:
        if len(class_weights) != count + 1:
            raise ValueError(
                f"class_weights: got {len(class_weights)} numbers, but the {count} levels of "
                f"y_pred tell {count + 1} classes apart; give one for each"
            )
        weight = ops.take(vector(class_weights, dtype_of(x)), ids)
        x = ops.where(ops.expand_dims(weight == 0, -1), 0.5, x)
    values = ops.sum(loss(ops.expand_dims(ids, -1), ops.arange(count, dtype="int32"), x), axis=-1)
    return values if weight is None else weight * values


def _width(class_weights):
    return None if class_weights is None else len(class_weights) - 1


@loss_function("ranks", importance_weights=class_weights_or_none, **OPTIONS)
def coral(
    y_true: Any,
    y_pred: Any,
    importance_weights: Any = None,
    ignore_class: Any = None,
    axis=-1,
    class_weights: Any = None,
) -> Any:
    """Cross-entropy of cumulative logits: whether the class lies above each threshold (CORAL).

    Take it for ages, grades and stars behind `layers.OrdinalDense`, whose thresholds share one
    score. The probabilities of lying above them then fall from one to the next if the biases do,
    which they are only known to do at the minimum of the loss. `corn` needs no such layer.

    Formula:

        k = along(arange(size(y_pred, axis)), axis)
        label = one_hot(y_true, size(y_pred, axis) + 1, axis)
        y = sum(label * along(arange(size(label, axis)), axis), axis=axis, keepdims=True)
        entries = where(y > k, log1p(exp(-y_pred)), log1p(exp(y_pred)))
        level = 1 if importance_weights is None else along(importance_weights, axis)
        w = 1 if class_weights is None else sum(label * along(class_weights, axis), axis=axis)
        loss = w * sum(level * entries, axis=axis)

    Args:
        y_true: Class ids, integers from 0 in the order of the classes.
        y_pred: Logits of `y_true > k` for the thresholds `k` from 0, one fewer than classes.
        importance_weights: One weight of at least 0 per threshold. Defaults to `None`, all 1.
        ignore_class: Id, often -1, whose entries are left out. Defaults to `None`.
        axis: The axis of the thresholds. Defaults to `-1`.
        class_weights: One weight of at least 0 per class, one more than thresholds, for the rows
            with its label. Defaults to `None`, all 1.

    Shapes:
        `y_pred`: `(batch, ..., classes - 1)`, the thresholds on `axis`. `y_true` and the loss: the
        same without `axis`.

    Raises:
        TypeError: If `y_true` is not of an integer dtype.
        ValueError: If a weight or an id is out of range, or the shapes do not fit.

    Example:

    >>> float(keras_actloss.losses.coral([1], [[2.0, -1.0]])[0])
    0.4401...

    Related:
        `coral_loss` of coral_pytorch, which takes `y_true > k` of all thresholds for labels, and
        `OrdinalCrossEntropy` of coral_ordinal. `activations.ordinal_softmax` gives the
        probabilities of the classes.

    Reference:
        [Cao et al., 2020](https://arxiv.org/abs/1901.07884)
    """

    def loss(ids, levels, x):
        entries = logistic(x, ops.cast(ids > levels, x.dtype))
        if importance_weights is None:
            return entries
        return entries * along(importance_weights, x, -1, "importance_weights", "levels")

    return _of_levels(loss, y_true, y_pred, axis, class_weights)


@register("losses")
class CORAL(Loss, fn=coral):
    """Class form of `coral`."""

    from_logits = True

    @property
    def width(self):
        if self.importance_weights is not None:
            return len(self.importance_weights)
        return _width(self.class_weights)

    def __init__(
        self,
        importance_weights=None,
        ignore_class=None,
        axis=-1,
        class_weights=None,
        **kwargs: Unpack[LossArguments],
    ):
        super().__init__(**kwargs)
        self.importance_weights = as_list(importance_weights)
        self.ignore_class = ignore_class
        self.axis = axis
        self.class_weights = as_list(class_weights)


@loss_function("ranks", **OPTIONS)
def corn(
    y_true: Any, y_pred: Any, ignore_class: Any = None, axis=-1, class_weights: Any = None
) -> Any:
    """Cross-entropy of whether the class lies above each threshold that it has reached (CORN).

    Take it for ordered classes behind a plain `Dense(classes - 1)`: its probabilities are in order
    whatever the logits are, and the thresholds need not share a score as those of `coral` do.

    Formula:

        k = along(arange(size(y_pred, axis)), axis)
        label = one_hot(y_true, size(y_pred, axis) + 1, axis)
        y = sum(label * along(arange(size(label, axis)), axis), axis=axis, keepdims=True)
        entries = where(y > k, log1p(exp(-y_pred)), log1p(exp(y_pred)))
        w = 1 if class_weights is None else sum(label * along(class_weights, axis), axis=axis)
        loss = w * sum(where(y >= k, entries, 0), axis=axis)

    Args:
        y_true: Class ids, integers from 0 in the order of the classes.
        y_pred: Logits of `y_true > k` among the samples with `y_true >= k`, for the thresholds `k`
            from 0, one fewer than classes.
        ignore_class: Id, often -1, whose entries are left out. Defaults to `None`.
        axis: The axis of the thresholds. Defaults to `-1`.
        class_weights: One weight of at least 0 per class, one more than thresholds, for the rows
            with its label. Defaults to `None`, all 1.

    Shapes:
        `y_pred`: `(batch, ..., classes - 1)`, the thresholds on `axis`. `y_true` and the loss: the
        same without `axis`.

    Raises:
        TypeError: If `y_true` is not of an integer dtype.
        ValueError: If an id is out of range, or the shapes do not fit.

    Example:

    >>> float(keras_actloss.losses.corn([1], [[2.0, -1.0, 5.0]])[0])
    0.4401...

    Related:
        The cross-entropy of the classes whose probabilities `activations.conditional_softmax`
        gives. `corn_loss` of coral_pytorch is the sum over the batch divided by the number of
        thresholds that its labels reach, `sum(minimum(y_true + 1, classes - 1))`.

    Reference:
        [Shi et al., 2021](https://arxiv.org/abs/2111.08851)
    """

    def loss(ids, levels, x):
        reached = ids >= levels
        x = ops.where(reached, x, ops.zeros_like(x))
        entries = logistic(x, ops.cast(ids > levels, x.dtype))
        return ops.where(reached, entries, ops.zeros_like(entries))

    return _of_levels(loss, y_true, y_pred, axis, class_weights)


@register("losses")
class CORN(Loss, fn=corn):
    """Class form of `corn`."""

    from_logits = True

    @property
    def width(self):
        return _width(self.class_weights)

    def __init__(
        self, ignore_class=None, axis=-1, class_weights=None, **kwargs: Unpack[LossArguments]
    ):
        super().__init__(**kwargs)
        self.ignore_class = ignore_class
        self.axis = axis
        self.class_weights = as_list(class_weights)
