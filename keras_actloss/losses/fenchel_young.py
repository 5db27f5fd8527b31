"""Losses whose gradient is a projection onto the simplex less the label."""

from typing import Any, Unpack

from keras import ops

from keras_actloss.core import simplex
from keras_actloss.core.categorical import of_rows, one_hot
from keras_actloss.core.checks import above_one
from keras_actloss.core.curves import OPTIONS
from keras_actloss.core.functions import loss_function
from keras_actloss.core.keras_fixes import amax
from keras_actloss.core.loss import Loss, LossArguments
from keras_actloss.core.numerics import polynomial, positive, with_gradient
from keras_actloss.core.registry import register
from keras_actloss.core.settings import as_list


def _sum(x, axis):
    return ops.sum(x, axis=axis, keepdims=True)


def _label_less(y, p, axis):
    """`y - p` for rows of the same sum: at a label above 1/2 by what the others have."""
    leads = y > 0.5
    others = _sum(ops.where(leads, 0.0, p - y), axis)
    return ops.where(leads, others, y - p)


def _short_of(y, distance):
    """What it costs that labeled entries lie outside the support, by their distance to it."""
    return ops.where(y == 0, 0.0, y * ops.relu(distance))


# Each loss is the Bregman divergence between label and projection, and what it costs that a label
# lies outside the support. Both are sums of what is at least 0, so that nothing cancels; the
# textbook's three terms do where the prediction is right.


def _sparsemax(y, x, axis):
    def value(y, z, height, edge, support):
        miss = _label_less(y, ops.relu(z + height), axis)
        return ops.sum(0.5 * miss * miss + _short_of(y, -(z + height)), axis=axis)

    def gradient(upstream, y, z, *found):
        p = simplex.sparsemax_at(z, *found, axis=axis)
        slope = -ops.expand_dims(upstream, axis) * _label_less(y, p, axis)
        return None, slope, *[None for _ in found]

    z = simplex.distance(x, axis)
    return with_gradient(value, gradient, opaque=True)(y, z, *simplex.sparsemax_height(z, axis))


def _entmax15(y, x, axis):
    def value(y, z, height):
        root = ops.relu(z + height)
        label = ops.sqrt(y)
        both = label + root
        miss = _label_less(y, root * root, axis) / ops.where(both == 0, 1.0, both)
        divergence = (2 / 3) * miss * miss * (both + label)
        return ops.sum(divergence + 2 * _short_of(y, -(z + height)), axis=axis)

    def gradient(upstream, y, z, height):
        p = simplex.entmax15_at(z, height, axis)
        # The derivative by z, which is half the distance.
        slope = -2 * ops.expand_dims(upstream, axis) * _label_less(y, p, axis)
        return None, slope, None

    z = simplex.distance(x, axis) / 2
    return with_gradient(value, gradient, opaque=True)(y, z, simplex.entmax15_height(z, axis))


def _entmax(y, x, alpha, axis):
    if alpha in (1.5, 2):
        return _entmax15(y, x, axis) if alpha == 1.5 else _sparsemax(y, x, axis)
    rho = alpha - 1
    # Of the integral of t * (1 - t) ** (alpha - 2) from 0, over the square of its end.
    coefficients = [1 / 2]
    factor = 1.0
    for k in range(1, 28):
        factor *= (k + 1 - alpha) / k
        coefficients.append(factor / (k + 2))
    near = 0.5 / max(rho, 1)

    def log_power(p, root):
        """`rho * log(p)`: where `p` underflows, or lost digits to it, its power `root` did not."""
        return ops.where(p > 2.0**-100, rho * ops.log(positive(p)), ops.log(positive(root)))

    def of_leader(label, power, miss):
        """The divergence at a label above 1/2 that lacks `miss` and has this `log_power`."""
        scale = ops.where(label == 0, 1.0, label)
        miss = miss / scale
        small = ops.abs(miss) <= near
        series = polynomial(coefficients, ops.where(small, miss, 0.0)) * miss * miss
        far = ops.where(small, near, miss)
        exponent = power - rho * ops.log(scale) + ops.log1p(rho * far)
        return ops.power(label, alpha) * ops.where(
            small, series, -ops.expm1(exponent) / (alpha * rho)
        )

    def of_other(label, p, power):
        """The divergence at any other label, by the smaller of it and `p` beside the larger."""
        apart = power - rho * ops.log(positive(label))
        more, less = ops.maximum(label, p), ops.minimum(label, p)
        ratio, gap = less / positive(more), -ops.expm1(-ops.abs(apart))
        under = gap - rho * (1 - gap) * (1 - ratio)
        over = rho * (1 - ratio) - ratio * gap
        return ops.power(more, alpha) / (alpha * rho) * ops.where(label > p, under, over)

    def value(y, z, exponent, height):
        p = simplex.entmax_at(z, exponent, height, axis, True)
        leads = y > 0.5
        power = log_power(p, ops.relu(rho * z + height))
        of_label = (y, power, _label_less(y, p, axis))
        led = of_leader(*[_sum(ops.where(leads, v, 0.0), axis) for v in of_label])
        others = ops.where(leads, 0.0, of_other(y, p, power))
        short = _short_of(y, -(z + height / rho))
        return ops.sum(others + short, axis=axis) + ops.squeeze(led, axis)

    def gradient(upstream, y, z, exponent, height):
        p = simplex.entmax_at(z, exponent, height, axis, True)
        slope = -ops.expand_dims(upstream, axis) * _label_less(y, p, axis)
        return None, slope, None, None

    z = simplex.distance(x, axis)
    exponent = rho + ops.zeros_like(ops.stop_gradient(amax(x, axis=axis, keepdims=True)))
    height = simplex.entmax_height(z, exponent, axis, convex=alpha < 2)
    return with_gradient(value, gradient, opaque=True)(y, z, exponent, height)


@loss_function("onehot", **OPTIONS)
def categorical_sparsemax(
    y_true: Any,
    y_pred: Any,
    label_smoothing=0.0,
    axis=-1,
    class_weights: Any = None,
    ignore_class: Any = None,
) -> Any:
    """Sparsemax loss of one-hot or soft labels: its gradient is `sparsemax(y_pred) - y_true`.

    Take it to train a model whose output goes through `activations.sparsemax`, as
    `categorical_crossentropy` goes with softmax. Of a one-hot label without `label_smoothing` it is
    0, not just small, where the label leads by 1 or more, and its gradient never vanishes on a
    mistake.

    Formula:

        top = max(y_pred, axis=axis, keepdims=True)
        total = lambda tau: sum(maximum(y_pred - tau, 0), axis=axis, keepdims=True)
        p = maximum(y_pred - root(lambda tau: total(tau) - 1, top - 1, top), 0)
        y = y_true * (1 - label_smoothing) + label_smoothing / size(y_pred, axis)
        w = 1 if class_weights is None else sum(y_true * along(class_weights, axis), axis=axis)
        loss = w * sum((p - y) * y_pred - (p ** 2 - y ** 2) / 2, axis=axis)

    Args:
        y_true: Labels: one-hot rows, or distributions over the classes.
        y_pred: Logits, not what `sparsemax` makes of them.
        label_smoothing: Share of the label that is spread over all classes, in [0, 1). Defaults to
            `0.0`.
        axis: The class axis. Defaults to `-1`.
        class_weights: One weight of at least 0 per class, for the rows with its label. Defaults to
            `None`, all 1.
        ignore_class: Class whose rows are left out: those with their largest entry there.
            Defaults to `None`.

    Shapes:
        `y_true` and `y_pred`: `(batch, ..., classes)`, the classes on `axis`. The loss: the same
        without `axis`. No gradient flows to `y_true`.

    Raises:
        ValueError: If an option is out of range or the shapes do not fit.

    Example:

    >>> float(keras_actloss.losses.categorical_sparsemax([[1, 0]], [[0.5, 0.0]])[0])
    0.0625

    Related:
        `categorical_entmax` with `alpha=2`; for class ids, `sparse_categorical_sparsemax`. Of two
        classes, `sparse_plus` of what the label lacks to lead: optax's binary `sparsemax_loss`.

    Reference:
        [Martins and Astudillo, 2016](https://arxiv.org/abs/1602.02068)
    """

    def loss(y, x):
        return _sparsemax(y, x, axis)

    return of_rows(loss, y_true, y_pred, label_smoothing, axis, class_weights)


@register("losses")
class CategoricalSparsemax(Loss, fn=categorical_sparsemax):
    """Class form of `categorical_sparsemax`."""

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


@loss_function("ids", **OPTIONS)
def sparse_categorical_sparsemax(
    y_true: Any,
    y_pred: Any,
    ignore_class: Any = None,
    axis=-1,
    label_smoothing=0.0,
    class_weights: Any = None,
) -> Any:
    """Sparsemax loss of class ids: its gradient is `sparsemax(y_pred)`, less 1 at the label.

    Take it for labels that are ids; see `categorical_sparsemax`.

    Formula:

        top = max(y_pred, axis=axis, keepdims=True)
        total = lambda tau: sum(maximum(y_pred - tau, 0), axis=axis, keepdims=True)
        p = maximum(y_pred - root(lambda tau: total(tau) - 1, top - 1, top), 0)
        label = one_hot(y_true, size(y_pred, axis), axis)
        y = label * (1 - label_smoothing) + label_smoothing / size(y_pred, axis)
        w = 1 if class_weights is None else sum(label * along(class_weights, axis), axis=axis)
        loss = w * sum((p - y) * y_pred - (p ** 2 - y ** 2) / 2, axis=axis)

    Args:
        y_true: Class ids, integers from 0.
        y_pred: Logits, not what `sparsemax` makes of them.
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

    >>> float(keras_actloss.losses.sparse_categorical_sparsemax([0], [[0.5, 0.0]])[0])
    0.0625

    Related:
        `categorical_sparsemax` of the one-hot labels.

    Reference:
        [Martins and Astudillo, 2016](https://arxiv.org/abs/1602.02068)
    """
    return categorical_sparsemax.maths(
        one_hot(y_true, y_pred, axis),
        y_pred,
        label_smoothing=label_smoothing,
        axis=axis,
        class_weights=class_weights,
    )


@register("losses")
class SparseCategoricalSparsemax(Loss, fn=sparse_categorical_sparsemax):
    """Class form of `sparse_categorical_sparsemax`."""

    from_logits = True

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


_ALPHA = above_one(100)


@loss_function("onehot", alpha=_ALPHA, **OPTIONS)
def categorical_entmax(
    y_true: Any,
    y_pred: Any,
    alpha=1.5,
    label_smoothing=0.0,
    axis=-1,
    class_weights: Any = None,
    ignore_class: Any = None,
) -> Any:
    """Entmax loss of one-hot or soft labels: its gradient is `entmax(y_pred, alpha) - y_true`.

    Take it to train a model whose output goes through `activations.entmax`. With `alpha` towards 1
    it is `categorical_crossentropy` from logits, less the entropy of a soft label. Of a one-hot
    label without `label_smoothing` it is 0 where the label leads by `1 / (alpha - 1)`.

    Formula:

        z = (alpha - 1) * (y_pred - max(y_pred, axis=axis, keepdims=True))
        lifted = lambda tau: maximum(z - tau, 0) ** (1 / (alpha - 1))
        p = lifted(root(lambda tau: sum(lifted(tau), axis=axis, keepdims=True) - 1, -1, 0))
        y = y_true * (1 - label_smoothing) + label_smoothing / size(y_pred, axis)
        w = 1 if class_weights is None else sum(y_true * along(class_weights, axis), axis=axis)
        entropies = (p ** alpha - y ** alpha) / (alpha * (alpha - 1))
        loss = w * sum((p - y) * y_pred - entropies, axis=axis)

    Args:
        y_true: Labels: one-hot rows, or distributions over the classes.
        y_pred: Logits, not what `entmax` makes of them.
        alpha: Number in (1, 100]. Defaults to `1.5`.
        label_smoothing: Share of the label that is spread over all classes, in [0, 1). Defaults to
            `0.0`.
        axis: The class axis. Defaults to `-1`.
        class_weights: One weight of at least 0 per class, for the rows with its label. Defaults to
            `None`, all 1.
        ignore_class: Class whose rows are left out: those with their largest entry there.
            Defaults to `None`.

    Shapes:
        `y_true` and `y_pred`: `(batch, ..., classes)`, the classes on `axis`. The loss: the same
        without `axis`. No gradient flows to `y_true`.

    Raises:
        ValueError: If an option is out of range or the shapes do not fit.

    Example:

    >>> float(keras_actloss.losses.categorical_entmax([[1, 0]], [[1.0, 0.0]])[0])
    0.0616...

    Related:
        `alpha=2` is `categorical_sparsemax`; for class ids, `sparse_categorical_entmax`.

    Reference:
        [Peters et al., 2019](https://arxiv.org/abs/1905.05702),
        [Blondel et al., 2020](https://arxiv.org/abs/1901.02324)
    """

    def loss(y, x):
        return _entmax(y, x, alpha, axis)

    return of_rows(loss, y_true, y_pred, label_smoothing, axis, class_weights)


@register("losses")
class CategoricalEntmax(Loss, fn=categorical_entmax):
    """Class form of `categorical_entmax`."""

    from_logits = True

    def __init__(
        self,
        alpha=1.5,
        label_smoothing=0.0,
        axis=-1,
        class_weights=None,
        ignore_class=None,
        **kwargs: Unpack[LossArguments],
    ):
        super().__init__(**kwargs)
        self.alpha = alpha
        self.label_smoothing = label_smoothing
        self.axis = axis
        self.class_weights = as_list(class_weights)
        self.ignore_class = ignore_class


@loss_function("ids", alpha=_ALPHA, **OPTIONS)
def sparse_categorical_entmax(
    y_true: Any,
    y_pred: Any,
    alpha=1.5,
    ignore_class: Any = None,
    axis=-1,
    label_smoothing=0.0,
    class_weights: Any = None,
) -> Any:
    """Entmax loss of class ids: its gradient is `entmax(y_pred, alpha)`, less 1 at the label.

    Take it for labels that are ids; see `categorical_entmax`.

    Formula:

        z = (alpha - 1) * (y_pred - max(y_pred, axis=axis, keepdims=True))
        lifted = lambda tau: maximum(z - tau, 0) ** (1 / (alpha - 1))
        p = lifted(root(lambda tau: sum(lifted(tau), axis=axis, keepdims=True) - 1, -1, 0))
        label = one_hot(y_true, size(y_pred, axis), axis)
        y = label * (1 - label_smoothing) + label_smoothing / size(y_pred, axis)
        w = 1 if class_weights is None else sum(label * along(class_weights, axis), axis=axis)
        entropies = (p ** alpha - y ** alpha) / (alpha * (alpha - 1))
        loss = w * sum((p - y) * y_pred - entropies, axis=axis)

    Args:
        y_true: Class ids, integers from 0.
        y_pred: Logits, not what `entmax` makes of them.
        alpha: Number in (1, 100]. Defaults to `1.5`.
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

    >>> float(keras_actloss.losses.sparse_categorical_entmax([0], [[1.0, 0.0]])[0])
    0.0616...

    Related:
        `categorical_entmax` of the one-hot labels.

    Reference:
        [Peters et al., 2019](https://arxiv.org/abs/1905.05702),
        [Blondel et al., 2020](https://arxiv.org/abs/1901.02324)
    """
    return categorical_entmax.maths(
        one_hot(y_true, y_pred, axis),
        y_pred,
        alpha=alpha,
        label_smoothing=label_smoothing,
        axis=axis,
        class_weights=class_weights,
    )


@register("losses")
class SparseCategoricalEntmax(Loss, fn=sparse_categorical_entmax):
    """Class form of `sparse_categorical_entmax`."""

    from_logits = True

    def __init__(
        self,
        alpha=1.5,
        ignore_class=None,
        axis=-1,
        label_smoothing=0.0,
        class_weights=None,
        **kwargs: Unpack[LossArguments],
    ):
        super().__init__(**kwargs)
        self.alpha = alpha
        self.ignore_class = ignore_class
        self.axis = axis
        self.label_smoothing = label_smoothing
        self.class_weights = as_list(class_weights)
