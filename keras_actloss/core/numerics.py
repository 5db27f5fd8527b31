"""Stable primitives: exact gradients where automatic differentiation cancels, in one wrapper."""

import math
import numbers
import sys
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_actloss.core.keras_fixes import (
    amax,
    counted_loop,
    custom_gradient,
    differentiated,
    recomputed,
    transformable,
)
from keras_actloss.core.kernels import (
    at_least,
    at_most,
    clip,
    every_number,
    fused,
    hides_values,
    in_float64,
    largest_magnitude,
    runs_jax,
    runs_torch,
    select,
    spent,
    table_entries,
    tabulates,
    traced_by_torch,
    transformed_by_torch,
)
from keras_actloss.core.tensors import dtype_of, wide


def with_gradient(value, gradient, shared=None, opaque=False) -> Callable[..., Any]:
    """`value(*tensors)` whose gradient is `gradient(upstream, *tensors)`, a value for each tensor.

    With `shared`, both take what `shared(*tensors)` gives as their first argument, and it is
    computed once. An `opaque` value is one whose own derivative is another, for it takes something
    for a constant: JAX would take that where a gradient is differentiated again. With it
    `jax.hessian`, which goes forward through the value, fails.

    The backends disagree on how the gradient is called: torch passes the arguments and a keyword,
    JAX and TensorFlow the upstream alone. A gradient that is differentiated again on torch is
    computed from the arguments it is handed, for what the forward pass left behind is a constant
    there.
    """

    def prepared(tensors):
        return () if shared is None else (shared(*tensors),)

    def slopes(upstream, *tensors):
        return gradient(upstream, *prepared(tensors), *tensors)

    @custom_gradient
    def function(*tensors):
        kept = prepared(tensors)

        def backward(*args, upstream=None):
            if upstream is None:
                return gradient(args[0], *kept, *tensors)
            again = sys.modules["torch"].is_grad_enabled()
            return gradient(upstream, *(prepared(args) if again else kept), *args)

        result = value(*kept, *tensors)
        if opaque and differentiated:
            result = differentiated(slopes, result, *tensors)
        return result, backward

    def anywhere(*tensors):
        if traced_by_torch():
            return value(*prepared(tensors), *tensors)
        if transformed_by_torch():
            return transformable(
                lambda *tensors: value(*prepared(tensors), *tensors),
                slopes,
                *tensors,
            )
        return function(*tensors)

    return anywhere


# Of the functions that came last: two for each activation and setting, of at most 512 KiB.
_TABLES: dict[Any, Any] = {}
_MOST_TABLES = 64


def looked_up(function, name, x, dtype):
    """`function(x)`, of each entry alone; in a table where that pays, as `tabulates` tells.

    Args:
        function: Function of a tensor, whose result may be a tuple of tensors.
        name: What tells `function` from all others, with its settings.
        x: Tensor, which may be wider than `dtype`.
        dtype: What `x` holds numbers of.
    """
    if not tabulates(x, dtype):
        return function(x)
    key, width = (name, dtype, x.device), x.dtype
    x = ops.cast(x, dtype)
    table = _TABLES.get(key)
    if table is None:
        while len(_TABLES) >= _MOST_TABLES:
            _TABLES.pop(next(iter(_TABLES)))
        table = _TABLES[key] = function(every_number(x).to(width))
    if isinstance(table, tuple):
        return tuple(table_entries(column, x) for column in table)
    return table_entries(table, x)


def rounded_once(value, gradient, table=None) -> Callable[..., Any]:
    """`with_gradient(value, gradient)`, computed in float32 and rounded once for an `x` in 16 bit.

    The backends' kernels round their gradients before they are used in 16 bit: the derivative of a
    saturated sigmoid is off by a factor there, not by a rounding. Nothing but the tensors as they
    come in is kept for the backward pass. The result has the dtype of `x`, which is the first.

    Args:
        value: Function of the tensors.
        gradient: Function of the upstream and the tensors.
        table: What tells this function from all others, with its settings, if each entry of it is
            made of the same one of `x` alone. In 16 bit torch then looks it up.
    """
    exact = with_gradient(value, gradient)

    def function(x, *others):
        dtype = dtype_of(x)
        width = wide(dtype)
        if width == dtype:
            return exact(x, *others)

        def forward(x, *others):
            return ops.cast(value(ops.cast(x, width), *others), dtype)

        def slope(x):
            x = ops.cast(x, width)
            by_x = gradient(ops.ones_like(x), x)
            return by_x[0] if isinstance(by_x, tuple) else by_x

        def backward(upstream, x, *others):
            upstream, x = recomputed(upstream, x)
            if table is not None and tabulates(x, dtype):
                by_x = looked_up(slope, (table, "slope"), x, dtype)
                return ops.cast(spent("multiply", by_x, upstream), dtype)
            slopes = gradient(ops.cast(upstream, width), ops.cast(x, width), *others)
            by_x, *by_others = slopes if isinstance(slopes, tuple) else (slopes,)
            return ops.cast(by_x, dtype), *by_others

        if table is None:
            return with_gradient(forward, backward)(x, *others)
        return with_gradient(lambda x: looked_up(forward, (table, "value"), x, dtype), backward)(x)

    return function


def repeat_while(step, state, most):
    """`step(*state)` again and again, until the flag that ends what it returns is False.

    A graph or transform of torch, or a graph of OpenVINO, cannot end on a value: there it takes the
    `most` steps of any input. Keras's loop for torch leaves the states to the garbage collector,
    and that of JAX, called as it is, would compile the same steps in each call.
    """

    def goes_on(*state):
        return state[-1]

    backend = keras.backend.backend()
    if backend not in ("torch", "openvino") and not runs_jax(*state):
        return ops.while_loop(goes_on, step, state)
    may_end = backend == "jax" or (backend == "torch" and not hides_values())
    for _ in range(most):
        state = step(*state)
        if backend == "jax" and not runs_jax(*state):  # A transform maps what the step knows.
            return ops.while_loop(goes_on, step, state)
        if may_end and not state[-1]:
            break
    return state


def repeat_times(step, state, times):
    """`state = step(state)`, so many times, of which each looks at the neighbors of an entry.

    One after the other XLA would fuse them, and compute a neighbor anew for each of its neighbors,
    and those for each of theirs: there it takes a loop. `step` is one object in each call.
    """
    if fused():
        return counted_loop(step, state, times)
    for _ in range(times):
        state = step(state)
    return state


def tail(x):
    """`sigmoid(-|x|)`: the smaller of `sigmoid(x)` and `1 - sigmoid(x)`, without cancellation."""
    return ops.sigmoid(-ops.abs(x))


def sigmoid_sides(x):
    """`sigmoid(x)` and `1 - sigmoid(x)`, each to the last digit."""
    if keras.backend.backend() != "tensorflow":
        return ops.sigmoid(x), ops.sigmoid(-x)
    # Its own kernel is off by 6 units in the last place where it is small.
    e = ops.exp(-ops.abs(x))
    # Without 1 over a number, of which the optimizer of a graph makes a reciprocal, which is rough.
    small, above = e / (1 + e), x > 0
    large = 1 - small
    return select(above, large, small), select(above, small, large)


def absolute(x):
    """`|x|` with derivative 0 at 0, where `ops.abs` has 1 on JAX."""
    if keras.backend.backend() != "jax":
        return ops.abs(x)
    return with_gradient(ops.abs, lambda upstream, x: upstream * ops.sign(x))(x)


def smooth_absolute(x, beta, steepness=1.0):
    """`|x| - beta / 2`, and below `beta` the parabola that goes on with it, times `steepness`."""
    if beta == 0:
        return steepness * absolute(x)
    # In one number, for none that is as small as `x` to be divided by as large a `beta`.
    width = beta / steepness

    def value(x):
        # No gradient flows through the branches, so neither needs a guard.
        distance = ops.abs(x)
        return ops.where(
            distance < beta, 0.5 * x * (x / width), steepness * (distance - 0.5 * beta)
        )

    return with_gradient(
        value, lambda upstream, x: upstream * clip(x / width, -steepness, steepness)
    )(x)


# Of float32. Below it compilers flush to zero, and the logarithm is lost.
SMALLEST = 2.0**-126

# The logarithm of nothing where paths are summed: the difference of two is a number.
LOG_ZERO = -1e30


def positive(x):
    """`x`, at least the smallest normal number."""
    return at_least(x, SMALLEST)


def above_zero(x):
    """What to divide by: up to 0 a bounded slope comes of it, for 0 times it not to be NaN."""
    if runs_torch():
        # One kernel, and no mask, which is slow.
        return ops.threshold(x, math.nextafter(SMALLEST, 0), 2.0**-14)
    if not fused():
        return select(x < SMALLEST, 2.0**-14, x)
    # A broadcast constant that sums share would be a pass of its own with XLA: none is compared to.
    return ops.maximum(x, 2.0**-14 * ops.cast(x * 2.0**126 < 1, x.dtype))


def over(x, y):
    """`x / y`, 0 where `y` is 0."""
    return ops.where(y == 0, 0.0, x / ops.where(y == 0, 1.0, y))


def reciprocal(x):
    """`1 / x`, and at 0 a bounded value: times the zero slope of a saturated unit it is not NaN.

    A subnormal number, which torch does not flush, counts as 0: its reciprocal may be infinite.
    """
    return 1 / ops.where(ops.abs(x) < SMALLEST, 2.0**-14, x)


def power(x, exponent):
    """`x**exponent` of `x` and `exponent` from 0 on, whose derivative at 0 is 0 and never NaN."""
    if exponent == 0:
        return ops.ones_like(x)
    if exponent in (1, 2, 3, 4):
        square = ops.square(x)
        return (x, square, x * square, ops.square(square))[int(exponent) - 1]
    safe = ops.where(x == 0, 1.0, x)
    result = ops.power(safe, exponent)
    # Half a unit in the last place of the exponent is 40 units of the power of a small number.
    rest = exponent - float(np.float32(exponent))
    if rest and keras.backend.standardize_dtype(x.dtype) != "float64":
        result = result * (1 + rest * ops.log(safe))
    return ops.where(x == 0, 0.0, result)


def expm1(x):
    """`exp(x) - 1` without cancellation, in ops that every exporter knows.

    Off torch the product is as exact as the backend's own kernel and no slower: XLA computes that
    one with it, and shares the exponential with a gradient that has it. Its hyperbolic tangent
    loses inputs below 2.4e-38, whose half is flushed to zero.
    """
    if runs_torch():
        return ops.expm1(x)
    return ops.tanh(x / 2) * (ops.exp(x) + 1)


def log1p(x):
    """`log(1 + x)` without cancellation, in ops that every exporter knows.

    TensorFlow's exporters lack its kernel. The logarithm of the rounded sum is as good, once what
    the rounding dropped is added to first order.
    """
    if keras.backend.backend() != "tensorflow":
        return ops.log1p(x)
    # TensorFlow's optimizer would make `log1p` of the logarithm of a sum with 1, as it stands.
    total = positive(1 + x)
    # Of a sum as large it is less than a digit, and of infinity NaN.
    dropped = ops.where(total < 1e9, x - (total - 1), 0.0)
    return ops.log(total) + dropped / total


def log1m(x):
    """`log(1 - x)` of `x` up to 1."""
    if not fused() or keras.backend.backend() == "jax":
        return spent("log1p", spent("negative", x))
    # A logarithm and what the difference dropped, for XLA's `log1p` takes twice as long.
    rest = positive(1 - x)
    return ops.log(rest) + ((1 - rest) - x) / rest


def log1p_quotient(a, b):
    """`log(1 + a / b)` of `a` from 0 on and positive `b`, where the quotient overflows too."""
    if not fused():
        # Of what a quotient has beyond a float, the logarithm is another one.
        far = ops.log(ops.maximum(a * 2.0**-120 / b, 1.0))
        return ops.log1p(ops.minimum(a / b, 2.0**120)) + far
    # XLA's `log1p` takes twice as long as the logarithm of a sum and what its rounding dropped.
    scale = ops.where(a * 2.0**-100 > b, 2.0**-100, ops.ones_like(b))
    a = a * scale
    # A quotient that is used twice XLA keeps in memory; that of negatives is one of its own.
    total, again = (a + b * scale) / b, -((-a - b * scale) / b)
    dropped = a / b - (again - scale)
    return ops.log(total) + (dropped / again + (1 - scale) * (100 * math.log(2)))


def log_quotient(a, b):
    """`log(a / b)` of `a` from 0 on and positive `b`, for XLA; up to a quotient of `2**126`."""
    a = ops.minimum(a, 2.0**126 * b)
    # A quotient that is used twice XLA keeps in memory; that of negatives is one of its own.
    ratio, again = positive(a / b), positive(-(-a / b))
    # What rounding dropped, to first order; below 1/2 it is no more than a rounding.
    return ops.log(ratio) + ((a - b) / b - (again - 1)) / ops.maximum(again, 1)


def polynomial(coefficients, x):
    """The polynomial with these coefficients, constant term first."""
    *others, second, first = coefficients
    result = spent("add", first * x, second)
    for coefficient in reversed(others):
        result = spent("add", spent("multiply", result, x), coefficient)
    return result


def is_power_of_two(factor):
    """Whether a product with `factor` is exact."""
    return math.frexp(factor)[0] == 0.5


def _halves(x):
    """`x` of float32 as a sum of two floats with half of the digits each."""
    # A power of two, so that a fused multiply-add of a compiler changes nothing.
    shifted = x * 4096.0
    high = (x + shifted) - shifted
    return high, x - high


def product(a, b):
    """`a * b` of float32 tensors and what its rounding dropped (Dekker), 0 if a half overflows."""
    rounded = a * b
    (high_a, low_a), (high_b, low_b) = _halves(a), _halves(b)
    # Differences, for TensorFlow's optimizer takes a sum of sums in an order of its own. XLA would
    # not round what is the first product of one.
    low_b = -low_b
    dropped = (high_a * high_b - rounded) - (high_a * low_b - low_a * high_b) - low_a * low_b
    return rounded, ops.where(ops.abs(dropped) < 1, dropped, ops.zeros_like(dropped))


def exact_multiple(x, factor, most):
    """`factor * x` as a sum of two floats, the second of which may be None, for 0.

    At an exponent of 60, or a phase of as much, half a unit in the last place of a product is 32
    units of the exponential or the sine. On torch the product is of float64.

    Args:
        x: Tensor of float32 or wider.
        factor: A number, which may have more digits than a float32, or a tensor.
        most: What a product that is not exact is clipped to; up to 1024 it is taken for an
            exponent.
    """
    number = float(factor) if isinstance(factor, numbers.Real) else None
    if number is not None and is_power_of_two(abs(number)):
        return number * x, None
    x = in_float64(x)
    if dtype_of(x) == "float64":
        return factor * x, None
    if number is None:
        return product(factor, x)
    limit = min(most / abs(number), 3e38)
    x = clip(x, -limit, limit)
    if most > 2**10 or limit > 2.0**110:
        rounded = np.float32(number)
        t, low = product(ops.convert_to_tensor(rounded), x)
        return t, low + (number - float(rounded)) * x
    # What 12 bits of both make is exact; for an exponent the rest may be rounded.
    fraction, exponent = math.frexp(number)
    leading = math.ldexp(round(math.ldexp(fraction, 12)), exponent - 12)
    t = number * x
    high, low = _halves(x)
    return t, (leading * high - t) + (leading * low + (number - leading) * x)


def exp_multiple(x, factor):
    """`exp(factor * x)` of `x` at most 0, the rounding of the product made good."""
    t, low = exact_multiple(x, factor, 800.0)
    e = ops.cast(spent("exp", t), dtype_of(x))
    return e if low is None else e + e * low


def tanh_slope(x, factor=1.0):
    """`1 - tanh(factor * x)**2` as `4 e / (1 + e)**2` with `e = exp(-2 |factor * x|)`.

    Nothing cancels, and the rounding of the product is made good.
    """
    e = exp_multiple(-ops.abs(x), 2 * abs(factor))
    return 4 * e / ops.square(1 + e)


def difference(x, y):
    """`x - y` and what its rounding dropped (Knuth's two-sum)."""
    rounded = x - y
    back = rounded - x
    return rounded, (x - (rounded - back)) - (y + back)


def exp_near(top, *xs):
    """`exp(x - top)` of each `x` as a product that neither over- nor underflows near `top`.

    The exponential of a rounded difference is off by 16 units in the last place at a distance of
    60. Here nothing is subtracted where `top` is from 0 to 63, and else a whole number that leaves
    what counts exact: everything down to `top - 86` stays a normal float, and a sum of a billion
    terms finite. Beside infinity all else is 0.

    Returns:
        `(scale, *es)`: what to multiply with, and what to sum of each `x`.
    """
    limit = float(np.finfo(keras.backend.standardize_dtype(top.dtype)).max)
    # From where the last digit is more than the 63 on, the difference is the number itself.
    shift = clip(spent("round", top - clip(top, 0, 63)), -limit, limit)
    most = 2.0**100
    scale = spent("clip", spent("exp", shift - top), 1 / most, most)
    return scale, *(at_most(spent("exp", x - shift), most, spare=True) for x in xs)


def scale(top):
    """A power of two, by which no square of what is about as large as `top` over- or underflows."""
    factor = ops.where(top < 2.0**-30, 2.0**85, ops.ones_like(top))
    return ops.where(top > 2.0**55, 2.0**-73, factor)


def scaled(x, axis):
    """`x` times a power of two for each vector along `axis`, and these factors.

    That of a vector of zeros is 0, so that it has no gradient.
    """
    top = largest_magnitude(ops.stop_gradient(x), axis)
    factor = ops.where(top == 0, 0.0, scale(top))
    return x * factor, factor


def length(x, axis):
    """Euclidean length of the vectors that `scaled` gives, with `axis` kept; 1 of zeros."""
    square = ops.sum(ops.square(x), axis=axis, keepdims=True)
    return ops.sqrt(ops.where(square == 0, 1.0, square))


def unit(x, axis):
    """`x` with length 1 along `axis`, that length, and the factor that it was scaled by before."""
    x, factor = scaled(x, axis)
    norm = length(x, axis)
    return x / norm, norm, factor


def direction(x, axis):
    """`x` with length 1 along `axis`; a vector of zeros stays and has no gradient."""

    def gradient(upstream, kept, x):
        unit, length, factor = kept
        along = ops.sum(upstream * unit, axis=axis, keepdims=True)
        return (upstream - along * unit) / length * factor

    return with_gradient(lambda kept, x: kept[0], gradient, lambda x: unit(x, axis))(x)


def leader(x, axis):
    """What log-sum-exp needs without cancellation: maximum, where it stands, and the rest.

    `logsumexp(x) = top + log1p(rest)`, where `rest` sums `exp(x - top)` over all entries but one
    that attains the maximum. Subtracting 1 from the whole sum would lose `rest` where one entry
    leads.

    Returns:
        `(top, leads, others, rest)`: the maximum with `axis` kept, a mask of the entries that
        attain it, `exp(x - top)` with 0 at those, and `rest`.
    """
    top = amax(x, axis=axis, keepdims=True)
    # A row of -inf has no leader to subtract: its entries stay -inf and their exponentials 0.
    top = ops.where(top == -np.inf, 0.0, top)
    leads = x == top
    scale, e = exp_near(top, ops.where(leads, -np.inf, x))
    others = e * scale
    ties = ops.sum(ops.cast(leads, x.dtype), axis=axis, keepdims=True)
    rest = ops.sum(others, axis=axis, keepdims=True) + ops.maximum(ties - 1, 0)
    return top, leads, others, rest
