"""Losses of the probability of yes or no, entry by entry."""

import math

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
    near, small, large = ops.log1p(e), e / (1 + e), 1 / (1 + e)
    return (
        Label(near, large, small, lambda exponent: ops.exp(-exponent * near)),
        Label(distance + near, small, large, far_from(distance, 0.0, near)),
    )


def both_sides(x, from_logits):
    """The probabilities of yes and no, each to the last digit."""
    return sigmoid_sides(x) if from_logits else (x, 1 - x)


def _of_wrong_answer(x, y):
    """`logistic` of labels that are 0 or 1, on torch: a kernel of the wrong answer's logit."""

    def wrong(x, y):
        return spent("multiply", signs_of_no(y), x)

    def value(wrong, x, y):
        return softplus_of_torch(wrong)

    def gradient(upstream, wrong, x, y):
        p = ops.sigmoid(wrong)
        # Beside a label of 1 it is `-p`, to the last digit.
        return spent("multiply", spent("addcmul", p, p, y, value=-2), upstream), None

    return with_gradient(value, gradient, wrong)(x, y)


def logistic(x, y, curve=None):
    """`y * f(p) + (1 - y) * f(1 - p)` of `p = sigmoid(x)`. Labels are constants."""
    if curve is None and are_yes_or_no(y):
        return _of_wrong_answer(x, y)

    def value(x, y):
        if curve is None and runs_torch():
            # Two tensors at a time, and one kernel for the exponential and its logarithm.
            loss = ops.softplus(spent("negative", ops.abs(x)))
            unlikely = spent("subtract", ops.relu(ops.sign(x)), y)
            loss = spent("add", loss, asked_of_number(x, unlikely, spare=True))
            return spent("add", loss, y, alpha=0)  # It is NaN if a label is.
        of_unlikely = choose(x, 1 - y, y)
        if curve is None:
            distance = ops.abs(x)
            return asked(of_unlikely, distance) + ops.log1p(ops.exp(-distance))
        likely, unlikely = _sides(x)
        of_likely = choose(x, y, 1 - y)
        return of_likely * curve.value(likely) + asked_of_number(of_unlikely, curve.value(unlikely))

    def gradient(upstream, x, y):
        # Never sigmoid(x) - 1: a logit that is right by 17 still has its gradient.
        if curve is not None:
            likely, unlikely = _sides(x)
            away = choose(x, y, 1 - y) * slope_of(curve, likely) * likely.q
            back = choose(x, 1 - y, y) * slope_of(curve, unlikely) * unlikely.q
            slope = choose(x, back - away, away - back)
        elif runs_torch():
            # Two fused kernels beat one exponential in five passes.
            slope = ops.sigmoid(x)
            slope = spent("lerp", slope, spent("negative", spent("sigmoid", -x)), y)
            return spent("multiply", slope, upstream), None
        else:
            e = ops.exp(-ops.abs(x))
            small = e / (1 + e)
            slope = ops.where(x > 0, (1 - y) - small, small - y)
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


def bernoulli(p, y, curve=None):
    """`y * f(p) + (1 - y) * f(1 - p)`. Labels are constants."""

    def value(p, y):
        if curve is None:
            log_p, log_q = _logarithms(p)
            return spent("negative", between(log_q, log_p, y, spare=True))
        yes, no = _yes_and_no(p)
        return y * curve.value(yes) + (1 - y) * curve.value(no)

    def gradient(upstream, p, y):
        of_yes, of_no = y, 1 - y
        if curve is not None:
            yes, no = _yes_and_no(p)
            of_yes = of_yes * own_slope(curve, curve.slope(yes), p)
            of_no = of_no * own_slope(curve, curve.slope(no), 1 - p)
        of_no = spent("divide", of_no, above_zero(1 - p))
        slope = spent("subtract", of_no, of_yes / above_zero(p))
        return spent("multiply", slope, upstream), None

    return with_gradient(value, gradient)(p, y)


def sides(y, class_weights):
    """What the labels 1 and 0 of `y` weigh."""
    if class_weights is None:
        return y, 1 - y
    if len(class_weights) != 2:
        raise ValueError(
            f"class_weights needs two weights, for the labels 0 and 1, got {class_weights!r}"
        )
    return y * class_weights[1], (1 - y) * class_weights[0]


def binary_entries(y_true, y_pred, from_logits, label_smoothing, class_weights, curve=None):
    """A loss of binary labels, entry by entry."""
    loss = logistic if from_logits else bernoulli
    y = smoothed(cast(y_true, dtype_of(y_pred)), label_smoothing, 2)
    if class_weights is None:
        return loss(y_pred, y, curve)
    # Weighted labels are labels again, times what they weigh together.
    yes, no = sides(y, class_weights)
    mass = yes + no
    y = ops.where(mass == 0, 0.5, yes / ops.where(mass == 0, 1.0, mass))
    y_pred = ops.where(mass == 0, 0.5, y_pred)
    return mass * loss(y_pred, y, curve)


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
