"""What goes wrong with losses of segmentation elsewhere."""

import inspect

import keras
import numpy as np
import pytest
from keras import ops

from keras_actloss import losses
from keras_actloss.core.registry import CATALOGUE
from keras_actloss.testing.backend import at_once, value_and_gradient

pytestmark = pytest.mark.slow

OVERLAP = [
    losses.Dice,
    losses.Jaccard,
    losses.Tversky,
    losses.FocalTversky,
    losses.GeneralizedDice,
    losses.MatthewsCorrelation,
]
ALL = [*OVERLAP, losses.CenterlineDice]
MASKS = {"encoding": "multilabel"}


def _array(x):
    return np.asarray(ops.convert_to_numpy(x), dtype="float64")


def _named(cls):
    return cls.__name__


def _disk(radius, size=12):
    y, x = (v - np.float32(size / 2) for v in np.ogrid[:size, :size])
    return (x * x + y * y < radius * radius).astype("float32")[None, ..., None]


@pytest.mark.parametrize("cls", ALL, ids=_named)
def test_an_empty_mask_predicted_empty_is_perfect(cls):
    """Keras's Dice is 1 there, and MONAI's nearly 1 for whatever else."""
    empty = np.zeros((1, 6, 6, 1), "float32")
    loss = cls(reduction="none", **MASKS)
    for predicted in (empty, empty + 1e-9):
        value, slope = value_and_gradient(lambda p: loss(empty, p), predicted)
        np.testing.assert_allclose(value, 0, atol=1e-5)
        assert np.all(np.isfinite(slope))
    without = {"smooth": 0.0}
    value, slope = value_and_gradient(lambda p: cls(**MASKS, **without)(empty, p), empty)
    assert value == 0 and np.all(np.isfinite(slope))


@pytest.mark.parametrize("cls", OVERLAP, ids=_named)
def test_false_pixels_of_an_empty_mask_are_learned_from(cls):
    """With an epsilon for `smooth` they cost 1 each, and none is worth removing."""
    empty = np.zeros((1, 6, 6, 1), "float32")
    _, slope = value_and_gradient(lambda p: cls(**MASKS)(empty, p), empty + 0.1)
    assert np.all(slope > 0.01)


def test_an_image_is_not_a_batch():
    """The mean of the images is not the loss of all their pixels; Keras has the latter."""
    y = np.concatenate([_disk(5), _disk(1.5)])
    p = np.concatenate([0.9 * _disk(5), 0.1 + 0 * _disk(1.5)]).astype("float32")
    images = losses.Dice(reduction="none", smooth=0.0)
    batch = losses.Dice(reduction="none", smooth=0.0, per="batch")
    alone = [float(images(y[i : i + 1], p[i : i + 1])[0]) for i in range(2)]
    np.testing.assert_allclose(_array(images(y, p)), alone, rtol=1e-6)
    rows = [v.reshape(1, -1, 1) for v in (y, p)]
    np.testing.assert_allclose(_array(batch(y, p)), float(images(*rows)[0]) * np.ones(2), rtol=1e-6)
    assert abs(np.mean(alone) - float(batch(y, p)[0])) > 0.2


@pytest.mark.parametrize("per", ["image", "batch"])
def test_a_weight_belongs_to_its_sample(per):
    """Keras's Dice gives [1, 0] and [0, 1] the same loss: half of the one without weights."""
    y = np.concatenate([_disk(5), _disk(1.5)])
    p = np.concatenate([0.9 * _disk(5), 0.1 + 0 * _disk(1.5)]).astype("float32")
    loss = losses.Dice(per=per, reduction="sum")
    alone = [float(loss(y[i : i + 1], p[i : i + 1])) for i in range(2)]
    p[1] = np.nan
    assert float(loss(y, p, np.float32([2, 0]))) == pytest.approx(2 * alone[0], rel=1e-6)
    _, slope = value_and_gradient(lambda p: loss(y, p, np.float32([1, 0])), p)
    assert np.all(slope[1] == 0) and np.any(slope[0] != 0) and np.all(np.isfinite(slope))
    if per == "batch":
        p[1] = 0.1
        both = float(losses.Dice(per=per)(y, p))
        assert float(loss(y, p, np.float32([2, 1]))) == pytest.approx(3 * both, rel=1e-6)


REPEATED = [
    *OVERLAP,
    losses.Boundary,
    losses.LovaszSoftmax,
    losses.LovaszHinge,
]


@pytest.mark.parametrize("per", ["image", "batch"])
@pytest.mark.parametrize("cls", REPEATED, ids=_named)
def test_a_pixel_weighs_as_often_as_it_is_repeated(cls, per):
    """Elsewhere weights of pixels are refused, or multiply what a mean has made of them."""
    rng = np.random.default_rng(0)
    weight = rng.integers(0, 4, (2, 6))
    weight[:, 0] += 12 - weight.sum(1)
    ids, x = rng.integers(0, 2, (2, 6, 1)), rng.normal(size=(2, 6, 1)).astype("float32")
    settings = {"encoding": "multilabel", "from_logits": True, "absent": "count"} | {"per": per}
    settings = {name: value for name, value in settings.items() if name in cls._settings}
    loss = cls(reduction="none", **settings)
    spoilt = np.where(weight[..., None] == 0, np.nan, x)
    value, slope = value_and_gradient(lambda x: loss(ids, x, weight), spoilt, through=at_once)
    y_long, x_long = (
        np.stack([np.repeat(row, w, axis=0) for row, w in zip(v, weight, strict=True)])
        for v in (ids, x)
    )
    expected, of_each = value_and_gradient(lambda x: loss(y_long, x), x_long, through=at_once)
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    summed = np.zeros(weight.shape)
    places = np.stack([np.repeat(np.arange(6), w) for w in weight])
    np.add.at(summed, (np.arange(2)[:, None], places), of_each[..., 0])
    np.testing.assert_allclose(slope[..., 0], summed, rtol=1e-5, atol=1e-7)


def test_weights_of_pixels_in_training(tmp_path):
    """In `fit`, as a part of a sum, compiled, and by a loss that has been saved."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(4, 5, 5, 2)), rng.integers(0, 2, (4, 5, 5, 1))
    weight = rng.integers(0, 2, (4, 5, 5)).astype("float32")
    inside = {"from_logits": True, **MASKS}
    parts = [losses.Dice(smooth=0.5, **inside), losses.LovaszHinge()]
    loss = losses.WeightedSum([*parts, losses.BinaryCrossentropy(from_logits=True)])
    model = keras.Sequential([keras.layers.Input((5, 5, 2)), keras.layers.Dense(1)])
    model.compile("sgd", loss)
    model.save(tmp_path / "model.keras")
    x_pred = model.predict(x, verbose=0)
    expected = float(loss(y, x_pred, weight))
    for m in (model, keras.models.load_model(tmp_path / "model.keras")):
        assert m.evaluate(x, y, sample_weight=weight, verbose=0) == pytest.approx(
            expected, rel=1e-5
        )
    for part in parts:
        left_out = np.where(weight[..., None] == 0, -1, y)
        ignoring = type(part).from_config(part.get_config() | {"ignore_class": -1})
        assert float(part(y, x_pred, weight)) == pytest.approx(
            float(ignoring(left_out, x_pred)), rel=1e-6
        )
    x_pred[weight == 0] = np.nan
    assert float(loss(y, x_pred, weight)) == pytest.approx(expected, rel=1e-6)
    before = model.get_weights()
    history = model.fit(x, y, 4, sample_weight=weight, verbose=0).history
    assert history["loss"][0] == pytest.approx(expected, rel=1e-5)
    assert np.all(model.get_weights()[0] != before[0])


def test_a_column_of_weights_is_of_samples():
    rng = np.random.default_rng(0)
    y, p = rng.integers(0, 2, (3, 4, 4, 1)), rng.random((3, 4, 4, 1)).astype("float32")
    loss = losses.Dice(reduction="none", **MASKS)
    weight = np.float32([0.5, 2.0, 0.0])
    for shape in ((3,), (3, 1)):
        got = _array(loss(y, p, weight.reshape(shape)))
        np.testing.assert_allclose(got, weight * _array(loss(y, p)), rtol=1e-6)


def test_alpha_prices_false_positives():
    """Keras up to 3.15 has it the other way round."""
    y = np.float32([[[1], [1], [0], [0]]])
    false, missed = np.float32([[[1], [1], [1], [0]]]), np.float32([[[1], [0], [0], [0]]])
    for function in (losses.tversky, losses.focal_tversky):
        price = [
            float(function(y, p, alpha=a, beta=b, smooth=0.0)[0])
            for p in (false, missed)
            for a, b in ((2.0, 0.0), (0.0, 2.0))
        ]
        assert price[0] > 0.4 and price[1] == 0 and price[2] == 0 and price[3] > 0.4


def test_class_weights_are_those_of_a_mean():
    """MONAI multiplies with them and takes the plain mean."""
    rng = np.random.default_rng(0)
    ids, x = rng.integers(0, 3, (2, 5)), rng.normal(size=(2, 5, 3)).astype("float32")
    settings = {"from_logits": True, "encoding": "ids"}
    plain = _array(losses.dice(ids, x, **settings))
    for scale in (1.0, 10.0):
        same = losses.dice(ids, x, class_weights=[scale] * 3, **settings)
        np.testing.assert_allclose(_array(same), plain, rtol=1e-6)
    one = losses.dice(ids, x, class_weights=[1, 0, 0], **settings)
    others = losses.dice(ids, x, background=False, **settings)
    np.testing.assert_allclose((_array(one) + 2 * _array(others)) / 3, plain, rtol=1e-6)
    none = losses.dice(ids, x, class_weights=[0, 0, 0], **settings)
    np.testing.assert_array_equal(_array(none), 0)


# How predictions are given, what classes weigh, and those that weigh nothing.
UNWEIGHED = {
    "probabilities": ({}, {"background": False}, [0]),
    "probabilities of ids": ({"encoding": "ids"}, {"class_weights": [2.0, 0.0, 1.0]}, [1]),
    "logits of masks": (
        {"encoding": "multilabel", "from_logits": True, "axis": 1},
        {"background": False, "class_weights": [1.0, 2.0, 0.0]},
        [0, 2],
    ),
}


@pytest.mark.parametrize("kind", UNWEIGHED.values(), ids=UNWEIGHED)
@pytest.mark.parametrize("cls", [*ALL, losses.Boundary, losses.LovaszSoftmax], ids=_named)
def test_a_class_that_weighs_nothing_may_be_nan(cls, kind):
    """A product with 0 would be NaN, as elsewhere."""
    inputs, weights, left_out = kind
    if cls is losses.Boundary and inputs.get("encoding") == "ids":
        inputs = {}
    rng, axis = np.random.default_rng(0), inputs.get("axis", -1)
    ids, p = rng.integers(0, 3, (1, 5, 5)), rng.random((1, 5, 5, 3)).astype("float32")
    y = np.eye(3, dtype="float32")[ids]
    # Images that differ by nothing else.
    y, p, ids = (np.repeat(v, 4, axis=0) for v in (y, p, ids))
    for i, poison in enumerate((0.25, np.nan, np.inf, -np.inf)):
        p[i, ..., left_out] = poison
    y[1, ..., left_out] = np.nan
    y_true = ids if inputs.get("encoding") == "ids" else y
    y_true, p = (np.moveaxis(v, -1, axis) if v.ndim == 4 else v for v in (y_true, p))
    options = inputs | weights | ({} if cls is losses.Boundary else {"per": "image"})
    loss = cls(reduction="none", **options)
    value, slope = value_and_gradient(lambda p: loss(y_true, p), p, through=at_once)
    assert np.isfinite(value[0]) and value[0] != 0
    np.testing.assert_allclose(value, 4 * [value[0]], rtol=1e-6)
    slope = np.moveaxis(slope, axis, -1)
    assert np.all(slope[..., left_out] == 0) and np.any(slope != 0)
    np.testing.assert_allclose(slope, 4 * [slope[0]], rtol=1e-6)


@pytest.mark.parametrize("cls", [*ALL, losses.LovaszSoftmax], ids=_named)
def test_void_pixels_are_no_class(cls):
    """255 in bytes, as segmentation data have it: one-hot labels of it cannot be made elsewhere."""
    rng = np.random.default_rng(0)
    ids, x = rng.integers(0, 3, (2, 4, 5)), rng.normal(size=(2, 4, 5, 3)).astype("float32")
    void = rng.random(ids.shape) < 0.3
    bytes_ = np.where(void, 255, ids).astype("uint8")
    settings = {"from_logits": True, "encoding": "ids"}
    loss = cls(reduction="none", ignore_class=255, **settings)
    value, slope = value_and_gradient(
        lambda x: loss(bytes_, x), np.where(void[..., None], np.nan, x), through=at_once
    )
    np.testing.assert_allclose(value, _array(cls.fn(ids, x, mask=~void, **settings)), rtol=1e-6)
    assert np.all(slope[void] == 0) and np.all(slope[~void] != 0)


@pytest.mark.parametrize("encoding", ["onehot", "multilabel"])
@pytest.mark.parametrize("cls", [*ALL, losses.Boundary, losses.LovaszSoftmax], ids=_named)
def test_infinite_logits_are_the_limit_of_large_ones(cls, encoding):
    """A barred class has minus infinity; 0 times it is NaN elsewhere."""
    rng = np.random.default_rng(0)
    y, x = np.eye(3)[rng.integers(0, 3, (1, 5, 5))], rng.normal(size=(1, 5, 5, 3))
    x[0, 1, 1, 1], x[0, 2, 3, 0] = -np.inf, np.inf
    # Two images, alike but for how large.
    x = np.concatenate([x, np.clip(x, -200, 200)]).astype("float32")
    y = np.concatenate([y, y])
    options = {"from_logits": True, "encoding": encoding, "reduction": "none"}
    loss = cls(**options | ({} if cls is losses.Boundary else {"per": "image"}))
    value, slope = value_and_gradient(lambda x: loss(y, x), x, through=at_once)
    assert np.all(np.isfinite(value)) and np.all(np.isfinite(slope))
    np.testing.assert_allclose(value[0], value[1], rtol=1e-6)
    np.testing.assert_allclose(slope[0], slope[1], rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("absent", ["count", "skip"])
def test_nan_spreads_through_a_softmax(absent):
    x = np.zeros((2, 4, 3), "float32")
    x[1, 2, 0] = np.nan
    loss = losses.Dice(from_logits=True, background=False, absent=absent, reduction="none")
    np.testing.assert_array_equal(np.isnan(_array(loss(np.eye(3)[[[0, 1, 2, 0]] * 2], x))), [0, 1])


def test_an_absent_class_has_a_bounded_weight():
    """optax's is 1e7 of the others together, so that its loss is that of the absent class."""
    y = np.zeros((1, 100, 3), "float32")
    y[0, :90, 0] = y[0, 90:, 1] = 1
    p = np.where(y == 1, 0.9, 0.05).astype("float32")
    loss = losses.GeneralizedDice(smooth=0.0)
    counted = float(loss(y, p))
    # As one of the size of the smallest: 10 pixels.
    weight = np.array([1 / 90**2, 1 / 100, 1 / 100])
    found, both = (np.float64(v).sum(1)[0] @ weight for v in (p * y, p + y))
    assert counted == pytest.approx(1 - 2 * found / both, rel=1e-5)
    skipped = float(losses.GeneralizedDice(smooth=0.0, absent="skip")(y, p))
    assert skipped < counted


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("cls", OVERLAP, ids=_named)
def test_large_masks_in_16_bit(cls, dtype):
    """512 x 512 pixels sum to more than float16 holds."""
    y = np.ones((1, 512, 512, 1), "float32")
    y[:, :8] = 0
    p = np.where(y == 1, 0.75, 0.25).astype("float32")
    loss = cls(dtype=dtype, **MASKS)
    expected = float(cls(**MASKS)(y, p))
    value, slope = value_and_gradient(lambda p: loss(y, p), p)
    assert float(np.float32(value)) == pytest.approx(expected, rel=0.01)
    assert np.all(np.isfinite(slope)) and np.any(slope != 0)
    got = cls.fn(y, ops.cast(p, dtype), **MASKS)
    assert float(ops.cast(got, "float32")[0]) == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize("encoding", ["onehot", "ids", "multilabel"])
@pytest.mark.parametrize("cls", OVERLAP, ids=_named)
def test_nearly_perfect_predictions_have_their_loss(cls, encoding):
    """One less a ratio is 0 there, and so is the gradient of a rounded probability."""
    ids = np.arange(12).reshape(1, 12) % 3
    y = ids if encoding == "ids" else np.eye(3, dtype="float32")[ids]
    x = (40 * np.eye(3)[ids] - 20 * (encoding == "multilabel")).astype("float32")
    loss = cls(from_logits=True, encoding=encoding)
    value, slope = value_and_gradient(lambda x: loss(y, x), x)
    assert 0 < value < 1e-6
    assert np.all(slope * (1 - 2 * np.eye(3)[ids]) > 0)


@pytest.mark.parametrize("cls", OVERLAP, ids=_named)
def test_confident_mistakes_have_their_gradient(cls):
    ids = np.arange(12).reshape(1, 12) % 3
    x = 40 * np.eye(3, dtype="float32")[(ids + (ids == 2)) % 3]
    loss = cls(from_logits=True, encoding="ids")
    value, slope = value_and_gradient(lambda x: loss(ids, x), x)
    assert value > 0.2
    assert np.all(slope[ids == 2][:, 2] < 0) and np.all(slope[ids == 2][:, 0] != 0)


@pytest.mark.parametrize("p", [0.0, 1.0])
@pytest.mark.parametrize("y", [0.0, 1.0])
def test_correlation_without_a_row_or_a_column(y, p):
    """Its square root has no slope at 0, where elsewhere NaN comes of it."""
    shape = (1, 6, 1)
    for smooth in (0.0, 1.0):
        loss = losses.MatthewsCorrelation(smooth=smooth, **MASKS)
        value, slope = value_and_gradient(
            lambda q, loss=loss: loss(np.full(shape, y), q), np.full(shape, p, "float32")
        )
        assert np.isfinite(value) and np.all(np.isfinite(slope))
        assert value == 0 if y == p else smooth == 0 or value > 0.5


def test_a_sigmoid_before_one_hot_labels_is_taken_as_it_is():
    """The logits it leaves on its result are not those of a softmax."""
    x = keras.ops.convert_to_tensor(np.float32([[[2.0], [-1.0]]]))
    p = keras.activations.sigmoid(x)
    y = np.float32([[[1], [0]]])
    expected = losses.dice(y, _array(p).astype("float32"))
    np.testing.assert_allclose(_array(losses.dice(y, p)), _array(expected), rtol=1e-6)
    assert float(losses.Dice()(y, p)) == pytest.approx(float(expected[0]), rel=1e-6)


def test_an_interruption_costs_more_than_width():
    """The centerline does not mind a thicker vessel, and Dice hardly minds a gap."""
    line = np.zeros((1, 9, 15, 1), "float32")
    line[:, 3:6] = 1
    thick, cut = line.copy(), line.copy()
    thick[:, 2:7] = 1
    cut[:, :, 7:8] = 0
    center = [float(losses.centerline_dice(line, p)[0]) for p in (thick, cut)]
    overlap = [float(losses.dice(line, p)[0]) for p in (thick, cut)]
    assert center[0] < 0.02 < center[1] and overlap[0] > overlap[1]


def test_boundary_grows_with_the_distance():
    distance = np.abs(np.arange(9, dtype="float32") - 2)[None, :, None] - 1
    near, far = (np.eye(9, dtype="float32")[i][None, :, None] for i in (4, 8))
    values = [float(losses.boundary(distance, p)[0]) for p in (near, far)]
    np.testing.assert_allclose(values, [1 / 9, 5 / 9], rtol=1e-6)


@pytest.mark.parametrize("axis", [1, 3, -2])
def test_any_axis_holds_the_classes(axis):
    rng = np.random.default_rng(0)
    ids, x = rng.integers(0, 3, (2, 4, 5)), rng.normal(size=(2, 4, 5, 3)).astype("float32")
    for cls in ALL:
        last, there = (cls(from_logits=True, encoding="ids", axis=a) for a in (-1, axis))
        value, slope = value_and_gradient(lambda x, loss=last: loss(ids, x), x)
        got = value_and_gradient(lambda x, loss=there: loss(ids, x), np.moveaxis(x, -1, axis))
        np.testing.assert_allclose(got[0], value, rtol=1e-5)
        np.testing.assert_allclose(np.moveaxis(got[1], axis, -1), slope, rtol=1e-4, atol=1e-7)


REFUSED = {
    "one channel of a softmax": (
        lambda: losses.dice(np.zeros((1, 4, 1)), np.zeros((1, 4, 1), "float32"), from_logits=True),
        "multilabel",
    ),
    "no class but the background": (
        lambda: losses.dice(np.zeros((1, 4, 1)), np.zeros((1, 4, 1), "float32"), background=False),
        "background",
    ),
    "an unknown encoding": (lambda: losses.Dice(encoding="sparse"), "'ids'"),
    "negative smoothing": (lambda: losses.Dice(smooth=-1.0), "smooth"),
    "three smoothings": (lambda: losses.Dice(smooth=[1, 1, 1]), "smooth"),
    "per what": (lambda: losses.Tversky(per="pixel"), "'image', 'batch'"),
    "absent": (lambda: losses.Jaccard(absent="drop"), "'skip'"),
    "negative price": (lambda: losses.Tversky(alpha=-1.0), "alpha"),
    "gamma of zero": (lambda: losses.FocalTversky(gamma=0.0), "gamma"),
    "no iterations": (lambda: losses.CenterlineDice(iterations=0), "iterations"),
    "no pixels": (
        lambda: losses.centerline_dice(np.zeros((4, 2)), np.zeros((4, 2), "float32")),
        "(4, 2)",
    ),
    "too few weights": (
        lambda: losses.dice(
            np.zeros((1, 4, 3)), np.zeros((1, 4, 3), "float32"), class_weights=[1, 2]
        ),
        "3 classes",
    ),
    "an id out of range": (
        lambda: losses.dice([[3, 0]], np.zeros((1, 2, 3), "float32"), encoding="ids"),
        "id 3",
    ),
    "weights of another image": (
        lambda: losses.Dice(**MASKS)(
            np.zeros((1, 2, 3, 1)), np.zeros((1, 2, 3, 1)), np.ones((1, 3, 2))
        ),
        "sample_weight of shape (1, 3, 2) does not fit",
    ),
    "a weight for each of two classes of a pixel": (
        lambda: losses.Dice()(np.zeros((1, 2, 2)), np.zeros((1, 2, 2)), np.ones((1, 2, 2))),
        "(1, 2, 2)",
    ),
    "ids that are one-hot": (
        lambda: losses.dice(
            np.zeros((1, 2, 3), int), np.zeros((1, 2, 3), "float32"), encoding="ids"
        ),
        "(1, 2, 3)",
    ),
}


@pytest.mark.parametrize(("call", "named"), REFUSED.values(), ids=REFUSED)
def test_what_is_wrong_is_named(call, named):
    with pytest.raises((TypeError, ValueError)) as error:
        call()
    assert named in str(error.value)


def test_all_share_the_names_of_their_options():
    """In one order, for what one has learned of one to hold for all."""
    order = [
        "from_logits",
        "encoding",
        "smooth",
        "per",
        "absent",
        "background",
        "class_weights",
        "ignore_class",
        "axis",
        "mask",
    ]
    functions = [f for f in CATALOGUE["losses"].values() if inspect.isfunction(f)]
    functions = [f for f in functions if "encoding" in inspect.signature(f).parameters]
    assert len(functions) >= 8
    for function in functions:
        shared = [name for name in inspect.signature(function).parameters if name in order]
        assert shared == [name for name in order if name in shared], function.__name__


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="sizes are known elsewhere")
@pytest.mark.parametrize("cls", ALL)
def test_labels_whose_sizes_a_graph_does_not_know(cls):
    """As a generator without a signature gives them; predictions tell the number of classes."""
    import tensorflow as tf

    rng = np.random.default_rng(0)
    y_true = np.eye(3, dtype="float32")[rng.integers(0, 3, (2, 4, 4))]
    y_pred = rng.normal(size=(2, 4, 4, 3)).astype("float32")
    loss = cls(from_logits=True)
    signature = [tf.TensorSpec([None] * 4), tf.TensorSpec([None, None, None, 3])]
    unknown = tf.function(lambda y, x: loss(y, x), input_signature=signature)
    np.testing.assert_allclose(unknown(y_true, y_pred), loss(y_true, y_pred), rtol=1e-5)
    with pytest.raises((ValueError, tf.errors.InvalidArgumentError), match=r"\[2,4,4,2\]"):
        unknown(y_true[..., :2], y_pred)
