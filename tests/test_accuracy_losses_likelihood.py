"""Likelihoods, divergences and scores against the formulas in their docstrings.

As in `test_accuracy_losses.py`, with one more rule, for these results cross zero: where the terms
that a formula sums cancel, the error is told in units in the last place of the largest term, in
float32. The derivative is held to the derivatives of the same terms.
"""

import functools

import numpy as np
import pytest
from accuracy import (
    RUNS,
    arguments_of,
    by_dtype_and_mode,
    derivative,
    evaluate,
    grid,
    probability_rows,
    representable,
    rows,
    truth_of,
)
from keras import ops

from keras_actloss import losses
from keras_actloss.testing import oracle

pytestmark = [pytest.mark.slow, pytest.mark.optimized]


def _heads(dtype, log_scales=1, log_variance=True):
    """A location and logarithms of scales a row, from everywhere."""
    rng = np.random.default_rng(3)
    location = rng.normal(size=60) * 2.0 ** rng.uniform(-10, 6, 60)
    scales = rng.uniform(-1, 1, (60, log_scales)) * rng.choice([0.1, 4, 20, 84], (60, 1))
    rows = np.concatenate([location[:, None], scales * (2 if log_variance else 1)], -1)
    return representable(rows, dtype)


def _near(rows, log_variance=True):
    """A target for each row of `_heads`, near by its scale and not."""
    rng = np.random.default_rng(4)
    scale = np.exp(np.clip(rows[:, 1] / (2 if log_variance else 1), -60, 60))
    error = rng.normal(size=len(rows)) * 10.0 ** rng.choice([-3, 0, 0, 0, 3], len(rows))
    return (rows[:, 0] + scale * error).astype("float32")


def _positive(dtype):
    return grid(dtype)[::10]


def _logarithms(dtype):
    rng = np.random.default_rng(5)
    x = np.concatenate([rng.uniform(-1, 1, 100) * s for s in (1, 8, 80)])
    return representable(np.concatenate([x, 2.0 ** -np.arange(1.0, 20)]), dtype)


def _variances(dtype):
    rng = np.random.default_rng(6)
    rows = np.stack([rng.normal(size=60), 2.0 ** rng.uniform(-12, 14, 60)], -1)
    return representable(rows, dtype)


def _wide_heads(dtype):
    """As `_heads`, with logarithms that are those of scales."""
    rows = _heads(dtype)
    rows[:, 1] /= 2
    return representable(rows, dtype)


def _mixtures(dtype):
    """Logits, means and logarithms of the deviations of two components."""
    rng = np.random.default_rng(11)
    parts = [rng.normal(size=(50, 2)) * 2.0 ** rng.uniform(-6, 4, (50, 1)) for _ in range(3)]
    return representable(np.concatenate([parts[0], parts[1], parts[2] / 2], -1), dtype)


def _among(rows):
    rng = np.random.default_rng(12)
    error = (
        rng.normal(size=len(rows)) * np.exp(rows[:, 4]) * 10.0 ** rng.choice([-1, 0, 1], len(rows))
    )
    return (rows[:, 2] + error).astype("float32")


def _shapes(dtype):
    """Logarithms of means and shapes."""
    rng = np.random.default_rng(13)
    scale = rng.choice([0.1, 3, 20], (50, 1))
    return representable(rng.uniform(-1, 1, (50, 2)) * scale, dtype)


def _near_amounts(rows):
    rng = np.random.default_rng(14)
    spread = np.minimum(np.exp(-rows[:, 1] / 2), 3) * rng.choice([0.1, 1, 3], len(rows))
    return np.exp(rows[:, 0] + rng.normal(size=len(rows)) * spread).astype("float32")


def _dispersions(dtype):
    rng = np.random.default_rng(15)
    rows = np.stack([rng.uniform(-5, 9, 50), rng.uniform(-8, 16, 50)], -1)
    return representable(rows, dtype)


def _near_counts(rows):
    rng = np.random.default_rng(16)
    mean = np.exp(np.float64(rows[:, 0]))
    return np.float32(rng.poisson(mean * rng.gamma(2.0, 0.5, len(rows)) * rng.choice([0, 1, 1, 3])))


def _in_bins(rows):
    # Few enough digits for their distances from the edges to be exact.
    return np.float32(np.random.default_rng(17).integers(-512, 4608, len(rows)) / 1024)


def _counts(x):
    return (
        np.random.default_rng(7).choice([0.0, 1.0, 2.0, 7.5, 40.0, 3e4], x.shape).astype("float32")
    )


def _close_counts(x):
    """Counts near their logarithm of a rate."""
    rng = np.random.default_rng(8)
    return np.maximum(np.round(np.exp(np.clip(x, -3, 12)) * (1 + rng.normal(size=x.shape) / 8)), 0)


def _soft(rows, logits=False):
    """Distributions near those of rows and far from them, some with zeros."""
    rng = np.random.default_rng(9)
    logits = np.float64(rows) if logits else np.log(np.maximum(np.float64(rows), 1e-30))
    logits = logits + rng.normal(size=rows.shape) * 10.0 ** rng.choice(
        [-3, -1, 0, 1], (len(rows), 1)
    )
    e = np.exp(np.maximum(logits - logits.max(-1, keepdims=True), -60))
    e *= rng.random(rows.shape) < 0.9
    e[:, 0] += 1e-6
    return (e / e.sum(-1, keepdims=True)).astype("float32")


def _middle(rows):
    """A target somewhere among and outside of the numbers of each row."""
    rng = np.random.default_rng(10)
    low, high = rows.min(-1), rows.max(-1)
    return (low + (high - low) * rng.uniform(-0.2, 1.2, len(rows))).astype("float32")


def _scores(dtype):
    return rows(dtype)[::9]


def _distributions(dtype):
    return probability_rows(dtype)[::9]


def _each(term):
    """A term for each class of four."""
    return tuple(term.replace("[i]", f"[..., {i}]") for i in range(4))


_KL_TERMS = _each("xlogy(y_true[i], y_true[i]) - xlogy(y_true[i], q[i])")
_KL_LOGIT_TERMS = _each("xlogy(y_true[i], y_true[i])") + _each("xlogy(y_true[i], q[i])")
_JS_LOGIT_TERMS = _each("beta * (xlogy(y_true[i], y_true[i]) - xlogy(y_true[i], m[i]))") + _each(
    "(1 - beta) * (xlogy(q[i], q[i]) - xlogy(q[i], m[i]))"
)
# The second of these has a derivative alone.
_REVERSE_TERMS = (
    *_each("xlogy(q[i], q[i]) - xlogy(q[i], maximum(y_true[i], 2**-126))"),
    "sum(q - stop_gradient(q), axis=-1)",
)
_REVERSE_LOGIT_TERMS = (
    *_each("xlogy(q[i], q[i])"),
    *_each("xlogy(q[i], maximum(y_true[i], 2**-126))"),
    "sum(q - stop_gradient(q), axis=-1)",
)
_STUDENT_TERMS = ("log(scale)", "(df + 1) / 2 * log1p(z**2 / df)")
# What is left of the large logarithms of the gamma function (Stirling) and of the others.
_GAMMA_TERMS = (
    "shape * (y_true / mean - 1 - log(y_true / mean))",
    "shape * (1 - y_true / mean)",
    "log(shape) / 2",
)
_COUNT_TERMS = (
    "xlogy(y_true, y_true * both / (mean * (y_true + total_count)))",
    "total_count * log(both / (total_count + y_true))",
    "log(gamma(total_count)) - (total_count - 1) * log(total_count) + total_count",
)
_BIN_TERMS = _each("share[i] * log(p[i] / sum(p, axis=-1))")
# The last two have a derivative alone. Their factor is what an exponential makes of the rounding of
# its exponent, here the difference of two: 11 units in the last place of one were measured.
_EXPONENT = "stop_gradient(2 * (1 + max(z**2 / 2 + abs(log(scales)) + abs(logits), axis=-1)))"
_OF_SCALES = "log(sum(weights / scales * stop_gradient(exp(-z**2 / 2)), axis=-1))"
_MIXTURE_TERMS = (
    "log(sum(exp(logits), axis=-1))",
    "log(sum(exp(logits) * densities, axis=-1))",
    f"{_EXPONENT} * (loss - stop_gradient(loss))",
    f"{_EXPONENT} * ({_OF_SCALES} - stop_gradient({_OF_SCALES}))",
)
_GAUSSIAN_TERMS = ("log(variance) / 2", "(y_true - mean) ** 2 / variance / 2")
_RATE_TERMS = ("rate", "xlogy(y_true, rate)")
_EXCESS_TERMS = ("rate - y_true",)
_TWEEDIE_TERMS = ("mean_value ** (2 - power) / (2 - power)", "events")

# name -> function, its settings, targets for predictions, predictions of a dtype, and the terms
# that cancel in its formula
CASES = {
    "beta_nll": (losses.beta_nll, {}, _near, _heads, tuple(
        f"stop_gradient(variance**beta) * {term}" for term in _GAUSSIAN_TERMS)),
    "beta_nll(0.8)": (losses.beta_nll, {"beta": 0.8}, _near, _heads, tuple(
        f"stop_gradient(variance**beta) * {term}" for term in _GAUSSIAN_TERMS)),
    "crps_ensemble": (losses.crps_ensemble, {}, _middle, _scores, ()),
    "crps_ensemble, fair": (losses.crps_ensemble, {"fair": True}, _middle, _scores, ()),
    "crps_gaussian": (
        losses.crps_gaussian, {}, _near, _heads,
        ("(y_true - mean) * erf(z / sqrt(2))", "deviation / sqrt(pi)")),
    "gamma_nll": (losses.gamma_nll, {}, _near_amounts, _shapes, _GAMMA_TERMS),
    "gamma_nll, full": (
        losses.gamma_nll, {"full": True}, _near_amounts, _shapes, (*_GAMMA_TERMS, "log(y_true)")),
    "gaussian_kl": (losses.gaussian_kl, {}, lambda x: _near(x) * 0.5, _heads, ()),
    "generalized_kl_divergence": (
        losses.generalized_kl_divergence, {}, _counts, _positive, ("y_pred - y_true",)),
    # Bins of width 1, for which the place of a target among them is exact.
    "hl_gauss": (
        losses.hl_gauss, {"low": 0.0, "high": 4.0, "sigma_ratio": 0.5}, _in_bins, _scores,
        _BIN_TERMS),
    "jensen_shannon": (losses.jensen_shannon, {}, _soft, _distributions, ()),
    "jensen_shannon(0.9)": (losses.jensen_shannon, {"beta": 0.9}, _soft, _distributions, ()),
    "jensen_shannon of logits": (
        losses.jensen_shannon, {"beta": 0.3, "from_logits": True},
        functools.partial(_soft, logits=True), _scores, _JS_LOGIT_TERMS),
    "jensen_shannon(1)": (
        losses.jensen_shannon, {"beta": 1.0}, _soft, _distributions, _REVERSE_TERMS),
    "jensen_shannon(1) of logits": (
        losses.jensen_shannon, {"beta": 1.0, "from_logits": True},
        functools.partial(_soft, logits=True), _scores, _REVERSE_LOGIT_TERMS),
    "kl_divergence": (losses.kl_divergence, {}, _soft, _distributions, _KL_TERMS),
    "kl_divergence of logits": (
        losses.kl_divergence, {"from_logits": True}, functools.partial(_soft, logits=True),
        _scores, _KL_LOGIT_TERMS),
    "gaussian_nll": (losses.gaussian_nll, {}, _near, _heads, _GAUSSIAN_TERMS),
    "gaussian_nll, full": (losses.gaussian_nll, {"full": True}, _near, _heads, _GAUSSIAN_TERMS),
    "gaussian_nll of variances": (
        losses.gaussian_nll, {"from_log": False}, _near, _variances, _GAUSSIAN_TERMS),
    "laplace_nll": (
        losses.laplace_nll, {},
        functools.partial(_near, log_variance=False),
        functools.partial(_heads, log_variance=False),
        ("log(scale)", "abs(y_true - location) / scale")),
    "mixture_density_nll": (
        losses.mixture_density_nll, {}, _among, _mixtures, _MIXTURE_TERMS),
    "negative_binomial_nll": (
        losses.negative_binomial_nll, {}, _near_counts, _dispersions,
        (*_COUNT_TERMS, "xlogy(y_true, y_true)")),
    "negative_binomial_nll, full": (
        losses.negative_binomial_nll, {"full": True}, _near_counts, _dispersions, _COUNT_TERMS),
    "poisson": (losses.poisson, {}, _counts, _positive, _RATE_TERMS),
    "poisson, full": (losses.poisson, {"full": True}, _counts, _positive, _EXCESS_TERMS),
    "poisson of logarithms": (
        losses.poisson, {"from_log": True}, _counts, _logarithms, _RATE_TERMS),
    "poisson of logarithms, full": (
        losses.poisson, {"from_log": True, "full": True}, _close_counts,
        _logarithms, _EXCESS_TERMS),
    "student_t_nll": (
        losses.student_t_nll, {}, _near, _wide_heads, _STUDENT_TERMS),
    "student_t_nll(1.5), full": (
        losses.student_t_nll, {"df": 1.5, "full": True}, _near, _wide_heads, _STUDENT_TERMS),
    "tweedie": (losses.tweedie, {}, _counts, _logarithms, _TWEEDIE_TERMS),
    "tweedie(1.3)": (losses.tweedie, {"power": 1.3}, _counts, _logarithms, _TWEEDIE_TERMS),
    "tweedie(1.8) of means": (
        losses.tweedie, {"power": 1.8, "from_log": False}, _counts, _positive,
        _TWEEDIE_TERMS),
    "two_hot": (
        losses.two_hot, {"low": 0.0, "high": 3.0}, _in_bins, _scores, _BIN_TERMS),
}  # fmt: skip


def _largest(term_arrays, shape):
    """The largest of some terms, each an array of the result's shape or with axes to reduce."""
    # No derivative where it jumps.
    sizes = [np.where(np.isnan(terms), 0, np.abs(terms)) for terms in term_arrays]
    return np.max([size.reshape(*shape, -1).max(-1) for size in sizes], axis=0)


@functools.cache
def _case(name, dtype):
    function, settings, targets, predictions, terms = CASES[name]
    y_pred = predictions(dtype)
    y_pred = y_pred if y_pred.ndim > 1 else y_pred[:, None]
    y_true = targets(y_pred)
    value, slope = truth_of(function, y_pred, settings | {"y_true": y_true})
    value_terms, slope_terms = [value], [slope]
    arguments = arguments_of(function, settings | {"y_true": y_true})
    for term in terms:
        formula = f"{oracle.formula_of(function)}\nloss = {term}"
        value_terms.append(evaluate(formula, arguments | {"y_pred": y_pred}))
        slope_terms.append(derivative(formula, "y_pred", y_pred, None, False, arguments))
    value_size, slope_size = _largest(value_terms, value.shape), _largest(slope_terms, slope.shape)
    return y_true, y_pred, ((value, value_size), (slope, slope_size))


def _worst(got, truth, size, dtype):
    """The largest error in units of what is allowed, and where it is."""
    slack = 8 * oracle.unit(size, "float32")
    if dtype != "float32":
        slack += 0.51 * oracle.unit(truth, dtype)
    off = np.where(np.isfinite(got), np.abs(got - truth) / slack, np.inf)
    off = np.where(np.isnan(truth) | (np.abs(truth) > oracle.LARGEST[dtype]), 0, off)
    index = np.unravel_index(np.argmax(off), off.shape)
    return off[index], index


@by_dtype_and_mode()
@pytest.mark.parametrize("name", CASES)
def test_loss(name, dtype, mode):
    function, settings = CASES[name][:2]
    y_true, y_pred, truths = _case(name, dtype)
    run = RUNS[mode]
    got = run(lambda p: function(y_true, p, **settings), ops.cast(y_pred, dtype))
    for what, computed, (truth, size) in zip(("value", "gradient"), got, truths, strict=True):
        off, index = _worst(np.float64(computed), truth, size, dtype)
        assert off <= 1, (
            f"{name} {what} {computed[index]} is {8 * off} units off {float(truth[index])} at "
            f"{y_pred[index[0]]}, target {y_true[index[0]]}"
        )
