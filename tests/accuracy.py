"""Inputs over the whole range of a dtype, and how far off a function is there."""

import functools
import hashlib
import inspect
from pathlib import Path

import joblib
import keras
import numpy as np
import pytest
from keras import ops

from keras_actloss.testing import oracle
from keras_actloss.testing.backend import compiled, graph, value_and_gradient
from keras_actloss.testing.oracle import derivative as exact_derivative
from keras_actloss.testing.oracle import evaluate as exact_evaluate

IS_TORCH = keras.backend.backend() == "torch"
RUNS = {"eager": value_and_gradient}
if not IS_TORCH:
    RUNS["compiled"] = functools.partial(value_and_gradient, through=compiled)
if keras.backend.backend() == "tensorflow":
    RUNS["graph"] = functools.partial(value_and_gradient, through=graph)
DIGITS = {"float32": 23, "bfloat16": 7, "float16": 10}
LOWEST = {"float32": -126, "bfloat16": -126, "float16": -14}
HIGHEST = {"float32": 127, "bfloat16": 127, "float16": 15}


def _row(mode, dtype=None):
    """A mode, beside a dtype if there is one; at night what costs most.

    XLA is seen on JAX in 16 bit, and one op after the other on torch; a graph of TensorFlow has the
    same kernels, and an optimizer that takes sums and products in an order of its own.
    """
    at_night = {
        ("jax", "eager"): True,
        ("tensorflow", "eager"): True,
        ("tensorflow", "compiled"): dtype in ("bfloat16", "float16"),
    }
    marks = [pytest.mark.nightly] if at_night.get((keras.backend.backend(), mode)) else []
    values = [mode] if dtype is None else [dtype, mode]
    return pytest.param(*values, marks=marks, id="-".join(values))


MODES = [_row(mode) for mode in RUNS]


def by_dtype_and_mode(dtypes=tuple(DIGITS)):
    """Parametrize a test by `dtype` and `mode`."""
    return pytest.mark.parametrize(("dtype", "mode"), [_row(m, d) for d in dtypes for m in RUNS])


# Fifty digits cost more than what is held to them: the backends share them, and so do reruns.
_SOURCE = hashlib.sha256(inspect.getsource(oracle).encode()).hexdigest()
_MEMORY = joblib.Memory(Path(__file__).parent.parent / ".pytest_cache" / _SOURCE, verbose=0)


@_MEMORY.cache
def evaluate(formula, arguments):
    return exact_evaluate(formula, **arguments)


@_MEMORY.cache
def derivative(formula, name, x, upstream, coupled, arguments):
    return exact_derivative(formula, name, x, upstream, coupled, **arguments)


def grid(dtype, low=None, high=None):
    """Positive floats of a dtype: some of every binade, a dense part around 1, and what is next
    to the places where the pieces of activations meet.

    As many for every dtype and range: a backend compiles an op anew for each shape.
    """
    rng = np.random.default_rng(0)
    low, high = low or LOWEST[dtype], high or HIGHEST[dtype]
    steps = 2 ** DIGITS[dtype]
    exponents = np.resize(np.arange(low, high + 1), 288)
    dense = rng.uniform(max(-7, low), min(8, high), 200).round()
    exponents = np.concatenate([exponents, dense])
    mantissas = 1 + rng.integers(0, steps, len(exponents)) / steps
    pieces = np.array([1, 1 + 1 / steps, 1.5 - 1 / steps, 1.5, 1.5 + 1 / steps, 2 - 1 / steps])
    pieces = [pieces * 2.0**exponent for exponent in (-1, 0, 1, 2)]
    return np.sort(np.concatenate([mantissas * 2.0**exponents, *pieces])).astype("float32")


def reals(dtype):
    positive = grid(dtype)
    return np.concatenate([-positive[::-1], positive])


def probabilities(dtype):
    """Floats between 0 and 1, as close to both ends as the dtype has them."""
    near_one = 1 - np.arange(1, 40) * 2.0 ** (-1 - DIGITS[dtype])
    below = grid(dtype, high=-1)
    return np.concatenate([below[below < 1], near_one]).astype("float32")


def rows(dtype):
    """Rows of four scores, from almost equal to one far ahead of the others."""
    rng = np.random.default_rng(1)
    scales = 2.0 ** rng.uniform(-10, 6 if dtype == "float16" else 8, (300, 1))
    leads = np.zeros((300, 4))
    leads[np.arange(300), rng.integers(0, 4, 300)] = rng.uniform(0, 40, 300)
    return representable(rng.normal(size=(300, 4)) * scales + leads, dtype)


def moderate_rows(dtype):
    """Those of `rows` that are no farther from 0 than 32."""
    x = rows(dtype)
    return x[np.abs(x).max(-1) <= 32]


def probability_rows(dtype):
    logits = np.float64(rows(dtype))
    e = np.exp(np.clip(logits - logits.max(-1, keepdims=True), -60, 0))
    p = e / e.sum(-1, keepdims=True)
    return representable(np.maximum(p, 2.0 ** (LOWEST[dtype] + 1)), dtype)


def pairs(dtype):
    """Rows of a gate and a value: gates from everywhere, far out and where their slopes are 0."""
    rng = np.random.default_rng(2)
    zeros = np.array([0.7518, 0.75246, 1.27846, 1.27846 / 1.702, 1.27846 / 0.9])
    near = np.concatenate([zeros + sign * 2.0**-k for k in range(1, 24) for sign in (1, -1)])
    deep = rng.uniform(0, 170, 150)
    opens = np.concatenate([reals(dtype)[::3], -near, -deep, deep, [3.0, 7.0]])
    values = rng.choice(reals(dtype), opens.shape)
    values[::2] = rng.normal(size=values[::2].shape)
    return representable(np.stack([opens, values], -1), dtype)


def every(step, inputs):
    """The inputs of a dtype in steps."""
    return lambda dtype: inputs(dtype)[::step]


def filled(label):
    """The same label for every prediction."""
    return lambda x: np.full(x.shape, label, "float32")


def ids(x):
    """A class id a row, each of four in turn."""
    return (np.arange(len(x)) % 4).astype("int32")


def one_hot(x):
    return np.eye(4, dtype="float32")[ids(x)]


def representable(x, dtype):
    return np.array(ops.cast(ops.cast(x.astype("float32"), dtype), "float32"))


def arguments_of(function, settings):
    parameters = inspect.signature(function).parameters.values()
    return {p.name: p.default for p in parameters if p.default is not p.empty} | settings


def _input_of(function):
    """The name that the signature of a function has for what it is differentiated by."""
    return "x" if "x" in inspect.signature(function).parameters else "y_pred"


def value_of(function, x, settings):
    """The exact value of a function."""
    arguments = {_input_of(function): x} | arguments_of(function, settings)
    return evaluate(oracle.formula_of(function), arguments)


def truth_of(function, x, settings, upstream=None, coupled=False):
    """The exact value and gradient of a function; samples are also coupled by `per="batch"`."""
    arguments = arguments_of(function, settings)
    coupled = coupled or arguments.get("per") == "batch"
    formula, name = oracle.formula_of(function), _input_of(function)
    slope = derivative(formula, name, x, upstream, coupled, arguments)
    return value_of(function, x, settings), slope


def worst(got, truth, dtype):
    return [oracle.errors(*pair, dtype).max() for pair in zip(got, truth, strict=True)]


def measure(mode, call, x, dtype, truth, upstream=None):
    """Largest errors of value and gradient, in ULP."""
    return worst(RUNS[mode](call, ops.cast(x, dtype), upstream), truth, dtype)


def beyond(got, truths, dtype):
    """The largest error of value and gradient, in ULP beyond what moved inputs do to them.

    Args:
        got: What was computed.
        truths: What is exact: at the input first, then at the ones beside it.
        dtype: Whose units are counted.
    """
    largest = []
    for computed, *exact in zip(got, *truths, strict=True):
        here, near = np.float64(computed), np.stack(exact)
        off = np.maximum(near.min(0) - here, here - near.max(0))
        unit = np.maximum(oracle.ulp(near[0], dtype), oracle.EDGE[dtype])
        # On a zero itself oracles see a jump.
        largest.append((off / unit)[~np.isnan(near).any(0)].max(initial=0))
    return np.max(largest)


def beside_largest(got, truth):
    """The largest error of a float32 gradient, in ULP of the largest slope along the last axis."""
    unit = oracle.ulp(np.nanmax(np.abs(truth), -1, keepdims=True), "float32")
    off = np.abs(np.float64(got) - truth) / unit
    return off[~np.isnan(truth) & (truth != 0)].max(initial=0)


def loss_test(cases, dtypes=tuple(DIGITS)):
    """A test of losses: value and gradient to 8 ULP in float32, to one rounding in 16 bit.

    Args:
        cases: Name -> function, its settings, `y_true` as a function of `y_pred`, and `y_pred` as a
            function of the dtype, an array with a sample a row or a number.
        dtypes: Of the inputs. Defaults to all.
    """

    @functools.cache
    def case(name, dtype):
        function, settings, labels, predictions = cases[name]
        y_pred = predictions(dtype)
        y_pred = y_pred if y_pred.ndim > 1 else y_pred[:, None]
        y_true = labels(y_pred)
        return y_true, y_pred, truth_of(function, y_pred, settings | {"y_true": y_true})

    @by_dtype_and_mode(dtypes)
    @pytest.mark.parametrize("name", cases)
    def test(name, dtype, mode):
        function, settings, _, _ = cases[name]
        y_true, y_pred, truth = case(name, dtype)
        off = measure(mode, lambda p: function(y_true, p, **settings), y_pred, dtype, truth)
        limit = 8 if dtype == "float32" else 0.51
        assert max(off) <= limit, f"value and gradient are {off} ULP off"

    return test
