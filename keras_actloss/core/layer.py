"""The base class of the activation layers."""

import numbers
from collections.abc import Sequence
from typing import Literal, TypedDict

import keras
import numpy as np

from keras_actloss.core.checks import finite
from keras_actloss.core.settings import Configured

# What the constructors of layers with weights take.
Initializer = str | float | keras.initializers.Initializer
Regularizer = str | keras.regularizers.Regularizer | None
Constraint = str | keras.constraints.Constraint | None
# What Keras takes besides, and warns of or has for layers of its own.
_OF_KERAS = ("autocast", "input_dim", "input_shape")
Axes = int | Sequence[int] | Literal["all"] | None


class LayerArguments(TypedDict, total=False):
    """What every layer takes besides its own settings."""

    name: str | None
    dtype: str | keras.DTypePolicy | None
    trainable: bool


class ActivationLayer(Configured, keras.layers.Layer):
    """Base class of the activation layers.

    A layer is a constructor that stores its arguments, and `fn` or `call`. For an activation of
    your own, `class MyLayer(ActivationLayer, fn=my_function)` passes the settings to a function of
    `x`; leave the constructor out and the class takes the function's settings. The config is read
    from the constructor, masks pass through, the output has the input's shape.

    Args:
        activity_regularizer: Regularizer of the output. Defaults to `None`.
        trainable: Whether the weights, if there are any, are trained. Defaults to `True`.
        dtype: A dtype or a policy, as of every Keras layer. Defaults to `None`, the global policy.
        name: Name of the layer. Defaults to `None`, one made of that of the class.

    Call arguments:
        inputs: Tensor.

    Shapes:
        The output has the shape of the input, unless the layer says otherwise.

    Example:

    >>> @keras.saving.register_keras_serializable("my_project")
    ... def scaled_tanh(x, scale=1.0):
    ...     return scale * keras.ops.tanh(x)
    >>> @keras.saving.register_keras_serializable("my_project")
    ... class ScaledTanh(keras_actloss.layers.ActivationLayer, fn=scaled_tanh):
    ...     pass
    >>> ScaledTanh(scale=2.0)
    ScaledTanh(scale=2.0)
    """

    _keras_base = keras.layers.Layer
    _base_arguments = ("name", "trainable", "dtype", "activity_regularizer")
    _called = "call"

    def __init__(self, **kwargs):
        self.refuse(kwargs.keys() - {*self._base_arguments, *_OF_KERAS})
        super().__init__(**kwargs)
        self.supports_masking = True

    @classmethod
    def of_settings(cls, settings):
        """The layer that the function with these settings is in a functional model."""
        return cls(**settings)

    def describe_weight(self, name, initializer, regularizer=None, constraint=None):
        """Store how a weight begins, a number in all of its entries, and what limits it."""
        if isinstance(initializer, (np.ndarray, np.generic)):
            initializer = initializer.tolist()
        if isinstance(initializer, numbers.Real):
            finite(f"{type(self).__name__}: {name}_initializer", initializer)
            initializer = float(initializer)
        if isinstance(initializer, (float, list)):
            initializer = keras.initializers.Constant(initializer)
        setattr(self, f"{name}_initializer", keras.initializers.get(initializer))
        setattr(self, f"{name}_regularizer", keras.regularizers.get(regularizer))
        setattr(self, f"{name}_constraint", keras.constraints.get(constraint))

    def build(self, input_shape=None):
        self.built = True

    def call(self, inputs):
        return self.apply_fn(inputs)

    # In a layer that changes the size of `axis`, a function of a mask with that axis and the axis.
    resized_mask = None

    def compute_mask(self, inputs, previous_mask=None):
        if self.resized_mask is None or previous_mask is None:
            return previous_mask
        axis = self.axis % len(inputs.shape)
        has_axis = axis < len(previous_mask.shape)
        return self.resized_mask(previous_mask, axis) if has_axis else previous_mask

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), **self.own_config()}

    _base_get_config = get_config

    @classmethod
    def from_config(cls, config):
        return super().from_config(cls.restored(config))
