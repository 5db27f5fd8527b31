"""Losses of segmentation against the formulas in their docstrings."""

import numpy as np
import pytest
from accuracy import (
    DIGITS,
    RUNS,
    beyond,
    by_dtype_and_mode,
    every,
    filled,
    loss_test,
    probabilities,
    probability_rows,
    reals,
    representable,
    rows,
    truth_of,
    value_of,
)
from keras import ops

from keras_actloss import losses
from keras_actloss.testing.oracle import EDGE

pytestmark = [pytest.mark.slow, pytest.mark.optimized]

IDS = {"from_logits": True, "encoding": "ids"}
MASKS = {"from_logits": True, "encoding": "multilabel"}


def _images(inputs, count=8, pixels=5):
    """Images of four classes."""
    return lambda dtype: inputs(dtype)[: pixels * count].reshape(count, pixels, 4)


def _ids(x):
    # No two images alike, and of each class some without a pixel.
    return np.random.default_rng(0).integers(0, 4, x.shape[:-1]).astype("int32")


def _one_hot(x):
    return np.eye(4, dtype="float32")[_ids(x)]


def _best(x):
    """Labels of which all but some are predicted."""
    ids = x.argmax(-1)
    return np.eye(4, dtype="float32")[np.where(_ids(x) == 0, 0, ids)]


def _right(x):
    """Labels that are all predicted: what is wrong is nearly 0."""
    return x.argmax(-1).astype("int32")


LOSSES = {
    "dice one-hot": (losses.dice, {"from_logits": True}, _best, _images(rows)),
    # Sixteen pixels are added up in blocks.
    "dice masks": (losses.dice, MASKS, _best, _images(rows, 3, 16)),
    "dice probabilities": (
        losses.dice,
        {"smooth": 0.5, "absent": "skip"},
        _best,
        _images(probability_rows, 3, 16),
    ),
    "dice, one pixel, y=1": (losses.dice, MASKS, filled(1.0), every(4, reals)),
    "dice, one pixel, y=0": (losses.dice, MASKS, filled(0.0), every(4, reals)),
    "dice, one probability": (losses.dice, {}, filled(1.0), every(4, probabilities)),
    "jaccard batch": (losses.jaccard, IDS | {"per": "batch"}, _ids, _images(rows, 3)),
    "tversky, no price for missed pixels": (
        losses.tversky,
        {"alpha": 1.0, "beta": 0.0, "smooth": 0.5},
        _best,
        _images(probability_rows),
    ),
    "focal_tversky": (losses.focal_tversky, MASKS | {"gamma": 2.0}, _best, _images(rows)),
    "generalized_dice": (losses.generalized_dice, MASKS, _best, _images(rows)),
    "matthews_correlation": (
        losses.matthews_correlation,
        {"per": "image", "smooth": 0.25},
        _best,
        _images(probability_rows),
    ),
    "matthews_correlation batch": (
        losses.matthews_correlation,
        MASKS,
        _best,
        _images(rows, 3),
    ),
}


test_loss = loss_test(LOSSES)


def _distances(x):
    return np.random.default_rng(1).normal(size=x.shape).round(1).astype("float32")


def _confident(dtype):
    """Images in which each pixel has its class, and one of them another."""
    x = np.random.default_rng(2).normal(size=(6, 5, 4))
    return representable(x + 4 * np.eye(4)[x.argmax(-1)], dtype)


# A skeleton is a difference of probabilities that are right to 3 ULP.
WIDER = {"centerline_dice": 12}
CROSSING = {
    "boundary": (losses.boundary, {"from_logits": True}, _distances),
    "boundary masks": (losses.boundary, MASKS, _distances),
    "dice ids": (losses.dice, IDS, _ids),
    "dice ids, all right": (losses.dice, IDS | {"smooth": 0.25}, _right),
    "tversky": (losses.tversky, IDS | {"alpha": 0.9, "beta": 0.1, "absent": "skip"}, _ids),
    "generalized_dice": (
        losses.generalized_dice,
        IDS | {"class_weights": [1.0, 2.0, 0.5, 4.0]},
        _ids,
    ),
    "focal_tversky below one": (losses.focal_tversky, IDS, _ids),
    "matthews_correlation ids": (
        losses.matthews_correlation,
        IDS | {"per": "image", "smooth": 0.01},
        _ids,
    ),
    "centerline_dice": (losses.centerline_dice, MASKS | {"iterations": 1}, _best),
}


@by_dtype_and_mode()
@pytest.mark.parametrize("name", CROSSING)
def test_where_the_truth_crosses_zero(name, dtype, mode):
    """Distances of both signs, and gradients in which the classes of a pixel compete.

    Of a value, what one unit in the last place of the predictions does is forgiven; the gradient of
    a pixel is right to 8 units of its largest entry.
    """
    function, settings, labels = CROSSING[name]
    x = _confident(dtype)
    arguments = settings | {"y_true": labels(x)}
    value, gradient = RUNS[mode](lambda p: function(y_pred=p, **arguments), ops.cast(x, dtype))
    exact, slope = truth_of(function, x, arguments)
    bound = WIDER.get(name, 8) if dtype == "float32" else 0.51
    known = ~np.isnan(slope)
    slope = np.where(known, slope, 0)
    moved = [np.nextafter(x, np.where(slope < 0, s, -s).astype("float32")) for s in (-99, 99)]
    values = [exact, *(value_of(function, x, arguments) for x in moved)]
    if function is losses.boundary:  # Distances are inputs, too.
        ends = (np.nextafter(arguments["y_true"], np.float32(s)) for s in (-99, 99))
        values += [value_of(function, x, arguments | {"y_true": y}) for y in ends]
    assert beyond([value], [[v] for v in values], dtype) <= bound
    miss = np.where(known, np.abs(np.float64(gradient) - slope), 0)
    unit = np.spacing(np.abs(slope).max(-1, keepdims=True).astype("float32"))
    unit = np.float64(unit) * (1 if dtype == "float32" else 2.0 ** (23 - DIGITS[dtype]))
    assert np.max(miss / np.maximum(unit, EDGE[dtype])) <= bound
