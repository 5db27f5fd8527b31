"""Losses of ordered classes beside PyTorch, scipy and scikit-learn, and numbers that peers gave.

coral_pytorch 1.4.0 and TensorFlow Addons 0.23.0 are not installed; their numbers were computed with
torch 2.13 and TensorFlow 2.21. Both levels of coral_pytorch mean `y_true > k`, as ours do.
"""

import keras
import numpy as np
import pytest
import torch
from peers import compare, of_torch
from scipy.stats import energy_distance
from sklearn.metrics import cohen_kappa_score
from torch.nn import functional as F

from keras_actloss import activations, losses
from keras_actloss.testing.backend import array, value_and_gradient

pytestmark = pytest.mark.slow

RNG = np.random.default_rng(0)
X = np.concatenate([RNG.normal(size=(30, 4)) * 3, [[-60, 12, 0.25, 60]]]).astype("float32")
RANKS = RNG.integers(0, 5, len(X))
IDS = RNG.integers(0, 4, len(X))
VOTES = RNG.dirichlet(np.ones(4), len(X)).astype("float32")
UPSTREAM = RNG.normal(size=len(X)).astype("float32")
WEIGHTS = [1.0, 2.0, 0.5, 0.0]

LOGITS = np.float32([[2.1, 1.8, -2.1, -1.8], [1.9, -1, -1.5, -1.3], [1.9, 1.8, 1.7, 1.6]])
LOGITS = np.concatenate([LOGITS, np.float32([[-3.0, 0.5, 4.0, -0.25]])])
LABELS = np.array([2, 1, 4, 0])


def test_coral_of_coral_pytorch():
    """`coral_loss(logits, levels_from_labelbatch(labels, 5), reduction=None)`."""
    got = array(losses.coral(LABELS, LOGITS))
    np.testing.assert_allclose(got, [0.5370, 0.8951, 0.6441, 5.6168], atol=5e-5)
    got = array(losses.coral(LABELS, LOGITS, importance_weights=WEIGHTS))
    np.testing.assert_allclose(got, [0.4792, 0.8666, 0.5292, 4.0058], atol=5e-5)


def test_corn_of_coral_pytorch():
    """`corn_loss(logits, labels, 5)`, divided by the number of levels that the labels reach."""
    reached = np.minimum(LABELS + 1, 4).sum()
    value, gradient = value_and_gradient(lambda x: losses.corn(LABELS, x), LOGITS)
    assert value.sum() / reached == pytest.approx(0.1529, abs=5e-5)
    expected = [
        [-0.0109, -0.0142, 0.0109, 0],
        [-0.0130, 0.0269, 0, 0],
        [-0.0130, -0.0142, -0.0154, -0.0168],
        [0.0047, 0, 0, 0],
    ]
    np.testing.assert_allclose(gradient / reached, expected, atol=5e-5)


def test_decoders_of_coral_pytorch():
    """`proba_to_label` and `corn_label_from_logits`, with the numbers of their docstrings."""
    levels = np.array([[2.0, 1.5, -0.7, -0.9], [-0.1, -0.2, -3, -3], [3, 2, 1, 0.1]], "float32")
    got = array(losses.median_class(activations.ordinal_softmax(levels)))
    np.testing.assert_array_equal(got, (levels > 0).sum(-1))
    conditional = np.float32([[14.152, -6.1942, 0.4771, 0.9685], [65.667, 0.303, 11.5, -4.524]])
    got = array(losses.median_class(activations.conditional_softmax(conditional)))
    np.testing.assert_array_equal(got, [1, 3])
    # Here no level in itself tells: the first two are likely, both together are not.
    got = array(losses.median_class(activations.conditional_softmax([[0.5, 0.5, 5.0, 5.0]])))
    np.testing.assert_array_equal(got, [1])


def _coral(x, weights=None):
    levels = (of_torch(RANKS)[:, None] > torch.arange(4)).double()
    entries = F.binary_cross_entropy_with_logits(x, levels, reduction="none")
    return (entries if weights is None else entries * torch.tensor(weights)).sum(-1)


def _corn(x):
    """The cross-entropy of a chain of choices, one after the other."""
    on = torch.cumsum(F.logsigmoid(x), -1)
    start = torch.zeros_like(x[:, :1])
    log_p = torch.cat([start, on], -1) + torch.cat([F.logsigmoid(-x), start], -1)
    return F.nll_loss(log_p, of_torch(RANKS), reduction="none")


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (losses.coral, _coral),
        (lambda y, x: losses.coral(y, x, importance_weights=WEIGHTS), lambda x: _coral(x, WEIGHTS)),
        (losses.corn, _corn),
    ],
    ids=["coral", "coral, weights", "corn"],
)
def test_levels_as_in_torch(ours, theirs):
    compare(lambda x: ours(RANKS, x), theirs, X, UPSTREAM)


def _squared_emd(p, y):
    return torch.cumsum(p - y, -1).square().sum(-1)


@pytest.mark.parametrize("logits", [True, False])
def test_squared_emd_as_in_torch(logits):
    one_hot = F.one_hot(of_torch(IDS), 4).double()
    x = X if logits else np.random.default_rng(1).random(X.shape).astype("float32") + 0.01

    def shares(x):
        return torch.softmax(x, -1) if logits else x / x.sum(-1, keepdim=True)

    compare(
        lambda p: losses.sparse_categorical_squared_emd(IDS, p, from_logits=logits),
        lambda p: _squared_emd(shares(p), one_hot),
        x,
        UPSTREAM,
    )
    compare(
        lambda p: losses.categorical_squared_emd(VOTES, p, from_logits=logits),
        lambda p: _squared_emd(shares(p), of_torch(VOTES)),
        x,
        UPSTREAM,
    )


def test_squared_emd_of_scipy():
    p = np.random.default_rng(1).dirichlet(np.ones(6), 5).astype("float32")
    y = np.random.default_rng(2).dirichlet(np.ones(6), 5).astype("float32")
    places = np.arange(6)
    expected = [energy_distance(places, places, *pair) ** 2 / 2 for pair in zip(p, y, strict=True)]
    np.testing.assert_allclose(array(losses.categorical_squared_emd(y, p)), expected, rtol=1e-4)


def _kappa(p, y, power):
    """As TFA: observed over expected cost."""
    k = torch.arange(4, dtype=torch.float64)
    cost = y @ (k[:, None] - k).abs() ** power
    return (cost * p).sum() / (cost.sum(0) @ p.sum(0) / len(y))


@pytest.mark.parametrize("log_epsilon", [None, 1e-6])
@pytest.mark.parametrize("weighting", ["linear", "quadratic"])
@pytest.mark.parametrize("soft", [True, False])
def test_kappa_as_in_torch(soft, weighting, log_epsilon):
    settings = {"from_logits": True, "weighting": weighting, "log_epsilon": log_epsilon}
    y = of_torch(VOTES) if soft else F.one_hot(of_torch(IDS), 4).double()

    def ours(x):
        if soft:
            return losses.categorical_weighted_kappa(VOTES, x, **settings)
        return losses.sparse_categorical_weighted_kappa(IDS, x, **settings)

    def theirs(x):
        ratio = _kappa(torch.softmax(x, -1), y, 2 if weighting == "quadratic" else 1)
        return ratio if log_epsilon is None else torch.log(ratio + log_epsilon)

    compare(
        lambda x: keras.ops.mean(ours(x), keepdims=True),
        lambda x: theirs(x)[None],
        X,
        np.ones(1, "float32"),
    )


@pytest.mark.parametrize("weighting", ["linear", "quadratic"])
def test_kappa_of_hard_predictions(weighting):
    predicted = np.random.default_rng(3).integers(0, 4, len(IDS))
    loss = losses.SparseCategoricalWeightedKappa(weighting=weighting)
    got = float(loss(IDS, np.eye(4, dtype="float32")[predicted]))
    expected = 1 - cohen_kappa_score(IDS, predicted, weights=weighting, labels=range(4))
    assert got == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("weighting", "expected"), [("quadratic", -1.1611925), ("linear", -0.9997988)]
)
def test_kappa_of_tensorflow_addons(weighting, expected):
    """`WeightedKappaLoss(4, weightage)` of the labels and predictions of its docstring."""
    p = [[0.1, 0.2, 0.6, 0.1], [0.1, 0.5, 0.3, 0.1], [0.8, 0.05, 0.05, 0.1], [0.01, 0.09, 0.1, 0.8]]
    loss = losses.SparseCategoricalWeightedKappa(weighting=weighting, log_epsilon=1e-6)
    assert float(loss(np.array([2, 1, 0, 3]), np.float32(p))) == pytest.approx(expected, rel=1e-5)
