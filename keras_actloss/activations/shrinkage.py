"""Shrinkage: activations that pull small inputs to zero and keep large ones."""

import itertools
import math
from typing import Any, Unpack

from keras import ops

from keras_actloss.core.checks import non_negative, number, or_none, ordered
from keras_actloss.core.functions import activation, by_kernel
from keras_actloss.core.kernels import at_most, runs_torch, select, spent
from keras_actloss.core.layer import ActivationLayer, LayerArguments
from keras_actloss.core.numerics import polynomial, rounded_once
from keras_actloss.core.registry import register
from keras_actloss.core.tensors import dtype_of


def _bounds(owner, threshold, lower, upper):
    """The ends of the interval that is pulled to zero."""
    lower = -threshold if lower is None else lower
    upper = threshold if upper is None else upper
    ordered(owner, lower=lower, upper=upper)
    return lower, upper


def _outside(lower, upper):
    def gradient(upstream, x):
        return ops.where(ops.logical_and(lower <= x, x <= upper), 0.0, upstream)

    return gradient


def _is_native(lower, upper):
    """Whether torch has a kernel for it; those of TensorFlow and JAX turn NaN into 0."""
    return runs_torch() and 0 <= upper == -lower < math.inf


@activation(threshold=non_negative, lower=or_none(number), upper=or_none(number))
def hard_shrink(x: Any, threshold=0.5, lower: Any = None, upper: Any = None) -> Any:
    """Zero inside an interval around 0, the input outside of it.

    Take it to drop small coefficients, of a wavelet transform say, and keep the others as they
    are; `soft_shrink` is continuous.

    Formula:

        low = -threshold if lower is None else lower
        high = threshold if upper is None else upper
        y = where((low <= x) & (x <= high), 0, x)

    Args:
        x: Tensor.
        threshold: Half the width of the interval, at least 0. Defaults to `0.5`.
        lower: Lower end of the interval, or `None` for `-threshold`. Defaults to `None`.
        upper: Upper end of the interval, or `None` for `threshold`. Defaults to `None`.

    Shapes:
        Any; the output has the shape and dtype of `x`.

    Raises:
        ValueError: If `threshold` is negative or the lower end exceeds the upper one.

    Example:

    >>> float(keras_actloss.activations.hard_shrink(0.75))
    0.75

    Related:
        `thresholded_relu` is the right half of it.

    Reference:
        [Donoho and Johnstone, 1994](https://doi.org/10.1093/biomet/81.3.425)
    """
    low, high = _bounds("hard_shrink", threshold, lower, upper)

    def shrunk(x):
        if _is_native(low, high):
            return ops.hard_shrink(x, high)
        return ops.where(ops.logical_and(low <= x, x <= high), 0.0, x)

    return by_kernel(x, shrunk, _outside(low, high))


@register("layers")
class HardShrink(ActivationLayer, fn=hard_shrink):
    """Layer form of `hard_shrink`."""

    def __init__(self, threshold=0.5, lower=None, upper=None, **kwargs: Unpack[LayerArguments]):
        super().__init__(**kwargs)
        self.threshold = threshold
        self.lower = lower
        self.upper = upper
        _bounds("HardShrink", threshold, lower, upper)


@activation(threshold=non_negative, lower=or_none(number), upper=or_none(number))
def soft_shrink(x: Any, threshold=0.5, lower: Any = None, upper: Any = None) -> Any:
    """The distance to an interval around 0, with its sign: zero inside, moved towards 0 outside.

    Take it for sparse codes, as the step that an L1 penalty calls for; `hard_shrink` leaves large
    inputs as they are.

    Formula:

        low = -threshold if lower is None else lower
        high = threshold if upper is None else upper
        y = where(x > high, x - high, where(x < low, x - low, 0))

    Args:
        x: Tensor.
        threshold: Half the width of the interval, at least 0. Defaults to `0.5`.
        lower: Lower end of the interval, or `None` for `-threshold`. Defaults to `None`.
        upper: Upper end of the interval, or `None` for `threshold`. Defaults to `None`.

    Shapes:
        Any; the output has the shape and dtype of `x`.

    Raises:
        ValueError: If `threshold` is negative or the lower end exceeds the upper one.

    Example:

    >>> float(keras_actloss.activations.soft_shrink(0.75))
    0.25

    Related:
        `soft_shrink(x, threshold) = x - hard_tanh(x, -threshold, threshold)`.

    Reference:
        [Donoho and Johnstone, 1994](https://doi.org/10.1093/biomet/81.3.425)
    """
    low, high = _bounds("soft_shrink", threshold, lower, upper)

    def shrunk(x):
        return ops.soft_shrink(x, high) if _is_native(low, high) else x - ops.clip(x, low, high)

    return by_kernel(x, shrunk, _outside(low, high), ("torch",) if _is_native(low, high) else ())


@register("layers")
class SoftShrink(ActivationLayer, fn=soft_shrink):
    """Layer form of `soft_shrink`."""

    def __init__(self, threshold=0.5, lower=None, upper=None, **kwargs: Unpack[LayerArguments]):
        super().__init__(**kwargs)
        self.threshold = threshold
        self.lower = lower
        self.upper = upper
        _bounds("SoftShrink", threshold, lower, upper)


# Up to here the fraction below is as exact as the dtype; beyond it little is lost in x - tanh(x).
_NEAR = 1.5


def _lambert(last):
    """The fraction of `tanh(x) / x = 1 / (1 + z / (3 + z / (5 + ...)))` with `z = x**2`, cut off.

    Returns:
        Polynomials `p` and `q` such that it is `q / (z * p + q)`: all coefficients are positive, so
        nothing cancels.
    """
    p, q = [0], [1]
    for odd in range(last, 1, -2):
        p, q = q, [odd * a + b for a, b in itertools.zip_longest(q, [0, *p], fillvalue=0)]
    return p, q


_LAMBERT = {"float32": _lambert(11), "float64": _lambert(19)}


def _tanh_parts(x):
    """`|x|`, `exp(-2 |x|)`, whether `x` is near 0, and what the fraction there is made of.

    XLA keeps the exponential for all that is computed of it.
    """
    size = ops.abs(x)
    square = at_most(ops.square(x), _NEAR**2)
    p, q = (polynomial(part, square) for part in _LAMBERT[dtype_of(x)])
    return size, ops.exp(-2 * size), size < _NEAR, spent("multiply", p, square), q


def _tanh_shrink_value(x):
    size, e, near, p, q = _tanh_parts(x)
    denominator = select(near, spent("add", q, p), 1 + e)
    # Over 1 + e, as a sum of terms of one sign; at 100 the first one is 0, of infinity too.
    far = spent("add", spent("multiply", e, at_most(size, 100.0) + 1), size - 1)
    rest = select(near, spent("multiply", p, size), far)
    return spent("multiply", spent("divide", rest, denominator), ops.sign(x))


def _tanh_shrink_gradient(upstream, x):
    if runs_torch():  # Its tanh is right to half a unit.
        return upstream * ops.square(ops.tanh(x))
    size, e, near, p, q = _tanh_parts(x)
    tanh = select(near, size * q, 1 - e) / select(near, p + q, 1 + e)
    return upstream * ops.square(tanh)


@activation()
def tanh_shrink(x: Any) -> Any:
    """What `tanh` takes away: almost zero around 0, the input moved by 1 far from it.

    Take it for a smooth shrinkage, between `soft_shrink` and the identity. It is right near zero,
    where subtracting a computed `tanh(x)` leaves nothing.

    Formula:

        y = x - tanh(x)

    Args:
        x: Tensor.

    Shapes:
        Any; the output has the shape and dtype of `x`.

    Example:

    >>> float(keras_actloss.activations.tanh_shrink(1.0))
    0.2384...

    Related:
        Its derivative is `tanh(x) ** 2`; near zero it is `x ** 3 / 3`.

    Reference:
        [NIST Digital Library of Mathematical Functions, section 4.39](https://dlmf.nist.gov/4.39)
    """
    return rounded_once(_tanh_shrink_value, _tanh_shrink_gradient)(x)


@register("layers")
class TanhShrink(ActivationLayer, fn=tanh_shrink):
    """Layer form of `tanh_shrink`."""

    def __init__(self, **kwargs: Unpack[LayerArguments]):
        super().__init__(**kwargs)
