"""Margin losses: labels, pairs in a model, and the places where simple forms go wrong."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_actloss import losses
from keras_actloss.testing.backend import value_and_gradient

pytestmark = pytest.mark.slow


def _array(x):
    return ops.convert_to_numpy(x)


@pytest.mark.parametrize("name", ["soft_margin", "hinge_embedding"])
def test_a_label_of_0_means_minus_1_whatever_its_neighbors(name):
    function, scores = getattr(losses, name), [[0.5, -2.0, 3.0]]
    expected = _array(function([[1, -1, -1]], scores))
    np.testing.assert_array_equal(_array(function([[1, 0, -1]], scores)), expected)
    np.testing.assert_array_equal(_array(function([[1, 0, 0]], scores)), expected)


def test_soft_margin_does_not_overflow():
    value, slope = value_and_gradient(lambda p: losses.soft_margin([[1.0]], p), [[-169.85]])
    np.testing.assert_allclose([value.item(), slope.item()], [169.85, -1], rtol=1e-6)


def test_multilabel_margin_takes_multi_hot_labels_not_lists_of_ids():
    scores = np.array([[0.1, 0.2, 0.4, 0.8]], "float32")
    # PyTorch's example: [3, 0, -1, 1], of which what follows the -1 does not count.
    assert float(losses.multilabel_margin([[1, 0, 0, 1]], scores)[0]) == pytest.approx(0.85)
    for ids in ([[3, 0, -1, 1]], [[0, -1, -1, -1]]):
        with pytest.raises(ValueError, match="row of 0 and 1"):
            losses.multilabel_margin(ids, scores)


def test_multilabel_margin_by_a_plain_loop():
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(20, 5)).astype("float32")
    labels = rng.integers(-1, 2, scores.shape)
    expected = []
    for y, s in zip(labels, scores, strict=True):
        gaps = [
            max(0, 1 - (s[i] - s[j])) for i in range(5) for j in range(5) if y[i] == 1 and y[j] == 0
        ]
        expected.append(sum(gaps) / max(sum(y != -1), 1))
    got = losses.multilabel_margin(labels, scores, ignore_class=-1)
    np.testing.assert_allclose(_array(got), expected, rtol=1e-5, atol=1e-6)
    masked = losses.multilabel_margin(np.maximum(labels, 0), scores, mask=labels >= 0)
    np.testing.assert_array_equal(_array(masked), _array(got))


def test_multi_margin_of_a_class_that_weighs_nothing():
    scores = np.array([[np.inf, 0.0, 0.0], [0.0, 1.0, 0.0]], "float32")
    loss = losses.MultiMargin(class_weights=[1.0, 0.0, 1.0])
    assert float(loss([1, 1], scores)) == 0
    with pytest.raises(ValueError, match="class_weights: got 2 numbers, but y_pred has 3 classes"):
        losses.multi_margin([0], scores[1:], class_weights=[1.0, 2.0])
    with pytest.raises(ValueError, match="p must be one of 1, 2"):
        losses.MultiMargin(p=3)


@pytest.mark.parametrize("label", [1, 0])
def test_cosine_embedding_of_zeros_and_of_extreme_lengths(label):
    ab = np.array(
        [[0, 0, 1, 2], [0, 0, 0, 0], [1e30, 0, 3e30, 4e30], [1e-30, 0, 3e-30, 4e-30]], "float32"
    )
    values, slopes = value_and_gradient(lambda p: losses.cosine_embedding([label] * 4, p), ab)
    expected = np.array([0, 0, 0.6, 0.6])
    np.testing.assert_allclose(values, 1 - expected if label else expected, rtol=1e-6)
    assert np.all(np.isfinite(slopes)) and np.all(slopes[:2] == 0) and np.all(slopes[2:, 1] != 0)


def test_pairs_have_to_be_whole():
    with pytest.raises(ValueError, match="must be even, got 3"):
        losses.CosineEmbedding()([1], np.ones((1, 3), "float32"))
    with pytest.raises(ValueError, match="the two scores of a pair"):
        losses.MarginRanking()([1], np.ones((1, 4), "float32"))


@pytest.mark.parametrize(
    ("loss", "units", "positive"),
    [
        (losses.MarginRanking(margin=1.0), 1, lambda a, b: a > b),
        (losses.CosineEmbedding(), 4, lambda a, b: a * b > 0),
    ],
)
def test_pairs_train_in_a_model_of_two_inputs(loss, units, positive):
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(2, 64, 3)).astype("float32")
    label = np.where(positive(first[:, 0], second[:, 0]), 1, -1)
    inputs = [keras.Input((3,)), keras.Input((3,))]
    score = keras.layers.Dense(units)
    pair = keras.layers.Concatenate()([score(x) for x in inputs])
    model = keras.Model(inputs, pair)
    model.compile(keras.optimizers.Adam(0.05), loss)
    history = model.fit([first, second], label, epochs=20, verbose=0).history["loss"]
    assert np.all(np.isfinite(history)) and history[-1] < 0.8 * history[0]
