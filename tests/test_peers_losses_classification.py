"""Relatives of the cross-entropy beside independent implementations.

torch 2.13, optax 0.2.8, Keras 3.15. PyTorch computes in float64; what it lacks is written out in it
as the papers have it. Where a convention differs, the row says how.
"""

import math

import keras
import numpy as np
import optax
import pytest
import torch
from peers import compare, of_torch
from torch.nn import functional as F

from keras_actloss import losses
from keras_actloss.testing.backend import value_and_gradient

pytestmark = pytest.mark.slow

RNG = np.random.default_rng(0)
X = np.concatenate([RNG.normal(size=(40, 5)) * 3, [[-88, -12, 0.25, 12, 88]]]).astype("float32")
IDS = RNG.integers(0, 5, len(X))
ONE_HOT = np.eye(5, dtype="float32")[IDS]
SOFT = RNG.dirichlet(np.ones(5), len(X)).astype("float32")
BINARY = RNG.integers(0, 2, X.shape).astype("float32")
P = RNG.dirichlet(np.ones(5), len(X)).astype("float32")
WEIGHTS = [1.0, 2.0, 0.5, 4.0, 0.25]
COUNTS = [100.0, 50.0, 20.0, 5.0, 1.0]


def _binary_focal(y, x):
    p = torch.sigmoid(x)
    weight = 0.25 * y + 0.75 * (1 - y)
    missing = y * (1 - p) + (1 - y) * p
    cross_entropy = F.binary_cross_entropy_with_logits(x, y, reduction="none")
    return (weight * missing**2 * cross_entropy).mean(-1)


def _focal(y, x):
    cross_entropy = F.cross_entropy(x, y, reduction="none")
    return of_torch(WEIGHTS)[y] * (1 - torch.exp(-cross_entropy)) ** 1.5 * cross_entropy


def _generalized(y, x):
    return (1 - F.softmax(x, -1).gather(-1, y[:, None])[:, 0] ** 0.7) / 0.7


def _symmetric(y, x):
    forward = F.cross_entropy(x, y, reduction="none")
    log_labels = torch.where(F.one_hot(y, 5) == 1, 0.0, -4.0)
    return 0.1 * forward - 0.5 * (F.softmax(x, -1) * log_labels).sum(-1)


def _label_distribution_aware_margin(y, x):
    margins = of_torch(COUNTS) ** -0.25
    margins = margins * (0.5 / margins.max())
    scores = x / 30 - margins * F.one_hot(y, 5)
    return F.cross_entropy(30 * scores, y, reduction="none", weight=of_torch(WEIGHTS))


def _brier(y, x):
    return ((F.softmax(x, -1) - F.one_hot(y, 5)) ** 2).sum(-1)


def _binary_generalized(y, x):
    likely = torch.where(y == 1, F.logsigmoid(x), F.logsigmoid(-x)).exp()
    return ((1 - likely**0.7) / 0.7).mean(-1)


# name -> our function, theirs in torch, labels, predictions
LOSSES = {
    "binary focal": (
        lambda y, p: losses.binary_focal_crossentropy(y, p, alpha=0.25, from_logits=True),
        _binary_focal,
        BINARY,
        X,
    ),
    "sparse focal": (
        lambda y, p: losses.sparse_categorical_focal_crossentropy(
            y, p, alpha=WEIGHTS, gamma=1.5, from_logits=True
        ),
        _focal,
        IDS,
        X[:-1],
    ),
    "generalized": (
        lambda y, p: losses.sparse_categorical_generalized_cross_entropy(
            y, p, q=0.7, from_logits=True
        ),
        _generalized,
        IDS,
        X,
    ),
    "symmetric, alpha 0.1, beta 0.5, A -4": (
        lambda y, p: losses.sparse_categorical_symmetric_crossentropy(
            y, p, alpha=0.1, beta=0.5 * 4, from_logits=True
        ),
        _symmetric,
        IDS,
        X,
    ),
    "binary generalized": (
        lambda y, p: losses.binary_generalized_cross_entropy(y, p, q=0.7, from_logits=True),
        _binary_generalized,
        BINARY,
        X,
    ),
    "binary brier": (
        lambda y, p: losses.binary_brier(
            y, p, from_logits=True, label_smoothing=0.2, class_weights=[0.5, 2.0]
        ),
        lambda y, p: (
            torch.where(y == 1, 2.0, 0.5) * (torch.sigmoid(p) - (0.8 * y + 0.1)) ** 2
        ).mean(-1),
        BINARY,
        X,
    ),
    "categorical_nll": (
        lambda y, p: losses.categorical_nll(y, p, class_weights=WEIGHTS),
        lambda y, p: -(of_torch(WEIGHTS) * y * p).sum(-1),
        SOFT,
        X,
    ),
    "logit adjusted, all options": (
        lambda y, p: losses.sparse_categorical_logit_adjusted_crossentropy(
            y,
            p,
            class_prior=COUNTS,
            tau=1.5,
            from_logits=True,
            label_smoothing=0.1,
            class_weights=WEIGHTS,
            ignore_class=3,
        ),
        lambda y, p: F.cross_entropy(
            p + 1.5 * torch.log(of_torch(COUNTS)),
            y,
            reduction="none",
            label_smoothing=0.1,
            weight=of_torch(WEIGHTS),
            ignore_index=3,
        ),
        IDS,
        X,
    ),
    "label_distribution_aware_margin": (
        lambda y, p: losses.label_distribution_aware_margin(
            y, p / 30, class_counts=COUNTS, class_weights=WEIGHTS
        ),
        _label_distribution_aware_margin,
        IDS,
        X,
    ),
    "label_distribution_aware_margin, one-hot": (
        lambda y, p: losses.categorical_label_distribution_aware_margin(
            y, p / 30, class_counts=COUNTS, class_weights=WEIGHTS
        ),
        lambda y, p: _label_distribution_aware_margin(y.argmax(-1), p),
        ONE_HOT,
        X,
    ),
    "sparse_categorical_nll": (
        lambda y, p: losses.sparse_categorical_nll(y, p, class_weights=WEIGHTS, ignore_class=2),
        lambda y, p: F.nll_loss(p, y, of_torch(WEIGHTS), reduction="none", ignore_index=2),
        IDS,
        X,
    ),
    "multilabel_soft_margin": (
        lambda y, p: losses.multilabel_soft_margin(y, p, class_weights=WEIGHTS),
        lambda y, p: F.multilabel_soft_margin_loss(p, y, of_torch(WEIGHTS), reduction="none"),
        BINARY,
        X,
    ),
    "brier": (
        lambda y, p: losses.sparse_categorical_brier(y, p, from_logits=True),
        _brier,
        IDS,
        X,
    ),
}


@pytest.mark.parametrize("name", LOSSES)
def test_loss(name):
    ours, theirs, y_true, y_pred = LOSSES[name]
    y_true = y_true[: len(y_pred)]
    upstream = RNG.normal(size=len(y_pred)).astype("float32")
    labels = of_torch(y_true)
    compare(lambda p: ours(y_true, p), lambda p: theirs(labels, p), y_pred, upstream)


OTHERS = {
    "binary focal, optax": (
        lambda: losses.binary_focal_crossentropy(BINARY, X, alpha=0.25, from_logits=True),
        lambda: optax.losses.sigmoid_focal_loss(X, BINARY, alpha=0.25, gamma=2.0).mean(-1),
    ),
    "poly, optax": (
        lambda: losses.categorical_poly_crossentropy(SOFT, X, from_logits=True),
        lambda: optax.losses.poly_loss_cross_entropy(X, SOFT),
    ),
    "binary focal, Keras": (
        lambda: losses.binary_focal_crossentropy(BINARY, P, alpha=0.25, gamma=3.0),
        lambda: keras.losses.binary_focal_crossentropy(
            BINARY, P, apply_class_balancing=True, alpha=0.25, gamma=3.0
        ),
    ),
    "categorical focal, Keras": (
        lambda: losses.categorical_focal_crossentropy(ONE_HOT, P, alpha=WEIGHTS, gamma=3.0),
        lambda: keras.losses.categorical_focal_crossentropy(ONE_HOT, P, WEIGHTS, 3.0),
    ),
    "generalized, Keras": (
        lambda: losses.sparse_categorical_generalized_cross_entropy(IDS, P),
        lambda: keras.losses.categorical_generalized_cross_entropy(
            IDS, keras.ops.convert_to_tensor(P), 0.5
        ),
    ),
}


@pytest.mark.parametrize("name", OTHERS)
def test_value(name):
    ours, theirs = OTHERS[name]
    expected = theirs()
    if keras.ops.is_tensor(expected):
        expected = keras.ops.convert_to_numpy(expected)
    got = keras.ops.convert_to_numpy(ours())
    np.testing.assert_allclose(got, np.asarray(expected), rtol=2e-5, atol=1e-6)


# What `loss.py` of the authors of "Normalized Loss Functions for Deep Learning with Noisy Labels"
# gives in float64, with its gradient: github.com/HanxunH/Active-Passive-Losses, commit 04bce534,
# SCELoss(alpha=0.1, beta=1) and GeneralizedCrossEntropy(q=0.7) of the two logits 0 and x. Labels
# are clipped at 1e-4 there, whose logarithm is the constant A of the paper.
RECORDED_X = [[-3.0], [-0.5], [0.25], [2.0], [5.0]]
RECORDED_Y = [[1.0], [0.0], [1.0], [0.0], [1.0]]
RECORDED = {
    "symmetric": (
        lambda p: losses.binary_symmetric_crossentropy(
            RECORDED_Y, p, alpha=0.1, beta=4 * math.log(10), from_logits=True
        ),
        [9.07839079, 3.52468581, 4.09009745, 8.3251338, 0.06231497],
        [-0.51134983, 2.20221827, -2.31076106, 1.05510638, -0.06190015],
    ),
    "generalized": (
        lambda p: losses.binary_generalized_cross_entropy(RECORDED_Y, p, q=0.7, from_logits=True),
        [1.25948346, 0.40343977, 0.47399031, 1.1062399, 0.00669959],
        [-0.11274817, 0.27092023, -0.29255663, 0.19873607, -0.00666146],
    ),
}


@pytest.mark.parametrize("name", RECORDED)
def test_binary_losses_of_two_classes_as_their_authors_have_them(name):
    ours, value, gradient = RECORDED[name]
    got = value_and_gradient(ours, np.array(RECORDED_X, "float32"))
    np.testing.assert_allclose(got[0], value, rtol=2e-6)
    np.testing.assert_allclose(got[1][:, 0], gradient, rtol=2e-6)
