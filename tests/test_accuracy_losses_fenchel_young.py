"""Fenchel-Young losses against the formulas in their docstrings, evaluated with fifty digits."""

import functools

import numpy as np
import pytest
from accuracy import (
    RUNS,
    beyond,
    by_dtype_and_mode,
    every,
    filled,
    ids,
    loss_test,
    one_hot,
    reals,
    rows,
    truth_of,
)
from keras import ops

from keras_actloss import losses

pytestmark = [pytest.mark.slow, pytest.mark.optimized]


def _smooth(x):
    return 0.875 * one_hot(x) + 0.03125  # Which sum to 1 in float32.


# name -> function, settings, labels for predictions, predictions of a dtype
LOSSES = {
    "perceptron": (losses.perceptron, {}, filled(1.0), every(4, reals)),
    "perceptron, y=0": (
        losses.perceptron,
        {"class_weights": (0.3, 3.0)},
        filled(0.0),
        every(4, reals),
    ),
    "categorical_perceptron": (losses.categorical_perceptron, {}, one_hot, rows),
    "sparse_categorical_perceptron": (losses.sparse_categorical_perceptron, {}, ids, rows),
}

test_loss = loss_test(LOSSES)


# The same, but one ULP in a logit is forgiven beyond these bounds: projections are 0 in a part of
# their range, and what is next to the edge of it depends on the last digit of a logit.
PROJECTIONS = {
    "sparsemax": (losses.categorical_sparsemax, {}, one_hot, 8),
    "sparsemax, soft labels": (losses.categorical_sparsemax, {}, _smooth, 8),
    "sparsemax, ids": (losses.sparse_categorical_sparsemax, {}, ids, 8),
    "entmax": (losses.categorical_entmax, {}, one_hot, 8),
    "entmax, soft labels": (losses.categorical_entmax, {}, _smooth, 8),
    "entmax(1.05)": (losses.categorical_entmax, {"alpha": 1.05}, one_hot, 8),
    "entmax(1.05), soft labels": (losses.categorical_entmax, {"alpha": 1.05}, _smooth, 8),
    "entmax(1.2)": (losses.categorical_entmax, {"alpha": 1.2}, one_hot, 8),
    "entmax(2.5)": (losses.sparse_categorical_entmax, {"alpha": 2.5}, ids, 8),
}


@functools.cache
def _case(name, dtype):
    function, settings, labels, _ = PROJECTIONS[name]
    x = rows(dtype)[:: 8 if dtype == "float32" else 16]
    y_true = labels(x)
    # Any two logits move apart in some of these: a shift of all changes nothing.
    signs = np.array([[1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]], "float32") * np.inf
    moved = [x, *(np.nextafter(x, d) for s in signs for d in (s, -s))]
    return x, y_true, [truth_of(function, v, settings | {"y_true": y_true}) for v in moved]


def _beyond(name, dtype, mode):
    function, settings, _, _ = PROJECTIONS[name]
    x, y_true, truths = _case(name, dtype)
    run = RUNS[mode]
    got = run(lambda p: function(y_true, p, **settings), ops.cast(x, dtype))
    return beyond(got, truths, dtype)


@by_dtype_and_mode()
@pytest.mark.parametrize("name", PROJECTIONS)
def test_projection(name, dtype, mode):
    bound = PROJECTIONS[name][-1] if dtype == "float32" else 0.51
    assert _beyond(name, dtype, mode) <= bound
