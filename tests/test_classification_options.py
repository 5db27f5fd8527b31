"""Every option of every classification loss with every other, beside a plain loop in float64."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras import ops

from keras_actloss import losses

pytestmark = pytest.mark.slow

BATCH, STEPS, CLASSES = 3, 4, 3
BINARY, ONE_HOT, IDS = "binary", "onehot", "ids"
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
    return np.sum(w * y * _cross_entropy(_softmax(4 * (row - margins * y))))


def _brier(y, row, w, from_logits, binary):
    return np.sum(((_softmax(row) if from_logits else row) - y) ** 2)


def _tempered(y, row, w, from_logits, binary):
    """At temperatures 1/2 and 2; halving finds the shift at which probabilities sum to 1."""
    low, high = row.max(), row.max() + CLASSES
    for _ in range(60):
        middle = (low + high) / 2
        p = 1 / (1 + middle - row)
        low, high = (middle, high) if p.sum() > 1 else (low, middle)
    return np.sum(2 * y * (np.sqrt(y) - np.sqrt(p)) - (y**1.5 - p**1.5) / 1.5)


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
            ONE_HOT: losses.CategoricalGeneralizedCrossEntropy,
            IDS: losses.SparseCategoricalGeneralizedCrossEntropy,
        },
        {"q": 0.7},
    ),
    "symmetric": (
        _of(lambda p: -0.5 * np.log(p) + 2 * (1 - p)),
        {
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
        {IDS: losses.LabelDistributionAwareMargin},
        {"class_counts": COUNTS, "max_margin": 0.25, "scale": 4.0},
    ),
    "nll": (
        lambda y, row, w, from_logits, binary: -np.sum(w * y * row),
        {IDS: losses.SparseCategoricalNLL},
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
        _tempered,
        {
            ONE_HOT: losses.CategoricalBiTemperedLogistic,
            IDS: losses.SparseCategoricalBiTemperedLogistic,
        },
        {"t1": 0.5, "t2": 2.0},
    ),
    "brier": (
        _brier,
        {ONE_HOT: losses.CategoricalBrier, IDS: losses.SparseCategoricalBrier},
        {},
    ),
}
CASES = [(family, kind) for family, (_, classes, _) in FAMILIES.items() for kind in classes]

OPTIONS = st.fixed_dictionaries(
    {
        "from_logits": st.booleans(),
        "label_smoothing": st.sampled_from([0.0, 0.1]),
        "axis": st.sampled_from([-1, 1, 2]),
        "class_weights": st.booleans(),
        "ignored": st.booleans(),
        "reduction": st.sampled_from(["sum", "sum_over_batch_size", "mean_with_sample_weight"]),
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
    of_labels = kind == BINARY and cls is not losses.MultilabelSoftMargin
    weights = np.array([0.75, 0.25] if of_labels else [0.5, 2.0, 0.0])
    if o["class_weights"] and "class_weights" in taken:
        return {**settings, "class_weights": weights.tolist()}, weights
    if o["class_weights"] and "alpha" in taken and "beta" not in taken:
        return {**settings, "alpha": 0.25 if of_labels else weights.tolist()}, weights
    return settings, np.ones_like(weights)


@pytest.mark.parametrize(("family", "kind"), CASES, ids=str)
@given(OPTIONS)
def test_every_combination(family, kind, o):
    of_row, classes, own = FAMILIES[family]
    cls, binary = classes[kind], kind == BINARY
    rng = np.random.default_rng(o["seed"])
    ids = rng.integers(0, CLASSES, (BATCH, STEPS))
    rows = rng.integers(0, 2, (BATCH, STEPS, CLASSES)) if binary else np.eye(CLASSES)[ids]
    logits = rng.normal(size=rows.shape) * 3
    e = np.exp(logits)
    p = 1 / (1 + 1 / e) if binary else e / e.sum(-1, keepdims=True)
    settings, weights = _settings(cls, kind, o)
    from_logits = settings.get("from_logits", True)
    predicted = (logits if from_logits else p).astype("float32")
    smoothing = settings.get("label_smoothing", 0.0)
    ignored = np.zeros(rows.shape[:-1], bool)
    if o["ignored"] and binary:
        ignored = rng.random(rows.shape) < 0.3
        rows = np.where(ignored, -1, rows)
        settings["ignore_class"] = -1
    elif o["ignored"]:
        ignored = ids == 1
        settings["ignore_class"] = 1
    sample_weight = rng.integers(0, 3, BATCH).astype("float32") if o["weighted"] else None
    keep = rng.random((BATCH, STEPS)) < 0.7 if o["masked"] else np.ones((BATCH, STEPS), bool)

    total, count, mass = 0.0, 0, 0.0
    for i, t in np.ndindex(BATCH, STEPS):
        if not keep[i, t] or np.all(ignored[i, t]):
            continue
        labels = np.maximum(rows[i, t], 0) * (1 - smoothing)
        labels = labels + smoothing / (2 if binary else CLASSES)
        value = of_row(labels, np.float64(predicted[i, t]), weights, from_logits, binary)
        value = np.mean(value[~ignored[i, t]]) if binary else value
        weight = 1.0 if sample_weight is None else sample_weight[i]
        total, count, mass = total + weight * value, count + 1, mass + weight
    divisor = {
        "sum": 1,
        "sum_over_batch_size": count,
        "mean_with_sample_weight": mass if o["weighted"] else count,
    }[o["reduction"]]
    expected = total / divisor if divisor else 0.0

    axis = o["axis"]
    y_true = ids if kind == IDS else np.moveaxis(rows, -1, axis)
    y_pred = ops.convert_to_tensor(np.moveaxis(predicted, -1, axis))
    if o["masked"]:
        y_pred._keras_mask = ops.convert_to_tensor(keep)
    got = float(ops.cast(cls(**own, **settings)(y_true, y_pred, sample_weight), "float32"))
    tolerance = 1e-4 if o["dtype"] == "float32" else 2e-2
    assert got == pytest.approx(expected, rel=tolerance, abs=1e-6)
