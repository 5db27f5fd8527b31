"""Counts of the pixels of each class, which the losses of overlapping regions are ratios of."""

import functools
import math
import numbers
from typing import Any

import numpy as np
from keras import ops

from keras_actloss.core.categorical import along, is_label
from keras_actloss.core.checks import (
    all_numbers,
    class_id_or_none,
    class_weights_or_none,
    flag,
    integer_axis,
    one_of,
)
from keras_actloss.core.functions import Function, loss_function
from keras_actloss.core.keras_fixes import add, amax, moved, over_axes
from keras_actloss.core.kernels import between, fused, spent
from keras_actloss.core.numerics import exp_near, over, sigmoid_sides, with_gradient
from keras_actloss.core.tensors import fit

# What y_true holds, as `tensors.prepare` knows it.
_LABELS = {"onehot": "onehot", "ids": "ids", "multilabel": "binary"}


def labels_by_encoding(settings):
    return _LABELS[settings["encoding"]]


def smooth_or_pair(name, value):
    """A number of at least 0, or two: for the numerator and for the denominator."""
    pair = [value, value] if isinstance(value, numbers.Real) else value
    fine = isinstance(pair, (list, tuple, np.ndarray)) and len(pair) == 2
    fine = fine and all_numbers(pair, lambda v: 0 <= v < math.inf)
    if not fine or isinstance(value, bool):
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


def _weight_of_each(y_pred, background, class_weights, axis):
    """What the settings let each class weigh, a list, or None for 1."""
    if background:
        return class_weights
    classes = y_pred.shape[axis]
    if classes == 1:
        raise ValueError(
            f"background=False leaves out class 0, the only one in y_pred of shape "
            f"{tuple(y_pred.shape)}; set background=True"
        )
    return [0.0, *([1.0] * (classes - 1) if class_weights is None else class_weights[1:])]


def region_loss(labels: Any = labels_by_encoding, **checks):
    """`loss_function` of a mean over classes, of which those that weigh nothing may be NaN.

    But where a softmax mixes them: of one logit that is NaN, all its probabilities are.
    """

    def decorate(body: Function) -> Function:
        @functools.wraps(body)
        def of_weighed(y_true, y_pred, **settings):
            encoding, axis = settings["encoding"], settings["axis"]
            options = settings["background"], settings["class_weights"]
            weights = _weight_of_each(y_pred, *options, axis)
            mixed = settings["from_logits"] and encoding != "multilabel"
            # Settings are no tensors: where all classes weigh, nothing is added to a graph.
            if weights is not None and 0 in weights and not mixed:
                seen = along(weights, y_pred, axis) != 0
                y_pred = ops.where(seen, y_pred, 0.5)
                if encoding != "ids":
                    y_true = ops.where(seen, y_true, ops.zeros_like(y_true))
            return body(y_true, y_pred, **settings)

        function: Any = loss_function(labels, weighs_entries=True, **checks)(of_weighed)
        return function

    return decorate


def _softmax(x, axis):
    _, e = exp_near(amax(x, axis=axis, keepdims=True), x)
    return e / ops.sum(e, axis=axis, keepdims=True)


def _of_logits(slope, p, axis):
    """The gradient of the logits of a softmax, where `slope` is that of its result `p`."""
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

    if encoding == "multilabel":

        def of_sigmoid(upstream, sides, x):
            return upstream * (sides[0] * sides[1])

        return with_gradient(lambda sides, x: sides[0] + 0, of_sigmoid, sigmoid_sides)(y_pred)

    def of_softmax(upstream, p, x):
        return _of_logits(upstream, p, axis)

    return with_gradient(lambda p, x: p + 0, of_softmax, lambda x: _softmax(x, axis))(y_pred)


def weights_of(mask, y_pred, encoding, axis):
    """What each entry weighs, 0 where a mask leaves it out; classes that compete weigh alike."""
    shape = list(y_pred.shape)
    if encoding != "multilabel":
        shape[axis] = 1
    return ops.cast(fit(mask, shape, axis=axis), y_pred.dtype)


def labels_of(y_true, y_pred, encoding, axis, mask=None):
    """Labels as numbers from 0 of the shape of `y_pred`, weighed, and the weights, or None."""
    if encoding == "ids":
        y_true = is_label(y_true, y_pred, axis)
    y = ops.cast(y_true, y_pred.dtype)
    if mask is None:
        return y, None
    weight = weights_of(mask, y_pred, encoding, axis)
    return y * weight, weight


def _classes_first(x, axis):
    """Whether classes come before pixels, if there are any."""
    rank = len(x.shape)
    return axis % rank == 1 and rank > 2


def _flat(x, axis):
    """`(batch, pixels, classes)`, or `(batch, classes, pixels)` where classes come first."""
    first = _classes_first(x, axis)
    x = moved(x, axis, 1 if first else -1)
    others = x.shape[2:] if first else x.shape[1:-1]
    pixels = -1 if None in others else math.prod(others)
    shape = (x.shape[1], pixels) if first else (pixels, x.shape[-1])
    return ops.reshape(x, (ops.shape(x)[0], *shape))


def _products(a, b, axis):
    """Sums over the pixels of each class of `a` times each of `b`, `(batch, classes, classes)`.

    A product of matrices needs no memory for the products of single pixels, which costs more time
    than all the rest.
    """
    first, a, b = _classes_first(a, axis), _flat(a, axis), _flat(b, axis)
    a, b = (a, ops.transpose(b, (0, 2, 1))) if first else (ops.transpose(a, (0, 2, 1)), b)
    return ops.matmul(a, b)


def _in_place(flat, x, axis):
    """`x` again, of which `_flat` had made `flat`, but for the number of classes."""
    at = 1 if _classes_first(x, axis) else -1
    shape = list(ops.shape(moved(x, axis, at)))
    shape[at] = flat.shape[at]
    return moved(ops.reshape(flat, shape), at, axis)


def _spread(matrix, y, axis):
    """The gradient of `a` in `_products(a, y, axis)`, where `matrix` is that of the result."""
    first, flat = _classes_first(y, axis), _flat(y, axis)
    of_flat = (
        ops.matmul(matrix, flat) if first else ops.matmul(flat, ops.transpose(matrix, (0, 2, 1)))
    )
    return _in_place(of_flat, y, axis)


def _pixel_axes(x, axis):
    return tuple(i for i in range(1, len(x.shape)) if i != axis % len(x.shape))


def sum_pixels(x, axis):
    """Sums over all axes but those of samples and classes, `(batch, classes)`."""
    axes = _pixel_axes(x, axis)
    return ops.sum(x, axis=axes) if axes else x


def _split(pixels, most):
    """`(parts, size)` of the most parts of one size, a power of two up to `most`."""
    if not isinstance(pixels, int) or pixels == 0:
        return 1, -1 if pixels is None else pixels
    parts = math.gcd(pixels, most)
    return parts, pixels // parts


def _blocks(x, axis):
    """Eight parts of the pixels of `_flat`, or fewer where they are no multiple of eight."""
    first, flat = _classes_first(x, axis), _flat(x, axis)
    batch, rows, columns = ops.shape(flat)
    parts, size = _split(flat.shape[2 if first else 1], 8)
    shape = (batch, rows, parts, size) if first else (batch, parts, size, columns)
    return ops.unstack(ops.reshape(flat, shape), parts, axis=2 if first else 1)


def _slope(of_no, of_y, y, axis, end_leads):
    """`between` of one number per class, weighed with the labels."""
    first, flat = _classes_first(y, axis), _flat(y, axis)
    batch, rows, columns = ops.shape(flat)
    # A row of numbers as wide as several pixels, for few classes would end a loop too soon.
    wide, size = _split(flat.shape[2 if first else 1], 64)
    shape = (batch, rows, size, wide) if first else (batch, size, wide * columns)

    def row(x):
        x = ops.reshape(x, (batch, rows, 1, 1) if first else (batch, 1, columns))
        return ops.tile(x, (1, 1, 1, wide) if first else (1, 1, wide))

    slope = between(row(of_no), row(of_y), ops.reshape(flat, shape), end_leads)
    return _in_place(ops.reshape(slope, ops.shape(flat)), y, axis)


def _rest(y, weight, axis):
    """What the labels of a pixel leave of its weight, with the class axis kept."""
    return (1 if weight is None else weight) - ops.sum(y, axis=axis, keepdims=True)


def _confusion(x, y, rest, axis):
    """Sums of the softmax of `x` times labels, `(batch, classes, classes)`, and times `rest`."""
    tensors = (x, y) if rest is None else (x, y, rest)

    def value(p, x, y, *rest):
        parts = [_products(p, other, axis) for other in (y, *rest)]
        return ops.concatenate(parts, axis=-1)

    def gradient(upstream, p, x, y, *rest):
        classes = x.shape[axis]
        slope = _spread(upstream[..., :classes], y, axis)
        if rest:
            slope = slope + _spread(upstream[..., classes:], rest[0], axis)
        return _of_logits(slope, p, axis), None, *(None for _ in rest)

    return with_gradient(value, gradient, lambda x, *_: _softmax(x, axis))(*tensors)


def _combined(parts, sums):
    """A sum for each row of `sums`, of what is found, wrongly there, missed and rightly not there.

    The last may lack where no row asks for it.
    """
    terms = (
        [x if c == 1 else c * x for c, x in zip(row, parts, strict=False) if c] for row in sums
    )
    return [functools.reduce(add, row) for row in terms]


def _count_exclusive(x, y, rest, axis, sums):
    """`count` of a softmax: what a class lacks is what the others of its pixels have."""
    matrix = _confusion(x, y, rest, axis)
    classes = x.shape[axis]
    equal = ops.eye(classes, dtype=x.dtype)
    unequal = 1 - equal
    labeled, beyond = matrix[..., :classes], matrix[..., classes:]
    found = ops.sum(equal * labeled, axis=-1)
    extra = ops.sum(ops.concatenate([unequal * labeled, beyond], axis=-1), axis=-1)
    missed = ops.sum(unequal * labeled, axis=-2)
    parts = [found, extra, missed]
    if any(row[3] for row in sums):
        others = ops.matmul(unequal, matrix)
        others = ops.concatenate([unequal * others[..., :classes], others[..., classes:]], axis=-1)
        # What is neither, as a sum; its slope is that of what is left of all pixels, in which the
        # slopes of the other classes do not cancel.
        left = with_gradient(
            lambda empty, rest: empty + 0, lambda upstream, *_: (None, -upstream), opaque=True
        )
        parts.append(left(ops.stop_gradient(ops.sum(others, axis=-1)), found + extra + missed))
    return ops.stack(_combined(parts, sums))


def _count_each(x, y, weight, axis, from_logits, sums):
    """`count` of probabilities, or of the sigmoid of logits."""
    if x.shape[axis] == 1 and len(x.shape) > 2:
        # The pixels of one class are one long row.
        x, y, weight = (None if t is None else moved(t, axis, 1) for t in (x, y, weight))
        axis = 1
    weights = ()
    if weight is not None:
        shape = list(ops.shape(x))
        shape[axis] = weight.shape[axis]
        weights = (ops.broadcast_to(weight, shape),)
    first = _classes_first(x, axis)

    def shared(x, *_):
        return sigmoid_sides(x) if from_logits else (x,)

    def parts_of(sides, y, *weights):
        # Differences of what is exact where a label is 0 or 1.
        p, both = sides[0], y * sides[0]
        parts = [both, p - both, y * sides[1] if from_logits else y - both]
        if any(row[3] for row in sums):
            parts.append((1 - y) * sides[1] if from_logits else (1 - y) - parts[1])
        return [spent("multiply", x, *weights) for x in parts] if weights else parts

    def value(sides, x, y, *weights):
        # Block by block what is added up stays in the cache. XLA, which hands a sum to a kernel
        # that takes many times as long where it is one of several terms, adds a stack up itself.
        reduced = first and not fused()
        total = None
        for block in zip(*(_blocks(x, axis) for x in (*sides, y, *weights)), strict=True):
            parts = parts_of(block[: len(sides)], *block[len(sides) :])
            parts = [ops.sum(x, axis=-1) for x in parts] if reduced else _combined(parts, sums)
            if total is not None:
                parts = [spent("add", *two) for two in zip(total, parts, strict=True)]
            total = parts
        if reduced:
            return ops.stack(_combined(total, sums))
        return ops.sum(ops.stack(total), axis=3 if first else 2)

    def gradient(upstream, sides, x, y, *weights):
        of_sums = ops.unstack(upstream, len(sums))
        of_no = sum((row[1] - row[3]) * part for row, part in zip(sums, of_sums, strict=True))
        of_y = sum((row[0] - row[2]) * part for row, part in zip(sums, of_sums, strict=True))
        # What is found makes a loss less and what is wrong makes it more: of a pixel with a label
        # both add up, and lead if it costs as much to miss it as to see one where there is none.
        leads = all(missed >= extra for _, extra, missed, _ in sums)
        slope = _slope(of_no, of_y, y, axis, leads)
        for factor in (*weights, *(sides if from_logits else ())):
            slope = spent("multiply", slope, factor)
        return slope, None, *(None for _ in weights)

    return with_gradient(value, gradient, shared)(x, y, *weights)


# What `count` sums, as coefficients of what is found, wrongly there, missed, and rightly not there.
EACH = ((1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1))
LABELED = (1, 0, 1, 0)


def priced(alpha, beta, absent):
    """What to `count`: found, wrong at these prices and, to skip absent classes, labeled."""
    sums = (1, 0, 0, 0), (0, alpha, beta, 0)
    return (*sums, LABELED) if absent == "skip" else sums


def count(y_true, y_pred, from_logits, encoding, per, axis, mask, sums):
    """How much of each class is found, wrongly there and missed: weighed sums of probabilities.

    None of the sums is a difference of two others, so that a loss that is nearly 0 still has its
    digits.

    Args:
        sums: A row of coefficients for each sum, as `EACH` and `priced`.

    Returns:
        A tensor of shape `(sums, images, classes)`; a batch is one image.
    """
    check_classes(y_pred, from_logits, encoding, axis)
    if from_logits and encoding != "multilabel":
        y, weight = labels_of(y_true, y_pred, encoding, axis, mask)
        rest = None if encoding == "ids" else _rest(y, weight, axis)
        counts = _count_exclusive(y_pred, y, rest, axis, sums)
    else:
        y, _ = labels_of(y_true, y_pred, encoding, axis)
        weight = None if mask is None else weights_of(mask, y_pred, encoding, axis)
        counts = _count_each(y_pred, y, weight, axis, from_logits, sums)
    return counts if per == "image" else ops.sum(counts, axis=1, keepdims=True)


def pair(smooth):
    """What is added to numerator and denominator."""
    return (smooth, smooth) if isinstance(smooth, numbers.Real) else (smooth[0], smooth[1])


def miss(counts, hits, smooth):
    """One less `(hits * found + s) / (hits * found + wrong + s)`.

    Written as what is wrong over the whole, which does not cancel; nothing of nothing is 0.
    """
    above, below = pair(smooth)

    def parts(found, wrong):
        right = hits * found + above
        if below != above:
            wrong = wrong + (below - above)
        return wrong, right, wrong + right

    def value(found, wrong):
        wrong, _, whole = parts(found, wrong)
        return over(wrong, whole)

    def gradient(upstream, found, wrong):
        wrong, right, whole = parts(found, wrong)
        scale = over(upstream, whole)
        return -hits * scale * over(wrong, whole), scale * over(right, whole)

    return with_gradient(value, gradient)(counts[0], counts[1])


def weights_of_classes(size, y_pred, absent, background, class_weights, axis):
    """What each class of each image weighs, of the shape of its `size`, `(images, classes)`.

    But for `absent="skip"`, any tensor of that shape will do.
    """
    # Not above 0: a size that is NaN makes the loss NaN.
    weight = ops.cast(size != 0, size.dtype) if absent == "skip" else ops.ones_like(size)
    of_each = _weight_of_each(y_pred, background, class_weights, axis)
    if of_each is None:
        return weight
    return weight * ops.reshape(along(of_each, y_pred, axis), (1, -1))


def mean_of_classes(values, weight):
    return over(ops.sum(weight * values, axis=-1), ops.sum(weight, axis=-1))


def for_samples(values, y_pred, mask):
    """One value per sample: of an image its own, of a batch the same for all that have a pixel."""
    values = ops.broadcast_to(values, ops.shape(y_pred)[:1])
    if mask is None:
        return values
    kept = over_axes(ops.any, ops.cast(mask, "bool"), range(1, len(mask.shape)))
    return ops.where(kept, values, ops.zeros_like(values))
