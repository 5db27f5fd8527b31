"""Cross-entropies for classes that are not equally frequent."""

import math
from typing import Any, Unpack

import numpy as np
from keras import ops

from keras_actloss.core.categorical import along, of_categorical, of_sparse, one_hot
from keras_actloss.core.checks import class_counts, finite, finite_non_negative, finite_positive
from keras_actloss.core.curves import OPTIONS
from keras_actloss.core.functions import loss_function
from keras_actloss.core.keras_fixes import amax
from keras_actloss.core.loss import Loss, LossArguments
from keras_actloss.core.numerics import difference, product
from keras_actloss.core.registry import register
from keras_actloss.core.settings import as_list

_ADJUSTED = {**OPTIONS, "class_prior": class_counts, "tau": finite}
_MARGIN = {
    **OPTIONS,
    "class_counts": class_counts,
    "max_margin": finite_non_negative,
    "scale": finite_positive,
}


def _rounded(values):
    """Numbers as the nearest ones of float32, and what these leave."""
    rounded = [float(np.float32(value)) for value in values]
    return rounded, [value - near for value, near in zip(values, rounded, strict=True)]


def _shown(low):
    """What rounding took, where exponentials show it: a number that loses 1 is far from all."""
    return ops.stop_gradient(ops.where(ops.abs(low) < 1, low, 0.0))


def _minus(x, values, where, axis, what):
    """`x` minus one number per class, and what rounding took from it, which exponentials show."""
    rounded, rest = (along(part, x, axis, what) for part in _rounded(values))
    # A sum with a constant is reordered by XLA, and then nothing seems to have been rounded.
    result, dropped = difference(x, ops.where(where, rounded, 0.0))
    return result, _shown(dropped - ops.where(where, rest, 0.0))


def _adjusted(x, class_prior, tau, from_logits, axis):
    """Predictions of a model that has the frequencies of the classes beside it, and their `low`."""
    most = max(class_prior)
    logarithms = [tau * math.log(frequency / most) for frequency in class_prior]
    if from_logits:
        return _minus(x, [-logarithm for logarithm in logarithms], x == x, axis, "class_prior")
    weights = [math.exp(logarithm) for logarithm in logarithms]
    return x * along(weights, x, axis, "class_prior"), None


@loss_function("onehot", **_ADJUSTED)
def categorical_logit_adjusted_crossentropy(
    y_true: Any,
    y_pred: Any,
    class_prior: Any,
    tau=1.0,
    from_logits=False,
    label_smoothing=0.0,
    axis=-1,
    class_weights: Any = None,
    ignore_class: Any = None,
) -> Any:
    """Cross-entropy of predictions to which the frequencies of the classes are added in training.

    Take it for long-tailed classes where rare ones count as much as frequent ones: the model learns
    what is left, which is right for equal frequencies. Predict with the model's output as it is.

    Formula:

        prior = along(class_prior, axis) ** tau
        p = exp(y_pred - max(y_pred, axis=axis, keepdims=True)) if from_logits else y_pred
        p = prior * p / sum(prior * p, axis=axis, keepdims=True)
        y = y_true * (1 - label_smoothing) + label_smoothing / size(y_pred, axis)
        w = 1 if class_weights is None else along(class_weights, axis)
        loss = -sum(w * xlogy(y, p), axis=axis)

    Args:
        y_true: Labels: one-hot rows, or distributions over the classes.
        y_pred: Probabilities, which need not sum to 1, or logits with `from_logits=True`.
        class_prior: Frequencies of the classes in training, or their counts; each above 0.
        tau: How much of the frequencies is taken out of the predictions. Defaults to `1.0`.
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

    >>> adjusted = keras_actloss.losses.categorical_logit_adjusted_crossentropy
    >>> float(adjusted([[0, 1]], [[0.5, 0.5]], class_prior=[3, 1])[0])
    1.3862...

    Related:
        `tau=0` is `categorical_crossentropy`; `tau=1` of logits is the balanced softmax of Ren et
        al.

    Reference:
        [Menon et al., 2021](https://arxiv.org/abs/2007.07314)
    """
    y_pred, low = _adjusted(y_pred, as_list(class_prior), tau, from_logits, axis)
    return of_categorical(
        y_true, y_pred, from_logits, label_smoothing, axis, class_weights, low=low
    )


@register("losses")
class CategoricalLogitAdjustedCrossentropy(Loss, fn=categorical_logit_adjusted_crossentropy):
    """Class form of `categorical_logit_adjusted_crossentropy`."""

    def __init__(
        self,
        class_prior,
        tau=1.0,
        from_logits=False,
        label_smoothing=0.0,
        axis=-1,
        class_weights=None,
        ignore_class=None,
        **kwargs: Unpack[LossArguments],
    ):
        super().__init__(**kwargs)
        self.class_prior = as_list(class_prior)
        self.tau = tau
        self.from_logits = from_logits
        self.label_smoothing = label_smoothing
        self.axis = axis
        self.class_weights = as_list(class_weights)
        self.ignore_class = ignore_class

    @property
    def width(self):
        return len(self.class_prior)


@loss_function("ids", **_ADJUSTED)
def sparse_categorical_logit_adjusted_crossentropy(
    y_true: Any,
    y_pred: Any,
    class_prior: Any,
    tau=1.0,
    from_logits=False,
    ignore_class: Any = None,
    axis=-1,
    label_smoothing=0.0,
    class_weights: Any = None,
) -> Any:
    """Cross-entropy of ids, with the frequencies of the classes added to the predictions.

    Take it for long-tailed classes where rare ones count as much as frequent ones; see
    `categorical_logit_adjusted_crossentropy`.

    Formula:

        prior = along(class_prior, axis) ** tau
        p = exp(y_pred - max(y_pred, axis=axis, keepdims=True)) if from_logits else y_pred
        p = prior * p / sum(prior * p, axis=axis, keepdims=True)
        y = one_hot(y_true, size(y_pred, axis), axis) * (1 - label_smoothing)
        y = y + label_smoothing / size(y_pred, axis)
        w = 1 if class_weights is None else along(class_weights, axis)
        loss = -sum(w * xlogy(y, p), axis=axis)

    Args:
        y_true: Class ids, integers from 0.
        y_pred: Probabilities, which need not sum to 1, or logits with `from_logits=True`.
        class_prior: Frequencies of the classes in training, or their counts; each above 0.
        tau: How much of the frequencies is taken out of the predictions. Defaults to `1.0`.
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

    >>> adjusted = keras_actloss.losses.sparse_categorical_logit_adjusted_crossentropy
    >>> float(adjusted([1], [[0.5, 0.5]], class_prior=[3, 1])[0])
    1.3862...

    Related:
        `categorical_logit_adjusted_crossentropy` of the one-hot labels.

    Reference:
        [Menon et al., 2021](https://arxiv.org/abs/2007.07314)
    """
    y_pred, low = _adjusted(y_pred, as_list(class_prior), tau, from_logits, axis)
    return of_sparse(y_true, y_pred, from_logits, label_smoothing, axis, class_weights, low=low)


@register("losses")
class SparseCategoricalLogitAdjustedCrossentropy(
    Loss, fn=sparse_categorical_logit_adjusted_crossentropy
):
    """Class form of `sparse_categorical_logit_adjusted_crossentropy`."""

    def __init__(
        self,
        class_prior,
        tau=1.0,
        from_logits=False,
        ignore_class=None,
        axis=-1,
        label_smoothing=0.0,
        class_weights=None,
        **kwargs: Unpack[LossArguments],
    ):
        super().__init__(**kwargs)
        self.class_prior = as_list(class_prior)
        self.tau = tau
        self.from_logits = from_logits
        self.ignore_class = ignore_class
        self.axis = axis
        self.label_smoothing = label_smoothing
        self.class_weights = as_list(class_weights)

    @property
    def width(self):
        return len(self.class_prior)


def _behind(x, label, counts, max_margin, scale, axis):
    """Scaled scores, those of labels behind by their margins, and what rounding took from them."""
    least = min(counts)
    margins = [max_margin * (least / count) ** 0.25 for count in counts]
    shifted, low = _minus(x, margins, label, axis, "class_counts")
    (rounded,), (rest,) = _rounded([scale])
    logits, dropped = product(shifted, ops.full_like(shifted, rounded))
    return logits, _shown(dropped + scale * low + rest * shifted)


@loss_function("onehot", **_MARGIN)
def categorical_label_distribution_aware_margin(
    y_true: Any,
    y_pred: Any,
    class_counts: Any,
    max_margin=0.5,
    scale=30.0,
    label_smoothing=0.0,
    axis=-1,
    class_weights: Any = None,
    ignore_class: Any = None,
) -> Any:
    """Cross-entropy of labels whose score must lead by a margin, wider for rare classes.

    Take it for labels that are one-hot; see `label_distribution_aware_margin`. The margin is that
    of a row's largest entry.

    Formula:

        margin = max_margin * (min(class_counts) / along(class_counts, axis)) ** (1 / 4)
        label = where(y_true == max(y_true, axis=axis, keepdims=True), 1, 0)
        logits = scale * (y_pred - margin * label)
        e = exp(logits - max(logits, axis=axis, keepdims=True))
        y = y_true * (1 - label_smoothing) + label_smoothing / size(y_pred, axis)
        w = 1 if class_weights is None else along(class_weights, axis)
        loss = -sum(w * xlogy(y, e / sum(e, axis=axis, keepdims=True)), axis=axis)

    Args:
        y_true: Labels: one-hot rows, or distributions over the classes.
        y_pred: Scores, such as cosines, from -1 to 1.
        class_counts: Number of samples of each class in training, above 0.
        max_margin: Margin of the rarest class, at least 0. Defaults to `0.5`.
        scale: What the scores are multiplied with, above 0. Defaults to `30.0`.
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
        ValueError: If an option is out of range, or the shapes do not fit.

    Example:

    >>> ldam = keras_actloss.losses.categorical_label_distribution_aware_margin
    >>> float(ldam([[0, 1]], [[0.0, 0.5]], class_counts=[16, 1])[0])
    0.6931...

    Related:
        `max_margin=0` is `categorical_crossentropy` of `scale * y_pred`.

    Reference:
        [Cao et al., 2019](https://arxiv.org/abs/1906.07413)
    """
    label = y_true == amax(y_true, axis=axis, keepdims=True)
    logits, low = _behind(y_pred, label, as_list(class_counts), max_margin, scale, axis)
    return of_categorical(y_true, logits, True, label_smoothing, axis, class_weights, low=low)


@register("losses")
class CategoricalLabelDistributionAwareMargin(Loss, fn=categorical_label_distribution_aware_margin):
    """Class form of `categorical_label_distribution_aware_margin`."""

    from_logits = True

    def __init__(
        self,
        class_counts,
        max_margin=0.5,
        scale=30.0,
        label_smoothing=0.0,
        axis=-1,
        class_weights=None,
        ignore_class=None,
        **kwargs: Unpack[LossArguments],
    ):
        super().__init__(**kwargs)
        self.class_counts = as_list(class_counts)
        self.max_margin = max_margin
        self.scale = scale
        self.label_smoothing = label_smoothing
        self.axis = axis
        self.class_weights = as_list(class_weights)
        self.ignore_class = ignore_class

    @property
    def width(self):
        return len(self.class_counts)


@loss_function("ids", **_MARGIN)
def label_distribution_aware_margin(
    y_true: Any,
    y_pred: Any,
    class_counts: Any,
    max_margin=0.5,
    scale=30.0,
    ignore_class: Any = None,
    axis=-1,
    label_smoothing=0.0,
    class_weights: Any = None,
) -> Any:
    """Cross-entropy of class ids whose own score must lead by a margin, wider for rare classes.

    Take it for long-tailed classes with normalized scores, cosines between features and the weights
    of the classes. The paper gives rare classes `class_weights` late in training.

    Formula:

        margin = max_margin * (min(class_counts) / along(class_counts, axis)) ** (1 / 4)
        label = one_hot(y_true, size(y_pred, axis), axis)
        logits = scale * (y_pred - margin * label)
        e = exp(logits - max(logits, axis=axis, keepdims=True))
        y = label * (1 - label_smoothing) + label_smoothing / size(y_pred, axis)
        w = 1 if class_weights is None else along(class_weights, axis)
        loss = -sum(w * xlogy(y, e / sum(e, axis=axis, keepdims=True)), axis=axis)

    Args:
        y_true: Class ids, integers from 0.
        y_pred: Scores, such as cosines, from -1 to 1.
        class_counts: Number of samples of each class in training, above 0.
        max_margin: Margin of the rarest class, at least 0. Defaults to `0.5`.
        scale: What the scores are multiplied with, above 0. Defaults to `30.0`.
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

    >>> ldam = keras_actloss.losses.label_distribution_aware_margin
    >>> float(ldam([1], [[0.0, 0.5]], class_counts=[16, 1])[0])
    0.6931...

    Related:
        `max_margin=0` is `sparse_categorical_crossentropy` of `scale * y_pred`;
        `categorical_label_distribution_aware_margin` of the one-hot labels.

    Reference:
        [Cao et al., 2019](https://arxiv.org/abs/1906.07413)
    """
    label = one_hot(y_true, y_pred, axis) == 1
    logits, low = _behind(y_pred, label, as_list(class_counts), max_margin, scale, axis)
    return of_sparse(y_true, logits, True, label_smoothing, axis, class_weights, low=low)


@register("losses")
class LabelDistributionAwareMargin(Loss, fn=label_distribution_aware_margin):
    """Class form of `label_distribution_aware_margin`."""

    from_logits = True

    def __init__(
        self,
        class_counts,
        max_margin=0.5,
        scale=30.0,
        ignore_class=None,
        axis=-1,
        label_smoothing=0.0,
        class_weights=None,
        **kwargs: Unpack[LossArguments],
    ):
        super().__init__(**kwargs)
        self.class_counts = as_list(class_counts)
        self.max_margin = max_margin
        self.scale = scale
        self.ignore_class = ignore_class
        self.axis = axis
        self.label_smoothing = label_smoothing
        self.class_weights = as_list(class_weights)

    @property
    def width(self):
        return len(self.class_counts)
