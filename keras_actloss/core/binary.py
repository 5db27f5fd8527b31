"""Losses of the probability of yes or no, entry by entry."""

import math

import numpy as np
from keras import ops

from keras_actloss.core.curves import Label, far_from, own_slope, slope_of, smoothed
from keras_actloss.core.kernels import (
    alone,
    are_yes_or_no,
    asked,
    asked_of_number,
    at_least,
    at_most,
    between,
    choose,
    runs_torch,
    signs_of_no,
    softplus_of_torch,
    spent,
)
from keras_actloss.core.numerics import (
    SMALLEST,
    above_zero,
    log1m,
    power,
    sigmoid_sides,
    with_gradient,
)
from keras_actloss.core.tensors import cast, dtype_of, mean


def _sides(x):
    """The more probable answer to a logit, and the other one."""
    distance = ops.abs(x)
    e = ops.exp(-distance)
    near, small = ops.log1p(e), e / (1 + e)
    # No second division, of which XLA would keep a tensor from one pass to the other.
    large = 1 - small
    return (
        Label(near, large, small, lambda exponent: ops.exp(-exponent * near)),
        Label(distance + near, small, large, far_from(distance, 0.0, near)),
    )


def both_sides(x, from_logits):
    """The probabilities of yes and no, each to the last digit."""
    return sigmoid_sides(x) if from_logits else (x, 1 - x)


def _of_wrong_answer(x, y, share):
    """`logistic` of labels that are 0 or 1, on torch: a kernel of the wrong answer's logit.

    Of a label, `share` is that of the wrong answer: half of what is smoothed.
    """

    def wrong(x, y):
        return spent("multiply", signs_of_no(y), x)

    def value(wrong, x, y):
        loss = softplus_of_torch(wrong)
        if share:
            # Not infinity less infinity.
            loss = spent("sub", loss, at_most(wrong, float(np.finfo(dtype_of(x)).max)), alpha=share)
        return loss

    def gradient(upstream, wrong, x, y):
        p = ops.sigmoid(wrong)
        if share:
            p = spent("subtract", p, share)
        # Beside a label of 1 it is `-p`, to the last digit.
        return spent("multiply", spent("addcmul", p, p, y, value=-2), upstream), None

    return with_gradient(value, gradient, wrong)(x, y)


def logistic(x, y, curve=None, class_weights=None, label_smoothing=0.0):
    """`yes * f(p) + no * f(1 - p)` of `p = sigmoid(x)`, of what `sides` of labels weigh.

    Labels are constants.
    """
    weighted = class_weights is not None
    if curve is None and not (weighted and label_smoothing) and are_yes_or_no(y):
        loss = _of_wrong_answer(x, y, label_smoothing / 2)
        return sum(sides(y, class_weights)) * loss if weighted else loss
    plain = not (weighted or label_smoothing)

    def both(y):
        return sides(y, class_weights, label_smoothing)

    # Each is made where it is needed: two would be one tensor more at the peak.
    def of_likely(x, y):
        return choose(x, *both(y))

    def of_unlikely(x, y):
        return choose(x, *reversed(both(y)))

    def value(x, y):
        if curve is not None:
            likely, unlikely = _sides(x)
            loss = of_likely(x, y) * curve.value(likely)
            return loss + asked_of_number(of_unlikely(x, y), curve.value(unlikely))
        distance = ops.abs(x)
        if not runs_torch():
            near = ops.log1p(ops.exp(-distance))
        else:  # One kernel for the exponential and its logarithm.
            near = ops.softplus(spent("negative", distance) if plain else -distance)
        if not plain:
            return asked(of_unlikely(x, y), distance) + sum(both(y)) * near
        if not runs_torch():
            return asked(of_unlikely(x, y), distance) + near
        # Two tensors at a time.
        unlikely = spent("subtract", ops.relu(ops.sign(x)), y)
        near = spent("add", near, asked_of_number(x, unlikely, spare=True))
        return spent("add", near, y, alpha=0)  # It is NaN if a label is.

    def gradient(upstream, x, y):
        # Never sigmoid(x) - 1: a logit that is right by 17 still has its gradient.
        if curve is not None:
            likely, unlikely = _sides(x)
            away = of_likely(x, y) * slope_of(curve, likely) * likely.q
            back = of_unlikely(x, y) * slope_of(curve, unlikely) * unlikely.q
            slope = choose(x, back - away, away - back)
        elif runs_torch():
            # Two fused kernels beat one exponential in five passes.
            slope, other = ops.sigmoid(x), spent("sigmoid", -x)
            if plain:
                slope = spent("lerp", slope, spent("negative", other), y)
            else:
                yes, no = both(y)
                slope = spent("multiply", slope, no)
                slope = spent("subtract", slope, spent("multiply", other, yes))
            return spent("multiply", slope, upstream), None
        else:
            yes, no = both(y)
            e = ops.exp(-ops.abs(x))
            small = e / (1 + e) if plain else (yes + no) * (e / (1 + e))
            # Taken once: XLA writes down what is in both branches of a choice.
            slope = choose(x, no, -yes) - (2 * ops.cast(x > 0, x.dtype) - 1) * small
        return upstream * slope, None

    return with_gradient(value, gradient)(x, y)


def _logarithms(p):
    # The loss of a certain mistake is that of the smallest normal number.
    least = math.log(SMALLEST)
    inside = at_most(p, alone(1, p))
    return (
        at_least(spent("log", at_least(p, alone(0, p))), alone(least, p), spare=True),
        at_least(log1m(inside), alone(least, p), spare=True),
    )


def _yes_and_no(p):
    log_p, log_q = _logarithms(p)
    p, q = ops.relu(p), ops.relu(1 - p)
    return (
        Label(-log_p, p, q, lambda exponent: power(p, exponent)),
        Label(-log_q, q, p, lambda exponent: power(q, exponent)),
    )


def bernoulli(p, y, curve=None, class_weights=None, label_smoothing=0.0):
    """`yes * f(p) + no * f(1 - p)`, of what `sides` of labels weigh. Labels are constants."""

    def value(p, y):
        if curve is None:
            log_p, log_q = _logarithms(p)
            if class_weights is None and not label_smoothing:
                return spent("negative", between(log_q, log_p, y, spare=True))
            yes, no = sides(y, class_weights, label_smoothing)
            return -(yes * log_p + no * log_q)
        yes, no = sides(y, class_weights, label_smoothing)
        of_yes, of_no = _yes_and_no(p)
        return yes * curve.value(of_yes) + no * curve.value(of_no)

    def gradient(upstream, p, y):
        yes, no = sides(y, class_weights, label_smoothing)
        if curve is not None:
            of_yes, of_no = _yes_and_no(p)
            yes = yes * own_slope(curve, curve.slope(of_yes), p)
            no = no * own_slope(curve, curve.slope(of_no), 1 - p)
        slope = spent("divide", no, above_zero(1 - p))
        slope = spent("subtract", slope, yes / above_zero(p))
        return spent("multiply", slope, upstream), None

    return with_gradient(value, gradient)(p, y)


def sides(y, class_weights, label_smoothing=0.0):
    """What labels weigh as 1 and as 0: the latter of `1 - y`, not less what the former got."""
    yes, no = smoothed(y, label_smoothing, 2), smoothed(1 - y, label_smoothing, 2)
    if class_weights is None:
        return yes, no
    if len(class_weights) != 2:
        raise ValueError(
            f"class_weights needs two weights, for the labels 0 and 1, got {class_weights!r}"
        )
    return yes * class_weights[1], no * class_weights[0]


def binary_entries(y_true, y_pred, from_logits, label_smoothing, class_weights, curve=None):
    """A loss of binary labels, entry by entry."""
    y = cast(y_true, dtype_of(y_pred))
    if class_weights is not None:
        used = sum(sides(y, class_weights, label_smoothing)) != 0
        y_pred = ops.where(used, y_pred, 0.5)
    loss = logistic if from_logits else bernoulli
    return loss(y_pred, y, curve, class_weights, label_smoothing)


def of_binary(y_true, y_pred, from_logits, label_smoothing, axis, class_weights, mask, curve=None):
    """Mean over `axis` of a loss of binary labels, with all options."""
    entries = binary_entries(y_true, y_pred, from_logits, label_smoothing, class_weights, curve)
    return mean(entries, mask, axis)


def of_entries(loss, y_true, y_pred, class_weights):
    """`loss(y_pred)` that is no sum over both labels: an entry weighs what its label does."""
    if class_weights is None:
        return loss(y_pred)
    weight = sum(sides(cast(y_true, dtype_of(y_pred)), class_weights))
    return weight * loss(ops.where(weight == 0, 0.5, y_pred))
