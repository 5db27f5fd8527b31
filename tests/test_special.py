"""Special functions against mpmath over the range of float32, value and gradient.

8 ULP of the exact result, or of the largest term where one says which terms cancel.
"""

import numpy as np
import pytest
from accuracy import MODES, RUNS, grid
from mpmath import mp, mpf

from keras_actloss.core import special
from keras_actloss.testing import oracle

pytestmark = [pytest.mark.slow, pytest.mark.optimized]

_NEAR = 2.0 ** -np.arange(1.0, 24)
_POSITIVE = np.concatenate([grid("float32"), 1 - _NEAR, 1 + _NEAR, 2 - _NEAR, 2 + _NEAR])
_POSITIVE = _POSITIVE.astype("float32")
_REALS = np.concatenate([-_POSITIVE, _POSITIVE[_POSITIVE < 88]])


def _binet(x):
    return mp.loggamma(x) - (x - mpf(0.5)) * mp.log(x) + x - mp.log(2 * mp.pi) / 2


# name -> function, the exact one, its derivative or None, inputs, and a term that cancels in the
# value and one in the derivative, or 0
CASES = {
    "binet, beside 1": (special.binet, _binet, None, _POSITIVE, lambda x: 1, None),
    "digamma": (
        special.digamma, mp.digamma, None, _POSITIVE, lambda x: mp.log(x), None),
    "expm1_excess": (
        special.expm1_excess, lambda x: mp.expm1(x) - x, mp.expm1, _REALS, None, None),
    "lgamma": (
        special.lgamma, mp.loggamma, mp.digamma, _POSITIVE, None, lambda x: mp.log(x)),
    "log_minus_digamma": (
        special.log_minus_digamma, lambda x: mp.log(x) - mp.digamma(x), None, _POSITIVE, None,
        None),
}  # fmt: skip


def _off(got, exact, x, term):
    worst = 0.0
    with mp.workdps(60):
        for computed, at in zip(got, x, strict=True):
            truth = exact(mpf(float(at)))
            if abs(truth) > oracle.LARGEST["float32"]:
                continue
            size = max(abs(truth), abs(term(mpf(float(at)))) if term else 0)
            unit = oracle.ulp(max(float(size), oracle.EDGE["float32"]), "float32")
            worst = max(worst, float(abs(mpf(float(computed)) - truth)) / unit)
    return worst


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", CASES)
def test_special_function(name, mode):
    function, exact, slope, x, term, slope_term = CASES[name]
    run = RUNS[mode]
    value, gradient = run(function, x)
    assert np.all(np.isfinite(value) | (np.abs(x) > 1e36))
    assert _off(value, exact, x, term) <= 8
    if slope is not None:
        assert _off(gradient, slope, x, slope_term) <= 8


def _ratios():
    """Pairs of positive numbers, near each other and not."""
    rng = np.random.default_rng(0)
    b = 2.0 ** rng.uniform(-90, 90, 900)
    factor = np.where(
        rng.random(900) < 0.5,
        2.0 ** rng.uniform(-3, 3, 900),
        1 + rng.choice([-1, 1], 900) * 2.0 ** rng.uniform(-23, 0, 900),
    )
    a = np.where(rng.random(900) < 0.2, 2.0 ** rng.uniform(-90, 90, 900), b * factor)
    return np.stack([a, b], -1).astype("float32")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "name, exact",
    [
        ("log_ratio", lambda a, b: mp.log(a / b)),
        ("relative_entropy", lambda a, b: a * mp.log(a / b) - a + b),
    ],
)
def test_of_two_numbers(name, exact, mode):
    pairs = _ratios()
    run = RUNS[mode]
    value, _ = run(lambda p: getattr(special, name)(p[:, 0], p[:, 1]), pairs)
    assert np.all(value >= 0) or name == "log_ratio"
    with mp.workdps(60):
        truth = np.array([float(exact(*map(mpf, pair.tolist()))) for pair in pairs])
    assert oracle.errors(value, truth, "float32").max() <= 8


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("exponent", [-0.8, -0.5, 0.2, 0.7])
def test_power_factors(exponent, mode):
    x = grid("float32")
    run = RUNS[mode]

    def power(x):
        a, b = special.power_factors(x, exponent)
        return a * b

    value, _ = run(power, x)
    with mp.workdps(60):
        truth = np.array([float(mpf(float(v)) ** mpf(exponent)) for v in x])
    assert oracle.errors(value, truth, "float32").max() <= 8
