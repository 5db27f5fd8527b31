"""What an argument may be; every error names the argument, the value and the remedy."""

import math
import numbers
from typing import Any

import numpy as np

_MOST = float(np.finfo("float32").max)


def number(name, value):
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name} must be a number, got {value!r} of type {type(value).__name__}")
    if value != value:
        raise ValueError(f"{name} must not be NaN")
    size: Any = abs(value)
    if _MOST < size < math.inf:
        raise ValueError(f"{name} must fit into float32, up to {_MOST:.8g} in size, got {value!r}")


def or_none(check):
    """`check`, of what may also be None."""
    return lambda name, value: None if value is None else check(name, value)


def or_tensor(check):
    """`check`, of what may also be an array, or a tensor, whose entries are not looked at."""

    def check_numbers(name, value):
        if isinstance(value, np.ndarray):
            if value.dtype.kind in "bcSUOMm":
                raise TypeError(f"{name} must hold real numbers, got {value!r}")
            for end in (value.min(), value.max()) if value.size else ():
                check(name, float(end))
        elif isinstance(value, numbers.Real) or not hasattr(value, "shape"):
            check(name, value)

    return check_numbers


def ordered(owner, **bounds):
    """Refuse a lower bound above the upper one; they are given by name, the lower one first."""
    (low, lower), (high, upper) = bounds.items()
    if lower > upper:
        raise ValueError(
            f"{owner}: {low} must not exceed {high}, got {lower!r} and {upper!r}; swap them"
        )


def positive(name, value):
    number(name, value)
    if not value > 0:
        raise ValueError(f"{name} must be greater than 0, got {value!r}; use a positive number")


def positive_integer(name, value):
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < 1:
        raise ValueError(f"{name} must be an integer of at least 1, got {value!r}")


def non_negative(name, value):
    number(name, value)
    if value < 0:
        raise ValueError(f"{name} must be at least 0, got {value!r}; use 0 or a positive number")


def at_least(least):
    def check(name, value):
        number(name, value)
        if value < least:
            raise ValueError(f"{name} must be at least {least}, got {value!r}")

    return check


def finite(name, value):
    number(name, value)
    if math.isinf(value):
        raise ValueError(f"{name} must be finite, got {value!r}")


def all_of(*checks):
    """What passes every one of `checks`."""

    def check_all(name, value):
        for check in checks:
            check(name, value)

    return check_all


finite_positive = all_of(positive, finite)
finite_non_negative = all_of(non_negative, finite)


def within(low, high, ends="[]", remedy=""):
    """What lies between two numbers; a round bracket keeps its end out."""
    where = f"in {ends[0]}{low}, {high}{ends[1]}" if ends != "()" else f"between {low} and {high}"

    def check(name, value):
        number(name, value)
        above = value >= low if ends[0] == "[" else value > low
        below = value <= high if ends[1] == "]" else value < high
        if not (above and below):
            raise ValueError(f"{name} must lie {where}, got {value!r}{remedy}")

    return check


def above_one(most):
    """What is above 1; beyond `most` powers to it leave the range of float32."""
    return within(1, most, "(]", "; close to 1 is near softmax")


fraction = within(0, 1)
inner_fraction = within(0, 1, "()")
positive_fraction = within(0, 1, "(]", "; 1 takes everything")
smoothing = within(0, 1, "[)", "; 0 turns it off")


def fractions(name, value):
    """A fraction, or a flat sequence of them."""
    if isinstance(value, numbers.Real):
        return inner_fraction(name, value)
    flat = isinstance(value, (list, tuple)) or np.ndim(value) == 1
    if not flat or len(value) == 0 or any(isinstance(one, (list, tuple)) for one in value):
        raise TypeError(
            f"{name} must be a number or a flat sequence of numbers between 0 and 1, got {value!r}"
        )
    for one in value:
        inner_fraction(name, float(one) if isinstance(one, np.generic) else one)


def flag(name, value):
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be True or False, got {value!r}")


def text_or_none(name, value):
    if not isinstance(value, (str, type(None))):
        raise TypeError(f"{name} must be a string or None, got {value!r}")


def one_of(*options):
    def check(name, value):
        # An array has no single answer to whether it is an option.
        if not isinstance(value, (str, int, type(None))) or value not in options:
            raise ValueError(
                f"{name} must be one of {', '.join(map(repr, options))}, got {value!r}"
            )

    return check


def positive_integer_or_none(name, value):
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise TypeError(f"{name} must be an integer or None, got {value!r}")
    positive(name, value)


def integer_axis(name, value):
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise TypeError(f"{name} must be one integer, got {value!r}; -1 is the last axis")


def axes(name, value):
    for axis in value if isinstance(value, (tuple, list)) else (value,):
        integer_axis(name, axis)


def class_id(name, value):
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise TypeError(f"{name} must be an integer class id, got {value!r}")


def class_id_or_none(name, value):
    if value is not None and (isinstance(value, bool) or not isinstance(value, numbers.Integral)):
        raise TypeError(f"{name} must be an integer class id or None, got {value!r}")


def all_numbers(value, test):
    """Whether it is a flat sequence of at least one number, each of which passes `test`."""
    try:
        # Not of text: "12" is a sequence, and a float may be read from each of its entries.
        return len(value) > 0 and all(not isinstance(n, str) and test(float(n)) for n in value)
    except (TypeError, ValueError):
        return False


def class_weights_or_none(name, value):
    if value is None:
        return
    if isinstance(value, dict):
        raise TypeError(
            f"{name} must be a sequence with one weight a class, got a dict; "
            "write [weights[i] for i in range(num_classes)]"
        )
    if not all_numbers(value, lambda weight: 0 <= weight < math.inf):
        raise ValueError(
            f"{name} must be a flat sequence of finite weights of at least 0, one per class, "
            f"got {value!r}"
        )


def class_counts(name, value):
    if not all_numbers(value, lambda count: 0 < count < math.inf):
        raise ValueError(
            f"{name} must be a flat sequence of finite numbers above 0, one per class, "
            f"got {value!r}"
        )
