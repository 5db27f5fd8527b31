"""Losses for imbalanced labels against the formulas in their docstrings."""

import numpy as np
import pytest
from accuracy import (
    RUNS,
    beyond,
    by_dtype_and_mode,
    every,
    filled,
    grid,
    loss_test,
    probabilities,
    probability_rows,
    reals,
    representable,
    rows,
    truth_of,
)
from keras import ops

from keras_actloss import losses

pytestmark = [pytest.mark.slow, pytest.mark.optimized]

LOGITS = {"from_logits": True}


def _open(dtype):
    """Rows of probabilities that a mistake does not cost infinity."""
    return representable(np.minimum(probability_rows(dtype), 1 - 2.0**-7), dtype)


def _labels(x):
    return np.tile(np.float32([1, 0, 0, 1]), (len(x), 1))


def _heat(x):
    return np.tile(np.float32([1, 0.3, 0, 0.9]), (len(x), 1))


def _pixels(inputs):
    """Samples of six labels, four classes each."""
    return lambda dtype: inputs(dtype)[:60].reshape(10, 6, 4)


def _ids(x):
    return (np.arange(len(x) * 6).reshape(-1, 6) % 4).astype("int32")


binary, top_k = losses.asymmetric_binary_crossentropy, losses.top_k_binary_crossentropy
LOSSES = {
    "asymmetric logits, y=1": (binary, LOGITS, filled(1.0), every(4, reals)),
    "asymmetric logits, y=0, no margin": (
        binary,
        LOGITS | {"clip": 0.0, "gamma_negative": 2.5},
        filled(0.0),
        every(4, reals),
    ),
    "asymmetric probabilities, y=1": (
        binary,
        {"gamma_positive": 0.5},
        filled(1.0),
        every(4, probabilities),
    ),
    "asymmetric probabilities, y=0": (
        binary,
        {},
        filled(0.0),
        lambda d: (p := probabilities(d))[(p < 0.04) | (p > 0.06)],
    ),
    "varifocal logits, y=0": (losses.varifocal, LOGITS, filled(0.0), every(4, reals)),
    "varifocal logits, y=1": (losses.varifocal, LOGITS, filled(1.0), every(4, reals)),
    "varifocal probabilities, y=0": (losses.varifocal, {}, filled(0.0), every(4, probabilities)),
    "varifocal probabilities, y=1": (
        losses.varifocal,
        {"gamma": 1.5},
        filled(1.0),
        every(4, probabilities),
    ),
    "quality logits, y=0": (losses.quality_focal, LOGITS, filled(0.0), every(4, reals)),
    "quality logits, y=1": (
        losses.quality_focal,
        LOGITS | {"beta": 0.5, "class_weights": (0.3, 3.0)},
        filled(1.0),
        every(4, reals),
    ),
    "quality probabilities, y=0": (losses.quality_focal, {}, filled(0.0), every(4, probabilities)),
    "quality probabilities, y=1": (
        losses.quality_focal,
        {"beta": 1.5},
        filled(1.0),
        every(4, probabilities),
    ),
    "penalty logits": (losses.penalty_reduced_focal, LOGITS, _heat, every(4, rows)),
    "penalty logits, a peak": (losses.penalty_reduced_focal, LOGITS, filled(1.0), every(4, reals)),
    "penalty logits, no peak": (
        losses.penalty_reduced_focal,
        LOGITS | {"alpha": 1.5, "beta": 2.5},
        filled(0.25),
        every(4, reals),
    ),
    "penalty probabilities": (
        losses.penalty_reduced_focal,
        {"class_weights": (0.3, 3.0)},
        _heat,
        every(4, _open),
    ),
    "soft_f1 logits": (
        losses.soft_f1,
        LOGITS | {"class_weights": (1.0, 0.3, 2.5, 0.5)},
        _labels,
        every(4, rows),
    ),
    "soft_f1 logits, no positives": (
        losses.soft_f1,
        LOGITS | {"smooth": 0.25},
        filled(0.0),
        every(4, rows),
    ),
    "soft_f1 logits, all positives": (losses.soft_f1, LOGITS, filled(1.0), every(4, reals)),
    "soft_f1 probabilities": (losses.soft_f1, {"smooth": 0.0}, _labels, every(4, probability_rows)),
    "top_k logits": (top_k, LOGITS | {"fraction": 0.5}, _labels, every(4, rows)),
    "top_k probabilities": (top_k, {}, _labels, every(4, _open)),
    "top_k sparse logits": (
        losses.top_k_sparse_categorical_crossentropy,
        LOGITS | {"fraction": 0.3},
        _ids,
        _pixels(rows),
    ),
    "top_k categorical logits": (
        losses.top_k_categorical_crossentropy,
        LOGITS | {"fraction": 0.3},
        lambda x: np.eye(4, dtype="float32")[_ids(x)],
        _pixels(rows),
    ),
    "top_k sparse probabilities": (
        losses.top_k_sparse_categorical_crossentropy,
        {"fraction": 0.5},
        _ids,
        _pixels(probability_rows),
    ),
}


test_loss = loss_test(LOSSES)


def _beyond(name, dtype, mode):
    """ULP that value and gradient are off, beyond what one float32 ULP in the input does."""
    function, settings, label, x = CROSSING[name]
    x = representable(x, dtype)[:, None]
    y_true = np.full(x.shape, label, "float32")
    run = RUNS[mode]
    got = run(lambda p: function(y_true, p, **settings), ops.cast(x, dtype))
    inputs = [x, *(np.nextafter(x, np.float32(s)) for s in (-np.inf, np.inf))]
    truths = [truth_of(function, v, settings | {"y_true": y_true}) for v in inputs]
    return beyond(got, truths, dtype)


LOW, PROBABILITIES = grid("float32", -20, 6)[::3], np.linspace(0.002, 0.998, 80)
# The fourth power of a probability that is right to 2 ULP is right to 8 of them, of which two may
# make one of its own; and the square of a difference of two.
WIDER = {"asymmetric logits": 16, "quality logits": 10}
CROSSING = {
    "asymmetric logits": (binary, LOGITS, 0.0, np.concatenate([-LOW, LOW])),
    "asymmetric probabilities": (binary, {}, 0.0, PROBABILITIES),
    "varifocal logits": (losses.varifocal, LOGITS, 0.25, LOW),
    "varifocal probabilities": (losses.varifocal, {}, 0.25, PROBABILITIES),
    "quality logits": (losses.quality_focal, LOGITS, 0.9, LOW),
    "quality probabilities": (losses.quality_focal, {}, 0.25, PROBABILITIES),
}


@by_dtype_and_mode()
@pytest.mark.parametrize("name", CROSSING)
def test_where_the_truth_crosses_zero(name, dtype, mode):
    """At the edge of the margin, and where a score meets its target."""
    bound = WIDER.get(name, 8) if dtype == "float32" else 0.51
    assert _beyond(name, dtype, mode) <= bound
