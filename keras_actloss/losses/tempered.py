"""The bi-tempered logistic loss: bounded, with heavy tails."""

from typing import Any, Unpack

from keras import ops

from keras_actloss.core.categorical import of_rows, one_hot
from keras_actloss.core.checks import above_one, within
from keras_actloss.core.curves import OPTIONS
from keras_actloss.core.functions import loss_function
from keras_actloss.core.keras_fixes import amax
from keras_actloss.core.loss import Loss, LossArguments
from keras_actloss.core.numerics import expm1, polynomial, power, with_gradient
from keras_actloss.core.registry import register
from keras_actloss.core.settings import as_list

# The number of classes to the power t2 - 1 has to be a number of float32.
_CHECKS = {
    **OPTIONS,
    "t1": within(0, 1, "[)", "; close to 1 is near the logarithm"),
    "t2": above_one(5),
}

# Of Newton's method on a function that is almost linear; 1000 classes and t2 = 2 take five.
_STEPS = 7


def _bi_tempered(y, x, t1, t2, axis):
    """Divergence at temperature `t1` of `y` from the softmax of `x` at temperature `t2`."""
    tail, power_of_loss = t2 - 1, 1 - t1
    # The binomial series of x**-t1 around 1, times 1 - x, integrated.
    coefficients, binomial = [], 1.0
    for k in range(16):
        coefficients.append(binomial / (k + 2))
        binomial *= (t1 + k) / (k + 1)

    def total(of_class):
        return ops.sum(of_class, axis=axis, keepdims=True)

    def probabilities(distance, shift):
        z = 1 + tail * (distance + shift)
        return z, power(1 / z, 1 / tail)

    def shared(y, x):
        top = amax(x, axis=axis, keepdims=True)
        distance, leads = top - x, x == top
        ties = total(ops.cast(leads, x.dtype))
        shift = ops.zeros_like(top)
        for _ in range(_STEPS):
            z, p = probabilities(distance, shift)
            # What the sum has beyond 1; a leader alone has almost all of it.
            of_leaders = (ties - 1) + ties * expm1(-ops.log1p(tail * shift) / tail)
            excess = of_leaders + total(ops.where(leads, 0.0, p))
            step = (1 + excess) * expm1(tail * ops.log1p(excess)) / tail
            shift = ops.relu(shift + step / total(p / z))
        z, p = probabilities(distance, shift)
        loss = ops.log1p(tail * (distance + shift)) / tail
        alone = ops.logical_and(leads, ties < 2)
        q = ops.where(alone, total(ops.where(leads, 0.0, p)), 1 - p)
        return alone, z, p, q, expm1(-power_of_loss * loss)

    def value(shared, y, x):
        _, _, p, q, powered = shared
        own = (p + p * powered) / (1 + power_of_loss)
        near = ops.square(q) * polynomial(coefficients, q)
        far = -powered / power_of_loss + own - 1 / (1 + power_of_loss)
        right = ops.where(q < 0.25, near, far)
        soft = ops.power(y, power_of_loss)
        soft = y * ((soft - 1 - powered) / power_of_loss - soft / (1 + power_of_loss)) + own
        divergence = ops.where(y == 0, own, ops.where(y == 1, right, soft))
        return ops.sum(divergence, axis=axis)

    def gradient(upstream, shared, y, x):
        alone, z, p, q, powered = shared
        error = ops.where(alone, (1 - y) - q, p - y) * (1 + powered) / z
        share = p / z
        share = share / total(share)
        # Where one class leads, nothing is left of it but what the others have.
        left = total(ops.where(alone, 0.0, share)) * error
        left = left - share * total(ops.where(alone, 0.0, error))
        slope = ops.where(alone, left, error - share * total(error))
        return None, ops.expand_dims(upstream, axis) * slope

    return with_gradient(value, gradient, shared)(y, x)


@loss_function("onehot", **_CHECKS)
def categorical_bi_tempered_logistic(
    y_true: Any,
    y_pred: Any,
    t1=0.8,
    t2=1.2,
    label_smoothing=0.0,
    axis=-1,
    class_weights: Any = None,
    ignore_class: Any = None,
) -> Any:
    """Logistic loss of one-hot or soft labels that is bounded and has heavy tails.

    Take it where labels are wrong now and then: `t1` bounds what an outlier costs, `t2` lets labels
    near the boundary be wrong. The authors normalize with five steps of an iteration, here the
    probabilities sum to 1 to the last digits.

    Formula:

        tail = t2 - 1
        spread = max(y_pred, axis=axis, keepdims=True) - y_pred
        widest = (size(y_pred, axis) ** tail - 1) / tail + 1
        each = lambda shift: (1 + tail * (spread + shift)) ** (-1 / tail)
        p = each(root(lambda s: sum(each(s), axis=axis, keepdims=True) - 1, 0, widest))
        y = y_true * (1 - label_smoothing) + label_smoothing / size(y_pred, axis)
        loss = y * (y ** (1 - t1) - p ** (1 - t1)) / (1 - t1)
        loss = sum(loss - (y ** (2 - t1) - p ** (2 - t1)) / (2 - t1), axis=axis)
        w = 1 if class_weights is None else sum(y_true * along(class_weights, axis), axis=axis)
        loss = w * loss

    Args:
        y_true: Labels: one-hot rows, or distributions over the classes.
        y_pred: Logits.
        t1: Temperature of the logarithm, in [0, 1): the lower, the less a mistake costs at most.
            Defaults to `0.8`.
        t2: Temperature of the exponential, in (1, 5]: the higher, the heavier the tails. Defaults
            to `1.2`.
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

    >>> loss = keras_actloss.losses.categorical_bi_tempered_logistic([[0, 1]], [[0.0, 0.0]])
    >>> float(loss[0])
    0.5393...

    Related:
        As `t1` and `t2` go to 1 it becomes `categorical_crossentropy` of logits, less the entropy
        of the label. The authors spread a label over the other classes alone: their
        `label_smoothing` is this one times `(classes - 1) / classes`.

    Reference:
        [Amid et al., 2019](https://arxiv.org/abs/1906.03361)
    """

    def loss(y, x):
        return _bi_tempered(y, x, t1, t2, axis)

    return of_rows(loss, y_true, y_pred, label_smoothing, axis, class_weights)


@register("losses")
class CategoricalBiTemperedLogistic(Loss, fn=categorical_bi_tempered_logistic):
    """Class form of `categorical_bi_tempered_logistic`."""

    from_logits = True

    def __init__(
        self,
        t1=0.8,
        t2=1.2,
        label_smoothing=0.0,
        axis=-1,
        class_weights=None,
        ignore_class=None,
        **kwargs: Unpack[LossArguments],
    ):
        super().__init__(**kwargs)
        self.t1 = t1
        self.t2 = t2
        self.label_smoothing = label_smoothing
        self.axis = axis
        self.class_weights = as_list(class_weights)
        self.ignore_class = ignore_class


@loss_function("ids", **_CHECKS)
def sparse_categorical_bi_tempered_logistic(
    y_true: Any,
    y_pred: Any,
    t1=0.8,
    t2=1.2,
    ignore_class: Any = None,
    axis=-1,
    label_smoothing=0.0,
    class_weights: Any = None,
) -> Any:
    """Logistic loss of class ids that is bounded and has heavy tails.

    Take it where ids are wrong now and then; see `categorical_bi_tempered_logistic`.

    Formula:

        tail = t2 - 1
        spread = max(y_pred, axis=axis, keepdims=True) - y_pred
        widest = (size(y_pred, axis) ** tail - 1) / tail + 1
        each = lambda shift: (1 + tail * (spread + shift)) ** (-1 / tail)
        p = each(root(lambda s: sum(each(s), axis=axis, keepdims=True) - 1, 0, widest))
        label = one_hot(y_true, size(y_pred, axis), axis)
        y = label * (1 - label_smoothing) + label_smoothing / size(y_pred, axis)
        loss = y * (y ** (1 - t1) - p ** (1 - t1)) / (1 - t1)
        loss = sum(loss - (y ** (2 - t1) - p ** (2 - t1)) / (2 - t1), axis=axis)
        w = 1 if class_weights is None else sum(label * along(class_weights, axis), axis=axis)
        loss = w * loss

    Args:
        y_true: Class ids, integers from 0.
        y_pred: Logits.
        t1: Temperature of the logarithm, in [0, 1): the lower, the less a mistake costs at most.
            Defaults to `0.8`.
        t2: Temperature of the exponential, in (1, 5]: the higher, the heavier the tails. Defaults
            to `1.2`.
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

    >>> tempered = keras_actloss.losses.sparse_categorical_bi_tempered_logistic
    >>> float(tempered([1], [[0.0, 0.0]])[0])
    0.5393...

    Related:
        `categorical_bi_tempered_logistic` of the one-hot labels.

    Reference:
        [Amid et al., 2019](https://arxiv.org/abs/1906.03361)
    """
    return categorical_bi_tempered_logistic.maths(
        one_hot(y_true, y_pred, axis),
        y_pred,
        t1=t1,
        t2=t2,
        label_smoothing=label_smoothing,
        axis=axis,
        class_weights=class_weights,
    )


@register("losses")
class SparseCategoricalBiTemperedLogistic(Loss, fn=sparse_categorical_bi_tempered_logistic):
    """Class form of `sparse_categorical_bi_tempered_logistic`."""

    from_logits = True

    def __init__(
        self,
        t1=0.8,
        t2=1.2,
        ignore_class=None,
        axis=-1,
        label_smoothing=0.0,
        class_weights=None,
        **kwargs: Unpack[LossArguments],
    ):
        super().__init__(**kwargs)
        self.t1 = t1
        self.t2 = t2
        self.ignore_class = ignore_class
        self.axis = axis
        self.label_smoothing = label_smoothing
        self.class_weights = as_list(class_weights)
