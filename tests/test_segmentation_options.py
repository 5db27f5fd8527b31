"""Every option of every segmentation loss with every other, beside plain loops in float64."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from keras_actloss import losses
from keras_actloss.testing.backend import value_and_gradient

pytestmark = pytest.mark.slow

BATCH, HEIGHT, WIDTH, CLASSES = 3, 4, 3, 3


def _overlap(hits, alpha, beta, gamma=1.0):
    """A loss of the counts of a class."""

    def of_class(y, p, pixel, above, below):
        found, extra, missed = (np.sum(pixel * v) for v in (p * y, p * (1 - y), (1 - p) * y))
        ratio = (hits * found + above) / (hits * found + alpha * extra + beta * missed + below)
        return (1 - ratio) ** gamma

    return of_class


def _correlation(y, p, pixel, above, below):
    found, extra, missed, empty = (
        np.sum(pixel * v) for v in (p * y, p * (1 - y), (1 - p) * y, (1 - p) * (1 - y))
    )
    found, empty = found + above, empty + above
    spread = (found + extra) * (found + missed) * (empty + extra) * (empty + missed)
    return 1 - (found * empty - extra * missed) / np.sqrt(spread)


def _boundary(y, p, pixel, above, below):
    return np.average(p * y, weights=pixel) if pixel.any() else 0.0


def _windows(image, choose, cross):
    """The least or greatest of each pixel and its neighbors, with or without the diagonal ones."""
    result = np.empty_like(image)
    for i, j in np.ndindex(image.shape):
        near = [
            image[k, m]
            for k in range(max(i - 1, 0), min(i + 2, image.shape[0]))
            for m in range(max(j - 1, 0), min(j + 2, image.shape[1]))
            if not cross or k == i or m == j
        ]
        result[i, j] = choose(near)
    return result


def _skeleton(image, iterations):
    skeleton = np.zeros_like(image)
    for step in range(iterations + 1):
        thinner = _windows(image, min, cross=True)
        ridge = np.maximum(image - _windows(thinner, max, cross=False), 0)
        skeleton = ridge if step == 0 else skeleton + np.maximum(ridge - skeleton * ridge, 0)
        image = thinner
    return skeleton


def _centerline(y, p, pixel, above, below):
    masks = [np.where(pixel > 0, v, 0).reshape(-1, HEIGHT, WIDTH) for v in (y, p)]
    lines_y, lines_p = (np.ravel([_skeleton(image, 2) for image in v]) for v in masks)
    precision = (np.sum(pixel * lines_p * y) + above) / (np.sum(pixel * lines_p) + below)
    recall = (np.sum(pixel * lines_y * p) + above) / (np.sum(pixel * lines_y) + below)
    return 1 - 2 * precision * recall / (precision + recall)


def _extension(errors, y, pixel):
    """Berman et al., algorithm 1: the Jaccard loss grows with each pixel that is wrong."""
    total, found, wrong, before, value = np.sum(pixel * y), 0.0, 0.0, 0.0, 0.0
    for i in np.argsort(-errors, kind="stable"):
        if pixel[i]:
            found, wrong = found + pixel[i] * y[i], wrong + pixel[i] * (1 - y[i])
            loss = 1 - (total - found) / (total + wrong)
            value, before = value + errors[i] * (loss - before), loss
    return value


def _lovasz(y, p, pixel, above, below):
    return _extension(np.abs(y - p), y, pixel)


# The loss of a class and the settings of its own.
LOSSES = {
    losses.Dice: (_overlap(2, 1, 1), {}),
    losses.Jaccard: (_overlap(1, 1, 1), {}),
    losses.Tversky: (_overlap(1, 0.25, 0.75), {"alpha": 0.25, "beta": 0.75}),
    losses.FocalTversky: (
        _overlap(1, 0.25, 0.75, 1.5),
        {"alpha": 0.25, "beta": 0.75, "gamma": 1.5},
    ),
    losses.GeneralizedDice: (None, {}),
    losses.MatthewsCorrelation: (_correlation, {}),
    losses.Boundary: (_boundary, {}),
    losses.CenterlineDice: (_centerline, {"iterations": 2}),
    losses.LovaszSoftmax: (_lovasz, {}),
    losses.LovaszHinge: (None, {}),
}
# They take labels of 0 and 1.
LOVASZ = (losses.LovaszSoftmax, losses.LovaszHinge)
# Their slope jumps where two predictions are equal, as many of 16 bit are.
ORDERED = (losses.CenterlineDice, *LOVASZ)

OPTIONS = st.fixed_dictionaries(
    {
        "from_logits": st.booleans(),
        "encoding": st.sampled_from(["onehot", "ids", "multilabel"]),
        "smooth": st.sampled_from([0.5, [0.25, 0.75]]),
        "per": st.sampled_from(["image", "batch"]),
        "absent": st.sampled_from(["count", "skip"]),
        "background": st.booleans(),
        "axis": st.sampled_from([-1, 1, 2, -3]),
        "reduction": st.sampled_from(["sum", "sum_over_batch_size", "mean_with_sample_weight"]),
        "dtype": st.sampled_from(["float32", "float16", "bfloat16"]),
        "weights": st.sampled_from([None, [0.5, 2.0, 1.0], [1.0, 0.0, 3.0]]),
        "soft": st.booleans(),
        "ignored": st.booleans(),
        "weighted": st.sampled_from(["nothing", "samples", "pixels", "entries"]),
        "masked": st.booleans(),
        "seed": st.integers(0, 10_000),
    }
)
# Relative, of the value and of the gradient.
TOLERANCE = {"float32": 1e-5, "float16": 2e-3, "bfloat16": 1e-2}


class _Masked(keras.layers.Layer):
    """What it is given, with a mask."""

    def __init__(self, mask):
        super().__init__(autocast=False)
        self.mask = mask

    def call(self, x):
        return x

    def compute_mask(self, x, previous_mask):
        return self.mask


def _class_weights(o):
    weight = np.array(o["weights"] or [1.0] * CLASSES)
    if not o["background"]:
        weight[0] = 0
    return weight


def _of_image(cls, y, p, pixel, o):
    """The loss of the pixels of an image or a batch, `(pixels, classes)` each."""
    if cls is losses.LovaszHinge:
        return _extension(*map(np.ravel, (np.maximum(1 - p * (2 * y - 1), 0), y, pixel)))
    of_class, _ = LOSSES[cls]
    above, below = np.broadcast_to(o["smooth"], 2)
    size = np.sum(pixel * y, axis=0)
    weight = _class_weights(o)
    if o["absent"] == "skip" and cls is not losses.Boundary:
        weight[size == 0] = 0
    if cls is losses.GeneralizedDice:
        counts = (size > 0) & (weight > 0)
        rarity = np.array(
            [size[counts].min() / s if c else 1 for s, c in zip(size, counts, strict=True)]
        )
        weight = pixel * weight * rarity**2
        found, both = np.sum(weight * p * y), np.sum(weight * (p + y))
        return 1 - (2 * found + above) / (both + below)
    values = [of_class(y[:, c], p[:, c], pixel[:, c], above, below) for c in range(CLASSES)]
    return np.sum(weight * values) / weight.sum() if weight.sum() else 0.0


def _values(cls, y, x, pixel, counted, o):
    """The loss of each sample, of which those that are not counted have no share in a batch."""
    p = x
    if o["from_logits"] and cls is not losses.LovaszHinge:
        e = np.exp(x)
        p = e / (1 + e) if o["encoding"] == "multilabel" else e / e.sum(-1, keepdims=True)
    kept = pixel.any(axis=(1, 2, 3))
    flat = [v.reshape(BATCH, -1, CLASSES) for v in (y, p, pixel)]
    if o["per"] == "batch" and cls is not losses.Boundary:
        rows = [v[kept & counted].reshape(-1, CLASSES) for v in flat]
        whole = _of_image(cls, *rows, o) if len(rows[0]) else 0.0
        return np.where(kept & counted, whole, 0.0)
    return np.array(
        [_of_image(cls, *(v[i] for v in flat), o) if kept[i] else 0.0 for i in range(BATCH)]
    )


def _labels(cls, o, rng):
    """Class ids of pixels, and the labels of each class."""
    shape = (BATCH, HEIGHT, WIDTH, CLASSES)
    # Of each image one class is absent, from one of them two.
    ids = (rng.integers(0, 2, shape[:-1]) + np.arange(BATCH)[:, None, None]) % CLASSES
    ids[0] = 1
    soft = o["soft"] and cls not in LOVASZ
    if cls is losses.Boundary:
        return ids, rng.normal(size=shape)
    if o["encoding"] == "multilabel":
        return ids, rng.choice([0.0, 0.25, 1.0], shape) if soft else rng.integers(0, 2, shape)
    y = np.eye(CLASSES)[ids]
    if soft and o["encoding"] == "onehot":
        # What they share they share with classes of their image, and some of it with none.
        y = 0.625 * y + 0.25 * np.roll(y, 1, axis=2)
    return ids, y


@pytest.mark.parametrize("cls", LOSSES, ids=lambda cls: cls.__name__)
# A slope takes twice the time of a value.
@settings(max_examples=settings().max_examples * 3 // 5)
@given(OPTIONS)
def test_every_combination(cls, o):
    rng = np.random.default_rng(o["seed"])
    shape = (BATCH, HEIGHT, WIDTH, CLASSES)
    takes = cls._settings
    if cls is losses.Boundary and o["encoding"] == "ids":
        o = o | {"encoding": "onehot"}
    if cls is losses.LovaszHinge:
        o = o | {"encoding": "multilabel", "from_logits": True, "axis": -1}
    if cls is losses.MatthewsCorrelation:
        o = o | {"smooth": 0.5}
    masks = o["encoding"] == "multilabel"
    ids, y = _labels(cls, o, rng)
    given_as = "float32" if cls in ORDERED else o["dtype"]
    x = 3 * rng.normal(size=shape)
    x = x if o["from_logits"] else 1 / (1 + np.exp(-x))
    x = np.float64(ops.cast(ops.cast(x, given_as), "float32"))

    options = {"dtype": o["dtype"], "reduction": o["reduction"]}
    options |= {name: value for name, value in o.items() if name in takes}
    if "class_weights" in takes:
        options["class_weights"] = o["weights"]
    keep = np.ones(shape, bool)
    labels = y
    if o["ignored"] and "ignore_class" in takes:
        options["ignore_class"] = -1 if masks else 2
        left_out = rng.random(shape) < 0.3 if masks else np.repeat(ids[..., None] == 2, CLASSES, -1)
        labels = np.where(left_out, -1, y) if masks else y
        if o["encoding"] == "onehot":
            # A row without a label is left out, too.
            empty = rng.random(shape[:-1])[..., None] < 0.2
            labels, left_out = np.where(empty, 0, labels), left_out | empty
        keep &= ~left_out
    of_pixels = o["weighted"] in ("pixels", "entries")
    counted, sample_weight, pixel = np.ones(BATCH, bool), None, np.ones(shape)
    if o["weighted"] == "samples":
        sample_weight = rng.integers(0, 3, BATCH).astype("float32")
        counted = sample_weight > 0
    elif of_pixels:
        # Of masks each has weights of its own; classes of which a pixel has one share theirs.
        pixel = rng.integers(0, 4, shape if masks else (*shape[:-1], 1)) / 2
        if o["weighted"] == "pixels":
            pixel = pixel[..., :1]
        pixel[1] *= rng.integers(0, 2)
        sample_weight = np.moveaxis(pixel.astype("float32"), -1, o["axis"])
        if o["weighted"] == "pixels" and (o["encoding"] == "ids" or rng.integers(0, 2)):
            sample_weight = sample_weight.reshape(shape[:-1])
        pixel = np.broadcast_to(pixel, shape)
    mask = rng.random(shape[:-1]) < 0.7 if o["masked"] else np.ones(shape[:-1], bool)
    keep &= mask[..., None]
    pixel = np.where(keep, pixel, 0)

    weight = sample_weight if o["weighted"] == "samples" else np.ones(BATCH)
    left = pixel.any(axis=(1, 2, 3))
    divisor = {
        "sum": 1,
        "sum_over_batch_size": left.sum(),
        "mean_with_sample_weight": weight[left].sum(),
    }[o["reduction"]]

    def expected(x):
        return np.sum(weight * _values(cls, y, x, pixel, counted, o)) / (divisor or 1)

    # What is left out is left out as NaN.
    out = ~np.broadcast_to(mask[..., None], shape)
    out |= ~counted[:, None, None, None]
    if of_pixels:
        out |= pixel == 0 if masks else np.all(pixel == 0, -1, keepdims=True)
    if "class_weights" in takes and (masks or not o["from_logits"]):
        out |= _class_weights(o) == 0
    predicted = np.moveaxis(np.where(out, np.nan, x), -1, o["axis"]).astype("float32")
    y_true = ids if o["encoding"] == "ids" else np.moveaxis(labels, -1, o["axis"])
    loss = cls(**LOSSES[cls][1], **options)

    def call(y_pred):
        if o["masked"]:
            y_pred = _Masked(ops.convert_to_tensor(mask))(y_pred)
        return loss(y_true, y_pred, sample_weight)

    got, slope = value_and_gradient(call, ops.cast(predicted, given_as))
    tolerance = TOLERANCE[o["dtype"]]
    assert float(got) == pytest.approx(expected(x), rel=tolerance, abs=1e-6)
    slope = np.moveaxis(np.float64(slope), o["axis"], -1)
    assert np.all(slope[out] == 0)
    # Along any one direction.
    step = 1e-8 * rng.normal(size=shape)
    along = (expected(x + step) - expected(x - step)) / 2e-8
    size = np.linalg.norm(slope)
    assert np.sum(slope * step) / 1e-8 == pytest.approx(along, abs=tolerance * size + 1e-7)
