"""A tf_keras class for each class of the package, which holds an object of that class.

The object computes; tf_keras makes the weights, casts inputs, and writes and reads files.
"""

import functools
import inspect
from typing import Any

import keras
import tensorflow as tf
import tf_keras

from keras_actloss.core import replicas, tensors
from keras_actloss.core.layer import ActivationLayer
from keras_actloss.core.loss import Loss
from keras_actloss.core.registry import ALIASES, CATALOGUE, PACKAGE
from keras_actloss.core.settings import Configured, SignatureOfClass

# Class -> its twin.
_TWINS: dict[type, type] = {}

# What every layer of tf_keras takes.
_LAYER_ARGUMENTS = (
    "activity_regularizer",
    "autocast",
    "batch_input_shape",
    "batch_size",
    "dtype",
    "input_dim",
    "input_shape",
    "name",
    "trainable",
    "weights",
)

_BLOCKS = (
    tf_keras.constraints.Constraint,
    tf_keras.initializers.Initializer,
    tf_keras.regularizers.Regularizer,
)


def _in_keras(value: Any) -> Any:
    """An argument as Keras 3 has it: what a twin holds, the same building block of Keras 3."""
    if isinstance(value, (list, tuple)):
        return type(value)(map(_in_keras, value))
    if isinstance(value, Twin):
        return value.held
    if isinstance(value, type) and issubclass(value, Twin):
        return value._class
    if isinstance(value, _BLOCKS) and type(value).__module__.startswith("tf_keras."):
        config = tf_keras.saving.serialize_keras_object(value)
        return keras.saving.deserialize_keras_object(config)
    return value


def policy_name(dtype):
    """The name of a dtype or policy of either Keras, or None."""
    if dtype is None or isinstance(dtype, str):
        return dtype
    return getattr(dtype, "name", None) or keras.dtype_policies.get(dtype).name


class Twin:
    """Mixin of the twins: an object of Keras 3 that has the settings and tells the config."""

    _class: Any
    held: Any

    def __init__(self, **kwargs):
        super().__init__(**kwargs)

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        if "__signature__" in vars(cls):
            return
        # Else help() would show that of a `__new__` of tf_keras.
        signature = inspect.signature(cls.__init__)
        signature = signature.replace(parameters=list(signature.parameters.values())[1:])
        cls.__signature__ = SignatureOfClass(signature)

    def hold(self, *args, **kwargs):
        held = self._class(*_in_keras(args), **{k: _in_keras(v) for k, v in kwargs.items()})
        # Not as other attributes: tf_keras would track a layer of Keras 3 as one of its own.
        object.__setattr__(self, "held", held)
        return held

    def get_config(self):
        return self.held.get_config()

    @classmethod
    def from_config(cls, config):
        return cls(**cls._class.restored(config))

    def __repr__(self):
        return repr(self.held)


def _lend(layer, owner):
    """Let the weights that `layer` of Keras 3 makes be those of `owner` of tf_keras."""

    def add_weight(*, name, aggregation=None, layout=None, **kwargs):
        weight = owner.add_weight(name, **kwargs)
        setattr(owner, name, weight)
        return weight

    object.__setattr__(layer, "add_weight", add_weight)


class _Part(tf_keras.layers.Layer):
    """The weights of a layer within a layer, in files at the place where Keras 3 has them."""

    def __init__(self, layer):
        super().__init__(name=layer.name, dtype=layer.dtype_policy.name)
        self.built = True  # Never called, it would be left out of a SavedModel.
        _lend(layer, self)


def _restored(cls, config, build_config, weights):
    layer = twin(cls).from_config(config)
    if build_config:
        layer.build_from_config(build_config)
        layer.set_weights(weights)
    return layer


class TwinLayer(Twin, tf_keras.layers.Layer):
    """Base of the twins of layers."""

    # That of a layer that sets it for what it holds is of Keras 3.
    dtype_policy = tf_keras.layers.Layer.dtype_policy

    def __init__(self, *args, **kwargs):
        own = {name: kwargs.pop(name) for name in _LAYER_ARGUMENTS if name in kwargs}
        super().__init__(**own | {"dtype": policy_name(own.get("dtype"))})
        held = self.hold(*args, **kwargs, name=self.name, dtype=self.dtype_policy.name)
        self.supports_masking = held.supports_masking
        self._autocast = self._autocast and held.autocast
        # That of a generator of random numbers; all else is made when the layer is built.
        self.random_state = [variable.value for variable in held.variables]
        _lend(held, self)
        for name, part in vars(held).items():
            if isinstance(part, keras.layers.Layer):
                setattr(self, name, _Part(part))

    def __reduce__(self):
        """For copies and pickles: Keras 3 finds no weights in what it would copy by itself."""
        built = self.get_build_config() if self.built else None
        return _restored, (self._class, self.get_config(), built, self.get_weights())

    def build(self, input_shape):
        if not self.held.built:
            self.held.build(tuple(tf.TensorShape(input_shape)))
        if self.held.input_spec is not None:
            self.input_spec = tf_keras.layers.InputSpec(**self.held.input_spec.get_config())
        super().build(input_shape)

    def compute_mask(self, inputs, mask=None):
        return self.held.compute_mask(inputs, mask)

    def compute_output_shape(self, input_shape):
        shape = self.held.compute_output_shape(tuple(tf.TensorShape(input_shape)))
        return tf.TensorShape(shape)

    def get_config(self):
        own = {"name": self.name, "trainable": self.trainable, "dtype": self.dtype_policy.name}
        if self.activity_regularizer is not None:
            regularizer = tf_keras.regularizers.serialize(self.activity_regularizer)
            own["activity_regularizer"] = regularizer
        return {**super().get_config(), **own}


class TwinLoss(Twin, tf_keras.losses.Loss):
    """Base of the twins of losses."""

    def __init__(self, *args, **kwargs):
        if kwargs.get("reduction") == "auto":
            kwargs["reduction"] = "sum_over_batch_size"
        kwargs["dtype"] = policy_name(kwargs.get("dtype")) or tf_keras.backend.floatx()
        held = self.hold(*args, **kwargs)
        super().__init__(reduction=self.reduction, name=held.name)

    @property
    def reduction(self):
        """The reduction in the words of tf_keras, which has one for all means."""
        reduction = self.held.reduction
        if reduction in (None, "none", "sum"):
            return reduction or "none"
        return "sum_over_batch_size"

    @reduction.setter
    def reduction(self, reduction):
        if reduction != self.reduction:
            self.held.reduction = "sum_over_batch_size" if reduction == "auto" else reduction

    @tf.autograph.experimental.do_not_convert
    def __call__(self, y_true, y_pred, sample_weight=None):
        mask = tensors.get_mask(y_pred)
        if mask is not None and sample_weight is not None and self.held.weighs_entries:
            # Not of entries: tf_keras has multiplied the weights of samples with the mask.
            sample_weight = tensors.of_whole(tf.convert_to_tensor(sample_weight), mask, 1)
        value = self.held(y_true, y_pred, sample_weight)
        if self.reduction == "sum_over_batch_size" and self._allow_sum_over_batch_size:
            # In `fit` tf_keras divides by the number of replicas too.
            value = value / replicas.share()
        return value


def _attribute(name):
    return property(
        lambda self: getattr(self.held, name), lambda self, value: setattr(self.held, name, value)
    )


def _methods(cls, base):
    """Constructor and `call` of a twin, with the signatures of `cls`, which tf_keras looks at."""

    @functools.wraps(cls.__init__)
    def __init__(self, *args, **kwargs):
        base.__init__(self, *args, **kwargs)

    @tf.autograph.experimental.do_not_convert
    def call(self, *args, **kwargs):
        return self.held.call(*args, **kwargs)

    call.__signature__ = inspect.signature(cls.call)
    return {"__init__": __init__, "call": call}


def twin(cls):
    """The tf_keras class that takes the arguments of a class of Keras 3 and computes the same.

    Every layer and loss of the package has its twin in `keras_actloss.tf_keras`. Of a class of your
    own, derived from `keras_actloss.layers.ActivationLayer` or `keras_actloss.losses.Loss`, make it
    with this function. Its configs and weights are read by the class, and the other way round.

    Args:
        cls: A class derived from `ActivationLayer` or `Loss`, registered in Keras.

    Returns:
        A class derived from `tf_keras.layers.Layer` or `tf_keras.losses.Loss`, registered in
        tf_keras under the name of `cls`. Its attribute `held` is the object of `cls` that computes.

    Raises:
        TypeError: If `cls` derives from neither base.

    Example:

    >>> @keras.saving.register_keras_serializable("my_project")
    ... class ScaledError(keras_actloss.losses.Loss):
    ...     def __init__(self, scale=1.0, **kwargs):
    ...         super().__init__(**kwargs)
    ...         self.scale = scale
    ...
    ...     def call(self, y_true, y_pred):
    ...         return keras.ops.mean(keras.ops.abs(y_true - y_pred) / self.scale, axis=-1)
    >>> loss = keras_actloss.tf_keras.twin(ScaledError)(scale=2.0)
    >>> float(loss([[1.0]], [[4.0]]))
    1.5
    """
    if cls in _TWINS:
        return _TWINS[cls]
    layer, loss = (isinstance(cls, type) and issubclass(cls, b) for b in (ActivationLayer, Loss))
    if not layer and not loss:
        raise TypeError(
            "twin takes a class derived from keras_actloss.layers.ActivationLayer or "
            f"keras_actloss.losses.Loss, got {cls!r}"
        )
    base = TwinLayer if layer else TwinLoss
    ours = {name for c in cls.__mro__ if issubclass(c, Configured) for name in vars(c)}
    public = {name for name in ours if not name.startswith("_")}
    attributes = {
        name: _attribute(name)
        for name in public.union(cls._settings) - set(vars(base)) - set(vars(Twin))
    }
    named = {
        "__doc__": cls.__doc__,
        "__module__": cls.__module__,
        "__signature__": SignatureOfClass(inspect.signature(cls)),
        "_class": cls,
    }
    made = type(cls.__name__, (base,), {**attributes, **_methods(cls, base), **named})
    package, _, name = keras.saving.get_registered_name(cls).rpartition(">")
    _TWINS[cls] = tf_keras.saving.register_keras_serializable(package or "Custom", name)(made)
    return made


def twins_of(module):
    """What `module` offers, by name: twins of its classes, and its functions as they are."""
    twins = {}
    for name in module.__all__:
        thing = getattr(module, name)
        if not isinstance(thing, type):
            twins[name] = thing
        elif any(thing in kind.values() for kind in CATALOGUE.values()):
            twins[name] = twin(thing)
            twins[name].__module__ = module.__name__.replace(PACKAGE, f"{PACKAGE}.tf_keras")
    return twins


def register():
    """Make functions and old names known to tf_keras; a class is when its twin is made."""
    for kind in ("activations", "losses"):
        for thing in CATALOGUE[kind].values():
            if inspect.isfunction(thing):
                tf_keras.saving.register_keras_serializable(PACKAGE)(thing)
    for old_name, cls in ALIASES.items():
        tf_keras.saving.get_custom_objects()[old_name] = twin(cls)
