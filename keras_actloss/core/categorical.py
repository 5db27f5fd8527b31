"""Losses of the probability of a class, of one-hot, soft and sparse labels."""

import math

import numpy as np
from keras import ops

from keras_actloss.core.curves import Label, far_from, own_slope, slope_of, smoothed
from keras_actloss.core.keras_fixes import amax
from keras_actloss.core.kernels import (
    apart,
    asked,
    asked_of_number,
    at_least,
    entry,
    extremes,
    first_largest,
    ids_of_one_hot,
    indexes,
    plus_times,
    put_entry,
    readable,
    row_count,
    row_max,
    row_sum,
    runs_torch,
    same,
    select,
    spent,
    transformed_by_torch,
    vector,
)
from keras_actloss.core.numerics import (
    SMALLEST,
    above_zero,
    difference,
    exp_near,
    positive,
    power,
    with_gradient,
)
from keras_actloss.core.tensors import dtype_of


def _labels(ids, x, axis):
    """Where the label of each row is: what `_put` takes.

    An index on torch, whose kernels reach one entry per row in no time; a mask where compilers fuse
    it with what is done to the other entries.
    """
    return ids.long().unsqueeze(axis) if runs_torch() else is_label(ids, x, axis)


def _own(x, ids, label, axis):
    """The entry of each row at its label, whose id is also told as `_labels` has it."""
    if not _is_mask(label):
        return entry(x, label, axis)
    return ops.take_along_axis(x, ops.expand_dims(ids, axis), axis)


def _leaders(x, axis):
    """The largest of each row, where it is, and how many more there are of the same size."""
    if indexes(x, axis):
        return *first_largest(x, axis), 0.0
    top = row_max(x, axis, pairs=False)
    where = x == top
    count = row_count(ops.cast(where, x.dtype), axis)
    return top, where, ops.maximum(count - 1, 0)


def _is_mask(where):
    return dtype_of(where) == "bool"


def _put(x, where, value, axis, rows=None, spare=False):
    """`x` with `value` there, if only in some rows.

    A `spare` tensor, which nobody else holds, is overwritten on torch.
    """
    if _is_mask(where):
        return select(where if rows is None else ops.logical_and(where, rows), value, x)
    if rows is not None:
        value = ops.where(rows, value, entry(x, where, axis))
    return put_entry(x, where, value, axis, spare)


def _without_own(values):
    """The sum of all others for each of a vector, in which nothing cancels."""
    none = ops.zeros_like(values[:1])
    before = ops.concatenate([none, ops.cumsum(values[:-1])])
    after = ops.concatenate([none, ops.cumsum(ops.flip(values)[:-1])])
    return before + ops.flip(after)


class _Spread:
    """Smoothed labels: `keep` of a target, and a share for each class besides, if there are any.

    The slope at a leader is what the labels of the other classes amount to. As all less the own
    one it would cancel, so what is kept and what is spread are told apart.
    """

    def __init__(self, axis, classes=1, label_smoothing=0.0, class_weights=None):
        self.axis, self.classes, self.label_smoothing = axis, classes, label_smoothing
        self.keep, self.class_weights = 1 - label_smoothing, class_weights

    def _shares(self, like):
        """The share of each class, or of all; `torch.func` could not map a tensor that is kept."""
        weights = 1.0 if self.class_weights is None else self.class_weights
        share = self.label_smoothing / self.classes
        return vector(weights, dtype_of(like)) * share

    def _others(self, like):
        """What the shares of all other classes amount to, for each class or as one number."""
        shares = self._shares(like)
        if self.class_weights is None:
            return shares * (self.classes - 1)
        return _without_own(shares)

    def _along(self, of_each, x):
        return of_each if self.class_weights is None else along(of_each, x, self.axis)

    def labels(self, target):
        if not self.label_smoothing:
            return target
        return plus_times(self._along(self._shares(target), target), target, self.keep)

    def mass(self, mass):
        """What the labels of a row amount to, of what the target does."""
        if not self.label_smoothing:
            return mass
        weighted = self.class_weights is not None
        total = ops.sum(self._shares(mass)) if weighted else self.label_smoothing
        return self.keep * mass + total

    def beside(self, mass, target, where=None):
        """What the labels of a row amount to without the own one: of each, or at an index."""
        others = mass - target
        if not self.label_smoothing:
            return others
        shares = self._others(target)
        if where is None:
            shares = self._along(shares, target)
        elif self.class_weights is not None:
            shares = ops.take(shares, where)
        return plus_times(shares, others, self.keep)


def _of_weights(target, x, axis, curve, spread):
    """`sum(target * f(p))` of `p` that need not sum to 1.

    Both are told by what each entry weighs beside the leading one: a leader's own loss is that of
    the others, `log1p(rest)`, which a difference from the sum would lose.
    """

    def log(weight, top):
        # The loss of a certain mistake is that of the smallest normal number.
        return spent("log", ops.maximum(weight, SMALLEST / positive(top)))

    def labels(top, weight, rest):
        """Every entry, as if it were the label."""
        scale = 1 / (1 + rest)
        p, q = weight * scale, spent("multiply", spent("add", 1 - weight, rest), scale)
        loss = ops.log1p(rest) - log(weight, top)
        return Label(loss, p, q, lambda exponent: power(p, exponent))

    def shared(target, x):
        top = row_max(x, axis, pairs=False)
        leads = same(x, top)
        # A compiler may multiply with the reciprocal, which leaves of a leader less than 1.
        weight = at_least(x / positive(top), leads, spare=True)
        ties = row_count(leads, axis, pairs=False) - 1
        rest = row_sum(weight - leads, axis, pairs=False) + ties
        return top, leads, weight, rest, spread.labels(target), row_sum(target, axis, pairs=False)

    def value(kept, target, x):
        top, _, weight, rest, target, mass = kept
        if curve is not None:
            return ops.sum(target * curve.value(labels(top, weight, rest)), axis=axis)
        led = row_sum(spent("multiply", log(weight, top), target), axis, pairs=False)
        return ops.squeeze(spread.mass(mass) * ops.log1p(rest) - led, axis)

    def gradient(upstream, kept, target, x):
        top, leads, weight, rest, whole, mass = kept
        own = whole
        if curve is not None:
            slope = curve.slope(labels(top, weight, rest))
            own = target * own_slope(curve, slope, weight)
            target = target * slope
        # In this order nothing cancels at a leader, whose weight is 1 to the last digit; and with
        # no reciprocal, for TensorFlow's, which its optimizer makes of one over it, is not.
        own = own / above_zero(weight)
        if curve is None:
            slope = spread.mass(mass) - own
            if spread.label_smoothing:
                # A constant, for the derivative of the slope to stay what it is.
                lost = ops.stop_gradient(leads * (spread.beside(mass, target) - slope))
                slope = spent("add", slope, lost)
        else:
            # A compiler computes the targets of a sum anew, and not to the same last digit: nothing
            # may remain of the own target of a single leader.
            single = rest < 1
            others = 1 - leads * ops.cast(single, x.dtype)
            left = ops.sum(target * others, axis=axis, keepdims=True)
            mass = ops.sum(target, axis=axis, keepdims=True)
            left = ops.where(single, left, mass)
            slope = spent("add", spent("multiply", (mass - left) - own, others), left)
        upstream = ops.expand_dims(upstream, axis) / positive(top) / (1 + rest)
        slope = spent("subtract", slope, spent("multiply", own, rest))
        return None, spent("multiply", slope, upstream)

    return with_gradient(value, gradient, shared)(target, x)


def _of_logits(target, x, axis, curve, low, spread):
    """`_of_weights` of logits, told by the distance of each entry to the leading one too.

    `low` is what rounding took from computed logits: at 100 that is 30 units in the last place of
    the exponential.
    """

    def behind(leads, low):
        """What rounding took from each entry, beside what it took from the leader."""
        if not _is_mask(leads):
            return low - entry(low, leads, axis)
        return low - amax(ops.where(leads, low, -1.0), axis=axis, keepdims=True)

    def dropped(x, top, leads, low):
        """What rounding takes from the distance of each entry."""
        distance, dropped = difference(top, x)
        dropped = ops.where(ops.isfinite(distance), dropped, 0.0)
        return dropped - behind(leads, *low) if low else dropped

    def labels(x, kept, low):
        """Every entry, as if it were the label."""
        top, leads, e, scale, rest, *_ = kept
        weight = _put(e * scale, leads, 1.0, axis, spare=True)
        total, near = 1 + rest, ops.log1p(rest)
        p, q = weight / total, (rest + (1 - weight)) / total
        # Not infinity less infinity.
        far = _put(top - x, leads, 0.0, axis, spare=True)

        def to(exponent):
            return far_from(far, dropped(x, top, leads, low), near)(exponent)

        return Label(far + near, p, q, to)

    def shared(target, x, *low):
        top, leads, ties = _leaders(x, axis)
        scale, e = exp_near(top, x)
        if low:
            e = e + e * behind(leads, *low)
        e = _put(e, leads, 0.0, axis, spare=True)
        # A product, for the sum to be scaled once.
        rest = row_sum(e, axis) * scale + ties
        return top, leads, e, scale, rest, spread.labels(target), row_sum(target, axis)

    def value(kept, target, x, *low):
        top, leads, _, _, rest, target, mass = kept
        if curve is not None:
            return ops.sum(asked(target, curve.value(labels(x, kept, low))), axis=axis)
        far = top - x
        if low:
            far = far + dropped(x, top, leads, low)
        # At a leader there may be infinity less infinity, and nobody asks for all that is far.
        far = asked_of_number(target, _put(far, leads, 0.0, axis, spare=True), spare=True)
        near = spread.mass(mass) * ops.log1p(rest)
        return ops.squeeze(row_sum(far, axis, pairs=False) + near, axis)

    def gradient(upstream, kept, target, x, *low):
        _, leads, e, scale, rest, whole, mass = kept
        upstream, total, left = ops.expand_dims(upstream, axis), 1 + rest, None
        if curve is not None:
            whole = target = asked(target, slope_of(curve, labels(x, kept, low)))
            mass = ops.sum(target, axis=axis, keepdims=True)
            # One after the other: a small slope times a small scale underflows.
            e, scale = _put(e * scale, leads, 1.0, axis, spare=True), 1.0
            # A compiler computes the targets of the sum anew, and not to the same last digit:
            # nothing may remain of the own target of a single leader.
            left = ops.sum(_put(target, leads, 0.0, axis), axis=axis, keepdims=True)
        share = spread.mass(mass) * scale
        # In this order nothing cancels at a leader, whose weight is 1 to the last digit.
        if not _is_mask(leads):
            others = spread.beside(mass, entry(target, leads, axis), leads)
            others = others if left is None else ops.where(rest < 1, left, others)
            slope = spent("subtract", e * (share / total), whole)
            others = others - entry(whole, leads, axis) * rest
            slope = _put(slope, leads, others / total, axis, spare=True)
            slope = spent("multiply", slope, upstream)
        else:
            slope = e * share - whole
            if left is None:
                slope = _put(slope, leads, spread.beside(mass, target), axis)
            else:
                slope = _put(slope, leads, left, axis, rows=rest < 1)
            slope = upstream / total * (slope - whole * rest)
        return None, slope, *(None for _ in low)

    return with_gradient(value, gradient, shared)(target, x, *(() if low is None else (low,)))


def categorical(target, x, axis, from_logits, curve=None, low=None, spread=None):
    """`sum(target * f(p))` of logits or of `p` that need not sum to 1.

    Without a curve labels may be those of a `_Spread`.
    """
    spread = spread or _Spread(axis)
    if from_logits:
        return _of_logits(target, x, axis, curve, low, spread)
    return _of_weights(target, x, axis, curve, spread)


def _against_logits(ids, label, x, axis, low=None):
    """`-log(softmax(x))` at the label of each row, and its derivatives.

    Returns:
        `(loss, of_label, factor, of_others, described)`: the derivative is `of_label` at the label
        and `factor * of_others` elsewhere; `described()` is the `Label`.
    """
    moderate = _against_moderate_logits(label, x, axis) if low is None and readable(x) else None
    if moderate is not None:
        return moderate
    own = _own(x, ids, label, axis)
    top = amax(x, axis=axis, keepdims=True)
    scale, e, own_e = exp_near(top, x, own)
    if low is not None:
        e = e + e * (low - _own(low, ids, label, axis))
    e = _put(e, label, 0.0, axis, spare=True)
    total = row_sum(e, axis)
    # Relative to the leader, one of the two weights is at least 1.
    weight = total * scale
    leads = own == top
    own_weight = select(leads, 1.0, own_e * scale)
    distance, near = select(leads, 0.0, top - own), ops.log1p(weight + (own_weight - 1))
    q = weight / (weight + own_weight)

    def described():
        dropped = ops.where(leads, 0.0, difference(top, own)[1])
        p = own_weight / (weight + own_weight)
        return Label(distance + near, p, q, far_from(distance, dropped, near))

    return distance + near, -q, q / select(total == 0, 1.0, total), e, described


def _against_moderate_logits(label, x, axis):
    """`_against_logits` on torch by the exponentials as they are; None where one is no float."""
    e = x.exp()
    own = entry(e, label, axis)
    e = _put(e, label, 0.0, axis, spare=True)
    rest = e.sum(axis, keepdim=True)
    total, ratio = rest + own, rest / own
    least, most = extremes(total)
    # Beside a small sum an exponential counts that has underflown.
    lowest = 2.0**-100 if least < 0.5 and min(extremes(x)) > -87 else 0.5
    if not (lowest <= least and most < 2.0**100 and ratio.amax().item() < 2.0**100):
        return None
    loss, factor = ratio.log1p(), total.reciprocal()
    q = rest * factor

    def described():
        p = own * factor
        return Label(loss, p, q, lambda exponent: power(p, exponent))

    return loss, -q, factor, e, described


def _against_probabilities(ids, label, x, axis):
    """`_against_logits` for probabilities, which need not sum to 1."""
    total = ops.sum(_put(x, label, 0.0, axis), axis=axis, keepdims=True)
    own = ops.relu(_own(x, ids, label, axis))
    ratio = total / positive(own)
    large = ops.log(positive(total)) - ops.log(positive(own))
    loss = ops.where(ops.isfinite(ratio), ops.log1p(ratio), large)
    whole = above_zero(total + own)

    def described():
        p = positive(own) / whole
        return Label(loss, p, total / whole, lambda exponent: power(p, exponent))

    of_label = -total / above_zero(own) / whole
    return loss, of_label, 1 / whole, ops.ones_like(x), described


def _mean_distance(loss, x, ids, label, axis):
    """How far the label of each row is above the classes in the mean, below some of them maybe."""
    own, classes = _own(x, ids, label, axis), x.shape[axis]
    # A power of two rounds nothing, and leaves a sum of the largest floats finite.
    part = 2.0 ** -classes.bit_length()
    above = ops.sum(plus_times(part * own, x, -part), axis=axis, keepdims=True) / (part * classes)
    # Beside infinity all classes are infinitely far, but if all are infinite; and a label at minus
    # infinity has an infinite loss without it, but if all are there.
    beside_infinity = ops.where(loss > math.log(classes - 0.5), 0.0, np.inf)
    above = ops.where(own == np.inf, beside_infinity, above)
    return ops.where(own == -np.inf, 0.0, above)


def sparse_categorical(ids, x, axis, from_logits, curve=None, low=None, label_smoothing=0.0):
    """`categorical` for class ids: the label is told from the others by its id, not by a matrix.

    `label_smoothing`, of at most half a label, is for the cross-entropy of logits.
    """

    def shared(ids, x, *low):
        if not runs_torch():
            # Out of range, where JAX gives NaN; a negative id counts from the end, but in an index
            # of torch, where it is refused.
            ids = select(ids < 0, ops.shape(x)[axis], ids)
        label = _labels(ids, x, axis)
        against = _against_logits if from_logits else _against_probabilities
        loss, of_label, factor, of_others, described = against(ids, label, x, axis, *low)
        if curve is not None:
            described = described()
            loss, slope = curve.value(described), slope_of(curve, described)
            own = slope if from_logits else own_slope(curve, slope, _own(x, ids, label, axis))
            of_label = of_label * own
            # One after the other: a small slope times the factor of large weights underflows.
            of_others, factor = apart(factor * of_others), slope
        if label_smoothing:
            # The loss of a class is the label's, and what the class is below it.
            more = _mean_distance(loss, x, ids, label, axis)
            if low:
                more = more + _mean_distance(loss, low[0], ids, label, axis)
            loss = ops.where(ops.isinf(loss), loss, loss + label_smoothing * more)
            of_label = of_label + label_smoothing * (1 - 1 / x.shape[axis])
        return label, loss, of_label, factor, of_others

    def value(shared, ids, x, *low):
        return ops.squeeze(shared[1], axis)

    def gradient(upstream, shared, ids, x, *low):
        label, _, of_label, factor, of_others = shared
        upstream = ops.expand_dims(upstream, axis)
        slope = of_others * (upstream * factor)
        if label_smoothing:
            slope = spent("subtract", slope, upstream * (label_smoothing / x.shape[axis]))
        slope = _put(slope, label, upstream * of_label, axis, spare=True)
        return None, slope, *(None for _ in low)

    return with_gradient(value, gradient, shared)(ids, x, *(() if low is None else (low,)))


def along(numbers, x, axis, what="class_weights", of="classes"):
    """One number per class, or what else is on the axis, shaped to broadcast along it in `x`."""
    numbers = vector(numbers, dtype_of(x))
    if x.shape[axis] is not None and numbers.shape[0] != x.shape[axis]:
        raise ValueError(
            f"{what}: got {numbers.shape[0]} numbers, but y_pred has {x.shape[axis]} {of}; give "
            "one for each"
        )
    shape = [1] * len(x.shape)
    shape[axis] = -1
    return ops.reshape(numbers, shape)


def is_label(ids, x, axis):
    """Where `x` has the class of its id."""
    shape = [1] * len(x.shape)
    shape[axis] = -1
    classes = ops.reshape(ops.arange(ops.shape(x)[axis], dtype="int32"), shape)
    return classes == ops.expand_dims(ids, axis)


def one_hot(ids, x, axis):
    """Rows of the labels `ids`, of the shape and dtype of `x`."""
    if transformed_by_torch():  # Torch's own looks at the values.
        return ops.cast(is_label(ids, x, axis), x.dtype)
    # Counted from the front, for Keras takes an axis from the end on JAX only, but the last.
    return ops.one_hot(ids, x.shape[axis], axis=axis % len(x.shape), dtype=x.dtype)


def of_rows(loss, y_true, y_pred, label_smoothing, axis, class_weights):
    """`loss(y, x)` that is no sum over the labels of a row: a row weighs what its label does."""
    y = smoothed(y_true, label_smoothing, y_pred.shape[axis])
    if class_weights is None:
        return loss(y, y_pred)
    weight = ops.sum(y_true * along(class_weights, y_pred, axis), axis=axis, keepdims=True)
    y_pred = ops.where(weight == 0, 0.5, y_pred)
    return ops.squeeze(weight, axis) * loss(y, y_pred)


def _of_used(used, y_pred, low):
    """Predictions, and what rounding took from them, without what is in rows that weigh 0."""
    y_pred = ops.where(used, y_pred, ops.full_like(y_pred, 0.5))
    return y_pred, None if low is None else ops.where(used, low, ops.zeros_like(low))


def _spreads(from_logits, label_smoothing, class_weights, curve):
    """Whether smoothed labels need no matrix; with more than half of one spread it would cancel."""
    return from_logits and label_smoothing <= 0.5 and class_weights is None and curve is None


def of_categorical(
    y_true, y_pred, from_logits, label_smoothing, axis, class_weights, curve=None, low=None
):
    """A loss of one-hot or soft labels, with all options."""
    ids = None
    if not label_smoothing or _spreads(from_logits, label_smoothing, class_weights, curve):
        ids = ids_of_one_hot(y_true, axis)
    if ids is not None:
        return of_sparse(ids, y_pred, from_logits, label_smoothing, axis, class_weights, curve, low)
    classes, spread = y_pred.shape[axis], None
    if curve is not None:
        y_true = smoothed(y_true, label_smoothing, classes)
    elif label_smoothing:
        spread = _Spread(axis, classes, label_smoothing, class_weights)
    if class_weights is not None:
        weights = along(class_weights, y_pred, axis)
        y_true = y_true * weights
        # Each class has a share of a smoothed label.
        labels = weights if label_smoothing else y_true
        used = ops.any(labels != 0, axis=axis, keepdims=True)
        y_pred, low = _of_used(used, y_pred, low)
    return categorical(y_true, y_pred, axis, from_logits, curve, low, spread)


def of_sparse(
    y_true, y_pred, from_logits, label_smoothing, axis, class_weights, curve=None, low=None
):
    """A loss of class ids, with all options."""
    if label_smoothing and not _spreads(from_logits, label_smoothing, class_weights, curve):
        labels = one_hot(y_true, y_pred, axis)
        return of_categorical(
            labels, y_pred, from_logits, label_smoothing, axis, class_weights, curve, low
        )
    if class_weights is None:
        return sparse_categorical(y_true, y_pred, axis, from_logits, curve, low, label_smoothing)
    weight = ops.take(ops.reshape(along(class_weights, y_pred, axis), (-1,)), y_true)
    y_pred, low = _of_used(ops.expand_dims(weight != 0, axis), y_pred, low)
    return weight * sparse_categorical(y_true, y_pred, axis, from_logits, curve, low)
