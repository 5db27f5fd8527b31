"""The simplex activations beside other packages, and where only a promise can be tested."""

import functools

import keras
import numpy as np
import pytest
import torch
from accuracy import RUNS
from keras import ops

from keras_actloss import activations, layers
from keras_actloss.testing.backend import array, compiled, graph, value_and_gradient

pytestmark = pytest.mark.slow

ROWS = np.array(
    [[0.5, -1.25, 2.0, 1.75, 0.0], [0.1, 0.2, 0.3, 0.4, 0.5], [3.0, 3.0, -1.0, 2.5, 2.9]],
    "float32",
)
UPSTREAM = np.array([[1.0, -2.0, 0.5, 3.0, -1.0]] * 3, "float32")

# Values and gradients of `sum(UPSTREAM * f(ROWS))` in float64, from the package entmax 1.3
# (`sparsemax`, `entmax15`, and `entmax_bisect` with 100 iterations), torch 2.13.0.
ENTMAX = {
    "sparsemax": (
        activations.sparsemax,
        [[0, 0, 0.625, 0.375, 0], [0, 0.1, 0.2, 0.3, 0.4], [11 / 30, 11 / 30, 0, 0, 4 / 15]],
        [[0, 0, -1.25, 1.25, 0], [0, -2.125, 0.375, 2.875, -1.125], [5 / 3, -4 / 3, 0, 0, -1 / 3]],
    ),
    "entmax15": (
        activations.entmax15,
        [
            [0.00028021958, 0, 0.58788986, 0.41182992, 0],
            [0.11668239, 0.1533412, 0.195, 0.2416588, 0.29331761],
            [0.31838895, 0.31838895, 0, 0.09875912, 0.26446298],
        ],
        [
            [-0.010572141, 0, -0.86761105, 0.87818319, 0],
            [0.23137618, -0.90952022, 0.078317609, 1.31615542, -0.71632901],
            [0.6033967, -1.08938219, 0, 0.96457601, -0.47859055],
        ],
    ),
    "entmax(1.2)": (
        lambda x: activations.entmax(x, alpha=1.2),
        [
            [0.06441886, 0.00061388430, 0.52126719, 0.38878957, 0.024910492],
            [0.14816822, 0.17118529, 0.19697792, 0.22578986, 0.25787877],
            [0.29550464, 0.29550464, 0, 0.14931927, 0.25967145],
        ],
        [
            [-0.048050358, -0.0092446627, -0.5528434, 0.7368722, -0.12673378],
            [0.14762349, -0.56526051, 0.049087105, 0.81490906, -0.44635918],
            [0.39487292, -0.73641382, 0, 0.66555743, -0.32401653],
        ],
    ),
    "entmax(3)": (
        lambda x: activations.entmax(x, alpha=3.0),
        [[0, 0, 0.75, 0.25, 0], [0, 0, 0, 0.4, 0.6], [0.45584816, 0.45584816, 0, 0, 0.08830369]],
        [[0, 0, -2.5, 2.5, 0], [0, 0, 0, 4, -4], [4.08113883, -2.5, 0, 0, -1.58113883]],
    ),
}

# Gradients for a column of alphas, from the same package.
ENTMAX_OF_ALPHA = {
    1.2: [0.58078336, 0.037556366, -0.47508922],
    1.7: [-0.17730545, 0.10929711, -1.06503547],
    3.0: [-0.40647221, -0.27458141, 0.19315223],
}


def _chain(x):
    """As coral_pytorch: the differences of cumulative products."""
    above = torch.cumprod(torch.sigmoid(x), -1)
    return -torch.diff(torch.nn.functional.pad(above, (1, 0), value=1.0), append=0 * x[:, :1])


TORCH = {
    "softmin": (activations.softmin, lambda x: torch.nn.functional.softmin(x, dim=-1)),
    "gumbel_softmax": (
        lambda x: activations.gumbel_softmax(x, temperature=0.7, seed=5),
        lambda x: torch.softmax((x + torch.tensor(_noise(5))) / 0.7, dim=-1),
    ),
    "conditional_softmax": (activations.conditional_softmax, _chain),
    "ordinal_softmax": (
        activations.ordinal_softmax,
        lambda x: (
            -torch.diff(
                torch.nn.functional.pad(torch.sigmoid(x), (1, 0), value=1.0), append=0 * x[:, :1]
            )
        ),
    ),
}


def _noise(seed):
    uniform = keras.random.uniform(ROWS.shape, minval=2.0**-126, seed=seed)
    return -np.log(-np.log(array(uniform)))


@pytest.mark.parametrize("name", ENTMAX)
def test_as_the_entmax_package(name):
    function, value, gradient = ENTMAX[name]
    got = value_and_gradient(function, ROWS, UPSTREAM)
    np.testing.assert_allclose(got[0], value, 1e-5, 1e-7)
    np.testing.assert_allclose(got[1], gradient, 1e-5, 1e-6)


@pytest.mark.parametrize("alpha", ENTMAX_OF_ALPHA)
def test_alpha_as_the_entmax_package(alpha):
    x = ops.convert_to_tensor(ROWS)
    column = np.full((3, 1), alpha, "float32")
    _, gradient = value_and_gradient(lambda a: activations.entmax(x, a), column, UPSTREAM)
    np.testing.assert_allclose(gradient[:, 0], ENTMAX_OF_ALPHA[alpha], 1e-5)
    _, shared = value_and_gradient(lambda a: activations.entmax(x, a), column[0, 0], UPSTREAM)
    np.testing.assert_allclose(shared, np.sum(ENTMAX_OF_ALPHA[alpha]), 1e-5)


@pytest.mark.parametrize("name", TORCH)
def test_as_torch(name):
    function, peer = TORCH[name]
    x = torch.tensor(ROWS.astype("float64"), requires_grad=True, device="cpu")
    expected = peer(x)
    upstream = np.random.default_rng(0).normal(size=expected.shape).astype("float32")
    (gradient,) = torch.autograd.grad(expected, x, torch.tensor(upstream, dtype=torch.float64))
    got = value_and_gradient(function, ROWS, upstream)
    np.testing.assert_allclose(got[0], expected.detach().numpy(), 1e-5, 1e-6)
    np.testing.assert_allclose(got[1], gradient.numpy(), 1e-5, 1e-6)


def _by_sorting(x):
    """Sparsemax as in the paper's algorithm, in float64."""
    z = np.sort(np.float64(x))[:, ::-1]
    tau = np.max((np.cumsum(z, -1) - 1) / np.arange(1, z.shape[-1] + 1), -1, keepdims=True)
    return np.maximum(x - tau, 0)


def _adversaries(size):
    """Rows whose support Newton's method narrows in many small steps, or in none."""
    index = np.arange(size, dtype="float64")
    powers = [-(base ** -index[::-1]) for base in (1.01, 1.5, 2.0, 4.0)]
    curves = [-scale * (index / size) ** p for p in (0.1, 1, 3, 8) for scale in (0.1, 1.0, 3.0)]
    logs = [-scale * np.log1p(index) for scale in (0.05, 0.3, 1.0)]
    random = list(
        np.random.default_rng(0).normal(size=(6, size)) * [[1e-3], [0.1], [1], [3], [9], [99]]
    )
    return np.float32([np.zeros(size), *powers, *curves, *logs, *random])


@pytest.mark.parametrize("mode", RUNS)
@pytest.mark.parametrize("size", [2, 5, 64, 1000, 32000])
def test_sparsemax_of_adversarial_rows(size, mode):
    x = _adversaries(size)
    function = {"eager": lambda f: f, "compiled": compiled, "graph": graph}[mode](
        activations.sparsemax
    )
    y = array(function(ops.convert_to_tensor(x)))
    np.testing.assert_allclose(y, _by_sorting(x), 0, 1e-7 * np.abs(x).max(initial=1))
    # TensorFlow's own sum of 32000 entries is off by that much.
    many = keras.backend.backend() == "tensorflow" and size == 32000
    np.testing.assert_allclose(np.float64(y).sum(-1), 1, 0, 2e-5 if many else 2e-6)
    np.testing.assert_allclose(y[0], 1 / size, 1e-6)


EXTREMES = {
    "huge gap": [3e38, 0.0, -3e38],
    "huge ties": [1e30, 1e30, -1e30],
    "tiny": [1e-30, -1e-30, 0.0],
    "left out": [0.0, -np.inf, 0.0],
    "one left": [-np.inf, -7.0, -np.inf],
}
EXPECTED = {
    "huge gap": [1, 0, 0],
    "huge ties": [0.5, 0.5, 0],
    "tiny": [1 / 3, 1 / 3, 1 / 3],
    "left out": [0.5, 0, 0.5],
    "one left": [0, 1, 0],
}
SPARSE = [
    activations.sparsemax,
    activations.entmax15,
    lambda x: activations.entmax(x, 1.1),
    lambda x: activations.entmax(x, 3.0),
]


@pytest.mark.parametrize("function", SPARSE, ids=["sparsemax", "entmax15", "1.1", "3"])
@pytest.mark.parametrize("name", EXTREMES)
def test_extreme_rows(name, function):
    value, gradient = value_and_gradient(function, np.float32([EXTREMES[name]]), [[1.0, 2.0, 4.0]])
    np.testing.assert_allclose(value[0], EXPECTED[name], 1e-6)
    inside = np.array(EXPECTED[name]) > 0
    assert np.all(np.isfinite(gradient)) and np.all(gradient[0, ~inside] == 0)
    assert abs(gradient.sum()) < 1e-6 and (inside.sum() == 1 or np.any(gradient != 0))


@pytest.mark.parametrize(("alpha", "share"), [(5.0, 0.9), (10.0, 0.95), (30.0, 0.98), (80.0, 0.99)])
def test_an_entry_at_the_edge_of_entmax_has_its_share(alpha, share):
    """It is the 79th root of what floats of the height cannot tell from nothing."""
    shares = np.array([share, 1 - share])
    gap = np.subtract(*shares ** (alpha - 1)) / (alpha - 1)
    function = functools.partial(activations.entmax, alpha=alpha)
    value, gradient = value_and_gradient(function, np.float32([[0, -gap]]), [[1.0, 0.0]])
    np.testing.assert_allclose(value[0], shares, 1e-5)
    slope = 1 / np.sum(shares ** (alpha - 2))
    np.testing.assert_allclose(gradient[0], [slope, -slope], 1e-4)


def test_slopes_beyond_the_floats_make_no_nan():
    """The first two entries tie at the edge of the support, where 78 is the power of a slope."""
    row = np.float32([[1.0264773, 1.0264773, 1.0297843, 0.7336092]])
    _, gradient = value_and_gradient(lambda x: activations.entmax(x, 80.0), row, [[1, -1, 3, 5]])
    assert not np.any(np.isnan(gradient)) and gradient[0, 3] == 0
    np.testing.assert_allclose(gradient[0, 2], 3 * 0.98315276**-78, 1e-2)


def test_gumbel_softmax_draws_from_the_softmax():
    logits = np.float32([0.0, 1.0, -1.0, 0.5])
    draws = activations.gumbel_softmax(np.tile(logits, (20000, 1)), hard=True, seed=1)
    assert set(np.unique(array(draws))) == {0, 1}
    expected = np.exp(logits) / np.exp(logits).sum()
    np.testing.assert_allclose(array(draws).mean(0), expected, 0, 0.015)


def test_hard_choice_has_the_gradient_of_the_soft_one():
    soft, hard = (
        value_and_gradient(
            lambda x, hard=hard: activations.gumbel_softmax(x, 0.7, hard, seed=2), ROWS, UPSTREAM
        )
        for hard in (False, True)
    )
    np.testing.assert_array_equal(hard[0], np.eye(5)[np.argmax(soft[0], -1)])
    np.testing.assert_allclose(hard[1], soft[1], 1e-5, 1e-6)
    tie = layers.GumbelSoftmax(hard=True)(np.float32([[1.0, 3.0, 3.0]]))
    np.testing.assert_array_equal(array(tie), [[0, 1, 0]])


def test_gumbel_layer_is_noisy_in_training_only():
    layer = layers.GumbelSoftmax(temperature=0.5)
    calm = array(activations.softmax(ROWS / 0.5))
    np.testing.assert_allclose(array(layer(ROWS)), calm, 1e-6)
    first, second = (array(layer(ROWS, training=True)) for _ in range(2))
    assert np.abs(first - calm).max() > 0.01 and np.abs(first - second).max() > 0.01


def test_gumbel_layer_is_reproducible(tmp_path):
    def noisy():
        keras.utils.set_random_seed(7)
        model = keras.Sequential([keras.Input((5,)), layers.GumbelSoftmax()])
        return model, array(model(ROWS, training=True))

    model, first = noisy()
    np.testing.assert_array_equal(noisy()[1], first)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    # The state of the generator is saved: both go on alike, and not from the start.
    after = array(model(ROWS, training=True))
    np.testing.assert_array_equal(array(again(ROWS, training=True)), after)
    assert np.abs(after - first).max() > 0.01


def test_ordinal_softmax_at_the_ends():
    y = array(activations.ordinal_softmax(np.float32([[np.inf, np.inf], [3.0, -np.inf]])))
    np.testing.assert_allclose(y, [[0, 0, 1], [1 / (1 + np.exp(3)), 1 / (1 + np.exp(-3)), 0]], 1e-6)
    near = array(activations.ordinal_softmax(np.float32([[16.0, 16.0 - 2.0**-10]])))[0, 1]
    slope = np.exp(-16.0) / (1 + np.exp(-16.0)) ** 2
    assert abs(near / (slope * 2.0**-10) - 1) < 1e-3


@pytest.mark.parametrize("alpha", [1, 0.5, 1e30, np.inf, "1.5", None])
def test_alpha_is_refused(alpha):
    with pytest.raises((TypeError, ValueError), match="alpha"):
        activations.entmax(ROWS, alpha=alpha)
