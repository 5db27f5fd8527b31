"""The formula of a docstring, evaluated with fifty digits and more.

What the documentation prints is what is computed here: the lines below `Formula:` are NumPy-like
Python in the arguments' own names. Values are exact to fifty digits, derivatives are central
differences at a working precision that leaves fifty digits after every cancellation.
"""

import inspect
import itertools

import numpy as np

try:
    from mpmath import mp, mpf
except ImportError as error:
    raise ImportError(
        "the formula checks need mpmath; install it with pip install keras-actloss[testing]"
    ) from error

# Differences over a step of 1e-30 of functions that saturate at 1e-100 still have fifty digits.
_DIGITS = 200

_PRECISION = {"float16": (11, -24), "bfloat16": (8, -133), "float32": (24, -149)}

# Results smaller than this are told by their absolute error: near it, compilers flush to zero.
EDGE = {"float16": 2.0**-24, "bfloat16": 2.0**-102, "float32": 2.0**-102}

LARGEST = {"float16": 65504.0, "bfloat16": 3.3895313892515355e38, "float32": 3.4028234663852886e38}


def formula_of(thing):
    """The text below `Formula:` in the docstring of a function or class, or None."""
    lines = (inspect.getdoc(thing) or "").splitlines()
    if "Formula:" not in lines:
        return None
    rest = lines[lines.index("Formula:") + 1 :]
    end = next((i for i, line in enumerate(rest) if line and not line.startswith(" ")), len(rest))
    return inspect.cleandoc("\n".join(["", *rest[:end]])).strip()


def exact(x):
    """An array of numbers as an object array of multiprecision numbers."""
    x = np.asarray(x)
    return np.vectorize(lambda v: mpf(float(v)), otypes=[object])(x) if x.size else x.astype(object)


def _each(function):
    return lambda *args: np.frompyfunc(function, len(args), 1)(*args)


def _xlogy(x, y):
    return mpf(0) if x == 0 else x * mp.log(y)


def _one_hot(ids, size, axis):
    return exact(np.moveaxis(np.eye(size)[np.asarray(ids)], -1, axis))


def _halves(x, axis, gate):
    """What a gate lets through, and what opens it."""
    x = np.moveaxis(x, axis, 0)
    middle = len(x) // 2
    first, last = (x[::2], x[1::2]) if gate == "interleaved" else (x[:middle], x[middle:])
    linear, opens = (first, last) if gate == "last" else (last, first)
    return np.moveaxis(linear, 0, axis), np.moveaxis(opens, 0, axis)


def _pad(x, value, side, axis):
    edge = np.full_like(np.take(x, [0], axis=axis), mpf(value))
    return np.concatenate([edge, x] if side == "start" else [x, edge], axis=axis)


def _root(function, low, high):
    """Where a decreasing function of an array, entry by entry, is 0 between `low` and `high`.

    Halving finds the neighborhood, then lines through the two sides (Illinois) find the digits.
    """
    shape = function(exact(low)).shape
    low, high = (np.broadcast_to(exact(v), shape) for v in (low, high))
    above, below, right, middle = function(low), function(high), False, low
    for step in range(100):
        chord = low + (high - low) * above / np.where(above == below, mpf(1), above - below)
        middle = (low + high) / 2 if step < 8 else chord
        value = function(middle)
        right, right_before = value < 0, right
        if step > 8:  # A side that stays loses half its weight, or the other one creeps.
            above = np.where(right & right_before, above / 2, above)
            below = np.where(~right & ~right_before, below / 2, below)
        low, above = np.where(right, low, middle), np.where(right, above, value)
        high, below = np.where(right, middle, high), np.where(right, value, below)
        if np.all(abs(value) < mpf(10) ** (20 - _DIGITS)):
            break
    return middle


def _spelled(p, labels, blank):
    """What all rows of one class a frame weigh that spell the labels of a sample."""

    blank, frames = blank % p.shape[-1], np.arange(p.shape[1])

    def spelled(row):
        merged = [c for i, c in enumerate(row) if i == 0 or c != row[i - 1]]
        return tuple(c for c in merged if c != blank)

    rows = list(itertools.product(range(p.shape[-1]), repeat=p.shape[1]))
    words = [spelled(row) for row in rows]

    def weight(p, word):
        found = [row for row, other in zip(rows, words, strict=True) if word == other]
        return sum(np.prod(p[frames, row]) for row in found)

    samples = zip(p, map(tuple, labels), strict=True)
    return np.array([weight(*sample) for sample in samples], dtype=object)


def _namespace(rank):
    def along(weights, axis):
        shape = [1] * rank
        shape[axis] = -1
        return np.reshape(exact(weights), shape)

    return {
        "abs": np.abs,
        "arange": lambda size: exact(np.arange(size)),
        "along": along,
        "concatenate": np.concatenate,
        "erf": _each(mp.erf),
        "exp": _each(mp.exp),
        "expm1": _each(mp.expm1),
        "flat": lambda x: np.reshape(x, (len(x), -1)),
        "floor": lambda x: int(mp.floor(x)),
        "gamma": _each(mp.gamma),
        "halves": _halves,
        "inf": mp.inf,
        "log": _each(mp.log),
        "log1p": _each(mp.log1p),
        "max": np.max,
        "maximum": _each(lambda a, b: a if a > b else mpf(b)),
        "mean": np.mean,
        "minimum": _each(lambda a, b: a if a < b else mpf(b)),
        "one_hot": _one_hot,
        "pi": mp.pi,
        "pad": _pad,
        "root": _root,
        "sign": _each(mp.sign),
        "sin": _each(mp.sin),
        "size": np.size,
        "sort": np.sort,
        "spelled": _spelled,
        "split": np.split,
        "sqrt": _each(mp.sqrt),
        "sum": np.sum,
        "tanh": _each(mp.tanh),
        "where": lambda c, a, b: np.where(np.asarray(c, dtype=bool), a, b),
        "xlogy": _each(_xlogy),
    }


class _Constants:
    """What `stop_gradient` is given in a formula, for a derivative to hold it where it was."""

    def __init__(self):
        self.values = []
        self.replayed = None

    def restart(self):
        self.replayed = iter(list(self.values))

    def __call__(self, x):
        if self.replayed is not None:
            return next(self.replayed)
        self.values.append(x)
        return x


def evaluate(formula, constants=None, /, **arguments):
    """The last line's `y` or `loss` of a formula, as an object array.

    Args:
        formula: Text as in a docstring.
        constants: What stands for `stop_gradient`. Defaults to `None`, which stops nothing.
        arguments: The names it uses; float arrays and numbers become multiprecision ones, integer
            arrays, `None`, flags and axes stay.
    """
    rank = np.ndim(arguments["y_pred"] if "y_pred" in arguments else arguments["x"])
    scope = _namespace(rank) | {"stop_gradient": constants or (lambda x: x)}
    for name, value in arguments.items():
        is_float = isinstance(value, float) or getattr(value, "dtype", int) in (
            "float32",
            "float64",
        )
        scope[name] = exact(value) if is_float else value
    with mp.workdps(_DIGITS):
        exec(formula, scope)  # The text is the package's or the user's own source code.
    return np.asarray(scope["loss" if "loss" in scope else "y"], dtype=object)


def derivative(formula, name, x, upstream=None, /, **arguments):
    """Gradient of `sum(upstream * formula)` with respect to the array `x` called `name`.

    Samples along the first axis must not depend on each other: one entry of each is moved at once.

    Returns:
        An object array of the shape of `x`, with `None` where the derivative jumps.
    """
    x = np.asarray(x)
    gradient = np.empty(x.shape, dtype=object)
    upstream = 1 if upstream is None else exact(upstream)
    constants = _Constants()

    def totals(moved):
        values = upstream * evaluate(formula, constants, **{name: moved}, **arguments)
        constants.restart()
        return np.sum(values.reshape(len(x), -1), axis=1)

    with mp.workdps(_DIGITS):
        center = totals(exact(x))
        for column in np.ndindex(x.shape[1:]):
            column = (slice(None), *column)
            step = _each(lambda v: abs(v) * mpf(10) ** -30 or mpf(10) ** -60)(exact(x)[column])
            sides = []
            for sign in (1, -1):
                moved = exact(x)
                moved[column] += sign * step
                sides.append(sign * (totals(moved) - center) / step)
            gradient[column] = _each(_unless_it_jumps)(*sides)
    return gradient


def _unless_it_jumps(right, left):
    jumps = abs(right - left) > mpf(10) ** -15 * (abs(right) + abs(left))
    return None if jumps else (right + left) / 2


def ulp(value, dtype):
    """The distance of neighboring floats of `dtype` around an exact value."""
    digits, smallest = _PRECISION[dtype]
    exponent = mp.frexp(value)[1] if value else smallest
    return mpf(2) ** max(exponent - digits, smallest)


def errors(got, truth, dtype):
    """Errors of computed values in units in the last place of the exact ones.

    Where the truth is `None` or beyond the largest float there is nothing to hold against it and
    the error is 0; below `EDGE` the error is told in units of the edge's own last place.
    """
    got = np.asarray(got, dtype="float64")
    result = np.zeros(got.shape)
    for index in np.ndindex(got.shape):
        value = truth[index]
        if value is None or abs(value) > LARGEST[dtype]:
            continue
        if not np.isfinite(got[index]):
            result[index] = np.inf
            continue
        unit = ulp(value, dtype)
        if abs(value) < EDGE[dtype]:
            unit = mpf(EDGE[dtype])
        result[index] = float(abs(mpf(float(got[index])) - value) / unit)
    return result
