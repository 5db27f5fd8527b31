"""The ceremony of the function forms: arguments, dtypes, shapes and masks."""

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar

import keras
import numpy as np
from keras import ops

from keras_actloss.core import tensors
from keras_actloss.core.kernels import exact_products
from keras_actloss.core.numerics import rounded_once
from keras_actloss.core.registry import register

# A decorated function keeps its signature in the eyes of type checkers.
Function = TypeVar("Function", bound=Callable)

INPUTS = ("x", "y_true", "y_pred", "label_length", "input_length", "mask", "training")


@functools.lru_cache(maxsize=8)
def settings_of(fn):
    """The parameters of `fn` that are settings, by name."""
    parameters = inspect.signature(fn).parameters
    return {name: p for name, p in parameters.items() if name not in INPUTS}


def checked(name, value, check):
    """A setting that passed its check; a number of NumPy as one of Python, which has no dtype."""
    if isinstance(value, (np.ndarray, np.generic)) and value.ndim == 0:
        value = value.item()
    check(name, value)
    return value


def bound(signature, name, args, kwargs):
    """The arguments of a call by name, or an error that says of what."""
    try:
        return signature.bind(*args, **kwargs)
    except TypeError as error:
        takes = ", ".join(signature.parameters)
        raise TypeError(f"{name}: {error}; it takes {takes}") from None


def check_settings(name, checks, settings):
    for key, check in checks.items():
        if key in settings:
            settings[key] = checked(f"{name}: {key}", settings[key], check)


def loss_function(
    labels: str | Callable[[dict], str] = "values",
    weighs_entries: Any = False,
    least: Any = 0,
    constant: Any = False,
    **checks,
):
    """Decorator: make per-sample maths on aligned float tensors a public loss function.

    The decorated body gets `y_true` and `y_pred` of fitting shapes, in float32 or wider, and need
    not look at `ignore_class`, nor at `mask` unless it reduces an axis. Its result has the dtype of
    the prediction that came in.

    Args:
        labels: What `y_true` holds, as in `tensors.prepare`, or a function that tells it from the
            settings.
        weighs_entries: Whether the `mask` of the body may be numbers, what each entry weighs.
        least: The least of labels that are `"binary"`.
        constant: Whether no gradient flows to labels that are `"values"` or a `"target"`; to
            others none does.
        checks: For a setting, the check from `core.checks` that it must pass.
    """

    def kind(settings):
        return labels(settings) if callable(labels) else labels

    def decorate(body: Function) -> Function:
        signature = inspect.signature(body)
        takes_mask = "mask" in signature.parameters

        def prepared(y_true, y_pred, mask=None, owner=None, **settings):
            """The maths on inputs that `tensors.prepare` has seen; ids are checked for an owner."""
            axis, held = settings.get("axis", -1), kind(settings)
            if constant or held not in ("values", "target"):
                y_true = ops.stop_gradient(y_true)
            ignore_class = settings.get("ignore_class")
            keep = None if mask is None else ops.convert_to_tensor(mask)
            if keep is not None:
                keep = ops.cast(keep, y_pred.dtype if weighs_entries else "bool")
            if ignore_class is not None:
                valid = tensors.not_ignored(y_true, held, ignore_class, axis)
                keep = tensors.both(valid, keep, held, axis)
            if keep is not None and held != "sequence":  # A mask of frames, not labels.
                there = ops.cast(keep, "bool")
                y_true, y_pred = tensors.remove(there, y_true, y_pred, axis)
            if owner is not None and held in tensors.IDS:
                tensors.check_range(y_true, y_pred.shape[axis], held, ignore_class, owner)
            if held == "binary":
                tensors.check_shares(y_true, body.__name__, least)
            if takes_mask:
                settings["mask"] = keep

            def values(y_pred, **more):
                with exact_products(y_pred):
                    values = body(y_true, y_pred, **settings | more)
                if takes_mask or keep is None:
                    return values
                return ops.where(keep, values, ops.zeros_like(values))

            logits = tensors.get_logits(y_pred)
            exclusive = settings.get("encoding", held) in ("onehot", "ids", "sequence")
            if exclusive and y_pred.shape[axis] == 1:
                logits = None  # Not of a softmax, which of one class would be 1.
            if logits is None or settings.get("from_logits", True):
                return values(y_pred)
            made = tensors.made_of_logits(y_pred, logits, axis, exclusive)
            of_logits = functools.partial(values, from_logits=True)
            return tensors.either(made, of_logits, logits, values, y_pred)

        @functools.wraps(body)
        def function(*args, **kwargs):
            call = bound(signature, body.__name__, args, kwargs)
            call.apply_defaults()
            settings = call.arguments
            check_settings(body.__name__, checks, settings)
            y_true, y_pred = settings.pop("y_true"), settings.pop("y_pred")
            y_pred = tensors.map_prediction(tensors.float_tensor, y_pred)
            dtype = tensors.dtype_of(y_pred)
            y_true, y_pred = tensors.prepare(
                y_true,
                tensors.map_prediction(lambda x: tensors.cast(x, tensors.wide(dtype)), y_pred),
                kind(settings),
                settings.get("axis", -1),
                body.__name__,
                strict=False,
            )
            return tensors.cast(prepared(y_true, y_pred, owner=body.__name__, **settings), dtype)

        told = {"labels": labels, "weighs_entries": weighs_entries, "checks": checks}
        # For other losses the maths alone: inputs are looked at once, whatever is made of them.
        vars(function).update(prepared=prepared, maths=body, **told)
        return register("losses")(function)

    return decorate


def activation(**checks):
    """Decorator: make maths on a float tensor a public activation function.

    Applied to a symbolic tensor of a functional model, the function inserts its layer, with what
    a layer would learn as constants.

    Args:
        checks: For a setting, the check from `core.checks` that it must pass.
    """

    def decorate(body: Function) -> Function:
        signature = inspect.signature(body)
        axis = signature.parameters.get("axis")

        def prepared(x, **settings):
            """The maths with settings that have been checked."""
            tensors.check_numbers(x, f"{body.__name__}: x", "pass a tensor or an array")
            x = tensors.float_tensor(x)
            if axis is not None:
                tensors.check_axis(settings.get("axis", axis.default), x.shape, body.__name__)
            else:
                for name in checks.keys() & settings.keys():
                    tensors.check_broadcasts(settings[name], x.shape, f"{body.__name__}: {name}")
            return body(x, **settings)

        @functools.wraps(body)
        def function(*args, **kwargs):
            settings = bound(signature, body.__name__, args, kwargs).arguments
            check_settings(body.__name__, checks, settings)
            x = settings.pop("x")
            if isinstance(x, keras.KerasTensor):
                given = ("mask", "training")
                inputs = {name: settings.pop(name) for name in given if name in settings}
                for name, value in settings.items():
                    if isinstance(value, keras.KerasTensor):
                        raise TypeError(
                            f"{body.__name__}: {name} of a symbolic x must be a number or an "
                            f"array, got {value!r}; call the function in a layer of your own"
                        )
                return vars(function)["layer"].of_settings(settings)(x, **inputs)
            return prepared(x, **settings)

        vars(function).update(prepared=prepared, checks=checks)
        return register("activations")(function)

    return decorate


def by_width(x, exact, native, on=("jax", "tensorflow", "torch"), narrow=()):
    """`exact(x)` in 16 bit; else `native(x)` where it pays.

    Args:
        x: Tensor.
        exact: Function of a tensor of any width, see `numerics.rounded_once`.
        native: Function of a tensor that calls the backend's own kernel, for float32 and wider.
        on: Backends on which `native` is one fused kernel and `exact` is slower.
        narrow: Backends whose kernels round once in 16 bit too, the gradient as well.
    """
    dtype = tensors.dtype_of(x)
    pays = keras.backend.backend() in (on if tensors.wide(dtype) == dtype else narrow)
    return native(x) if pays else exact(x)


def by_kernel(x, value, gradient, on=("jax", "tensorflow", "torch"), narrow=(), table=None):
    """`value(x)`, which is one kernel: with its own gradient where that pays, else with ours."""
    return by_width(x, rounded_once(value, gradient, table), value, on, narrow)


def in_float32(function, x):
    """`function(x)` of several ops, computed in float32 and rounded once in 16 bit."""
    dtype = tensors.dtype_of(x)
    return tensors.cast(function(tensors.cast(x, tensors.wide(dtype))), dtype)
