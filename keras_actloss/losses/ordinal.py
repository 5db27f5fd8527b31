"""Losses of classes in an order, where a far class is a worse mistake than a near one."""

from typing import Any, Unpack

import numpy as np
from keras import ops

from keras_actloss.core.categorical import of_rows, one_hot
from keras_actloss.core.checks import finite_positive, one_of, or_none
from keras_actloss.core.curves import OPTIONS
from keras_actloss.core.functions import loss_function
from keras_actloss.core.keras_fixes import amax, moved
from keras_actloss.core.loss import Loss, LossArguments
from keras_actloss.core.numerics import SMALLEST, leader, with_gradient
from keras_actloss.core.registry import register
from keras_actloss.core.settings import as_list
from keras_actloss.core.tensors import check_axis, fit, float_tensor


def _weights(x, from_logits):
    """Which class leads on the last axis, what each weighs, and what all do together.

    Logits weigh their exponentials, beside that of the leader.
    """
    if from_logits:
        _, leads, others, rest = leader(x, -1)
        return leads, ops.where(leads, 1.0, others), 1 + rest
    leads = x == amax(x, axis=-1, keepdims=True)
    return leads, x, ops.maximum(ops.sum(x, axis=-1, keepdims=True), SMALLEST)


def _sides(p):
    """What lies up to each border between two classes on the last axis, and what beyond it."""
    below = ops.cumsum(p, axis=-1)
    above = ops.flip(ops.cumsum(ops.flip(p, axis=-1), axis=-1), axis=-1)
    return below[..., :-1], above[..., 1:]


def _squared_emd(from_logits):
    def shared(y, x):
        _, weight, total = _weights(x, from_logits)
        (below, above), (y_below, y_above) = (_sides(v) for v in (weight / total, y))
        # The difference of the cumulative sums, of which no side cancels where the label is hard.
        return weight, total, below, above, below * y_above - above * y_below

    def value(kept, y, x):
        return ops.sum(ops.square(kept[-1]), axis=-1)

    def gradient(upstream, kept, y, x):
        weight, total, below, above, gap = kept

        def with_end(x, *ends):
            return ops.pad(x, [(0, 0)] * (len(x.shape) - 1) + [ends])

        # More of a class moves the borders from it on, and all shares down, those before it too.
        on = ops.flip(ops.cumsum(ops.flip(gap * above, axis=-1), axis=-1), axis=-1)
        before = ops.cumsum(gap * below, axis=-1)
        slope = with_end(on, 0, 1) - with_end(before, 1, 0)
        scale = 2 * ops.expand_dims(upstream, -1) * ops.sum(y, axis=-1, keepdims=True) / total
        return None, scale * slope * (weight if from_logits else 1)

    return with_gradient(value, gradient, shared)


@loss_function("onehot", **OPTIONS)
def categorical_squared_emd(
    y_true: Any,
    y_pred: Any,
    from_logits=False,
    label_smoothing=0.0,
    axis=-1,
    class_weights: Any = None,
    ignore_class: Any = None,
) -> Any:
    """Squared earth mover's distance of the probabilities of ordered classes from their labels.

    Take it for distributions over grades, such as the votes on a photo, and for ordered classes
    behind an ordinary softmax. It is the ranked probability score of forecasts.

    Formula:

        e = exp(y_pred - max(y_pred, axis=axis, keepdims=True)) if from_logits else y_pred
        p = e / sum(e, axis=axis, keepdims=True)
        y = y_true * (1 - label_smoothing) + label_smoothing / size(y_pred, axis)
        gap = p * sum(y, axis=axis, keepdims=True) - y
        w = 1 if class_weights is None else sum(y_true * along(class_weights, axis), axis=axis)
        loss = w * sum(cumsum(gap, axis=axis) ** 2, axis=axis)

    Args:
        y_true: Labels: one-hot rows, or distributions over the classes, in their order.
        y_pred: Probabilities, which need not sum to 1, or logits with `from_logits=True`.
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

    >>> emd = keras_actloss.losses.categorical_squared_emd
    >>> float(emd([[0, 0, 1]], [[0.5, 0.25, 0.25]])[0])
    0.8125

    Related:
        NIMA trains with `sqrt(loss / classes)`. `scipy.stats.energy_distance` of the class ids,
        weighed by the two distributions, is the root of twice this. Of two classes, half of
        `categorical_brier`.

    Reference:
        [Hou et al., 2016](https://arxiv.org/abs/1611.05916),
        [Epstein, 1969](https://doi.org/10.1175/1520-0450(1969)008%3C0985:ASSFPF%3E2.0.CO;2)
    """

    def loss(y, x):
        return _squared_emd(from_logits)(*(moved(v, axis, -1) for v in (y, x)))

    return of_rows(loss, y_true, y_pred, label_smoothing, axis, class_weights)


@register("losses")
class CategoricalSquaredEMD(Loss, fn=categorical_squared_emd):
    """Class form of `categorical_squared_emd`."""

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
def sparse_categorical_squared_emd(
    y_true: Any,
    y_pred: Any,
    from_logits=False,
    ignore_class: Any = None,
    axis=-1,
    label_smoothing=0.0,
    class_weights: Any = None,
) -> Any:
    """Squared earth mover's distance of the probabilities of ordered classes from class ids.

    Take it for ordered classes behind an ordinary softmax, where `sparse_categorical_crossentropy`
    asks for no more than the probability of the label; see `categorical_squared_emd`.

    Formula:

        e = exp(y_pred - max(y_pred, axis=axis, keepdims=True)) if from_logits else y_pred
        p = e / sum(e, axis=axis, keepdims=True)
        label = one_hot(y_true, size(y_pred, axis), axis)
        gap = p - (label * (1 - label_smoothing) + label_smoothing / size(y_pred, axis))
        w = 1 if class_weights is None else sum(label * along(class_weights, axis), axis=axis)
        loss = w * sum(cumsum(gap, axis=axis) ** 2, axis=axis)

    Args:
        y_true: Class ids, integers from 0 in the order of the classes.
        y_pred: Probabilities, which need not sum to 1, or logits with `from_logits=True`.
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

    >>> emd = keras_actloss.losses.sparse_categorical_squared_emd
    >>> float(emd([2], [[0.5, 0.25, 0.25]])[0])
    0.8125

    Related:
        `categorical_squared_emd` of the one-hot labels. The ranked probability score, which some
        divide by the number of classes less 1.

    Reference:
        [Hou et al., 2016](https://arxiv.org/abs/1611.05916),
        [Epstein, 1969](https://doi.org/10.1175/1520-0450(1969)008%3C0985:ASSFPF%3E2.0.CO;2)
    """
    return categorical_squared_emd.maths(
        one_hot(y_true, y_pred, axis),
        y_pred,
        from_logits=from_logits,
        label_smoothing=label_smoothing,
        axis=axis,
        class_weights=class_weights,
    )


@register("losses")
class SparseCategoricalSquaredEMD(Loss, fn=sparse_categorical_squared_emd):
    """Class form of `sparse_categorical_squared_emd`."""

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


def _probabilities(from_logits):
    def gradient(upstream, kept, x):
        leads, weight, total = kept
        # Relative to the leader nothing cancels where that has nearly everything.
        of_leader = amax(ops.where(leads, upstream, -np.inf), axis=-1, keepdims=True)
        relative = upstream - of_leader
        mean = ops.sum(weight / total * relative, axis=-1, keepdims=True)
        return (weight if from_logits else 1) / total * (relative - mean)

    return with_gradient(
        lambda kept, x: kept[1] / kept[2], gradient, lambda x: _weights(x, from_logits)
    )


_KAPPA = {
    **OPTIONS,
    "weighting": one_of("quadratic", "linear"),
    "log_epsilon": or_none(finite_positive),
}


@loss_function("onehot", **_KAPPA)
def categorical_weighted_kappa(
    y_true: Any,
    y_pred: Any,
    from_logits=False,
    axis=-1,
    weighting="quadratic",
    log_epsilon: Any = None,
    ignore_class: Any = None,
    mask: Any = None,
) -> Any:
    """One minus Cohen's weighted kappa of a batch, from the probabilities of ordered classes.

    Take it to train on the score itself, as in grading by several raters, with large batches of all
    classes: what a prediction costs is divided by what it would cost beside the labels of others.
    The mean over the batch is 0 for perfect predictions and 1 for those of chance; a batch with one
    class has nothing to learn from.

    Formula:

        e = exp(y_pred - max(y_pred, axis=axis, keepdims=True)) if from_logits else y_pred
        p = pixels(e / sum(e, axis=axis, keepdims=True), "batch", axis)[0]
        y = pixels(y_true, "batch", axis)[0]
        k = arange(size(y_pred, axis))
        cost = y @ abs(k[:, None] - k) ** (2 if weighting == "quadratic" else 1)
        values = sum(cost * p, axis=-1) / sum(mean(cost, axis=0) * mean(p, axis=0))
        values = values if log_epsilon is None else log(mean(values) + log_epsilon) + 0 * values
        loss = values.reshape(sum(y_pred, axis=axis).shape)

    where `pixels` has a row for each label of the batch.

    Args:
        y_true: Labels: one-hot rows, or distributions over the classes, in their order.
        y_pred: Probabilities, which need not sum to 1, or logits with `from_logits=True`.
        from_logits: Whether `y_pred` holds logits. Defaults to `False`.
        axis: The class axis. Defaults to `-1`.
        weighting: What a mistake costs: the `"linear"` or `"quadratic"` distance of the classes.
            Defaults to `"quadratic"`.
        log_epsilon: If given, each value is the logarithm of the mean plus this; the paper and TFA
            take it, with 1e-6. It is not bounded below by 0. Defaults to `None`.
        ignore_class: Class whose rows are left out: those with their largest entry there, and those
            without a label. Defaults to `None`.
        mask: Boolean, `True` where a label counts; shape of the loss, or without its last axes.
            Defaults to `None`.

    Shapes:
        `y_true` and `y_pred`: `(batch, ..., classes)`, the classes on `axis`. The loss: the same
        without `axis`; all values depend on all labels and predictions that count. No gradient
        flows to `y_true`.

    Raises:
        ValueError: If an option is out of range or the shapes do not fit.

    Example:

    >>> kappa = keras_actloss.losses.categorical_weighted_kappa
    >>> loss = kappa([[1, 0, 0], [0, 0, 1]], [[0.5, 0.5, 0.0], [0.0, 0.0, 1.0]])
    >>> float(loss[0] + loss[1]) / 2
    0.1428...

    Related:
        Of hard predictions, one minus `cohen_kappa_score` of scikit-learn. With `log_epsilon=1e-6`,
        TFA's `WeightedKappaLoss`, which gives one number per batch. There is no `class_weights`:
        kappa sets mistakes against how often each class occurs already.

    Reference:
        [de la Torre et al., 2018](https://doi.org/10.1016/j.patrec.2017.05.018)
    """
    y, x = (moved(v, axis, -1) for v in (y_true, y_pred))
    p = _probabilities(from_logits)(x)
    if mask is not None:
        mask = ops.broadcast_to(fit(mask, y.shape[:-1]), ops.shape(y)[:-1])
        keep = ops.expand_dims(ops.cast(mask, p.dtype), -1)
        y, p = y * keep, p * keep
    classes = ops.arange(p.shape[-1], dtype=p.dtype)
    distance = ops.abs(ops.expand_dims(classes, -1) - classes)
    cost = ops.matmul(y, ops.square(distance) if weighting == "quadratic" else distance)

    def over_batch(x):
        return ops.sum(x, axis=tuple(range(len(x.shape) - 1)))

    count = ops.maximum(ops.sum(over_batch(y)), 1)
    chance = ops.sum(over_batch(cost) / count * (over_batch(p) / count))
    # A derivative may divide by the square of it, which must not underflow.
    values = ops.sum(cost * p, axis=-1) / ops.maximum(chance, 2.0**-60)
    if log_epsilon is not None:
        values = ops.zeros_like(values) + ops.log(ops.sum(values) / count + log_epsilon)
    return values if mask is None else ops.where(mask, values, ops.zeros_like(values))


@register("losses")
class CategoricalWeightedKappa(Loss, fn=categorical_weighted_kappa):
    """Class form of `categorical_weighted_kappa`."""

    couples_samples = True

    def __init__(
        self,
        from_logits=False,
        axis=-1,
        weighting="quadratic",
        log_epsilon=None,
        ignore_class=None,
        **kwargs: Unpack[LossArguments],
    ):
        super().__init__(**kwargs)
        self.from_logits = from_logits
        self.axis = axis
        self.weighting = weighting
        self.log_epsilon = log_epsilon
        self.ignore_class = ignore_class


@loss_function("ids", **_KAPPA)
def sparse_categorical_weighted_kappa(
    y_true: Any,
    y_pred: Any,
    from_logits=False,
    ignore_class: Any = None,
    axis=-1,
    weighting="quadratic",
    log_epsilon: Any = None,
    mask: Any = None,
) -> Any:
    """One minus Cohen's weighted kappa of a batch of class ids, from probabilities of the classes.

    Take it to train on the score itself, with large batches of all classes; see
    `categorical_weighted_kappa`.

    Formula:

        e = exp(y_pred - max(y_pred, axis=axis, keepdims=True)) if from_logits else y_pred
        p = pixels(e / sum(e, axis=axis, keepdims=True), "batch", axis)[0]
        k = arange(size(y_pred, axis))
        cost = abs(y_true.reshape(-1, 1) - k) ** (2 if weighting == "quadratic" else 1)
        values = sum(cost * p, axis=-1) / sum(mean(cost, axis=0) * mean(p, axis=0))
        values = values if log_epsilon is None else log(mean(values) + log_epsilon) + 0 * values
        loss = values.reshape(y_true.shape)

    where `pixels` has a row for each label of the batch.

    Args:
        y_true: Class ids, integers from 0 in the order of the classes.
        y_pred: Probabilities, which need not sum to 1, or logits with `from_logits=True`.
        from_logits: Whether `y_pred` holds logits. Defaults to `False`.
        ignore_class: Id, often -1 or 255, whose entries are left out. Defaults to `None`.
        axis: The class axis. Defaults to `-1`.
        weighting: What a mistake costs: the `"linear"` or `"quadratic"` distance of the classes.
            Defaults to `"quadratic"`.
        log_epsilon: If given, each value is the logarithm of the mean plus this; the paper and TFA
            take it, with 1e-6. It is not bounded below by 0. Defaults to `None`.
        mask: Boolean, `True` where a label counts; shape of `y_true`, or without its last axes.
            Defaults to `None`.

    Shapes:
        `y_pred`: `(batch, ..., classes)`, the classes on `axis`. `y_true` and the loss: the same
        without `axis`; all values depend on all labels and predictions that count.

    Raises:
        TypeError: If `y_true` is not of an integer dtype.
        ValueError: If an option or an id is out of range, or the shapes do not fit.

    Example:

    >>> kappa = keras_actloss.losses.sparse_categorical_weighted_kappa
    >>> loss = kappa([0, 2], [[0.5, 0.5, 0.0], [0.0, 0.0, 1.0]])
    >>> float(loss[0] + loss[1]) / 2
    0.1428...

    Related:
        `categorical_weighted_kappa` of the one-hot labels.

    Reference:
        [de la Torre et al., 2018](https://doi.org/10.1016/j.patrec.2017.05.018)
    """
    return categorical_weighted_kappa.maths(
        one_hot(y_true, y_pred, axis),
        y_pred,
        from_logits=from_logits,
        axis=axis,
        weighting=weighting,
        log_epsilon=log_epsilon,
        mask=mask,
    )


@register("losses")
class SparseCategoricalWeightedKappa(Loss, fn=sparse_categorical_weighted_kappa):
    """Class form of `sparse_categorical_weighted_kappa`."""

    couples_samples = True

    def __init__(
        self,
        from_logits=False,
        ignore_class=None,
        axis=-1,
        weighting="quadratic",
        log_epsilon=None,
        **kwargs: Unpack[LossArguments],
    ):
        super().__init__(**kwargs)
        self.from_logits = from_logits
        self.ignore_class = ignore_class
        self.axis = axis
        self.weighting = weighting
        self.log_epsilon = log_epsilon


def median_class(probabilities: Any, axis=-1) -> Any:
    """The class to predict from the probabilities of ordered classes: their median.

    No other has a smaller expected distance from the true one. It is the number of thresholds that
    the class lies above with a probability of more than 1/2, as CORAL and CORN decode.

    Args:
        probabilities: Of each class, from `ordinal_softmax`, `conditional_softmax` or `softmax`.
        axis: The class axis. Defaults to `-1`.

    Shapes:
        `probabilities`: `(..., classes)`, the classes on `axis`. The result: the same without
        `axis`.

    Returns:
        Class ids, integers from 0.

    Raises:
        ValueError: If `axis` does not exist in `probabilities`.

    Example:

    >>> p = keras_actloss.activations.ordinal_softmax([[2.0, 0.5, -1.0]])
    >>> int(keras_actloss.losses.median_class(p)[0])
    2

    Reference:
        [Cao et al., 2020](https://arxiv.org/abs/1901.07884),
        [Shi et al., 2021](https://arxiv.org/abs/2111.08851)
    """
    p = float_tensor(probabilities)
    check_axis(axis, p.shape, "median_class", "probabilities")
    _, above = _sides(moved(p, axis, -1))
    return ops.sum(ops.cast(above > 0.5, "int32"), axis=-1)
