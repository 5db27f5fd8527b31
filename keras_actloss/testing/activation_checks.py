"""What every activation promises: a check of one promise raises if it is broken."""

import copy
import inspect
import json
import os
import tempfile

import keras
import numpy as np
from keras import ops

from keras_actloss.core.parameters import LearnedActivation
from keras_actloss.testing.backend import (
    array,
    at_once,
    compiled,
    off_differences,
    value_and_gradient,
)
from keras_actloss.testing.examples import rebuilt
from keras_actloss.testing.report import NotApplicable, ensure


def _close(got, expected, what, rtol=1e-5, atol=1e-6):
    ensure(
        np.allclose(got, expected, rtol, atol, equal_nan=True),
        f"{what}: expected {np.asarray(expected)}, got {np.asarray(got)}",
    )


def _formula_arguments(layer):
    """What the names in the formula stand for; the weights of a built layer as arrays."""
    settings = {name: getattr(layer, name) for name in layer._settings}
    if layer.fn is not None:
        settings |= layer.fn_settings()
    # Copies, since the memory may be that of the weights, which training changes.
    return {
        name: np.array(ops.convert_to_numpy(value)) if ops.is_tensor(value) else value
        for name, value in settings.items()
    }


def _least_rank(layer):
    """How many axes an input must have: none for an elementwise layer."""
    axes = np.atleast_1d(getattr(layer, "axis", []))
    channels = int(isinstance(layer, LearnedActivation))
    return max((int(a) + 1 if a >= 0 else -int(a) for a in axes), default=channels)


def _function_of(layer):
    """The function form with the settings of the layer."""
    if layer.fn is None:
        raise NotApplicable("the layer has no function form")
    if (
        hasattr(layer, "seed_generator")
        and "training" not in inspect.signature(layer.fn).parameters
    ):
        raise NotApplicable("the function draws noise, the layer only in training")
    return lambda x: layer.fn(x, **layer.fn_settings())


def check_ranks(layer, x):
    """Any rank goes, an empty batch too, and an elementwise one takes a scalar."""
    # Axes of even size, so that a gated layer can halve one.
    for shape in ((), (4,), (0, 4), (3, 2, 4, 6)):
        if len(shape) < _least_rank(layer):
            continue
        data = np.linspace(-2, 2, int(np.prod(shape)), dtype="float32").reshape(shape)
        got = tuple(rebuilt(layer)(ops.convert_to_tensor(data)).shape)
        claimed = tuple(rebuilt(layer).compute_output_shape(shape))
        ensure(got == claimed, f"an input of shape {shape} gave {got}, claimed was {claimed}")


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


def check_samples_are_independent(layer, x):
    """What comes out of a sample does not depend on its neighbors."""
    axes = np.atleast_1d(getattr(layer, "axis", []))
    if any(int(axis) % x.ndim == 0 for axis in axes):
        raise NotApplicable("the layer works along the axis of samples")
    among = array(layer(x))[:1]  # Also makes the weights.
    alone = array(at_once(lambda x: layer(x))(ops.convert_to_tensor(x[:1])))
    _close(among, alone, "a sample in the batch and alone")


def check_layer_equals_function(layer, x):
    """The layer computes its function with its settings."""
    output = array(layer(x))
    _close(output, array(_function_of(layer)(x)), "layer beside function")


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
    dense = keras.layers.Dense(4, activation=rebuilt(layer))
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
    data = np.repeat(x[:, None], 2, axis=1)
    data[0] = 9.0
    inputs = keras.Input(data.shape[1:])
    outputs = rebuilt(layer)(mask(inputs))
    ensure(getattr(outputs, "_keras_mask", None) is not None, "the mask is lost")
    result = keras.Model(inputs, outputs)(data)
    kept, shape = tuple(result._keras_mask.shape), tuple(result.shape)
    ensure(kept == shape[: len(kept)], f"a mask of shape {kept} for an output of shape {shape}")


def check_shape_is_known(layer, x):
    """The output's shape is known before anything is computed, unknown sizes included."""
    for shape in ((None, 4), (None, None, 4), (2, None, None, 4)):
        actual = rebuilt(layer)(np.zeros([2 if size is None else size for size in shape])).shape
        claims = {
            f"compute_output_shape({shape})": rebuilt(layer).compute_output_shape(shape),
            f"a symbolic input of {shape}": rebuilt(layer)(keras.Input(batch_shape=shape)).shape,
        }
        for source, got in claims.items():
            sizes = zip(got, shape, actual, strict=True)
            right = all(g == n or (g is None and size is None) for g, size, n in sizes)
            ensure(right and got[0] == shape[0], f"{source} gave {got}, where {actual} came out")


def check_function_on_symbolic_input(layer, x):
    """The function form applies to a functional model's tensors, and the model can be saved."""
    if isinstance(layer, LearnedActivation) and layer.learned:
        raise NotApplicable("settings of the function are weights of the layer")
    inputs = keras.Input(x.shape[1:])
    function = _function_of(layer)
    model = keras.Model(inputs, function(inputs))
    expected = array(function(x))
    _close(array(model(x)), expected, "functional model beside function")
    config = json.loads(json.dumps(model.get_config()))
    _close(array(keras.Model.from_config(config)(x)), expected, "rebuilt model")


def check_gradient(layer, x):
    """The gradient is that of the value: it matches differences in most random directions."""
    # No multiple of the example input, along which a norm has no slope.
    upstream = np.random.default_rng(1).normal(size=layer(x).shape).astype("float32")
    _, gradient = value_and_gradient(layer, x, upstream)
    ensure(gradient is not None, "the backend finds no path from the output to the input")
    # In float64, since the sum of outputs would lose a small step.
    off = off_differences(
        lambda x: np.sum(np.float64(array(layer(x))) * upstream), gradient, x, 2e-3
    )
    ensure(off < 0.05, f"the gradient is off the differences of the values by {off:.0%}")


def _overflows(layer, x):
    """Where the exact output is beyond the largest float32, by the docstring's formula."""
    from keras_actloss.testing import oracle

    formula = oracle.formula_of(type(layer))
    if formula is None:
        return False
    exact = oracle.evaluate(formula, x=x, **_formula_arguments(layer))
    return np.abs(exact) > oracle.LARGEST["float32"]


def check_finite(layer, x):
    """Value and gradient are finite at large inputs, wherever the output is."""
    for scale in (1e2, 1e4, 1e30):
        large = (x * scale).astype("float32")
        value, gradient = value_and_gradient(layer, large)
        overflows = _overflows(layer, large)
        for what, got in (("an output", value), ("a gradient", gradient)):
            # A gradient of another shape than the output's may have any of its overflows in it.
            excused = overflows if np.shape(got) == np.shape(overflows) else np.any(overflows)
            finite = np.all(np.isfinite(got) | excused)
            ensure(
                finite,
                f"{what} is not finite at inputs of size {scale:g}; where the exact one overflows, "
                "too, a `Formula:` in the docstring tells",
            )


def check_nan_stays(layer, x):
    """NaN in, NaN out: a broken input is not hidden."""
    spoilt = x.copy()
    spoilt.flat[0] = np.nan
    ensure(np.isnan(array(layer(spoilt)).flat[0]), "a NaN input gives a number")


def check_integer_input(layer, x):
    """Integers are taken as floats."""
    integers = np.round(3 * x).astype("int32")
    try:
        function = _function_of(layer)
    except NotApplicable:
        function = layer
    _close(array(function(integers)), array(function(integers.astype("float32"))), "integers")


def check_compiled(layer, x):
    """The layer compiles as one graph and computes the same there."""
    expected = array(layer(x))  # Also makes the weights, which torch cannot do in a graph.
    _close(array(compiled(lambda v: layer(v))(ops.convert_to_tensor(x))), expected, "compiled")


def check_formula(layer, x):
    """Values and gradient are those of the docstring's formula, to a few units in the last place.

    Errors are told in units of the exact result or of 1, whichever is larger: the backends' own
    kernels lose the last digits of a gradient that vanishes. One unit of error in the input is
    forgiven, which a product with a frequency makes.
    """
    from keras_actloss.testing import oracle

    formula = oracle.needed_formula_of(type(layer))
    upstream = np.random.default_rng(2).normal(size=layer(x).shape).astype("float32")
    settings = _formula_arguments(layer)
    computed = value_and_gradient(layer, x, upstream)

    def truth(x):
        slope = oracle.derivative(formula, "x", x, upstream, **settings)
        return oracle.evaluate(formula, x=x, **settings), slope

    # What the input's neighbors would give is looked at where the input itself does not do.
    truths = [truth(x)]
    if any(_off(computed[i], [truths[0][i]]) > 8 for i in (0, 1)):
        truths += [truth(np.nextafter(x, np.float32(side))) for side in (-np.inf, np.inf)]
    for i, what in enumerate(("value", "gradient")):
        off = _off(computed[i], [exact[i] for exact in truths])
        ensure(off <= 8, f"the {what} is {off:.3g} units in the last place off the formula")


def _off(got, truths):
    """How far `got` is outside of what lies between `truths`, in units of the first or of 1."""
    exact = np.array(truths)
    known = ~np.any(np.isnan(exact), axis=0)
    exact = np.where(known, exact, 0)
    low, high = exact.min(axis=0), exact.max(axis=0)
    unit = np.spacing(np.maximum(np.abs(exact[0]), 1).astype("float32"))
    return np.where(known, np.maximum(low - got, got - high) / unit, 0).max()


def _descend(model, x, upstream):
    """Take the gradient of `sum(upstream * model(x))` off the weights."""
    # Keras divides the loss by the size of the batch. Eagerly, since TensorFlow's graph optimizer
    # lets a step change a weight before the gradients of others have read it.
    optimizer = keras.optimizers.SGD(float(len(x)))
    axes = tuple(range(1, upstream.ndim))
    model.compile(optimizer, lambda u, y: ops.sum(u * y, axis=axes), run_eagerly=True)
    model.train_on_batch(x, upstream)


def check_weights_learn(layer, x):
    """One step of training moves each weight by the derivative of the formula."""
    from keras_actloss.testing import oracle

    model = keras.Sequential([keras.Input(x.shape[1:]), rebuilt(layer)])
    if not model.trainable_weights:
        raise NotApplicable("the layer has no weights")
    formula = oracle.needed_formula_of(type(layer))
    before = _formula_arguments(model.layers[0])
    upstream = np.random.default_rng(3).normal(size=layer(x).shape).astype("float32")
    _descend(model, x, upstream)
    for weight in model.trainable_weights:
        others = {name: value for name, value in before.items() if name != weight.name}
        value = before[weight.name]
        slope = oracle.derivative(formula, weight.name, value[None], upstream, x=x, **others)[0]
        expected = np.asarray(value - slope, dtype="float32")
        _close(array(weight), expected, f"weight {weight.name} after a step", atol=1e-5)


ACTIVATION_CHECKS = (
    check_ranks,
    check_dtypes,
    check_mixed_precision,
    check_samples_are_independent,
    check_layer_equals_function,
    check_formula,
    check_weights_learn,
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
    shape = (4, 6) if _least_rank(layer) < 2 else (4, 4, 6)
    return np.random.default_rng(0).normal(size=shape).astype("float32")
