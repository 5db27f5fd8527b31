"""Classification losses that bear wrong labels."""

from typing import Any, Unpack

from keras_actloss.core.binary import of_binary
from keras_actloss.core.categorical import of_categorical, of_sparse
from keras_actloss.core.checks import finite_non_negative, within
from keras_actloss.core.curves import OPTIONS, Curve
from keras_actloss.core.functions import loss_function
from keras_actloss.core.loss import Loss, LossArguments
from keras_actloss.core.numerics import expm1
from keras_actloss.core.registry import register
from keras_actloss.core.settings import as_list

_GENERALIZED = {**OPTIONS, "q": within(0, 1, "(]", "; 1 is the absolute error")}
_SYMMETRIC = {**OPTIONS, "alpha": finite_non_negative, "beta": finite_non_negative}


def _generalized(q):
    """`(1 - p**q) / q`."""
    return Curve(lambda label: -expm1(-q * label.loss) / q, lambda label: label.to(q), bounded=True)


def _symmetric(alpha, beta):
    """`-alpha * log(p) + beta * (1 - p)`."""
    return Curve(
        lambda label: (alpha * label.loss if alpha else 0.0) + beta * label.q,
        lambda label: alpha + beta * label.p,
        bounded=alpha == 0,
    )


@loss_function("binary", **_GENERALIZED)
def binary_generalized_cross_entropy(
    y_true: Any,
    y_pred: Any,
    q=0.5,
    from_logits=False,
    label_smoothing=0.0,
    axis=-1,
    class_weights: Any = None,
    ignore_class: Any = None,
    mask: Any = None,
) -> Any:
    """Cross-entropy of yes/no labels that stays below `1 / q`, mean over an axis.

    Take it where labels are wrong now and then: a label far from what the model says hardly pulls.

    Formula:

        p = 1 / (1 + exp(-y_pred)) if from_logits else y_pred
        other = 1 / (1 + exp(y_pred)) if from_logits else 1 - y_pred
        y = y_true * (1 - label_smoothing) + label_smoothing / 2
        w = (1, 1) if class_weights is None else class_weights
        yes, no = (1 - p**q) / q, (1 - other**q) / q
        loss = mean(w[1] * y * yes + w[0] * (1 - y) * no, axis=axis)

    Args:
        y_true: Labels from 0 to 1, for each output.
        y_pred: Probabilities, or logits with `from_logits=True`.
        q: From the cross-entropy, near 0, to the absolute error, at 1; in (0, 1]. Defaults to
            `0.5`, as in Keras; the paper has 0.7.
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

    >>> float(keras_actloss.losses.binary_generalized_cross_entropy([[1]], [[0.5]])[0])
    0.5857...

    Related:
        For labels of 0 and 1, `q=1` is the absolute error of a probability; as `q` goes to 0 it
        becomes `binary_crossentropy`.

    Reference:
        [Zhang and Sabuncu, 2018](https://arxiv.org/abs/1805.07836)
    """
    curve = _generalized(q)
    return of_binary(y_true, y_pred, from_logits, label_smoothing, axis, class_weights, mask, curve)


@register("losses")
class BinaryGeneralizedCrossEntropy(Loss, fn=binary_generalized_cross_entropy):
    """Class form of `binary_generalized_cross_entropy`."""

    def __init__(
        self,
        q=0.5,
        from_logits=False,
        label_smoothing=0.0,
        axis=-1,
        class_weights=None,
        ignore_class=None,
        **kwargs: Unpack[LossArguments],
    ):
        super().__init__(**kwargs)
        self.q = q
        self.from_logits = from_logits
        self.label_smoothing = label_smoothing
        self.axis = axis
        self.class_weights = as_list(class_weights)
        self.ignore_class = ignore_class


@loss_function("onehot", **_GENERALIZED)
def categorical_generalized_cross_entropy(
    y_true: Any,
    y_pred: Any,
    q=0.5,
    from_logits=False,
    label_smoothing=0.0,
    axis=-1,
    class_weights: Any = None,
    ignore_class: Any = None,
) -> Any:
    """Cross-entropy of one-hot or soft labels that stays below `1 / q`.

    Take it where labels are wrong now and then: a label far from what the model says hardly pulls.
    Keras's function of this name takes class ids, as `sparse_categorical_generalized_cross_entropy`
    does here, and probabilities only.

    Formula:

        p = exp(y_pred - max(y_pred, axis=axis, keepdims=True)) if from_logits else y_pred
        p = p / sum(p, axis=axis, keepdims=True)
        y = y_true * (1 - label_smoothing) + label_smoothing / size(y_pred, axis)
        w = 1 if class_weights is None else along(class_weights, axis)
        loss = sum(w * y * (1 - p**q) / q, axis=axis)

    Args:
        y_true: Labels: one-hot rows, or distributions over the classes.
        y_pred: Probabilities, which need not sum to 1, or logits with `from_logits=True`.
        q: From the cross-entropy, near 0, to the absolute error, at 1; in (0, 1]. Defaults to
            `0.5`, as in Keras; the paper has 0.7.
        from_logits: Whether `y_pred` holds logits. Defaults to `False`.
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

    >>> loss = keras_actloss.losses.categorical_generalized_cross_entropy([[0, 1]], [[0.5, 0.5]])
    >>> float(loss[0])
    0.5857...

    Related:
        `q=1` is half the absolute error of a one-hot label; as `q` goes to 0 it becomes
        `categorical_crossentropy`.

    Reference:
        [Zhang and Sabuncu, 2018](https://arxiv.org/abs/1805.07836)
    """
    curve = _generalized(q)
    return of_categorical(y_true, y_pred, from_logits, label_smoothing, axis, class_weights, curve)


@register("losses")
class CategoricalGeneralizedCrossEntropy(Loss, fn=categorical_generalized_cross_entropy):
    """Class form of `categorical_generalized_cross_entropy`."""

    def __init__(
        self,
        q=0.5,
        from_logits=False,
        label_smoothing=0.0,
        axis=-1,
        class_weights=None,
        ignore_class=None,
        **kwargs: Unpack[LossArguments],
    ):
        super().__init__(**kwargs)
        self.q = q
        self.from_logits = from_logits
        self.label_smoothing = label_smoothing
        self.axis = axis
        self.class_weights = as_list(class_weights)
        self.ignore_class = ignore_class


@loss_function("ids", **_GENERALIZED)
def sparse_categorical_generalized_cross_entropy(
    y_true: Any,
    y_pred: Any,
    q=0.5,
    from_logits=False,
    ignore_class: Any = None,
    axis=-1,
    label_smoothing=0.0,
    class_weights: Any = None,
) -> Any:
    """Cross-entropy of class ids that stays below `1 / q`.

    Take it where ids are wrong now and then: a label far from what the model says hardly pulls.
    From probabilities without other options it is Keras's `categorical_generalized_cross_entropy`.

    Formula:

        p = exp(y_pred - max(y_pred, axis=axis, keepdims=True)) if from_logits else y_pred
        p = p / sum(p, axis=axis, keepdims=True)
        y = one_hot(y_true, size(y_pred, axis), axis) * (1 - label_smoothing)
        y = y + label_smoothing / size(y_pred, axis)
        w = 1 if class_weights is None else along(class_weights, axis)
        loss = sum(w * y * (1 - p**q) / q, axis=axis)

    Args:
        y_true: Class ids, integers from 0.
        y_pred: Probabilities, which need not sum to 1, or logits with `from_logits=True`.
        q: From the cross-entropy, near 0, to the absolute error, at 1; in (0, 1]. Defaults to
            `0.5`, as in Keras; the paper has 0.7.
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

    >>> generalized = keras_actloss.losses.sparse_categorical_generalized_cross_entropy
    >>> float(generalized([1], [[0.5, 0.5]])[0])
    0.5857...

    Related:
        `categorical_generalized_cross_entropy` of the one-hot labels.

    Reference:
        [Zhang and Sabuncu, 2018](https://arxiv.org/abs/1805.07836)
    """
    curve = _generalized(q)
    return of_sparse(y_true, y_pred, from_logits, label_smoothing, axis, class_weights, curve)


@register("losses")
class SparseCategoricalGeneralizedCrossEntropy(
    Loss, fn=sparse_categorical_generalized_cross_entropy
):
    """Class form of `sparse_categorical_generalized_cross_entropy`."""

    def __init__(
        self,
        q=0.5,
        from_logits=False,
        ignore_class=None,
        axis=-1,
        label_smoothing=0.0,
        class_weights=None,
        **kwargs: Unpack[LossArguments],
    ):
        super().__init__(**kwargs)
        self.q = q
        self.from_logits = from_logits
        self.ignore_class = ignore_class
        self.axis = axis
        self.label_smoothing = label_smoothing
        self.class_weights = as_list(class_weights)


@loss_function("binary", **_SYMMETRIC)
def binary_symmetric_crossentropy(
    y_true: Any,
    y_pred: Any,
    alpha=0.1,
    beta=4.0,
    from_logits=False,
    label_smoothing=0.0,
    axis=-1,
    class_weights: Any = None,
    ignore_class: Any = None,
    mask: Any = None,
) -> Any:
    """Cross-entropy of yes/no labels plus that of the labels under the predictions.

    Take it where labels are wrong now and then: the reverse part is bounded and dominates, the
    other one still makes hard labels learn. The mean over an axis.

    Formula:

        p = 1 / (1 + exp(-y_pred)) if from_logits else y_pred
        q = 1 / (1 + exp(y_pred)) if from_logits else 1 - y_pred
        y = y_true * (1 - label_smoothing) + label_smoothing / 2
        w = (1, 1) if class_weights is None else class_weights
        yes, no = beta * y * q - alpha * xlogy(y, p), beta * (1 - y) * p - alpha * xlogy(1 - y, q)
        loss = mean(w[1] * yes + w[0] * no, axis=axis)

    Args:
        y_true: Labels from 0 to 1, for each output.
        y_pred: Probabilities, or logits with `from_logits=True`.
        alpha: Weight of the cross-entropy, at least 0. Defaults to `0.1`.
        beta: Weight of the reverse part, at least 0: the paper's beta times its -A, here 1 and 4.
            Code that clips labels at 1e-4 has -A of 9.2. Defaults to `4.0`.
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

    >>> float(keras_actloss.losses.binary_symmetric_crossentropy([[1]], [[0.25]])[0])
    3.1386...

    Related:
        `beta=0` is `alpha` times `binary_crossentropy`. With `alpha=1` it is
        `binary_poly_crossentropy` with `epsilon=beta`.

    Reference:
        [Wang et al., 2019](https://arxiv.org/abs/1908.06112)
    """
    curve = _symmetric(alpha, beta)
    return of_binary(y_true, y_pred, from_logits, label_smoothing, axis, class_weights, mask, curve)


@register("losses")
class BinarySymmetricCrossentropy(Loss, fn=binary_symmetric_crossentropy):
    """Class form of `binary_symmetric_crossentropy`."""

    def __init__(
        self,
        alpha=0.1,
        beta=4.0,
        from_logits=False,
        label_smoothing=0.0,
        axis=-1,
        class_weights=None,
        ignore_class=None,
        **kwargs: Unpack[LossArguments],
    ):
        super().__init__(**kwargs)
        self.alpha = alpha
        self.beta = beta
        self.from_logits = from_logits
        self.label_smoothing = label_smoothing
        self.axis = axis
        self.class_weights = as_list(class_weights)
        self.ignore_class = ignore_class


@loss_function("onehot", **_SYMMETRIC)
def categorical_symmetric_crossentropy(
    y_true: Any,
    y_pred: Any,
    alpha=0.1,
    beta=4.0,
    from_logits=False,
    label_smoothing=0.0,
    axis=-1,
    class_weights: Any = None,
    ignore_class: Any = None,
) -> Any:
    """Cross-entropy of one-hot labels plus that of the labels under the predictions.

    Take it where labels are wrong now and then: the reverse part is bounded and dominates, the
    other one still makes hard classes learn. The logarithm of a label of 0 counts as the constant A
    of the paper.

    Formula:

        p = exp(y_pred - max(y_pred, axis=axis, keepdims=True)) if from_logits else y_pred
        p = p / sum(p, axis=axis, keepdims=True)
        w = 1 if class_weights is None else along(class_weights, axis)
        y = y_true * (1 - label_smoothing) + label_smoothing / size(y_pred, axis)
        loss = sum(w * (beta * y * (1 - p) - alpha * xlogy(y, p)), axis=axis)

    Args:
        y_true: Labels: one-hot rows, or distributions over the classes.
        y_pred: Probabilities, which need not sum to 1, or logits with `from_logits=True`.
        alpha: Weight of the cross-entropy, at least 0. Defaults to `0.1`.
        beta: Weight of the reverse part, at least 0: the paper's beta times its -A, here 1 and 4.
            Code that clips labels at 1e-4 has -A of 9.2. Defaults to `4.0`.
        from_logits: Whether `y_pred` holds logits. Defaults to `False`.
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

    >>> loss = keras_actloss.losses.categorical_symmetric_crossentropy([[0, 1]], [[0.75, 0.25]])
    >>> float(loss[0])
    3.1386...

    Related:
        `beta=0` is `alpha` times `categorical_crossentropy`. With `alpha=1` it is
        `categorical_poly_crossentropy` with `epsilon=beta`.

    Reference:
        [Wang et al., 2019](https://arxiv.org/abs/1908.06112)
    """
    curve = _symmetric(alpha, beta)
    return of_categorical(y_true, y_pred, from_logits, label_smoothing, axis, class_weights, curve)


@register("losses")
class CategoricalSymmetricCrossentropy(Loss, fn=categorical_symmetric_crossentropy):
    """Class form of `categorical_symmetric_crossentropy`."""

    def __init__(
        self,
        alpha=0.1,
        beta=4.0,
        from_logits=False,
        label_smoothing=0.0,
        axis=-1,
        class_weights=None,
        ignore_class=None,
        **kwargs: Unpack[LossArguments],
    ):
        super().__init__(**kwargs)
        self.alpha = alpha
        self.beta = beta
        self.from_logits = from_logits
        self.label_smoothing = label_smoothing
        self.axis = axis
        self.class_weights = as_list(class_weights)
        self.ignore_class = ignore_class


@loss_function("ids", **_SYMMETRIC)
def sparse_categorical_symmetric_crossentropy(
    y_true: Any,
    y_pred: Any,
    alpha=0.1,
    beta=4.0,
    from_logits=False,
    ignore_class: Any = None,
    axis=-1,
    label_smoothing=0.0,
    class_weights: Any = None,
) -> Any:
    """Cross-entropy of class ids plus that of the ids under the predictions.

    Take it where ids are wrong now and then; see `categorical_symmetric_crossentropy`.

    Formula:

        p = exp(y_pred - max(y_pred, axis=axis, keepdims=True)) if from_logits else y_pred
        p = p / sum(p, axis=axis, keepdims=True)
        w = 1 if class_weights is None else along(class_weights, axis)
        y = one_hot(y_true, size(y_pred, axis), axis) * (1 - label_smoothing)
        y = y + label_smoothing / size(y_pred, axis)
        loss = sum(w * (beta * y * (1 - p) - alpha * xlogy(y, p)), axis=axis)

    Args:
        y_true: Class ids, integers from 0.
        y_pred: Probabilities, which need not sum to 1, or logits with `from_logits=True`.
        alpha: Weight of the cross-entropy, at least 0. Defaults to `0.1`.
        beta: Weight of the reverse part, at least 0: the paper's beta times its -A, here 1 and 4.
            Code that clips labels at 1e-4 has -A of 9.2. Defaults to `4.0`.
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

    >>> loss = keras_actloss.losses.sparse_categorical_symmetric_crossentropy([1], [[0.75, 0.25]])
    >>> float(loss[0])
    3.1386...

    Related:
        `categorical_symmetric_crossentropy` of the one-hot labels.

    Reference:
        [Wang et al., 2019](https://arxiv.org/abs/1908.06112)
    """
    curve = _symmetric(alpha, beta)
    return of_sparse(y_true, y_pred, from_logits, label_smoothing, axis, class_weights, curve)


@register("losses")
class SparseCategoricalSymmetricCrossentropy(Loss, fn=sparse_categorical_symmetric_crossentropy):
    """Class form of `sparse_categorical_symmetric_crossentropy`."""

    def __init__(
        self,
        alpha=0.1,
        beta=4.0,
        from_logits=False,
        ignore_class=None,
        axis=-1,
        label_smoothing=0.0,
        class_weights=None,
        **kwargs: Unpack[LossArguments],
    ):
        super().__init__(**kwargs)
        self.alpha = alpha
        self.beta = beta
        self.from_logits = from_logits
        self.ignore_class = ignore_class
        self.axis = axis
        self.label_smoothing = label_smoothing
        self.class_weights = as_list(class_weights)
