"""Margin losses against the formulas in their docstrings, evaluated with fifty digits."""

import numpy as np
import pytest
from accuracy import (
    RUNS,
    by_dtype_and_mode,
    every,
    filled,
    ids,
    loss_test,
    one_hot,
    reals,
    representable,
    rows,
    truth_of,
)
from keras import ops

from keras_actloss import losses
from keras_actloss.testing import oracle

pytestmark = [pytest.mark.slow, pytest.mark.optimized]


def _target(label):
    return lambda x: np.full(x.shape[:-1], label, "float32")


def _labels(x):
    return np.random.default_rng(0).integers(0, 2, x.shape).astype("int32")


def _pairs(dtype):
    return rows(dtype)[:, :2]


# name -> function, settings, labels for predictions, predictions of a dtype
LOSSES = {
    "soft_margin": (losses.soft_margin, {}, filled(1.0), every(3, reals)),
    "soft_margin, y=0": (
        losses.soft_margin,
        {"class_weights": (0.3, 3.0)},
        filled(0.0),
        every(3, reals),
    ),
    "hinge_embedding, alike": (losses.hinge_embedding, {}, filled(1.0), every(3, reals)),
    "hinge_embedding, not": (
        losses.hinge_embedding,
        {"margin": 0.25, "class_weights": (0.3, 3.0)},
        filled(-1.0),
        every(3, reals),
    ),
    "margin_ranking, first": (losses.margin_ranking, {"margin": 0.25}, _target(1.0), _pairs),
    "margin_ranking, second": (losses.margin_ranking, {}, _target(0.0), _pairs),
    "multi_margin": (
        losses.multi_margin,
        {"margin": 0.3, "class_weights": (1.0, 3.0, 0.5, 2.0)},
        ids,
        every(3, rows),
    ),
    "multi_margin, squared": (losses.multi_margin, {"p": 2}, ids, every(3, rows)),
    "categorical_multi_margin": (
        losses.categorical_multi_margin,
        {"p": 2, "margin": 0.3, "class_weights": (1.0, 3.0, 0.5, 2.0)},
        one_hot,
        every(3, rows),
    ),
    "multilabel_margin": (losses.multilabel_margin, {}, _labels, every(3, rows)),
}

test_loss = loss_test(LOSSES)


def _embeddings(dtype):
    """Pairs of every length and angle, from almost the same direction to almost the opposite."""
    rng = np.random.default_rng(2)
    count, top = 240, 12 if dtype == "float16" else 100
    a, b = rng.normal(size=(2, count, 3))
    near = rng.permutation(count)[: count // 2]
    b[near] = rng.choice([-1, 1], (len(near), 1)) * a[near]
    b[near] += (
        b[near] * rng.normal(size=(len(near), 3)) * 2.0 ** -rng.uniform(0, 20, (len(near), 1))
    )
    lengths = 2.0 ** rng.uniform(-top, top, (2, count, 1))
    return representable(np.concatenate([a * lengths[0], b * lengths[1]], axis=-1), dtype)


@by_dtype_and_mode()
@pytest.mark.parametrize(("label", "margin"), [(1.0, 0.0), (0.0, 0.25)])
def test_cosine_embedding(label, margin, dtype, mode):
    """As exact as the others, beside what one ULP (of float32) of error in an input changes.

    Each entry of the gradient crosses zero somewhere, so its error is told in units of the longest.
    """
    function, x = losses.cosine_embedding, _embeddings(dtype)
    y_true = np.full(len(x), label, "float32")
    settings = {"y_true": y_true, "margin": margin}
    # Where a derivative is 0 its two sides cannot be told apart.
    value, gradient = map(np.nan_to_num, truth_of(function, x, settings))
    run = RUNS[mode]
    got = run(lambda p: function(y_true, p, margin=margin), ops.cast(x, dtype))
    limit = 8 if dtype == "float32" else 0.51
    moved = np.sum(np.abs(gradient) * np.spacing(np.abs(x)), axis=-1)
    assert np.all(np.abs(got[0] - value) <= limit * oracle.ulp(value, dtype) + moved)

    embeddings, slopes = (a.reshape(len(x), 2, 3).astype("float64") for a in (x, gradient))
    longest = np.abs(slopes).max(-1, keepdims=True)
    # A gradient turns by the angle that an embedding does.
    length = np.linalg.norm(embeddings, axis=-1, keepdims=True)
    turned = np.where(label or longest > 0, 2.0**-22 / length, 0)
    miss = np.abs(got[1].astype("float64").reshape(slopes.shape) - slopes)
    assert np.all(miss <= limit * oracle.ulp(longest, dtype) + turned)
