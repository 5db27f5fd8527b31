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


# What `loss_test.py` of the authors expects: github.com/google/bi-tempered-loss, commit 4d12cb2c,
# with five steps of their iteration and to 1e-5. They spread a label over the other classes, which
# is a `label_smoothing` of `classes / (classes - 1)` times theirs.
BI_TEMPERED_X = [[-0.5, 0.1, 2.0], [0.1, 1.5, -5.0], [4.0, -3.0, -6.0]]
BI_TEMPERED_Y = [[0.2, 0.3, 0.5], [0.6, 0.3, 0.1], [0.2, 0.8, 0.0]]
BI_TEMPERED_ROW = [[0.2, 0.5, 0.3]] * 3
BI_TEMPERED = {
    "soft": (BI_TEMPERED_Y, 0.5, 1.5, 0.0, [0.02301914, 0.18972909, 0.93874922]),
    "smoothed": (np.eye(3), 0.5, 1.5, 0.1 * 3 / 2, [0.76652711, 0.08627685, 1.35443510]),
    "0.9, 1.1": (BI_TEMPERED_ROW, 0.9, 1.1, 0.0, [0.45677936]),
    "0.7, 1.3": (BI_TEMPERED_ROW, 0.7, 1.3, 0.0, [0.26295574]),
}


@pytest.mark.parametrize("name", BI_TEMPERED)
def test_bi_tempered_as_its_authors_expect(name):
    y_true, t1, t2, label_smoothing, expected = BI_TEMPERED[name]
    got = losses.categorical_bi_tempered_logistic(
        np.float32(y_true), np.float32(BI_TEMPERED_X), t1, t2, label_smoothing
    )
    got = keras.ops.convert_to_numpy(got)[: len(expected)]
    np.testing.assert_allclose(got, expected, atol=1e-5)


# Means that packages give that are not installed here, in float64: segmentation_models.pytorch
# 0.6.0, timm 1.0.31, MONAI 1.6.1 and kornia 0.9.0. Each row says by which setting ours is theirs.
CONVENTION_X = np.float32(2 * np.cos(3 * np.arange(12)).reshape(4, 3))
CONVENTION_IDS = np.array([0, 2, 1, 2])
CONVENTION_ROWS = np.eye(3, dtype="float32")[CONVENTION_IDS]
CONVENTION_LABELS = np.float32([[1, 0, 1], [0, 0, 1], [1, 1, 0], [0, 0, 0]])
CONVENTIONS = {
    # SMP moves a label by `smooth_factor`, Keras by half of `label_smoothing`.
    "SoftBCEWithLogitsLoss(smooth_factor=0.1)": (
        losses.BinaryCrossentropy(label_smoothing=0.2, from_logits=True),
        CONVENTION_LABELS,
        0.7787158990079205,
    ),
    # timm smooths the rows that it makes of class ids as a softmax is smoothed.
    "timm.BinaryCrossEntropy(smoothing=0.1)": (
        losses.BinaryCrossentropy(from_logits=True),
        CONVENTION_ROWS * np.float32(0.9) + np.float32(0.1 / 3),
        1.0077716957767615,
    ),
    "timm.LabelSmoothingCrossEntropy, SMP's SoftCrossEntropyLoss": (
        losses.SparseCategoricalCrossentropy(label_smoothing=0.1, from_logits=True),
        CONVENTION_IDS,
        1.9706168503888148,
    ),
    # SMP divides by all 4 labels, also by the 2 that it ignores.
    "SoftCrossEntropyLoss(ignore_index=2)": (
        losses.SparseCategoricalCrossentropy(ignore_class=2, from_logits=True),
        CONVENTION_IDS,
        0.904507491010967 * 4 / 2,
    ),
    "SMP's FocalLoss('binary', alpha=0.25), kornia's binary default": (
        losses.BinaryFocalCrossentropy(alpha=0.25, from_logits=True),
        CONVENTION_LABELS,
        0.19221617768164045,
    ),
    # One sigmoid a class.
    "SMP's FocalLoss('multiclass')": (
        losses.BinaryFocalCrossentropy(from_logits=True),
        CONVENTION_ROWS,
        0.5760004275936114,
    ),
    # The mean is over the classes too, of which the first weighs 1 - alpha.
    "MONAI's FocalLoss(use_softmax=True, alpha=0.25), kornia's focal_loss": (
        losses.SparseCategoricalFocalCrossentropy(alpha=[0.75, 0.25, 0.25], from_logits=True),
        CONVENTION_IDS,
        0.1382109128521268 * 3,
    ),
    "timm.PolyCrossEntropy": (
        losses.SparseCategoricalPolyCrossentropy(from_logits=True),
        CONVENTION_IDS,
        3.524728536605835,
    ),
}


@pytest.mark.parametrize("name", CONVENTIONS)
def test_conventions_of_others(name):
    loss, y_true, expected = CONVENTIONS[name]
    got = float(loss(y_true, CONVENTION_X))
    np.testing.assert_allclose(got, expected, 1e-6)


def test_weighted_mean_of_torch():
    """torch divides by the sum of the weights of the labels, and ignores the id -100."""
    ids = np.array([0, 2, -100, 2])
    weights = np.float32([1, 2, 4])
    expected = F.cross_entropy(of_torch(CONVENTION_X), torch.tensor(ids), of_torch(weights))
    loss = losses.SparseCategoricalCrossentropy(
        from_logits=True, ignore_class=-100, reduction="mean_with_sample_weight"
    )
    got = float(loss(ids, CONVENTION_X, sample_weight=weights[ids * (ids >= 0)]))
    np.testing.assert_allclose(got, expected, 1e-6)
    # A mean of ours with `class_weights` is over their number.
    loss = losses.SparseCategoricalCrossentropy(
        from_logits=True, ignore_class=-100, class_weights=weights
    )
    np.testing.assert_allclose(float(loss(ids, CONVENTION_X)), expected * (1 + 4 + 4) / 3, 1e-6)
