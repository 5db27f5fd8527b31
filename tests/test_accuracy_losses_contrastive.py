"""Losses of embeddings against the formulas in their docstrings, evaluated with fifty digits."""

import functools

import numpy as np
import pytest
from accuracy import (
    MODES,
    RUNS,
    beside_largest,
    by_dtype_and_mode,
    every,
    filled,
    loss_test,
    measure,
    reals,
    representable,
    truth_of,
)
from keras import ops

from keras_actloss import losses

pytestmark = [pytest.mark.slow, pytest.mark.optimized]

LOSSES = {
    "contrastive, alike": (losses.contrastive, {}, filled(1.0), every(3, reals)),
    "contrastive, not": (
        losses.contrastive,
        {"margin": 0.25, "class_weights": (3.0, 0.3)},
        filled(0.0),
        every(3, reals),
    ),
}
test_loss = loss_test(LOSSES)

GROUPS = np.array([0, 1, 0, 2, 1, 0])
TAGS = np.float32([[1, 0, 0], [0, 1, 1], [1, 0, 1], [0, 0, 0], [1, 1, 1], [0, 1, 0]])
# Of so large margins that no difference is smaller than the distances: those are rounded already.
OF_A_BATCH = {
    "npairs": ("npairs", GROUPS, {}),
    "npairs, products": ("npairs", GROUPS, {"from_products": True}),
    "npairs_multilabel": ("npairs_multilabel", TAGS, {}),
    "lifted_structure": ("lifted_structure", GROUPS, {}),
    "semihard": ("triplet_semihard", GROUPS, {"margin": 6.0}),
    "semihard, squares": (
        "triplet_semihard",
        GROUPS,
        {"margin": 40.0, "distance": "squared_euclidean"},
    ),
    "semihard, cosine": ("triplet_semihard", GROUPS, {"distance": "cosine"}),
    "hard": ("triplet_hard", GROUPS, {"margin": 6.0}),
    "hard, cosine": ("triplet_hard", GROUPS, {"distance": "cosine", "soft": True}),
}


@functools.cache
def _case(name, scale, near, dtype):
    """Six embeddings of so large entries, some of which almost agree, and what is exact."""
    function, labels, settings = OF_A_BATCH[name]
    rng = np.random.default_rng(0)
    x = rng.normal(scale=scale, size=(6, 6))
    x[[2, 4]] = x[[0, 1]] * (1 + near * rng.normal(size=(2, 6)))
    x = representable(x, dtype)
    function = functools.partial(getattr(losses, function), labels, **settings)
    arguments = settings | {"y_true": labels}
    return function, x, truth_of(function.func, x, arguments, coupled=True)


def _flat(pair):
    return [np.reshape(x, (1, -1)) for x in pair]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("scale", "near"), [(1, 1e-4), (5, 1e-2), (1e-2, 1)])
@pytest.mark.parametrize("name", OF_A_BATCH)
def test_losses_of_a_batch(name, scale, near, mode):
    function, x, truth = _case(name, scale, near, "float32")
    got = RUNS[mode](function, ops.convert_to_tensor(x))
    for computed, exact in zip(_flat(got), _flat(truth), strict=True):
        assert beside_largest(computed, exact) <= 8


@by_dtype_and_mode(["bfloat16", "float16"])
@pytest.mark.parametrize("name", OF_A_BATCH)
def test_losses_of_a_batch_in_16_bit(name, dtype, mode):
    function, x, truth = _case(name, 1, 1, dtype)
    assert max(measure(mode, function, x, dtype, truth)) <= 0.51
