"""Losses of boxes beside PyTorch in float64, and beside numbers recorded from other packages.

torch 2.13. The numbers are those of torchvision 0.29.1, `*_box_iou_loss(pred, true)` in float64.
"""

import numpy as np
import pytest
import torch
from peers import compare, of_torch
from torch.nn import functional as F

from keras_actloss import losses
from keras_actloss.testing.backend import value_and_gradient

pytestmark = pytest.mark.slow

TRUE = np.float32([[0, 0, 2, 2], [0, 0, 2, 2], [0, 0, 4, 2], [1, 1, 3, 2], [0, 0, 8, 8]])
PRED = np.float32([[1, 0, 3, 2], [3, 0, 4, 2], [0.5, -0.5, 3, 3], [1, 1, 3, 2], [2, 3, 4, 5]])
# function -> values and gradients; they add 1e-7 to each divisor.
TORCHVISION = {
    losses.giou: (
        [0.66666667, 1.25, 0.73518237, 5e-08, 0.9375],
        [
            [0.3333333, 0, 0.1111111, 0],
            [0.25, -0.0625, -0.0625, 0.0625],
            [0.2230324, -0.1517632, -0.2230324, 0.1517632],
            [0, 0, 0, 0],
            [0.03125, 0.03125, -0.03125, -0.03125],
        ],
    ),
    losses.diou: (
        [0.74358975, 1.3125, 0.57889287, 5e-08, 0.9453125],
        [
            [0.4102564, 0.0118343, 0.1525312, -0.0118343],
            [0.125, 0.03125, 0, -0.03125],
            [0.10704, -0.0805927, -0.1247391, 0.0982919],
            [0, 0, 0, 0],
            [0.0234375, 0.03125, -0.0390625, -0.03125],
        ],
    ),
    losses.ciou: (
        [0.74358975, 1.31418946, 0.59266008, 5e-08, 0.9453125],
        [
            [0.4102564, 0.0118343, 0.1525312, -0.0118343],
            [0.1292007, 0.0291497, -0.0042007, -0.0291497],
            [0.1177387, -0.0882347, -0.1354379, 0.1059338],
            [0, 0, 0, 0],
            [0.0234375, 0.03125, -0.0390625, -0.03125],
        ],
    ),
}


@pytest.mark.parametrize("function", TORCHVISION)
def test_as_torchvision(function):
    got = value_and_gradient(lambda p: function(TRUE, p), PRED)
    for ours, theirs in zip(got, TORCHVISION[function], strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-6)


def _plain(true, pred, kind):
    """Zheng et al. and Rezatofighi et al., equation by equation."""
    size, true_size = pred[:, 2:] - pred[:, :2], true[:, 2:] - true[:, :2]
    low, true_low, high, true_high = pred[:, :2], true[:, :2], pred[:, 2:], true[:, 2:]
    inner = (torch.minimum(high, true_high) - torch.maximum(low, true_low)).clamp(min=0).prod(-1)
    outer = torch.maximum(high, true_high) - torch.minimum(low, true_low)
    union = size.prod(-1) + true_size.prod(-1) - inner
    loss = 1 - inner / union
    if kind == "giou":
        return loss + (outer.prod(-1) - union) / outer.prod(-1)
    if kind in ("diou", "ciou"):
        shift = (low + high - true_low - true_high) / 2
        distance = (shift**2).sum(-1) / (outer**2).sum(-1)
    if kind == "diou":
        return loss + distance
    if kind == "ciou":
        angles = [torch.atan(v[:, 0] / v[:, 1]) for v in (size, true_size)]
        v = 4 / torch.pi**2 * (angles[1] - angles[0]) ** 2
        alpha = (v / (loss + v)).detach()
        return loss + distance + alpha * v
    return loss


def _boxes(seed):
    rng = np.random.default_rng(seed)
    low = rng.normal(size=(200, 2)) * 3
    return np.concatenate([low, low + rng.gamma(2, size=(200, 2))], -1).astype("float32")


@pytest.mark.parametrize("kind", ["iou", "giou", "diou", "ciou"])
def test_as_the_papers(kind):
    true, pred, upstream = _boxes(0), _boxes(1), np.random.default_rng(2).normal(size=200)
    compare(
        lambda p: getattr(losses, kind)(true, p),
        lambda p: _plain(of_torch(true), p, kind),
        pred,
        upstream.astype("float32"),
        atol=(1e-6, 1e-6),
    )


def test_distribution_focal_as_mmdetection():
    """mmdetection 3.3: two cross-entropies, of the bins left and right of the target."""
    rng = np.random.default_rng(0)
    target = rng.uniform(0, 14.9, 50).astype("float32")
    logits = (rng.normal(size=(50, 16)) * 4).astype("float32")

    def theirs(x):
        place = of_torch(target)
        left = place.long()
        return sum(
            F.cross_entropy(x, bin_, reduction="none") * (1 - (place - bin_).abs())
            for bin_ in (left, left + 1)
        )

    ours = losses.distribution_focal
    compare(lambda x: ours(target, x), theirs, logits, np.ones(50, "float32"))
