"""Losses of sequences beside PyTorch and optax, and beside what TensorFlow Addons computes.

torch 2.13, optax 0.2.8. `SequenceLoss` is written out from TensorFlow Addons 0.23.
"""

import importlib

import numpy as np
import pytest
import torch
from peers import compare, of_torch
from torch.nn import functional as F

from keras_actloss import losses
from keras_actloss.testing.backend import array

pytestmark = pytest.mark.slow

RNG = np.random.default_rng(0)
X = RNG.normal(size=(5, 12, 6)).astype("float32") * 3
LABELS = RNG.integers(1, 6, (5, 4))
LABELS[:, 1] = LABELS[:, 0]
LENGTH, FRAMES = np.array([4, 3, 2, 1, 0]), np.array([12, 10, 12, 8, 3])
UPSTREAM = RNG.normal(size=5).astype("float32")


@pytest.mark.parametrize("blank", [0, 5])
def test_ctc_as_torch(blank):
    labels = np.where(LABELS == 5, 4, LABELS)

    def theirs(x):
        log_p = torch.log_softmax(x, -1).transpose(0, 1)
        lengths = of_torch(FRAMES), of_torch(LENGTH)
        return F.ctc_loss(log_p, of_torch(labels), *lengths, blank=blank, reduction="none")

    compare(
        lambda x: losses.ctc(
            labels, x, from_logits=True, blank=blank, label_length=LENGTH, input_length=FRAMES
        ),
        theirs,
        X,
        UPSTREAM,
    )


def test_ctc_as_optax():
    optax = importlib.import_module("optax")
    paddings = [np.float32(np.arange(n) >= k[:, None]) for n, k in ((12, FRAMES), (4, LENGTH))]
    theirs = optax.ctc_loss(X, paddings[0], LABELS, paddings[1])
    labels = np.where(paddings[1] == 1, -1, LABELS)
    ours = losses.ctc(labels, X, from_logits=True, mask=paddings[0] == 0)
    np.testing.assert_allclose(array(ours), np.array(theirs), rtol=2e-5)


IDS = RNG.integers(0, 6, (5, 12))
WEIGHTS = np.float32(np.arange(12) < np.array([12, 7, 1, 12, 3])[:, None])


def addons(ids, x, weights, across_timesteps, across_batch):
    """`SequenceLoss`, as its `average_across_...` say; minus the divisors' 1e-12."""
    entries = F.cross_entropy(x.transpose(1, 2), of_torch(ids), reduction="none")
    weights = of_torch(weights)
    entries = entries * weights
    if across_timesteps and across_batch:
        return entries.sum() / weights.sum()
    axis = 1 if across_timesteps else 0
    return entries.sum(axis) / weights.sum(axis)


def test_sequences_as_addons():
    compare(
        lambda x: losses.sequence_crossentropy(IDS, x, from_logits=True, mask=WEIGHTS),
        lambda x: addons(IDS, x, WEIGHTS, True, False),
        X,
        UPSTREAM,
    )
    loss = losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=-1)
    expected = addons(IDS, of_torch(X), WEIGHTS, True, True)
    got = loss(np.where(WEIGHTS == 1, IDS, -1), X)
    assert float(got) == pytest.approx(float(expected), rel=1e-6)


def test_sums_as_torch():
    compare(
        lambda x: losses.sequence_crossentropy(
            IDS, x, from_logits=True, average_across_timesteps=False
        ),
        lambda x: F.cross_entropy(x.transpose(1, 2), of_torch(IDS), reduction="none").sum(1),
        X,
        UPSTREAM,
    )
