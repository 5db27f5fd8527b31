"""Likelihoods, divergences and scores: the traps that peers fall into, limits, plain loops."""

import keras
import numpy as np
import pytest
from scipy import stats

from keras_actloss import losses
from keras_actloss.testing import oracle
from keras_actloss.testing.backend import value_and_gradient

pytestmark = pytest.mark.slow

RNG = np.random.default_rng(0)
HEADS = RNG.normal(size=(40, 2)).astype("float32")
Y = RNG.normal(size=40).astype("float32")
COUNTS = RNG.poisson(4.0, 40).astype("float32")


def _value(values):
    return keras.ops.convert_to_numpy(values)


def _close(got, expected, rtol=2e-5, atol=2e-6):
    np.testing.assert_allclose(got, expected, rtol, atol)


def test_divergence_takes_the_true_distribution_first():
    p, q = np.float32([[0.9, 0.1]]), np.float32([[0.5, 0.5]])
    _close(_value(losses.kl_divergence(p, q)), [stats.entropy(p[0], q[0])])
    _close(_value(losses.kl_divergence(q, p)), [stats.entropy(q[0], p[0])])
    _close(_value(losses.jensen_shannon(p, q, beta=1.0)), _value(losses.kl_divergence(q, p)))
    _close(_value(losses.jensen_shannon(p, q, beta=0.0)), _value(losses.kl_divergence(p, q)))


def test_divergence_of_a_confident_mistake_has_a_gradient():
    # Keras clips at 1e-7: 16.1, and no gradient.
    y, p = np.float32([[0.0, 1.0]]), np.float32([[1.0, 1e-20]])
    value, gradient = value_and_gradient(lambda p: losses.kl_divergence(y, p), p)
    _close(value, [20 * np.log(10)])
    _close(gradient, [[0, -1e20]])


@pytest.mark.parametrize(
    "function",
    [
        losses.kl_divergence,
        losses.generalized_kl_divergence,
        losses.jensen_shannon,
        lambda y, p: losses.jensen_shannon(y, p, beta=1.0),
    ],
)
def test_zeros_in_either_distribution(function):
    y, p = np.float32([[0.0, 0.0, 1.0]]), np.float32([[0.0, 1.0, 0.0]])
    for a, b in ((y, p), (p, y), (y, y)):
        value, gradient = value_and_gradient(lambda q, a=a: function(a, q), b)
        assert np.all(np.isfinite(value)) and np.all(np.isfinite(gradient))
    assert _value(function(y, y)) == 0


def test_divergences_of_equals_are_zero_and_never_negative():
    p = RNG.dirichlet(np.ones(50), 200).astype("float32")
    near = (p * (1 + RNG.normal(size=p.shape) * 1e-6)).astype("float32")
    for function in (losses.jensen_shannon, losses.generalized_kl_divergence):
        assert np.all(_value(function(p, p)) == 0)
        assert np.all(_value(function(p, near)) >= 0)


@pytest.mark.parametrize("settings", [{}, {"full": True}])
def test_a_negative_rate_is_not_nan(settings):
    y = np.float32([[0.0], [2.0]])
    for rate in (-3.0, 0.0):
        value, gradient = value_and_gradient(
            lambda p: losses.poisson(y, p, **settings), np.full((2, 1), rate, "float32")
        )
        assert np.all(np.isfinite(value)) and np.all(np.isfinite(gradient))
        assert gradient[1] < -1e4, "events lead a rate of 0 back"
        assert gradient[0] >= 0


def test_factorials_are_exact_for_small_counts():
    # Stirling's formula, as torch takes it, is off by 0.04 at a count of 2.
    y = np.arange(12, dtype="float32")[:, None]
    rate = np.linspace(0.5, 9, 12, dtype="float32")[:, None]
    got = _value(losses.poisson(y, rate, full=True))
    _close(got, -stats.poisson.logpmf(y, np.float64(rate))[:, 0], 1e-6)


def test_a_small_variance_has_its_gradient():
    # torch clamps it at 1e-6, and the gradient with it.
    y_pred = np.float32([[0.0, 1e-8]])
    _, gradient = value_and_gradient(
        lambda p: losses.gaussian_nll(np.float32([2e-4]), p, from_log=False), y_pred
    )
    _close(gradient, [[-2e4, 0.5 * (1e8 - 4e8)]], 1e-5)


HEAD_LOSSES = [
    losses.beta_nll,
    losses.crps_gaussian,
    losses.gaussian_kl,
    losses.gaussian_nll,
    losses.laplace_nll,
    losses.negative_binomial_nll,
    losses.student_t_nll,
]


@pytest.mark.parametrize("function", [*HEAD_LOSSES, losses.gamma_nll], ids=lambda f: f.__name__)
def test_gradients_of_extreme_parameters_are_no_nan(function):
    ends = np.float32([-60, -1, 0, 1, 60])
    rows = np.stack(np.meshgrid(ends, ends, ends), -1).reshape(-1, 3)
    y_true = np.exp(rows[:, 0]) if function in (losses.gamma_nll,) else np.abs(rows[:, 0])
    value, gradient = value_and_gradient(lambda p: function(y_true, p), rows[:, 1:])
    assert not np.any(np.isnan(value)) and not np.any(np.isnan(gradient))


@pytest.mark.parametrize("function", [*HEAD_LOSSES, losses.gamma_nll], ids=lambda f: f.__name__)
def test_a_head_of_the_wrong_width_is_told_what_it_holds(function):
    with pytest.raises(ValueError, match=rf"{function.__name__}.*its size is 2.*\(4, 3\)"):
        function(np.ones(4, "float32"), np.ones((4, 3), "float32"))


def test_beta_of_one_learns_the_mean_as_squared_errors_do():
    _, gradient = value_and_gradient(lambda p: losses.beta_nll(Y, p, beta=1.0), HEADS)
    _close(gradient[:, 0], HEADS[:, 0] - Y)
    _close(_value(losses.beta_nll(Y, HEADS, beta=0.0)), _value(losses.gaussian_nll(Y, HEADS)))


def test_limits_of_families():
    twice = HEADS * np.float32([1, 2])
    gaussian = _value(losses.gaussian_nll(Y, twice, full=True))
    _close(_value(losses.student_t_nll(Y, HEADS, df=1e7, full=True)), gaussian)
    single = np.concatenate([np.full((40, 1), 3.0, "float32"), HEADS], -1)
    _close(_value(losses.mixture_density_nll(Y, single, full=True)), gaussian)
    many = np.stack([HEADS[:, 0], np.full(40, 40.0, "float32")], -1)
    poisson = _value(losses.poisson(COUNTS[:, None], HEADS[:, :1], from_log=True, full=True))
    _close(_value(losses.negative_binomial_nll(COUNTS, many, full=True)), poisson)


def test_densities_beside_scipy():
    y = np.exp(Y)
    mean, shape = np.exp(np.float64(HEADS)).T
    got = _value(losses.gamma_nll(y, HEADS, full=True))
    _close(got, -stats.gamma.logpdf(y, shape, scale=mean / shape))
    got = _value(losses.negative_binomial_nll(COUNTS, HEADS, full=True))
    _close(got, -stats.nbinom.logpmf(COUNTS, shape, shape / (shape + mean)))
    got = _value(losses.student_t_nll(Y, HEADS, df=3.0, full=True))
    _close(got, -stats.t.logpdf(Y, 3, HEADS[:, 0], np.exp(np.float64(HEADS[:, 1]))))
    rows = RNG.normal(size=(40, 6)).astype("float32")
    e = np.exp(np.float64(rows))
    density = sum(
        e[:, k] / e[:, :2].sum(-1) * stats.norm.pdf(Y, rows[:, 2 + k], e[:, 4 + k]) for k in (0, 1)
    )
    _close(_value(losses.mixture_density_nll(Y, rows, full=True)), -np.log(density))


def test_a_mixture_needs_three_numbers_a_component():
    with pytest.raises(ValueError, match="multiple of 3"):
        losses.mixture_density_nll(Y, RNG.normal(size=(40, 4)))


def test_sum_over_what_a_mask_leaves():
    y, p = np.float32([[1, 2, 3]]), np.float32([[2, 2, 9]])
    mask = np.array([[True, True, False]])
    got = _value(losses.generalized_kl_divergence(y, p, mask=mask))
    _close(got, _value(losses.generalized_kl_divergence(y[:, :2], p[:, :2])))
    _close(_value(losses.generalized_kl_divergence(y, p, mask=mask[:, :1])), [1 + 6 - np.log(54)])


@pytest.mark.parametrize("fair", [False, True])
def test_ensemble_beside_a_plain_loop(fair):
    members = np.round(RNG.normal(size=(20, 7)), 1).astype("float32")
    y = np.round(RNG.normal(size=20), 1).astype("float32")
    for row, target, got in zip(
        np.float64(members), y, _value(losses.crps_ensemble(y, members, fair=fair)), strict=True
    ):
        pairs = sum(abs(a - b) for a in row for b in row)
        pairs /= 7 * 6 if fair else 49
        assert got == pytest.approx(np.mean(np.abs(row - target)) - pairs / 2, rel=1e-5, abs=1e-6)


def test_an_ensemble_of_one_and_of_many():
    members = RNG.normal(size=(3, 1)).astype("float32")
    _close(_value(losses.crps_ensemble(Y[:3], members)), np.abs(members[:, 0] - Y[:3]))
    with pytest.raises(ValueError, match="at least 2 members"):
        losses.crps_ensemble(Y[:3], members, fair=True)
    # A matrix of pairs would have 4e10 entries.
    many = RNG.normal(size=(1, 200_000)).astype("float32")
    value, gradient = value_and_gradient(
        lambda p: losses.crps_ensemble(np.float32([0.5]), p, fair=True), many
    )
    expected = _value(losses.crps_gaussian(np.float32([0.5]), np.zeros((1, 2), "float32")))
    _close(value, expected, 1e-2)
    assert np.all(np.isfinite(gradient))


def test_targets_beyond_the_range_count_as_its_ends():
    logits = RNG.normal(size=(2, 5)).astype("float32")
    for function in (losses.two_hot, losses.hl_gauss):
        beyond = _value(function(np.float32([-9, 9]), logits, low=-1.0, high=1.0))
        _close(beyond, _value(function(np.float32([-1, 1]), logits, low=-1.0, high=1.0)))
        with pytest.raises(ValueError, match="low must be below high"):
            function(np.float32([-9, 9]), logits, low=1.0, high=1.0)


@pytest.mark.parametrize("function", [losses.two_hot, losses.hl_gauss], ids=lambda f: f.__name__)
def test_shares_of_a_target(function):
    """The gradient at equal logits is 1/n less the shares: they sum to 1 and lie at the target."""
    y, logits = np.float32([0.3]), np.zeros((1, 21), "float32")
    _, gradient = value_and_gradient(lambda p: function(y, p, low=-2.0, high=2.0), logits)
    shares = 1 / 21 - np.float64(gradient[0])
    assert shares.sum() == pytest.approx(1, abs=1e-5) and shares.min() > -1e-6
    centers = (
        np.linspace(-2, 2, 43)[1::2] if function is losses.hl_gauss else np.linspace(-2, 2, 21)
    )
    assert shares @ centers == pytest.approx(0.3, abs=2e-3)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: losses.tweedie([[1.0]], [[1.0]], power=2.0), "between 1 and 2"),
        (lambda: losses.jensen_shannon([[1.0]], [[1.0]], beta=1.5), r"in \[0, 1\]"),
        (lambda: losses.student_t_nll([1.0], [[1.0, 1.0]], df=0.0), "greater than 0"),
        (lambda: losses.two_hot([1.0], [[1.0]]), "at least 2"),
    ],
)
def test_settings_out_of_range(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_tutorial_losses_have_keras_names_and_values():
    y, p = COUNTS.reshape(10, 4), np.exp(RNG.normal(size=(10, 4))).astype("float32")
    expected = _value(keras.losses.poisson(y, p))
    _close(_value(losses.poisson(y, p)), expected, 1e-4)
    y, p = (RNG.dirichlet(np.ones(4), 10).astype("float32") for _ in range(2))
    _close(_value(losses.kl_divergence(y, p)), _value(keras.losses.kl_divergence(y, p)), 1e-4)


# Logarithms of parameters that are no float32: an amount or a count and both of them.
FAR = {
    "gamma_nll": [
        (1, -200, -200),
        (1, 1, -1e4),
        (1, -80, -90),
        (2, 85, 84),
        (3, 95, 0),
        (0.5, -100, -95),
        (1e30, -20, -60),
        (1e-30, 30, 2),
    ],
    "negative_binomial_nll": [(3, 0, -90), (3, 90, 0), (0, 90, 2), (2, -90, 0), (0, 0, -90)],
}


@pytest.mark.parametrize(("name", "row"), [(name, row) for name in FAR for row in FAR[name]])
def test_parameters_that_are_no_float32(name, row):
    function = getattr(losses, name)
    y, heads = np.float32(row[:1]), np.float32([row[1:]])
    formula, arguments = oracle.formula_of(function), {"y_true": y, "full": False}
    got = value_and_gradient(lambda heads: function(y, heads), heads)
    truth = (
        oracle.evaluate(formula, y_pred=heads, **arguments),
        oracle.derivative(formula, "y_pred", heads, **arguments),
    )
    for computed, exact in zip(got, truth, strict=True):
        # A slope of 1e-87 is beyond the digits of a difference.
        exact = np.where(np.isnan(exact), computed, exact)
        np.testing.assert_allclose(computed, exact, rtol=2e-5, atol=1e-30)


def test_an_infinite_shape_has_no_nan():
    value, gradient = value_and_gradient(
        lambda heads: losses.gamma_nll(np.float32([1.0]), heads), np.float32([[1.0, 1e4]])
    )
    assert value > 1e37 and np.all(gradient > 0)
