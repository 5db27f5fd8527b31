"""Losses of a label's probability, `sum(w * y * f(p))`: the cross-entropy and its relatives.

The cross-entropy has `f(p) = -log(p)`. Another loss is another curve `f`, and its gradient is that
of the cross-entropy with each label times the slope `-p * f'(p)`. So `binary.py` and
`categorical.py` have logits and probabilities, all kinds of labels and the options once.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from keras import ops

from keras_actloss.core.checks import (
    class_id_or_none,
    class_weights_or_none,
    flag,
    integer_axis,
    smoothing,
)
from keras_actloss.core.numerics import SMALLEST, above_zero, exp_multiple, power

# The checks of what all these losses take.
OPTIONS = {
    "from_logits": flag,
    "label_smoothing": smoothing,
    "axis": integer_axis,
    "class_weights": class_weights_or_none,
    "ignore_class": class_id_or_none,
}


class Label(NamedTuple):
    """What a curve may know of the probability of a label: nothing here has cancelled."""

    loss: Any  # `-log(p)`
    p: Any
    q: Any  # `1 - p`, from what the others weigh
    to: Callable  # exponent of at most 1 -> `p**exponent`, also where p underflows


class Curve(NamedTuple):
    """A loss as functions of a `Label`: `f(p)`, and its slope `-p * f'(p)` beside `-log(p)`."""

    value: Callable
    slope: Callable
    bounded: bool = False  # Whether the slope is 0 where `p` is: its quotient by `p` need not be.


def slope_of(curve, label):
    """The slope of a curve, where 0 times an infinite loss is 0."""
    return curve.slope(label._replace(loss=ops.minimum(label.loss, 2.0**126)))


def own_slope(curve, slope, p):
    """`slope` for the derivative by `p` itself, where it is divided by `above_zero(p)`.

    That of a bounded loss is, for a `p` of 0, the slope at what is divided by: a finite derivative
    is right there, and one that is infinite not 0.
    """
    if not curve.bounded:
        return slope
    small = above_zero(ops.zeros((), p.dtype))
    one = ops.ones_like(small)
    lost = Label(-math.log(SMALLEST) * one, small, one, lambda exponent: power(small, exponent))
    return ops.where(p < SMALLEST, curve.slope(lost), slope)


def far_from(distance, dropped, near):
    """`exponent -> p**exponent` of `-log(p) = distance + dropped + near`, all but one small."""

    def to(exponent):
        e = exp_multiple(-distance, exponent)
        return ops.where(e == 0, e, e * ops.exp(-exponent * (near + dropped)))

    return to


def smoothed(y, label_smoothing, classes):
    """Labels of which a share is spread evenly over the classes."""
    return y * (1 - label_smoothing) + label_smoothing / classes if label_smoothing else y
