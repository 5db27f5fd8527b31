"""What a config from a file may hold: settings of a constructor, and nothing that runs."""

import keras

from keras_actloss.core.checks import flag, text_or_none

# Where a config may name an object of Keras's own, and what the object is. All else must be
# registered, which only code that has been imported can do.
_BLOCKS = {
    "keras": (keras, keras.DTypePolicy),
    "keras.constraints": (keras.constraints, keras.constraints.Constraint),
    "keras.dtype_policies": (keras.dtype_policies, keras.DTypePolicy),
    "keras.initializers": (keras.initializers, keras.initializers.Initializer),
    "keras.losses": (keras.losses, keras.losses.Loss),
    "keras.regularizers": (keras.regularizers, keras.regularizers.Regularizer),
}
_ACTIVATIONS = {
    name: function
    for name, function in vars(keras.activations).items()
    if callable(function) and name not in ("get", "serialize", "deserialize")
}
_ARRAYS = ("__numpy__", "__tensor__")
# A dtype of NumPy's may be an array in itself, of any size.
_DTYPES = (
    *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    *("float16", "float32", "float64"),
)
_OF_USERS = "register it with keras.saving.register_keras_serializable and import it before loading"
_OF_KERAS = "make it in the constructor, from settings that are numbers, text or None"
_DEEPEST, _MOST = 32, 2**20


def restored_config(owner, config):
    """A config read from a file, its objects rebuilt: registered ones, and Keras's plain ones."""
    return {name: _setting(f"{owner}: the config's {name}", name, config[name]) for name in config}


def _setting(what, name, value):
    _vet(what, value)
    try:
        value = _restored(value)
    except Exception as error:  # Any, since what a file holds reaches any constructor.
        raise ValueError(f"{what} cannot be read: {error}") from error
    if name in _BASE:
        _BASE[name](what, value)
    # Keras takes any object that can be called for an initializer, a regularizer or a constraint,
    # and makes one of any registered class whose name it is given.
    _, wanted = _BLOCKS.get(f"keras.{name.rpartition('_')[2]}s", (None, object))
    named = keras.saving.get_registered_object(value) if isinstance(value, str) else None
    kind = named if isinstance(named, type) else type(value)
    of_keras = any(value is function for function in _ACTIVATIONS.values())
    known = named is kind or of_keras or any(issubclass(kind, base) for _, base in _BLOCKS.values())
    if known and not issubclass(kind, wanted):
        raise TypeError(f"{what} must be a {wanted.__name__}, got {value!r}")
    return value


def _dtype(what, value):
    if not isinstance(value, (str, keras.DTypePolicy, type(None))):
        raise TypeError(f"{what} must be the name of a dtype, a policy or None, got {value!r}")


# Of what Keras's bases take, what they take unseen.
_BASE = {"name": text_or_none, "trainable": flag, "dtype": _dtype}


def _restored(value):
    if isinstance(value, (list, tuple)):
        return type(value)(map(_restored, value))
    if not isinstance(value, dict):
        return value
    if "class_name" in value:
        return keras.saving.deserialize_keras_object(value, safe_mode=True)
    return {key: _restored(item) for key, item in value.items()}


def vet_saved(what, value):
    """Refuse to save what names an object of Keras's own that no config may name."""
    _vet(what, value, lambda node: _is_of_keras(node.get("module")))


def _vet(what, value, looks_at=lambda node: True):
    """Refuse, before anything is built, what names code from elsewhere or has no end."""
    rest, count = [(value, 0)], 0
    while rest:
        value, depth = rest.pop()
        count += 1
        if depth > _DEEPEST or count > _MOST:
            raise ValueError(
                f"{what} is nested deeper than {_DEEPEST} or holds more than {_MOST} values; "
                "no file of this package does"
            )
        if isinstance(value, dict):
            if "class_name" in value and looks_at(value):
                _vet_object(what, value)
            rest += [(item, depth + 1) for item in value.values()]
        elif isinstance(value, (list, tuple)):
            rest += [(item, depth + 1) for item in value]


def _is_of_keras(module):
    return isinstance(module, str) and module.partition(".")[0] == "keras"


def _vet_object(what, value):
    kind, module, config = (value.get(key) for key in ("class_name", "module", "config"))
    if kind in _ARRAYS:
        if not isinstance(config, dict) or config.get("dtype") not in _DTYPES:
            raise ValueError(f"{what} has an array that is not of numbers, {str(config)[:60]!r}")
        return
    identifier = config if kind == "function" else value.get("registered_name")
    if isinstance(identifier, str) and keras.saving.get_registered_object(identifier):
        return
    if kind == "function" and isinstance(config, str) and config in _ACTIVATIONS:
        return
    place, base = _BLOCKS.get(module, (None, ())) if isinstance(module, str) else (None, ())
    found = getattr(place, kind, None) if isinstance(kind, str) else None
    if not (isinstance(found, type) and issubclass(found, base)):
        raise ValueError(
            f"{what} names {kind!r} of module {module!r}, which is not registered; "
            + (_OF_KERAS if _is_of_keras(module) else _OF_USERS)
        )
