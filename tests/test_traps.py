"""Where other packages go wrong or differ without a word, a test each; more lie in the families.

Keras 3.15, torch 2.13.
"""

import inspect

import keras
import numpy as np
import pytest
import torch
from torch.nn import functional

from keras_actloss import activations, losses
from keras_actloss.core.registry import CATALOGUE
from keras_actloss.testing.backend import array, value_and_gradient


def test_sparsemax_sums_to_one_with_any_number_of_entries():
    """Keras's sums all cumulative sums, and overflows without a shift."""
    x = np.float32([[1, 0.9, 0], [1, 1, 0], [1e8, 0, 0], [0.1, 0.2, 0.3]])
    got = array(activations.sparsemax(x))
    expected = [[0.55, 0.45, 0], [0.5, 0.5, 0], [1, 0, 0], [7 / 30, 1 / 3, 13 / 30]]
    np.testing.assert_allclose(got, expected, rtol=1e-6)
    of_keras = array(keras.activations.sparsemax(keras.ops.convert_to_tensor(x)))
    assert not np.allclose(of_keras.sum(-1), 1)


def test_the_label_is_not_among_the_others_of_a_hinge():
    """Keras compares with a 0 in its place; torch's sums over the classes, and is another loss."""
    y_true, scores = np.float32([[1, 0, 0]]), np.float32([[-3, -2, -2.5]])
    assert array(losses.categorical_hinge(y_true, scores)) == [2]
    assert array(losses.multi_margin([0], scores)) == pytest.approx(7 / 6)
    assert float(functional.multi_margin_loss(torch.tensor(scores), torch.tensor([0]))) == (
        pytest.approx(7 / 6)
    )
    assert array(keras.losses.categorical_hinge(y_true, scores)) == [4]


def test_a_label_of_1_is_a_pair_that_is_alike():
    """In the paper it is 0."""
    distance = np.float32([[0.25], [0.25]])
    got = losses.contrastive([[1], [0]], distance, margin=1.0)
    np.testing.assert_allclose(array(got), [0.25**2, 0.75**2])
    got = losses.hinge_embedding(np.float32([[1], [-1]]), distance, margin=1.0)
    np.testing.assert_allclose(array(got), [0.25, 0.75])


@pytest.mark.parametrize("name", ["hinge", "poisson", "mean_squared_error", "binary_crossentropy"])
def test_a_flat_batch_is_not_broadcast_against_a_column(name):
    """Labels (batch,) and predictions (batch, 1): Keras's hinge and Poisson loss broadcast them."""
    y_true, y_pred = np.float32([1, 0, 1]), np.float32([[0.25], [0.5], [0.75]])
    function = getattr(losses, name)
    got = array(function(y_true, y_pred))
    assert got.shape == (3,)
    np.testing.assert_array_equal(got, array(function(y_true[:, None], y_pred)))


def test_smoothing_knows_how_many_classes_its_axis_has():
    """Keras's takes the size of the last axis for it."""
    y_true = np.eye(3, dtype="float32")[[[0, 2], [1, 1]]]
    x = np.float32(np.cos(np.arange(12)).reshape(2, 2, 3))
    settings = {"from_logits": True, "label_smoothing": 0.3}
    expected = array(losses.categorical_crossentropy(y_true, x, **settings))
    y_true, x = (np.moveaxis(v, -1, 1) for v in (y_true, x))
    got = array(losses.categorical_crossentropy(y_true, x, axis=1, **settings))
    np.testing.assert_allclose(got, expected, rtol=1e-6)


def test_soft_triplets_do_not_overflow():
    """The logarithm of 1 and an exponential is what is in the exponent, where that is large."""
    x = np.float32([[0, 0], [1000, 0], [0, 10], [1010, 10]])
    call = lambda p: losses.triplet_hard([0, 0, 1, 1], p, soft=True)  # noqa: E731
    value, gradient = value_and_gradient(call, x)
    distances = np.linalg.norm(np.float64(x)[:, None] - x, axis=-1)
    excess = [distances[0, 1] - distances[0, 2], distances[0, 1] - distances[1, 3]]
    np.testing.assert_allclose(value[:2], excess, rtol=1e-6)
    assert np.all(np.isfinite(gradient))


def test_squareplus_keeps_its_left_tail():
    """Keras's and JAX's cancel there."""
    assert array(activations.squareplus(np.float32([-1e4]))) == pytest.approx(1e-4)
    x = keras.ops.convert_to_tensor(np.float32([-1e4]))
    assert array(keras.activations.squareplus(x)) == [0]


def test_the_mean_divergence_of_torch_divides_by_the_classes():
    """Its `"batchmean"` does not; and it takes the logarithm of the predictions first."""
    y_true, y_pred = np.float32([[0.5, 0.5], [0.25, 0.75]]), np.float32([[0.1, 0.9], [0.6, 0.4]])
    mean = float(losses.KLDivergence()(y_true, y_pred))
    arguments = torch.log(torch.tensor(y_pred)), torch.tensor(y_true)
    assert float(functional.kl_div(*arguments, reduction="batchmean")) == pytest.approx(mean)
    with pytest.warns(UserWarning, match="by both the batch size and the support size"):
        of_default = float(functional.kl_div(*arguments))
    assert 2 * of_default == pytest.approx(mean)


def test_defaults_are_enough_to_make_a_loss():
    """Where a setting has a default, it is one that can be used."""
    made = 0
    for cls in (thing for thing in CATALOGUE["losses"].values() if isinstance(thing, type)):
        parameters = inspect.signature(cls).parameters.values()
        if all(p.default is not p.empty or p.kind is p.VAR_KEYWORD for p in parameters):
            cls()
            made += 1
    assert made > 80
