"""Losses of embeddings beside plain loops, and the batches where simple forms go wrong."""

import itertools

import keras
import numpy as np
import pytest
from keras import ops

from keras_actloss import losses
from keras_actloss.testing.backend import value_and_gradient

pytestmark = pytest.mark.slow

RNG = np.random.default_rng(0)
GROUPS = RNG.integers(0, 3, 10)
EMBEDDINGS = RNG.normal(size=(10, 4)).astype("float32")


def _array(x):
    return ops.convert_to_numpy(x)


def _lifted(groups, x, margin):
    """The mean of the paper's terms over ordered pairs of a group."""
    d = np.linalg.norm(x[:, None] - x, axis=-1)
    terms = []
    for i, j in itertools.permutations(range(len(x)), 2):
        if groups[i] == groups[j]:
            others = groups != groups[i]
            near = np.sum(np.exp(margin - d[i][others])) + np.sum(np.exp(margin - d[j][others]))
            terms.append(max(0, np.log(near) + d[i, j]) ** 2 / 2)
    return np.mean(terms)


def _npairs(groups, anchors, others):
    scores = anchors @ others.T
    log_sums = np.log(np.sum(np.exp(scores), axis=-1))
    return [
        log_sum - np.mean(row[groups == group])
        for group, row, log_sum in zip(groups, scores, log_sums, strict=True)
    ]


@pytest.mark.parametrize("margin", [1.0, -0.5])
def test_lifted_structure_by_a_plain_loop(margin):
    loss = losses.LiftedStructure(margin=margin)
    expected = _lifted(GROUPS, EMBEDDINGS, margin)
    np.testing.assert_allclose(float(loss(GROUPS, EMBEDDINGS)), expected, rtol=1e-5)


def test_npairs_by_a_plain_loop():
    expected = _npairs(GROUPS, EMBEDDINGS[:, :2], EMBEDDINGS[:, 2:])
    np.testing.assert_allclose(_array(losses.npairs(GROUPS, EMBEDDINGS)), expected, rtol=1e-5)


@pytest.mark.parametrize("name", ["npairs", "lifted_structure"])
def test_what_does_not_count_is_in_no_pair(name):
    function = getattr(losses, name)
    keep = np.arange(10) % 3 > 0
    expected = _array(function(GROUPS[keep], EMBEDDINGS[keep]))
    spoilt = np.where(keep[:, None], EMBEDDINGS, np.nan)
    ignored = _array(function(np.where(keep, GROUPS, -1), spoilt, ignore_class=-1))
    masked = _array(function(GROUPS, spoilt, mask=keep))
    for got in (ignored, masked):
        np.testing.assert_allclose(got[keep], expected, rtol=1e-5)
        np.testing.assert_array_equal(got[~keep], 0)


@pytest.mark.parametrize("name", ["npairs", "lifted_structure"])
@pytest.mark.parametrize("groups", [[5] * 10, range(10)], ids=["one group", "all groups"])
def test_without_others_or_without_pairs(name, groups):
    value, slope = value_and_gradient(
        lambda p: getattr(losses, name)(np.array(groups), p), EMBEDDINGS
    )
    assert np.all(np.isfinite(value)) and np.all(np.isfinite(slope))
    if name == "lifted_structure":
        assert np.all(value == 0) and np.all(slope == 0)


def test_embeddings_that_agree_have_a_finite_gradient():
    x = np.repeat(EMBEDDINGS[:3], 2, axis=0)
    value, slope = value_and_gradient(lambda p: losses.lifted_structure([0, 0, 1, 1, 2, 2], p), x)
    assert np.all(np.isfinite(value)) and np.all(np.isfinite(slope))


@pytest.mark.parametrize("name", ["npairs", "lifted_structure"])
def test_numbers_of_groups_are_not_rounded(name):
    groups = 2**24 + GROUPS
    loss = {"npairs": losses.NPairs, "lifted_structure": losses.LiftedStructure}[name](
        dtype="float16"
    )
    expected = np.mean(_array(getattr(losses, name)(GROUPS, EMBEDDINGS)))
    np.testing.assert_allclose(float(loss(groups, EMBEDDINGS)), expected, rtol=1e-3)


@pytest.mark.parametrize("name", ["npairs", "lifted_structure"])
def test_other_shapes_are_refused(name):
    with pytest.raises(ValueError, match=r"\(2, 3, 4\) must be \(batch, dimensions\)"):
        getattr(losses, name)(np.zeros((2, 3), "int32"), np.zeros((2, 3, 4), "float32"))
    with pytest.raises(TypeError, match="integer dtype"):
        getattr(losses, name)(np.zeros(2) + 0.5, np.zeros((2, 4), "float32"))


def test_contrastive_is_that_of_distances():
    distances = np.array([[0.0, 0.5, 2.0]], "float32")
    for label, expected in ((1, [0, 0.25, 4]), (0, [2.25, 1, 0]), (-1, [2.25, 1, 0])):
        got = losses.contrastive([[label] * 3], distances, margin=1.5)
        assert float(got[0]) == pytest.approx(np.mean(expected))


def test_groups_move_apart_in_training():
    """Embeddings of three groups, which a network without hidden layers can tell apart."""
    x = np.eye(3, dtype="float32")[GROUPS] + 0.3 * EMBEDDINGS[:, :3]
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    model.compile(keras.optimizers.Adam(0.05), losses.LiftedStructure())
    model.fit(x, GROUPS, epochs=60, batch_size=10, verbose=0)
    y = model.predict_on_batch(x)
    d, same = np.linalg.norm(y[:, None] - y, axis=-1), GROUPS[:, None] == GROUPS
    assert d[same].max() < d[~same].min()
