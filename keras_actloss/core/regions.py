"""Counts of the pixels of each class, which the losses of overlapping regions are ratios of."""

import math
import numbers

import numpy as np
from keras import ops

from keras_actloss.core.checks import (
    class_id_or_none,
    class_weights_or_none,
    flag,
    integer_axis,
    one_of,
)
from keras_actloss.core.crossentropy import along, one_hot
from keras_actloss.core.numerics import leader, sigmoid_sides, with_gradient
from keras_actloss.core.tensors import fit

# What y_true holds, as `tensors.prepare` knows it.
_LABELS = {"onehot": "onehot", "ids": "ids", "multilabel": "binary"}


def labels_by_encoding(settings):
    return _LABELS[settings["encoding"]]


def smooth_or_pair(name, value):
    """A number of at least 0, or two: for the numerator and for the denominator."""
    pair = [value, value] if isinstance(value, numbers.Real) else value
    fine = isinstance(pair, (list, tuple, np.ndarray)) and len(pair) == 2
    if not fine or isinstance(value, bool) or not all(0 <= float(v) < math.inf for v in pair):
        raise ValueError(
            f"{name} must be a finite number of at least 0, or two of them for numerator and "
            f"denominator, got {value!r}"
        )


# The checks of what all these losses take.
OPTIONS = {
    "from_logits": flag,
    "encoding": one_of(*_LABELS),
    "smooth": smooth_or_pair,
    "per": one_of("image", "batch"),
    "absent": one_of("count", "skip"),
    "background": flag,
    "class_weights": class_weights_or_none,
    "ignore_class": class_id_or_none,
    "axis": integer_axis,
}


def over(x, y):
    """`x / y`, 0 where `y` is 0."""
    return ops.where(y == 0, 0.0, x / ops.where(y == 0, 1.0, y))


def _sides(x, from_logits, encoding, axis):
    """`p` and `1 - p`, each to the last digit."""
    if not from_logits:
        return x, 1 - x
    if encoding == "multilabel":
        return sigmoid_sides(x)
    _, leads, others, rest = leader(x, axis)
    weight, total = ops.where(leads, 1.0, others), 1 + rest
    return weight / total, ops.where(leads, rest, 1 + (rest - weight)) / total


def _pull_back(slope, p, q, from_logits, encoding, axis):
    """The gradient of what `p` was computed from, where `slope` is that of `p`."""
    if not from_logits:
        return slope
    if encoding == "multilabel":
        return slope * (p * q)
    # Relative to what a leading class gets, nothing cancels where that one has nearly everything.
    leads = p > 0.5
    of_leader = ops.sum(ops.where(leads, slope, 0.0), axis=axis, keepdims=True)
    relative = ops.where(leads, 0.0, slope - of_leader)
    return p * (relative - ops.sum(p * relative, axis=axis, keepdims=True))


def check_classes(y_pred, from_logits, encoding, axis):
    if from_logits and encoding != "multilabel" and y_pred.shape[axis] == 1:
        raise ValueError(
            f"y_pred of shape {tuple(y_pred.shape)} has one channel, but encoding={encoding!r} "
            "takes the softmax of several classes; set encoding='multilabel' for logits of a mask"
        )


def probabilities(y_pred, from_logits, encoding, axis):
    """The probability of each class, whose gradient does not vanish where it saturates."""
    if not from_logits:
        return y_pred
    check_classes(y_pred, from_logits, encoding, axis)

    def shared(x):
        return _sides(x, from_logits, encoding, axis)

    def gradient(upstream, sides, x):
        return _pull_back(upstream, *sides, from_logits, encoding, axis)

    return with_gradient(lambda sides, x: sides[0], gradient, shared)(y_pred)


def labels_of(y_true, y_pred, encoding, axis, mask=None):
    """Labels as numbers from 0 to 1 of the shape of `y_pred`, and what `mask` keeps, or None."""
    y = one_hot(y_true, y_pred, axis) if encoding == "ids" else ops.cast(y_true, y_pred.dtype)
    if mask is None:
        return y, None
    keep = ops.cast(fit(mask, y.shape, axis=axis), y.dtype)
    return y * keep, keep


def sum_pixels(x, per, axis):
    """Sums over all axes but that of the classes, `(images, classes)`; a batch is one image."""
    rank = len(x.shape)
    axes = tuple(i for i in range(rank) if i != axis % rank and (i > 0 or per == "batch"))
    total = ops.sum(x, axis=axes) if axes else x
    return total if per == "image" else ops.expand_dims(total, 0)


def count(y_true, y_pred, from_logits, encoding, per, axis, mask=None, negatives=False):
    """How much of each class is found, wrongly there and missed: sums of probabilities.

    None of the sums is a difference of two others, so that a loss that is nearly 0 still has its
    digits.

    Args:
        negatives: Whether to also count what is rightly not there. Defaults to `False`.

    Returns:
        A tensor of shape `(3, images, classes)`, or `(4, images, classes)`.
    """
    check_classes(y_pred, from_logits, encoding, axis)
    y, keep = labels_of(y_true, y_pred, encoding, axis, mask)
    keep = () if keep is None else (keep,)

    def shared(x, y, *keep):
        return _sides(x, from_logits, encoding, axis)

    def value(sides, x, y, *keep):
        p, q = sides
        # Differences that are exact for labels of 0 and 1, in fewer steps than products.
        hits = p * y
        extra = (p * keep[0] if keep else p) - hits
        missed = q * y if from_logits else y - hits
        parts = [hits, extra, missed]
        if negatives:
            parts.append((q * keep[0] if keep else q) - missed)
        return ops.stack([sum_pixels(part, per, axis) for part in parts])

    def gradient(upstream, sides, x, y, *keep):
        shape = [1] * len(x.shape)
        shape[0] = -1 if per == "image" else 1
        shape[axis] = x.shape[axis]
        of_hits, of_extra, of_missed, *rest = (
            ops.reshape(part, shape) for part in ops.unstack(upstream, 3 + negatives)
        )
        no = (keep[0] if keep else 1) - y
        for_no = of_extra - rest[0] if negatives else of_extra
        slope = no * for_no - y * (of_missed - of_hits)
        return _pull_back(slope, *sides, from_logits, encoding, axis), *(None for _ in (y, *keep))

    return with_gradient(value, gradient, shared)(y_pred, y, *keep)


def pair(smooth):
    """What is added to numerator and denominator."""
    return (smooth, smooth) if isinstance(smooth, numbers.Real) else (smooth[0], smooth[1])


def miss(counts, hits, alpha, beta, smooth):
    """One less `(hits * found + s) / (hits * found + alpha * extra + beta * missed + s)`.

    Written as what is wrong over the whole, which does not cancel; nothing of nothing is 0.
    """
    above, below = pair(smooth)

    def parts(counts):
        found, extra, missed = ops.unstack(counts, 3)
        wrong, right = alpha * extra + beta * missed, hits * found + above
        if below != above:
            wrong = wrong + (below - above)
        return wrong, right, wrong + right

    def value(counts):
        wrong, _, whole = parts(counts)
        return over(wrong, whole)

    def gradient(upstream, counts):
        wrong, right, whole = parts(counts)
        scale = over(upstream, whole)
        of_wrong = scale * over(right, whole)
        return ops.stack([-hits * scale * over(wrong, whole), alpha * of_wrong, beta * of_wrong])

    return with_gradient(value, gradient)(counts)


def labeled(counts):
    """How many pixels the labels give each class."""
    return ops.stop_gradient(counts[0] + counts[2])


def weights_of_classes(size, y_pred, absent, background, class_weights, axis):
    """What each class of each image weighs, of the shape of its `size`, `(images, classes)`."""
    weight = ops.cast(size > 0, size.dtype) if absent == "skip" else ops.ones_like(size)
    if class_weights is not None:
        weight = weight * ops.reshape(along(class_weights, y_pred, axis), (1, -1))
    if background:
        return weight
    classes = y_pred.shape[axis]
    if classes == 1:
        raise ValueError(
            f"background=False leaves out class 0, the only one in y_pred of shape "
            f"{tuple(y_pred.shape)}; set background=True"
        )
    return weight * ops.cast(ops.arange(classes) > 0, weight.dtype)


def mean_of_classes(values, weight):
    return over(ops.sum(weight * values, axis=-1), ops.sum(weight, axis=-1))


def for_samples(values, y_pred, mask):
    """One value a sample: of an image its own, of a batch the same for all that have a pixel."""
    values = ops.broadcast_to(values, ops.shape(y_pred)[:1])
    if mask is None:
        return values
    axes = tuple(range(1, len(mask.shape)))
    kept = ops.any(mask, axis=axes) if axes else mask
    return ops.where(kept, values, ops.zeros_like(values))
