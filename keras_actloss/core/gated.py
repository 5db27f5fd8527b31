"""An axis that holds a gate and what it lets through, and the base of the layers that split it."""

import keras
import numpy as np
from keras import ops

from keras_actloss.core.checks import flag, positive_integer_or_none
from keras_actloss.core.functions import checked, settings_of
from keras_actloss.core.layer import (
    ActivationLayer,
    Constraint,
    Initializer,
    LayerArguments,
    Regularizer,
)
from keras_actloss.core.settings import shown
from keras_actloss.core.tensors import check_axis


def halved(name, shape, axis):
    """The shape of the output for an input of `shape`."""
    shape = list(shape)
    check_axis(axis, shape, name)
    if shape[axis] is not None:
        if shape[axis] % 2:
            raise ValueError(
                f"{name}: x must have an even size at axis={axis} to be halved, got "
                f"{shape[axis]} in the shape {tuple(shape)}; give it twice the size of the output"
            )
        shape[axis] //= 2
    return tuple(shape)


def halves(x, axis, gate):
    """The half that is let through and the half that opens the gate."""
    if gate == "interleaved":
        before = (slice(None),) * (axis % len(x.shape))
        return x[(*before, slice(1, None, 2))], x[(*before, slice(0, None, 2))]
    first, last = ops.split(x, 2, axis)
    return (last, first) if gate == "first" else (first, last)


def joined(linear, opens, axis, gate):
    """The inverse of `halves`."""
    if gate != "interleaved":
        return ops.concatenate([opens, linear] if gate == "first" else [linear, opens], axis)
    axis = axis % len(linear.shape)
    shape = list(ops.shape(linear))
    shape[axis] = 2 * shape[axis]
    return ops.reshape(ops.stack([opens, linear], axis + 1), shape)


class ProjectionArguments(LayerArguments, total=False):
    """What a gated layer with `units` takes for its projections, as in `keras.layers.Dense`."""

    use_bias: bool
    kernel_initializer: Initializer
    bias_initializer: Initializer
    kernel_regularizer: Regularizer
    bias_regularizer: Regularizer
    kernel_constraint: Constraint
    bias_constraint: Constraint


class GatedLayer(ActivationLayer):
    """Base class of the gated layers.

    Without `units` the layer halves its input. With `units` it first projects the last axis onto
    gate and value, as the feed-forward block of a transformer does, in one product with a kernel of
    shape `(input_dim, 2 * units)` whose columns are in the order that `gate` names. Weights in one
    piece are set by `layer.set_weights([kernel, bias])`, those of two projections by
    `layer.load_projections`.

    Args:
        units: Size of the output, or `None` to halve the input. Defaults to `None`.
        axis: Axis to halve; -1 with `units`. Defaults to `-1`.
        gate: Which half opens the gate.
        use_bias: Whether the projections have a bias. Defaults to `True`.
        *_initializer, *_regularizer, *_constraint: Of the projections, as in
            `keras.layers.Dense(2 * units)`.
    """

    own_checks = {"use_bias": flag}  # noqa: RUF012

    def __init__(
        self,
        units=None,
        axis=-1,
        gate="last",
        use_bias=True,
        kernel_initializer: Initializer = "glorot_uniform",
        bias_initializer: Initializer = "zeros",
        kernel_regularizer: Regularizer = None,
        bias_regularizer: Regularizer = None,
        kernel_constraint: Constraint = None,
        bias_constraint: Constraint = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        name = type(self).__name__
        units = checked(f"{name}: units", units, positive_integer_or_none)
        if units is not None and axis != -1:
            raise ValueError(
                f"{name}: axis must be -1 with units, which projects the last axis, got {axis!r}; "
                "leave units out to halve another axis"
            )
        self.units = units
        self.axis = axis
        self.gate = gate
        self.use_bias = use_bias
        self.describe_weight("kernel", kernel_initializer, kernel_regularizer, kernel_constraint)
        self.describe_weight("bias", bias_initializer, bias_regularizer, bias_constraint)
        self.projection = None
        if units is not None:
            self.projection = keras.layers.Dense(
                2 * units,
                use_bias=use_bias,
                kernel_initializer=self.kernel_initializer,
                bias_initializer=self.bias_initializer,
                kernel_regularizer=self.kernel_regularizer,
                bias_regularizer=self.bias_regularizer,
                kernel_constraint=self.kernel_constraint,
                bias_constraint=self.bias_constraint,
                dtype=self.dtype_policy,
                trainable=self.trainable,
                name="projection",
            )

    @keras.layers.Layer.dtype_policy.setter
    def dtype_policy(self, policy):
        keras.layers.Layer.dtype_policy.fset(self, policy)
        if self.projection is not None:
            self.projection.dtype_policy = policy

    def build(self, input_shape=None):
        if self.projection is not None:
            self.projection.build(input_shape)
        super().build(input_shape)

    def call(self, inputs):
        return self.apply_fn(inputs if self.projection is None else self.projection(inputs))

    def resized_mask(self, mask, axis):
        return ops.logical_and(*halves(mask, axis, self.gate))

    def quantized_call(self, inputs):
        return self.call(inputs)

    def get_config(self):
        config = super().get_config()
        if self.projection is not None:
            # Keras quantizes what has no layers inside: of this layer the projection alone.
            config["dtype"] = keras.saving.serialize_keras_object(self.projection.dtype_policy)
        return config

    _base_get_config = get_config

    def compute_output_shape(self, input_shape):
        if self.units is not None:
            return (*input_shape[:-1], self.units)
        return halved(type(self).__name__, input_shape, self.axis)

    def load_projections(self, gate, value, gate_bias=None, value_bias=None):
        """Set the weights from those of two projections, as checkpoints with two matrices have it.

        Args:
            gate: Kernel of the gate, of shape `(input_dim, units)`; a torch `Linear` has it
                transposed.
            value: Kernel of what the gate lets through, of the same shape.
            gate_bias: Bias of the gate, of shape `(units,)`, if the layer has a bias. Defaults to
                `None`.
            value_bias: Bias of what the gate lets through. Defaults to `None`.

        Raises:
            TypeError: If a kernel is no matrix.
            ValueError: If the layer has no `units`, or is quantized or has LoRA, or a weight is
                missing, too many or of another shape.
        """
        name = type(self).__name__
        if self.projection is None:
            raise ValueError(f"{name}: there are no weights to load; name units in the constructor")
        if self.projection.quantization_mode or self.projection.lora_enabled:
            raise ValueError(
                f"{name}: a projection that is quantized or has LoRA takes no other weights; load "
                "them before quantize and enable_lora"
            )
        for key, kernel in {"gate": gate, "value": value}.items():
            if np.ndim(kernel) != 2:
                raise TypeError(
                    f"{name}: {key} must be a kernel of shape (input_dim, {self.units}), got "
                    f"{kernel!r}; a torch Linear has it transposed"
                )
        given = {"gate": gate, "value": value, "gate_bias": gate_bias, "value_bias": value_bias}
        dtype = self.variable_dtype
        given = {
            key: None if w is None else ops.convert_to_tensor(w, dtype) for key, w in given.items()
        }
        if not self.built:
            self.build((None, ops.shape(given["gate"])[0]))
        kernel = (self.projection.kernel.shape[0], self.units)
        bias = (self.units,) if self.use_bias else None
        for (key, weight), expected in zip(
            given.items(), (kernel, kernel, bias, bias), strict=True
        ):
            shape = None if weight is None else tuple(weight.shape)
            if shape != expected:
                raise ValueError(
                    f"{name}: {key} must have the shape {expected}, got {shape}; kernels are "
                    "(input_dim, units), and biases come with use_bias=True"
                )
        self.projection.kernel.assign(joined(given["value"], given["gate"], -1, self.gate))
        if self.use_bias:
            bias = joined(given["value_bias"], given["gate_bias"], -1, self.gate)
            self.projection.bias.assign(bias)

    def __repr__(self):
        # Without units there are no projections to tell of.
        names = settings_of(self.fn) if self.units is None else self._settings
        return shown(self, {name: getattr(self, name) for name in names})
