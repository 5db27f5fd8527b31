"""Parameters of activations: numbers, tensors that broadcast to `x`, and weights of a layer."""

import numbers

import keras
import numpy as np
from keras import ops

from keras_actloss.core import tensors
from keras_actloss.core.checks import axes, or_none
from keras_actloss.core.keras_fixes import recomputed
from keras_actloss.core.layer import ActivationLayer, Axes
from keras_actloss.core.numerics import rounded_once


def as_wide(parameter, x):
    """A parameter as a tensor, as wide as the maths of `x`."""
    return ops.cast(ops.convert_to_tensor(parameter), tensors.wide(tensors.dtype_of(x)))


def _summed_to(gradient, parameter):
    """`gradient` summed over the axes along which `parameter` was stretched."""
    missing = len(gradient.shape) - len(parameter.shape)
    shared = [missing + i for i, size in enumerate(parameter.shape) if size == 1]
    axes = [*range(missing), *shared]
    return ops.reshape(ops.sum(gradient, axis=axes), ops.shape(parameter)) if axes else gradient


def parametric(value, *slopes):
    """`value(x, *parameters)` with its derivative for `x` and for each parameter.

    Computed in float32 or wider and rounded once. Nothing but `x` and the parameters is kept for
    the backward pass. Parameters that are numbers are constants, tensors get a gradient.

    Args:
        value: Function of `x` and the parameters.
        slopes: Functions of the same arguments: the derivative of `value` for each of them.
    """

    def function(x, *parameters):
        is_number = [isinstance(p, numbers.Real) for p in parameters]
        learned = [as_wide(p, x) for p in parameters if not isinstance(p, numbers.Real)]

        def all_of(learned):
            rest = iter(learned)
            return [
                p if fixed else next(rest) for p, fixed in zip(parameters, is_number, strict=True)
            ]

        def gradient(upstream, x, *learned):
            arguments = (*(recomputed(x) if learned else (x,)), *all_of(learned))
            wanted = [
                slope for slope, fixed in zip(slopes, (False, *is_number), strict=True) if not fixed
            ]
            by_x, *others = (
                ops.cast(ops.multiply(upstream, slope(*arguments)), x.dtype) for slope in wanted
            )
            return by_x, *map(_summed_to, others, learned)

        def forward(x, *learned):
            return ops.cast(value(x, *all_of(learned)), x.dtype)

        table = None if learned else (value, *parameters)
        return rounded_once(forward, gradient, table)(x, *learned)

    return function


def _axes_or_all(name, value):
    if not isinstance(value, str):
        or_none(axes)(name, value)
    elif value != "all":
        raise ValueError(f"{name} must be None, axes or 'all', got {value!r}")


class LearnedActivation(ActivationLayer):
    """Base class of the activation layers that learn parameters of their function.

    The constructor takes an initializer, a regularizer and a constraint for each parameter and
    hands them to `learn`. The weights are made on the first call and go to `fn` under the names of
    the parameters. A weight has one entry for each channel (the last axis), whatever the other axes
    are. A constructor that takes `shared_axes` and stores it leaves the choice to the user: a
    weight then has one entry for each entry of a sample, and 1 along the axes that are named, as in
    Keras (`[1, 2]` for an image batch with one entry per channel). With `"all"` it has one entry.

    Args:
        *_initializer: Initializer of this weight, or the number that each entry starts from.
        *_regularizer: Regularizer of this weight.
        *_constraint: Constraint of this weight.
        shared_axes: Axes along which all entries of a sample share one of a weight, or `"all"` for
            a weight of one entry. Defaults to `None`, one entry for each channel.

    Example:

    >>> @keras.saving.register_keras_serializable("my_project")
    ... def scaled_tanh(x, scale):
    ...     return scale * keras.ops.tanh(x)
    >>> @keras.saving.register_keras_serializable("my_project")
    ... class ScaledTanh(keras_actloss.layers.LearnedActivation, fn=scaled_tanh):
    ...     def __init__(self, scale_initializer="ones", scale_regularizer=None,
    ...                  scale_constraint=None, **kwargs):
    ...         super().__init__(**kwargs)
    ...         self.learn("scale", scale_initializer, scale_regularizer, scale_constraint)
    >>> tuple(ScaledTanh(scale_initializer=2.0)(np.zeros((5, 7, 3))).shape)
    (5, 7, 3)
    """

    shared_axes: Axes = None
    own_checks = {"shared_axes": _axes_or_all}  # noqa: RUF012

    def __init__(self, **kwargs):
        for name in kwargs:
            if f"{name}_initializer" in self._settings:
                raise TypeError(
                    f"{type(self).__name__} learns {name} and takes no value of it, got "
                    f"{kwargs[name]!r}; give its first value as {name}_initializer"
                )
        super().__init__(**kwargs)
        self.learned = {}

    @classmethod
    def of_settings(cls, settings):
        """A layer that learns nothing: what the function is given is constant."""
        constants = {}
        for name, value in settings.items():
            if f"{name}_initializer" in cls._settings:
                value = keras.initializers.Constant(ops.convert_to_numpy(value))
                name = f"{name}_initializer"
            constants[name] = value
        return cls(**constants, trainable=False)

    def learn(self, name, initializer, regularizer=None, constraint=None, scalar=False):
        """Declare the setting `name` of `fn` a weight; called by a subclass's constructor.

        Args:
            name: The setting, and the weight's name.
            initializer: An initializer, or the number that every entry begins with.
            regularizer: A regularizer. Defaults to `None`.
            constraint: A constraint. Defaults to `None`.
            scalar: Whether all channels share one entry. Defaults to `False`.
        """
        self.describe_weight(name, initializer, regularizer, constraint)
        self.learned[name] = scalar

    def build(self, input_shape=None):
        for name, scalar in self.learned.items():
            one_entry = scalar or self.shared_axes == "all"
            weight = self.add_weight(
                name=name,
                shape=() if one_entry else self._weight_shape(tuple(input_shape or ())),
                initializer=getattr(self, f"{name}_initializer"),
                regularizer=getattr(self, f"{name}_regularizer"),
                constraint=getattr(self, f"{name}_constraint"),
                # In mixed precision the maths is done in float32: nothing to gain by rounding.
                autocast=False,
            )
            setattr(self, name, weight)
        super().build(input_shape)

    def _weight_shape(self, input_shape):
        if self.shared_axes is None:
            shape = input_shape[1:][-1:]
        else:
            tensors.check_axis(self.shared_axes, input_shape, type(self).__name__, "an input")
            shape = list(input_shape)
            for axis in np.atleast_1d(self.shared_axes).astype(int):
                if axis % len(shape) == 0:
                    raise ValueError(
                        f"{type(self).__name__}: shared_axes must name axes of a sample, got "
                        f"{self.shared_axes!r}, which has the batch of an input of shape "
                        f"{input_shape}; name axes from 1 on"
                    )
                shape[axis] = 1
            shape = shape[1:]
        if not input_shape or None in shape:
            raise ValueError(
                f"{type(self).__name__}: a weight for an input of shape {input_shape} would have "
                f"the shape {tuple(shape)}; fix the size of the channels, and name other axes "
                "without a fixed size in shared_axes"
            )
        return shape

    def fn_settings(self):
        settings = super().fn_settings()
        weights = {name: ops.convert_to_tensor(settings[name]) for name in self.learned}
        return settings | weights
