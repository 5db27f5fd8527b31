"""Every option of every segmentation loss with every other, beside plain loops in float64."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras import ops

from keras_actloss import losses

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
}

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
        "dtype": st.sampled_from(["float32", "bfloat16"]),
        "weights": st.sampled_from([None, [0.5, 2.0, 1.0], [1.0, 0.0, 3.0]]),
        "ignored": st.booleans(),
        "weighted": st.sampled_from(["nothing", "samples", "pixels", "entries"]),
        "masked": st.booleans(),
        "seed": st.integers(0, 10_000),
    }
)


def _of_image(cls, y, p, pixel, o):
    """The loss of the pixels of an image or a batch, `(pixels, classes)` each."""
    of_class, _ = LOSSES[cls]
    above, below = np.broadcast_to(o["smooth"], 2)
    size = np.sum(pixel * y, axis=0)
    weight = np.array([1.0] * CLASSES if o["weights"] is None else o["weights"])
    if not o["background"]:
        weight[0] = 0
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


def _values(cls, y, p, pixel, counted, o):
    """The loss of each sample, of which those that are not counted have no share in a batch."""
    kept = pixel.any(axis=(1, 2, 3))
    flat = [v.reshape(BATCH, -1, CLASSES) for v in (y, p, pixel)]
    if o.get("per") == "batch":
        rows = [v[kept & counted].reshape(-1, CLASSES) for v in flat]
        whole = _of_image(cls, *rows, o) if len(rows[0]) else 0.0
        return np.where(kept & counted, whole, 0.0)
    return np.array(
        [_of_image(cls, *(v[i] for v in flat), o) if kept[i] else 0.0 for i in range(BATCH)]
    )


@pytest.mark.parametrize("cls", LOSSES, ids=lambda cls: cls.__name__)
@given(OPTIONS)
def test_every_combination(cls, o):
    rng = np.random.default_rng(o["seed"])
    shape = (BATCH, HEIGHT, WIDTH, CLASSES)
    masks = o["encoding"] == "multilabel"
    takes = cls._settings
    if cls is losses.Boundary and o["encoding"] == "ids":
        o = o | {"encoding": "onehot"}
    # Of each image one class is absent, from one of them two.
    ids = (rng.integers(0, 2, shape[:-1]) + np.arange(BATCH)[:, None, None]) % CLASSES
    ids[0] = 1
    y = rng.integers(0, 2, shape) if masks else np.eye(CLASSES)[ids]
    y = rng.normal(size=shape) if cls is losses.Boundary else y
    logits = 3 * rng.normal(size=shape)
    e = np.exp(logits)
    p = e / (1 + e) if masks else e / e.sum(-1, keepdims=True)
    predicted = (logits if o["from_logits"] else p).astype("float32")

    settings = {"class_weights": o["weights"], "dtype": o["dtype"], "reduction": o["reduction"]}
    settings |= {name: value for name, value in o.items() if name in takes}
    if cls is losses.MatthewsCorrelation:
        settings["smooth"] = 0.5
    keep = np.ones(shape, bool)
    labels = y
    if o["ignored"] and "ignore_class" in takes:
        settings["ignore_class"] = -1 if masks else 2
        left_out = rng.random(shape) < 0.3 if masks else np.repeat(ids[..., None] == 2, CLASSES, -1)
        labels = np.where(left_out, -1, y) if masks else y
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

    values = _values(
        cls,
        y,
        p,
        pixel,
        counted,
        settings
        | {"weights": o["weights"]}
        | {name: settings.get(name, o[name]) for name in ("smooth", "absent", "background")},
    )
    weight = sample_weight if o["weighted"] == "samples" else np.ones(BATCH)
    left = pixel.any(axis=(1, 2, 3))
    divisor = {
        "sum": 1,
        "sum_over_batch_size": left.sum(),
        "mean_with_sample_weight": weight[left].sum(),
    }[o["reduction"]]
    expected = np.sum(weight * values) / divisor if divisor else 0.0

    # What is left out is left out as NaN.
    predicted[~np.broadcast_to(mask[..., None], shape)] = np.nan
    predicted[~counted] = np.nan
    if of_pixels:
        predicted[pixel == 0 if masks else np.all(pixel == 0, -1)] = np.nan
    y_true = ids if o["encoding"] == "ids" else np.moveaxis(labels, -1, o["axis"])
    y_pred = ops.convert_to_tensor(np.moveaxis(predicted, -1, o["axis"]))
    if o["masked"]:
        y_pred._keras_mask = ops.convert_to_tensor(mask)
    loss = cls(**LOSSES[cls][1], **settings)
    got = float(ops.cast(loss(y_true, y_pred, sample_weight), "float32"))
    tolerance = 1e-4 if o["dtype"] == "float32" else 2e-2
    assert got == pytest.approx(expected, rel=tolerance, abs=1e-5)
