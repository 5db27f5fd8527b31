"""Lovasz losses, which follow the Jaccard index itself: its extension from masks to errors."""

import math
from typing import Any, Unpack

import numpy as np
from keras import ops

from keras_actloss.core.categorical import one_hot
from keras_actloss.core.functions import loss_function
from keras_actloss.core.keras_fixes import amax, moved
from keras_actloss.core.kernels import add_at, look_up, top_k, totals
from keras_actloss.core.loss import Loss, LossArguments
from keras_actloss.core.numerics import SMALLEST, leader, over, with_gradient
from keras_actloss.core.regions import (
    OPTIONS,
    for_samples,
    mean_of_classes,
    region_loss,
    weights_of,
    weights_of_classes,
)
from keras_actloss.core.registry import register
from keras_actloss.core.settings import as_list

# Sets of more entries are put into bins in place of an order, which is faster with XLA from here on
# and on every backend from twice as many (benchmarks/lovasz.md), and changes a value by a fraction
# of a bin.
SORTED = 2**15
BINS = 2**17
# So many of the largest errors are sorted all the same.
SORTED_AHEAD = 2**12


def _steps(yes, no):
    """What a positive and a negative entry of weight 1 add to the Jaccard loss of all before them.

    The union grows with each negative and what is left to find shrinks with each positive, from the
    largest error down. No step is a difference of two losses, which would cancel. Where a place
    holds several entries, a step is the mean of those with either kind first, and what all of them
    add is exact.

    Args:
        yes: What the positive entries at each place of the order weigh, on the last axis.
        no: What the negative ones weigh.

    Returns:
        `(of_yes, of_no, union)`: the two steps, to be divided by the third.
    """
    # From the other end, where a difference of weights that are no integers would cancel.
    left = ops.flip(ops.cumsum(ops.flip(yes, axis=-1), axis=-1), axis=-1)
    after = left[..., :1] + ops.cumsum(no, axis=-1)
    before = after - no
    # Without a positive the largest error is the whole loss.
    of_no = ops.where(before == 0, 1.0, over(left - 0.5 * yes, before))
    return 0.5 + 0.5 * over(after, before), of_no, ops.where(after == 0, 1.0, after)


def _by_order(errors, order, positive, weight):
    """The sum of the errors times their steps, by sorting: exact."""
    ranks = ops.argsort(-order, axis=-1)
    weight = ops.ones_like(positive) if weight is None else weight
    errors, positive, weight = (
        ops.take_along_axis(v, ranks, -1) for v in (errors, positive, weight)
    )
    of_yes, of_no, union = _steps(weight * positive, weight * (1 - positive))
    return ops.sum(errors * ops.where(positive > 0, of_yes, of_no) / union, axis=-1)


def _bins(order, edge, weight):
    """The bins of errors up to `edge`, which ascend from that of 0, of which hinges have many.

    A fraction whose pole is beyond the edge, by twice the mean distance from it, tells errors apart
    that are close together. Nothing asks how far those above the edge are from it.
    """
    least = ops.minimum(order, edge)
    if weight is None:
        mean = ops.mean(least, axis=-1, keepdims=True)
    else:
        total = ops.sum(weight * least, axis=-1, keepdims=True)
        mean = over(total, ops.sum(weight, axis=-1, keepdims=True))
    # A float32 mean knows of no less.
    beyond = ops.maximum(2 * (edge - mean), edge * 2.0**-16) + SMALLEST
    fraction = least / (edge + beyond - least) * ((BINS - 2) * over(beyond, edge))
    # NaN would be any place.
    bins = ops.clip(ops.cast(ops.ceil(fraction), "int32"), 0, BINS - 2)
    return ops.where(order > edge, BINS - 1, bins)


def _by_bins(errors, order, yes, weight):
    """The same but for the order within a bin, in a time that grows with the number of entries.

    The largest errors are sorted, for there the union is small and each entry changes it much.
    """
    sets, entries = ops.shape(errors)[:-1], ops.shape(errors)[-1]
    rows, sorted_ = math.prod(sets), min(SORTED_AHEAD, entries)
    errors, order, yes, weight = (
        v if v is None else ops.reshape(v, (rows, entries)) for v in (errors, order, yes, weight)
    )
    largest, ranks = top_k(order, sorted_)
    # What is as large as the last of them is in a bin, to meet its equals. Not the last entry by
    # its place: XLA takes that from a sort of all.
    edge = -amax(-largest, axis=-1, keepdims=True)
    row = ops.arange(rows, dtype="int32")[:, None]
    bins = _bins(order, edge, weight) + BINS * ops.cast(yes, "int32") + 2 * BINS * row
    bins = ops.reshape(bins, (-1,))
    weight = ops.ones_like(yes) if weight is None else weight
    counts = totals(ops.reshape(weight, (-1,)), bins, 2 * BINS * rows)
    # From the largest error down; what is sorted is in the last bin.
    counts = ops.flip(ops.reshape(counts, (rows, 2, BINS))[..., :-1], axis=-1)
    is_yes, weight = (ops.take_along_axis(v, ranks, -1) for v in (yes, weight))
    weight = ops.where(largest > edge, weight, 0.0)
    of_yes, of_no, union = _steps(
        ops.concatenate([weight * is_yes, counts[:, 1]], axis=-1),
        ops.concatenate([weight * (1 - is_yes), counts[:, 0]], axis=-1),
    )
    of_yes, of_no = of_yes / union, of_no / union
    # Put in place as a sum is: XLA would do anything else again for each entry that looks it up.
    of_bins = ops.stack([of_no[:, sorted_:], of_yes[:, sorted_:]], axis=1)
    places = BINS * ops.arange(2 * rows, dtype="int32")[:, None]
    places = places + ops.arange(BINS - 2, -1, -1, dtype="int32")
    of_bins = totals(ops.reshape(of_bins, (-1,)), ops.reshape(places, (-1,)), 2 * BINS * rows)
    of_first = ops.where(is_yes > 0, of_yes[:, :sorted_], of_no[:, :sorted_])
    of_first = ops.reshape(ops.where(largest > edge, of_first, 0.0), (-1,))
    ranks = ops.reshape(ops.cast(ranks, "int32") + entries * row, (-1,))
    steps = ops.reshape(add_at(look_up(of_bins, bins), ranks, of_first), (rows, entries))
    # The sum of one row as that of a vector: with XLA that takes a tenth of the time.
    terms = errors * steps
    sums = ops.sum(terms[0]) if rows == 1 else ops.sum(terms, axis=-1)
    return ops.reshape(sums, sets)


def _extension(errors, positive, weight):
    """The Lovasz extension of the Jaccard loss, of sets on the last axis.

    Args:
        errors: At least 0, and 0 where `weight` is.
        positive: Whether an entry is in the mask, 1 or 0.
        weight: What each entry weighs, or None for 1.
    """
    batch, entries = errors.shape[0], errors.shape[-1]
    # A size that is not known may be small. PyTorch counts nothing of no sets.
    small = batch == 0 or entries is None or entries <= SORTED
    order = ops.stop_gradient(errors)
    errors = errors if weight is None else errors * weight
    return (_by_order if small else _by_bins)(errors, order, positive, weight)


def _rows(x, kept_axes):
    """`x` with all axes but the first `kept_axes` in one."""
    sizes = x.shape[kept_axes:]
    size = math.prod(sizes) if None not in sizes else -1
    return ops.reshape(x, (*ops.shape(x)[:kept_axes], size))


@loss_function(
    "binary",
    weighs_entries=True,
    least=-1,
    **{name: OPTIONS[name] for name in ("per", "ignore_class")},
)
def lovasz_hinge(
    y_true: Any, y_pred: Any, per="image", ignore_class: Any = None, mask: Any = None
) -> Any:
    """Lovasz extension of the Jaccard loss of a mask, on the hinge errors of its logits.

    Take it for the mask of one class where the Jaccard index (IoU) is what counts, mostly after
    some epochs of `binary_crossentropy`: it looks at all pixels of an image at once, and errs
    where that costs the index least. An empty mask costs the largest hinge error.

    Formula:

        y, x = (by_class(v[..., None], per, -1)[:, 0] for v in (y_true, y_pred))
        y = where(y > 0, 1, 0)
        error = maximum(1 - x * (2 * y - 1), 0)
        larger = where(error[:, None, :] > error[:, :, None], 1, 0)
        rank = sum(larger, axis=-1)
        union = sum(y, axis=-1)[:, None] + sum(larger * (1 - y)[:, None, :], axis=-1)
        step = (rank + 1) / maximum(union + 1 - y, 1) - rank / maximum(union, 1)
        loss = sum(error * step, axis=-1)

    Args:
        y_true: Labels, 1 in the mask and 0 or -1 elsewhere.
        y_pred: Logits.
        per: Whether the entries of each `"image"` or of the whole `"batch"` are one set. Defaults
            to `"image"`.
        ignore_class: Label, often -1 or 255, whose entries are left out. Defaults to `None`.
        mask: `True` where an entry counts, or what it weighs; shape of `y_pred`, or without its
            last axes. The class takes weights of entries as `sample_weight`. Defaults to `None`.

    Shapes:
        `y_true` and `y_pred`: `(batch, ...)`; `(batch,)` beside `(batch, 1)` is the same. The loss:
        `(batch,)`, with `per="batch"` the same for each. No gradient flows to `y_true`. Among equal
        errors the first has the gradient of the largest.

    Raises:
        ValueError: If `per` is unknown, a label is out of range, or the shapes do not fit.

    Example:

    >>> float(keras_actloss.losses.lovasz_hinge([[1, 0, 0]], [[2.0, -0.5, -3.0]])[0])
    0.25

    Related:
        The authors' `lovasz_hinge` with `per_image=True`, and kornia's; that of
        segmentation_models_pytorch with `per="batch"`. Masks of several classes are one set, as in
        its "multilabel"; for one set and one weight per class, take `lovasz_softmax`, which has
        probabilities too, or make each mask a sample. Of one entry, `hinge`. Beyond 32,768 entries
        per set, errors that share one of 131,072 bins share a step, but for the 4,096 largest. The
        bins are narrower the closer the errors are to these: the loss moves by less than the width
        of a bin, in truth by a rounding, and the gradient by 1e-5 to 1e-4 of itself.

    Reference:
        [Berman et al., 2018](https://arxiv.org/abs/1705.08790);
        [Yu and Blaschko, 2015](https://arxiv.org/abs/1512.07797)
    """
    positive = ops.cast(ops.cast(y_true, y_pred.dtype) > 0, y_pred.dtype)
    errors = ops.relu(1 - y_pred * (2 * positive - 1))
    weight = None
    if mask is not None:
        weight = weights_of(mask, errors, "multilabel", -1)
        weight = ops.broadcast_to(weight, ops.shape(errors))
        errors = ops.where(weight == 0, 0.0, errors)

    def sets(x):
        x = _rows(x, 1)
        return x if per == "image" else ops.reshape(x, (1, -1))

    weight = None if weight is None else sets(weight)
    values = _extension(sets(errors), sets(positive), weight)
    return for_samples(values, y_pred, mask)


@register("losses")
class LovaszHinge(Loss, fn=lovasz_hinge):
    """Class form of `lovasz_hinge`."""

    from_logits = True

    def __init__(self, per="image", ignore_class=None, **kwargs: Unpack[LossArguments]):
        super().__init__(**kwargs)
        self.per = per
        self.ignore_class = ignore_class


def _softmax_errors(positive, x, axis):
    """`|positive - softmax(x)|`; positive labels, 1 or 0, are constants."""

    def shared(positive, x):
        _, leads, others, rest = leader(x, axis)
        weight = ops.where(leads, 1.0, others)
        # The sum of the others is what a leader leaves, where 1 - p would cancel.
        left = ops.where(leads, rest, 1 + (rest - others))
        return leads, weight / (1 + rest), left / (1 + rest)

    def value(shared, positive, x):
        _, p, q = shared
        return ops.where(positive > 0, q, p)

    def gradient(upstream, shared, positive, x):
        leads, p, _ = shared
        slope = ops.where(positive > 0, -upstream, upstream)
        # Beside the leader's own slope nothing cancels where it has nearly everything.
        of_leader = amax(ops.where(leads, slope, -np.inf), axis=axis, keepdims=True)
        beside = slope - of_leader
        return None, p * (beside - ops.sum(p * beside, axis=axis, keepdims=True))

    return with_gradient(value, gradient, shared)(positive, x)


def _sigmoid_errors(positive, x):
    """`|positive - sigmoid(x)|`; positive labels, 1 or 0, are constants."""

    def parts(positive, x):
        e = ops.exp(-ops.abs(x))
        right = (x > 0) == (positive > 0)
        return ops.where(right, e, 1.0) / (1 + e), e / (1 + e) / (1 + e)

    def value(positive, x):
        return parts(positive, x)[0]

    def gradient(upstream, positive, x):
        return None, ops.where(positive > 0, -upstream, upstream) * parts(positive, x)[1]

    return with_gradient(value, gradient)(positive, x)


@region_loss(**{name: check for name, check in OPTIONS.items() if name != "smooth"})
def lovasz_softmax(
    y_true: Any,
    y_pred: Any,
    from_logits=False,
    encoding="onehot",
    per="image",
    absent="skip",
    background=True,
    class_weights: Any = None,
    ignore_class: Any = None,
    axis=-1,
    mask: Any = None,
) -> Any:
    """Lovasz extension of the Jaccard loss of each class, mean over the classes.

    Take it for segmentation that is judged by the mean Jaccard index (mIoU), mostly after or beside
    a cross-entropy: small objects count as much as large ones. `jaccard` is its soft relative, a
    ratio of sums; this loss is the index itself wherever probabilities are 0 and 1.

    Formula:

        p = exp(y_pred - max(y_pred, axis=axis, keepdims=True)) if from_logits else y_pred
        p = p / sum(p, axis=axis, keepdims=True) if from_logits else p
        p = 1 / (1 + exp(-y_pred)) if from_logits and encoding == "multilabel" else p
        y = one_hot(y_true, size(p, axis), axis) if encoding == "ids" else y_true
        labels = pixels(y, per, axis)
        y, p = by_class(y, per, axis), by_class(p, per, axis)
        error = where(y > 0, 1 - p, p)
        larger = where(error[:, :, None, :] > error[:, :, :, None], 1, 0)
        rank = sum(larger, axis=-1)
        union = sum(y, axis=-1)[..., None] + sum(larger * (1 - y)[:, :, None, :], axis=-1)
        step = (rank + 1) / maximum(union + 1 - y, 1) - rank / maximum(union, 1)
        values = sum(error * step, axis=-1)
        loss = class_mean(values, labels, absent, background, class_weights)

    Args:
        y_true: Class ids, one-hot labels, or a label for each output, 1 or 0.
        y_pred: Probabilities, or logits with `from_logits=True`.
        from_logits: Whether `y_pred` holds logits. Defaults to `False`.
        encoding: What `y_true` holds: `"onehot"` or `"ids"` of classes that exclude each other, or
            `"multilabel"` for outputs that do not, such as one mask. Defaults to `"onehot"`.
        per: Whether the pixels of each `"image"` or of the whole `"batch"` are one set. Defaults to
            `"image"`.
        absent: What a class without a labeled pixel does: `"skip"` leaves it out of the mean,
            `"count"` makes its largest probability its loss. Take the latter for a single mask
            that may be empty. Defaults to `"skip"`.
        background: Whether class 0 counts. Defaults to `True`.
        class_weights: One weight of at least 0 per class, for a weighted mean. NaN in a class of
            weight 0 is ignored, except in logits of a softmax. Defaults to `None`, all 1.
        ignore_class: Class id, often -1 or 255, whose pixels are left out. Defaults to `None`.
        axis: The class axis. Defaults to `-1`.
        mask: `True` where a pixel counts, or what it weighs; shape of `y_pred` without `axis`, or
            without its last axes. The class takes weights of pixels as `sample_weight`. With
            weights of pixels the mean is over images with a nonzero weight, with weights of images
            over all, as in Keras. Defaults to `None`.

    Shapes:
        `y_pred`: `(batch, ..., classes)`, the classes on `axis`. `y_true`: the same, class ids
        without `axis`. The loss: `(batch,)`, with `per="batch"` the same for each. No gradient
        flows to `y_true`. Among equal errors the first has the gradient of the largest.

    Raises:
        TypeError: If class ids are not of an integer dtype.
        ValueError: If an option, an id or an entry of `"multilabel"` is out of range, or the shapes
            do not fit.

    Example:

    >>> loss = keras_actloss.losses.lovasz_softmax
    >>> float(loss([[0, 1]], [[[0.75, 0.25], [0.5, 0.5]]], encoding="ids")[0])
    0.4375

    Related:
        The authors' `lovasz_softmax` with `per_image=True`, their `classes="present"` here
        `absent="skip"` and `"all"` here `"count"`; kornia has the latter, its weights without a
        divisor, and segmentation_models_pytorch the former, by default with `per="batch"`.
        `lovasz_hinge` for the logits of one mask. Beyond 32,768 pixels a set, errors that share one
        of 131,072 bins share a step, but for the 4,096 largest. The bins are narrower the closer
        the errors are to these: the loss moves by less than the width of a bin, in truth by a
        rounding, and the gradient by 1e-5 to 1e-4 of itself.

    Reference:
        [Berman et al., 2018](https://arxiv.org/abs/1705.08790)
    """
    if encoding == "ids":
        y_true = one_hot(y_true, y_pred, axis)
    positive = ops.cast(ops.cast(y_true, y_pred.dtype) > 0, y_pred.dtype)
    if not from_logits:
        errors = ops.where(positive > 0, 1 - y_pred, y_pred)
    elif encoding == "multilabel":
        errors = _sigmoid_errors(positive, y_pred)
    else:
        errors = _softmax_errors(positive, y_pred, axis)
    pixel = None
    if mask is not None:
        pixel = weights_of(mask, errors, encoding, axis)
        pixel = ops.broadcast_to(pixel, ops.shape(errors))
        errors, positive = (ops.where(pixel == 0, 0.0, v) for v in (errors, positive))

    def by_class(x):
        """`(images, classes, pixels)`; a batch is one image."""
        if per == "image":
            return _rows(moved(x, axis, 1), 2)
        return _rows(moved(x, axis, 0), 1)[None]

    sets = by_class(positive)
    size = ops.sum(sets, axis=-1)
    weight = weights_of_classes(size, y_pred, absent, background, class_weights, axis)
    values = _extension(by_class(errors), sets, None if pixel is None else by_class(pixel))
    return for_samples(mean_of_classes(values, weight), y_pred, mask)


@register("losses")
class LovaszSoftmax(Loss, fn=lovasz_softmax):
    """Class form of `lovasz_softmax`."""

    def __init__(
        self,
        from_logits=False,
        encoding="onehot",
        per="image",
        absent="skip",
        background=True,
        class_weights=None,
        ignore_class=None,
        axis=-1,
        **kwargs: Unpack[LossArguments],
    ):
        super().__init__(**kwargs)
        self.from_logits = from_logits
        self.encoding = encoding
        self.per = per
        self.absent = absent
        self.background = background
        self.class_weights = as_list(class_weights)
        self.ignore_class = ignore_class
        self.axis = axis
