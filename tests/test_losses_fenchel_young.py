"""The gradients of Fenchel-Young losses, and what goes wrong with such losses elsewhere."""

import numpy as np
import pytest
from keras import ops

from keras_actloss import activations, losses
from keras_actloss.testing.backend import array, compiled, gradient_of, value_and_gradient

pytestmark = pytest.mark.slow

PAIRS = {
    "sparsemax": (losses.categorical_sparsemax, losses.sparse_categorical_sparsemax, {}),
    "entmax15": (losses.categorical_entmax, losses.sparse_categorical_entmax, {}),
    "entmax(1.2)": (
        losses.categorical_entmax,
        losses.sparse_categorical_entmax,
        {"alpha": 1.2},
    ),
    "entmax(2.5)": (
        losses.categorical_entmax,
        losses.sparse_categorical_entmax,
        {"alpha": 2.5},
    ),
}
RNG = np.random.default_rng(0)
X = (RNG.normal(size=(12, 6)) * 2.0 ** RNG.integers(-3, 4, (12, 1))).astype("float32")
SOFT = RNG.dirichlet(np.ones(6) / 2, 12).astype("float32")


def _projection(name, x, axis=-1):
    if name == "sparsemax":
        return array(activations.sparsemax(x, axis=axis))
    return array(activations.entmax(x, axis=axis, **(PAIRS[name][2] or {"alpha": 1.5})))


@pytest.mark.parametrize("name", PAIRS)
def test_the_gradient_is_the_projection_less_the_label(name):
    function, _, settings = PAIRS[name]
    _, gradient = value_and_gradient(lambda x: function(SOFT, x, **settings), X)
    np.testing.assert_allclose(gradient, _projection(name, X) - SOFT, atol=1e-6)


@pytest.mark.parametrize("axis", [1, 2, -1])
@pytest.mark.parametrize("name", PAIRS)
def test_ids_and_one_hot_rows_cost_the_same_on_any_axis(name, axis):
    dense, sparse, settings = PAIRS[name]
    ids = RNG.integers(0, 4, (3, 5))
    x = np.moveaxis(RNG.normal(size=(3, 5, 4)).astype("float32") * 2, -1, axis)
    one_hot = np.moveaxis(np.eye(4, dtype="float32")[ids], -1, axis)
    of_ids = value_and_gradient(lambda x: sparse(ids, x, axis=axis, **settings), x)
    of_rows = value_and_gradient(lambda x: dense(one_hot, x, axis=axis, **settings), x)
    for got, expected in zip(of_ids, of_rows, strict=True):
        np.testing.assert_array_equal(got, expected)
    np.testing.assert_allclose(of_ids[1], _projection(name, x, axis) - one_hot, atol=1e-6)


@pytest.mark.parametrize("jit", [False, True])
def test_equal_logits_share_the_probability(jit):
    """Keras 3.15's sparsemax gives all of them nothing, so a loss built on it would not learn."""
    run = compiled if jit else lambda f: f
    x = np.float32([[1, 1, -1], [0.5, 0.5, -2], [1e8, 0, 0]])
    inputs = [ops.convert_to_tensor(v) for v in (np.zeros(3, "int32"), x)]
    got = array(run(losses.sparse_categorical_sparsemax)(*inputs))
    np.testing.assert_allclose(got, [0.25, 0.25, 0])


@pytest.mark.parametrize("name", PAIRS)
def test_a_right_answer_with_a_margin_costs_nothing(name):
    """Exactly: the three terms of the textbook would leave what their rounding leaves."""
    function, _, settings = PAIRS[name]
    margin = 1 / (settings.get("alpha", 2 if name == "sparsemax" else 1.5) - 1)
    x = np.float32([[1000.5 + margin, 1000, -2000], [0, -margin - 1, -margin - 1]])
    y = np.tile(np.float32([1, 0, 0]), (2, 1))
    value, gradient = value_and_gradient(lambda x: function(y, x, **settings), x)
    assert np.all(value == 0) and np.all(gradient == 0)


@pytest.mark.parametrize("name", PAIRS)
def test_confident_mistakes_have_their_gradient(name):
    function, _, settings = PAIRS[name]
    x = np.float32([[0, 1e4, 0], [-3e38, 1e-3, 0]])
    y = np.tile(np.float32([1, 0, 0]), (2, 1))
    value, gradient = value_and_gradient(lambda x: function(y, x, **settings), x)
    np.testing.assert_allclose(value, [1e4, 3e38], rtol=1e-4)
    np.testing.assert_allclose(gradient[0], [-1, 1, 0], atol=1e-6)
    np.testing.assert_allclose(gradient[1], [-1, 0.5, 0.5], atol=1e-3)


@pytest.mark.parametrize("name", PAIRS)
def test_classes_that_are_ruled_out(name):
    """Minus infinity beside a label of 0 is 0 times infinity elsewhere."""
    function, _, settings = PAIRS[name]
    x = np.float32([[0.5, 0.25, -np.inf]])
    y = np.float32([[1, 0, 0]])
    got = value_and_gradient(lambda x: function(y, x, **settings), x)
    expected = value_and_gradient(lambda x: function(y[:, :2], x, **settings), x[:, :2])
    np.testing.assert_allclose(got[0], expected[0], rtol=1e-6)
    np.testing.assert_allclose(got[1], [[*expected[1][0], 0]], rtol=1e-6)


@pytest.mark.parametrize("name", PAIRS)
def test_the_slope_of_the_gradient(name):
    """It is that of the projection: a height that was found by steps is no constant."""
    function, _, settings = PAIRS[name]
    x, y = np.float32([[0.25, 0.5, 0.125, -0.25]]), np.float32([[0, 1, 0, 0]])

    def slope(x):
        return gradient_of(lambda x: function(y, x, **settings)[0], x)

    way = np.float32([[1, -0.5, 0.25, 0.5]])
    _, second = value_and_gradient(slope, x, way)
    sides = [_projection(name, x + s * np.float32(0.01) * way) for s in (1, -1)]
    np.testing.assert_allclose(second, (sides[0] - sides[1]) / 0.02, atol=2e-3)


def test_labels_of_0_and_1_and_of_signs():
    """Whatever the rest of the batch holds; elsewhere 0 is no label and costs nothing."""
    x = np.float32([[0.5], [-0.25], [2.0]])
    of_zeros = array(losses.perceptron(np.float32([[0], [1], [0]]), x))
    of_signs = array(losses.perceptron(np.float32([[-1], [1], [-1]]), x))
    mixed = array(losses.perceptron(np.float32([[-1], [1], [0]]), x))
    np.testing.assert_array_equal(of_zeros, [0.5, 0.25, 2.0])
    np.testing.assert_array_equal(of_signs, of_zeros)
    np.testing.assert_array_equal(mixed, of_zeros)


@pytest.mark.parametrize("alpha", [1.0, 0.5, 1e30, np.inf])
def test_alpha_is_above_one(alpha):
    with pytest.raises(ValueError, match=r"alpha must lie in \(1, 100\], got"):
        losses.CategoricalEntmax(alpha=alpha)


@pytest.mark.parametrize("alpha", [1.001, 1.01, 1.05, 1.1, 1.2, 2.5])
def test_a_power_of_a_probability_that_underflows(alpha):
    """The label's probability is no float, but its power is what the loss is made of."""
    logits = np.float32([[-40.0, 10.0, 30.0, -60.0], [-118.0, 54.0, 9.0, 123.0]])
    values = array(losses.sparse_categorical_entmax(np.array([1, 2]), logits, alpha=alpha))
    # The distance to the leader, which has all of the projection.
    np.testing.assert_allclose(values, [20, 114], rtol=1e-6)
