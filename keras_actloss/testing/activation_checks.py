"""What every activation promises, a check each: `check(layer, x)` raises if it is broken."""

import copy
import json
import os
import tempfile

import keras
import numpy as np
from keras import ops

from keras_actloss.testing.backend import array, compiled, value_and_gradient
from keras_actloss.testing.examples import rebuilt
from keras_actloss.testing.report import NotApplicable, ensure


def _close(got, expected, what, rtol=1e-5, atol=1e-6):
    ensure(
        np.allclose(got, expected, rtol, atol, equal_nan=True),
        f"{what}: expected {np.asarray(expected)}, got {np.asarray(got)}",
    )


def _least_rank(layer):
    """How many axes an input must have: none for an elementwise layer."""
    axes = np.atleast_1d(getattr(layer, "axis", []))
    return max((int(a) + 1 if a >= 0 else -int(a) for a in axes), default=0)


def check_ranks(layer, x):
    """Any rank goes, an empty batch too, and an elementwise one takes a scalar."""
    shapes = [(5,), (0, 4), (2, 3), (2, 3, 4), (2, 1, 3, 4)]
    for shape in [(), *shapes]:
        if len(shape) < _least_rank(layer):
            continue
        data = np.linspace(-2, 2, int(np.prod(shape)), dtype="float32").reshape(shape)
        got = tuple(rebuilt(layer)(ops.convert_to_tensor(data)).shape)
        ensure(got == shape, f"an input of shape {shape} gave {got}")


def check_dtypes(layer, x):
    """The output has the dtype that the layer computes in."""
    for dtype in ("float16", "bfloat16", "float32"):
        result = rebuilt(layer, dtype=dtype)(ops.cast(x, dtype))
        got = keras.backend.standardize_dtype(result.dtype)
        ensure(got == dtype, f"an input of {dtype} gave {got}")


def check_mixed_precision(layer, x):
    """Under `mixed_float16` and `mixed_bfloat16` the layer computes in 16 bit."""
    for policy in ("mixed_float16", "mixed_bfloat16"):
        result = rebuilt(layer, dtype=policy)(x)
        got = keras.backend.standardize_dtype(result.dtype)
        ensure(got == policy.removeprefix("mixed_"), f"under {policy} the output is {got}")


def check_layer_equals_function(layer, x):
    """The layer computes its function with its settings."""
    if layer.fn is None:
        raise NotApplicable("the layer has no function form")
    expected = array(layer.fn(x, **layer.fn_settings()))
    _close(array(layer(x)), expected, "layer beside function")


def check_config_round_trip(layer, x):
    """`from_config(get_config())` gives the same settings and output."""
    original = rebuilt(layer, name="original")
    again = type(layer).from_config(json.loads(json.dumps(original.get_config())))
    ensure(again.name == "original", f"the name came back as {again.name!r}")
    _close(array(again(x)), array(original(x)), "output after the round trip")


def check_refuses_unknown_config(layer, x):
    """A config with a key that the constructor does not take is an error."""
    config = {**layer.get_config(), "no_such_setting": 1}
    try:
        type(layer).from_config(config)
    except (TypeError, ValueError):
        return
    raise AssertionError("from_config accepted the unknown key 'no_such_setting'")


def check_saving(layer, x):
    """A model with it, as layer and as `Dense(activation=...)`, loads from a `.keras` file."""
    inputs = keras.Input(x.shape[1:])
    dense = keras.layers.Dense(3, activation=rebuilt(layer))
    model = keras.Model(inputs, dense(rebuilt(layer)(inputs)))
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model.keras")
        model.save(path)
        again = keras.saving.load_model(path, safe_mode=True)
    _close(array(again(x)), array(model(x)), "output after loading")
    clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    _close(array(clone(x)), array(model(x)), "output of a clone")


def check_copy(layer, x):
    """A deep copy computes the same."""
    _close(array(copy.deepcopy(layer)(x)), array(layer(x)), "output of a copy")


def check_mask_is_kept(layer, x):
    """A Keras mask passes through to the next layer."""
    mask = keras.layers.Masking(mask_value=9.0)
    data = x[:, None].copy()
    data[0] = 9.0
    inputs = keras.Input(data.shape[1:])
    outputs = rebuilt(layer)(mask(inputs))
    ensure(getattr(outputs, "_keras_mask", None) is not None, "the mask is lost")
    ensure(keras.Model(inputs, outputs)(data).shape == data.shape, "the output's shape is off")


def check_shape_is_known(layer, x):
    """The output's shape is known before anything is computed, unknown sizes included."""
    for shape in ((None, 4), (None, None, 3), (2, None, None, 3)):
        got = tuple(rebuilt(layer).compute_output_shape(shape))
        ensure(got == shape, f"compute_output_shape({shape}) gave {got}")
    symbolic = rebuilt(layer)(keras.Input((None, 3)))
    ensure(symbolic.shape == (None, None, 3), f"symbolic output of shape {symbolic.shape}")


def check_function_on_symbolic_input(layer, x):
    """The function form applies to a functional model's tensors, and the model can be saved."""
    if layer.fn is None:
        raise NotApplicable("the layer has no function form")
    inputs = keras.Input(x.shape[1:])
    model = keras.Model(inputs, layer.fn(inputs, **layer.fn_settings()))
    expected = array(layer.fn(x, **layer.fn_settings()))
    _close(array(model(x)), expected, "functional model beside function")
    config = json.loads(json.dumps(model.get_config()))
    _close(array(keras.Model.from_config(config)(x)), expected, "rebuilt model")


def check_gradient(layer, x):
    """The gradient is that of the value: it matches differences in most random directions."""
    rng, step, misses = np.random.default_rng(1), 1e-2, []
    upstream = rng.normal(size=x.shape).astype("float32")
    _, gradient = value_and_gradient(layer, x, upstream)
    ensure(gradient is not None, "the backend finds no path from the output to the input")
    for _ in range(7):
        direction = rng.normal(size=x.shape).astype("float32")
        sides = [array(layer(x + s * step * direction)) for s in (1, -1)]
        difference = np.sum(upstream * (sides[0] - sides[1])) / (2 * step)
        slope = np.sum(gradient * direction)
        misses.append(abs(slope - difference) / (abs(difference) + 0.05 * np.abs(gradient).max()))
    ensure(
        np.median(misses) < 0.05,
        f"the gradient is off the differences of the values by {np.median(misses):.0%}",
    )


def check_finite(layer, x):
    """Value and gradient are finite at large inputs, wherever the output is."""
    for scale in (1e2, 1e4, 1e30):
        value, gradient = value_and_gradient(layer, (x * scale).astype("float32"))
        ensure(np.all(np.isfinite(value)), f"an output is not finite at inputs of size {scale:g}")
        ensure(np.all(np.isfinite(gradient)), f"a gradient is not finite at size {scale:g}")


def check_nan_stays(layer, x):
    """NaN in, NaN out: a broken input is not hidden."""
    spoilt = x.copy()
    spoilt.flat[0] = np.nan
    ensure(np.isnan(array(layer(spoilt)).flat[0]), "a NaN input gives a number")


def check_integer_input(layer, x):
    """Integers are taken as floats."""
    integers = np.round(3 * x).astype("int32")
    function = layer if layer.fn is None else lambda v: layer.fn(v, **layer.fn_settings())
    _close(array(function(integers)), array(function(integers.astype("float32"))), "integers")


def check_compiled(layer, x):
    """The layer compiles as one graph and computes the same there."""
    _close(
        array(compiled(lambda v: layer(v))(ops.convert_to_tensor(x))), array(layer(x)), "compiled"
    )


def check_formula(layer, x):
    """Values and gradient are those of the docstring's formula, to a few units in the last place.

    Errors are told in units of the exact result or of 1, whichever is larger: the backends' own
    kernels lose the last digits of a gradient that vanishes.
    """
    from keras_actloss.testing import oracle

    formula = oracle.formula_of(type(layer))
    if formula is None:
        raise NotApplicable("the docstring has no block `Formula:`")
    settings = {name: getattr(layer, name) for name in layer._settings}
    upstream = np.random.default_rng(2).normal(size=x.shape).astype("float32")
    value, gradient = value_and_gradient(layer, x, upstream)
    truth = oracle.evaluate(formula, x=x, **settings)
    slope = oracle.derivative(formula, "x", x, upstream, **settings)
    for what, got, exact in (("value", value, truth), ("gradient", gradient, slope)):
        known = np.array([v is not None for v in exact.flat]).reshape(exact.shape)
        exact = np.where(known, exact, 0).astype("float64")
        unit = np.spacing(np.maximum(np.abs(exact), 1).astype("float32"))
        off = np.where(known, np.abs(got - exact) / unit, 0).max()
        ensure(off <= 8, f"the {what} is {off:.3g} units in the last place off the formula")


ACTIVATION_CHECKS = (
    check_ranks,
    check_dtypes,
    check_mixed_precision,
    check_layer_equals_function,
    check_formula,
    check_gradient,
    check_finite,
    check_nan_stays,
    check_integer_input,
    check_mask_is_kept,
    check_shape_is_known,
    check_function_on_symbolic_input,
    check_compiled,
    check_config_round_trip,
    check_saving,
    check_refuses_unknown_config,
    check_copy,
)


def example_of(layer):
    """An input for `layer` when the user gives none: small, both signs, away from kinks."""
    shape = (4, 5) if _least_rank(layer) < 2 else (4, 3, 5)
    return np.random.default_rng(0).normal(size=shape).astype("float32")
