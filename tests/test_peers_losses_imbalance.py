"""Losses for imbalanced labels beside plain formulas in float64, of PyTorch, with their sources.

torch 2.13. The formulas are those of the papers and of the packages named, which are not installed.
"""

import numpy as np
import pytest
import torch
from peers import compare, of_torch
from torch.nn import functional as F

from keras_actloss import losses

pytestmark = pytest.mark.slow

RNG = np.random.default_rng(0)
X = np.concatenate([RNG.normal(size=(40, 5)) * 3, [[-60, -12, 0.25, 12, 60]]]).astype("float32")
P = (1 / (1 + np.exp(-RNG.normal(size=X.shape)))).astype("float32")
BINARY = RNG.integers(0, 2, X.shape).astype("float32")
SCORES = (RNG.random(X.shape) * BINARY).astype("float32")
HEAT = np.where(RNG.random(X.shape) < 0.2, 1, RNG.random(X.shape)).astype("float32")
IDS = RNG.integers(0, 5, (8, 5))
PIXELS = RNG.normal(size=(8, 5, 5)).astype("float32") * 3
LOGITS = {"from_logits": True}
WEIGHTS = (1.0, 2.0, 0.5, 4.0, 0.25)


def _cross_entropy(y, x, logits):
    if logits:
        return F.binary_cross_entropy_with_logits(x, y, reduction="none")
    return F.binary_cross_entropy(x, y, reduction="none")


def _sides(x, logits):
    return (torch.sigmoid(x), torch.sigmoid(-x)) if logits else (x, 1 - x)


def asymmetric(y, x, logits, negative=4, positive=1, clip=0.05):
    """Ridnik et al., equations 7 and 8; as timm 1.0 and the authors, but for their sum."""
    p, q = _sides(x, logits)
    q = (q + clip).clamp(max=1)
    certain = p * y + q * (1 - y)
    log_p = F.logsigmoid(x) if logits else torch.log(p)
    loss = y * log_p + (1 - y) * torch.log(q)
    return -(loss * (1 - certain) ** (positive * y + negative * (1 - y))).mean(-1)


def varifocal(y, x, logits, alpha=0.75, gamma=2):
    """Zhang et al., equation 2; mmdetection 3.3 with `iou_weighted`."""
    p, _ = _sides(x, logits)
    weight = y * (y > 0) + alpha * (p - y).abs() ** gamma * (y <= 0)
    return (weight * _cross_entropy(y, x, logits)).mean(-1)


def quality(y, x, logits, beta=2):
    """Li et al., equation 4; mmdetection 3.3."""
    p, _ = _sides(x, logits)
    return ((p - y).abs() ** beta * _cross_entropy(y, x, logits)).mean(-1)


def penalty(y, x, logits, alpha=2, beta=4, weights=(1, 1)):
    """Law and Deng, equation 1, with the peaks of one image, and MMDetection's weights."""
    p, q = _sides(x, logits)
    peak = (y == 1).to(y.dtype)
    positive = peak * q**alpha * _cross_entropy(torch.ones_like(y), x, logits)
    negative = (1 - peak) * p**alpha * _cross_entropy(torch.zeros_like(y), x, logits)
    total = (weights[1] * positive + weights[0] * (1 - y) ** beta * negative).sum(-1)
    return total / peak.sum(-1).clamp(min=1)


def soft_f1(y, x, logits, smooth=1.0, weights=1.0):
    """From the counts of true and false positives and false negatives."""
    (p, q), w = _sides(x, logits), torch.tensor(weights)
    true, false, missed = ((w * a * b).sum(-1) for a, b in ((y, p), (1 - y, p), (y, q)))
    return 1 - (2 * true + smooth) / (2 * true + false + missed + smooth)


def top_k(y, x, logits, share=0.1):
    values = _cross_entropy(y, x, logits)
    return values.topk(max(1, round(share * values.shape[1])), -1)[0].mean(-1)


def top_k_pixels(y, x, logits, share=0.1):
    """nnU-Net 2.5's `TopKLoss`, of each image apart."""
    values = F.cross_entropy(x.movedim(-1, 1), y, reduction="none")
    return values.flatten(1).topk(max(1, round(share * values[0].numel())), -1)[0].mean(-1)


# name -> our function, the other one, labels, settings of ours, settings of the other one
CASES = {
    "asymmetric": (losses.asymmetric_binary_crossentropy, asymmetric, BINARY, {}, {}),
    "asymmetric, settings": (
        losses.asymmetric_binary_crossentropy,
        asymmetric,
        BINARY,
        {"gamma_negative": 2.5, "gamma_positive": 0.0, "clip": 0.2},
        {"negative": 2.5, "positive": 0, "clip": 0.2},
    ),
    "varifocal": (losses.varifocal, varifocal, SCORES, {}, {}),
    "varifocal, settings": (
        losses.varifocal,
        varifocal,
        SCORES,
        {"alpha": 0.5, "gamma": 1.5},
        {"alpha": 0.5, "gamma": 1.5},
    ),
    "quality": (losses.quality_focal, quality, SCORES, {}, {}),
    "quality, settings": (losses.quality_focal, quality, SCORES, {"beta": 1.5}, {"beta": 1.5}),
    "penalty": (losses.penalty_reduced_focal, penalty, HEAT, {}, {}),
    "penalty, settings": (
        losses.penalty_reduced_focal,
        penalty,
        HEAT,
        {"alpha": 1.5, "beta": 2.5, "class_weights": (0.5, 2.0)},
        {"alpha": 1.5, "beta": 2.5, "weights": (0.5, 2.0)},
    ),
    "soft_f1": (losses.soft_f1, soft_f1, BINARY, {}, {}),
    "soft_f1, settings": (
        losses.soft_f1,
        soft_f1,
        BINARY,
        {"smooth": 0.0, "class_weights": WEIGHTS},
        {"smooth": 0.0, "weights": WEIGHTS},
    ),
    "top_k": (losses.top_k_binary_crossentropy, top_k, BINARY, {}, {}),
    "top_k, settings": (
        losses.top_k_binary_crossentropy,
        top_k,
        BINARY,
        {"fraction": 0.6},
        {"share": 0.6},
    ),
}


def _compare(ours, theirs, y_true, y_pred):
    upstream = RNG.normal(size=len(y_pred)).astype("float32")
    labels = of_torch(y_true)
    ours_of, theirs_of = (lambda p: ours(y_true, p)), (lambda p: theirs(labels, p))
    compare(ours_of, theirs_of, y_pred, upstream, atol=(1e-7, 1e-6))


@pytest.mark.parametrize("logits", [True, False])
@pytest.mark.parametrize("name", CASES)
def test_as_the_formula(name, logits):
    ours, theirs, y_true, own, other = CASES[name]
    _compare(
        lambda y, p: ours(y, p, from_logits=logits, **own),
        lambda y, p: theirs(y, p, logits, **other),
        y_true,
        X if logits else P,
    )


@pytest.mark.parametrize("share", [0.1, 0.4])
def test_top_k_pixels_as_the_formula(share):
    one_hot = np.eye(PIXELS.shape[-1], dtype="float32")[IDS]
    for function, y_true in (
        (losses.top_k_sparse_categorical_crossentropy, IDS),
        (losses.top_k_categorical_crossentropy, one_hot),
    ):
        _compare(
            lambda _, p, f=function, y=y_true: f(y, p, from_logits=True, fraction=share),
            lambda y, p: top_k_pixels(y, p, True, share),
            IDS,
            PIXELS,
        )
