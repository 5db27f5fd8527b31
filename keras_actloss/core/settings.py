"""Classes whose constructor is their configuration: what both bases share."""

import functools
import inspect
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from keras_actloss.core.docstrings import ClassDoc
from keras_actloss.core.functions import checked, settings_of
from keras_actloss.core.reading import restored_config, vet_saved


@functools.lru_cache(maxsize=32)
def _parameters(constructor):
    """What a constructor takes besides the object; those of the bases are asked for most often."""
    return list(inspect.signature(constructor).parameters.values())[1:]


def _constructor_parameters(cls):
    """What the constructor takes: its own, then what its `**kwargs` hands on to the base."""
    found = {}
    constructors = [ancestor for ancestor in cls.__mro__ if "__init__" in vars(ancestor)]
    for ancestor in constructors:
        own = ancestor is constructors[0]
        parameters = _parameters(ancestor.__init__)
        for p in parameters:
            of_keras = issubclass(cls._keras_base, ancestor) and p.name not in cls._base_arguments
            if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL) and not of_keras:
                found.setdefault(p.name, p if own else p.replace(kind=p.KEYWORD_ONLY))
        if ancestor is cls._keras_base or all(p.kind is not p.VAR_KEYWORD for p in parameters):
            break
    return found


def as_list(value):
    """An array as a list, which a config can hold and every compiler can see through."""
    return value.tolist() if isinstance(value, np.ndarray) else value


class SignatureOfClass:
    """The signature of a constructor: an object of the class is called with something else."""

    def __init__(self, signature):
        self.signature = signature

    def __get__(self, thing, cls):
        if thing is not None:
            raise AttributeError("__signature__")
        return self.signature


class Configured:
    """Mixin: settings are the constructor's arguments, and `fn` is the maths they go to.

    A subclass stores each argument under its own name. `class Huber(Loss, fn=huber)` computes
    `huber` with those settings; without a constructor of its own it takes the settings of `fn`.
    """

    fn: Callable | None = None

    # What the base beside this mixin says of itself.
    _keras_base: type
    _base_arguments: tuple[str, ...]
    _called: str
    _base_get_config: Callable[..., dict[str, Any]]
    get_config: Callable[..., dict[str, Any]]

    def __init__(self, **kwargs):
        super().__init__(**kwargs)

    def __init_subclass__(cls, fn=None, **kwargs):
        super().__init_subclass__(**kwargs)
        if fn is not None:
            cls.fn = staticmethod(fn)
            if "__init__" not in vars(cls):
                cls.__init__ = _constructor_from(cls, fn)
            _check_defaults(cls, fn)
            if not hasattr(fn, "layer"):
                fn.layer = cls
        # Known beforehand, since a signature takes longer than an op of a small batch.
        cls._fn_settings = tuple(settings_of(cls.fn)) if cls.fn else ()
        parameters = _constructor_parameters(cls)
        _check_named(cls, parameters)
        cls._settings = tuple(name for name in parameters if name not in cls._base_arguments)
        checks = {**cls.own_checks, **getattr(cls.fn, "checks", {})}
        cls._checks = {name: checks[name] for name in parameters if name in checks}
        # For readers of `help` and of Jupyter, who would see `**kwargs` otherwise.
        cls.__signature__ = SignatureOfClass(inspect.Signature(list(parameters.values())))
        if fn is not None:
            doc: Any = ClassDoc(cls.__doc__, fn)
            cls.__doc__ = doc

    # For settings that are not those of `fn`, their checks; `fn` brings its own.
    own_checks: dict[str, Callable[[str, Any], None]] = {}  # noqa: RUF012
    _checks: dict[str, Callable[[str, Any], None]]
    _fn_settings: tuple[str, ...]

    def __setattr__(self, name, value):
        if name in self._checks:
            value = checked(f"{type(self).__name__}: {name}", value, self._checks[name])
        super().__setattr__(name, value)

    def refuse(self, unknown):
        """Say what the constructor takes, if there are arguments that it does not."""
        for name in unknown:
            known = ", ".join(self._settings + self._base_arguments)
            raise TypeError(f"{type(self).__name__} has no argument {name}; it takes {known}")

    def fn_settings(self):
        """The settings that the maths takes."""
        return {name: getattr(self, name) for name in self._fn_settings}

    def apply_fn(self, *inputs, **more):
        """The maths of `inputs` with the settings of this object."""
        if self.fn is None:
            name = type(self).__name__
            raise NotImplementedError(
                f"{name} has no maths: define its method call, or name a function in "
                f"class {name}(..., fn=my_function)"
            )
        maths = getattr(self.fn, "prepared", self.fn)
        return maths(*inputs, **more, **self.fn_settings())

    def own_config(self):
        """The constructor's own arguments, as Keras serialises them."""
        config = {}
        for name in self._settings:
            if not hasattr(self, name):
                if type(self).get_config is type(self)._base_get_config:
                    raise AttributeError(
                        f"{type(self).__name__} takes the argument {name} but has no attribute of "
                        f"that name to save; store it as self.{name}, or override get_config"
                    )
                continue
            value = getattr(self, name)
            if getattr(value, "__name__", None) == "<lambda>":
                raise ValueError(
                    f"{type(self).__name__}: {name} is a lambda, which cannot be loaded safely; "
                    "define a function and register it with "
                    "keras.saving.register_keras_serializable"
                )
            config[name] = keras.saving.serialize_keras_object(value)
            vet_saved(f"{type(self).__name__}: {name}", config[name])
        return config

    @classmethod
    def restored(cls, config) -> dict[str, Any]:
        """`config` with its objects rebuilt; refuses what the constructor does not take."""
        known = cls._settings + cls._base_arguments
        if cls.get_config is cls._base_get_config:
            unknown = sorted(set(config) - set(known))
            if unknown:
                raise ValueError(
                    f"{cls.__name__}: the config has the unknown keys {unknown}; it knows "
                    f"{sorted(known)}; was it written by a newer release or another class?"
                )
        return restored_config(cls.__name__, config)

    def __repr__(self):
        return shown(self, {name: getattr(self, name, None) for name in self._settings})


def shown(thing, settings):
    """A call of the constructor as text; Keras's own objects have no such `repr`."""
    arguments = [
        f"{name}={shown(v, v.get_config()) if hasattr(v, 'get_config') else repr(v)}"
        for name, v in settings.items()
    ]
    return f"{type(thing).__name__}({', '.join(arguments)})"


def _constructor_from(cls, fn):
    """A constructor that stores the settings of `fn`, for a class that declares none."""
    settings = settings_of(fn)
    base = inspect.Parameter("kwargs", inspect.Parameter.VAR_KEYWORD)
    own = inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    signature = inspect.Signature([own, *settings.values(), base])

    def __init__(self, *args, **kwargs):
        bound = signature.bind(self, *args, **kwargs)
        bound.apply_defaults()
        super(cls, self).__init__(**bound.arguments["kwargs"])
        for name in settings:
            setattr(self, name, bound.arguments[name])

    __init__.__signature__ = signature
    return __init__


def _check_named(cls, parameters):
    """A config hands the arguments back by name."""
    own = _parameters(cls.__init__) if "__init__" in vars(cls) else []
    unnamed = [p for p in own if p.kind is p.VAR_POSITIONAL]
    unnamed += [p for p in parameters.values() if p.kind is p.POSITIONAL_ONLY]
    if unnamed and cls.get_config is cls._base_get_config:
        raise TypeError(
            f"{cls.__name__}: a config holds arguments by name, but the constructor takes "
            f"{unnamed[0]} by position; name it, or override get_config and from_config"
        )


def _check_defaults(cls, fn):
    """Class and function must agree on what a setting is when nobody says."""
    of_class = inspect.signature(cls.__init__).parameters
    for name, parameter in settings_of(fn).items():
        if f"{name}_initializer" in of_class:
            continue  # A weight, see LearnedActivation.
        if name not in of_class:
            raise TypeError(f"{cls.__name__} has no argument {name}, which {fn.__name__} takes")
        if of_class[name].default != parameter.default:
            raise TypeError(
                f"{cls.__name__} and {fn.__name__} disagree on the default of {name}: "
                f"{of_class[name].default!r} and {parameter.default!r}"
            )
