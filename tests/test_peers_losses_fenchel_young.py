"""Fenchel-Young losses beside optax, and numbers that the package entmax gives."""

import numpy as np
import optax
import pytest

from keras_actloss import activations, losses
from keras_actloss.testing.backend import array, value_and_gradient

pytestmark = pytest.mark.slow

RNG = np.random.default_rng(0)
X = np.concatenate([RNG.normal(size=(40, 5)) * 3, [[-88, -12, 0.25, 12, 88]]]).astype("float32")
IDS = RNG.integers(0, 5, len(X)).astype("int32")
BINARY = RNG.integers(0, 2, X.shape).astype("float32")


def _gradient(function, x):
    import jax

    return np.asarray(jax.grad(lambda x: function(x).sum())(x))


# optax 0.2.8: our dense and sparse form, and its own of class ids.
OPTAX = {
    "sparsemax": (
        losses.categorical_sparsemax,
        losses.sparse_categorical_sparsemax,
        optax.losses.multiclass_sparsemax_loss,
    ),
    "perceptron": (
        losses.categorical_perceptron,
        losses.sparse_categorical_perceptron,
        optax.losses.multiclass_perceptron_loss,
    ),
}


@pytest.mark.parametrize("name", OPTAX)
def test_as_optax(name):
    dense, sparse, theirs = OPTAX[name]
    expected = np.asarray(theirs(X, IDS))
    slope = _gradient(lambda x: theirs(x, IDS), X)
    for function, y_true in ((dense, np.eye(5, dtype="float32")[IDS]), (sparse, IDS)):
        value, gradient = value_and_gradient(lambda p, f=function, y=y_true: f(y, p), X)
        np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(gradient, slope, atol=1e-5)


@pytest.mark.parametrize("negative", [0.0, -1.0])
def test_binary_perceptron_as_optax(negative):
    """optax takes -1 and 1, ours also 0 and 1."""
    signs = 2 * BINARY - 1
    expected = np.asarray(optax.losses.perceptron_loss(X, signs)).mean(-1)
    labels = np.where(BINARY == 1, 1, negative).astype("float32")
    np.testing.assert_allclose(array(losses.perceptron(labels, X)), expected, rtol=1e-6)


def test_two_classes_as_the_binary_sparsemax_loss_of_optax():
    x = np.linspace(-3, 3, 61).astype("float32")
    y_true = np.tile(np.float32([0, 1]), (61, 1))
    got = array(losses.categorical_sparsemax(y_true, np.stack([0 * x, x], -1)))
    expected = np.asarray(optax.losses.sparsemax_loss(x, np.ones(61, "int32")))
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(got, array(activations.sparse_plus(-x)), rtol=1e-5, atol=1e-6)


# Values, and gradients of `sum(UPSTREAM * loss(ROWS, LABELS))`, in float64, from the package
# entmax 1.3 (`sparsemax_loss`, `entmax15_loss`, `entmax_bisect_loss` with 100 iterations).
ROWS = np.float32(
    [[1.5, -0.25, 0.75, 0.5], [0.125, 0.25, 0, -0.5], [3, 0, -1, 0.5], [-2, 4, 1, 3.75]]
)
LABELS = np.array([2, 0, 0, 0], "int32")
UPSTREAM = np.float32([1, -2, 0.5, 3])
ENTMAX = {
    2.0: (
        [0.765625, 0.3489583333, 0.0, 6.140625],
        [
            [0.875, 0.0, -0.875, 0.0],
            [1.333333333, -0.9166666667, -0.4166666667, 0.0],
            [0.0, 0.0, 0.0, 0.0],
            [-3.0, 1.875, 0.0, 1.125],
        ],
    ),
    1.5: (
        [0.8912730357, 0.5833973058, 0.0, 6.276551228],
        [
            [0.6864190663, 0.0, -0.7943340189, 0.1079149527],
            [1.378536507, -0.7686342868, -0.4899176985, -0.119984522],
            [0.0, 0.0, 0.0, 0.0],
            [-3.0, 1.764127211, 0.0, 1.235872789],
        ],
    ),
    1.2: (
        [1.128129483, 0.9012406116, 0.0156762258, 6.423862043],
        [
            [0.5671959146, 0.04711259195, -0.7738929909, 0.1595844844],
            [1.418375866, -0.6808499002, -0.4943198379, -0.2432061281],
            [-0.0192134034, 0.004639520791, 0.0001311190686, 0.01444276354],
            [-3.0, 1.710663449, 0.006559914796, 1.282776636],
        ],
    ),
    3.0: (
        [0.75, 0.1953125, 0.0, 6.03125],
        [
            [1.0, 0.0, -1.0, 0.0],
            [1.25, -1.25, 0.0, 0.0],
            [0.0, 0.0, 0.0, 0.0],
            [-3.0, 2.25, 0.0, 0.75],
        ],
    ),
}


@pytest.mark.parametrize("alpha", ENTMAX)
def test_as_the_entmax_package(alpha):
    one_hot = np.eye(4, dtype="float32")[LABELS]
    forms = {
        losses.categorical_entmax: (one_hot, {"alpha": alpha}),
        losses.sparse_categorical_entmax: (LABELS, {"alpha": alpha}),
    }
    if alpha == 2:
        forms |= {
            losses.categorical_sparsemax: (one_hot, {}),
            losses.sparse_categorical_sparsemax: (LABELS, {}),
        }
    for function, (y_true, settings) in forms.items():
        value, gradient = value_and_gradient(
            lambda p, f=function, y=y_true, s=settings: f(y, p, **s), ROWS, UPSTREAM
        )
        np.testing.assert_allclose(value, ENTMAX[alpha][0], rtol=1e-6, atol=1e-9)
        np.testing.assert_allclose(gradient, ENTMAX[alpha][1], rtol=3e-6, atol=1e-6)
