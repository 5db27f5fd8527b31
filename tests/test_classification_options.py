"""Every option of every classification loss with every other, beside a plain loop in float64."""

import types

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from keras_actloss import losses
from keras_actloss.testing.backend import value_and_gradient

pytestmark = pytest.mark.slow

BATCH, STEPS, CLASSES = 3, 4, 3
BINARY, SCORES, SIGNS, ONE_HOT, IDS, RANKS = "binary", "scores", "signs", "onehot", "ids", "ranks"
OF_ENTRIES = (BINARY, SCORES, SIGNS)
COUNTS = [10.0, 3.0, 1.0]


def _softmax(row):
    return np.exp(row - np.logaddexp.reduce(row))


def _of(f, prior=1.0):
    """`sum(w * y * f(p))` of a row of classes; for binary labels a list of such sums.

    What a row is at: its `label` before smoothing, the weights `w` of its classes or entries,
    `from_logits`, and whether it is `binary`.
    """

    def of_row(y, row, at):
        if at.binary:
            p = _sigmoid(row) if at.from_logits else row
            return at.w[1] * y * f(p) + at.w[0] * (1 - y) * f(1 - p)
        p = prior * (_softmax(row) if at.from_logits else row)
        return np.sum(at.w * y * f(p / p.sum()))

    return of_row


def _cross_entropy(p):
    return -np.log(p)


def _margin(y, row, at):
    margins = 0.25 * (min(COUNTS) / np.array(COUNTS)) ** 0.25
    return np.sum(at.w * y * _cross_entropy(_softmax(4 * (row - margins * (y == y.max())))))


def _by_label(loss):
    """`loss(y, row, from_logits)` that is no sum over labels: a row weighs what its label does."""

    def of_row(y, row, at):
        if at.binary:
            weight = at.w[1] * at.label + at.w[0] * (1 - at.label)
        else:
            weight = np.sum(at.w * at.label)
        return weight * loss(y, row, at.from_logits)

    return of_row


def _by_sign(loss):
    """`loss(alike, row)` of labels of two signs."""

    def of_row(y, row, at):
        return np.where(y > 0, at.w[1], at.w[0]) * loss(y > 0, row)

    return of_row


def _of_side(loss):
    """`loss` of how far scores are on their own side."""
    return _by_sign(lambda positive, row: loss(np.where(positive, row, -row)))


def _sigmoid(x):
    return 1 / (1 + np.exp(-x))


def _brier(y, row, from_logits):
    return np.sum(((_softmax(row) if from_logits else row) - y) ** 2)


def _binary_brier(y, row, from_logits):
    return ((_sigmoid(row) if from_logits else row) - y) ** 2


def _squared_emd(y, row, from_logits):
    p = _softmax(row) if from_logits else row / row.sum()
    return np.sum(np.cumsum(p - y) ** 2)


def _levels(weights, goes_on):
    """Cross-entropy of whether the class lies above each level, up to where it `goes_on`."""

    def loss(y, row, from_logits):
        rank, k = np.argmax(y), np.arange(len(row))
        entries = weights * np.logaddexp(0, np.where(rank > k, -row, row))
        return entries.sum(where=goes_on | (k <= rank))

    return loss


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

    def of_row(y, row, at):
        q = _softmax(row) if at.from_logits else row
        m = q if share is None else share * y + (1 - share) * q

        def kl(a):
            return np.sum(np.where(a == 0, 0, a * np.log(np.where(a == 0, 1, a) / m)))

        return kl(y) if share is None else share * kl(y) + (1 - share) * kl(q)

    return of_row


def _asymmetric(y, row, at):
    p, w = _sigmoid(row) if at.from_logits else row, at.w
    u = np.maximum(p - 0.1, 0)
    return w[1] * y * (1 - p) ** 0.5 * -np.log(p) + w[0] * (1 - y) * u**2 * -np.log(1 - u)


def _focused(weight):
    """The cross-entropy of scores, times a weight of target and probability."""

    def loss(y, row, from_logits):
        p = _sigmoid(row) if from_logits else row
        return weight(y, p) * (-y * np.log(p) - (1 - y) * np.log(1 - p))

    return _by_label(loss)


def _peaks(y, row, at):
    p = _sigmoid(row) if at.from_logits else row
    fading = -((1 - y) ** 4) * p**2 * np.log(1 - p)
    return np.where(y == 1, at.w[1] * -((1 - p) ** 2) * np.log(p), at.w[0] * fading)


def _soft_f1(y, row, at):
    p = _sigmoid(row) if at.from_logits else row
    return 1 - (2 * np.sum(at.w * y * p) + 0.5) / (np.sum(at.w * (y + p)) + 0.5)


def _pairs(y, row, at):
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
    losses.TopKCategoricalCrossentropy: _hardest,
    losses.TopKSparseCategoricalCrossentropy: _hardest,
    losses.PenaltyReducedFocal: _over_peaks,
    losses.SequenceCrossentropy: lambda entries, labels: entries.sum(),
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
        lambda y, row, at: -np.sum(at.w * y * row),
        {ONE_HOT: losses.CategoricalNLL, IDS: losses.SparseCategoricalNLL},
        {},
    ),
    "multi-label soft margin": (
        lambda y, row, at: at.w * np.logaddexp(0, row) - at.w * y * row,
        {BINARY: losses.MultilabelSoftMargin},
        {},
    ),
    "bi-tempered": (
        _by_label(_tempered),
        {
            ONE_HOT: losses.CategoricalBiTemperedLogistic,
            IDS: losses.SparseCategoricalBiTemperedLogistic,
        },
        {"t1": 0.5, "t2": 2.0},
    ),
    "brier": (
        _by_label(_brier),
        {ONE_HOT: losses.CategoricalBrier, IDS: losses.SparseCategoricalBrier},
        {},
    ),
    "binary brier": (_by_label(_binary_brier), {BINARY: losses.BinaryBrier}, {}),
    "sparsemax": (
        _by_label(_fenchel_young(2)),
        {ONE_HOT: losses.CategoricalSparsemax, IDS: losses.SparseCategoricalSparsemax},
        {},
    ),
    "entmax": (
        _by_label(_fenchel_young(1.5)),
        {ONE_HOT: losses.CategoricalEntmax, IDS: losses.SparseCategoricalEntmax},
        {},
    ),
    "entmax(1.3)": (
        _by_label(_fenchel_young(1.3)),
        {ONE_HOT: losses.CategoricalEntmax},
        {"alpha": 1.3},
    ),
    "categorical hinge": (
        _by_label(_lead(1)),
        {ONE_HOT: losses.CategoricalHinge, IDS: losses.SparseCategoricalHinge},
        {},
    ),
    "categorical perceptron": (
        _by_label(_lead(0)),
        {ONE_HOT: losses.CategoricalPerceptron, IDS: losses.SparseCategoricalPerceptron},
        {},
    ),
    "multi-margin": (
        _by_label(_all_leads),
        {ONE_HOT: losses.CategoricalMultiMargin, IDS: losses.MultiMargin},
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
        {
            BINARY: losses.TopKBinaryCrossentropy,
            ONE_HOT: losses.TopKCategoricalCrossentropy,
            IDS: losses.TopKSparseCategoricalCrossentropy,
        },
        {"fraction": 0.4},
    ),
    "sequence": (
        _of(_cross_entropy),
        {IDS: losses.SequenceCrossentropy},
        {"average_across_timesteps": False},
    ),
    "squared EMD": (
        _by_label(_squared_emd),
        {ONE_HOT: losses.CategoricalSquaredEMD, IDS: losses.SparseCategoricalSquaredEMD},
        {},
    ),
    "CORAL": (
        _by_label(_levels(np.array([0.5, 0.0, 2.0]), True)),
        {RANKS: losses.CORAL},
        {"importance_weights": [0.5, 0.0, 2.0]},
    ),
    "CORN": (_by_label(_levels(1.0, False)), {RANKS: losses.CORN}, {}),
    "hinge": (_of_side(lambda side: np.maximum(1 - side, 0)), {SIGNS: losses.Hinge}, {}),
    "squared hinge": (
        _of_side(lambda side: np.maximum(1 - side, 0) ** 2),
        {SIGNS: losses.SquaredHinge},
        {},
    ),
    "soft margin": (_of_side(lambda side: np.logaddexp(0, -side)), {SIGNS: losses.SoftMargin}, {}),
    "perceptron": (_of_side(lambda side: np.maximum(-side, 0)), {SIGNS: losses.Perceptron}, {}),
    "hinge embedding": (
        _by_sign(lambda alike, row: np.where(alike, row, np.maximum(0.5 - row, 0))),
        {SIGNS: losses.HingeEmbedding},
        {"margin": 0.5},
    ),
    "contrastive": (
        _by_sign(lambda alike, row: np.where(alike, row, np.maximum(0.5 - row, 0)) ** 2),
        {SIGNS: losses.Contrastive},
        {"margin": 0.5},
    ),
}
CASES = [(family, kind) for family, (_, classes, _) in FAMILIES.items() for kind in classes]

# Whose labels are all or nothing.
HARD = (
    losses.CategoricalHinge,
    losses.CategoricalMultiMargin,
    losses.CategoricalPerceptron,
    losses.MultilabelMargin,
)
# Whose classes are the entries of a row.
OF_COLUMNS = (losses.MultilabelSoftMargin, losses.SoftF1)

# Of values, of which each is rounded once, and of slopes.
TOLERANCE = {"float32": 1e-4, "float16": 2e-3, "bfloat16": 1e-2}
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
        "dtype": st.sampled_from([*TOLERANCE]),
        "soft": st.booleans(),
        "weighted": st.booleans(),
        "masked": st.booleans(),
        "seed": st.integers(0, 10_000),
    }
)


class Masked(keras.Layer):
    """Leaves a mask on what it is given, as layers do, also where gradients are taken."""

    def __init__(self, mask):
        super().__init__(autocast=False)
        self.mask = ops.convert_to_tensor(mask)

    def call(self, x):
        return x

    def compute_mask(self, x, previous_mask):
        return self.mask


def _taken(cls, kind, o):
    """What of the options the class takes, and the weights of the classes."""
    names = ("from_logits", "axis", "label_smoothing", "reduction", "dtype")
    known = (*cls._settings, "reduction", "dtype")
    taken = {name: o[name] for name in names if name in known}
    of_two = kind in OF_ENTRIES and cls not in OF_COLUMNS
    weights = np.array(
        [0.75, 0.25] if of_two else [0.5, 2.0, 0.0, 1.5][: CLASSES + (kind == RANKS)]
    )
    if o["class_weights"] and "class_weights" in known:
        return {**taken, "class_weights": weights.tolist()}, weights
    if o["class_weights"] and "alpha" in known and "Focal" in cls.__name__ and kind != SCORES:
        return {**taken, "alpha": 0.25 if of_two else weights.tolist()}, weights
    return taken, np.ones_like(weights)


def _labels(cls, kind, o, rng):
    """Class ids, rows of labels, and a label that is neither of two."""
    ids = rng.integers(0, CLASSES + (kind == RANKS), (BATCH, STEPS))
    soft = o["soft"] and cls not in HARD
    shape = (BATCH, STEPS, CLASSES)
    if kind == SIGNS:
        return ids, rng.integers(0, 2, shape) * (1 + o["soft"]) - o["soft"], 0 if o["soft"] else -1
    if kind == SCORES or (kind == BINARY and soft):
        return ids, rng.choice([0.0, 0.25, 1.0], shape), -1
    if kind == BINARY:
        return ids, rng.integers(0, 2, shape), -1
    if kind == ONE_HOT and soft:
        rows = rng.dirichlet(np.ones(CLASSES), (BATCH, STEPS)).astype("float32")
        return np.argmax(rows, -1), rows, None
    return ids, np.eye(CLASSES + (kind == RANKS))[ids], None


def _reference(of_row, of_sample, rows, counted, keep, weights, sample_weight, taken):
    """The reduced loss as a function of predictions, and what its terms are without a sign."""
    smoothing, binary = taken.get("label_smoothing", 0.0), counted.ndim == 3

    def of_predictions(predicted):
        values = []  # Of a sample, with its weight.
        for i in range(BATCH):
            of_steps = []
            for t in range(STEPS):
                if not keep[i, t] or not np.any(counted[i, t]):
                    continue
                c = counted[i, t] if binary else slice(None)
                label = np.float64(rows[i, t][c])
                at = types.SimpleNamespace(
                    label=label,
                    w=weights[c] if len(weights) == CLASSES else weights,
                    from_logits=taken.get("from_logits", True),
                    binary=binary,
                )
                y = label
                if smoothing:
                    y = label * (1 - smoothing) + smoothing / (2 if binary else CLASSES)
                of_steps.append((np.atleast_1d(of_row(y, predicted[i, t][c], at)), y))
            if of_sample and of_steps:
                entries, labels = (np.concatenate(part) for part in zip(*of_steps, strict=True))
                values.append((of_sample(entries, labels), sample_weight[i]))
            else:
                values.extend((entries.mean(), sample_weight[i]) for entries, _ in of_steps)
        divisor = {
            "none": 1,
            "sum": 1,
            "sum_over_batch_size": len(values),
            "mean_with_sample_weight": sum(weight for _, weight in values),
        }[taken["reduction"]]
        terms = [value * weight / divisor for value, weight in values if weight]
        return sum(terms), sum(map(abs, terms))

    return of_predictions


@pytest.mark.parametrize(("family", "kind"), CASES, ids=str)
@settings(max_examples=settings().max_examples // 2)  # With a gradient each takes twice the time.
@given(OPTIONS)
def test_every_combination(family, kind, o):
    of_row, classes, own = FAMILIES[family]
    cls, rng = classes[kind], np.random.default_rng(o["seed"])
    taken, weights = _taken(cls, kind, o)
    ids, rows, neither = _labels(cls, kind, o, rng)
    counted = np.ones(rows.shape if kind in OF_ENTRIES else ids.shape, bool)
    if o["ignored"] and "ignore_class" in cls._settings:
        taken["ignore_class"] = 1 if neither is None else neither
        counted = ids != 1 if neither is None else rng.random(rows.shape) < 0.7
        rows = rows if neither is None else np.where(counted, rows, neither)

    logits = rng.uniform(-2.5, 2.5, (BATCH, STEPS, CLASSES))
    if not taken.get("from_logits", True):
        e = np.exp(logits)
        logits = 1 / (1 + 1 / e) if kind in OF_ENTRIES else e / e.sum(-1, keepdims=True)
    axis = taken.get("axis", -1)
    y_pred = ops.cast(np.moveaxis(logits, -1, axis), o["dtype"])
    predicted = np.moveaxis(np.float64(ops.cast(y_pred, "float32")), axis, -1)
    sample_weight = rng.integers(0, 3, BATCH).astype("float32") if o["weighted"] else None
    keep = rng.random((BATCH, STEPS)) < 0.7 if o["masked"] else np.ones((BATCH, STEPS), bool)
    reference = _reference(
        of_row,
        OF_SAMPLE.get(cls),
        rows,
        counted,
        keep,
        weights,
        np.ones(BATCH) if sample_weight is None else sample_weight,
        taken,
    )
    way, step = rng.normal(size=predicted.shape), 1e-6
    before, (expected, size), after = (reference(predicted + k * step * way) for k in (-1, 0, 1))
    slopes = (expected - before[0]) / step, (after[0] - expected) / step

    loss = cls(**own, **taken)
    y_true = ids if kind in (IDS, RANKS) else np.moveaxis(rows, -1, axis)
    left = Masked(keep) if o["masked"] else lambda x: x
    got, gradient = value_and_gradient(lambda p: loss(y_true, left(p), sample_weight), y_pred)
    along = np.moveaxis(np.float64(gradient), axis, -1) * way
    tolerance = TOLERANCE[o["dtype"]]
    assert np.float64(got).sum() == pytest.approx(expected, abs=tolerance * size + 1e-6)
    # On an edge the two sides differ, and what lies between them will do.
    off = max(min(slopes) - along.sum(), along.sum() - max(slopes))
    assert off <= tolerance * np.abs(along).sum() + 1e-6
