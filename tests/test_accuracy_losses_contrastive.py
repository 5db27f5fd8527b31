"""Losses of embeddings against the formulas in their docstrings, evaluated with fifty digits."""

import functools

import numpy as np
import pytest
from accuracy import (
    MODES,
    RUNS,
    beside_largest,
    every,
    filled,
    loss_test,
    reals,
    truth_of,
)
from keras import ops

from keras_actloss import losses

pytestmark = [pytest.mark.slow, pytest.mark.optimized]

LOSSES = {
    "contrastive, alike": (losses.contrastive, {}, filled(1.0), every(3, reals)),
    "contrastive, not": (losses.contrastive, {"margin": 0.25}, filled(0.0), every(3, reals)),
}
test_loss = loss_test(LOSSES)

GROUPS = np.array([0, 1, 0, 2, 1, 0])


def _embeddings(scale, near):
    """Six embeddings of so large entries, some of which almost agree."""
    rng = np.random.default_rng(0)
    x = rng.normal(scale=scale, size=(6, 4))
    x[[2, 4]] = x[[0, 1]] * (1 + near * rng.normal(size=(2, 4)))
    return x.astype("float32")


@functools.cache
def _truth(name, scale, near):
    function, x = getattr(losses, name), _embeddings(scale, near)
    value, slope = truth_of(function, x, {"y_true": GROUPS}, coupled=True)
    return value, slope.reshape(1, -1)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("scale", "near"), [(1, 1e-4), (5, 1e-2)])
@pytest.mark.parametrize("name", ["npairs", "lifted_structure"])
def test_losses_of_a_batch(name, scale, near, mode):
    function, x = getattr(losses, name), _embeddings(scale, near)
    value, slope = _truth(name, scale, near)
    got = RUNS[mode](lambda p: function(GROUPS, p), ops.convert_to_tensor(x))
    # A product of embeddings is rounded in units of its largest term.
    np.testing.assert_allclose(got[0], value, rtol=2e-6, atol=2e-7 * scale**2)
    assert beside_largest(got[1].reshape(1, -1), slope) <= 16
