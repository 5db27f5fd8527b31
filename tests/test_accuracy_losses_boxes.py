"""Losses of boxes against the formulas in their docstrings."""

import functools

import numpy as np
import pytest
from accuracy import (
    RUNS,
    beside_largest,
    beyond,
    by_dtype_and_mode,
    loss_test,
    representable,
    rows,
    truth_of,
    worst,
)
from keras import ops

from keras_actloss import losses

pytestmark = [pytest.mark.slow, pytest.mark.optimized]


def _boxes(seed, spread, dtype="float16"):
    """Boxes whose sides and places differ by up to 2 to the power of `spread`."""
    rng = np.random.default_rng(seed)
    corners = np.sort(rng.normal(size=(100, 2, 2)), axis=1)
    corners = np.sort(corners * 2.0 ** rng.uniform(-spread, spread, corners.shape), axis=1)
    return representable(corners.reshape(100, 4), dtype)


def _near(dtype):
    """Boxes beside their targets, of which some edges are the same."""
    rng = np.random.default_rng(1)
    moved = 1 + 2.0**-6 * rng.normal(size=(100, 4)) * (rng.random((100, 4)) < 0.6)
    return representable(_boxes(0, 1) * moved, dtype)


PREDICTIONS = {"any": lambda dtype: _boxes(2, 5, dtype), "near": _near}
KINDS = ("iou", "giou", "diou", "ciou")


@functools.cache
def _case(name, kind, dtype):
    y_true, x = _boxes(0, 5 if kind == "any" else 1), PREDICTIONS[kind](dtype)
    inputs = [x, *(np.nextafter(x, np.float32(s)) for s in (-np.inf, np.inf))]
    function = getattr(losses, name)
    return y_true, x, [truth_of(function, v, {"y_true": y_true}) for v in inputs]


@by_dtype_and_mode(["float32", "bfloat16"])
@pytest.mark.parametrize("kind", PREDICTIONS)
@pytest.mark.parametrize("name", KINDS)
def test_box(name, kind, dtype, mode):
    y_true, x, truths = _case(name, kind, dtype)
    function = getattr(losses, name)
    got = RUNS[mode](lambda p: function(y_true, p), ops.cast(x, dtype))
    if dtype == "float32" and kind == "any" and name in ("diou", "ciou"):
        # Terms of overlap and distance cancel in a slope of boxes that differ by a factor of 1000,
        # and no rounding of an input explains what is left.
        assert max(worst(got[:1], truths[0][:1], dtype)) <= 8
        assert beside_largest(got[1], truths[0][1]) <= 8
    else:
        assert beyond(got, truths, dtype) <= (8 if dtype == "float32" else 0.51)


def _distances(x):
    return (np.arange(len(x)) % 4).astype("float32")


test_loss = loss_test({"distribution": (losses.distribution_focal, {}, _distances, rows)})
