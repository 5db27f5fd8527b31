"""Values and gradients against the formulas in the docstrings, evaluated with fifty digits.

Errors are in units in the last place (ULP) of the exact result, over the whole range of a dtype,
eager and compiled. 16 bit is held to one rounding, float32 losses to 8 ULP. A float32 activation is
held to what Keras's own reaches, if it calls its kernels, and else to the bound in its row.
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

IS_TORCH = keras.backend.backend() == "torch"
MODES = ["eager"] if IS_TORCH else ["eager", "compiled"]
DIGITS = {"float32": 23, "bfloat16": 7, "float16": 10}
LOWEST = {"float32": -126, "bfloat16": -126, "float16": -14}
HIGHEST = {"float32": 127, "bfloat16": 127, "float16": 15}


def _grid(dtype, low=None, high=None):
    """Positive floats of a dtype: some of every binade, a dense part around 1, and what is next
    to the places where the pieces of activations meet."""
    rng = np.random.default_rng(0)
    low, high = low or LOWEST[dtype], high or HIGHEST[dtype]
    steps = 2 ** DIGITS[dtype]
    exponents = np.repeat(np.arange(low, high + 1), 2)
    dense = rng.uniform(-7, min(8, high), 200).round()
    exponents = np.concatenate([exponents, dense[dense >= low]])
    mantissas = 1 + rng.integers(0, steps, len(exponents)) / steps
    pieces = np.array([1, 1 + 1 / steps, 1.5 - 1 / steps, 1.5, 1.5 + 1 / steps, 2 - 1 / steps])
    pieces = [pieces * 2.0**exponent for exponent in (-1, 0, 1, 2)]
    return np.unique(np.concatenate([mantissas * 2.0**exponents, *pieces])).astype("float32")


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


def _pairs(dtype):
    """Rows of a gate and a value: gates from everywhere, far out and where their slopes are 0."""
    rng = np.random.default_rng(2)
    zeros = np.array([0.7518, 0.75246, 1.27846, 1.27846 / 1.702, 1.27846 / 0.9])
    near = np.concatenate([zeros + sign * 2.0**-k for k in range(1, 24) for sign in (1, -1)])
    deep = rng.uniform(0, 170, 150)
    opens = np.concatenate([_reals(dtype)[::3], -near, -deep, deep, [3.0, 7.0]])
    values = rng.choice(_reals(dtype), opens.shape)
    values[::2] = rng.normal(size=values[::2].shape)
    return _representable(np.stack([opens, values], -1), dtype)


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


def _kernel_off_jax(theirs):
    """The bound of a function that has a form of its own on JAX, Keras's kernel elsewhere."""
    return 8 if keras.backend.backend() == "jax" else theirs


def _gated(curve, through=lambda x: x):
    """A gated unit, gate first, as one writes it with Keras."""

    def function(x, **settings):
        opens, linear = ops.split(x, 2, -1)
        return through(linear) * curve(opens)

    return function


def _or_torch(bound, theirs):
    """The bound of a row whose function calls the kernels of torch there."""
    return theirs if IS_TORCH else bound


def _swish(x, beta):
    return x * ops.sigmoid(ops.convert_to_tensor(beta) * x)


# name -> function, settings, and Keras's function or the ULP in float32 that it is held to, the
# largest input if there is one
ACTIVATIONS = {
    "celu": (activations.celu, {}, 8),
    "celu(0.3)": (activations.celu, {"alpha": 0.3}, 8),
    "elu": (activations.elu, {}, _kernel_off_jax(keras.activations.elu)),
    "elu(0.3)": (activations.elu, {"alpha": 0.3}, _kernel_off_jax(keras.activations.elu)),
    "exponential": (activations.exponential, {}, keras.activations.exponential),
    "leaky_relu": (activations.leaky_relu, {"negative_slope": 0.3}, keras.activations.leaky_relu),
    "linear": (activations.linear, {}, keras.activations.linear),
    "log_sigmoid": (activations.log_sigmoid, {}, keras.activations.log_sigmoid),
    "relu": (activations.relu, {}, keras.activations.relu),
    "relu(6)": (activations.relu, {"max_value": 6.0}, keras.activations.relu),
    "relu(all)": (
        activations.relu,
        {"max_value": 2.5, "negative_slope": 0.3, "threshold": 0.7},
        keras.activations.relu,
    ),
    "selu": (activations.selu, {}, _kernel_off_jax(keras.activations.selu)),
    "shifted_softplus": (activations.shifted_softplus, {}, 8),
    "sigmoid": (activations.sigmoid, {}, keras.activations.sigmoid),
    "softcap(1)": (activations.softcap, {"cap": 1.0}, 8),
    "softcap(30)": (activations.softcap, {"cap": 30.0}, 8),
    "softplus": (activations.softplus, {}, 8),
    "softplus(1.7)": (activations.softplus, {"beta": 1.7}, 8),
    "softplus(100)": (activations.softplus, {"beta": 100.0}, 8),
    "softsign": (activations.softsign, {}, 8),
    "squareplus": (activations.squareplus, {}, 8),
    "squareplus(0.3)": (activations.squareplus, {"b": 0.3}, 8),
    "symexp": (activations.symexp, {}, 8),
    "symlog": (activations.symlog, {}, 8),
    "tanh": (activations.tanh, {}, keras.activations.tanh),
    "crelu": (activations.crelu, {}, 0.5),
    "hard_shrink": (activations.hard_shrink, {"threshold": 0.75}, 0.5),
    "hard_shrink(bounds)": (activations.hard_shrink, {"lower": -0.7, "upper": 0.3}, 0.5),
    "hard_sigmoid": (activations.hard_sigmoid, {}, keras.activations.hard_sigmoid),
    # Torch's kernel is called, which is off where the slope crosses zero.
    "hard_silu": (activations.hard_silu, {}, keras.activations.hard_silu if IS_TORCH else 3),
    "hard_tanh": (activations.hard_tanh, {}, 0.5),
    "hard_tanh(all)": (activations.hard_tanh, {"min_value": -0.7, "max_value": 0.3}, 0.5),
    "relu6": (activations.relu6, {}, 0.5),
    "soft_shrink": (activations.soft_shrink, {"threshold": 0.75}, 0.5),
    "soft_shrink(bounds)": (activations.soft_shrink, {"lower": -0.75, "upper": 0.25}, 0.5),
    "sparse_plus": (activations.sparse_plus, {}, 2),
    "sparse_sigmoid": (activations.sparse_sigmoid, {}, 1),
    "squared_relu": (activations.squared_relu, {}, 0.5),
    "tanh_shrink": (activations.tanh_shrink, {}, 8),
    "threshold": (activations.threshold, {"threshold": -0.7, "default_value": 0.3}, 0.5),
    "thresholded_relu": (activations.thresholded_relu, {"theta": 0.75}, 0.5),
    "glu": (activations.glu, {"gate": "first"}, _gated(ops.sigmoid)),
    "bilinear": (activations.bilinear, {}, 0.5),
    "gtu": (
        activations.gtu,
        {"gate": "first"},
        _or_torch(8, _gated(ops.sigmoid, ops.tanh)),
    ),
    "swiglu": (activations.swiglu, {}, _or_torch(8, _gated(ops.silu))),
    "geglu": (
        activations.geglu,
        {"gate": "first"},
        _or_torch(8, _gated(lambda x: ops.gelu(x, approximate=False))),
    ),
    "geglu(tanh)": (
        activations.geglu,
        {"gate": "first", "approximate": True},
        _or_torch(8, _gated(lambda x: ops.gelu(x, approximate=True))),
    ),
    "reglu": (activations.reglu, {"gate": "first"}, 0.5),
    "swiglu_clipped": (
        activations.swiglu_clipped,
        {},
        _or_torch(
            8,
            _gated(
                lambda x: ops.minimum(x, 7) * ops.sigmoid(1.702 * ops.minimum(x, 7)),
                lambda x: ops.clip(x, -7, 7) + 1,
            ),
        ),
    ),
    "swiglu_clipped(0.9, 3)": (
        activations.swiglu_clipped,
        {"alpha": 0.9, "limit": 3.0},
        _or_torch(
            8,
            _gated(
                lambda x: ops.minimum(x, 3) * ops.sigmoid(0.9 * ops.minimum(x, 3)),
                lambda x: ops.clip(x, -3, 3) + 1,
            ),
        ),
    ),
    "silu": (activations.silu, {}, _kernel_off_jax(keras.activations.silu)),
    "swish(0.3)": (activations.swish, {"beta": 0.3}, _or_torch(8, _swish)),
    "swish(-2.7)": (activations.swish, {"beta": -2.7}, _or_torch(8, _swish)),
    "swish(learned)": (activations.swish, {"beta": np.float32([1.3])}, _or_torch(8, _swish)),
    "quick_gelu": (activations.quick_gelu, {}, _or_torch(8, lambda x: _swish(x, 1.702))),
    "gelu": (activations.gelu, {"approximate": False}, keras.activations.gelu),
    "gelu(tanh)": (activations.gelu, {"approximate": True}, keras.activations.gelu),
    "mish": (activations.mish, {}, 8),
    "lisht": (activations.lisht, {}, 8),
    "dynamic_tanh": (activations.dynamic_tanh, {}, 5),
    "prelu": (activations.prelu, {"alpha": np.float32([0.3])}, 1),
    "rrelu": (activations.rrelu, {}, 1),
    "sine": (activations.sine, {"frequency": 1.0}, 2, 2.0**20),
    "snake": (activations.snake, {"frequency": 1.0}, 6, 2.0**11),
    "snake(frequency=0.5)": (activations.snake, {"frequency": np.float32([0.5])}, 6, 2.0**12),
    "snake_beta": (activations.snake_beta, {"frequency": 0.5, "magnitude": 2.0}, 2, 2.0**12),
    "star_relu": (activations.star_relu, {"scale": 0.75, "bias": 0.0}, 2),
    "tlu": (activations.tlu, {"tau": np.float32([-0.3])}, 1),
    "tlu(affine)": (activations.tlu, {"tau": 0.5, "alpha": 0.25}, 1),
    "xielu": (activations.xielu, {"beta": 0.0}, 5),
    "softmax": (activations.softmax, {}, keras.activations.softmax),
    "log_softmax": (activations.log_softmax, {}, keras.activations.log_softmax),
    "softmin": (activations.softmin, {}, lambda x: keras.activations.softmax(-x)),
}

# The same for functions that are 0 in a part of their range: there one ULP in a logit is forgiven.
SIMPLEX = {
    "ordinal_softmax": (activations.ordinal_softmax, {}, 8),
    "sparsemax": (activations.sparsemax, {}, 8),
    "entmax15": (activations.entmax15, {}, 8),
    "entmax(1.2)": (activations.entmax, {"alpha": 1.2}, 8),
    "entmax(2.5)": (activations.entmax, {"alpha": 2.5}, 8),
}


@functools.cache
def _activation_case(name, dtype):
    function, settings, _, *largest = (ACTIVATIONS | SIMPLEX)[name]
    is_row = name in SIMPLEX or "softm" in name
    is_gated = "glu" in name or name in ("bilinear", "gtu")
    x = _rows(dtype) if is_row else _pairs(dtype) if is_gated else _reals(dtype)[:, None]
    if largest:
        x = x[np.abs(x[:, 0]) <= largest[0]]
    if not is_row:
        return x, None, _truth(function, dtype, x, settings)
    # A single chosen output, as a loss would ask for it, is the hard case of a row.
    width = 5 if name == "ordinal_softmax" else 4
    upstream = np.eye(width, dtype="float32")[np.argmax(x, -1)]
    return x, upstream, _truth(function, dtype, x, settings, upstream)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("name", ACTIVATIONS | SIMPLEX)
def test_activation_in_16_bit(name, dtype, mode):
    function, settings, *_ = (ACTIVATIONS | SIMPLEX)[name]
    x, upstream, truth = _activation_case(name, dtype)
    worst = _measure(mode, lambda v: function(v, **settings), x, dtype, truth, upstream)
    assert max(worst) <= 0.51, f"value and gradient are {worst} ULP off"


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", SIMPLEX)
def test_simplex_in_float32(name, mode):
    """An entry is held to its bound beyond what one ULP of error in the logits does to it."""
    function, settings, bound = SIMPLEX[name]
    x, upstream, truth = _activation_case(name, "float32")
    run = value_and_gradient if mode == "eager" else compiled_value_and_gradient
    got = run(lambda v: function(v, **settings), x, upstream)
    off = [oracle.errors(*pair, "float32") for pair in zip(got, truth, strict=True)]
    rows = np.flatnonzero(np.any(np.concatenate(off, -1) > bound, -1))
    if not len(rows):
        return
    # Any two logits move apart in some of these: a shift of all changes nothing.
    signs = np.array([[1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]], "float32") * np.inf
    moved = [np.nextafter(x[rows], d) for s in signs for d in (s, -s)]
    truths = [_truth(function, "float32", v, settings, upstream[rows]) for v in moved]
    for part, what in enumerate(("value", "gradient")):
        for index in np.argwhere(off[part][rows] > bound):
            row, column = rows[index[0]], index[1]
            here, exact = float(got[part][row, column]), truth[part][row, column]
            near = [t[part][tuple(index)] for t in truths] + [exact]
            near = [v for v in near if v is not None]
            beyond = max(min(near) - here, here - max(near))
            wrong = f"the {what} is {off[part][row, column]:.3g} ULP off at {x[row]}"
            assert beyond <= bound * oracle.ulp(exact, "float32"), wrong


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation_in_float32(name, mode):
    function, settings, bound, *_ = ACTIVATIONS[name]
    x, upstream, truth = _activation_case(name, "float32")
    arguments = (x, "float32", truth, upstream)
    ours = _measure(mode, lambda v: function(v, **settings), *arguments)
    bounds = [bound, bound]
    if callable(bound):
        theirs = _measure(mode, lambda v: bound(v, **settings), *arguments)
        bounds = [max(1.0, off) for off in theirs]
    for off, allowed in zip(ours, bounds, strict=True):
        assert off <= allowed, f"value and gradient are {ours} ULP off, allowed are {bounds}"


# Kernels of the backends take the place of the others.
UNFLUSHED = {
    "jax": ["silu", "gelu", "swish(-2.7)", "quick_gelu", "mish", "lisht"],
    "tensorflow": ["swish(-2.7)", "quick_gelu", "mish", "lisht"],
    "torch": ["mish", "lisht"],
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", UNFLUSHED[keras.backend.backend()])
def test_tails_are_not_flushed(name, mode):
    """Where the truth is a normal number, value and gradient have its sign to the very end."""
    function, settings, _ = ACTIVATIONS[name]
    x = np.concatenate([-np.geomspace(4, 100, 300), np.geomspace(4, 100, 50)])[:, None]
    x = x.astype("float32")
    run = value_and_gradient if mode == "eager" else compiled_value_and_gradient
    got = run(lambda v: function(v, **settings), x)
    for computed, exact in zip(got, _truth(function, "float32", x, settings), strict=True):
        exact = exact.astype("float64")
        normal = np.abs(exact) > 2.0**-125
        assert np.all(np.sign(computed) == np.sign(exact), where=normal)


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
def test_snake_beside_the_zeros_of_its_slope(mode):
    """The slope has double zeros, at odd multiples of pi / 4; no float beside one has slope 0."""
    zeros = (4 * np.arange(-1000, 1000) - 1) * (np.pi / 4)
    x = np.float32(np.concatenate([zeros, zeros * (1 + 1e-7)]))[:, None]
    truth = _truth(activations.snake, "float32", x, {})
    worst = _measure(mode, activations.snake, x, "float32", truth)
    assert max(worst) <= 8, f"value and gradient are {worst} ULP off"


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
