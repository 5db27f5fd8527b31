"""Margin losses beside PyTorch's, in float64: values and gradients. torch 2.13."""

import numpy as np
import pytest
from peers import compare, of_torch
from torch.nn import functional as F

from keras_actloss import losses

pytestmark = pytest.mark.slow

RNG = np.random.default_rng(0)
X = (RNG.normal(size=(30, 6)) * 3).astype("float32")
IDS = RNG.integers(0, 6, 30)
SIGNS = np.where(RNG.random(X.shape) < 0.5, -1, 1).astype("float32")
LABELS = SIGNS[:, 0]
WEIGHTS = [1.0, 2.0, 0.5, 4.0, 0.25, 1.0]


def _index_lists(multi_hot):
    """torch's labels: the ids of a row first, then -1."""
    lists = np.full(multi_hot.shape, -1)
    for row, hot in zip(lists, multi_hot, strict=True):
        row[: hot.sum()] = np.flatnonzero(hot)
    return lists


MULTI_HOT = (SIGNS > 0).astype("int64")

# name -> our function, torch's, our labels, predictions, torch's labels
LOSSES = {
    "soft_margin": (
        losses.soft_margin,
        lambda y, p: F.soft_margin_loss(p, y, reduction="none").mean(-1),
        SIGNS,
        X,
        SIGNS,
    ),
    "soft_margin, 0 and 1": (
        losses.soft_margin,
        lambda y, p: F.soft_margin_loss(p, y, reduction="none").mean(-1),
        MULTI_HOT,
        X,
        SIGNS,
    ),
    "multi_margin": (
        lambda y, p: losses.multi_margin(y, p, margin=1.5, class_weights=WEIGHTS),
        lambda y, p: F.multi_margin_loss(
            p, y, margin=1.5, weight=of_torch(np.array(WEIGHTS)), reduction="none"
        ),
        IDS,
        X,
        IDS,
    ),
    # The weight is not squared, whatever torch's formula says.
    "multi_margin, squared": (
        lambda y, p: losses.multi_margin(y, p, p=2, class_weights=WEIGHTS),
        lambda y, p: F.multi_margin_loss(
            p, y, p=2, weight=of_torch(np.array(WEIGHTS)), reduction="none"
        ),
        IDS,
        X,
        IDS,
    ),
    "categorical_multi_margin": (
        lambda y, p: losses.categorical_multi_margin(y, p, margin=1.5, class_weights=WEIGHTS),
        lambda y, p: F.multi_margin_loss(
            p, y, margin=1.5, weight=of_torch(np.array(WEIGHTS)), reduction="none"
        ),
        np.eye(6, dtype="float32")[IDS],
        X,
        IDS,
    ),
    "multilabel_margin": (
        losses.multilabel_margin,
        lambda y, p: F.multilabel_margin_loss(p, y, reduction="none"),
        MULTI_HOT,
        X,
        _index_lists(MULTI_HOT),
    ),
    "hinge_embedding": (
        lambda y, p: losses.hinge_embedding(y, p, margin=2.0),
        lambda y, p: F.hinge_embedding_loss(p, y, margin=2.0, reduction="none").mean(-1),
        SIGNS,
        np.abs(X),
        SIGNS,
    ),
    "cosine_embedding": (
        lambda y, p: losses.cosine_embedding(y, p, margin=0.25),
        lambda y, p: F.cosine_embedding_loss(p[:, :3], p[:, 3:], y, margin=0.25, reduction="none"),
        LABELS,
        X,
        LABELS,
    ),
    "margin_ranking": (
        lambda y, p: losses.margin_ranking(y, p, margin=0.5),
        lambda y, p: F.margin_ranking_loss(p[:, 0], p[:, 1], y, margin=0.5, reduction="none"),
        LABELS,
        X[:, :2],
        LABELS,
    ),
}


@pytest.mark.parametrize("name", LOSSES)
def test_loss(name):
    ours, theirs, y_true, y_pred, their_labels = LOSSES[name]
    upstream = RNG.normal(size=len(y_pred)).astype("float32")
    labels = of_torch(their_labels)
    compare(lambda p: ours(y_true, p), lambda p: theirs(labels, p), y_pred, upstream)
