"""Likelihoods, divergences and scores beside independent implementations.

torch 2.13, optax 0.2.8 and SciPy, in float64 where they have it.
"""

import numpy as np
import optax
import pytest
import torch
from peers import compare, of_torch
from scipy import special, stats
from sklearn.metrics import mean_tweedie_deviance
from torch.nn import functional as F

from keras_actloss import losses
from keras_actloss.testing.backend import value_and_gradient

pytestmark = pytest.mark.slow

RNG = np.random.default_rng(0)
Y = RNG.normal(size=60).astype("float32") * 3
HEADS = RNG.normal(size=(60, 2)).astype("float32")
VARIANCES = np.abs(HEADS) + np.float32(0.1)
COUNTS = RNG.poisson(3.0, (30, 4)).astype("float32")
RATES = (RNG.gamma(2.0, size=(30, 4)) + 0.1).astype("float32")
P, Q = (RNG.dirichlet(np.ones(5), 40).astype("float32") for _ in range(2))
LOGITS = RNG.normal(size=P.shape).astype("float32") * 3


def _gaussian(y, p):
    return F.gaussian_nll_loss(p[..., 0], y, torch.exp(p[..., 1]), reduction="none", eps=0)


def _log_prob(distribution):
    def nll(y, p):
        return -distribution(p).log_prob(y)

    return nll


def _mixture_of(p, y, beta):
    m = beta * y + (1 - beta) * p
    kl = lambda a: (a * (torch.log(a) - torch.log(m))).sum(-1)  # noqa: E731
    return beta * kl(y) + (1 - beta) * kl(p)


# name -> our function, torch's of the same targets and predictions, targets, predictions
TORCH = {
    "beta_nll": (
        losses.beta_nll,
        lambda y, p: torch.exp(p[..., 1]).detach() ** 0.5 * _gaussian(y, p),
        Y,
        HEADS,
    ),
    "gaussian_kl": (
        losses.gaussian_kl,
        lambda y, p: torch.distributions.kl_divergence(
            torch.distributions.Normal(p[..., 0], torch.exp(p[..., 1] / 2)),
            torch.distributions.Normal(y, 1.0),
        ),
        Y,
        HEADS,
    ),
    "gaussian_nll": (losses.gaussian_nll, _gaussian, Y, HEADS),
    "gaussian_nll of variances, full": (
        lambda y, p: losses.gaussian_nll(y, p, from_log=False, full=True),
        lambda y, p: F.gaussian_nll_loss(
            p[..., 0], y, p[..., 1], reduction="none", eps=0, full=True
        ),
        Y,
        VARIANCES,
    ),
    "jensen_shannon": (
        lambda y, p: losses.jensen_shannon(y, p, beta=0.3),
        lambda y, p: _mixture_of(p, y, 0.3),
        P,
        Q,
    ),
    "jensen_shannon(1), the reverse divergence": (
        lambda y, p: losses.jensen_shannon(y, p, beta=1.0),
        lambda y, p: F.kl_div(torch.log(y), p, reduction="none").sum(-1),
        P,
        Q,
    ),
    "jensen_shannon of logits": (
        lambda y, p: losses.jensen_shannon(y, p, from_logits=True),
        lambda y, p: _mixture_of(torch.softmax(p, -1), y, 0.5),
        P,
        LOGITS,
    ),
    "kl_divergence": (
        losses.kl_divergence,
        lambda y, p: F.kl_div(torch.log(p), y, reduction="none").sum(-1),
        P,
        Q,
    ),
    "kl_divergence of logits": (
        lambda y, p: losses.kl_divergence(y, p, from_logits=True),
        lambda y, p: F.kl_div(torch.log_softmax(p, -1), y, reduction="none").sum(-1),
        P,
        LOGITS,
    ),
    "laplace_nll, full": (
        lambda y, p: losses.laplace_nll(y, p, full=True),
        _log_prob(lambda p: torch.distributions.Laplace(p[..., 0], torch.exp(p[..., 1]))),
        Y,
        HEADS,
    ),
    "poisson": (
        losses.poisson,
        lambda y, p: F.poisson_nll_loss(p, y, log_input=False, reduction="none", eps=0).mean(-1),
        COUNTS,
        RATES,
    ),
    "poisson of logarithms": (
        lambda y, p: losses.poisson(y, p, from_log=True),
        lambda y, p: F.poisson_nll_loss(p, y, reduction="none").mean(-1),
        COUNTS,
        np.log(RATES),
    ),
    "poisson, full": (
        lambda y, p: losses.poisson(y, p, full=True),
        lambda y, p: -torch.distributions.Poisson(p).log_prob(y).mean(-1),
        COUNTS,
        RATES,
    ),
}


@pytest.mark.parametrize("name", TORCH)
def test_beside_torch(name):
    ours, theirs, y_true, y_pred = TORCH[name]
    upstream = RNG.normal(size=len(y_true)).astype("float32")
    labels = of_torch(y_true)
    compare(lambda p: ours(y_true, p), lambda p: theirs(labels, p), y_pred, upstream)


# name -> our function, an independent one, targets, predictions
OTHERS = {
    "generalized_kl_divergence": (
        losses.generalized_kl_divergence,
        lambda y, p: special.kl_div(np.float64(y), np.float64(p)).sum(-1),
        COUNTS,
        RATES,
    ),
    "jensen_shannon, squared distance": (
        losses.jensen_shannon,
        lambda y, p: [
            stats.entropy(a, (a + b) / 2) / 2 + stats.entropy(b, (a + b) / 2) / 2
            for a, b in zip(np.float64(y), np.float64(p), strict=True)
        ],
        P,
        Q,
    ),
    "kl_divergence": (
        losses.kl_divergence,
        lambda y, p: optax.losses.kl_divergence(np.log(p), y),
        P,
        Q,
    ),
    # Half of the deviance, but for what depends on the targets alone.
    "tweedie": (
        lambda y, p: losses.tweedie(y, p, power=1.3, from_log=False),
        lambda y, p: [
            mean_tweedie_deviance(a, b, power=1.3) / 2 - np.mean(a**0.7 / (-0.3 * 0.7))
            for a, b in zip(np.float64(y), np.float64(p), strict=True)
        ],
        COUNTS,
        RATES,
    ),
}


@pytest.mark.parametrize("name", OTHERS)
def test_beside_others(name):
    ours, theirs, y_true, y_pred = OTHERS[name]
    value, _ = value_and_gradient(lambda p: ours(y_true, p), y_pred)
    np.testing.assert_allclose(value, theirs(y_true, y_pred), 2e-5, 2e-6)


# What packages give that are not installed here: properscoring 0.1 and scoringrules 0.10.0 of a
# Gaussian, which agree and take the deviation; the first of an ensemble, the second of a fair one;
# hl-gauss-pytorch 0.3.0, which is the code in the appendix of Farebrother et al., with
# `sigma_to_bin_ratio=0.75`; the labels of rlax 0.1.9, in float32 and with 1e-5 in a denominator.
NUMBERS = [-3.2, -0.75, 0.1, 1.0]
BINS = np.cos(3 * np.arange(32)).reshape(4, 8)
ENSEMBLE = np.cos(5 * np.arange(12)).reshape(2, 6)
RECORDED = {
    "crps_gaussian": (
        lambda p: losses.crps_gaussian([0.0, 1.5, -2.0, 0.3], p),
        [[0.5, -1.0], [0.0, 0.0], [1.0, 1.5], [0.2, -3.0]],
        [0.29746353, 0.994424, 1.95510873, 0.06973039],
        2e-6,
    ),
    "crps_ensemble": (
        lambda p: losses.crps_ensemble([0.0, 1.5], p),
        ENSEMBLE,
        [0.30882748, 1.12143301],
        2e-6,
    ),
    "crps_ensemble, fair": (
        lambda p: losses.crps_ensemble([0.0, 1.5], p, fair=True),
        ENSEMBLE,
        [0.22786943, 1.04892081],
        2e-6,
    ),
    "hl_gauss": (
        lambda p: losses.hl_gauss(NUMBERS, p, low=-2.0, high=2.0),
        BINS,
        [1.78276365, 2.18156551, 2.50791173, 2.25918129],
        2e-6,
    ),
    "two_hot": (
        lambda p: losses.two_hot(NUMBERS, p, low=-2.0, high=2.0),
        BINS,
        [1.4345658, 2.0716486, 2.8063993, 1.9649603],
        2e-5,
    ),
}


@pytest.mark.parametrize("name", RECORDED)
def test_as_recorded(name):
    ours, y_pred, expected, rtol = RECORDED[name]
    value, _ = value_and_gradient(ours, np.float32(y_pred))
    np.testing.assert_allclose(value, expected, rtol)


def test_gradient_of_crps_gaussian_as_recorded():
    """properscoring's is by the deviation: half of it, times the deviation, is by the logarithm."""
    ours, y_pred, *_ = RECORDED["crps_gaussian"]
    _, gradient = value_and_gradient(ours, np.float32(y_pred))
    by_mean = [0.59026533, -0.8663856, 0.84354621, -0.3459687]
    by_log_variance = [0.00116543, -0.1525772, -0.28776495, 0.01756676]
    np.testing.assert_allclose(gradient, np.transpose([by_mean, by_log_variance]), 2e-5)
