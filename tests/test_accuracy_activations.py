"""Activations against the formulas in their docstrings, evaluated with fifty digits.

Errors are in units in the last place (ULP) of the exact result, over the whole range of a dtype,
eager and compiled. 16 bit is held to one rounding. In float32 an activation is held to what Keras's
own reaches, if it calls its kernels, and else to the bound in its row.
"""

import functools

import keras
import numpy as np
import pytest
from accuracy import IS_TORCH, MODES, RUNS, by_dtype_and_mode, measure, pairs, reals, rows, truth_of
from keras import ops

from keras_actloss import activations
from keras_actloss.testing import oracle

pytestmark = [pytest.mark.slow, pytest.mark.optimized]


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
        _gated(lambda x: ops.gelu(x, approximate=True)),
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
    "dynamic_tanh(0.3)": (activations.dynamic_tanh, {"alpha": 0.3}, 8),
    "dynamic_tanh(learned)": (activations.dynamic_tanh, {"alpha": np.float32([1.7])}, 8),
    "prelu": (activations.prelu, {"alpha": np.float32([0.3])}, 1),
    "rrelu": (activations.rrelu, {}, 1),
    "sine": (activations.sine, {"frequency": 1.0}, 2, 2.0**20),
    "sine(0.7)": (activations.sine, {"frequency": 0.7}, 4, 2.0**20),
    "sine(30)": (activations.sine, {"frequency": 30.0}, 4, 2.0**15),
    "sine(learned)": (activations.sine, {"frequency": np.float32([0.7])}, 4, 2.0**20),
    "snake": (activations.snake, {"frequency": 1.0}, 6, 2.0**15),
    "snake(0.7)": (activations.snake, {"frequency": 0.7}, 8, 2.0**16),
    "snake(frequency=0.5)": (activations.snake, {"frequency": np.float32([0.5])}, 6, 2.0**16),
    "snake(frequency=3.1)": (activations.snake, {"frequency": np.float32([3.1])}, 8, 2.0**14),
    "snake_beta": (activations.snake_beta, {"frequency": 0.5, "magnitude": 2.0}, 2, 2.0**16),
    "snake_beta(0.7)": (
        activations.snake_beta,
        {"frequency": 0.7, "magnitude": 1.3},
        4,
        2.0**16,
    ),
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
    "conditional_softmax": (activations.conditional_softmax, {}, 8),
    "ordinal_softmax": (activations.ordinal_softmax, {}, 8),
    "sparsemax": (activations.sparsemax, {}, 8),
    "entmax15": (activations.entmax15, {}, 8),
    "entmax(1.2)": (activations.entmax, {"alpha": 1.2}, 8),
    "entmax(2.5)": (activations.entmax, {"alpha": 2.5}, 8),
}


def _is_row(name):
    return name in SIMPLEX or "softm" in name


def _is_gated(name):
    return "glu" in name or name in ("bilinear", "gtu")


@functools.cache
def _activation_case(name, dtype):
    function, settings, _, *largest = (ACTIVATIONS | SIMPLEX)[name]
    is_row = _is_row(name)
    x = rows(dtype) if is_row else pairs(dtype) if _is_gated(name) else reals(dtype)[:, None]
    if largest:
        x = x[np.abs(x[:, 0]) <= largest[0]]
    if not is_row:
        return x, None, truth_of(function, x, settings)
    # A single chosen output, as a loss would ask for it, is the hard case of a row.
    width = 5 if name in ("conditional_softmax", "ordinal_softmax") else 4
    upstream = np.eye(width, dtype="float32")[np.argmax(x, -1)]
    return x, upstream, truth_of(function, x, settings, upstream)


@by_dtype_and_mode(["float16", "bfloat16"])
@pytest.mark.parametrize("name", ACTIVATIONS | SIMPLEX)
def test_activation_in_16_bit(name, dtype, mode):
    function, settings, *_ = (ACTIVATIONS | SIMPLEX)[name]
    x, upstream, truth = _activation_case(name, dtype)
    worst = measure(mode, lambda v: function(v, **settings), x, dtype, truth, upstream)
    assert max(worst) <= 0.51, f"value and gradient are {worst} ULP off"


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", SIMPLEX)
def test_simplex_in_float32(name, mode):
    """An entry is held to its bound beyond what one ULP of error in the logits does to it."""
    function, settings, bound = SIMPLEX[name]
    x, upstream, truth = _activation_case(name, "float32")
    run = RUNS[mode]
    got = run(lambda v: function(v, **settings), x, upstream)
    off = [oracle.errors(*pair, "float32") for pair in zip(got, truth, strict=True)]
    rows = np.flatnonzero(np.any(np.concatenate(off, -1) > bound, -1))
    if not len(rows):
        return
    # Any two logits move apart in some of these: a shift of all changes nothing.
    signs = np.array([[1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]], "float32") * np.inf
    moved = [np.nextafter(x[rows], d) for s in signs for d in (s, -s)]
    truths = [truth_of(function, v, settings, upstream[rows]) for v in moved]
    for part, what in enumerate(("value", "gradient")):
        for index in np.argwhere(off[part][rows] > bound):
            row, column = rows[index[0]], index[1]
            here, exact = float(got[part][row, column]), truth[part][row, column]
            near = [t[part][tuple(index)] for t in truths] + [exact]
            near = [v for v in near if not np.isnan(v)]
            beyond = max(min(near) - here, here - max(near))
            wrong = f"the {what} is {off[part][row, column]:.3g} ULP off at {x[row]}"
            assert beyond <= bound * oracle.ulp(exact, "float32"), wrong


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation_in_float32(name, mode):
    function, settings, bound, *_ = ACTIVATIONS[name]
    x, upstream, truth = _activation_case(name, "float32")
    arguments = (x, "float32", truth, upstream)
    ours = measure(mode, lambda v: function(v, **settings), *arguments)
    bounds = [bound, bound]
    if callable(bound):
        theirs = measure(mode, lambda v: bound(v, **settings), *arguments)
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
    run = RUNS[mode]
    got = run(lambda v: function(v, **settings), x)
    for computed, exact in zip(got, truth_of(function, x, settings), strict=True):
        normal = np.abs(exact) > 2.0**-125
        assert np.all(np.sign(computed) == np.sign(exact), where=normal)


@pytest.mark.parametrize("mode", MODES)
def test_snake_beside_the_zeros_of_its_slope(mode):
    """The slope has double zeros, at odd multiples of pi / 4; no float beside one has slope 0."""
    zeros = (4 * np.arange(-1000, 1000) - 1) * (np.pi / 4)
    x = np.float32(np.concatenate([zeros, zeros * (1 + 1e-7)]))[:, None]
    truth = truth_of(activations.snake, x, {})
    worst = measure(mode, activations.snake, x, "float32", truth)
    assert max(worst) <= 8, f"value and gradient are {worst} ULP off"


# Formulas, that of xielu with a beta of 0, and kernels of the backends have infinity times 0.
LOST_AT_INFINITY = {
    "jax": (),
    "tensorflow": ("silu", "gelu"),
    "torch": ("silu", "swish", "quick_gelu", "gelu"),
}[keras.backend.backend()] + ("hard_silu", "softsign", "xielu")


@pytest.mark.parametrize(
    "name",
    [
        name
        for name in ACTIVATIONS
        if not _is_row(name) and not _is_gated(name) and name.split("(")[0] not in LOST_AT_INFINITY
    ],
)
def test_infinity_has_a_value_and_a_slope(name):
    function, settings, *_ = ACTIVATIONS[name]
    x = np.array([[-np.inf], [np.inf]], "float32")
    got = RUNS["eager"](lambda v: function(v, **settings), x)
    assert not any(np.isnan(part).any() for part in got), f"value and gradient are {got}"
