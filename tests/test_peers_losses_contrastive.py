"""Losses of embeddings beside PyTorch in float64, and beside numbers recorded from another package.

torch 2.13. The numbers are those of pytorch-metric-learning 2.9.0 in float64, with a `MeanReducer`
where a loss has triplets or pairs; there `TripletMarginLoss` is told by a miner what to compare.
"""

import numpy as np
import pytest
import torch
from peers import compare, of_torch
from torch.nn import functional as F

from keras_actloss import losses
from keras_actloss.testing.backend import value_and_gradient

pytestmark = pytest.mark.slow

GROUPS = np.array([0, 1, 0, 2, 1, 0, 2, 1])
TWICE = np.array([0, 1, 2, 3, 0, 1, 2, 3])
X = np.float32(
    [
        *([1, 0, -2], [0.5, 1.5, -0.5], [2, 1, 0.25], [-1, 0.5, 1]),
        *([0, -1.25, 2], [-0.75, -1, 0.5], [1.25, -0.25, -1], [0.25, 2, 1.5]),
    ]
)
NEAR = np.concatenate([X[:4], X[:4] + X[4:] / 4])
SQUARES = {"distance": "squared_euclidean"}

# Ours, with the embeddings, and theirs: the value and the gradient of the first embedding.
RECORDED = {
    "LiftedStructureLoss": (
        (losses.lifted_structure, GROUPS, X, {"margin": 0.5}),
        (6.44987663, [0.15019984, 0.0540773, -0.11365683]),
    ),
    "BatchHardMiner": (
        (losses.triplet_hard, GROUPS, X, {}),
        (2.81236661, [0.12704422, -0.02000062, 0.13838989]),
    ),
    "BatchHardMiner, power=2": (
        (losses.triplet_hard, GROUPS, X, {"margin": 0.5, **SQUARES}),
        (9.421875, [0.5625, 0.125, -0.125]),
    ),
    "BatchHardMiner, CosineSimilarity": (
        (losses.triplet_hard, GROUPS, X, {"margin": 0.5, "distance": "cosine"}),
        (1.89602447, [0.05801303, 0.0242711, 0.02900651]),
    ),
    "BatchHardMiner, smooth_loss, margin=0": (
        (losses.triplet_hard, GROUPS, X, {"soft": True}),
        (1.9688082, [0.11348442, -0.01760233, 0.12270864]),
    ),
    # Which leaves out a pair without a negative that is farther: here all have one.
    "BatchEasyHardMiner, semihard": (
        (losses.triplet_semihard, TWICE, NEAR, {"margin": 2.0}),
        (0.52800688, [-0.03974254, 0.2047589, -0.11806266]),
    ),
}


@pytest.mark.parametrize("name", RECORDED)
def test_as_pytorch_metric_learning(name):
    (function, groups, x, settings), (mean, of_first) = RECORDED[name]
    value, slope = value_and_gradient(lambda p: function(groups, p, **settings), x)
    np.testing.assert_allclose(value.mean(), mean, rtol=1e-6)
    np.testing.assert_allclose(slope[0] / len(x), of_first, rtol=1e-5, atol=1e-7)


def test_npairs_as_pytorch_metric_learning():
    """`NPairsLoss`, told not to normalize, takes the pairs one below the other."""
    anchors, others = X[:4], X[4:]
    pairs = np.concatenate([anchors, others], axis=-1)
    value, slope = value_and_gradient(lambda p: losses.npairs(np.arange(4), p), pairs)
    np.testing.assert_allclose(value.mean(), 3.42488856, rtol=1e-6)
    np.testing.assert_allclose(slope[0, :3] / 4, [0.3083308, 0.24995385, -0.74543672], rtol=1e-5)


RNG = np.random.default_rng(0)
IDS = RNG.integers(0, 6, 24)
EMBEDDINGS = RNG.normal(size=(24, 5)).astype("float32")
UPSTREAM = RNG.normal(size=24).astype("float32")


def _soft_cross_entropy(scores, labels):
    labels = of_torch(labels / np.sum(labels, axis=-1, keepdims=True))
    return F.cross_entropy(scores, labels, reduction="none")


def _hardest(x):
    """torch's loss of triplets, with those that are the hardest."""
    d = np.linalg.norm(EMBEDDINGS[:, None] - EMBEDDINGS, axis=-1)
    same = IDS[:, None] == IDS
    positive = np.argmax(np.where(same & ~np.eye(24, dtype=bool), d, -np.inf), axis=-1)
    negative = np.argmin(np.where(same, np.inf, d), axis=-1)
    return F.triplet_margin_loss(x, x[positive], x[negative], eps=0.0, reduction="none")


TAGS = (RNG.random((24, 4)) < 0.4).astype("int32") | np.eye(4, dtype="int32")[np.arange(24) % 4]
SCORES = RNG.normal(scale=3, size=(24, 24)).astype("float32")
# Ours, theirs, and predictions.
OF_TORCH = {
    "contrastive": (
        lambda p: losses.contrastive(IDS % 2, p, margin=1.5),
        lambda p: torch.where(of_torch(IDS[:, None] % 2) == 1, p**2, F.relu(1.5 - p) ** 2)[:, 0],
        np.abs(EMBEDDINGS[:, :1]),
    ),
    "npairs": (
        lambda p: losses.npairs(IDS, p, from_products=True),
        lambda p: _soft_cross_entropy(p, IDS[:, None] == IDS),
        SCORES,
    ),
    "npairs_multilabel": (
        lambda p: losses.npairs_multilabel(TAGS, p, from_products=True),
        lambda p: _soft_cross_entropy(p, TAGS @ TAGS.T),
        SCORES,
    ),
    "triplet_hard": (lambda p: losses.triplet_hard(IDS, p), _hardest, EMBEDDINGS),
}


@pytest.mark.parametrize("name", OF_TORCH)
def test_as_torch(name):
    ours, theirs, x = OF_TORCH[name]
    compare(ours, theirs, x, UPSTREAM)
