"""Traps of cross-entropies and their relatives, and what they are to each other."""

import cProfile
import functools

import keras
import numpy as np
import pytest
from accuracy import MODES, RUNS
from catalogue import LOSSES
from keras import ops

from keras_actloss import activations, losses, testing
from keras_actloss.testing.backend import array, value_and_gradient

pytestmark = pytest.mark.slow

RNG = np.random.default_rng(0)
X = RNG.normal(size=(8, 4)).astype("float32") * 3
IDS = (np.arange(8) % 4).astype("int32")
ONE_HOT = np.eye(4, dtype="float32")[IDS]
P = RNG.dirichlet(np.ones(4), 8).astype("float32")

SPARSE = {
    "cross-entropy": losses.sparse_categorical_crossentropy,
    "focal": losses.sparse_categorical_focal_crossentropy,
    "poly": losses.sparse_categorical_poly_crossentropy,
    "generalized": losses.sparse_categorical_generalized_cross_entropy,
    "symmetric": losses.sparse_categorical_symmetric_crossentropy,
    "brier": losses.sparse_categorical_brier,
}
DENSE = {
    "cross-entropy": losses.categorical_crossentropy,
    "focal": losses.categorical_focal_crossentropy,
    "poly": losses.categorical_poly_crossentropy,
    "generalized": losses.categorical_generalized_cross_entropy,
    "symmetric": losses.categorical_symmetric_crossentropy,
    "brier": losses.categorical_brier,
}


def _same(got, expected, rtol=1e-5):
    np.testing.assert_allclose(array(got), array(expected), rtol=rtol, atol=1e-6)


def test_focal_without_focus_is_the_cross_entropy():
    """Neither a scale that is always on, nor one sigmoid a class."""
    weights = [1.0, 2.0, 0.5, 4.0]
    _same(
        losses.categorical_focal_crossentropy(ONE_HOT, X, gamma=0.0, from_logits=True),
        losses.categorical_crossentropy(ONE_HOT, X, from_logits=True),
    )
    _same(
        losses.sparse_categorical_focal_crossentropy(IDS, P, gamma=0, alpha=weights),
        losses.sparse_categorical_crossentropy(IDS, P, class_weights=weights),
    )
    _same(
        losses.binary_focal_crossentropy(ONE_HOT, P, gamma=0, alpha=0.25),
        losses.binary_crossentropy(ONE_HOT, P, class_weights=[0.75, 0.25]),
    )


@pytest.mark.parametrize("name", SPARSE)
def test_class_ids_are_one_hot_labels(name):
    for from_logits, y_pred in ((True, X), (False, P)):
        got, expected = (
            value_and_gradient(
                lambda p, f=f, y=y, logits=from_logits: f(y, p, from_logits=logits), y_pred
            )
            for f, y in ((SPARSE[name], IDS), (DENSE[name], ONE_HOT))
        )
        for ours, theirs in zip(got, expected, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("from_logits", [True, False])
@pytest.mark.parametrize("name", [name for name in DENSE if name != "brier"])
def test_many_rows_are_as_each_alone(name, from_logits):
    """Torch looks whether many labels are one-hot; a second label, or none, may be in one row."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=(1024, 10)).astype("float32") * 5
    x[0, :2] = 15, -15
    if not from_logits:
        x = np.exp(x) / np.exp(x).sum(-1, keepdims=True)
    one_hot = np.eye(10, dtype="float32")[np.arange(1024) % 10]
    beside, none = one_hot.copy(), one_hot.copy()
    beside[0, 1], none[0, 0] = 1e-10, 0

    def found(y, x):
        return value_and_gradient(lambda x: DENSE[name](y, x, from_logits=from_logits), x)

    for y in (one_hot, beside, none):
        parts = zip(
            *(found(y[rows], x[rows]) for rows in np.split(np.arange(1024), 4)), strict=True
        )
        for whole, part in zip(found(y, x), parts, strict=True):
            np.testing.assert_allclose(whole, np.concatenate(part), rtol=1e-5, atol=1e-30)


@pytest.mark.parametrize("soft", [1e-10, 0.5, 1 - 2.0**-20, -1e-4])
def test_a_soft_label_has_its_loss_and_leaves_the_others_alone(soft):
    """Torch looks whether all labels are 0 or 1."""
    x = np.array([[-50.0], [-3.0], [0.0], [3.0], [50.0], [-np.inf], [np.inf]], "float32").repeat(
        2, 0
    )
    hard = np.array([[0.0], [1.0]] * 7, "float32")
    y = np.append(hard, [[soft]], 0).astype("float32")

    def found(y, x):
        return value_and_gradient(lambda x: losses.binary_crossentropy(y, x, from_logits=True), x)

    alone, beside = found(hard, x), found(y, np.append(x, [[-50.0]], 0).astype("float32"))
    for one, other in zip(alone, beside, strict=True):
        np.testing.assert_allclose(one, other[:-1], rtol=1e-6)
    value, gradient = (each[-1] for each in beside)
    np.testing.assert_allclose(value, np.exp(-50.0) + np.float64(y[-1, 0]) * 50, rtol=1e-6)
    np.testing.assert_allclose(gradient, np.exp(-50.0) - np.float64(y[-1]), rtol=1e-6)


@pytest.mark.parametrize("name", ["cross-entropy", "focal", "poly"])
@pytest.mark.parametrize("forms", [SPARSE, DENSE], ids=["sparse", "dense"])
def test_a_confident_mistake_has_its_loss_and_its_gradient(name, forms):
    y_true = np.array([0], "int32") if forms is SPARSE else np.eye(3, dtype="float32")[:1]
    x = np.array([[-30.0, 30.0, 0.0]], "float32")
    value, gradient = value_and_gradient(lambda p: forms[name](y_true, p, from_logits=True), x)
    assert value[0] == pytest.approx(62 if name == "poly" else 60, rel=1e-5)
    np.testing.assert_allclose(gradient, [[-1, 1, 0]], atol=1e-6)


@pytest.mark.parametrize("y", [0.0, 1.0])
def test_a_binary_focal_mistake_is_not_cut_off(y):
    x = np.array([[-60.0 if y else 60.0]], "float32")
    call = lambda p: losses.binary_focal_crossentropy([[y]], p, from_logits=True)  # noqa: E731
    value, gradient = value_and_gradient(call, x)
    assert value[0] == pytest.approx(60) and abs(gradient[0, 0]) == pytest.approx(1)


@pytest.mark.parametrize("mode", RUNS)
@pytest.mark.parametrize("forms", [SPARSE, DENSE], ids=["sparse", "dense"])
def test_what_a_label_leaves_far_behind_has_its_gradient(mode, forms):
    run = RUNS[mode]
    x = [[90.0, 60.0, 0.0], [64.0, 40.0, 0.0], [-20.0, -60.0, -61.0], [-15.0, -88.0, -101.0]]
    x = np.array(x, "float32")
    y_true = np.zeros(4, "int32") if forms is SPARSE else np.eye(3, dtype="float32")[[0] * 4]
    _, gradient = run(lambda p: forms["cross-entropy"](y_true, p, from_logits=True), x)
    expected = np.exp(np.float64(x) - x[:, :1])
    expected[:, 0] = -expected[:, 1:].sum(-1)
    seen = np.abs(expected) > 2.0**-126
    np.testing.assert_allclose(gradient[seen], expected[seen], rtol=1e-5)


@pytest.mark.parametrize("forms", [SPARSE, DENSE], ids=["sparse", "dense"])
@pytest.mark.parametrize("top", [2.0**23, 1073742000.0, 2.0**31, 1e38, 3e38])
def test_a_logit_may_be_of_any_size(forms, top):
    """Also where 64 is less than its last digit."""
    top, below = np.float32(top), np.nextafter(np.float32(top), 0)
    x = np.array([[0.0, top], [below, top], [top, top], [-top, -below]])
    y_true = np.zeros(4, "int32") if forms is SPARSE else np.eye(2, dtype="float32")[[0] * 4]
    value, gradient = value_and_gradient(
        lambda p: forms["cross-entropy"](y_true, p, from_logits=True), x
    )
    distance = np.float64(x[:, 1]) - x[:, 0]
    np.testing.assert_allclose(value, np.logaddexp(0, distance), rtol=1e-6)
    of_other = 1 / (1 + np.exp(-distance))
    np.testing.assert_allclose(gradient[:, 1], of_other, rtol=1e-6)
    np.testing.assert_allclose(gradient[:, 0], -of_other, rtol=1e-6)


def test_a_probability_below_zero_is_led_back():
    """It counts as 0, whose loss is that of the smallest normal number in every form."""
    least = 126 * np.log(2)
    for y, p in ((1.0, -0.5), (0.0, 1.5)):
        call = functools.partial(losses.binary_crossentropy, [[y]])
        value, gradient = value_and_gradient(call, [[p]])
        assert value[0] == pytest.approx(least) and gradient[0, 0] * (y - p) < 0
    for forms, y_true in ((SPARSE, [0]), (DENSE, [[1.0, 0.0, 0.0]])):
        for p in ([[-0.1, 0.5, 0.5]], [[0.0, 0.25, 0.75]]):
            call = functools.partial(forms["cross-entropy"], y_true)
            value, gradient = value_and_gradient(call, p)
            assert value[0] == pytest.approx(least) and gradient[0, 0] < 0


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.5])
def test_focal_at_certainty(gamma):
    """The power of a missing probability of 0 has no infinite slope."""
    settings = {"gamma": gamma}
    calls = [
        (lambda p: losses.binary_focal_crossentropy(ONE_HOT, p, **settings), ONE_HOT),
        (lambda p: losses.categorical_focal_crossentropy(ONE_HOT, p, **settings), ONE_HOT),
        (lambda p: losses.sparse_categorical_focal_crossentropy(IDS, p, **settings), ONE_HOT),
        (
            lambda p: losses.sparse_categorical_focal_crossentropy(
                IDS, p, from_logits=True, **settings
            ),
            ONE_HOT * 1000,
        ),
    ]
    for call, y_pred in calls:
        value, gradient = value_and_gradient(call, y_pred)
        assert np.all(value == 0) and np.all(np.isfinite(gradient))


@pytest.mark.parametrize("forms", [SPARSE, DENSE], ids=["sparse", "dense"])
@pytest.mark.parametrize("name", SPARSE)
def test_masked_logits_and_probabilities_of_zero(name, forms):
    """An entry at minus infinity, or of probability 0, that is not the label does no harm."""
    label = np.array([2]) if forms is SPARSE else np.eye(3, dtype="float32")[[2]]
    x = np.array([[1.0, -np.inf, 2.0]], "float32")
    p = np.array([[0.0, 0.25, 0.75]], "float32")
    value, gradient = value_and_gradient(lambda v: forms[name](label, v, from_logits=True), x)
    assert np.isfinite(value[0]) and np.all(np.isfinite(gradient)) and gradient[0, 1] == 0
    value, gradient = value_and_gradient(lambda v: forms[name](label, v), p)
    assert np.isfinite(value[0]) and np.all(np.isfinite(gradient))


INFINITE = {
    "binary": losses.binary_crossentropy,
    "focal": losses.binary_focal_crossentropy,
    "poly": losses.binary_poly_crossentropy,
    "symmetric": lambda y, p, **k: losses.binary_symmetric_crossentropy(y, p, alpha=1.0, **k),
    "hardest": losses.top_k_binary_crossentropy,
    "asymmetric": lambda y, p, **k: losses.asymmetric_binary_crossentropy(y, p, clip=0.0, **k),
    "quality": losses.quality_focal,
    "varifocal": lambda y, p, **k: losses.varifocal(y, p, alpha=1.0, **k),
    "categorical": lambda y, p, **k: losses.categorical_crossentropy(*_two_classes(y, p), **k),
    "categorical focal": lambda y, p, **k: losses.categorical_focal_crossentropy(
        *_two_classes(y, p), **k
    ),
    "sparse focal": lambda y, p, **k: losses.sparse_categorical_focal_crossentropy(
        np.array(y, "int32")[:, 0], _two_classes(y, p)[1], **k
    ),
}


def _two_classes(y, p):
    """A yes/no label and its logit as those of two classes, one of which has the logit 0."""
    y = np.array(y)
    return np.concatenate([1 - y, y], -1), ops.concatenate([ops.zeros_like(p), p], -1)


@pytest.mark.parametrize("name", INFINITE)
def test_infinite_logits(name):
    """0 where the label is certain, infinity where it is impossible, and always a gradient."""
    ends = (-1, 1) if name in SPARSE or "ca" not in name or name == "varifocal" else (-1,)
    for end in ends:
        for y in (0.0, 1.0):
            call = lambda p, y=y: INFINITE[name]([[y]], p, from_logits=True)  # noqa: E731
            value, gradient = value_and_gradient(call, np.array([[end * np.inf]], "float32"))
            right = (end > 0) == (y == 1)
            assert value[0] == (0 if right else np.inf)
            assert gradient[0, 0] == (0 if right else 1 - 2 * y)


PRIOR = [4.0, 2.0, 1.0]
OF_CLASSES = {
    **{name: (SPARSE[name], DENSE[name]) for name in SPARSE},
    "focal(0.5)": tuple(
        functools.partial(forms["focal"], gamma=0.5, alpha=PRIOR) for forms in (SPARSE, DENSE)
    ),
    "weighted": tuple(
        functools.partial(forms["cross-entropy"], class_weights=PRIOR) for forms in (SPARSE, DENSE)
    ),
    "smoothed": tuple(
        functools.partial(forms["cross-entropy"], label_smoothing=0.1) for forms in (SPARSE, DENSE)
    ),
    "adjusted": (
        functools.partial(losses.sparse_categorical_logit_adjusted_crossentropy, class_prior=PRIOR),
        functools.partial(losses.categorical_logit_adjusted_crossentropy, class_prior=PRIOR),
    ),
}
# Scores of three classes, of which the first is the label.
UNBOUNDED = np.array(
    [
        [np.inf, 0, 1],
        [0, np.inf, 1],
        [np.inf, -np.inf, 0],
        [-np.inf, np.inf, 0],
        [-np.inf, 0, 1],
        [0, -np.inf, -np.inf],
        [np.inf, -np.inf, -np.inf],
        [np.inf, np.inf, 0],
        [0, np.inf, np.inf],
    ],
    "float32",
)


@pytest.mark.parametrize("name", OF_CLASSES)
def test_infinite_logits_of_classes_are_the_limit_of_large_ones(name):
    """Also one that is infinite and is not the label, or that several share."""
    # Where several are infinite, the frequencies of their classes count for nothing.
    x = UNBOUNDED[:-2] if name == "adjusted" else UNBOUNDED
    ids = np.zeros(len(x), "int32")
    for loss, y_true in zip(OF_CLASSES[name], (ids, np.eye(3, dtype="float32")[ids]), strict=True):
        call = lambda p, f=loss, y=y_true: f(y, p, from_logits=True)  # noqa: E731
        value, gradient = value_and_gradient(call, x)
        limit, slope = value_and_gradient(call, np.clip(x, -1e5, 1e5))
        np.testing.assert_allclose(value, np.where(limit > 1e3, np.inf, limit), rtol=1e-6)
        np.testing.assert_allclose(gradient, slope, rtol=1e-6)


MADE = {
    "softmax": (keras.activations.softmax, activations.softmax),
    "sigmoid": (keras.activations.sigmoid, activations.sigmoid),
    "softmax of another axis": (
        lambda x: keras.activations.softmax(x, axis=0),
        lambda x: activations.softmax(x, axis=0),
    ),
}
OF_PROBABILITIES = {
    "sparse": (losses.sparse_categorical_crossentropy, IDS[:4], "softmax"),
    "one-hot": (losses.categorical_focal_crossentropy, ONE_HOT[:4], "softmax"),
    "brier": (losses.categorical_brier, ONE_HOT[:4], "softmax"),
    "kl": (losses.kl_divergence, ONE_HOT[:4], "softmax"),
    "binary": (losses.binary_crossentropy, ONE_HOT[:4], "sigmoid"),
    "quality": (losses.quality_focal, ONE_HOT[:4], "sigmoid"),
}
MODERATE = {
    "random": X[:4],
    "zeros": np.zeros((4, 4), "float32"),
    "confident": np.array([[12, -12, 0, 3]] * 4, "float32"),
}


@pytest.mark.parametrize("mode", RUNS)
@pytest.mark.parametrize("name", OF_PROBABILITIES)
@pytest.mark.parametrize("made", MADE)
def test_attached_logits_are_those_of_what_made_the_probabilities(made, name, mode):
    """Keras's TensorFlow backend takes the logits of a sigmoid for those of a softmax."""
    loss, y_true, _ = OF_PROBABILITIES[name]
    run = RUNS[mode]
    # What is traced or compiled is so anew in each run, on JAX the eager ones too.
    lean = None if mode == "eager" and keras.backend.backend() != "jax" else 1
    for x in list(MODERATE.values())[:lean]:
        for function in MADE[made][:lean]:
            attached = run(lambda x, f=function: loss(y_true, f(x)), x)
            bare = run(lambda x, f=function: loss(y_true, f(x) * 1), x)
            for ours, expected in zip(attached, bare, strict=True):
                np.testing.assert_allclose(ours, expected, rtol=2e-3, atol=1e-6)


@pytest.mark.parametrize("mode", RUNS)
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("name", ["sparse", "kl", "binary"])
def test_attached_logits_of_a_confident_mistake(name, dtype, mode):
    """Beside samples that are removed, unknown or undecided."""
    loss, _, made = OF_PROBABILITIES[name]
    x = np.zeros((5, 3), "float32")
    x[:2] = [[120, -120, 0], [-110, 110, 0]]
    x[2] = np.nan
    y_true = np.array([1, 0, 0, 2, -1])
    settings = {"ignore_class": -1}
    if name == "kl":
        settings = {}
    if name != "sparse":
        y_true = np.eye(3, dtype="float32")[np.maximum(y_true, 0)]
    for function in MADE[made]:
        call = lambda x, f=function: loss(y_true, f(x), **settings)  # noqa: E731
        value, gradient = RUNS[mode](call, ops.cast(x, dtype))
        exclusive = made == "softmax"
        expected = [240, 220] if exclusive else [80, 220 / 3]
        np.testing.assert_allclose(value[:2], expected, rtol=0.01)
        share = 1 if exclusive else 1 / 3
        np.testing.assert_allclose(np.abs(gradient[:2, :2]), share, rtol=0.01)
        assert np.all(np.isfinite(value[3:]))


def test_attached_logits_in_training():
    """A model that ends in sigmoid, with a loss of exclusive classes, learns what it should."""
    x = np.array([[4.0], [-4.0]], "float32")
    for activation in ("sigmoid", "softmax"):
        weights = []
        for layers in ([], [keras.layers.Rescaling(1.0)]):  # Which leaves nothing attached.
            keras.utils.set_random_seed(0)
            inner = [keras.layers.Dense(3, activation=activation)]
            model = keras.Sequential([keras.Input((1,)), *inner, *layers])
            model.compile(keras.optimizers.SGD(0.5), losses.SparseCategoricalCrossentropy())
            model.fit(x, np.array([0, 2]), epochs=3, verbose=0)
            weights.append(model.layers[0].kernel)
        _same(*weights)


def test_generalized_of_a_column_of_ids():
    """Labels (batch, 1) are labels (batch,), where Keras's has a result of (batch, batch)."""
    call = losses.sparse_categorical_generalized_cross_entropy
    _same(call(IDS[:, None], P), call(IDS, P))
    assert call(IDS, P).shape == (8,)


def test_generalized_bounds_the_loss_of_a_mistake():
    x = np.array([[-200.0, 200.0]], "float32")
    value, gradient = value_and_gradient(
        lambda p: losses.sparse_categorical_generalized_cross_entropy(
            [0], p, q=0.25, from_logits=True
        ),
        x,
    )
    assert value[0] == pytest.approx(4)
    # exp(-400) is no float32, its fourth root is.
    np.testing.assert_allclose(gradient, [[-np.exp(-100.0), np.exp(-100.0)]], atol=1e-38)
    _, gradient = value_and_gradient(
        lambda p: losses.sparse_categorical_generalized_cross_entropy(
            [0], p, q=0.125, from_logits=True
        ),
        x,
    )
    np.testing.assert_allclose(gradient, [[-np.exp(-50.0), np.exp(-50.0)]], rtol=1e-5)


@pytest.mark.parametrize("form", ["binary", "categorical", "sparse_categorical"])
def test_no_probability_of_the_label_has_the_slope_of_a_bounded_loss(form):
    """Where the truth is finite it is that, also of what is too small to divide by."""
    y_true = {"binary": [[1.0, 0.0]], "categorical": [[1.0, 0.0]], "sparse_categorical": [0]}[form]
    generalized = getattr(losses, f"{form}_generalized_cross_entropy")
    symmetric = getattr(losses, f"{form}_symmetric_crossentropy")
    scale = 0.5 if form == "binary" else 1
    for p in (0.0, 1e-40, 1e-30):
        y_pred = np.array([[p, 0.0 if form == "binary" else 1.0]], "float32")
        for call, settings, slope in (
            (generalized, {"q": 1.0}, -1),
            (symmetric, {"alpha": 0.0, "beta": 3.0}, -3),
            (generalized, {"q": 0.5}, -100),
        ):
            _, gradient = value_and_gradient(functools.partial(call, y_true, **settings), y_pred)
            if settings.get("q") == 0.5:  # The truth is infinite, or close to it.
                assert gradient[0, 0] < scale * slope
            else:
                assert gradient[0, 0] == pytest.approx(scale * slope)
            assert form == "binary" or 0 <= gradient[0, 1] < 1e-14


@pytest.mark.parametrize("max_margin", [1e6, 1e10, 1e37])
def test_a_margin_may_be_of_any_size(max_margin):
    """What rounding takes from large numbers is no correction of their exponentials."""
    scores = np.array([[0.25, 0.5], [0.5, 0.25]], "float32")
    for loss, y_true in (
        (losses.label_distribution_aware_margin, [1, 1]),
        (losses.categorical_label_distribution_aware_margin, [[0, 1], [0, 1]]),
    ):
        call = functools.partial(loss, y_true, class_counts=[16, 1], max_margin=max_margin)
        value, gradient = value_and_gradient(call, scores)
        np.testing.assert_allclose(value, 2 * [30 * max_margin], rtol=1e-5)
        np.testing.assert_allclose(gradient, 2 * [[30, -30]], rtol=1e-6)


@pytest.mark.parametrize("classes", [2, 1000])
@pytest.mark.parametrize("t2", [1.05, 2.0, 4.0])
def test_bi_tempered_probabilities_sum_to_one(t2, classes):
    """With `t1 = 0` the loss is `(sum(p**2) + 1) / 2 - p`: the gradient has no sum if they do."""
    x = RNG.normal(size=(20, classes)).astype("float32") * 10.0 ** np.linspace(-2, 2, 20)[:, None]
    ids = RNG.integers(0, classes, 20)
    value, gradient = value_and_gradient(
        lambda p: losses.sparse_categorical_bi_tempered_logistic(ids, p, t1=0.0, t2=t2),
        x.astype("float32"),
    )
    low, high = x.max(-1, keepdims=True), x.max(-1, keepdims=True) + classes ** (t2 - 1) / (t2 - 1)
    for _ in range(100):
        middle = (low + high) / 2
        p = (1 + (t2 - 1) * (middle - np.float64(x.astype("float32")))) ** (-1 / (t2 - 1))
        low, high = np.where(p.sum(-1, keepdims=True) > 1, (middle, high), (low, middle))
    expected = ((p**2).sum(-1) + 1) / 2 - p[np.arange(20), ids]
    np.testing.assert_allclose(value, expected, rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(gradient.sum(-1), 0, atol=1e-6)


def test_identities():
    _same(
        losses.categorical_symmetric_crossentropy(ONE_HOT, P, alpha=1.0, beta=2.0),
        losses.categorical_poly_crossentropy(ONE_HOT, P, epsilon=2.0),
    )
    _same(
        losses.binary_poly_crossentropy([[1.0], [0.0]], [[2.5], [0.5]], from_logits=True),
        losses.sparse_categorical_poly_crossentropy(
            [1, 0], [[0.0, 2.5], [0.0, 0.5]], from_logits=True
        ),
    )
    _same(
        losses.sparse_categorical_logit_adjusted_crossentropy(
            IDS, P, class_prior=[4.0, 3.0, 2.0, 1.0]
        ),
        losses.sparse_categorical_logit_adjusted_crossentropy(
            IDS, np.log(P), class_prior=[0.4, 0.3, 0.2, 0.1], from_logits=True
        ),
    )
    _same(
        losses.multilabel_soft_margin(ONE_HOT, X),
        losses.binary_crossentropy(ONE_HOT, X, from_logits=True),
    )
    _same(
        losses.sparse_categorical_nll(IDS, np.log(P), label_smoothing=0.1),
        losses.sparse_categorical_crossentropy(IDS, P, label_smoothing=0.1),
    )
    _same(
        losses.categorical_brier(ONE_HOT, X, from_logits=True),
        losses.categorical_brier(ONE_HOT, ops.softmax(X)),
    )
    _same(
        2 * losses.binary_brier([[1.0], [0.0]], [[2.5], [0.5]], from_logits=True),
        losses.sparse_categorical_brier([1, 0], [[0.0, 2.5], [0.0, 0.5]], from_logits=True),
    )
    _same(
        losses.binary_symmetric_crossentropy(ONE_HOT, X, alpha=1.0, beta=2.0, from_logits=True),
        losses.binary_poly_crossentropy(ONE_HOT, X, epsilon=2.0, from_logits=True),
    )
    _same(
        losses.binary_generalized_cross_entropy([[1.0], [0.0]], [[2.5], [0.5]], from_logits=True),
        losses.sparse_categorical_generalized_cross_entropy(
            [1, 0], [[0.0, 2.5], [0.0, 0.5]], from_logits=True
        ),
    )
    _same(
        losses.label_distribution_aware_margin(IDS, X / 30, class_counts=[9, 4, 2, 1]),
        losses.categorical_label_distribution_aware_margin(
            ONE_HOT, X / 30, class_counts=[9, 4, 2, 1]
        ),
    )
    _same(losses.categorical_nll(ONE_HOT, X), losses.sparse_categorical_nll(IDS, X))


REFUSED = {
    "t1": (losses.CategoricalBiTemperedLogistic, {"t1": 1.0}, "1.0"),
    "t2": (losses.SparseCategoricalBiTemperedLogistic, {"t2": 1.0}, "1.0"),
    "gamma": (losses.BinaryFocalCrossentropy, {"gamma": -1.0}, "-1.0"),
    "alpha": (losses.BinaryFocalCrossentropy, {"alpha": 2.0}, "2.0"),
    "alpha of classes": (losses.CategoricalFocalCrossentropy, {"alpha": 0.25}, "one per class"),
    "epsilon": (losses.CategoricalPolyCrossentropy, {"epsilon": -2.0}, "-2.0"),
    "q of 0": (losses.CategoricalGeneralizedCrossEntropy, {"q": 0.0}, "(0, 1]"),
    "q": (losses.SparseCategoricalGeneralizedCrossEntropy, {"q": 1.5}, "1.5"),
    "beta": (losses.CategoricalSymmetricCrossentropy, {"beta": -1.0}, "-1.0"),
    "prior": (
        losses.SparseCategoricalLogitAdjustedCrossentropy,
        {"class_prior": [0.0, 1.0]},
        "above 0",
    ),
    "counts": (losses.LabelDistributionAwareMargin, {"class_counts": 3}, "one per class"),
    "margin": (
        losses.LabelDistributionAwareMargin,
        {"class_counts": [1, 2], "max_margin": -0.5},
        "-0.5",
    ),
}


@pytest.mark.parametrize(("cls", "settings", "named"), REFUSED.values(), ids=REFUSED)
def test_a_setting_is_refused(cls, settings, named):
    with pytest.raises((TypeError, ValueError)) as error:
        cls(**settings)
    assert named in str(error.value) and list(settings)[-1] in str(error.value)


def test_too_few_frequencies():
    for loss in (
        losses.SparseCategoricalLogitAdjustedCrossentropy(class_prior=[1.0, 2.0]),
        losses.LabelDistributionAwareMargin(class_counts=[1, 2]),
    ):
        with pytest.raises(ValueError, match=r"class_\w+: got 2 numbers, but y_pred has 4 classes"):
            loss(IDS, X)


@pytest.mark.parametrize("loss", [x for x in LOSSES if x.labels == "binary"], ids=repr)
def test_a_class_label_is_the_same_in_any_dtype(loss):
    config = loss.get_config()
    if "ignore_class" in config:  # No boolean and no int8 holds it.
        config["ignore_class"] = 255
    loss = type(loss).from_config(config)
    y_true, y_pred = testing.example_inputs(loss)
    expected = float(loss(np.float32(y_true > 0), y_pred))
    for dtype in ("bool", "uint8", "int8", "int64"):
        assert float(loss((y_true > 0).astype(dtype), y_pred)) == expected, dtype


@pytest.mark.parametrize("mode", RUNS)
@pytest.mark.parametrize("loss", ["cross-entropy", "focal"])
def test_classes_that_no_label_has_change_nothing(loss, mode):
    """Of many classes TensorFlow tells the leader by its index, of few by a mask."""
    x = X.copy()
    x[0], x[1, 1:3], x[2, 2], x[3, 3] = 0.0, 7.0, 200.0, np.inf

    def found(x):
        labels = np.eye(x.shape[1], dtype="float32")[IDS]
        return RUNS[mode](lambda x: DENSE[loss](labels, x, from_logits=True), x)

    value, gradient = found(x)
    of_many, steep = found(np.pad(x, ((0, 0), (0, 96)), constant_values=-1e4))
    np.testing.assert_allclose(of_many, value, rtol=1e-6)
    np.testing.assert_allclose(steep[:, :4], gradient, rtol=1e-6)
    np.testing.assert_array_equal(steep[:, 4:], 0)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("forms", [SPARSE, DENSE], ids=["sparse", "dense"])
@pytest.mark.parametrize("classes", [4, 96])
@pytest.mark.parametrize("weighted", [False, True])
def test_what_smoothing_leaves_for_the_others_is_not_lost(weighted, classes, forms, mode):
    """The slope of a label far ahead is what the others' labels amount to, in units of its own."""
    ids, smoothing = (np.arange(8) % 4).astype("int32"), 1e-3
    one_hot = np.eye(classes)[ids]
    x = np.float32(RNG.normal(size=one_hot.shape) + 30 * one_hot)
    weights = np.float32(RNG.uniform(0.5, 2, classes)) if weighted else np.ones(classes, "float32")
    settings = {"from_logits": True, "label_smoothing": smoothing}
    settings |= {"class_weights": weights} if weighted else {}
    y_true = ids if forms is SPARSE else np.float32(one_hot)
    loss = forms["cross-entropy"]
    value, gradient = RUNS[mode](lambda p: loss(y_true, p, **settings), x)
    labels = ((1 - smoothing) * one_hot + smoothing / classes) * weights
    e = np.exp(np.float64(x) - x.max(-1, keepdims=True))
    p = e / e.sum(-1, keepdims=True)
    others = np.float64(labels * (one_hot == 0)).sum(-1, keepdims=True)
    q = (p * (one_hot == 0)).sum(-1, keepdims=True)
    slope = others - (others + labels) * q
    expected = np.where(one_hot == 0, labels.sum(-1, keepdims=True) * p - labels, slope)
    np.testing.assert_allclose(value, -(labels * np.log(p)).sum(-1), rtol=1e-6)
    np.testing.assert_allclose(gradient, expected, rtol=2e-6)


@pytest.mark.parametrize("forms", [SPARSE, DENSE], ids=["sparse", "dense"])
@pytest.mark.parametrize("weights", [None, np.float16([0.5, 1.5, 1, 3])])
def test_numbers_of_numpy_lend_smoothing_no_dtype(weights, forms):
    y_true = IDS if forms is SPARSE else ONE_HOT
    numbers = None if weights is None else weights.tolist()
    for smoothing in (np.float16(0.125), np.float64(0.125)):
        got = forms["cross-entropy"](y_true, P, label_smoothing=smoothing, class_weights=weights)
        _same(got, forms["cross-entropy"](y_true, P, label_smoothing=0.125, class_weights=numbers))


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.6])
def test_a_row_of_masked_logits_only_is_a_number(smoothing):
    x = np.full((1, 4), -np.inf, "float32")
    loss = losses.sparse_categorical_crossentropy
    assert np.isfinite(array(loss([0], x, from_logits=True, label_smoothing=smoothing)))


def test_weights_of_many_classes_are_not_walked_one_by_one():
    # Keras looks at each number of a list, hundreds of times as long as the loss takes. Calls
    # are counted, which no load of the machine changes.
    def calls(classes):
        x, ids = ops.zeros((2, classes)), ops.convert_to_tensor([5, 7], dtype="int32")
        weights = [1.0 + i % 3 for i in range(classes)]
        loss = losses.SparseCategoricalCrossentropy(from_logits=True, class_weights=weights)
        loss(ids, x)  # what is compiled or cached at first is not of interest
        profile = cProfile.Profile()
        profile.runcall(loss, ids, x)
        return sum(entry.callcount for entry in profile.getstats())

    assert calls(30_000) < 1.1 * calls(300)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="others know all sizes")
@pytest.mark.parametrize("from_logits", [True, False])
def test_a_graph_need_not_know_how_many_classes_there_are(from_logits):
    import tensorflow as tf

    loss = losses.SparseCategoricalCrossentropy(from_logits=from_logits, ignore_class=-1)
    unknown = [tf.TensorSpec([None], "int32"), tf.TensorSpec([None, None], "float32")]
    ids = np.where(np.arange(8) < 2, -1, IDS)
    for y_pred in (P, np.concatenate([P, P], axis=-1)):
        got = tf.function(loss, input_signature=unknown)(ids, y_pred)
        np.testing.assert_allclose(got, array(loss(ids, y_pred)), rtol=1e-6)
