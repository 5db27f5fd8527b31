"""Weights and priors of classes from how often each occurs, to hand to a loss."""

from typing import Any

import numpy as np

from keras_actloss.core.checks import positive_integer_or_none, within

_BETA = within(0, 1, "[)", "; up to a factor, the limit of 1 is balanced_weights")


def class_counts(
    y: Any, num_classes: int | None = None, ignore_class: int | None = None
) -> list[int]:
    """How often each class occurs in labels of any shape.

    Args:
        y: Class ids, integers from 0; for a binary loss, 0 and 1 for each output.
        num_classes: How many classes there are. Defaults to `None`, one more than the largest id.
        ignore_class: Id, often -1 or 255, that is not counted. Defaults to `None`.

    Returns:
        A list of one integer per class.

    Raises:
        TypeError: If `y` is not of an integer dtype.
        ValueError: If an id is out of range.

    Example:

    >>> keras_actloss.losses.class_counts([0, 0, 0, 1, 2, -1], ignore_class=-1)
    [3, 1, 1]
    """
    positive_integer_or_none("class_counts: num_classes", num_classes)
    ids = np.asarray(y).reshape(-1)
    if ids.dtype.kind not in "iub":
        raise TypeError(
            f"class_counts: y holds class ids and must have an integer dtype, got {ids.dtype}; "
            "take y.argmax(axis=-1) of one-hot labels, and make ids of names with "
            "keras.layers.StringLookup"
        )
    ids = ids.astype("int64")
    if ignore_class is not None:
        ids = ids[ids != ignore_class]
    size = num_classes or int(ids.max(initial=-1)) + 1
    wrong = ids[(ids < 0) | (ids >= size)]
    if wrong.size:
        raise ValueError(
            f"class_counts: y has the class id {int(wrong[0])}, but ids run from 0 to {size - 1}; "
            "correct num_classes or name the id to leave out with ignore_class"
        )
    return np.bincount(ids, minlength=size).tolist()


def _counts(counts, name):
    given, counts = counts, np.asarray(counts)
    fine = counts.dtype.kind in "iuf" and counts.ndim == 1 and counts.size
    if not fine or not np.all(np.isfinite(counts) & (counts > 0)):
        raise ValueError(
            f"{name}: counts must be one number above 0 a class, got {given!r}; "
            "class_counts makes them of labels, and a class that does not occur has no weight of "
            "its own: leave it out, or count it as one"
        )
    return counts.astype("float64")


def balanced_weights(counts: Any) -> list[float]:
    """Weights inverse to the size of the classes: each class weighs the same in total.

    As scikit-learn's `class_weight="balanced"`: the mean weight of a sample is 1. Take
    `effective_number_weights` where the rarest class would weigh too much.

    Args:
        counts: How often each class occurs, for example from `class_counts`.

    Returns:
        A list of one weight per class, for `class_weights=` of a loss.

    Raises:
        ValueError: If a count is not above 0.

    Example:

    >>> counts = keras_actloss.losses.class_counts([0, 0, 0, 1])
    >>> weights = keras_actloss.losses.balanced_weights(counts)
    >>> weights
    [0.6666666666666666, 2.0]
    >>> keras_actloss.losses.SparseCategoricalCrossentropy(class_weights=weights).class_weights
    [0.6666666666666666, 2.0]
    """
    counts = _counts(counts, "balanced_weights")
    return (counts.sum() / (len(counts) * counts)).tolist()


def effective_number_weights(counts: Any, beta: float = 0.999) -> list[float]:
    """Weights inverse to the effective number of samples, `(1 - beta**n) / (1 - beta)`.

    Further samples of a large class add less and less, so that the weights of rare classes grow
    less than those of `balanced_weights`, which are, up to a factor, the limit of `beta` to 1. They
    sum to the number of classes.

    Args:
        counts: How often each class occurs, for example from `class_counts`.
        beta: From 0, all weights alike, to below 1. Defaults to `0.999`.

    Returns:
        A list of one weight per class, for `class_weights=` of a loss.

    Raises:
        ValueError: If a count is not above 0, or `beta` is out of range.

    Example:

    >>> keras_actloss.losses.effective_number_weights([1000, 100])
    [0.261..., 1.738...]

    Reference:
        [Cui et al., 2019](https://arxiv.org/abs/1901.05555)
    """
    _BETA("effective_number_weights: beta", beta)
    counts = _counts(counts, "effective_number_weights")
    # 1 - beta**n, without cancellation for a beta close to 1.
    weights = 1 / -np.expm1(counts * np.log(beta)) if beta else np.ones_like(counts)
    return (weights * len(weights) / weights.sum()).tolist()


def logit_prior(counts: Any) -> list[float]:
    """Logarithms of the shares of the classes.

    Added to the logits in training, a network learns what the classes would be if all were as
    frequent; added to its outputs later, it meets classes of another frequency.

    Args:
        counts: How often each class occurs, for example from `class_counts`.

    Returns:
        A list of one number per class.

    Raises:
        ValueError: If a count is not above 0.

    Example:

    >>> keras_actloss.losses.logit_prior([3, 1])
    [-0.287..., -1.386...]

    Reference:
        [Menon et al., 2021](https://arxiv.org/abs/2007.07314)
    """
    counts = _counts(counts, "logit_prior")
    return np.log(counts / counts.sum()).tolist()
