"""Every option of every classification loss with every other, beside a plain loop in float64."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras import ops

from keras_actloss import losses

pytestmark = pytest.mark.slow

BATCH, STEPS, CLASSES = 3, 4, 3
BINARY, SCORES, ONE_HOT, IDS = "binary", "scores", "onehot", "ids"
COUNTS = [10.0, 3.0, 1.0]


def _softmax(row):
    return np.exp(row - np.logaddexp.reduce(row))


def _of(f, prior=1.0):
    """`sum(w * y * f(p))` of a row of classes; for binary labels a list of such sums."""

    def of_row(y, row, w, from_logits, binary):
        if binary:
            p = 1 / (1 + np.exp(-row)) if from_logits else row
            return w[1] * y * f(p) + w[0] * (1 - y) * f(1 - p)
        p = prior * (_softmax(row) if from_logits else row)
        return np.sum(w * y * f(p / p.sum()))

    return of_row


def _cross_entropy(p):
    return -np.log(p)


def _margin(y, row, w, from_logits, binary):
    margins = 0.25 * (min(COUNTS) / np.array(COUNTS)) ** 0.25
    return np.sum(w * y * _cross_entropy(_softmax(4 * (row - margins * (y == y.max())))))


def _by_row(loss):
    """`loss(y, row, from_logits)` that is no sum over labels: a row weighs what its label does."""

    def of_row(y, row, w, from_logits, binary):
        weight = np.where(y > 0.5, w[1], w[0]) if binary else w[np.argmax(y)]
        return weight * loss(y, row, from_logits)

    return of_row


def _sigmoid(x):
    return 1 / (1 + np.exp(-x))


def _brier(y, row, from_logits):
    return np.sum(((_softmax(row) if from_logits else row) - y) ** 2)


def _binary_brier(y, row, from_logits):
    return ((_sigmoid(row) if from_logits else row) - y) ** 2


def _lifted(exponent, low, high):
    """What `exponent(shift)` gives where it sums to 1, by halving."""
    for _ in range(60):
        middle = (low + high) / 2
        p = exponent(middle)
        low, high = (middle, high) if p.sum() > 1 else (low, middle)
    return p


def _tempered(y, row, from_logits):
    """At temperatures 1/2 and 2."""
    p = _lifted(lambda shift: 1 / (1 + shift - row), row.max(), row.max() + CLASSES)
    return np.sum(2 * y * (np.sqrt(y) - np.sqrt(p)) - (y**1.5 - p**1.5) / 1.5)


def _fenchel_young(alpha):
    def loss(y, row, from_logits):
        z = (alpha - 1) * row
        p = _lifted(lambda t: np.maximum(z - t, 0) ** (1 / (alpha - 1)), z.max() - 1, z.max())
        return np.sum((p - y) * row - (p**alpha - y**alpha) / (alpha * (alpha - 1)))

    return loss


def _lead(margin):
    """By how much the best other score leads the label's, and a margin."""

    def loss(y, row, from_logits):
        label = np.argmax(y)
        return max(margin + np.delete(row, label).max() - row[label], 0)

    return loss


def _all_leads(y, row, from_logits):
    label = np.argmax(y)
    return np.sum(np.maximum(0.5 + np.delete(row, label) - row[label], 0) ** 2) / CLASSES


def _divergence(share):
    """`share * KL(y, m) + (1 - share) * KL(q, m)` of the mixture `m`; without a share KL(y, q)."""

    def of_row(y, row, w, from_logits, binary):
        q = _softmax(row) if from_logits else row
        m = q if share is None else share * y + (1 - share) * q

        def kl(a):
            return np.sum(np.where(a == 0, 0, a * np.log(np.where(a == 0, 1, a) / m)))

        return kl(y) if share is None else share * kl(y) + (1 - share) * kl(q)

    return of_row


def _asymmetric(y, row, w, from_logits, binary):
    p = _sigmoid(row) if from_logits else row
    u = np.maximum(p - 0.1, 0)
    return w[1] * y * (1 - p) ** 0.5 * -np.log(p) + w[0] * (1 - y) * u**2 * -np.log(1 - u)


def _focused(weight):
    """The cross-entropy of scores, times a weight of target and probability."""

    def of_row(y, row, w, from_logits, binary):
        p = _sigmoid(row) if from_logits else row
        return weight(y, p) * (-y * np.log(p) - (1 - y) * np.log(1 - p))

    return of_row


def _peaks(y, row, w, from_logits, binary):
    p = _sigmoid(row) if from_logits else row
    return np.where(y == 1, -((1 - p) ** 2) * np.log(p), -((1 - y) ** 4) * p**2 * np.log(1 - p))


def _soft_f1(y, row, w, from_logits, binary):
    p = _sigmoid(row) if from_logits else row
    return 1 - (2 * np.sum(y * p) + 0.5) / (np.sum(y + p) + 0.5)


def _pairs(y, row, w, from_logits, binary):
    short = [max(1 - a + b, 0) for a in row[y == 1] for b in row[y == 0]]
    return sum(short) / len(row)


def _hardest(entries, labels):
    k = max(1, int(0.4 * len(entries) + 0.5))
    return np.sort(entries)[-k:].mean()


def _over_peaks(entries, labels):
    return entries.sum() / max(np.sum(labels == 1), 1)


# Losses of a whole sample, as functions of its entries and labels.
OF_SAMPLE = {
    losses.TopKBinaryCrossentropy: _hardest,
    losses.TopKSparseCategoricalCrossentropy: _hardest,
    losses.PenaltyReducedFocal: _over_peaks,
}


# The loss of a row, the classes and their own settings.
FAMILIES = {
    "cross-entropy": (
        _of(_cross_entropy),
        {
            BINARY: losses.BinaryCrossentropy,
            ONE_HOT: losses.CategoricalCrossentropy,
            IDS: losses.SparseCategoricalCrossentropy,
        },
        {},
    ),
    "focal": (
        _of(lambda p: -((1 - p) ** 1.5) * np.log(p)),
        {
            BINARY: losses.BinaryFocalCrossentropy,
            ONE_HOT: losses.CategoricalFocalCrossentropy,
            IDS: losses.SparseCategoricalFocalCrossentropy,
        },
        {"gamma": 1.5},
    ),
    "poly": (
        _of(lambda p: -np.log(p) - 0.5 * (1 - p)),
        {
            BINARY: losses.BinaryPolyCrossentropy,
            ONE_HOT: losses.CategoricalPolyCrossentropy,
            IDS: losses.SparseCategoricalPolyCrossentropy,
        },
        {"epsilon": -0.5},
    ),
    "generalized": (
        _of(lambda p: (1 - p**0.7) / 0.7),
        {
            BINARY: losses.BinaryGeneralizedCrossEntropy,
            ONE_HOT: losses.CategoricalGeneralizedCrossEntropy,
            IDS: losses.SparseCategoricalGeneralizedCrossEntropy,
        },
        {"q": 0.7},
    ),
    "symmetric": (
        _of(lambda p: -0.5 * np.log(p) + 2 * (1 - p)),
        {
            BINARY: losses.BinarySymmetricCrossentropy,
            ONE_HOT: losses.CategoricalSymmetricCrossentropy,
            IDS: losses.SparseCategoricalSymmetricCrossentropy,
        },
        {"alpha": 0.5, "beta": 2.0},
    ),
    "adjusted": (
        _of(_cross_entropy, np.array(COUNTS) ** 0.5),
        {
            ONE_HOT: losses.CategoricalLogitAdjustedCrossentropy,
            IDS: losses.SparseCategoricalLogitAdjustedCrossentropy,
        },
        {"class_prior": COUNTS, "tau": 0.5},
    ),
    "margin": (
        _margin,
        {
            ONE_HOT: losses.CategoricalLabelDistributionAwareMargin,
            IDS: losses.LabelDistributionAwareMargin,
        },
        {"class_counts": COUNTS, "max_margin": 0.25, "scale": 4.0},
    ),
    "nll": (
        lambda y, row, w, from_logits, binary: -np.sum(w * y * row),
        {ONE_HOT: losses.CategoricalNLL, IDS: losses.SparseCategoricalNLL},
        {},
    ),
    "soft margin": (
        lambda y, row, w, from_logits, binary: (
            w * _of(_cross_entropy)(y, row, [1, 1], from_logits, binary)
        ),
        {BINARY: losses.MultilabelSoftMargin},
        {},
    ),
    "bi-tempered": (
        _by_row(_tempered),
        {
            ONE_HOT: losses.CategoricalBiTemperedLogistic,
            IDS: losses.SparseCategoricalBiTemperedLogistic,
        },
        {"t1": 0.5, "t2": 2.0},
    ),
    "brier": (
        _by_row(_brier),
        {ONE_HOT: losses.CategoricalBrier, IDS: losses.SparseCategoricalBrier},
        {},
    ),
    "binary brier": (_by_row(_binary_brier), {BINARY: losses.BinaryBrier}, {}),
    "sparsemax": (
        _by_row(_fenchel_young(2)),
        {ONE_HOT: losses.CategoricalSparsemax, IDS: losses.SparseCategoricalSparsemax},
        {},
    ),
    "entmax": (
        _by_row(_fenchel_young(1.5)),
        {ONE_HOT: losses.CategoricalEntmax, IDS: losses.SparseCategoricalEntmax},
        {},
    ),
    "entmax(1.3)": (
        _by_row(_fenchel_young(1.3)),
        {ONE_HOT: losses.CategoricalEntmax},
        {"alpha": 1.3},
    ),
    "hinge": (_by_row(_lead(1)), {ONE_HOT: losses.CategoricalHinge}, {}),
    "perceptron": (
        _by_row(_lead(0)),
        {ONE_HOT: losses.CategoricalPerceptron, IDS: losses.SparseCategoricalPerceptron},
        {},
    ),
    "multi-margin": (
        _by_row(_all_leads),
        {IDS: losses.MultiMargin},
        {"p": 2, "margin": 0.5},
    ),
    "kl": (_divergence(None), {ONE_HOT: losses.KLDivergence}, {}),
    "jensen-shannon": (_divergence(0.3), {ONE_HOT: losses.JensenShannon}, {"beta": 0.3}),
    "asymmetric": (
        _asymmetric,
        {BINARY: losses.AsymmetricBinaryCrossentropy},
        {"gamma_negative": 2.0, "gamma_positive": 0.5, "clip": 0.1},
    ),
    "varifocal": (
        _focused(lambda y, p: np.where(y > 0, y, 0.75 * p**2)),
        {SCORES: losses.Varifocal},
        {},
    ),
    "quality focal": (
        _focused(lambda y, p: np.abs(y - p) ** 1.5),
        {SCORES: losses.QualityFocal},
        {"beta": 1.5},
    ),
    "penalty-reduced focal": (_peaks, {SCORES: losses.PenaltyReducedFocal}, {}),
    "soft F1": (_soft_f1, {BINARY: losses.SoftF1}, {"smooth": 0.5}),
    "multi-label margin": (_pairs, {BINARY: losses.MultilabelMargin}, {}),
    "hardest": (
        _of(_cross_entropy),
        {BINARY: losses.TopKBinaryCrossentropy, IDS: losses.TopKSparseCategoricalCrossentropy},
        {"fraction": 0.4},
    ),
}
CASES = [(family, kind) for family, (_, classes, _) in FAMILIES.items() for kind in classes]

OPTIONS = st.fixed_dictionaries(
    {
        "from_logits": st.booleans(),
        "label_smoothing": st.sampled_from([0.0, 0.1]),
        "axis": st.sampled_from([-1, 1, -2]),
        "class_weights": st.booleans(),
        "ignored": st.booleans(),
        "reduction": st.sampled_from(
            ["none", "sum", "sum_over_batch_size", "mean_with_sample_weight"]
        ),
        "dtype": st.sampled_from(["float32", "bfloat16"]),
        "weighted": st.booleans(),
        "masked": st.booleans(),
        "seed": st.integers(0, 10_000),
    }
)


def _settings(cls, kind, o):
    """What of the options the class takes, and the weights of the classes."""
    names = ("from_logits", "axis", "label_smoothing", "reduction", "dtype")
    taken = (*cls._settings, "reduction", "dtype")
    settings = {name: o[name] for name in names if name in taken}
    of_labels = kind in (BINARY, SCORES) and cls is not losses.MultilabelSoftMargin
    weights = np.array([0.75, 0.25] if of_labels else [0.5, 2.0, 0.0])
    if o["class_weights"] and "class_weights" in taken:
        return {**settings, "class_weights": weights.tolist()}, weights
    if o["class_weights"] and "alpha" in taken and "Focal" in cls.__name__ and kind != SCORES:
        return {**settings, "alpha": 0.25 if of_labels else weights.tolist()}, weights
    return settings, np.ones_like(weights)


@pytest.mark.parametrize(("family", "kind"), CASES, ids=str)
@given(OPTIONS)
def test_every_combination(family, kind, o):
    of_row, classes, own = FAMILIES[family]
    cls, binary = classes[kind], kind in (BINARY, SCORES)
    of_sample = OF_SAMPLE.get(cls)
    rng = np.random.default_rng(o["seed"])
    ids = rng.integers(0, CLASSES, (BATCH, STEPS))
    rows = rng.integers(0, 2, (BATCH, STEPS, CLASSES)) if binary else np.eye(CLASSES)[ids]
    if kind == SCORES:
        rows = rng.choice([0.0, 0.25, 1.0], rows.shape)
    logits = rng.normal(size=rows.shape) * 3
    e = np.exp(logits)
    p = 1 / (1 + 1 / e) if binary else e / e.sum(-1, keepdims=True)
    settings, weights = _settings(cls, kind, o)
    from_logits = settings.get("from_logits", True)
    predicted = (logits if from_logits else p).astype("float32")
    smoothing = settings.get("label_smoothing", 0.0)
    counted = np.ones(rows.shape, bool)
    if o["ignored"] and "ignore_class" in cls._settings:
        ignored = -1 if binary else 1
        counted = rng.random(rows.shape) < 0.7 if binary else (ids != ignored)[..., None] & counted
        rows = np.where(counted, rows, ignored) if binary else rows
        settings["ignore_class"] = ignored
    sample_weight = rng.integers(0, 3, BATCH).astype("float32") if o["weighted"] else None
    keep = rng.random((BATCH, STEPS)) < 0.7 if o["masked"] else np.ones((BATCH, STEPS), bool)

    values = []  # Of a sample, with its weight.
    for i in range(BATCH):
        weight, of_steps = 1.0 if sample_weight is None else sample_weight[i], []
        for t in range(STEPS):
            c = counted[i, t]
            if not keep[i, t] or not np.any(c):
                continue
            y, row = rows[i, t][c], np.float64(predicted[i, t][c])
            labels = y * (1 - smoothing) + smoothing / (2 if binary else CLASSES)
            w = weights[c] if len(weights) == CLASSES else weights
            of_steps.append((np.atleast_1d(of_row(labels, row, w, from_logits, binary)), labels))
        if of_sample and of_steps:
            entries, labels = (np.concatenate(part) for part in zip(*of_steps, strict=True))
            values.append((of_sample(entries, labels), weight))
        elif of_steps:
            values.extend((entries.mean(), weight) for entries, _ in of_steps)
    total, count = sum(value * weight for value, weight in values), len(values)
    mass = sum(weight for _, weight in values)
    divisor = {
        "none": 1,
        "sum": 1,
        "sum_over_batch_size": count,
        "mean_with_sample_weight": mass if o["weighted"] else count,
    }[o["reduction"]]
    expected = total / divisor if divisor else 0.0

    axis = settings.get("axis", -1)
    y_true = ids if kind == IDS else np.moveaxis(rows, -1, axis)
    y_pred = ops.convert_to_tensor(np.moveaxis(predicted, -1, axis))
    if o["masked"]:
        y_pred._keras_mask = ops.convert_to_tensor(keep)
    got = ops.cast(cls(**own, **settings)(y_true, y_pred, sample_weight), "float32")
    got = float(ops.sum(got))
    tolerance = 1e-4 if o["dtype"] == "float32" else 2e-2
    assert got == pytest.approx(expected, rel=tolerance, abs=1e-6)
