"""Activations with a sine in them, for data that repeats."""

import numbers
from typing import Any, Unpack

import numpy as np
from keras import ops

from keras_actloss.core import tensors
from keras_actloss.core.checks import finite_positive, or_tensor
from keras_actloss.core.functions import activation
from keras_actloss.core.kernels import clip, select, spent
from keras_actloss.core.layer import (
    ActivationLayer,
    Axes,
    Constraint,
    Initializer,
    LayerArguments,
    Regularizer,
)
from keras_actloss.core.numerics import exact_multiple
from keras_actloss.core.parameters import LearnedActivation, parametric
from keras_actloss.core.registry import register

# pi / 4 in parts, all but the last so short that their multiples below 2^16 are exact.
_QUARTER_PI = (
    0.78515625,
    0.0002422332763671875,
    -3.203749656677246e-07,
    4.94765117764473e-10,
    1.2816720341285448e-12,
)

# Up to here the parts serve, which is 2^16 quarters of pi.
_LAST_TURN = 51400.0


def _phase(x, frequency):
    """`frequency * x` and, unless it is None for 0, what its rounding dropped.

    Kept where twice of it is finite, for the sine of infinity is NaN, and where the dropped part is
    a small angle.
    """
    phase, low = exact_multiple(x, frequency, 1e38)
    return clip(phase, -1e38, 1e38), None if low is None else clip(low, -0.5, 0.5)


def _turned(phase, low, function, slope):
    """`function(phase + low)` of a sine or cosine, whose derivative is `slope(phase)`."""
    value = function(phase)
    if low is None:
        return value
    # Up to half a radian sine and cosine of the small angle are polynomials.
    square = ops.square(low)
    sine, versine = low * (1 - square / 6), square * (0.5 - square / 24)
    return value + (slope(phase) * sine - value * versine)


def _sine(phase, low):
    return _turned(phase, low, ops.sin, ops.cos)


def _cosine(phase, low):
    return _turned(phase, low, ops.cos, lambda x: -ops.sin(x))


def _rippled(phase, low, ratio):
    """`1 + ratio * sin(2 * (phase + low))`, up to a ratio of 1 without cancellation.

    There it is `1 - ratio + 2 * ratio * sin(distance)^2`, with the distance of the phase from the
    nearest odd multiple of pi / 4 at which the sine is -1.
    """
    near = ops.logical_and(ops.abs(phase) < _LAST_TURN, ratio <= 1)
    quarters = 4 * ops.round(ops.where(near, phase, 0.0) / np.pi + 0.25) - 1
    distance = phase - quarters * _QUARTER_PI[0]
    for part in _QUARTER_PI[1:]:
        distance = spent("subtract", distance, quarters * part)
    if low is not None:
        distance, low = distance + low, ops.where(near, 0.0, 2 * low)
    sine = _sine(select(near, distance, 2 * phase), low)
    return select(near, (1 - ratio) + ratio * (2 * ops.square(sine)), 1 + ratio * sine)


def _snake_beta(x, frequency, magnitude):
    phase, low = _phase(x, frequency)
    sine = _sine(phase, low)
    ripple = sine * (sine / magnitude)
    if low is not None:
        # What cancels much of x is right to a unit as a difference.
        most = (1 - ops.square(_cosine(phase, low))) / magnitude
        ripple = select(ops.abs(sine) < 0.7, ripple, most)
    return x + ripple


def _snake_beta_by_x(x, frequency, magnitude):
    return _rippled(*_phase(x, frequency), frequency / magnitude)


def _snake_beta_by_frequency(x, frequency, magnitude):
    phase = _phase(x, frequency)
    return x * (2 * _sine(*phase) * _cosine(*phase) / magnitude)


def _snake_beta_by_magnitude(x, frequency, magnitude):
    return -ops.square(_sine(*_phase(x, frequency)) / magnitude)


def _snake_by_frequency(x, frequency):
    phase = _phase(x, frequency)
    ripple = _sine(*phase) / frequency
    return x * (2 * ripple * _cosine(*phase)) - ops.square(ripple)


_sine_of = parametric(
    lambda x, frequency: _sine(*_phase(x, frequency)),
    lambda x, frequency: frequency * _cosine(*_phase(x, frequency)),
    lambda x, frequency: x * _cosine(*_phase(x, frequency)),
)
_snake_of_two = parametric(
    _snake_beta, _snake_beta_by_x, _snake_beta_by_frequency, _snake_beta_by_magnitude
)
_snake = parametric(
    lambda x, frequency: _snake_beta(x, frequency, frequency),
    lambda x, frequency: _rippled(*_phase(x, frequency), 1.0),
    _snake_by_frequency,
)


@activation(frequency=or_tensor(finite_positive))
def snake(x: Any, frequency=1.0) -> Any:
    """Snake: the identity with ripples, which never turns back.

    Take it where the target is periodic, as in audio and seasonal series: unlike `sine` it can be
    trained as easily as a rectifier, unlike `relu` it extrapolates the period.

    Formula:

        y = x + sin(frequency * x) ** 2 / frequency

    Args:
        x: Tensor.
        frequency: Ripples in a length of pi, a number greater than 0 or a tensor that broadcasts to
            `x`; a tensor's entry of 0 is taken as the limit, the identity. Defaults to `1.0`.

    Shapes:
        Any; the output has the shape and dtype of `x`.

    Raises:
        ValueError: If `frequency` is a number that is not positive and finite.

    Example:

    >>> float(keras_actloss.activations.snake(1.0, frequency=2.0))
    1.4134...

    Related:
        `snake(x, a) = snake_beta(x, a, a)`; `LearnedSnake` learns the frequency.

    Reference:
        [Ziyin et al., 2020](https://arxiv.org/abs/2006.08195)
    """
    if not isinstance(frequency, numbers.Real):
        frequency = tensors.float_tensor(frequency)
        # Wide, for the small number not to be 0. Added, so that a weight of 0 keeps its gradient.
        frequency = ops.cast(frequency, tensors.wide(tensors.dtype_of(frequency)))
        frequency = frequency + 2.0**-60 * ops.cast(frequency == 0, frequency.dtype)
    return _snake(x, frequency)


@register("layers")
class Snake(ActivationLayer, fn=snake):
    """Layer form of `snake` with a frequency that is given."""

    def __init__(self, frequency=1.0, **kwargs: Unpack[LayerArguments]):
        super().__init__(**kwargs)
        self.frequency = frequency


@register("layers")
class LearnedSnake(LearnedActivation, fn=snake):
    """Layer form of `snake` that learns the frequency, one for each channel."""

    def __init__(
        self,
        frequency_initializer: Initializer = "ones",
        frequency_regularizer: Regularizer = None,
        frequency_constraint: Constraint = None,
        shared_axes: Axes = None,
        **kwargs: Unpack[LayerArguments],
    ):
        super().__init__(**kwargs)
        self.shared_axes = shared_axes
        self.learn("frequency", frequency_initializer, frequency_regularizer, frequency_constraint)


@activation(frequency=or_tensor(finite_positive), magnitude=or_tensor(finite_positive))
def snake_beta(x: Any, frequency=1.0, magnitude=1.0) -> Any:
    """Snake with ripples whose height does not depend on their frequency.

    Take it instead of `snake` in vocoders, with both parameters learned (`LearnedSnakeBeta`): a
    high frequency then need not mean a small ripple.

    Formula:

        y = x + sin(frequency * x) ** 2 / magnitude

    Args:
        x: Tensor.
        frequency: Ripples in a length of pi, a number greater than 0 or a tensor that broadcasts to
            `x`. Defaults to `1.0`.
        magnitude: One over the height of the ripples, a number greater than 0 or a tensor that
            broadcasts to `x` and is nowhere 0. Defaults to `1.0`.

    Shapes:
        Any; the output has the shape and dtype of `x`.

    Raises:
        ValueError: If `frequency` or `magnitude` is a number that is not positive and finite.

    Example:

    >>> float(keras_actloss.activations.snake_beta(1.0, frequency=2.0, magnitude=0.5))
    2.6536...

    Related:
        `magnitude = frequency` is `snake`.

    Reference:
        [Lee et al., 2022](https://arxiv.org/abs/2206.04658)
    """
    return _snake_of_two(x, frequency, magnitude)


@register("layers")
class SnakeBeta(ActivationLayer, fn=snake_beta):
    """Layer form of `snake_beta` with parameters that are given."""

    def __init__(self, frequency=1.0, magnitude=1.0, **kwargs: Unpack[LayerArguments]):
        super().__init__(**kwargs)
        self.frequency = frequency
        self.magnitude = magnitude


@register("layers")
class LearnedSnakeBeta(LearnedActivation, fn=snake_beta):
    """Layer form of `snake_beta` that learns both parameters, a pair for each channel."""

    def __init__(
        self,
        frequency_initializer: Initializer = "ones",
        frequency_regularizer: Regularizer = None,
        frequency_constraint: Constraint = None,
        magnitude_initializer: Initializer = "ones",
        magnitude_regularizer: Regularizer = None,
        magnitude_constraint: Constraint = None,
        shared_axes: Axes = None,
        **kwargs: Unpack[LayerArguments],
    ):
        super().__init__(**kwargs)
        self.shared_axes = shared_axes
        self.learn("frequency", frequency_initializer, frequency_regularizer, frequency_constraint)
        self.learn("magnitude", magnitude_initializer, magnitude_regularizer, magnitude_constraint)


@activation(frequency=or_tensor(finite_positive))
def sine(x: Any, frequency=30.0) -> Any:
    """Sine of the input times a frequency.

    Take it for networks that represent a signal by its coordinates (SIREN), with the kernels drawn
    as the paper says; elsewhere `snake` is easier to train.

    Formula:

        y = sin(frequency * x)

    Args:
        x: Tensor.
        frequency: Radians per unit of `x`, a number greater than 0 or a tensor that broadcasts to
            `x`. Defaults to `30.0`, the paper's factor of every layer.

    Shapes:
        Any; the output has the shape and dtype of `x`.

    Raises:
        ValueError: If `frequency` is a number that is not positive and finite.

    Example:

    >>> float(keras_actloss.activations.sine(0.5, frequency=1.0))
    0.4794...

    Related:
        `sine(x, a) ** 2 / b` is what `snake_beta(x, a, b)` adds to `x`.

    Reference:
        [Sitzmann et al., 2020](https://arxiv.org/abs/2006.09661)
    """
    return _sine_of(x, frequency)


@register("layers")
class Sine(ActivationLayer, fn=sine):
    """Layer form of `sine` with a frequency that is given."""

    def __init__(self, frequency=30.0, **kwargs: Unpack[LayerArguments]):
        super().__init__(**kwargs)
        self.frequency = frequency
