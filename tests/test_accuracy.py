"""Values and gradients against the formulas in the docstrings, evaluated with fifty digits.

Errors are in units in the last place (ULP) of the exact result, over the whole range of a dtype,
eager and compiled. 16 bit is held to one rounding, float32 losses to 8 ULP, float32 activations to
what Keras's own reach, whose kernels they call.
"""

import functools
import inspect

import keras
import numpy as np
import pytest
from keras import ops

from keras_actloss import activations, losses
from keras_actloss.testing import oracle
from keras_actloss.testing.backend import compiled_value_and_gradient, value_and_gradient

pytestmark = pytest.mark.slow

MODES = ["eager"] if keras.backend.backend() == "torch" else ["eager", "compiled"]
DIGITS = {"float32": 23, "bfloat16": 7, "float16": 10}
LOWEST = {"float32": -126, "bfloat16": -126, "float16": -14}
HIGHEST = {"float32": 127, "bfloat16": 127, "float16": 15}


def _grid(dtype, low=None, high=None):
    """Positive floats of a dtype: some of every binade, its ends and a dense part around 1."""
    rng = np.random.default_rng(0)
    low, high = low or LOWEST[dtype], high or HIGHEST[dtype]
    steps = 2 ** DIGITS[dtype]
    exponents = np.repeat(np.arange(low, high + 1), 2)
    dense = rng.uniform(-7, min(8, high), 200).round()
    exponents = np.concatenate([exponents, dense[dense >= low]])
    mantissas = 1 + rng.integers(0, steps, len(exponents)) / steps
    ends = [1, 1 + 1 / steps, 2 - 1 / steps]
    return np.unique(np.concatenate([mantissas * 2.0**exponents, ends])).astype("float32")


def _reals(dtype):
    grid = _grid(dtype)
    return np.concatenate([-grid[::-1], grid])


def _probabilities(dtype):
    """Floats between 0 and 1, as close to both ends as the dtype has them."""
    near_one = 1 - np.arange(1, 40) * 2.0 ** (-1 - DIGITS[dtype])
    grid = _grid(dtype, high=-1)
    return np.concatenate([grid[grid < 1], near_one]).astype("float32")


def _rows(dtype):
    """Rows of four scores, from almost equal to one far ahead of the others."""
    rng = np.random.default_rng(1)
    scales = 2.0 ** rng.uniform(-10, 6 if dtype == "float16" else 8, (300, 1))
    leads = np.zeros((300, 4))
    leads[np.arange(300), rng.integers(0, 4, 300)] = rng.uniform(0, 40, 300)
    return _representable(rng.normal(size=(300, 4)) * scales + leads, dtype)


def _probability_rows(dtype):
    logits = np.float64(_rows(dtype))
    e = np.exp(np.clip(logits - logits.max(-1, keepdims=True), -60, 0))
    p = e / e.sum(-1, keepdims=True)
    return _representable(np.maximum(p, 2.0 ** (LOWEST[dtype] + 1)), dtype)


def _representable(x, dtype):
    return np.array(ops.cast(ops.cast(x.astype("float32"), dtype), "float32"))


def _truth(function, dtype, x, settings, upstream=None):
    formula = oracle.formula_of(function)
    parameters = inspect.signature(function).parameters.values()
    defaults = {p.name: p.default for p in parameters if p.default is not p.empty}
    arguments = defaults | settings
    name = "x" if "x" in inspect.signature(function).parameters else "y_pred"
    value = oracle.evaluate(formula, **{name: x}, **arguments)
    return value, oracle.derivative(formula, name, x, upstream, **arguments)


def _worst(got, truth, dtype):
    result = []
    for computed, exact in zip(got, truth, strict=True):
        off = oracle.errors(np.float64(computed), exact, dtype)
        result.append(off.max())
    return result


def _measure(mode, call, x, dtype, truth, upstream=None):
    """Largest errors of value and gradient, in ULP."""
    run = value_and_gradient if mode == "eager" else compiled_value_and_gradient
    return _worst(run(call, ops.cast(x, dtype), upstream), truth, dtype)


ACTIVATIONS = {
    "elu": (activations.elu, {}, keras.activations.elu),
    "elu(alpha=0.3)": (activations.elu, {"alpha": 0.3}, keras.activations.elu),
    "leaky_relu": (activations.leaky_relu, {"negative_slope": 0.3}, keras.activations.leaky_relu),
    "linear": (activations.linear, {}, keras.activations.linear),
    "relu": (activations.relu, {}, keras.activations.relu),
    "relu(6)": (activations.relu, {"max_value": 6.0}, keras.activations.relu),
    "relu(all)": (
        activations.relu,
        {"max_value": 2.5, "negative_slope": 0.3, "threshold": 0.7},
        keras.activations.relu,
    ),
    "sigmoid": (activations.sigmoid, {}, keras.activations.sigmoid),
    "tanh": (activations.tanh, {}, keras.activations.tanh),
    "softmax": (activations.softmax, {}, keras.activations.softmax),
    "log_softmax": (activations.log_softmax, {}, keras.activations.log_softmax),
}


@functools.cache
def _activation_case(name, dtype):
    function, settings, _ = ACTIVATIONS[name]
    is_row = "softmax" in name
    x = _rows(dtype) if is_row else _reals(dtype)[:, None]
    # A single chosen output, as a loss would ask for it, is the hard case of a row.
    upstream = np.eye(4, dtype="float32")[np.argmax(x, -1)] if is_row else None
    return x, upstream, _truth(function, dtype, x, settings, upstream)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation_in_16_bit(name, dtype, mode):
    function, settings, _ = ACTIVATIONS[name]
    x, upstream, truth = _activation_case(name, dtype)
    worst = _measure(mode, lambda v: function(v, **settings), x, dtype, truth, upstream)
    assert max(worst) <= 0.51, f"value and gradient are {worst} ULP off"


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation_is_at_least_as_accurate_as_keras(name, mode):
    function, settings, theirs = ACTIVATIONS[name]
    x, upstream, truth = _activation_case(name, "float32")
    arguments = (x, "float32", truth, upstream)
    ours = _measure(mode, lambda v: function(v, **settings), *arguments)
    reference = _measure(mode, lambda v: theirs(v, **settings), *arguments)
    for off, their_off in zip(ours, reference, strict=True):
        assert off <= max(1.0, their_off), f"{ours} ULP off, Keras {reference}"


def _binary(label):
    return lambda x: np.full(x.shape, label, "float32")


def _ids(x):
    return (np.arange(len(x)) % 4).astype("int32")


def _one_hot(x):
    return np.eye(4, dtype="float32")[_ids(x)]


# name -> function, settings, labels for predictions, predictions of a dtype
LOSSES = {
    "mean_squared_error": (losses.mean_squared_error, {}, _binary(0.0), _reals),
    "mean_squared_error, y=1": (losses.mean_squared_error, {}, _binary(1.0), _reals),
    "mean_absolute_error": (losses.mean_absolute_error, {}, _binary(1.0), _reals),
    "huber": (losses.huber, {"delta": 1.0}, _binary(0.0), _reals),
    "huber(0.3)": (losses.huber, {"delta": 0.3}, _binary(1.0), _reals),
    "hinge": (losses.hinge, {}, _binary(1.0), _reals),
    "hinge, y=0": (losses.hinge, {}, _binary(0.0), _reals),
    "squared_hinge": (losses.squared_hinge, {}, _binary(-1.0), _reals),
    "binary logits, y=0": (
        losses.binary_crossentropy,
        {"from_logits": True},
        _binary(0.0),
        _reals,
    ),
    "binary logits, y=1": (
        losses.binary_crossentropy,
        {"from_logits": True, "class_weights": (1.0, 3.0)},
        _binary(1.0),
        _reals,
    ),
    "binary probabilities, y=0": (losses.binary_crossentropy, {}, _binary(0.0), _probabilities),
    "binary probabilities, y=1": (losses.binary_crossentropy, {}, _binary(1.0), _probabilities),
    "categorical logits": (
        losses.categorical_crossentropy,
        {"from_logits": True},
        _one_hot,
        _rows,
    ),
    "categorical probabilities": (
        losses.categorical_crossentropy,
        {"class_weights": (1.0, 3.0, 0.5, 2.0)},
        _one_hot,
        _probability_rows,
    ),
    "sparse logits": (losses.sparse_categorical_crossentropy, {"from_logits": True}, _ids, _rows),
    "sparse probabilities": (
        losses.sparse_categorical_crossentropy,
        {},
        _ids,
        _probability_rows,
    ),
    "categorical_hinge": (losses.categorical_hinge, {}, _one_hot, _rows),
}


@functools.cache
def _loss_case(name, dtype):
    function, settings, labels, predictions = LOSSES[name]
    y_pred = predictions(dtype)
    y_pred = y_pred if y_pred.ndim > 1 else y_pred[:, None]
    y_true = labels(y_pred)
    return y_true, y_pred, _truth(function, dtype, y_pred, settings | {"y_true": y_true})


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("name", LOSSES)
def test_loss(name, dtype, mode):
    function, settings, _, _ = LOSSES[name]
    y_true, y_pred, truth = _loss_case(name, dtype)
    worst = _measure(mode, lambda p: function(y_true, p, **settings), y_pred, dtype, truth)
    limit = 8 if dtype == "float32" else 0.51
    assert max(worst) <= limit, f"value and gradient are {worst} ULP off"


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("label", [0.25, 0.95])
def test_soft_labels(label, mode):
    """Where the gradient crosses zero, 5 ULP with one ULP of error in the input forgiven."""
    x = _grid("float32", -20, 6)[:, None]
    neighbors = [np.nextafter(x, np.float32(s)) for s in (-np.inf, np.inf)]
    settings = {"from_logits": True, "y_true": np.full(x.shape, label, "float32")}
    function = losses.binary_crossentropy
    truths = [_truth(function, "float32", v, settings)[1] for v in (x, *neighbors)]
    run = value_and_gradient if mode == "eager" else compiled_value_and_gradient
    _, got = run(lambda p: function(settings["y_true"], p, from_logits=True), x)
    for index in np.ndindex(x.shape):
        exact = sorted(t[index] for t in truths)
        off = max(exact[0] - float(got[index]), float(got[index]) - exact[-1], 0)
        assert off <= 5 * oracle.ulp(truths[0][index], "float32"), x[index]
