"""Shrinkage: activations that pull small inputs to zero and keep large ones."""

import math
from typing import Any, Unpack

from keras import ops

from keras_actloss.core.checks import non_negative, number, or_none, ordered
from keras_actloss.core.functions import activation, by_kernel
from keras_actloss.core.kernels import clip, runs_torch, spent
from keras_actloss.core.layer import ActivationLayer, LayerArguments
from keras_actloss.core.numerics import is_power_of_two, polynomial, rounded_once
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


def _narrow(lower, upper):
    """Where it serves in 16 bit, to which it rounds the ends of the interval."""
    return ("torch",) if _is_native(lower, upper) and is_power_of_two(upper) else ()


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

    return by_kernel(x, shrunk, _outside(low, high), narrow=_narrow(low, high))


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

    on = ("torch",) if _is_native(low, high) else ()
    return by_kernel(x, shrunk, _outside(low, high), on, _narrow(low, high))


@register("layers")
class SoftShrink(ActivationLayer, fn=soft_shrink):
    """Layer form of `soft_shrink`."""

    def __init__(self, threshold=0.5, lower=None, upper=None, **kwargs: Unpack[LayerArguments]):
        super().__init__(**kwargs)
        self.threshold = threshold
        self.lower = lower
        self.upper = upper
        _bounds("SoftShrink", threshold, lower, upper)


# dtype -> from where on tanh is 1, and polynomials p, q and r in z = x**2, constant term first:
# x - tanh(x) = x * z * p / q and tanh(x) = x * r / q up to there, to 8e-9 and 3e-17; r = q - z * p.
# All coefficients are positive, as those of Lambert's continued fraction are, so nothing cancels.
_FRACTIONS = {
    "float32": (
        9.0,
        (0.3333333308, 0.02256143135, 0.0003172756066, 8.203530642e-07),
        (1.0, 0.4676842419, 0.02612082369, 0.0003389136255, 8.350839215e-07),
        (1.0, 0.1343509111, 0.003559392341, 2.163801894e-05, 1.473085737e-08),
    ),
    "float64": (
        20.0,
        (
            *(0.3333333333333333, 0.02837562415438958, 0.0007341890612473156),
            *(8.062193072268075e-06, 4.210348990193666e-08, 1.0652338964451256e-10),
            *(1.231036061409472e-13, 5.490194156896049e-17, 6.074898676118531e-21),
        ),
        (
            *(1.0, 0.4851268724631685, 0.03434855426424787, 0.0008277231136301285),
            *(8.74419403177453e-06, 4.453683364947621e-08, 1.1067206316094768e-10),
            *(1.2613865949376947e-13, 5.563171298888575e-17, 6.0992857160179115e-21),
        ),
        (
            *(1.0, 0.15179353912983518, 0.005972930109858288, 9.353405238281287e-05),
            *(6.820009595064563e-07, 2.433343747539545e-09, 4.1486735164351295e-12),
            *(3.035053352822257e-15, 7.297714199252637e-19, 2.4387039899380178e-23),
        ),
    ),
}


def _tanh_shrink_value(x):
    last, p, q, _ = _FRACTIONS[dtype_of(x)]
    inside = clip(x, -last, last)
    square = ops.square(inside)
    fraction = spent("divide", polynomial(p, square), polynomial(q, square))
    shrunk = spent("multiply", spent("multiply", fraction, square), inside)
    return spent("add", shrunk, x - inside)


def _tanh_shrink_gradient(upstream, x):
    last, _, q, r = _FRACTIONS[dtype_of(x)]
    inside = clip(x, -last, last)
    square = ops.square(inside)
    tanh = spent("divide", polynomial(r, square), polynomial(q, square))
    tanh = spent("multiply", tanh, inside)
    return spent("multiply", spent("square", tanh), upstream)


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
    return rounded_once(_tanh_shrink_value, _tanh_shrink_gradient, table="tanh_shrink")(x)


@register("layers")
class TanhShrink(ActivationLayer, fn=tanh_shrink):
    """Layer form of `tanh_shrink`."""

    def __init__(self, **kwargs: Unpack[LayerArguments]):
        super().__init__(**kwargs)
