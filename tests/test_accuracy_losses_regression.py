"""Losses of errors against the formulas in their docstrings, as in `test_accuracy_losses`."""

import functools
import math

import numpy as np
import pytest
from accuracy import (
    MODES,
    RUNS,
    by_dtype_and_mode,
    filled,
    grid,
    loss_test,
    measure,
    reals,
    representable,
    truth_of,
)
from keras import ops

from keras_actloss import losses

pytestmark = [pytest.mark.slow, pytest.mark.optimized]


def _one(target):
    return lambda x: np.full(len(x), target, "float32")


def some(dtype):
    """Every fourth of `reals`, of both signs."""
    return reals(dtype)[::4]


def positive(dtype):
    return grid(dtype)[::2]


def triples(dtype):
    """Rows of three numbers of any size whose squares have a finite sum."""
    x = grid(dtype, high=15 if dtype == "float16" else 60)
    x = np.concatenate([-x, x])[::6]
    return np.stack([x, np.roll(x, 30), np.roll(x, 70)], -1)


def depths(dtype):
    """Rows of four positive numbers, from a common factor to many orders of magnitude."""
    rng = np.random.default_rng(4)
    spread = 10.0 ** rng.uniform(-2, 0.5, (150, 1))
    factor = np.exp(rng.uniform(1, 3, (150, 1)))
    return representable(factor * np.exp(spread * rng.uniform(0, 1, (150, 4))), dtype)


def robust(alpha, scale=1.0, target=0.0):
    def countable(dtype):
        """Errors whose number of scales is a float."""
        x = some(dtype)
        return x[np.abs(np.float64(x)) < 3e38 * scale]

    return losses.general_robust, {"alpha": alpha, "scale": scale}, filled(target), countable


LEVELS = [0.001, 0.5, 0.9]

mape = losses.mean_absolute_percentage_error
msle = losses.mean_squared_logarithmic_error
silog = losses.scale_invariant_logarithmic_error
smape = losses.symmetric_mean_absolute_percentage_error

# name -> function, settings, targets for predictions, predictions of a dtype
LOSSES = {
    "mape": (mape, {}, filled(-3.0), some),
    "smape": (smape, {}, filled(1.0), some),
    "msle": (msle, {}, filled(1.0), some),
    "silog": (silog, {}, filled(1.0), positive),
    "silog, rows": (silog, {}, filled(1.0), depths),
    "log_cosh": (losses.log_cosh, {}, filled(0.0), some),
    "smooth_l1": (losses.smooth_l1, {}, filled(0.0), some),
    "charbonnier": (losses.charbonnier, {}, filled(0.0), some),
    "robust(-inf)": robust(-math.inf),
    "robust(0)": robust(0.0, 0.7, 1.0),
    "robust(1)": robust(1.0, 0.7),
    "robust(1.5)": robust(1.5),
    "wing": (losses.wing, {}, filled(0.0), some),
    "quantiles": (losses.quantile, {"quantiles": [0.001, 0.5, 0.9]}, _one(0.0), triples),
    "expectiles": (losses.expectile, {"expectiles": [0.001, 0.5, 0.9]}, _one(0.0), triples),
    "quantiles_huber": (
        losses.quantile_huber,
        {"quantiles": [0.001, 0.5, 0.9]},
        _one(0.0),
        triples,
    ),
}
# In float32 only, which 16 bit is computed in.
MORE = {
    "mape, y=0": (mape, {"epsilon": 0.7}, filled(0.0), some),
    "smape, y=0": (smape, {}, filled(0.0), some),
    "smape, far": (smape, {}, filled(-(2.0**100)), some),
    "smape, near": (smape, {}, filled(1.5 * 2.0**-100), some),
    "msle, y=0": (msle, {}, filled(0.0), some),
    "msle, y<0": (msle, {}, filled(-0.9375), some),
    "msle, y large": (msle, {}, filled(2.0**90), some),
    "silog, far": (silog, {"variance_focus": 0.85}, filled(2.0**-120), positive),
    "log_cosh, y=1": (losses.log_cosh, {}, filled(1.0), some),
    "smooth_l1(0.3)": (losses.smooth_l1, {"beta": 0.3}, filled(1.0), some),
    "smooth_l1(0)": (losses.smooth_l1, {"beta": 0.0}, filled(1.0), some),
    "smooth_l1(1e30)": (losses.smooth_l1, {"beta": 1e30}, filled(0.0), some),
    "charbonnier(1.3)": (losses.charbonnier, {"epsilon": 1.3}, filled(1.0), some),
    # From a target of 0: an exponent of 60 magnifies the rounding of any other difference.
    "robust(-inf), scale": robust(-math.inf, 0.3),
    "robust(-2)": robust(-2.0, 1.7),
    "robust(-1.3)": robust(-1.3),
    "robust(-1e-7)": robust(-1e-7, 0.01),
    "robust(1e-3)": robust(1e-3),
    "robust(0.1)": robust(0.1),
    "robust(1.9)": robust(1.9, 0.3, 1.0),
    "robust(2-1e-7)": robust(2 - 1e-7),
    "robust(2)": robust(2.0, 0.3),
    "robust(2+1e-3)": robust(2 + 1e-3),
    "robust(3)": robust(3.0),
    "wing(0.7)": (losses.wing, {"width": 0.7, "curvature": 3.0}, filled(1.0), some),
    "quantile(0.1)": (losses.quantile, {"quantiles": 0.1}, filled(1.0), some),
    "expectile(0.1)": (losses.expectile, {"expectiles": 0.1}, filled(1.0), some),
    "quantile_huber(0.1)": (
        losses.quantile_huber,
        {"quantiles": 0.1, "delta": 0.3},
        filled(1.0),
        some,
    ),
}

test_loss = loss_test(LOSSES)
test_more = loss_test(MORE, ["float32"])


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("alpha", [-4.0, -30.0])
def test_a_very_robust_loss(alpha, mode):
    """Its gradient falls with a power of the error, which magnifies the rounding of the error."""
    function, settings, labels, predictions = robust(alpha)
    y_pred = predictions("float32")[:, None]
    settings = settings | {"y_true": labels(y_pred)}
    truth = truth_of(function, y_pred, settings)
    call = functools.partial(function, **settings)
    off = measure(mode, lambda p: call(y_pred=p), y_pred, "float32", truth)
    assert off[0] <= 8 and off[1] <= -3 * alpha


@by_dtype_and_mode()
def test_cosine_similarity(dtype, mode):
    """To 4 units of a cosine of 1: it crosses 0 between vectors, and its gradient along them."""
    rng = np.random.default_rng(5)
    lengths = 2.0 ** rng.uniform(*((-10, 10) if dtype == "float16" else (-120, 120)), (100, 1))
    y_true = rng.normal(size=(100, 4)).astype("float32")
    turned = y_true + rng.normal(size=(100, 4)) * 10.0 ** rng.uniform(-4, 2, (100, 1))
    y_pred = representable(lengths * turned, dtype)
    settings = {"y_true": y_true}
    value, slope = truth_of(losses.cosine_similarity, y_pred, settings)
    run = RUNS[mode]
    got = run(lambda p: losses.cosine_similarity(y_true, p), ops.cast(y_pred, dtype))
    rounding = {"float32": 0, "bfloat16": 2.0**-8, "float16": 2.0**-11}[dtype]
    size = np.linalg.norm(np.float64(y_pred), axis=-1, keepdims=True)
    for computed, exact, scale in ((got[0], value, 1.0), (got[1], slope, 1 / size)):
        off = np.abs(computed - exact) - 1.02 * rounding * np.abs(exact)
        # What 16 bit and compilers flush to zero.
        assert np.all(off <= 4 * 2.0**-24 * scale + (2.0**-25 if dtype == "float16" else 2.0**-126))
