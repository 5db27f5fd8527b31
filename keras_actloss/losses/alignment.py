"""The loss of labels without an alignment: connectionist temporal classification."""

import math
from collections.abc import Callable
from typing import Any, Unpack

import numpy as np
from keras import ops

from keras_actloss.core.categorical import one_hot
from keras_actloss.core.checks import class_id, flag
from keras_actloss.core.functions import loss_function
from keras_actloss.core.keras_fixes import UNLIKELY, amax, ctc_of_torch, over_axes, scan
from keras_actloss.core.kernels import runs_torch
from keras_actloss.core.loss import Loss, LossArguments
from keras_actloss.core.numerics import LOG_ZERO, difference, leader, over, positive, with_gradient
from keras_actloss.core.registry import register
from keras_actloss.core.tensors import dtype_of, fit, known_values


def _length(name, length, batch, size, of):
    """What a user tells of each sample: how many of its `size` entries count."""
    length = ops.convert_to_tensor(length)
    shape, dtype, known = tuple(length.shape), dtype_of(length), known_values(length)
    if len(shape) != 1 or (None not in (shape[0], batch) and shape[0] != batch):
        raise ValueError(
            f"ctc: {name} of shape {shape} does not fit a batch of {batch}; give one integer a "
            f"sample, the number of its {of}"
        )
    if "int" not in dtype:
        got = dtype if known is None or not known.size else f"{known[0]!s} of dtype {dtype}"
        raise TypeError(
            f"ctc: {name} counts {of} and must have an integer dtype, got {got}; round it and "
            'convert it with astype("int32")'
        )
    most = math.inf if size is None else size
    if known is not None and np.any((known < 0) | (known > most)):
        wrong = known[(known < 0) | (known > most)][0]
        raise ValueError(
            f"ctc: {name} must lie between 0 and the {most} {of} of a row, got {wrong}; give how "
            f"many {of} stand before the padding"
        )
    return ops.cast(length, "int32")


def _first(length, size):
    """Where the first `length` of `size` entries are, of each sample."""
    return ops.arange(size, dtype="int32") < ops.expand_dims(length, -1)


def _labels(y_true, blank, classes, length):
    """The labels of each sample with blanks behind them, and how many there are."""
    if length is None:
        labels = ops.logical_and(y_true >= 0, y_true != blank)
        length = ops.sum(ops.cast(labels, "int32"), axis=-1)
    counts = _first(length, ops.shape(y_true)[1])
    ids, known = known_values(y_true), known_values(counts)
    if ids is not None and known is not None:
        wrong = known & ((ids < 0) | (ids == blank) | (ids >= classes))
        if wrong.any():
            raise ValueError(
                f"ctc: y_true has the id {int(ids[wrong][0])} among the labels, but labels run "
                f"from 0 to {classes - 1} without blank={blank}; negative ids and the blank pad "
                "the end of a row, and label_length tells where it is"
            )
    return ops.where(counts, y_true, blank), length


def _greater_first(a, b):
    """Two numbers in two parts, the greater of them first."""
    swapped = a[0] < b[0]
    first = [ops.where(swapped, y, x) for x, y in zip(a, b, strict=True)]
    return first, [ops.where(swapped, x, y) for x, y in zip(a, b, strict=True)]


def _either(x, y, z):
    """`log(exp(x) + exp(y) + exp(z))` of numbers in two parts, as one and what is to be added."""
    high, low = _greater_first(x, y)
    (top, top_rest), middle = _greater_first(high, z)
    # Two logarithms of nothing are equal, and their second parts are noise.
    low, middle = (
        ops.exp(ops.minimum((v - top) + (rest - top_rest), 0.0)) for v, rest in (low, middle)
    )
    return top, top_rest + ops.log1p(low + middle)


def _reversed(x, *axes):
    """`x`, and behind it along the batch of axis -2 the same backwards."""
    return ops.concatenate([x, over_axes(ops.flip, x, axes)], axis=-2)


def _step(carry, frame, skips):
    weights, small = carry
    emitted, whole, of_whole, *counts = frame
    behind = ops.pad(weights, [(0, 0), (2, 0)], constant_values=LOG_ZERO)
    small_behind = ops.pad(small, [(0, 0), (2, 0)])
    moved, rest = _either(
        (weights, small),
        (behind[:, 1:-1], small_behind[:, 1:-1]),
        (behind[:, :-2] + skips, small_behind[:, :-2]),
    )
    moved, lost = difference(moved, -emitted)
    moved, lost_too = difference(moved, whole)
    rest = rest + (lost + lost_too - of_whole)
    # What of the second part is above the last place of the first goes there.
    total = moved + rest
    moved, rest = total, rest - (total - moved)
    if counts:
        moved, rest = (
            ops.where(counts[0], new, old) for new, old in ((moved, weights), (rest, small))
        )
    return (moved, rest), (moved, rest)


def _alignments(blank) -> Callable[..., Any]:
    """Minus the logarithm of what all alignments weigh together, by dynamic programming.

    A sample walks through the states blank, label, blank, ..., label, blank. It is walked from both
    ends at once: an end is a sample of its own. A logarithm is a sum of two floats, for one alone
    would be rounded in each frame, by the more the more frames there have been.
    """

    def shared(labels, length, x, *keep):
        top, leads, others, rest = leader(x, -1)
        size = 2 * ops.shape(labels)[1] + 1
        state = ops.arange(size, dtype="int32")
        last = 2 * ops.expand_dims(length, -1)
        between = ops.reshape(
            ops.stack([ops.full_like(labels, blank), labels], axis=-1),
            (ops.shape(labels)[0], size - 1),
        )
        path = ops.pad(between, [(0, 0), (0, 1)], constant_values=blank)
        shape = (*ops.shape(x)[:2], size)
        emitted = ops.take_along_axis(x, ops.broadcast_to(path[:, None], shape), -1)
        emitted = ops.maximum(emitted, LOG_ZERO)
        emitted = ops.where(ops.expand_dims(state <= last, 1), emitted, LOG_ZERO)
        # The logarithm of the sum over all classes.
        whole, of_whole = difference(top, -ops.log1p(rest))
        emitted, whole, of_whole = (ops.transpose(v, (1, 0, 2)) for v in (emitted, whole, of_whole))

        path = _reversed(path, 1)
        before = ops.pad(path, [(0, 0), (2, 0)], constant_values=blank)[:, :-2]
        skips = ops.logical_and(path != blank, path != before)
        skips = ops.where(skips, ops.cast(0, x.dtype), LOG_ZERO)
        start = ops.concatenate([ops.zeros_like(last), size - 1 - last], axis=0)
        start = ops.where(state == start, ops.cast(0, x.dtype), LOG_ZERO)

        counts = [_reversed(ops.expand_dims(ops.transpose(k), -1), 0) for k in keep]
        frames = _reversed(emitted, 0, 2), *(_reversed(v, 0) for v in (whole, of_whole)), *counts
        weights, small = scan(_step, (start, ops.zeros_like(start)), frames, constants=(skips,))[1]
        batch = ops.shape(x)[0]

        def weight_of(index):
            found = state == index
            weight, rest = (
                ops.sum(ops.where(found, v[-1, :batch], 0.0), axis=-1) for v in (weights, small)
            )
            return ops.where(ops.any(found, axis=-1), weight, LOG_ZERO), rest

        nothing = ops.full_like(weights[-1, :batch, 0], LOG_ZERO)
        total = sum(_either(weight_of(last), weight_of(last - 1), (nothing, 0 * nothing)))
        back, small_back = (over_axes(ops.flip, v[:, batch:], (0, 2)) for v in (weights, small))
        through, lost = difference(weights[:, :batch], -back)
        through, lost_too = difference(through, emitted)
        through = through - amax(through, axis=-1, keepdims=True)
        through = through + (lost + lost_too + small[:, :batch] + small_back)
        through = ops.exp(ops.minimum(through, 1.0))
        return total, over(through, ops.sum(through, axis=-1, keepdims=True)), leads, others, rest

    def value(shared, *_):
        return -shared[0]

    def gradient(upstream, shared, labels, length, x, *keep):
        _, through, leads, others, rest = shared
        through = ops.transpose(through, (1, 0, 2))
        target = ops.matmul(through[:, :, 1::2], one_hot(labels, x, -1))
        blanks = ops.sum(through[:, :, ::2], axis=-1, keepdims=True)
        target = target + blanks * ops.one_hot(blank, x.shape[-1], dtype=x.dtype)
        # Of a leader by what the others weigh, which its own two weights would cancel.
        beside = ops.sum(ops.where(leads, 0.0, target), axis=-1, keepdims=True)
        slope = ops.where(
            ops.logical_and(leads, rest < 1),
            beside - rest / (1 + rest),
            ops.where(leads, 1.0, others) / (1 + rest) - target,
        )
        return None, None, upstream[:, None, None] * slope, *(None for _ in keep)

    return with_gradient(value, gradient, shared)


def _by_kernel(blank) -> Callable[..., Any]:
    """The same by the kernel of torch, where labels fit into the first frames."""
    return with_gradient(
        lambda shared, *_: shared[0],
        lambda upstream, shared, *_: (None, None, None, upstream[:, None, None] * shared[1]),
        lambda labels, length, frames, x: ctc_of_torch(x, labels, length, frames, blank),
    )


def _has_kernel(x):
    return runs_torch() and x.device.type in ("cpu", "cuda") and 0 not in x.shape


def _of_first_frames(labels, length, x, keep, blank):
    frames = ops.full_like(length, x.shape[1])
    if keep is not None:
        frames = ops.sum(ops.cast(keep, "int32"), axis=-1)
        known = known_values(keep)
        if known is None or np.any(known[:, 1:] > known[:, :-1]):
            order = ops.argsort(ops.cast(ops.logical_not(keep), "int32"), axis=-1)
            x = ops.take_along_axis(x, ops.expand_dims(order, -1), 1)
    repeats = ops.logical_and(labels[:, 1:] == labels[:, :-1], labels[:, 1:] != blank)
    fits = length + ops.sum(ops.cast(repeats, "int32"), axis=-1) <= frames
    length, frames = ops.where(fits, length, 0), ops.maximum(frames, 1)
    return ops.where(fits, _by_kernel(blank)(labels, length, frames, x), math.inf)


@loss_function("sequence", from_logits=flag, blank=class_id, zero_infinity=flag)
def ctc(
    y_true: Any,
    y_pred: Any,
    from_logits=False,
    blank=0,
    zero_infinity=False,
    label_length: Any = None,
    input_length: Any = None,
    mask: Any = None,
) -> Any:
    """Connectionist temporal classification: labels whose alignment to the frames is unknown.

    Take it for speech, handwriting and other recordings with a transcript that is shorter than they
    are. Each frame predicts a class or the blank; the loss is minus the log-probability of all
    alignments that spell the labels once repeats are merged and blanks dropped. Keras fixes the
    blank to 0, counts the labels that are not 0 and takes all frames.

    Formula:

        p = exp(y_pred - max(y_pred, axis=-1, keepdims=True)) if from_logits else y_pred
        p = p / sum(p, axis=-1, keepdims=True)
        loss = -log(spelled(p, y_true, blank))

    where `spelled` sums the products of all rows of one class per frame that spell the labels.

    Args:
        y_true: Labels, integers from 0 without the blank. A row ends with its first negative id or
            blank; without labels it is an empty target, of blanks alone.
        y_pred: Probabilities, which need not sum to 1, or logits with `from_logits=True`. A
            probability of 0 counts as the smallest normal number.
        from_logits: Whether `y_pred` holds logits. Defaults to `False`.
        blank: The class that stands for no label; a negative one counts from the last. Defaults to
            `0`.
        zero_infinity: Whether labels that do not fit into the frames, with a blank between
            repeated ones, cost 0. If not, they cost infinity; their gradient is 0 either way.
            Defaults to `False`.
        label_length: Number of labels of each sample, integers `(batch,)`, where padding does not
            tell. Defaults to `None`.
        input_length: Number of frames of each sample, integers `(batch,)`, the first of all.
            Defaults to `None`.
        mask: Boolean, `True` where a frame counts, `(batch, frames)` or `(batch,)`; gaps are
            allowed. A sample without frames costs 0. Defaults to `None`.

    Shapes:
        `y_pred`: `(batch, frames, classes)`. `y_true`: `(batch, labels)`. The loss: `(batch,)`.

    Raises:
        TypeError: If `y_true` or a length is not of an integer dtype.
        ValueError: If an id or a length is out of range, the blank stands among labels, `blank` is
            no class, there are no frames, or the shapes do not fit.

    Example:

    >>> p = [[[0.5, 0.5], [0.5, 0.5]]]
    >>> float(keras_actloss.losses.ctc([[1]], p)[0])  # 3 of 4 rows: 01, 10 and 11
    0.2876...

    Related:
        `torch.nn.functional.ctc_loss` of the log-softmax with `reduction="none"`; its mean divides
        each value by the number of labels. `optax.ctc_loss` and `keras.losses.CTC` of logits,
        where labels fit. On torch its kernel is taken, whose logarithms are rounded in each frame:
        over 200 frames of which none is certain, slopes are off by some 1e-4 of the largest, on
        other backends by less than 4e-6.

    Reference:
        [Graves et al., 2006](https://doi.org/10.1145/1143844.1143891)
    """
    if len(y_pred.shape) != 3:
        raise ValueError(
            f"ctc: y_pred of shape {tuple(y_pred.shape)} needs the axes (batch, frames, classes)"
        )
    batch, frames, classes = y_pred.shape
    if frames == 0:
        raise ValueError(
            f"ctc: y_pred of shape {tuple(y_pred.shape)} has no frames; give it at least one, and "
            "leave out samples without any by input_length or mask"
        )
    if not -classes <= blank < classes:
        raise ValueError(
            f"ctc: blank must be one of the {classes} classes of y_pred, got {blank}; give the "
            "last layer a unit for it"
        )
    blank = blank % classes
    if label_length is not None:
        label_length = _length("label_length", label_length, batch, y_true.shape[1], "labels")
    if input_length is not None:
        input_length = _length("input_length", input_length, batch, frames, "frames")
    labels, length = _labels(y_true, blank, classes, label_length)
    keep = None
    if mask is not None:
        keep = ops.broadcast_to(fit(mask, y_pred.shape[:2]), ops.shape(y_pred)[:2])
    if input_length is not None:
        early = _first(input_length, ops.shape(y_pred)[1])
        keep = early if keep is None else ops.logical_and(keep, early)
    if keep is not None:
        y_pred = ops.where(ops.expand_dims(keep, -1), y_pred, 0.5)
    x = y_pred if from_logits else ops.log(positive(y_pred))
    if _has_kernel(x):
        value = _of_first_frames(labels, length, x, keep, blank)
    else:
        value = _alignments(blank)(labels, length, x, *([] if keep is None else [keep]))
    impossible = value > UNLIKELY
    value = ops.where(impossible, 0.0 if zero_infinity else math.inf, value)
    return value if keep is None else ops.where(ops.any(keep, axis=-1), value, 0.0)


@register("losses")
class CTC(Loss, fn=ctc):
    """Class form of `ctc`, which reads the lengths from `y_true` and from the mask of `y_pred`.

    `compile` hands a loss no lengths. Pad labels with a negative id, and let the mask of what the
    model returns tell the frames. `keras.layers.Masking` makes one of padded inputs; convolutions
    drop it, and where they leave fewer frames their number is to be told behind them:

    >>> class Frames(keras.layers.Layer):
    ...     def call(self, inputs):
    ...         return inputs[0]
    ...
    ...     def compute_mask(self, inputs, previous_mask):
    ...         x, input_length = inputs
    ...         return keras.ops.expand_dims(input_length, -1) > keras.ops.arange(x.shape[1])
    ...
    ...     def compute_output_shape(self, shapes):
    ...         return shapes[0]
    >>> x, input_length = keras.Input((6, 2)), keras.Input((), dtype="int32")
    >>> shorter = keras.layers.Conv1D(4, 3, strides=2, padding="same")(x)
    >>> model = keras.Model([x, input_length], Frames()([shorter, input_length]))
    >>> model.compile("sgd", keras_actloss.losses.CTC(from_logits=True))
    >>> labels, label_length = np.array([[1, 2, 2], [3, 0, 0]]), np.array([3, 1])
    >>> labels = np.where(np.arange(3) < label_length[:, None], labels, -1)
    >>> x, input_length = np.ones((2, 6, 2)), np.array([3, 2])
    >>> history = model.fit([x, input_length], labels, verbose=0)
    """

    def __init__(
        self, from_logits=False, blank=0, zero_infinity=False, **kwargs: Unpack[LossArguments]
    ):
        super().__init__(**kwargs)
        self.from_logits = from_logits
        self.blank = blank
        self.zero_infinity = zero_infinity
