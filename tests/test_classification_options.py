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

# The loss of a label as a function of its probability, its classes and their own settings.
FAMILIES = {
    "cross-entropy": (
        lambda p: -np.log(p),
        {
            BINARY: losses.BinaryCrossentropy,
            ONE_HOT: losses.CategoricalCrossentropy,
            IDS: losses.SparseCategoricalCrossentropy,
        },
        {},
    ),
    "focal": (
        lambda p: -((1 - p) ** 1.5) * np.log(p),
        {
            BINARY: losses.BinaryFocalCrossentropy,
            ONE_HOT: losses.CategoricalFocalCrossentropy,
            IDS: losses.SparseCategoricalFocalCrossentropy,
        },
        {"gamma": 1.5},
    ),
    "poly": (
        lambda p: -np.log(p) - 0.5 * (1 - p),
        {
            BINARY: losses.BinaryPolyCrossentropy,
            ONE_HOT: losses.CategoricalPolyCrossentropy,
            IDS: losses.SparseCategoricalPolyCrossentropy,
        },
        {"epsilon": -0.5},
    ),
    "generalized": (
        lambda p: (1 - p**0.7) / 0.7,
        {
            ONE_HOT: losses.CategoricalGeneralizedCrossEntropy,
            IDS: losses.SparseCategoricalGeneralizedCrossEntropy,
        },
        {"q": 0.7},
    ),
    "symmetric": (
        lambda p: -0.5 * np.log(p) + 2 * (1 - p),
        {
            ONE_HOT: losses.CategoricalSymmetricCrossentropy,
            IDS: losses.SparseCategoricalSymmetricCrossentropy,
        },
        {"alpha": 0.5, "beta": 2.0},
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


def _of_row(f, labels, row, weights, smoothing, from_logits, binary):
    """Of one row of classes: a list of terms for binary labels, else one number."""
    labels, row = np.float64(labels), np.float64(row)
    p = np.exp(row - np.logaddexp.reduce(row)) if from_logits else row / row.sum()
    if not binary:
        labels = labels * (1 - smoothing) + smoothing / len(row)
        return np.sum(weights * labels * f(p))
    p = 1 / (1 + np.exp(-row)) if from_logits else row
    labels = labels * (1 - smoothing) + smoothing / 2
    return weights[1] * labels * f(p) + weights[0] * (1 - labels) * f(1 - p)


def _settings(cls, kind, o):
    """What of the options the class takes, and the weights and smoothing that come of it."""
    settings = {k: o[k] for k in ("from_logits", "axis", "reduction", "dtype")}
    weights = np.ones(2 if kind == BINARY else CLASSES)
    if o["class_weights"]:
        takes_alpha = "class_weights" not in cls._settings
        if kind == BINARY:
            weights = np.array([0.75, 0.25])
            settings["alpha"] = 0.25
            if not takes_alpha:
                del settings["alpha"]
                settings["class_weights"] = weights.tolist()
        else:
            weights = np.array([0.5, 2.0, 0.0])
            settings["alpha" if takes_alpha else "class_weights"] = weights.tolist()
    if "label_smoothing" in cls._settings:
        settings["label_smoothing"] = o["label_smoothing"]
    return settings, weights


@pytest.mark.parametrize(("family", "kind"), CASES, ids="-".join)
@given(OPTIONS)
def test_every_combination(family, kind, o):
    f, classes, own = FAMILIES[family]
    cls, binary = classes[kind], kind == BINARY
    rng = np.random.default_rng(o["seed"])
    ids = rng.integers(0, CLASSES, (BATCH, STEPS))
    rows = rng.integers(0, 2, (BATCH, STEPS, CLASSES)) if binary else np.eye(CLASSES)[ids]
    logits = rng.normal(size=rows.shape) * 3
    e = np.exp(logits)
    p = 1 / (1 + 1 / e) if binary else e / e.sum(-1, keepdims=True)
    predicted = (logits if o["from_logits"] else p).astype("float32")
    settings, weights = _settings(cls, kind, o)
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
        labels = np.maximum(rows[i, t], 0)
        value = _of_row(f, labels, predicted[i, t], weights, smoothing, o["from_logits"], binary)
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
