"""Losses of errors beside PyTorch, optax, scipy, scikit-learn and Keras, values and gradients.

torch 2.13, optax 0.2.8, scipy and scikit-learn in float64. Where a convention differs, the row says
how.
"""

import keras
import numpy as np
import optax
import pytest
import torch
from peers import compare, of_torch
from scipy import special, stats
from sklearn import metrics
from torch.nn import functional as F

from keras_actloss import losses
from keras_actloss.testing.backend import value_and_gradient

pytestmark = pytest.mark.slow

RNG = np.random.default_rng(0)
Y = RNG.normal(size=(40, 5)).astype("float32")
P = (RNG.normal(size=(40, 5)) * 3).astype("float32")
POSITIVE = np.exp(Y), np.exp(P / 2)
LEVELS = [0.05, 0.25, 0.5, 0.75, 0.95]
UPSTREAM = RNG.normal(size=40).astype("float32")


def _robust(alpha, scale):
    """Barron's loss as a Box-Cox transform of the scaled square."""

    def reference(y, p):
        z, b = ((p - y) / scale) ** 2, abs(alpha - 2)
        return (b / alpha * ((z / b + 1) ** (alpha / 2) - 1)).mean(-1)

    return (
        lambda y, p: losses.general_robust(y, p, alpha=alpha, scale=scale),
        reference,
    )


def _wing(y, p, width, curvature):
    """As in the paper, two pieces."""
    error = (p - y).abs()
    offset = width - width * np.log(1 + width / curvature)
    inside = width * torch.log(1 + error / curvature)
    return torch.where(error < width, inside, error - offset).mean(-1)


def _quantile_huber(y, p):
    """QR-DQN's, whose sum over the quantiles is 5 times their mean; its kappa is our delta."""
    u = y[:, None] - p
    weight = (of_torch(LEVELS) - (u < 0).double()).abs()
    return (weight * F.huber_loss(p, y[:, None].expand_as(p), reduction="none", delta=1.5)).sum(
        -1
    ) / (5 * 1.5)


# name -> our function, the same in torch, targets and predictions
TORCH = {
    "smooth_l1": (
        lambda y, p: losses.smooth_l1(y, p, beta=0.7),
        lambda y, p: F.smooth_l1_loss(p, y, reduction="none", beta=0.7).mean(-1),
        (Y, P),
    ),
    "smooth_l1(0)": (
        lambda y, p: losses.smooth_l1(y, p, beta=0.0),
        lambda y, p: F.smooth_l1_loss(p, y, reduction="none", beta=0.0).mean(-1),
        (Y, P),
    ),
    # torch has the cosine itself.
    "cosine_similarity": (
        losses.cosine_similarity,
        lambda y, p: -F.cosine_similarity(y, p, dim=-1),
        (Y, P),
    ),
    "log_cosh": (losses.log_cosh, lambda y, p: (p - y).cosh().log().mean(-1), (Y, P)),
    "charbonnier": (
        lambda y, p: losses.charbonnier(y, p, epsilon=0.1),
        lambda y, p: ((p - y) ** 2 + 0.1**2).sqrt().mean(-1),
        (Y, P),
    ),
    "robust(0.3)": (*_robust(0.3, 2.0), (Y, P)),
    "robust(-1.5)": (*_robust(-1.5, 0.5), (Y, P)),
    "robust(-100)": (*_robust(-100.0, 2.0), (Y, P)),
    "robust(1.8)": (*_robust(1.8, 1.0), (Y, P)),
    "wing": (
        lambda y, p: losses.wing(y, p, width=3.0, curvature=0.5),
        lambda y, p: _wing(y, p, 3.0, 0.5),
        (Y, P),
    ),
    "quantile_huber": (
        lambda y, p: losses.quantile_huber(y, p, LEVELS, delta=1.5),
        _quantile_huber,
        (Y[:, 0], P),
    ),
    "msle": (
        losses.mean_squared_logarithmic_error,
        lambda y, p: ((1 + p).log() - (1 + y).log()).square().mean(-1),
        POSITIVE,
    ),
    # BTS multiplies by 10.
    "silog": (
        lambda y, p: 10 * losses.scale_invariant_logarithmic_error(y, p, variance_focus=0.85),
        lambda y, p: (
            10
            * (
                (p.log() - y.log()).square().mean(-1) - 0.85 * (p.log() - y.log()).mean(-1) ** 2
            ).sqrt()
        ),
        POSITIVE,
    ),
    "smape": (
        losses.symmetric_mean_absolute_percentage_error,
        lambda y, p: 200 * ((p - y).abs() / (y.abs() + p.abs())).mean(-1),
        POSITIVE,
    ),
    "mape": (
        losses.mean_absolute_percentage_error,
        lambda y, p: 100 * ((p - y).abs() / y.abs()).mean(-1),
        (Y, P),
    ),
}


@pytest.mark.parametrize("name", TORCH)
def test_beside_torch(name):
    ours, theirs, (y_true, y_pred) = TORCH[name]
    labels = of_torch(y_true)
    compare(lambda p: ours(y_true, p), lambda p: theirs(labels, p), y_pred, UPSTREAM)


def _each(metric, **settings):
    return lambda y, p: [metric(y[i], p[i], **settings) for i in range(len(y))]


def _boxcox(y, p):
    return np.mean(1.7 / 2 * special.boxcox1p((p - y) ** 2 / 1.7, 0.3 / 2), -1)


# name -> our function, a value a row of float64, targets and predictions
VALUES = {
    "mape, sklearn": (
        losses.mean_absolute_percentage_error,
        lambda y, p: 100 * np.array(_each(metrics.mean_absolute_percentage_error)(y, p)),
        (Y, P),
    ),
    "msle, sklearn": (
        losses.mean_squared_logarithmic_error,
        _each(metrics.mean_squared_log_error),
        POSITIVE,
    ),
    "quantile, sklearn": (
        lambda y, p: losses.quantile(y, p, quantiles=0.2),
        _each(metrics.mean_pinball_loss, alpha=0.2),
        (Y, P),
    ),
    # scipy's is delta**2 times the loss in scales.
    "general_robust(1), scipy": (
        lambda y, p: losses.general_robust(y, p, scale=0.7),
        lambda y, p: np.mean(special.pseudo_huber(0.7, p - y) / 0.7**2, -1),
        (Y, P),
    ),
    "general_robust(0.3), scipy": (
        lambda y, p: losses.general_robust(y, p, alpha=0.3),
        _boxcox,
        (Y, P),
    ),
    "log_cosh, optax": (
        losses.log_cosh,
        lambda y, p: np.mean(optax.losses.log_cosh(p.astype("float32"), y.astype("float32")), -1),
        (Y, P),
    ),
    "mean_squared_error, optax": (
        lambda y, p: losses.mean_squared_error(y, p) / 2,
        lambda y, p: np.mean(optax.losses.l2_loss(p, y), -1),
        (Y, P),
    ),
    "cosine distance, optax": (
        lambda y, p: 1 + losses.cosine_similarity(y, p),
        lambda y, p: np.asarray(optax.losses.cosine_distance(p, y)),
        (Y, P),
    ),
    "cosine_similarity, optax": (
        losses.cosine_similarity,
        lambda y, p: -np.asarray(optax.losses.cosine_similarity(p, y)),
        (Y, P),
    ),
}


@pytest.mark.parametrize("name", VALUES)
def test_beside_others(name):
    ours, theirs, (y_true, y_pred) = VALUES[name]
    got = keras.ops.convert_to_numpy(ours(y_true, y_pred))
    expected = theirs(np.float64(y_true), np.float64(y_pred))
    np.testing.assert_allclose(got, expected, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize(
    "name",
    [
        "mean_absolute_percentage_error",
        "mean_squared_logarithmic_error",
        "cosine_similarity",
        "log_cosh",
    ],
)
def test_beside_keras(name):
    """On inputs where Keras neither clips nor cancels."""
    got, expected = (
        keras.ops.convert_to_numpy(getattr(package, name)(*POSITIVE))
        for package in (losses, keras.losses)
    )
    np.testing.assert_allclose(got, expected, rtol=2e-5)


@pytest.mark.parametrize("level", [0.1, 0.5, 0.8])
def test_the_best_constant_is_the_expectile_of_scipy(level):
    sample = Y.reshape(-1, 1)
    best = np.full_like(sample, stats.expectile(np.float64(sample[:, 0]), level))
    _, gradient = value_and_gradient(lambda p: losses.expectile(sample, p, expectiles=level), best)
    assert np.abs(gradient).sum() > 1 and abs(gradient.sum()) < 1e-3


# kornia 0.9.0, which is not installed, gives these means in float64.
OF_KORNIA = {
    1.0: 0.6779015464231847,
    0.0: 0.622437847935589,
    -2.0: 0.5831762868714633,
    -np.inf: 0.5298839870991748,
}


@pytest.mark.parametrize("alpha", OF_KORNIA)
def test_general_robust_as_in_kornia(alpha):
    """Charbonnier's, Cauchy's, Geman and McClure's and Welsch's loss."""
    x = 2 * np.cos(3 * np.arange(12, dtype="float32")).reshape(4, 3)
    got = keras.ops.convert_to_numpy(losses.general_robust(0 * x, x, alpha=alpha)).mean()
    np.testing.assert_allclose(got, OF_KORNIA[alpha], rtol=1e-6)
