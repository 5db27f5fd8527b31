"""Lovasz losses against the formulas in their docstrings."""

import numpy as np
import pytest
from accuracy import (
    MODES,
    RUNS,
    beside_largest,
    every,
    filled,
    loss_test,
    one_hot,
    reals,
    representable,
    rows,
    truth_of,
    worst,
)

from keras_actloss import losses

pytestmark = [pytest.mark.slow, pytest.mark.optimized]

# Errors that are almost 1 or 0 are equal in float32: which is larger is left to images of moderate
# logits, and what one far out is to sets of one pixel.
MASK = {"from_logits": True, "encoding": "multilabel", "absent": "count"}


def _images(scale, classes=4):
    return lambda dtype: representable(
        scale * np.random.default_rng(0).normal(size=(12, 6, classes)), dtype
    )


def _probabilities(dtype):
    e = np.exp(_images(1.5)(dtype))
    return representable(e / e.sum(-1, keepdims=True), dtype)


def _ids(x):
    return (np.arange(len(x) * 6).reshape(-1, 6) * 7 // 3 % 4).astype("int32")


def _labels(x):
    return (np.arange(x.size).reshape(x.shape) % 3 == 0).astype("float32")


softmax = losses.lovasz_softmax
test_loss = loss_test(
    {
        "hinge": (losses.lovasz_hinge, {}, _labels, _images(2.0, 1)),
        "hinge, one entry": (losses.lovasz_hinge, {}, filled(1.0), every(4, reals)),
        "softmax, one pixel": (softmax, {"from_logits": True}, one_hot, every(3, rows)),
        "probabilities of ids": (
            softmax,
            {"encoding": "ids", "absent": "count", "class_weights": [1.0, 2.0, 0.5, 4.0]},
            _ids,
            _probabilities,
        ),
        "sigmoid": (softmax, MASK, _labels, _images(2.0, 1)),
        "sigmoid, one yes": (softmax, MASK, filled(1.0), every(4, reals)),
        "sigmoid, one no": (softmax, MASK, filled(0.0), every(4, reals)),
    }
)

LOGITS = {"from_logits": True, "encoding": "ids"}
test_ids = loss_test({"softmax": (softmax, LOGITS, _ids, _images(1.5))}, ("bfloat16", "float16"))


@pytest.mark.parametrize("mode", MODES)
def test_where_slopes_of_a_pixel_cancel(mode):
    """The slope of a class is what it pushes less what all push, and may be 0 by chance."""
    x = _images(1.5)("float32")
    y_true = _ids(x)
    truth = truth_of(softmax, x, LOGITS | {"y_true": y_true})
    got = RUNS[mode](lambda x: softmax(y_true, x, **LOGITS), x)
    assert max(worst(got[:1], truth[:1], "float32")) <= 8
    assert beside_largest(got[1], truth[1]) <= 8
