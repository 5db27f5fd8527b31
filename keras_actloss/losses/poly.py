"""Poly-1 losses: cross-entropies whose leading term is tuned."""

from typing import Any, Unpack

from keras import ops

from keras_actloss.core.binary import of_binary
from keras_actloss.core.categorical import of_categorical, of_sparse
from keras_actloss.core.checks import all_of, at_least, finite
from keras_actloss.core.curves import OPTIONS, Curve
from keras_actloss.core.functions import loss_function
from keras_actloss.core.loss import Loss, LossArguments
from keras_actloss.core.numerics import polynomial
from keras_actloss.core.registry import register
from keras_actloss.core.settings import as_list

# Below -1 a right answer is pushed away from.
_CHECKS = {**OPTIONS, "epsilon": all_of(at_least(-1), finite)}


def _poly(epsilon):
    """`-log(p) + epsilon * (1 - p)`."""

    def value(label):
        if epsilon >= 0:
            return label.loss + epsilon * label.q
        # What the logarithm has beside its first term, by the series of atanh(s).
        s = label.q / (2 - label.q)
        square = ops.square(s)
        series = polynomial([2 / (2 * k + 3) for k in range(14)], square)
        beyond = ops.where(label.q < 0.7, label.q * s + s * square * series, label.loss - label.q)
        return (1 + epsilon) * label.q + beyond

    return Curve(value, lambda label: label.q + (1 + epsilon) * label.p)


@loss_function("binary", **_CHECKS)
def binary_poly_crossentropy(
    y_true: Any,
    y_pred: Any,
    epsilon=2.0,
    from_logits=False,
    label_smoothing=0.0,
    axis=-1,
    class_weights: Any = None,
    ignore_class: Any = None,
    mask: Any = None,
) -> Any:
    """Cross-entropy of yes/no labels plus the missing probability, mean over an axis.

    Take it in place of `binary_crossentropy` to tune how hard the loss pushes: `epsilon` above 0
    keeps pushing answers that are almost right, -1 leaves them alone, which suits detection.

    Formula:

        p = 1 / (1 + exp(-y_pred)) if from_logits else y_pred
        q = 1 / (1 + exp(y_pred)) if from_logits else 1 - y_pred
        y = y_true * (1 - label_smoothing) + label_smoothing / 2
        w = (1, 1) if class_weights is None else class_weights
        yes = w[1] * (epsilon * y * q - xlogy(y, p))
        no = w[0] * (epsilon * (1 - y) * p - xlogy(1 - y, q))
        loss = mean(yes + no, axis=axis)

    Args:
        y_true: Labels from 0 to 1, for each output.
        y_pred: Probabilities, or logits with `from_logits=True`.
        epsilon: What is added to the coefficient of `1 - p` in the series of the cross-entropy, at
            least -1. Defaults to `2.0`.
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

    >>> float(keras_actloss.losses.binary_poly_crossentropy([[1]], [[0.5]])[0])
    1.6931...

    Related:
        `epsilon=0` is `binary_crossentropy`. Of a logit, `categorical_poly_crossentropy` of the two
        logits 0 and `y_pred`.

    Reference:
        [Leng et al., 2022](https://arxiv.org/abs/2204.12511)
    """
    curve = _poly(epsilon)
    return of_binary(y_true, y_pred, from_logits, label_smoothing, axis, class_weights, mask, curve)


@register("losses")
class BinaryPolyCrossentropy(Loss, fn=binary_poly_crossentropy):
    """Class form of `binary_poly_crossentropy`."""

    def __init__(
        self,
        epsilon=2.0,
        from_logits=False,
        label_smoothing=0.0,
        axis=-1,
        class_weights=None,
        ignore_class=None,
        **kwargs: Unpack[LossArguments],
    ):
        super().__init__(**kwargs)
        self.epsilon = epsilon
        self.from_logits = from_logits
        self.label_smoothing = label_smoothing
        self.axis = axis
        self.class_weights = as_list(class_weights)
        self.ignore_class = ignore_class


@loss_function("onehot", **_CHECKS)
def categorical_poly_crossentropy(
    y_true: Any,
    y_pred: Any,
    epsilon=2.0,
    from_logits=False,
    label_smoothing=0.0,
    axis=-1,
    class_weights: Any = None,
    ignore_class: Any = None,
) -> Any:
    """Cross-entropy of one-hot or soft labels plus the missing probability.

    Take it in place of `categorical_crossentropy` to tune how hard the loss pushes. The paper tunes
    `epsilon` for each task: 2 for ImageNet, as in optax and timm, -1 for detection; TensorFlow
    Ranking has 1.

    Formula:

        p = exp(y_pred - max(y_pred, axis=axis, keepdims=True)) if from_logits else y_pred
        p = p / sum(p, axis=axis, keepdims=True)
        y = y_true * (1 - label_smoothing) + label_smoothing / size(y_pred, axis)
        w = 1 if class_weights is None else along(class_weights, axis)
        loss = sum(w * (epsilon * y * (1 - p) - xlogy(y, p)), axis=axis)

    Args:
        y_true: Labels: one-hot rows, or distributions over the classes.
        y_pred: Probabilities, which need not sum to 1, or logits with `from_logits=True`.
        epsilon: What is added to the coefficient of `1 - p` in the series of the cross-entropy, at
            least -1. Defaults to `2.0`.
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

    >>> float(keras_actloss.losses.categorical_poly_crossentropy([[0, 1]], [[0.5, 0.5]])[0])
    1.6931...

    Related:
        `epsilon=0` is `categorical_crossentropy`.

    Reference:
        [Leng et al., 2022](https://arxiv.org/abs/2204.12511)
    """
    curve = _poly(epsilon)
    return of_categorical(y_true, y_pred, from_logits, label_smoothing, axis, class_weights, curve)


@register("losses")
class CategoricalPolyCrossentropy(Loss, fn=categorical_poly_crossentropy):
    """Class form of `categorical_poly_crossentropy`."""

    def __init__(
        self,
        epsilon=2.0,
        from_logits=False,
        label_smoothing=0.0,
        axis=-1,
        class_weights=None,
        ignore_class=None,
        **kwargs: Unpack[LossArguments],
    ):
        super().__init__(**kwargs)
        self.epsilon = epsilon
        self.from_logits = from_logits
        self.label_smoothing = label_smoothing
        self.axis = axis
        self.class_weights = as_list(class_weights)
        self.ignore_class = ignore_class


@loss_function("ids", **_CHECKS)
def sparse_categorical_poly_crossentropy(
    y_true: Any,
    y_pred: Any,
    epsilon=2.0,
    from_logits=False,
    ignore_class: Any = None,
    axis=-1,
    label_smoothing=0.0,
    class_weights: Any = None,
) -> Any:
    """Cross-entropy of class ids plus the missing probability.

    Take it in place of `sparse_categorical_crossentropy` to tune how hard the loss pushes; see
    `categorical_poly_crossentropy` for `epsilon`.

    Formula:

        p = exp(y_pred - max(y_pred, axis=axis, keepdims=True)) if from_logits else y_pred
        p = p / sum(p, axis=axis, keepdims=True)
        y = one_hot(y_true, size(y_pred, axis), axis) * (1 - label_smoothing)
        y = y + label_smoothing / size(y_pred, axis)
        w = 1 if class_weights is None else along(class_weights, axis)
        loss = sum(w * (epsilon * y * (1 - p) - xlogy(y, p)), axis=axis)

    Args:
        y_true: Class ids, integers from 0.
        y_pred: Probabilities, which need not sum to 1, or logits with `from_logits=True`.
        epsilon: What is added to the coefficient of `1 - p` in the series of the cross-entropy, at
            least -1. Defaults to `2.0`.
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

    >>> float(keras_actloss.losses.sparse_categorical_poly_crossentropy([1], [[0.5, 0.5]])[0])
    1.6931...

    Related:
        `categorical_poly_crossentropy` of the one-hot labels.

    Reference:
        [Leng et al., 2022](https://arxiv.org/abs/2204.12511)
    """
    curve = _poly(epsilon)
    return of_sparse(y_true, y_pred, from_logits, label_smoothing, axis, class_weights, curve)


@register("losses")
class SparseCategoricalPolyCrossentropy(Loss, fn=sparse_categorical_poly_crossentropy):
    """Class form of `sparse_categorical_poly_crossentropy`."""

    def __init__(
        self,
        epsilon=2.0,
        from_logits=False,
        ignore_class=None,
        axis=-1,
        label_smoothing=0.0,
        class_weights=None,
        **kwargs: Unpack[LossArguments],
    ):
        super().__init__(**kwargs)
        self.epsilon = epsilon
        self.from_logits = from_logits
        self.ignore_class = ignore_class
        self.axis = axis
        self.label_smoothing = label_smoothing
        self.class_weights = as_list(class_weights)
