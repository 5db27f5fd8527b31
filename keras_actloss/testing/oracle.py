"""The formula of a docstring, evaluated with fifty digits and more.

What the documentation prints is what is computed here: the lines below `Formula:` are NumPy-like
Python in the arguments' own names. Values are exact to fifty digits, derivatives are central
differences at a working precision that leaves fifty digits after every cancellation. Both are
rounded once, to float64, of which a unit in the last place of float32 has half a billion.
"""

import functools
import inspect
import itertools

import numpy as np

try:
    from mpmath import mp, mpf
except ImportError as error:
    raise ImportError(
        "the formula checks need mpmath; install it with pip install keras-actloss[testing]"
    ) from error

from keras_actloss.testing.report import NotApplicable

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


def needed_formula_of(thing):
    """`formula_of`, for a check that does not apply without one."""
    formula = formula_of(thing)
    if formula is None:
        raise NotApplicable("the docstring has no block `Formula:`")
    return formula


def exact(x):
    """An array of numbers as an object array of multiprecision numbers."""
    x = np.asarray(x)
    return np.vectorize(lambda v: mpf(float(v)), otypes=[object])(x) if x.size else x.astype(object)


def _each(function):
    return lambda *args: np.frompyfunc(function, len(args), 1)(*args)


# A difference moves one entry of a sample: the others keep their logarithms.
_exp, _log, _log1p = (functools.lru_cache(2**14)(f) for f in (mp.exp, mp.log, mp.log1p))


def _xlogy(x, y):
    return mpf(0) if x == 0 else x * _log(y)


def _one_hot(ids, size, axis):
    return exact(np.moveaxis(np.eye(size)[np.asarray(ids)], -1, axis))


def _corners(boxes, bounding_box_format):
    """The corners of least and of greatest coordinates."""
    first, second = boxes[..., :2], boxes[..., 2:]
    if "center" in bounding_box_format:
        first, second = first - second / 2, first + second / 2
    elif bounding_box_format.endswith("wh"):
        second = first + second
    return np.minimum(first, second), np.maximum(first, second)


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


def _softmax(x, axis):
    e = _each(mp.exp)(x - np.max(x, axis=axis, keepdims=True))
    return e / np.sum(e, axis=axis, keepdims=True)


def _pixels(x, per, axis):
    """`(samples, pixels, classes)`, for each sample those of its image or of the whole batch."""
    x = np.moveaxis(x, axis, -1)
    x = x.reshape(len(x), -1, x.shape[-1])
    return x if per == "image" else np.tile(x.reshape(1, -1, x.shape[-1]), (len(x), 1, 1))


def _by_class(x, per, axis):
    """Rows of pixels of each class, for each sample."""
    return np.moveaxis(_pixels(x, per, axis), -1, 1)


def _class_weights(y, absent, background, class_weights):
    """What a class counts in a mean over classes, `(samples, classes)`."""
    size = np.sum(y, axis=1)
    weight = np.where((size > 0) | (absent == "count"), mpf(1), mpf(0))
    if class_weights is not None:
        weight = weight * exact(class_weights)
    weight[:, : 0 if background else 1] = mpf(0)
    return size, weight


def _class_mean(values, y, *options):
    """Mean over the classes, of values of labels `y` that `_pixels` has laid out."""
    _, weight = _class_weights(y, *options)
    total = np.sum(weight, axis=-1)
    return np.sum(weight * values, axis=-1) / np.where(total == 0, mpf(1), total)


def _rarities(y, *options):
    """What a class weighs by its size; the rarest that counts has 1, and an absent one as much."""
    size, weight = _class_weights(y, *options)
    present = (size > 0) & (weight > 0)
    smallest = np.min(np.where(present, size, mp.inf), axis=-1, keepdims=True)
    return weight * np.where(present, smallest / np.where(present, size, mpf(1)), mpf(1)) ** 2


def _neighborhood(choose, x, axis):
    padded = np.pad(x, [(1, 1) if i == axis else (0, 0) for i in range(x.ndim)], mode="edge")
    size = x.shape[axis]
    return functools.reduce(
        choose, [np.take(padded, np.arange(size) + shift, axis) for shift in range(3)]
    )


def _skeleton(x, iterations, axis):
    """The soft skeleton of masks, on all axes but those of the samples and the classes."""
    axes = [i for i in range(1, x.ndim) if i != axis % x.ndim]

    def eroded(x):
        return functools.reduce(np.minimum, [_neighborhood(np.minimum, x, axis) for axis in axes])

    def opened(x):
        return functools.reduce(lambda x, axis: _neighborhood(np.maximum, x, axis), axes, eroded(x))

    skeleton = np.maximum(x - opened(x), mpf(0))
    for _ in range(iterations):
        x = eroded(x)
        ridge = np.maximum(x - opened(x), mpf(0))
        skeleton = skeleton + np.maximum(ridge - skeleton * ridge, mpf(0))
    return skeleton


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
        "arctan": _each(mp.atan2),
        "by_class": _by_class,
        "class_mean": _class_mean,
        "concatenate": np.concatenate,
        "corners": _corners,
        "cumprod": np.cumprod,
        "cumsum": np.cumsum,
        "erf": _each(mp.erf),
        "exp": _each(_exp),
        "expm1": _each(mp.expm1),
        "flat": lambda x: np.reshape(x, (len(x), -1)),
        "floor": lambda x: int(mp.floor(x)),
        "gamma": _each(mp.gamma),
        "halves": _halves,
        "inf": mp.inf,
        "log": _each(_log),
        "log1p": _each(_log1p),
        "max": np.max,
        "maximum": _each(lambda a, b: a if a > b else mpf(b)),
        "mean": np.mean,
        "minimum": _each(lambda a, b: a if a < b else mpf(b)),
        "one_hot": _one_hot,
        "pi": mp.pi,
        "pixels": _pixels,
        "pad": _pad,
        "pair": lambda smooth: np.broadcast_to(exact(smooth), (2,)),
        "rarities": _rarities,
        "root": _root,
        "sign": _each(mp.sign),
        "sigmoid": _each(lambda v: 1 / (1 + mp.exp(-v))),
        "sin": _each(mp.sin),
        "skeleton": _skeleton,
        "size": np.size,
        "softmax": _softmax,
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


def _exactly(formula, arguments, constants=lambda x: x):
    """The last line's `y` or `loss` of a formula, as an object array."""
    rank = np.ndim(arguments["y_pred"] if "y_pred" in arguments else arguments["x"])
    scope = _namespace(rank) | {"stop_gradient": constants}
    for name, value in arguments.items():
        is_float = isinstance(value, float) or getattr(value, "dtype", int) in (
            "float32",
            "float64",
        )
        scope[name] = exact(value) if is_float else value
    with mp.workdps(_DIGITS):
        exec(formula, scope)  # The text is the package's or the user's own source code.
    return np.asarray(scope["loss" if "loss" in scope else "y"], dtype=object)


def _rounded(numbers):
    """An object array in float64, with NaN for `None`."""
    if any(v is not None and mp.isnan(v) for v in numbers.flat):
        raise ArithmeticError("the formula is not a number at one of these arguments")
    floats = [np.nan if v is None else float(v) for v in numbers.flat]
    return np.reshape(np.array(floats, "float64"), numbers.shape)


def evaluate(formula, **arguments):
    """The last line's `y` or `loss` of a formula, in float64.

    Args:
        formula: Text as in a docstring.
        arguments: The names it uses; float arrays and numbers become multiprecision ones, integer
            arrays, `None`, flags and axes stay.

    Raises:
        ArithmeticError: If the formula is not a number there.
    """
    return _rounded(_exactly(formula, arguments))


def derivative(formula, name, x, upstream=None, coupled=False, /, **arguments):
    """Gradient of `sum(upstream * formula)` with respect to the array `x` called `name`.

    Unless `coupled`, samples along the first axis must not depend on each other: one entry of each
    is moved at once.

    Returns:
        A float64 array of the shape of `x`, with NaN where the derivative jumps.
    """
    x = np.asarray(x)
    gradient = np.empty(x.shape, dtype=object)
    upstream = 1 if upstream is None else exact(upstream)
    constants = _Constants()

    def totals(moved):
        values = upstream * _exactly(formula, {name: moved} | arguments, constants)
        constants.restart()
        return np.sum(values) if coupled else np.sum(values.reshape(len(x), -1), axis=1)

    with mp.workdps(_DIGITS):
        center = totals(exact(x))
        for column in np.ndindex(x.shape if coupled else x.shape[1:]):
            column = column if coupled else (slice(None), *column)
            step = _each(lambda v: abs(v) * mpf(10) ** -30 or mpf(10) ** -60)(exact(x)[column])
            sides = []
            for sign in (1, -1):
                moved = exact(x)
                moved[column] += sign * step
                sides.append(sign * (totals(moved) - center) / step)
            gradient[column] = _each(_unless_it_jumps)(*sides)
    return _rounded(gradient)


def _unless_it_jumps(right, left):
    jumps = abs(right - left) > mpf(10) ** -15 * (abs(right) + abs(left))
    return None if jumps else (right + left) / 2


def ulp(value, dtype):
    """The distance of neighboring floats of `dtype` around exact values."""
    digits, smallest = _PRECISION[dtype]
    exponent = np.where(value == 0, smallest, np.frexp(value)[1] - digits)
    return 2.0 ** np.maximum(exponent, smallest)


def unit(value, dtype):
    """What errors around exact values are told in: below `EDGE` the edge, else the last place."""
    return np.where(np.abs(value) < EDGE[dtype], EDGE[dtype], ulp(value, dtype))


def errors(got, truth, dtype):
    """Errors of computed values in units in the last place of the exact ones.

    Where the truth is NaN or beyond the largest float there is nothing to hold against it and the
    error is 0.
    """
    got = np.asarray(got, dtype="float64")
    if got.shape != truth.shape:
        raise ValueError(f"errors: computed were {got.shape} values, exact ones are {truth.shape}")
    with np.errstate(invalid="ignore"):  # Of what is infinite on both sides.
        off = np.abs(got - truth) / unit(truth, dtype)
    off = np.where(np.isfinite(got), off, np.inf)
    return np.where(np.isnan(truth) | (np.abs(truth) > LARGEST[dtype]), 0.0, off)
