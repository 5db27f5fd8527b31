"""Relatives of the cross-entropy against their formulas, evaluated with fifty digits."""

import numpy as np
import pytest
from accuracy import (
    MODES,
    RUNS,
    every,
    filled,
    ids,
    loss_test,
    moderate_rows,
    one_hot,
    probabilities,
    probability_rows,
    reals,
    rows,
    truth_of,
    worst,
)

from keras_actloss import losses

pytestmark = [pytest.mark.slow, pytest.mark.optimized]


COUNTS = [100.0, 30.0, 7.0, 1.0]

# name -> function, settings, labels for predictions, predictions of a dtype
LOSSES = {
    "binary focal logits, y=0": (
        losses.binary_focal_crossentropy,
        {"from_logits": True},
        filled(0.0),
        every(4, reals),
    ),
    "binary focal(1.7) logits, y=1": (
        losses.binary_focal_crossentropy,
        {"from_logits": True, "gamma": 1.7, "alpha": 0.25},
        filled(1.0),
        every(4, reals),
    ),
    "binary focal probabilities, y=0": (
        losses.binary_focal_crossentropy,
        {},
        filled(0.0),
        probabilities,
    ),
    "binary focal(0.5) probabilities, y=1": (
        losses.binary_focal_crossentropy,
        {"gamma": 0.5},
        filled(1.0),
        probabilities,
    ),
    "categorical focal logits": (
        losses.categorical_focal_crossentropy,
        {"from_logits": True, "alpha": (1.0, 3.0, 0.5, 2.0)},
        one_hot,
        every(4, rows),
    ),
    "categorical focal(0.5) probabilities": (
        losses.categorical_focal_crossentropy,
        {"gamma": 0.5},
        one_hot,
        every(4, probability_rows),
    ),
    "sparse focal(0.7) logits": (
        losses.sparse_categorical_focal_crossentropy,
        {"from_logits": True, "gamma": 0.7},
        ids,
        every(4, rows),
    ),
    "sparse focal(0.7) logits near 0": (
        losses.sparse_categorical_focal_crossentropy,
        {"from_logits": True, "gamma": 0.7},
        ids,
        moderate_rows,
    ),
    "sparse focal probabilities": (
        losses.sparse_categorical_focal_crossentropy,
        {},
        ids,
        every(4, probability_rows),
    ),
    "binary poly(-1) logits, y=1": (
        losses.binary_poly_crossentropy,
        {"from_logits": True, "epsilon": -1.0},
        filled(1.0),
        every(4, reals),
    ),
    "binary poly(-0.7) probabilities, y=0": (
        losses.binary_poly_crossentropy,
        {"epsilon": -0.7},
        filled(0.0),
        probabilities,
    ),
    "categorical poly(-1) logits": (
        losses.categorical_poly_crossentropy,
        {"from_logits": True, "epsilon": -1.0},
        one_hot,
        every(4, rows),
    ),
    "sparse poly probabilities": (
        losses.sparse_categorical_poly_crossentropy,
        {},
        ids,
        every(4, probability_rows),
    ),
    "sparse poly logits": (
        losses.sparse_categorical_poly_crossentropy,
        {"from_logits": True},
        ids,
        every(4, rows),
    ),
    "categorical generalized(0.7) logits": (
        losses.categorical_generalized_cross_entropy,
        {"from_logits": True, "q": 0.7},
        one_hot,
        every(4, rows),
    ),
    "categorical generalized probabilities": (
        losses.categorical_generalized_cross_entropy,
        {},
        one_hot,
        every(4, probability_rows),
    ),
    "sparse generalized(0.3) logits": (
        losses.sparse_categorical_generalized_cross_entropy,
        {"from_logits": True, "q": 0.3},
        ids,
        every(4, rows),
    ),
    "sparse generalized(0.7) probabilities": (
        losses.sparse_categorical_generalized_cross_entropy,
        {"q": 0.7},
        ids,
        every(4, probability_rows),
    ),
    "categorical symmetric logits": (
        losses.categorical_symmetric_crossentropy,
        {"from_logits": True},
        one_hot,
        every(4, rows),
    ),
    "sparse symmetric(0, 1) logits": (
        losses.sparse_categorical_symmetric_crossentropy,
        {"from_logits": True, "alpha": 0.0, "beta": 1.0},
        ids,
        every(4, rows),
    ),
    "categorical adjusted logits": (
        losses.categorical_logit_adjusted_crossentropy,
        {"from_logits": True, "class_prior": COUNTS, "tau": 1.5},
        one_hot,
        every(4, rows),
    ),
    "sparse adjusted logits": (
        losses.sparse_categorical_logit_adjusted_crossentropy,
        {"from_logits": True, "class_prior": COUNTS},
        ids,
        every(4, rows),
    ),
    "sparse adjusted probabilities": (
        losses.sparse_categorical_logit_adjusted_crossentropy,
        {"class_prior": COUNTS},
        ids,
        every(4, probability_rows),
    ),
    "label_distribution_aware_margin": (
        losses.label_distribution_aware_margin,
        {"class_counts": COUNTS},
        ids,
        lambda dtype: every(4, rows)(dtype) / 64,
    ),
    "label_distribution_aware_margin, one-hot": (
        losses.categorical_label_distribution_aware_margin,
        {"class_counts": COUNTS},
        one_hot,
        lambda dtype: every(4, rows)(dtype) / 64,
    ),
    "categorical nll": (
        losses.categorical_nll,
        {"class_weights": COUNTS},
        one_hot,
        every(4, rows),
    ),
    "sparse nll": (
        losses.sparse_categorical_nll,
        {"class_weights": COUNTS},
        ids,
        every(4, rows),
    ),
    "multilabel_soft_margin": (
        losses.multilabel_soft_margin,
        {"class_weights": [3.0]},
        filled(1.0),
        every(4, reals),
    ),
    "binary generalized(0.7) logits, y=1": (
        losses.binary_generalized_cross_entropy,
        {"from_logits": True, "q": 0.7},
        filled(1.0),
        every(4, reals),
    ),
    "binary symmetric logits, y=0": (
        losses.binary_symmetric_crossentropy,
        {"from_logits": True},
        filled(0.0),
        every(4, reals),
    ),
    "binary brier logits, y=1": (
        losses.binary_brier,
        {"from_logits": True, "class_weights": [1.0, 3.0]},
        filled(1.0),
        every(4, reals),
    ),
    "binary brier probabilities, y=0": (losses.binary_brier, {}, filled(0.0), probabilities),
    "categorical brier logits": (
        losses.categorical_brier,
        {"from_logits": True},
        one_hot,
        every(4, rows),
    ),
    "sparse brier probabilities": (
        losses.sparse_categorical_brier,
        {},
        ids,
        every(4, probability_rows),
    ),
}


test_loss = loss_test(LOSSES)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("temperatures", [(0.8, 1.2), (0.5, 2.0), (0.2, 4.0)])
def test_bi_tempered(temperatures, mode):
    """Where the gradient crosses zero, its error is that of the largest one of the row.

    A probability is a rounded sum to the power `1 / (t2 - 1)`, which multiplies the rounding.
    """
    function, y_pred = losses.sparse_categorical_bi_tempered_logistic, rows("float32")[::20]
    settings = dict(zip(("t1", "t2"), temperatures, strict=True)) | {"y_true": ids(y_pred)}
    truth = truth_of(function, y_pred, settings)
    run = RUNS[mode]
    got = run(lambda p: function(y_pred=p, **settings), y_pred)
    limit = 8 * max(1, 1 / (temperatures[1] - 1))
    assert worst(got[:1], truth[:1], "float32")[0] <= limit
    exact = truth[1]
    unit = np.spacing(np.abs(exact).max(-1, keepdims=True).astype("float32"))
    assert np.max(np.abs(got[1] - exact) / unit) <= limit
