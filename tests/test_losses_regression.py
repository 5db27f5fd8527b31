"""Identities, traps and plain references of the losses of errors."""

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras import ops

from keras_actloss import losses
from keras_actloss.testing.backend import value_and_gradient

pytestmark = pytest.mark.slow

RNG = np.random.default_rng(0)
Y = RNG.normal(size=(40, 3)).astype("float32")
P = RNG.normal(size=(40, 3)).astype("float32")
POSITIVE = np.exp(Y), np.exp(P)
EXACT = np.zeros((1, 3), "float32")


def _array(x):
    return np.asarray(ops.convert_to_numpy(x), "float64")


def _with_gradient(function, y_true, y_pred, **settings):
    return value_and_gradient(lambda p: function(y_true, p, **settings), y_pred)


def _square(y, p):
    return ops.square(ops.subtract(p, y) / 0.7)


def _robust(alpha, scale=1.0):
    return lambda y, p: losses.general_robust(y, p, alpha=alpha, scale=scale)


# What `Related:` and the docstrings say, as two functions that are the same.
IDENTITIES = {
    "mape of ones": (
        lambda y, p: losses.mean_absolute_percentage_error(ops.ones_like(p), p),
        lambda y, p: 100 * losses.mean_absolute_error(ops.ones_like(p), p),
    ),
    "msle": (
        losses.mean_squared_logarithmic_error,
        lambda y, p: losses.mean_squared_error(ops.log1p(y), ops.log1p(p)),
    ),
    "cosine distance": (
        lambda y, p: 1 + losses.cosine_similarity(y, p),
        lambda y, p: ops.sum(ops.square(ops.normalize(y) - ops.normalize(p)), axis=-1) / 2,
    ),
    "Eigen": (
        lambda y, p: ops.square(losses.scale_invariant_logarithmic_error(y, p)),
        lambda y, p: (
            losses.mean_squared_error(ops.log(y), ops.log(p))
            - ops.square(ops.mean(ops.log(p) - ops.log(y), axis=-1)) / 2
        ),
    ),
    "smooth_l1 and huber": (
        lambda y, p: losses.smooth_l1(y, p, beta=0.3),
        lambda y, p: losses.huber(y, p, delta=0.3) / 0.3,
    ),
    "smooth_l1 without a curve": (
        lambda y, p: losses.smooth_l1(y, p, beta=0.0),
        losses.mean_absolute_error,
    ),
    "Charbonnier": (
        _robust(1.0, 0.7),
        lambda y, p: losses.charbonnier(y, p, epsilon=0.7) / 0.7 - 1,
    ),
    "squared": (_robust(2.0, 0.7), lambda y, p: losses.mean_squared_error(y, p) / (2 * 0.7**2)),
    "Cauchy": (
        _robust(0.0, 0.7),
        lambda y, p: ops.mean(ops.log1p(_square(y, p) / 2), axis=-1),
    ),
    "Geman-McClure": (
        _robust(-2.0, 0.7),
        lambda y, p: ops.mean(2 * _square(y, p) / (_square(y, p) + 4), axis=-1),
    ),
    "Welsch": (
        _robust(-np.inf, 0.7),
        lambda y, p: ops.mean(1 - ops.exp(-_square(y, p) / 2), axis=-1),
    ),
    "Welsch from afar": (_robust(-1e7), _robust(-np.inf)),
    "Cauchy from both sides": (_robust(1e-7), _robust(-1e-7)),
    "squared from both sides": (_robust(2 + 1e-7), _robust(2 - 1e-7)),
    "median": (losses.quantile, lambda y, p: losses.mean_absolute_error(y, p) / 2),
    "mean": (losses.expectile, lambda y, p: losses.mean_squared_error(y, p) / 2),
    "smooth median": (
        lambda y, p: losses.quantile_huber(y, p, delta=0.7),
        lambda y, p: losses.smooth_l1(y, p, beta=0.7) / 2,
    ),
    "quantile, hardly smooth": (
        lambda y, p: losses.quantile_huber(y, p, quantiles=0.2, delta=1e-7),
        lambda y, p: losses.quantile(y, p, quantiles=0.2),
    ),
}


@pytest.mark.parametrize("name", IDENTITIES)
def test_identity(name):
    ours, same = IDENTITIES[name]
    y_true, y_pred = POSITIVE if name in ("msle", "Eigen") else (Y, P)
    for got, expected in zip(
        _with_gradient(ours, y_true, y_pred), _with_gradient(same, y_true, y_pred), strict=True
    ):
        np.testing.assert_allclose(got, expected, rtol=2e-4, atol=2e-6)


def test_smape_is_symmetric():
    function = losses.symmetric_mean_absolute_percentage_error
    np.testing.assert_array_equal(_array(function(Y, P)), _array(function(P, Y)))
    assert float(function(EXACT, EXACT)[0]) == 0
    value, gradient = _with_gradient(function, Y, -Y)
    np.testing.assert_allclose(value, 200, rtol=1e-6)
    assert np.all(gradient == 0)
    # From 0, what a relu gives, there is a way to the target.
    assert np.all(_with_gradient(function, Y, 0 * Y)[1] * Y < 0)


def test_d4_smooth_l1_is_continuous_and_never_negative():
    errors = np.array([[0.0999], [0.1], [0.1001]], "float32")
    got = _array(losses.smooth_l1(0 * errors, errors, beta=0.1))
    np.testing.assert_allclose(got, [0.0499, 0.05, 0.0501], rtol=1e-4)
    value, gradient = _with_gradient(losses.smooth_l1, EXACT, EXACT, beta=0.0)
    assert value == 0 and np.all(gradient == 0)


def test_d9_conventions():
    d = np.float64(P[:, :1])
    zero = np.zeros_like(P[:, :1])
    kornia = np.sqrt(d**2 + 1) - 1
    np.testing.assert_allclose(
        _array(losses.charbonnier(zero, P[:, :1], epsilon=1.0)) - 1, kornia[:, 0], atol=1e-6
    )
    basic_sr = np.sqrt(d**2 + 1e-12)
    np.testing.assert_allclose(
        _array(losses.charbonnier(zero, P[:, :1], epsilon=1e-6)), basic_sr[:, 0], rtol=1e-6
    )
    # The paper's width and curvature, not those of segmentation_models.pytorch.
    assert float(losses.wing([[0.0]], [[4.0]])[0]) == pytest.approx(10 * np.log(3))
    smp = losses.wing([[0.0]], [[4.0]], width=5.0, curvature=0.5)
    assert float(smp[0]) == pytest.approx(5 * np.log(9))


ROBUST = {
    "log_cosh": losses.log_cosh,
    "smooth_l1": losses.smooth_l1,
    "charbonnier": losses.charbonnier,
    "wing": losses.wing,
    "quantile_huber": losses.quantile_huber,
    **{f"robust({alpha})": _robust(alpha) for alpha in (-np.inf, -2, -0.3, 0, 0.3, 1)},
}


@pytest.mark.parametrize("name", ROBUST)
def test_n1_gradients_are_finite_everywhere(name):
    ends = np.array([[-3e38], [-1e20], [-1.0], [0.0], [1e-30], [1.0], [1e20], [3e38]], "float32")
    value, gradient = _with_gradient(ROBUST[name], 0 * ends, ends)
    assert np.all(np.isfinite(value)) and np.all(np.isfinite(gradient))


def test_slope_of_charbonnier_is_one_where_the_error_overflows():
    ends = np.float32([[-3e38], [3e38]])
    _, gradient = _with_gradient(losses.charbonnier, -ends, ends)
    np.testing.assert_array_equal(gradient, np.sign(ends))


@pytest.mark.parametrize(
    "name", [*ROBUST, "quantile", "expectile", "mean_absolute_percentage_error"]
)
def test_n2_an_exact_prediction_has_no_gradient_on_any_backend(name):
    function = ROBUST.get(name) or getattr(losses, name)
    assert np.all(_with_gradient(function, EXACT, EXACT)[1] == 0)


def test_n5_vectors_of_zeros_and_of_any_length():
    zero, y = np.zeros((1, 2), "float32"), np.array([[1.0, 2.0]], "float32")
    for pair in ((zero, y), (y, zero), (zero, zero)):
        value, gradient = _with_gradient(losses.cosine_similarity, *pair)
        assert value == 0 and np.all(gradient == 0)
    for length in (1e-37, 1e-10, 1e25, 1e38):
        p = np.array([[2.0, 1.0]], "float32") * np.float32(length)
        value, gradient = _with_gradient(losses.cosine_similarity, y, p)
        assert value == pytest.approx(-0.8, rel=1e-6)
        # Flushed to zero below 1e-38.
        expected = np.array([[0.12, -0.24]]) / length
        np.testing.assert_allclose(gradient, expected, rtol=1e-5, atol=2e-38)
    half = losses.cosine_similarity(y, ops.cast([[300.0, 300.0]], "float16"))
    assert float(half[0]) == pytest.approx(-3 / np.sqrt(10), rel=1e-3)


def test_gradient_of_the_cosine_reaches_both_sides():
    of_true = value_and_gradient(lambda y: losses.cosine_similarity(y, P), Y)
    of_pred = value_and_gradient(lambda p: losses.cosine_similarity(P, p), Y)
    for one, other in zip(of_true, of_pred, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-7)


def test_cosine_of_what_a_mask_leaves():
    mask = np.array([[True, True, False]])
    got = losses.cosine_similarity(Y[:1], P[:1], mask=mask)
    assert float(got[0]) == pytest.approx(float(losses.cosine_similarity(Y[:1, :2], P[:1, :2])[0]))
    assert float(losses.cosine_similarity(Y[:1], P[:1], mask=[False])[0]) == 0


def test_n7_small_errors_do_not_cancel():
    d = np.array([[1e-4]], "float32")
    assert float(losses.log_cosh(0 * d, d)[0]) == pytest.approx(5e-9)
    assert float(losses.general_robust(0 * d, d)[0]) == pytest.approx(5e-9)
    assert float(_with_gradient(losses.log_cosh, 0 * d, d)[1][0, 0]) == pytest.approx(1e-4)


def test_n16_percentages_of_a_target_of_zero():
    mape = losses.mean_absolute_percentage_error
    assert float(mape([[0.0]], [[1.0]])[0]) == pytest.approx(1e9)
    assert float(mape([[0.0]], [[1.0]], epsilon=2.0)[0]) == 50
    assert float(mape([[0.0]], [[0.0]])[0]) == 0


def test_n16_no_prediction_of_a_logarithm_is_dead():
    msle = losses.mean_squared_logarithmic_error
    assert float(msle([[-0.9]], [[-0.5]])[0]) == pytest.approx(np.log(5) ** 2, rel=1e-5)
    p = np.array([[-0.5], [-1 + 2**-24], [-1.0], [-1.5], [-2.0], [-100.0]], "float32")
    value, gradient = _with_gradient(msle, 0 * p, p)
    # From the last number above -1 to -1 there is no digit for it to grow by.
    assert np.all(np.isfinite(value)) and np.all(np.diff(np.delete(value, 2)) > 0)
    assert value[1] <= value[2] < value[3]
    assert np.all(np.isfinite(gradient)) and np.all(gradient < 0)
    assert np.all(gradient[2:] > -250), "nor explodes at -1 or below"
    assert not np.isfinite(float(msle([[-1.0]], [[0.0]])[0])), "of a target outside it is loud"
    assert not np.isfinite(float(msle([[-2.0]], [[0.0]])[0]))


def _numpy_silog(y, p, focus):
    g = np.log(np.float64(p[y > 0])) - np.log(np.float64(y[y > 0]))
    return np.sqrt(np.mean(g**2) - focus * np.mean(g) ** 2) if g.size else 0.0


def test_silog_leaves_out_what_was_not_measured():
    y, p = (x.reshape(4, 5, 6) for x in POSITIVE)
    y = np.where(RNG.random(y.shape) < 0.3, 0.0, y).astype("float32")
    y[3] = 0
    p[:, 0, 0] = np.where(y[:, 0, 0] > 0, p[:, 0, 0], -1.0)
    function = losses.scale_invariant_logarithmic_error
    value, gradient = _with_gradient(function, y, p, variance_focus=0.85)
    expected = [_numpy_silog(*pair, 0.85) for pair in zip(y, p, strict=True)]
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    assert np.all(np.isfinite(gradient)) and np.all(gradient[y == 0] == 0)
    mask = RNG.random(y.shape) < 0.5
    expected = [_numpy_silog(*pair, 0.5) for pair in zip(np.where(mask, y, 0), p, strict=True)]
    np.testing.assert_allclose(_array(function(y, p, mask=mask)), expected, rtol=1e-5)


def test_silog_forgives_any_scale_with_a_focus_of_one():
    function = losses.scale_invariant_logarithmic_error
    y = POSITIVE[0]
    np.testing.assert_allclose(_array(function(y, 4 * y, variance_focus=1.0)), 0, atol=1e-6)
    value, gradient = _with_gradient(function, y, y)
    assert np.all(value == 0) and np.all(gradient == 0)


HEADS = {
    "one quantile of a column": (0.3, (4,), (4, 1)),
    "one quantile of a column, both with it": (0.3, (4, 1), (4, 1)),
    "one quantile of many outputs": (0.3, (4, 5), (4, 5)),
    "a list of one": ([0.3], (4,), (4, 1)),
    "a head": ([0.1, 0.5, 0.9], (4,), (4, 3)),
    "a head beside a column": ([0.1, 0.5, 0.9], (4, 1), (4, 3)),
    "heads of many outputs": ([0.1, 0.5, 0.9], (4, 5), (4, 5, 3)),
    "heads of steps, beside a column": ((0.1, 0.9), (4, 5, 1), (4, 5, 2)),
}


def _pinball(level, y, p):
    return max(level * (y - p), (level - 1) * (y - p))


@pytest.mark.parametrize("name", HEADS)
def test_l10_heads_of_quantiles(name):
    quantiles, of_targets, of_predictions = HEADS[name]
    y, p = RNG.normal(size=of_targets), RNG.normal(size=of_predictions)
    y, p = y.astype("float32"), p.astype("float32")
    several = not isinstance(quantiles, float)
    expected = np.zeros(of_predictions[:-1])
    for index in np.ndindex(of_predictions):
        level = quantiles[index[-1]] if several else quantiles
        target = y.reshape(p.shape[:-1])[index[:-1]] if several else y.reshape(p.shape)[index]
        expected[index[:-1]] += _pinball(level, target, p[index]) / of_predictions[-1]
    got = losses.quantile(y, p, quantiles=quantiles)
    np.testing.assert_allclose(_array(got), expected, rtol=1e-5, atol=1e-6)
    loss = losses.Quantile(quantiles, reduction="none")
    np.testing.assert_allclose(_array(loss(y, p)), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("function", [losses.quantile, losses.expectile, losses.quantile_huber])
def test_l10_a_target_for_each_quantile_is_refused(function):
    with pytest.raises(ValueError, match=r"\(4, 3\)"):
        function(np.zeros((4, 3)), np.zeros((4, 3)), [0.1, 0.5, 0.9])
    with pytest.raises(ValueError, match=r"3 entries.* \(4, 2\)"):
        function(np.zeros(4), np.zeros((4, 2)), [0.1, 0.5, 0.9])


@pytest.mark.parametrize("delta", [1e-6, 1.0, 1e8])
def test_the_slope_of_a_tiny_error_hangs_on_no_delta(delta):
    error = np.array([[1e-30]], "float32")
    _, slope = _with_gradient(losses.huber, EXACT[:, :1], error, delta=delta)
    assert slope == error


@pytest.mark.parametrize("quantiles", [0.2, [0.1, 0.5, 0.9]])
def test_a_mask_of_steps_and_weights_of_samples(quantiles):
    shape = (4, 5) if isinstance(quantiles, list) else (4, 5, 3)
    y, p = RNG.normal(size=shape), ops.convert_to_tensor(RNG.normal(size=(4, 5, 3)), "float32")
    keep, weight = RNG.random((4, 5)) < 0.5, np.array([0.0, 1.0, 2.0, 3.0])
    values = _array(losses.quantile(y, p, quantiles=quantiles))
    y[0] = np.nan
    p._keras_mask = ops.convert_to_tensor(keep)
    got = float(losses.Quantile(quantiles)(y, p, weight))
    assert got == pytest.approx(np.sum((values * keep)[1:] * weight[1:, None]) / keep.sum())


@pytest.mark.parametrize(
    ("name", "bad", "word"),
    [
        ("quantile", {"quantiles": 1.0}, "quantiles"),
        ("quantile", {"quantiles": [0.5, 0.0]}, "quantiles"),
        ("quantile", {"quantiles": []}, "quantiles"),
        ("quantile", {"quantiles": "0.5"}, "quantiles"),
        ("expectile", {"expectiles": [[0.5]]}, "expectiles"),
        ("quantile_huber", {"delta": 0.0}, "delta"),
        ("smooth_l1", {"beta": -1.0}, "beta"),
        ("smooth_l1", {"beta": np.inf}, "beta"),
        ("charbonnier", {"epsilon": 0.0}, "epsilon"),
        ("general_robust", {"alpha": np.inf}, "alpha"),
        ("general_robust", {"alpha": np.nan}, "alpha"),
        ("general_robust", {"scale": 0.0}, "scale"),
        ("wing", {"curvature": -2.0}, "curvature"),
        ("mean_absolute_percentage_error", {"epsilon": 0}, "epsilon"),
        ("cosine_similarity", {"axis": (0, 1)}, "axis"),
        ("scale_invariant_logarithmic_error", {"variance_focus": 1.5}, "variance_focus"),
    ],
)
def test_settings_out_of_range_are_refused(name, bad, word):
    with pytest.raises((TypeError, ValueError), match=word):
        getattr(losses, name)(EXACT, EXACT, **bad)


SETTINGS = [
    losses.CosineSimilarity(axis=1),
    losses.SmoothL1(beta=0.3),
    losses.GeneralRobust(alpha=-np.inf, scale=2.0),
    losses.Quantile(quantiles=np.array([0.1, 0.4, 0.9])),
    losses.ScaleInvariantLogarithmicError(variance_focus=0.85),
]


@pytest.mark.parametrize("loss", SETTINGS, ids=repr)
def test_s1_settings_survive_the_config(loss):
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    assert repr(again) == repr(loss)
    y = POSITIVE[0][:, 0] if loss.labels == "target" else POSITIVE[0]
    np.testing.assert_array_equal(_array(again(y, POSITIVE[1])), _array(loss(y, POSITIVE[1])))


@pytest.mark.slow
@given(st.integers(0, 10_000), st.floats(0.05, 0.95), st.sampled_from(["quantile", "expectile"]))
def test_the_best_constant(seed, level, name):
    """Of a quantile loss it is the quantile, where the gradients of both sides balance."""
    y = np.random.default_rng(seed).normal(size=25).astype("float32")
    candidates = np.sort(y) if name == "quantile" else np.linspace(-3, 3, 601, dtype="float32")
    rows = np.broadcast_to(candidates[:, None], (len(candidates), 25))
    totals = _array(getattr(losses, name)(np.broadcast_to(y, rows.shape), rows, level))
    best = candidates[int(np.argmin(totals))]
    if name == "quantile":
        assert np.mean(y < best) <= level + 1e-6 and level <= np.mean(y <= best) + 1e-6
    else:
        up, down = np.maximum(y - best, 0).sum(), np.maximum(best - y, 0).sum()
        assert level * up == pytest.approx((1 - level) * down, abs=0.01 * 25)
