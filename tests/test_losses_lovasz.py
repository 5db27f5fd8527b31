"""Lovasz losses beside a plain loop in float64 and recorded numbers, and what their bins cost."""

import functools

import keras
import numpy as np
import pytest
from keras import ops

from keras_actloss import losses
from keras_actloss.core.kernels import top_k
from keras_actloss.losses import lovasz
from keras_actloss.testing.backend import array, at_once, compiled, value_and_gradient

pytestmark = pytest.mark.slow


_both = functools.partial(value_and_gradient, through=at_once)


def _extension(errors, positive):
    """Berman et al., algorithm 1: the Jaccard loss grows with each pixel that is wrong."""
    order = np.argsort(-errors, kind="stable")
    total, found, wrong, before, value = positive.sum(), 0, 0, 0.0, 0.0
    steps = np.zeros(len(errors))
    for i in order:
        found, wrong = found + positive[i], wrong + 1 - positive[i]
        loss = 1 - (total - found) / (total + wrong)
        steps[i] = loss - before
        value += errors[i] * steps[i]
        before = loss
    return value, steps


@pytest.mark.parametrize("ignore_class", [None, -1])
def test_hinge_beside_a_loop(ignore_class):
    rng = np.random.default_rng(0)
    x = (rng.normal(size=(4, 5, 6)) * 2).astype("float32")
    y = rng.integers(0 if ignore_class is None else -1, 2, x.shape)
    y[1], y[2, 0] = 0, 1
    y[3] = y[3] if ignore_class is None else -1
    value, gradient = value_and_gradient(
        lambda x: losses.lovasz_hinge(y, x, ignore_class=ignore_class), x
    )
    for i in range(4):
        keep = np.ones((5, 6), bool) if ignore_class is None else y[i] != -1
        sign = np.where(y[i] > 0, 1.0, -1.0)
        error = np.maximum(1 - np.float64(x[i]) * sign, 0)
        expected, steps = _extension(error[keep], (y[i] > 0)[keep].astype(int))
        assert value[i] == pytest.approx(expected, rel=1e-6)
        slope = np.zeros((5, 6))
        slope[keep] = (-sign * (error > 0))[keep] * steps
        np.testing.assert_allclose(gradient[i], slope, rtol=1e-6, atol=1e-9)


X = np.float32(
    [
        [
            [[0.13, -0.13, 0.64], [0.1, -0.54, 0.36], [1.3, 0.95, -0.7], [-1.27, -0.62, 0.04]],
            [
                [-2.33, -0.22, -1.25],
                [-0.73, -0.54, -0.32],
                [0.41, 1.04, -0.13],
                [1.37, -0.67, 0.35],
            ],
            [[0.9, 0.09, -0.74], [-0.92, -0.46, 0.22], [-1.01, -0.21, -0.16], [0.54, 0.21, 0.36]],
        ],
        [
            [[-0.65, -0.13, 0.78], [1.49, -1.26, 1.51], [1.35, 0.78, 0.26], [-0.31, 1.46, 1.96]],
            [[1.8, 1.32, 0.36], [-1.21, -0.0, 0.66], [-1.29, 0.4, 0.43], [0.7, -1.18, -0.66]],
            [[-0.44, -1.17, 1.74], [-0.5, 0.33, -0.26], [1.58, 1.32, 0.63], [-2.2, 0.05, 0.68]],
        ],
    ]
)
IDS = np.array(
    [[[255, 0, 0, 1], [0, 0, 0, 0], [1, 1, 0, 1]], [[2, 2, 2, 2], [1, 1, 0, 0], [0, 1, 0, 1]]]
)


def test_as_segmentation_models_pytorch():
    """segmentation_models_pytorch 0.6.0, `LovaszLoss(mode, per_image, ignore_index=255)`.

    With `per_image=False` its batch is one sample. Recorded are the loss and the sum of the
    absolute gradient, float32.
    """
    for rank, value, slope in ((4, 0.67163086, 0.37923610), (3, 0.66552013, 0.37223709)):
        x, y = (X, IDS) if rank == 4 else (X.reshape(1, -1, 3), IDS.reshape(1, -1))
        loss = losses.LovaszSoftmax(from_logits=True, encoding="ids", ignore_class=255)
        got, gradient = _both(lambda x, y=y, loss=loss: loss(y, x), x)
        assert float(got) == pytest.approx(value, rel=1e-6)
        assert np.abs(gradient).sum() == pytest.approx(slope, rel=1e-6)
    for flat, value, slope in ((False, 1.56439233, 0.86363643), (True, 1.55889130, 0.85)):
        x, y = X[..., 0], np.where(IDS == 255, 255, IDS > 0)
        x, y = (v.reshape(1, -1) if flat else v for v in (x, y))
        loss = losses.LovaszHinge(ignore_class=255)
        got, gradient = _both(lambda x, y=y, loss=loss: loss(y, x), x)
        assert float(got) == pytest.approx(value, rel=1e-6)
        assert np.abs(gradient).sum() == pytest.approx(slope, rel=1e-6)


def test_as_kornia():
    """kornia 0.9.0, which has no ignored pixels and takes all classes of each image."""
    ids = np.where(IDS == 255, 0, IDS)
    loss = losses.LovaszSoftmax(from_logits=True, encoding="ids", absent="count")
    assert float(loss(ids, X)) == pytest.approx(0.65001279, rel=1e-6)
    loss = losses.LovaszHinge()
    assert float(loss(ids > 0, X[..., 0])) == pytest.approx(1.57608080, rel=1e-6)


def test_it_is_the_jaccard_index_of_masks():
    rng = np.random.default_rng(0)
    y, p = rng.integers(0, 2, (2, 5, 30))
    index = (y * p).sum(-1) / np.maximum(y, p).sum(-1)
    got = losses.lovasz_softmax(y[..., None], p[..., None].astype("float32"), encoding="multilabel")
    np.testing.assert_allclose(array(got), 1 - index, rtol=1e-6)


def test_an_empty_mask_costs_its_largest_error():
    y, x = np.zeros((1, 5)), np.float32([[-3, 0.5, -0.25, 2, -4]])
    value, gradient = value_and_gradient(lambda x: losses.lovasz_hinge(y, x), x)
    assert value[0] == 3
    np.testing.assert_array_equal(gradient, [[0, 0, 0, 1, 0]])
    p = np.float32([[[0.25], [0.75], [0.5]]])
    for absent, expected in (("count", 0.75), ("skip", 0)):
        value, gradient = value_and_gradient(
            lambda p, a=absent: losses.lovasz_softmax(
                np.zeros((1, 3, 1)), p, encoding="multilabel", absent=a
            ),
            p,
        )
        assert value[0] == expected and gradient.sum() == (absent == "count")


@pytest.mark.parametrize("limit", [lovasz.SORTED, 0])
def test_equal_errors(limit, monkeypatch):
    """Their order moves no value. A sort takes the first first, a bin the mean of either way."""
    monkeypatch.setattr(lovasz, "SORTED", limit)
    y, x = np.array([[1, 0, 1, 0]]), np.zeros((1, 4), "float32")
    orders = [[0, 1, 2, 3], [1, 0, 3, 2], [3, 2, 1, 0]]
    for order in orders:
        value, gradient = value_and_gradient(lambda x, o=order: losses.lovasz_hinge(y[:, o], x), x)
        assert float(value[0]) == pytest.approx(1, rel=1e-6)
        assert np.abs(gradient).sum() == pytest.approx(1, rel=1e-6)
        if limit == 0:
            np.testing.assert_allclose(np.abs(gradient), [np.where(y[0, order], 0.375, 0.125)])


@pytest.mark.parametrize("per", ["image", "batch"])
def test_bins_weigh_and_sort_the_largest(per, monkeypatch):
    """No bin holds two of these errors, so that all is as by the sort."""
    rng = np.random.default_rng(0)
    y, x = rng.integers(0, 2, (3, 20)), rng.normal(size=(3, 20)).astype("float32")
    weight = (rng.random((3, 20)) * rng.integers(0, 2, (3, 20))).astype("float32")
    loss = losses.LovaszHinge(per=per, reduction="none")

    def run():
        return _both(lambda x: loss(y, x, weight), x)

    expected = run()
    monkeypatch.setattr(lovasz, "SORTED", 0)
    for ahead in (1, 5, 2**12):
        monkeypatch.setattr(lovasz, "SORTED_AHEAD", ahead)
        for got, wanted in zip(run(), expected, strict=True):
            np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-7)


def test_a_batch_is_one_set():
    x, y = X[..., 0], np.where(IDS == 255, 255, IDS > 0)
    loss = losses.LovaszHinge(per="batch", ignore_class=255, reduction="none")
    alone = losses.LovaszHinge(ignore_class=255)(y.reshape(1, -1), x.reshape(1, -1))
    np.testing.assert_allclose(array(loss(y, x)), 2 * [float(alone)], rtol=1e-6)


def _images(seed, entries, negatives=0.8, noise=1.5):
    rng = np.random.default_rng(seed)
    y = (rng.random((2, entries)) > negatives).astype("int32")
    x = (2 * y - 1) * 1.5 + noise * rng.normal(size=y.shape)
    return y, x.astype("float32")


@pytest.mark.parametrize(
    ("negatives", "bound"), [(0.5, 1e-5), (0.8, 3e-5), (0.99, 1e-4), (0.999, 3e-5), (0.9999, 3e-5)]
)
def test_bins_beside_the_sort(negatives, bound):
    """Beyond the limit a value moves by less than a bin's width, in truth by a few millionths.

    A step is shared by all errors of a bin. Where few pixels are in the mask the first steps are
    steep, and sharing these would move the gradient by 1e-3: they are sorted. A float32 sort that
    subtracts Jaccard indices is off by 1.1e-3 and 8.0e-4 for the first two.
    """
    y, x = _images(0, 2 * lovasz.SORTED, negatives)
    labels = ops.convert_to_tensor(y)
    for call, errors, slopes, width in (
        (
            lambda x: losses.lovasz_hinge(labels, x),
            lambda x: np.maximum(1 - x * (2 * y - 1), 0),
            lambda x, e: (1 - 2 * y) * (e > 0),
            lambda e: (1 + e.max()) ** 2 / lovasz.BINS,
        ),
        (
            lambda x: losses.lovasz_softmax(labels[..., None], x[..., None], True, "multilabel"),
            lambda x: 1 / (1 + np.exp(x * (2 * y - 1))),
            lambda x, e: (1 - 2 * y) * e * (1 - e),
            lambda e: 1 / lovasz.BINS,
        ),
    ):
        value, gradient = value_and_gradient(call, x, through=compiled)
        error = errors(np.float64(x))
        expected = [_extension(e, yes) for e, yes in zip(error, y, strict=True)]
        truth = slopes(np.float64(x), error) * np.stack([steps for _, steps in expected])
        exact = np.array([v for v, _ in expected])
        # What is seen, most of it what a float32 sum of so many terms drops, and what is sure.
        assert np.all(np.abs(value - exact) <= 4e-6 * exact)
        assert np.all(np.abs(value - exact) <= width(error))
        off = np.linalg.norm(gradient - truth) / np.linalg.norm(truth)
        assert off <= bound


def test_bins_tell_close_errors_apart():
    """Logits before training, beside one that is far off; bins of one width were off by 7e-4."""
    rng = np.random.default_rng(0)
    y = (rng.random((1, 2 * lovasz.SORTED)) > 0.8).astype("int32")
    x = (0.01 * rng.normal(size=y.shape)).astype("float32")
    x[0, np.argmin(y)] = 1e4
    # In float32, whose order counts.
    errors = np.maximum(1 - x * (2 * y - 1).astype("float32"), 0)
    value, steps = _extension(np.float64(errors[0]), y[0])
    labels = ops.convert_to_tensor(y)
    got, gradient = value_and_gradient(
        lambda x: losses.lovasz_hinge(labels, x), x, through=compiled
    )
    truth = (1 - 2 * y[0]) * steps * (errors[0] > 0)
    assert float(got[0]) == pytest.approx(value, rel=1e-6)
    assert np.linalg.norm(gradient[0] - truth) <= 3e-5 * np.linalg.norm(truth)


@pytest.mark.parametrize("k", [1, 100, 2048])
def test_the_largest_of_long_rows(k):
    rng = np.random.default_rng(0)
    x = np.round(rng.normal(size=(3, 2**17)), 3).astype("float32")
    largest, ranks = (array(v) for v in top_k(ops.convert_to_tensor(x), k))
    np.testing.assert_array_equal(largest, -np.sort(-x)[:, :k])
    np.testing.assert_array_equal(np.take_along_axis(x, ranks, -1), largest)
    assert all(len(set(row)) == k for row in ranks.tolist())


@pytest.mark.parametrize("limit", [lovasz.SORTED, 0])
def test_nothing_left(limit, monkeypatch):
    """mmsegmentation gives 0.5 where every pixel is ignored."""
    monkeypatch.setattr(lovasz, "SORTED", limit)
    for loss, y, shape in (
        (losses.LovaszHinge(ignore_class=255), np.full((2, 6), 255), (2, 6)),
        (
            losses.LovaszSoftmax(
                from_logits=True, encoding="ids", ignore_class=255, absent="count"
            ),
            np.full((2, 6), 255),
            (2, 6, 3),
        ),
    ):
        for y_, x in ((y, np.full(shape, np.nan, "float32")), (y[:0], np.zeros((0, *shape[1:])))):
            value, gradient = _both(lambda x, y_=y_, loss=loss: loss(y_, x), x)
            assert value == 0 and np.all(gradient == 0)


def test_images_of_unknown_size():
    if keras.backend.backend() != "tensorflow":
        pytest.skip("other graphs have fixed shapes")
    import tensorflow as tf

    function = tf.function(
        lambda y, x: losses.lovasz_softmax(y, x, from_logits=True, encoding="ids"),
        input_signature=[tf.TensorSpec((None, None), "int32"), tf.TensorSpec((None, None, 3))],
    )
    y, x = IDS[1:].reshape(1, -1).astype("int32"), X[1:].reshape(1, -1, 3)
    expected = losses.lovasz_softmax(y, x, from_logits=True, encoding="ids")
    np.testing.assert_allclose(array(function(y, x)), array(expected), rtol=1e-6)


def test_a_batch_of_unknown_size_is_put_into_bins(monkeypatch):
    if keras.backend.backend() != "tensorflow":
        pytest.skip("other graphs have fixed shapes")
    import tensorflow as tf

    y, x = IDS[1:].reshape(1, 4, 3).astype("int32"), X[1:].reshape(1, 4, 3, 3)
    expected = losses.lovasz_softmax(y, x, from_logits=True, encoding="ids")
    monkeypatch.setattr(lovasz, "SORTED", 0)
    function = tf.function(
        lambda y, x: losses.lovasz_softmax(y, x, from_logits=True, encoding="ids"),
        input_signature=[tf.TensorSpec((None, 4, 3), "int32"), tf.TensorSpec((None, 4, 3, 3))],
    )
    np.testing.assert_allclose(array(function(y, x)), array(expected), rtol=1e-5)


def test_wrong_settings_are_refused():
    with pytest.raises(ValueError, match="encoding must be one of"):
        losses.LovaszSoftmax(encoding="sparse")
    with pytest.raises(ValueError, match="absent must be one of"):
        losses.LovaszSoftmax(absent="present")
    with pytest.raises(ValueError, match="got 2 numbers, but y_pred has 3 classes"):
        losses.lovasz_softmax(ops.zeros((1, 4, 3)), ops.zeros((1, 4, 3)), class_weights=[1.0, 2.0])
