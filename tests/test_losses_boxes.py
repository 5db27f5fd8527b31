"""What goes wrong with losses of boxes elsewhere."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_actloss import losses
from keras_actloss.testing.backend import array, value_and_gradient

pytestmark = pytest.mark.slow

KINDS = {name: getattr(losses, name) for name in ("iou", "giou", "diou", "ciou")}
MOVING = [name for name in KINDS if name != "iou"]
TRUE = np.float32([[10, 20, 40, 60]])


def _both(name, pred, true=TRUE, **settings):
    return value_and_gradient(lambda p: KINDS[name](true, p, **settings), np.float32(pred))


@pytest.mark.parametrize("name", KINDS)
def test_no_matrix_of_pairs(name):
    """KerasCV builds one and takes the diagonal of the wrong axes: (3, 2) for a batch of 2."""
    rng = np.random.default_rng(0)
    true, pred = (np.sort(rng.normal(size=(2, 3, 2, 2)), 2).reshape(2, 3, 4) for _ in range(2))
    true, pred = true.astype("float32"), pred.astype("float32")
    got = array(KINDS[name](true, pred))
    assert got.shape == (2, 3)
    alone = [array(KINDS[name](true[:, i], pred[:, i])) for i in range(3)]
    np.testing.assert_allclose(got, np.stack(alone, 1), rtol=1e-6)


@pytest.mark.parametrize("name", KINDS)
def test_identical_boxes_are_a_resting_place(name):
    """An epsilon in the divisor leaves 5e-8, and a difference of two areas any sign."""
    for box in (TRUE, TRUE * 1e-18, TRUE * 1e15, TRUE + 1000):
        value, gradient = _both(name, box, box)
        assert value[0] == 0 and np.all(gradient == 0)


@pytest.mark.parametrize("name", KINDS)
def test_degenerate_boxes(name):
    point, line = [[10, 20, 10, 20]], [[10, 20, 40, 20]]
    for pred in (point, line, [[15, 30, 15, 30]], [[0, 0, 0, 0]], [[100, 20, 100, 60]]):
        for true in (TRUE, np.float32(pred), np.float32(point)):
            value, gradient = _both(name, pred, true)
            assert np.isfinite(value[0]) and value[0] >= 1
            assert np.all(np.isfinite(gradient))
    # Nothing overlaps with a box without area: not itself, either.
    assert _both("iou", point, np.float32(point))[0][0] == 1


def test_a_box_without_width_can_grow():
    """Sorted by minimum and maximum, two equal corners would share one gradient."""
    for name in KINDS:
        _, gradient = _both(
            name, [[25, 40, 0, 40]], [[25, 40, 30, 40]], bounding_box_format="center_xywh"
        )
        assert gradient[0, 2] < 0


@pytest.mark.parametrize("name", MOVING)
def test_disjoint_boxes_are_moved(name):
    for pred in ([[100, 20, 130, 60]], [[10, 200, 40, 240]], [[1e6, 1e6, 1e6 + 64, 1e6 + 64]]):
        pred = np.float32(pred)
        value, gradient = _both(name, pred)
        assert value[0] > 1 and np.all(np.isfinite(gradient)) and np.any(gradient != 0)
        step = 0.1 * np.abs(pred - TRUE).max() / np.abs(gradient).max()
        assert _both(name, pred - step * gradient)[0][0] < value[0]
    assert np.all(_both("iou", [[100, 20, 130, 60]])[1] == 0)


@pytest.mark.parametrize("name", KINDS)
def test_corners_come_in_any_order(name):
    pred = np.float32([[15, 25, 50, 70]])
    value, gradient = _both(name, pred)
    for order in ([2, 1, 0, 3], [0, 3, 2, 1], [2, 3, 0, 1]):
        swapped = _both(name, pred[:, order])
        assert swapped[0] == value and np.all(swapped[1] == gradient[:, order])


@pytest.mark.parametrize("name", KINDS)
def test_sizes_do_not_matter(name):
    pred = np.float32([[15, 25, 50, 70]])
    value, gradient = _both(name, pred)
    for scale in (2.0**-110, 2.0**-30, 2.0**30, 2.0**110):
        scaled = _both(name, pred * np.float32(scale), TRUE * np.float32(scale))
        np.testing.assert_allclose(scaled[0], value, rtol=1e-6)
        np.testing.assert_allclose(scaled[1] * scale, gradient, rtol=1e-5)


FORMATS = {
    "xyxy": lambda x, y, w, h: (x, y, x + w, y + h),
    "yxyx": lambda x, y, w, h: (y, x, y + h, x + w),
    "xywh": lambda x, y, w, h: (x, y, w, h),
    "center_xywh": lambda x, y, w, h: (x + w / 2, y + h / 2, w, h),
    "center_yxhw": lambda x, y, w, h: (y + h / 2, x + w / 2, h, w),
}


@pytest.mark.parametrize("name", KINDS)
def test_formats_are_those_of_keras(name):
    rng = np.random.default_rng(0)
    sides = [np.concatenate([rng.normal(size=(2, 5)), rng.gamma(2, size=(2, 5))]) for _ in "tp"]
    values = {}
    for each, of in FORMATS.items():
        true, pred = (np.stack(of(*side), -1).astype("float32") for side in sides)
        values[each] = array(KINDS[name](true, pred, bounding_box_format=each))
        corners = keras.utils.bounding_boxes.convert_format(pred, each, "xyxy")
        expected = np.stack(FORMATS["xyxy"](*sides[1]), -1)
        np.testing.assert_allclose(ops.convert_to_numpy(corners), expected, rtol=1e-5, atol=1e-6)
    for value in values.values():
        np.testing.assert_allclose(value, values["xyxy"], rtol=1e-5, atol=1e-6)


def test_shares_of_an_image_only_where_they_make_no_difference():
    image = np.float32([640, 480, 640, 480])
    pred = np.float32([[15, 25, 50, 70]])
    for name in ("iou", "giou"):
        ours = KINDS[name](TRUE / image, pred / image, bounding_box_format="rel_xyxy")
        np.testing.assert_allclose(array(ours), array(KINDS[name](TRUE, pred)), rtol=1e-5)
    for name in ("diou", "ciou"):
        with pytest.raises(ValueError, match="bounding_box_format must be one of"):
            KINDS[name](TRUE, pred, bounding_box_format="rel_xyxy")


def test_alpha_of_ciou_has_no_gradient():
    """With it a box of another aspect ratio would be pushed away from its target."""
    true, step = np.float32([[0, 0, 2, 2]]), 1e-3
    pred = np.float64([[0, 0, 4, 2]])
    _, gradient = _both("ciou", pred, true)
    v = 4 / np.pi**2 * (np.arctan(1) - np.arctan(2)) ** 2
    moved = 4 / np.pi**2 * (np.arctan(1) - np.arctan(2 + step / 2)) ** 2
    _, plain = _both("diou", pred, true)
    # The kinks of shared edges are those of diou.
    expected = v / (0.5 + v) * (moved - v) / step
    assert gradient[0, 2] - plain[0, 2] == pytest.approx(expected, rel=1e-2)


def test_boxes_have_four_numbers():
    with pytest.raises(ValueError, match="holds 4 numbers, got y_pred of shape"):
        losses.giou(np.zeros((2, 3)), np.zeros((2, 3)))


def test_distances_beyond_the_bins_count_as_the_last():
    logits = np.float32([[0.5, -1, 2, 0]])
    for far, end in ((-3.0, 0.0), (7.5, 3.0)):
        got = [array(losses.distribution_focal([y], logits)) for y in (far, end)]
        assert got[0] == got[1]
