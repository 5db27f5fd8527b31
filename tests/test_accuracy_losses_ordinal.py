"""Losses of ordered classes against the formulas in their docstrings."""

import functools

import numpy as np
import pytest
from accuracy import (
    RUNS,
    beyond,
    by_dtype_and_mode,
    every,
    ids,
    loss_test,
    one_hot,
    probability_rows,
    rows,
    truth_of,
)
from keras import ops

from keras_actloss import losses

pytestmark = [pytest.mark.slow, pytest.mark.optimized]

LOGITS = {"from_logits": True}


def _ranks(x):
    """A class id a row, each of five in turn, beside four levels."""
    return (np.arange(len(x)) % 5).astype("int32")


def _votes(x):
    """Distributions over four classes that add up to 1 exactly."""
    votes = np.float32([[1, 2, 4, 1], [0, 6, 1, 1], [3, 0, 0, 5]])
    return np.tile(votes / 8, (len(x), 1))[: len(x)]


emd, sparse_emd = losses.categorical_squared_emd, losses.sparse_categorical_squared_emd
LOSSES = {
    "coral": (losses.coral, {}, _ranks, every(2, rows)),
    "coral, weights": (
        losses.coral,
        {"importance_weights": [1.0, 2.5, 0.0, 0.3], "class_weights": [1.0, 0.0, 2.5, 0.3, 2.0]},
        _ranks,
        every(4, rows),
    ),
    "corn": (losses.corn, {"class_weights": [1.0, 0.0, 2.5, 0.3, 2.0]}, _ranks, every(2, rows)),
    "emd logits": (emd, LOGITS, one_hot, every(4, rows)),
    "emd probabilities": (
        emd,
        {"class_weights": [1.0, 2.5, 0.5, 0.3]},
        one_hot,
        every(4, probability_rows),
    ),
    "sparse emd logits": (sparse_emd, LOGITS, ids, every(4, rows)),
    "sparse emd probabilities": (sparse_emd, {}, ids, every(4, probability_rows)),
}
test_loss = loss_test(LOSSES)

kappa, sparse_kappa = losses.categorical_weighted_kappa, losses.sparse_categorical_weighted_kappa
# name -> function, settings, labels, predictions: those that a batch couples, and those whose
# gradient, or logarithm, crosses zero.
CROSSING = {
    "emd logits, votes": (emd, LOGITS, _votes, every(9, rows)),
    "emd probabilities, votes": (emd, {}, _votes, every(9, probability_rows)),
    "sparse emd logits, smoothed": (
        sparse_emd,
        LOGITS | {"label_smoothing": 0.125},
        ids,
        every(9, rows),
    ),
    "kappa logits": (kappa, LOGITS, one_hot, every(25, rows)),
    "kappa probabilities": (kappa, {"weighting": "linear"}, one_hot, every(25, probability_rows)),
    "sparse kappa logits": (
        sparse_kappa,
        # A ratio near 1, as that of these rows is, has lost the digits of its own logarithm.
        LOGITS | {"log_epsilon": 0.5},
        ids,
        every(25, rows),
    ),
}


@functools.cache
def _crossing_case(name, dtype):
    """Labels, predictions, and the truth for these and for their neighbors."""
    function, settings, labels, predictions = CROSSING[name]
    x = predictions(dtype)
    y_true = labels(x)
    signs = np.array([[0, 0, 0, 0], [1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]], "float32")
    inputs = [x, *(np.nextafter(x, d * s) for d in signs[1:] for s in (np.inf, -np.inf))]
    settings = settings | {"y_true": y_true}
    truths = [truth_of(function, v, settings, coupled="kappa" in name) for v in inputs]
    return y_true, x, truths


@by_dtype_and_mode()
@pytest.mark.parametrize("name", CROSSING)
def test_where_the_truth_crosses_zero(name, dtype, mode):
    """What one ULP in the predictions does is forgiven."""
    function, settings, *_ = CROSSING[name]
    y_true, x, truths = _crossing_case(name, dtype)
    got = RUNS[mode](lambda p: function(y_true, p, **settings), ops.cast(x, dtype), None)
    bound = 8 if dtype == "float32" else 0.51
    assert beyond(got, truths, dtype) <= bound
