"""Margins between the scores of several classes, and the perceptron, which asks for none."""

from typing import Any, Unpack

import numpy as np
from keras import ops

from keras_actloss.core.categorical import of_rows, one_hot
from keras_actloss.core.checks import finite, one_of
from keras_actloss.core.curves import OPTIONS
from keras_actloss.core.functions import loss_function
from keras_actloss.core.keras_fixes import moved
from keras_actloss.core.kernels import (
    asked_of_number,
    readable,
    rectified_beside,
    row_count,
    row_max,
    row_sum,
    same,
    spent,
)
from keras_actloss.core.loss import Loss, LossArguments
from keras_actloss.core.numerics import with_gradient
from keras_actloss.core.registry import register
from keras_actloss.core.settings import as_list
from keras_actloss.core.tensors import known_values, mean


def _lead(y, x, axis):
    """How far the best other score is ahead of the label's, where `y` is 1."""

    def shared(y, x):
        label = ops.cast(y > 0.5, y.dtype)
        others = ops.minimum(x, (0.5 - label) * np.inf)
        return label, others, row_max(others, axis)

    def value(kept, y, x):
        label, _, best = kept
        return ops.squeeze(best - row_sum(asked_of_number(label, x), axis), axis)

    def gradient(upstream, kept, y, x):
        label, others, best = kept
        leads = same(others, best)
        upstream = ops.expand_dims(upstream, axis)
        share = upstream / row_count(leads, axis)
        return None, spent("subtract", spent("multiply", leads, share), label * upstream)

    return with_gradient(value, gradient, shared)(y, x)


@loss_function("onehot", **OPTIONS)
def categorical_hinge(
    y_true: Any, y_pred: Any, axis=-1, class_weights: Any = None, ignore_class: Any = None
) -> Any:
    """How far the label's score falls short of the best other score plus 1.

    The multi-class hinge of Crammer and Singer. Keras 3.15 lets the label's own entry, as a 0,
    take part among the others, so with all scores negative its loss is too large.

    Formula:

        label = y_true > 1 / 2
        best_other = max(where(label, -inf, y_pred), axis=axis)
        w = 1 if class_weights is None else sum(y_true * along(class_weights, axis), axis=axis)
        loss = w * maximum(1 + best_other - sum(where(label, y_pred, 0), axis=axis), 0)

    Args:
        y_true: One-hot labels; an entry above 1/2 is the label.
        y_pred: Scores, any real number.
        axis: The class axis. Defaults to `-1`.
        class_weights: One weight of at least 0 per class, for the rows with its label. Defaults to
            `None`, all 1.
        ignore_class: Class whose rows are left out. Defaults to `None`.

    Shapes:
        `y_true` and `y_pred`: `(batch, ..., classes)`, the classes on `axis`. The loss: the same
        without `axis`.

    Raises:
        ValueError: If an option is out of range or the shapes do not fit.

    Example:

    >>> float(keras_actloss.losses.categorical_hinge([[1, 0, 0]], [[-3.0, -2.0, -2.5]])[0])
    2.0

    Related:
        Of two classes, `hinge` of the difference of the scores. `categorical_multi_margin` counts
        all other classes, by their mean.

    Reference:
        [Crammer and Singer, 2001](https://www.jmlr.org/papers/v2/crammer01a.html)
    """

    def loss(y, x):
        return ops.relu(1 + _lead(y, x, axis))

    return of_rows(loss, y_true, y_pred, 0.0, axis, class_weights)


@register("losses")
class CategoricalHinge(Loss, fn=categorical_hinge):
    """Class form of `categorical_hinge`."""

    def __init__(
        self,
        axis=-1,
        class_weights=None,
        ignore_class=None,
        **kwargs: Unpack[LossArguments],
    ):
        super().__init__(**kwargs)
        self.axis = axis
        self.class_weights = as_list(class_weights)
        self.ignore_class = ignore_class


@loss_function("ids", **OPTIONS)
def sparse_categorical_hinge(
    y_true: Any, y_pred: Any, ignore_class: Any = None, axis=-1, class_weights: Any = None
) -> Any:
    """How far the score of the class id falls short of the best other score plus 1.

    Take it for labels that are ids; see `categorical_hinge`.

    Formula:

        label = one_hot(y_true, size(y_pred, axis), axis)
        best_other = max(where(label == 1, -inf, y_pred), axis=axis)
        w = 1 if class_weights is None else sum(label * along(class_weights, axis), axis=axis)
        loss = w * maximum(1 + best_other - sum(label * y_pred, axis=axis), 0)

    Args:
        y_true: Class ids, integers from 0.
        y_pred: Scores, any real number.
        ignore_class: Id, often -1 or 255, whose entries are left out. Defaults to `None`.
        axis: The class axis. Defaults to `-1`.
        class_weights: One weight of at least 0 per class, for the rows with its label. Defaults to
            `None`, all 1.

    Shapes:
        `y_pred`: `(batch, ..., classes)`, the classes on `axis`. `y_true` and the loss: the same
        without `axis`.

    Raises:
        TypeError: If `y_true` is not of an integer dtype.
        ValueError: If an option or an id is out of range, or the shapes do not fit.

    Example:

    >>> float(keras_actloss.losses.sparse_categorical_hinge([0], [[-3.0, -2.0, -2.5]])[0])
    2.0

    Related:
        `categorical_hinge` of the one-hot labels. `multi_margin` counts all other classes, by their
        mean.

    Reference:
        [Crammer and Singer, 2001](https://www.jmlr.org/papers/v2/crammer01a.html)
    """
    y = one_hot(y_true, y_pred, axis)
    return categorical_hinge.maths(y, y_pred, axis=axis, class_weights=class_weights)


@register("losses")
class SparseCategoricalHinge(Loss, fn=sparse_categorical_hinge):
    """Class form of `sparse_categorical_hinge`."""

    def __init__(
        self,
        ignore_class=None,
        axis=-1,
        class_weights=None,
        **kwargs: Unpack[LossArguments],
    ):
        super().__init__(**kwargs)
        self.ignore_class = ignore_class
        self.axis = axis
        self.class_weights = as_list(class_weights)


@loss_function("onehot", p=one_of(1, 2), margin=finite, **OPTIONS)
def categorical_multi_margin(
    y_true: Any,
    y_pred: Any,
    p=1,
    margin=1.0,
    axis=-1,
    class_weights: Any = None,
    ignore_class: Any = None,
) -> Any:
    """How far the label's score falls short of each other score plus a margin, mean over classes.

    The multi-class hinge of Weston and Watkins of one-hot labels: every class that comes too close
    counts, where `categorical_hinge` counts the closest. `multi_margin` takes class ids.

    Formula:

        label = y_true > 1 / 2
        own = sum(where(label, y_pred, 0), axis=axis, keepdims=True)
        short = where(label, 0, maximum(margin + y_pred - own, 0))
        w = 1 if class_weights is None else sum(y_true * along(class_weights, axis), axis=axis)
        loss = w * mean(short**p, axis=axis)

    Args:
        y_true: One-hot labels; an entry above 1/2 is the label.
        y_pred: Scores, any real number.
        p: 1, or 2 to square what is missing. Defaults to `1`.
        margin: By how much the label's score is to lead. Defaults to `1.0`.
        axis: The class axis. Defaults to `-1`.
        class_weights: One weight of at least 0 per class, for the rows with its label. Defaults to
            `None`, all 1.
        ignore_class: Class whose rows are left out. Defaults to `None`.

    Shapes:
        `y_true` and `y_pred`: `(batch, ..., classes)`, the classes on `axis`. The loss: the same
        without `axis`. The mean is over all classes, the label's own with its 0 too.

    Raises:
        ValueError: If an option is out of range or the shapes do not fit.

    Example:

    >>> loss = keras_actloss.losses.categorical_multi_margin
    >>> float(loss([[1, 0, 0, 0]], [[1.0, 0.5, -2.0, 1.5]])[0])
    0.5

    Related:
        `multi_margin` of the ids; `multilabel_margin` for several labels per sample.

    Reference:
        [Weston and Watkins, 1999](https://www.esann.org/sites/default/files/proceedings/legacy/es1999-461.pdf)
    """

    def loss(y, x):
        label = y > 0.5
        own = ops.sum(ops.where(label, x, 0.0), axis=axis, keepdims=True)
        short = rectified_beside(margin, x - own)
        return mean(ops.where(label, 0.0, short if p == 1 else ops.square(short)), axis=axis)

    return of_rows(loss, y_true, y_pred, 0.0, axis, class_weights)


@register("losses")
class CategoricalMultiMargin(Loss, fn=categorical_multi_margin):
    """Class form of `categorical_multi_margin`."""

    def __init__(
        self,
        p=1,
        margin=1.0,
        axis=-1,
        class_weights=None,
        ignore_class=None,
        **kwargs: Unpack[LossArguments],
    ):
        super().__init__(**kwargs)
        self.p = p
        self.margin = margin
        self.axis = axis
        self.class_weights = as_list(class_weights)
        self.ignore_class = ignore_class


@loss_function("ids", p=one_of(1, 2), margin=finite, **OPTIONS)
def multi_margin(
    y_true: Any,
    y_pred: Any,
    p=1,
    margin=1.0,
    ignore_class: Any = None,
    axis=-1,
    class_weights: Any = None,
) -> Any:
    """How far the label's score falls short of each other score plus a margin, mean over classes.

    The multi-class hinge of Weston and Watkins: every class that comes too close counts, where
    `sparse_categorical_hinge` counts the closest. PyTorch's MultiMarginLoss.

    Formula:

        label = one_hot(y_true, size(y_pred, axis), axis)
        own = sum(label * y_pred, axis=axis, keepdims=True)
        short = where(label == 1, 0, maximum(margin + y_pred - own, 0))
        w = 1 if class_weights is None else sum(label * along(class_weights, axis), axis=axis)
        loss = w * mean(short**p, axis=axis)

    Args:
        y_true: Class ids, integers from 0.
        y_pred: Scores, any real number.
        p: 1, or 2 to square what is missing. Defaults to `1`.
        margin: By how much the label's score is to lead. Defaults to `1.0`.
        ignore_class: Id, often -1 or 255, whose entries are left out. Defaults to `None`.
        axis: The class axis. Defaults to `-1`.
        class_weights: One weight of at least 0 per class, for the rows with its label. Defaults to
            `None`, all 1.

    Shapes:
        `y_pred`: `(batch, ..., classes)`, the classes on `axis`. `y_true` and the loss: the same
        without `axis`. The mean is over all classes, the label's own with its 0 too.

    Raises:
        TypeError: If `y_true` is not of an integer dtype.
        ValueError: If an option or an id is out of range, or the shapes do not fit.

    Example:

    >>> float(keras_actloss.losses.multi_margin([0], [[1.0, 0.5, -2.0, 1.5]])[0])
    0.5

    Related:
        `categorical_multi_margin` of the one-hot labels; `multilabel_margin` for several labels per
        sample.

    Reference:
        [Weston and Watkins, 1999](https://www.esann.org/sites/default/files/proceedings/legacy/es1999-461.pdf)
    """
    return categorical_multi_margin.maths(
        one_hot(y_true, y_pred, axis),
        y_pred,
        p=p,
        margin=margin,
        axis=axis,
        class_weights=class_weights,
    )


@register("losses")
class MultiMargin(Loss, fn=multi_margin):
    """Class form of `multi_margin`."""

    def __init__(
        self,
        p=1,
        margin=1.0,
        ignore_class=None,
        axis=-1,
        class_weights=None,
        **kwargs: Unpack[LossArguments],
    ):
        super().__init__(**kwargs)
        self.p = p
        self.margin = margin
        self.ignore_class = ignore_class
        self.axis = axis
        self.class_weights = as_list(class_weights)


@loss_function("binary", **OPTIONS)
def multilabel_margin(
    y_true: Any, y_pred: Any, axis=-1, ignore_class: Any = None, mask: Any = None
) -> Any:
    """Sum of how far labels' scores fall short of each other one plus 1, by the number of classes.

    Take it to rank the labels of a sample above all else; `binary_crossentropy` where each class
    needs a probability. All pairs of classes are held at once, so it is for hundreds of them; only
    PyTorch, run op by op on a processor, holds those of labels. Its MultiLabelMarginLoss takes a
    list of ids padded with -1 in place of a row of 0 and 1: its `[3, 0, -1, 1]` is `[1, 0, 0, 1]`
    here.

    Formula:

        y, x = pixels(y_true, "image", axis), pixels(y_pred, "image", axis)
        short = maximum(1 - x[..., :, None] + x[..., None, :], 0)
        pair = y[..., :, None] > y[..., None, :]
        values = sum(where(pair, short, 0), axis=(-2, -1)) / size(y_pred, axis)
        loss = values.reshape(sum(y_pred, axis=axis).shape)

    where `pixels` has a row of classes for each value of a sample.

    Args:
        y_true: Labels, 0 or 1 for each class.
        y_pred: Scores, any real number.
        axis: The class axis. Defaults to `-1`.
        ignore_class: Label, often -1, whose entries are left out. Defaults to `None`.
        mask: Boolean, `True` where an entry counts; shape of `y_pred`, or without its last axes.
            Defaults to `None`.

    Shapes:
        `y_true` and `y_pred`: `(batch, ..., classes)`, the classes on `axis`. The loss: the same
        without `axis`, divided by the number of classes that count.

    Raises:
        ValueError: If a label is not 0 or 1 or the shapes do not fit.

    Example:

    >>> float(keras_actloss.losses.multilabel_margin([[1, 0, 0, 1]], [[0.25, 0.25, 0.5, 1.0]])[0])
    0.75

    Related:
        With one label per sample, `multi_margin` of its id.

    Reference:
        [Elisseeff and Weston, 2001](https://papers.nips.cc/paper/1964-a-kernel-method-for-multi-labelled-classification)
    """
    known = known_values(y_true)
    wrong = [] if known is None else known[(known != 0) & (known != 1)]
    if len(wrong):
        raise ValueError(
            f"multilabel_margin: y_true must hold 0 or 1 for each class, got {wrong[0]!s}; make "
            "a row of 0 and 1 of each list of ids, or name the label to leave out with ignore_class"
        )
    y, x = (moved(v, axis, -1) for v in (y_true, y_pred))
    label, own = y, x
    if readable(y):  # Few of many classes are labels.
        label, at = ops.top_k(y, max(1, int(ops.amax(ops.sum(y, axis=-1)))))
        own = ops.take_along_axis(x, at, axis=-1)
    short = rectified_beside(1, ops.expand_dims(x, -2) - ops.expand_dims(own, -1))
    pair = ops.expand_dims(label, -1) > ops.expand_dims(y, -2)
    count = x.shape[-1]
    if mask is not None and len(mask.shape) == len(y_pred.shape):
        mask = moved(mask, axis, -1)
        pair = ops.logical_and(pair, ops.expand_dims(mask, -2))
        count = ops.maximum(ops.sum(ops.cast(mask, x.dtype), axis=-1), 1)
    return ops.sum(ops.where(pair, short, 0.0), axis=(-2, -1)) / count


@register("losses")
class MultilabelMargin(Loss, fn=multilabel_margin):
    """Class form of `multilabel_margin`."""

    def __init__(self, axis=-1, ignore_class=None, **kwargs: Unpack[LossArguments]):
        super().__init__(**kwargs)
        self.axis = axis
        self.ignore_class = ignore_class


@loss_function("onehot", **OPTIONS)
def categorical_perceptron(
    y_true: Any, y_pred: Any, axis=-1, class_weights: Any = None, ignore_class: Any = None
) -> Any:
    """How far the best score is ahead of the score of the label.

    Take it for structured or linear models without a margin; `categorical_hinge` asks for one.

    Formula:

        label = y_true > 1 / 2
        w = 1 if class_weights is None else sum(y_true * along(class_weights, axis), axis=axis)
        loss = w * (max(y_pred, axis=axis) - sum(where(label, y_pred, 0), axis=axis))

    Args:
        y_true: One-hot labels; an entry above 1/2 is the label.
        y_pred: Scores, any real number.
        axis: The class axis. Defaults to `-1`.
        class_weights: One weight of at least 0 per class, for the rows with its label. Defaults to
            `None`, all 1.
        ignore_class: Class whose rows are left out. Defaults to `None`.

    Shapes:
        `y_true` and `y_pred`: `(batch, ..., classes)`, the classes on `axis`. The loss: the same
        without `axis`.

    Raises:
        ValueError: If an option is out of range or the shapes do not fit.

    Example:

    >>> float(keras_actloss.losses.categorical_perceptron([[1, 0, 0]], [[1.0, 2.0, 4.0]])[0])
    3.0

    Related:
        The limit of `categorical_entmax` as `alpha` grows; of two classes, `perceptron` of the
        difference of the scores.

    Reference:
        [Collins, 2002](https://doi.org/10.3115/1118693.1118694)
    """

    def loss(y, x):
        return ops.relu(_lead(y, x, axis))

    return of_rows(loss, y_true, y_pred, 0.0, axis, class_weights)


@register("losses")
class CategoricalPerceptron(Loss, fn=categorical_perceptron):
    """Class form of `categorical_perceptron`."""

    def __init__(
        self,
        axis=-1,
        class_weights=None,
        ignore_class=None,
        **kwargs: Unpack[LossArguments],
    ):
        super().__init__(**kwargs)
        self.axis = axis
        self.class_weights = as_list(class_weights)
        self.ignore_class = ignore_class


@loss_function("ids", **OPTIONS)
def sparse_categorical_perceptron(
    y_true: Any, y_pred: Any, ignore_class: Any = None, axis=-1, class_weights: Any = None
) -> Any:
    """How far the best score is ahead of the score of the class id.

    Take it for labels that are ids; see `categorical_perceptron`.

    Formula:

        label = one_hot(y_true, size(y_pred, axis), axis)
        w = 1 if class_weights is None else sum(label * along(class_weights, axis), axis=axis)
        loss = w * (max(y_pred, axis=axis) - sum(label * y_pred, axis=axis))

    Args:
        y_true: Class ids, integers from 0.
        y_pred: Scores, any real number.
        ignore_class: Id, often -1 or 255, whose entries are left out. Defaults to `None`.
        axis: The class axis. Defaults to `-1`.
        class_weights: One weight of at least 0 per class, for the rows with its label. Defaults to
            `None`, all 1.

    Shapes:
        `y_pred`: `(batch, ..., classes)`, the classes on `axis`. `y_true` and the loss: the same
        without `axis`.

    Raises:
        TypeError: If `y_true` is not of an integer dtype.
        ValueError: If an option or an id is out of range, or the shapes do not fit.

    Example:

    >>> float(keras_actloss.losses.sparse_categorical_perceptron([0], [[1.0, 2.0, 4.0]])[0])
    3.0

    Related:
        `categorical_perceptron` of the one-hot labels.

    Reference:
        [Collins, 2002](https://doi.org/10.3115/1118693.1118694)
    """
    y = one_hot(y_true, y_pred, axis)
    return categorical_perceptron.maths(y, y_pred, axis=axis, class_weights=class_weights)


@register("losses")
class SparseCategoricalPerceptron(Loss, fn=sparse_categorical_perceptron):
    """Class form of `sparse_categorical_perceptron`."""

    def __init__(
        self,
        ignore_class=None,
        axis=-1,
        class_weights=None,
        **kwargs: Unpack[LossArguments],
    ):
        super().__init__(**kwargs)
        self.ignore_class = ignore_class
        self.axis = axis
        self.class_weights = as_list(class_weights)
