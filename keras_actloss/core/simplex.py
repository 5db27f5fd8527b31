"""Projections onto the probability simplex that give exact zeros, and the heights they rest on.

Each is a power of `relu(z + height)`, where `z <= 0` is the distance to the leading entry and one
height a row makes the sum 1. The height is found without sorting.
"""

import math

import numpy as np
from keras import ops

from keras_actloss.core.keras_fixes import amax
from keras_actloss.core.numerics import log1p, polynomial, positive, repeat_while, with_gradient
from keras_actloss.core.tensors import dtype_of, known_size


def _sum(x, axis):
    return ops.sum(x, axis=axis, keepdims=True)


def _power(x, exponent):
    """`x**exponent` of positive `x`, in ops that an exporter knows for a batch of any size."""
    return ops.exp(exponent * ops.log(x))


def distance(x, axis):
    """`x` minus its maximum: a shift that the result does not feel, and no gradient need follow."""
    if x.shape[axis] == 0:
        raise ValueError(
            f"logits of shape {tuple(x.shape)} have no entry along axis={axis} to get the 1 that "
            "they share; give them at least one class"
        )
    return x - ops.stop_gradient(amax(x, axis=axis, keepdims=True))


def _pull_back(upstream, slope, axis):
    """`slope * (upstream - mean)`, the mean of `upstream` weighed by `slope`.

    Relative to what the steepest entry gets, nothing cancels where that entry has nearly all of the
    slope.
    """
    steepest = slope == amax(slope, axis=axis, keepdims=True)
    reference = amax(ops.where(steepest, upstream, -np.inf), axis=axis, keepdims=True)
    scaled = slope * (upstream - reference)
    return scaled - slope / _sum(slope, axis) * _sum(scaled, axis)


def _most_steps(z, axis):
    # A Newton step on a convex function quarters the product of value and slope, or better. The
    # product begins below size ** 2 and has settled at the resolution of the dtype.
    # A size that is not known may be any.
    return int(known_size(z, axis) or 2**31).bit_length() + np.finfo(dtype_of(z)).nmant // 2 + 1


def _newton(z, axis, total, excess, slope):
    """The height where `excess(total(relu(z + height)))` is 0, by Newton's method from above.

    At height 1 the leading entry alone has a total of 1. The excess is convex, so that the steps
    down never pass the root; they end when the slope no longer changes, at the latest at the
    resolution of the dtype.

    Returns:
        `(height, edge, slope)`: the height, and the last one but a final correction, with the slope
        there.
    """

    def step(height, r, steepness, _):
        height = ops.minimum(height, height - excess(total(r)) / steepness)
        # Value and slope of one height are summed in two iterations: XLA would else fuse them into
        # one loop over single entries, which takes five times as long.
        r = ops.relu(z + height)
        new = slope(r)
        return height, r, new, ops.any(new < steepness)

    z = ops.stop_gradient(z)
    height = ops.ones_like(amax(z, axis=axis, keepdims=True))
    r = ops.relu(z + height)
    start = (height, r, slope(r), ops.convert_to_tensor(True))
    edge, r, steepness, _ = repeat_while(step, start, _most_steps(z, axis))
    height = edge - excess(total(r)) / steepness
    return tuple(ops.stop_gradient(v) for v in (height, edge, steepness))


def sparsemax_height(z, axis):
    """`(height, edge, support)` of `sparsemax`, to be handed to `sparsemax_at`."""

    def total(r):
        return _sum(r, axis)

    def count(r):
        return _sum(ops.sign(r), axis)

    return _newton(z, axis, total, lambda s: s - 1, count)


def sparsemax_at(z, height, edge, support, axis):
    """The point of the simplex that is closest to `z`."""

    def value(z, height, edge, support):
        return ops.relu(z + height)

    def gradient(upstream, z, height, edge, support):
        # The edge, where the support was counted: which entries those are then fits their number.
        inside = ops.sign(ops.relu(z + edge))
        kept = upstream * inside
        return kept - inside * (_sum(kept, axis) / support), None, None, None

    return with_gradient(value, gradient, opaque=True)(z, height, edge, support)


def entmax15_height(z, axis):
    """The height of `entmax15_at`, where `z` is half the distance to the leading entry."""

    def squares(r):
        return _sum(r * r, axis)

    # The root of the sum of squares is nearly linear in the height, the sum itself is not.
    height, _, _ = _newton(z, axis, squares, lambda s: s - ops.sqrt(s), lambda r: _sum(r, axis))
    return height


def entmax15_at(z, height, axis):
    """The squares of `relu(z + height)`."""

    def value(z, height):
        r = ops.relu(z + height)
        return r * r

    def gradient(upstream, z, height):
        return 2 * _pull_back(upstream, ops.relu(z + follow(z, height)), axis), None

    def follow(z, height):
        """The height as a function of `z`, for the derivative of the gradient."""

        def slope(upstream, z, height):
            r = ops.relu(z + follow(z, height))
            return -upstream * r / _sum(r, axis), None

        return with_gradient(lambda z, height: height + 0, slope, opaque=True)(z, height)

    return with_gradient(value, gradient, opaque=True)(z, height)


def entmax_height(z, exponent, axis, convex):
    """The height of `entmax`: by Newton's method where the sum is convex, else by bisection."""
    exponent = ops.stop_gradient(exponent)
    z = ops.stop_gradient(z) * exponent
    # Halving takes a step a digit, and the height may be as small as size ** -exponent.
    most = _most_steps(z, axis) * (1 if convex else 4)
    by_newton = exponent <= 1

    def step(low, high, _):
        height = ops.where(by_newton, high, (low + high) / 2)
        r = ops.relu(z + height)
        # An exporter takes the 1 and 0 of a loop for integers unless they are written as floats.
        weight = ops.where(r > 0, _power(ops.where(r > 0, r, 1.0), 1 / exponent - 1), 0.0)
        total, slope = _sum(r * weight, axis), _sum(weight, axis)
        newton = ops.minimum(high, high - (total - _power(total, 1 - exponent)) / slope)
        above = total >= 1
        new_high = ops.where(by_newton, newton, ops.where(above, height, high))
        new_low = ops.where(ops.logical_or(by_newton, above), low, height)
        moved = ops.logical_or(new_high < high, new_low > low)
        return new_low, new_high, ops.any(moved)

    high = ops.ones_like(exponent)
    start = (ops.zeros_like(high), high, ops.convert_to_tensor(True))
    _, height, _ = repeat_while(step, start, most)
    return ops.stop_gradient(height)


def entmax_at(z, exponent, height, axis, fixed):
    """The powers of `relu(exponent * z + height)` to `1 / exponent`, as shares of their sum.

    With `fixed` there is no gradient of `exponent`.
    """

    def value(z, exponent, height):
        return parts(z, exponent, height)[0]

    def parts(z, exponent, height):
        """The result `y`, its logarithm inside the support, and `y ** (2 - alpha)` in two factors.

        The second, one per row, is beyond the floats where a large `alpha` splits a row evenly.
        """
        ratio = exponent * z / height
        inside = ratio > -1
        ratio = ops.where(inside, ratio, 0.0)
        log_weight = log1p(ratio) / exponent
        weight = ops.where(inside, ops.exp(log_weight), 0.0)
        mass = _sum(weight, axis)
        slope = weight / (1 + ratio)
        # As a power of less than 1 an entry at the edge leaps with the last digit of the height:
        # there the steepest entries make room for what is too much.
        steep, root = exponent > 1, _power(height, 1 / exponent)
        fitted = ops.relu(root * weight - slope / _sum(slope, axis) * (root * mass - 1))
        y = ops.where(steep, fitted, weight / mass)
        log_y = ops.where(steep, ops.log(positive(fitted)), log_weight - ops.log(mass))
        scale = ops.where(steep, root / height, _power(mass, exponent - 1))
        return y, log_y, slope, ops.minimum(scale, 1e38)

    def gradient(upstream, z, exponent, height):
        _, log_y, slope, scale = parts(z, exponent, follow(z, exponent, height))
        of_z = _pull_back(upstream, slope, axis) * scale
        if fixed:
            return of_z, None, None
        # Without the terms of the textbook form that cancel as the exponent goes to 0.
        bend = log_y * log_y * _half_square_rest(exponent * log_y)
        return of_z, -_sum(of_z * bend, axis), None

    def follow(z, exponent, height):
        """The height as a function of the others, for the derivative of the gradient."""

        def slope_of(upstream, z, exponent, height):
            y, log_y, slope, scale = parts(z, exponent, follow(z, exponent, height))
            share = -upstream / _sum(slope, axis)
            tilt = ops.where(slope > 0, slope * z - y / scale * log_y, 0.0)
            return share * exponent * slope, share * _sum(tilt, axis), None

        return with_gradient(lambda z, exponent, height: height + 0, slope_of, opaque=True)(
            z, exponent, height
        )

    return with_gradient(value, gradient, opaque=True)(z, exponent, height)


def _half_square_rest(t):
    """`(1 - (1 - t) * exp(t)) / t ** 2` for `t <= 0`: 1/2 at 0, where the quotient is 0 / 0."""
    series = polynomial([1 / (math.factorial(k) * (k + 2)) for k in range(12)], ops.maximum(t, -1))
    far = ops.minimum(t, -1)
    return ops.where(t > -1, series, (1 - (1 - far) * ops.exp(far)) / (far * far))
