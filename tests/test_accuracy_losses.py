"""Losses against the formulas in their docstrings, evaluated with fifty digits.

Errors are in units in the last place (ULP) of the exact result, over the whole range of a dtype,
eager and compiled. 16 bit is held to one rounding, float32 to 8 ULP.
"""

import itertools

import numpy as np
import pytest
from accuracy import (
    MODES,
    RUNS,
    beyond,
    every,
    filled,
    grid,
    ids,
    loss_test,
    moderate_rows,
    one_hot,
    probabilities,
    probability_rows,
    reals,
    rows,
    truth_of,
)

from keras_actloss import losses
from keras_actloss.testing import oracle

pytestmark = [pytest.mark.slow, pytest.mark.optimized]


LOGITS = {"from_logits": True}

# name -> function, settings, labels for predictions, predictions of a dtype
LOSSES = {
    "mean_squared_error": (losses.mean_squared_error, {}, filled(0.0), reals),
    "mean_squared_error, y=1": (losses.mean_squared_error, {}, filled(1.0), reals),
    "mean_absolute_error": (losses.mean_absolute_error, {}, filled(1.0), reals),
    "huber": (losses.huber, {"delta": 1.0}, filled(0.0), reals),
    "huber(0.3)": (losses.huber, {"delta": 0.3}, filled(1.0), reals),
    "hinge": (losses.hinge, {}, filled(1.0), reals),
    "hinge, y=0": (losses.hinge, {"class_weights": (0.3, 3.0)}, filled(0.0), reals),
    "squared_hinge": (losses.squared_hinge, {}, filled(-1.0), reals),
    "binary logits, y=0": (
        losses.binary_crossentropy,
        {"from_logits": True},
        filled(0.0),
        reals,
    ),
    "binary logits, y=1": (
        losses.binary_crossentropy,
        {"from_logits": True, "class_weights": (1.0, 3.0)},
        filled(1.0),
        reals,
    ),
    "binary probabilities, y=0": (losses.binary_crossentropy, {}, filled(0.0), probabilities),
    "binary probabilities, y=1": (losses.binary_crossentropy, {}, filled(1.0), probabilities),
    "categorical logits": (
        losses.categorical_crossentropy,
        {"from_logits": True},
        one_hot,
        rows,
    ),
    "categorical probabilities": (
        losses.categorical_crossentropy,
        {"class_weights": (1.0, 3.0, 0.5, 2.0)},
        one_hot,
        probability_rows,
    ),
    "sparse logits": (losses.sparse_categorical_crossentropy, {"from_logits": True}, ids, rows),
    "sparse logits near 0": (
        losses.sparse_categorical_crossentropy,
        {"from_logits": True},
        ids,
        moderate_rows,
    ),
    "sparse probabilities": (
        losses.sparse_categorical_crossentropy,
        {},
        ids,
        probability_rows,
    ),
    "categorical_hinge": (losses.categorical_hinge, {}, one_hot, rows),
    "sparse_categorical_hinge": (
        losses.sparse_categorical_hinge,
        {"class_weights": (1.0, 3.0, 0.5, 2.0)},
        ids,
        every(3, rows),
    ),
}


test_loss = loss_test(LOSSES)


# Labels of which little is left for the others of a row.
SMOOTHED = {
    "binary logits, y=1": (losses.binary_crossentropy, LOGITS, filled(1.0), every(4, reals)),
    "binary logits, weighted": (
        losses.binary_crossentropy,
        LOGITS | {"class_weights": (0.3, 1.0)},
        filled(1.0),
        every(4, reals),
    ),
    "binary probabilities, y=1": (
        losses.binary_crossentropy,
        {},
        filled(1.0),
        every(4, probabilities),
    ),
    "binary focal logits, y=1": (
        losses.binary_focal_crossentropy,
        LOGITS,
        filled(1.0),
        every(4, reals),
    ),
    "asymmetric logits, y=1": (
        losses.asymmetric_binary_crossentropy,
        LOGITS,
        filled(1.0),
        every(4, reals),
    ),
    "categorical logits": (losses.categorical_crossentropy, LOGITS, one_hot, every(4, rows)),
    "categorical probabilities": (
        losses.categorical_crossentropy,
        {},
        one_hot,
        every(4, probability_rows),
    ),
    "sparse logits": (losses.sparse_categorical_crossentropy, LOGITS, ids, every(4, rows)),
    "sparse logits near 0": (
        losses.sparse_categorical_crossentropy,
        LOGITS,
        ids,
        every(4, moderate_rows),
    ),
    "sparse logits, weighted": (
        losses.sparse_categorical_crossentropy,
        LOGITS | {"class_weights": (1.0, 3.0, 0.5, 2.0)},
        ids,
        every(4, rows),
    ),
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", SMOOTHED)
def test_smoothed_labels(name, mode):
    """Where a result crosses zero, one ULP of error in an entry of the input is forgiven."""
    function, settings, labels, predictions = SMOOTHED[name]
    x = predictions("float32")
    x = x if x.ndim > 1 else x[:, None]
    settings = settings | {"y_true": labels(x), "label_smoothing": 0.02}
    beside = [x]
    for column, to in itertools.product(range(x.shape[1]), (-np.inf, np.inf)):
        beside.append(x.copy())
        beside[-1][:, column] = np.nextafter(x[:, column], np.float32(to))
    got = RUNS[mode](lambda p: function(y_pred=p, **settings), x)
    assert beyond(got, [truth_of(function, v, settings) for v in beside], "float32") <= 8


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("label", [0.25, 0.95])
def test_soft_labels(label, mode):
    """Where the gradient crosses zero, 5 ULP with one ULP of error in the input forgiven."""
    x = grid("float32", -20, 6)[:, None]
    neighbors = [np.nextafter(x, np.float32(s)) for s in (-np.inf, np.inf)]
    settings = {"from_logits": True, "y_true": np.full(x.shape, label, "float32")}
    function = losses.binary_crossentropy
    truths = [truth_of(function, v, settings)[1] for v in (x, *neighbors)]
    run = RUNS[mode]
    _, got = run(lambda p: function(settings["y_true"], p, from_logits=True), x)
    for index in np.ndindex(x.shape):
        exact = sorted(t[index] for t in truths)
        off = max(exact[0] - float(got[index]), float(got[index]) - exact[-1], 0)
        assert off <= 5 * oracle.ulp(truths[0][index], "float32"), x[index]
