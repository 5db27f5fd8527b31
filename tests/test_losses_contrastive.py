"""Losses of embeddings beside plain loops, and the batches where simple forms go wrong."""

import itertools

import keras
import numpy as np
import pytest
from keras import ops

from keras_actloss import losses
from keras_actloss.testing.backend import compiled, value_and_gradient

pytestmark = pytest.mark.slow

RNG = np.random.default_rng(0)
GROUPS = RNG.integers(0, 3, 10)
EMBEDDINGS = RNG.normal(size=(10, 4)).astype("float32")
TAGS = (RNG.random((10, 3)) < 0.3).astype("int32")
OF_GROUPS = ["npairs", "lifted_structure", "triplet_semihard", "triplet_hard"]


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


def _distances(x, kind):
    x = np.float64(x)
    if kind == "cosine":
        x = x / np.linalg.norm(x, axis=-1, keepdims=True)
        return 1 - x @ x.T
    d = np.linalg.norm(x[:, None] - x, axis=-1)
    return d**2 if kind == "squared_euclidean" else d


def _semihard(groups, x, margin, kind):
    """The mean of the terms of ordered pairs of a group."""
    d, terms = _distances(x, kind), []
    for i, j in itertools.permutations(range(len(x)), 2):
        if groups[i] == groups[j]:
            others = [d[i, k] for k in range(len(x)) if groups[k] != groups[i]]
            farther = [distance for distance in others if distance > d[i, j] + 1e-9]
            negative = min(farther) if farther else max(others)
            terms.append(max(0, margin + d[i, j] - negative))
    return np.mean(terms)


def _hard(groups, x, margin, soft, kind):
    """The mean of the terms of samples that have a triplet."""
    d, terms = _distances(x, kind), []
    for i in range(len(x)):
        alike = [d[i, k] for k in range(len(x)) if groups[k] == groups[i] and k != i]
        others = [d[i, k] for k in range(len(x)) if groups[k] != groups[i]]
        if alike and others:
            excess = max(alike) - min(others)
            terms.append(np.log1p(np.exp(excess)) if soft else max(0, margin + excess))
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


def test_products_in_place_of_embeddings():
    scores = EMBEDDINGS[:, :2] @ EMBEDDINGS[:, 2:].T
    for name, labels in (("npairs", GROUPS), ("npairs_multilabel", TAGS)):
        function = getattr(losses, name)
        got = function(labels, scores, from_products=True)
        np.testing.assert_allclose(_array(got), _array(function(labels, EMBEDDINGS)), rtol=1e-5)
        with pytest.raises(ValueError, match=r"\(10, 4\) must be \(batch, batch\)"):
            function(labels, EMBEDDINGS, from_products=True)


def test_npairs_of_several_labels_by_a_plain_loop():
    scores = np.float64(EMBEDDINGS[:, :2] @ EMBEDDINGS[:, 2:].T)
    log_p = scores - np.log(np.sum(np.exp(scores), axis=-1, keepdims=True))
    expected = []
    for i in range(10):
        shared = [np.sum(TAGS[i] * TAGS[j]) for j in range(10)]
        expected.append(-np.average(log_p[i], weights=shared) if any(shared) else 0)
    assert 0 in expected
    got = _array(losses.npairs_multilabel(TAGS, EMBEDDINGS))
    np.testing.assert_allclose(got, expected, rtol=1e-5)


def test_one_label_a_pair_is_a_group():
    one_hot = np.eye(3, dtype="int32")[GROUPS]
    got = _array(losses.npairs_multilabel(one_hot, EMBEDDINGS))
    np.testing.assert_allclose(got, _array(losses.npairs(GROUPS, EMBEDDINGS)), rtol=1e-5)


def test_products_that_do_not_count():
    """Neither rows nor columns of them."""
    keep = np.arange(10) % 3 > 0
    scores = EMBEDDINGS[:, :2] @ EMBEDDINGS[:, 2:].T
    spoilt = np.where(keep[:, None] & keep, scores, np.nan)
    for loss, labels in ((losses.NPairs, GROUPS), (losses.NPairsMultilabel, TAGS)):
        loss = loss(from_products=True, reduction="sum")
        expected = float(loss(labels[keep], scores[keep][:, keep]))
        value, slope = value_and_gradient(
            lambda p, loss=loss, labels=labels: loss(labels, p, keep), spoilt
        )
        np.testing.assert_allclose(value, expected, rtol=1e-5)
        assert np.all(slope[~(keep[:, None] & keep)] == 0) and np.all(np.isfinite(slope))


GRID = np.random.default_rng(1).integers(-1, 2, (10, 4)).astype("float32")
# Many equal distances on a grid; a group of one, and embeddings apart.
BATCHES = {"grid": (GROUPS, GRID), "apart": (np.append(GROUPS[1:], 7), EMBEDDINGS)}


@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("margin", [1.0, 0.25])
@pytest.mark.parametrize("kind", ["euclidean", "squared_euclidean", "cosine"])
def test_triplets_by_a_plain_loop(kind, margin, batch):
    groups, x = BATCHES[batch]
    if kind == "cosine":  # Whose rounding parts what is equally far.
        x = x + np.random.default_rng(3).normal(scale=0.1, size=x.shape).astype("float32")
    got = float(losses.TripletSemiHard(margin=margin, distance=kind)(groups, x))
    np.testing.assert_allclose(got, _semihard(groups, x, margin, kind), rtol=1e-5)
    for soft in (False, True):
        values = _array(losses.triplet_hard(groups, x, margin, soft, kind))
        np.testing.assert_allclose(values.mean(), _hard(groups, x, margin, soft, kind), rtol=1e-5)
        assert batch == "grid" or values[-1] == 0, "it is alone in its group"


def test_the_farthest_in_place_of_none_that_is_farther():
    x = np.float32([[0, 0], [9, 0], [2, 0], [3, 0]])
    got = compiled(lambda p: losses.triplet_semihard([0, 0, 1, 1], p))(ops.convert_to_tensor(x))
    np.testing.assert_allclose(_array(got), [7, 3, 0, 0])


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="elsewhere sizes are known")
def test_a_batch_of_unknown_size():
    import tensorflow as tf

    signature = [tf.TensorSpec((None, 4))]
    function = tf.function(lambda p: losses.triplet_semihard(GROUPS, p), signature)
    expected = losses.triplet_semihard(GROUPS, EMBEDDINGS)
    np.testing.assert_allclose(function(EMBEDDINGS), expected, rtol=1e-6)


def test_a_vector_of_zeros_is_at_right_angles_to_all():
    x = np.float32([[0, 0], [1, 0], [0, 3], [-2, 0]])
    value, slope = value_and_gradient(
        lambda p: losses.triplet_hard([0, 0, 1, 1], p, distance="cosine"), x, through=compiled
    )
    np.testing.assert_allclose(value, [1, 1, 1, 1], atol=1e-6)
    assert np.all(slope[0] == 0) and np.all(np.isfinite(slope))


@pytest.mark.parametrize("name", OF_GROUPS)
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


@pytest.mark.parametrize("name", OF_GROUPS)
@pytest.mark.parametrize("groups", [[5] * 10, range(10)], ids=["one group", "all groups"])
def test_without_others_or_without_pairs(name, groups):
    value, slope = value_and_gradient(
        lambda p: getattr(losses, name)(np.array(groups), p), EMBEDDINGS
    )
    assert np.all(np.isfinite(value)) and np.all(np.isfinite(slope))
    if name != "npairs":
        assert np.all(value == 0) and np.all(slope == 0)


@pytest.mark.parametrize("name", OF_GROUPS)
@pytest.mark.parametrize("rows", [[0, 0, 1, 1, 2, 2], [0] * 6], ids=["pairs", "all"])
def test_embeddings_that_agree_have_a_finite_gradient(name, rows):
    function = getattr(losses, name)
    value, slope = value_and_gradient(lambda p: function([0, 0, 1, 1, 2, 2], p), EMBEDDINGS[rows])
    assert np.all(np.isfinite(value)) and np.all(np.isfinite(slope))


@pytest.mark.parametrize("name", OF_GROUPS)
def test_numbers_of_groups_are_not_rounded(name):
    groups, loss = 2**24 + GROUPS, getattr(losses, name).layer(dtype="float16")
    expected = np.mean(_array(getattr(losses, name)(GROUPS, EMBEDDINGS)))
    np.testing.assert_allclose(float(loss(groups, EMBEDDINGS)), expected, rtol=1e-3)


@pytest.mark.parametrize("name", OF_GROUPS)
def test_other_shapes_are_refused(name):
    with pytest.raises(ValueError, match=r"\(2, 3, 4\) must be \(batch, dimensions\)"):
        getattr(losses, name)(np.zeros((2, 3), "int32"), np.zeros((2, 3, 4), "float32"))
    with pytest.raises(TypeError, match="integer dtype"):
        getattr(losses, name)(np.zeros(2) + 0.5, np.zeros((2, 4), "float32"))


def test_labels_of_other_samples_are_refused():
    with pytest.raises(ValueError, match="give a row of 0 and 1 for each sample"):
        losses.npairs_multilabel(TAGS[:-1], EMBEDDINGS)
    with pytest.raises(ValueError, match=r"\(10,\) does not fit"):
        losses.npairs_multilabel(GROUPS, EMBEDDINGS)


def test_contrastive_is_that_of_distances():
    distances = np.array([[0.0, 0.5, 2.0]], "float32")
    for label, expected in ((1, [0, 0.25, 4]), (0, [2.25, 1, 0]), (-1, [2.25, 1, 0])):
        got = losses.contrastive([[label] * 3], distances, margin=1.5)
        assert float(got[0]) == pytest.approx(np.mean(expected))


@pytest.mark.parametrize(
    "loss", [losses.LiftedStructure(), losses.TripletSemiHard(), losses.TripletHard(soft=True)]
)
def test_groups_move_apart_in_training(loss):
    """Embeddings of three groups, which a network without hidden layers can tell apart."""
    x = np.eye(3, dtype="float32")[GROUPS] + 0.3 * EMBEDDINGS[:, :3]
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    model.compile(keras.optimizers.Adam(0.05), loss)
    model.fit(x, GROUPS, epochs=60, batch_size=10, verbose=0)
    y = model.predict_on_batch(x)
    d, same = np.linalg.norm(y[:, None] - y, axis=-1), GROUPS[:, None] == GROUPS
    assert d[same].max() < d[~same].min()
