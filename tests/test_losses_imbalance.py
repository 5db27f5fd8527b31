"""What goes wrong with losses for imbalanced labels elsewhere, and plain loops."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_actloss import losses
from keras_actloss.testing.backend import value_and_gradient

pytestmark = pytest.mark.slow

FUNCTIONS = {
    "asymmetric": losses.asymmetric_binary_crossentropy,
    "varifocal": losses.varifocal,
    "quality": losses.quality_focal,
    "penalty": losses.penalty_reduced_focal,
    "soft_f1": losses.soft_f1,
    "top_k": losses.top_k_binary_crossentropy,
}


def _array(x):
    return np.asarray(ops.convert_to_numpy(x), dtype="float64")


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("label", [0.0, 1.0])
def test_confident_mistakes_have_their_gradient(name, label):
    """Keras's focal losses stop at 16.1 with none. What ends in a margin or an F1 saturates."""
    function, sign = FUNCTIONS[name], 1 - 2 * label
    y = np.full((1, 1), label, "float32")
    p = np.float32([[1e-9 if label else 1 - 2.0**-20]])
    _, gradient = value_and_gradient(lambda p: function(y, p), p)
    assert gradient[0, 0] * sign > 0.2
    x = np.float32([[40 * sign]])
    value, gradient = value_and_gradient(lambda x: function(y, x, from_logits=True), x)
    assert gradient[0, 0] * sign > 0
    if name != "soft_f1" and not (name == "asymmetric" and label == 0):
        weight = 0.75 if name == "varifocal" and label == 0 else 1.0
        assert float(value[0]) == pytest.approx(40 * weight)
        assert gradient[0, 0] * sign == pytest.approx(weight)


def test_alpha_of_varifocal_weighs_negatives_only():
    """Elsewhere alpha weighs positives, or everything."""
    y, p = [[1.0, 0.0]], [[0.5, 0.5]]
    one, two = (float(losses.varifocal(y, p, alpha=a)[0]) for a in (1.0, 2.0))
    assert two - one == pytest.approx(0.25 * np.log(2) / 2)


def test_focus_of_zero_and_below_one():
    """Where a power of 0 has no slope, gradients elsewhere are NaN."""
    y = np.float32([[0, 1, 0, 1]])
    for p in (y, 1 - y):
        for gamma in (0.0, 0.5, 1.0):
            for call in (
                lambda p, g=gamma: losses.quality_focal(y, p, beta=g),
                lambda p, g=gamma: losses.varifocal(y, p, gamma=g),
                lambda p, g=gamma: losses.penalty_reduced_focal(y, p, alpha=g, beta=g),
                lambda p, g=gamma: losses.asymmetric_binary_crossentropy(
                    y, p, gamma_negative=g, gamma_positive=g
                ),
            ):
                value, gradient = value_and_gradient(call, p)
                assert np.all(np.isfinite(value)) and np.all(np.isfinite(gradient))


def test_negatives_within_the_margin_cost_nothing():
    loss = losses.AsymmetricBinaryCrossentropy(reduction="none")
    value, gradient = value_and_gradient(
        lambda p: loss(np.zeros((2, 2)), p), np.float32([[0.04, 0.01], [0.0499, 0.06]])
    )
    assert value[0] == 0 and np.all(gradient[0] == 0)
    assert value[1] > 0 and gradient[1, 0] == 0 and gradient[1, 1] > 0


def test_a_sample_without_positives():
    negative = np.zeros((1, 4), "float32")
    p = np.full((1, 4), 0.25, "float32")
    assert float(losses.soft_f1(negative, p, smooth=1.0)[0]) == 0.5
    for smooth, expected in ((1.0, 0.0), (0.0, 0.0)):
        value, gradient = value_and_gradient(
            lambda p, s=smooth: losses.soft_f1(negative, p, smooth=s), 0 * p
        )
        assert value[0] == expected and np.all(np.isfinite(gradient))
    # Without a peak, the sum of what is wrongly there.
    assert float(losses.penalty_reduced_focal(negative, p)[0]) == pytest.approx(
        4 * 0.25**2 * -np.log(0.75)
    )


def test_classes_of_f1_weigh_as_often_as_they_would_occur():
    y, p = (
        np.float32([[1, 0, 0], [0, 1, 1]]),
        np.float32([[0.75, 0.5, np.nan], [0.25, 0.5, np.nan]]),
    )
    loss = losses.SoftF1(class_weights=[2.0, 1.0, 0.0], reduction="sum")
    value, gradient = value_and_gradient(lambda p: loss(y, p), p)
    rows = np.array([0, 0, 1])
    twice, slope = value_and_gradient(
        lambda p: losses.SoftF1(reduction="sum")(y[:, rows], p), p[:, rows]
    )
    assert value == pytest.approx(twice)
    np.testing.assert_allclose(gradient[:, 0], slope[:, 0] + slope[:, 1], rtol=1e-6)
    np.testing.assert_allclose(gradient[:, 1:], np.stack([slope[:, 2], 0 * slope[:, 2]], -1))


def _hardest(values, keep, fraction):
    row = sorted(values[keep], reverse=True)
    count = max(1, int(np.floor(fraction * len(row) + 0.5)))
    return np.mean(row[:count]) if row else 0.0


@pytest.mark.parametrize("fraction", [0.1, 0.3, 0.8, 1.0])
@pytest.mark.parametrize("axis", [1, 2, -1, 3])
def test_hardest_labels_in_a_loop(fraction, axis):
    """Ignored and masked labels neither count among the hardest nor in how many there are."""
    rng = np.random.default_rng(int(10 * fraction))
    logits = rng.normal(size=(3, 4, 5, 6)).astype("float32")
    ids = rng.integers(0, 6, (3, 4, 5))
    ids[rng.random(ids.shape) < 0.3] = 255
    ids[2] = 255
    mask = rng.random((3, 4)) < 0.7
    log_p = logits - np.log(np.exp(np.float64(logits)).sum(-1, keepdims=True))
    cross_entropy = -np.take_along_axis(log_p, np.where(ids == 255, 0, ids)[..., None], -1)[..., 0]
    kept = (ids != 255) & mask[..., None]
    expected = [_hardest(v, k, fraction) for v, k in zip(cross_entropy, kept, strict=True)]
    y_pred = np.moveaxis(logits, -1, axis)
    settings = {"from_logits": True, "ignore_class": 255, "axis": axis, "fraction": fraction}
    got = losses.top_k_sparse_categorical_crossentropy(ids, y_pred, mask=mask, **settings)
    np.testing.assert_allclose(_array(got), expected, rtol=1e-5)
    loss = losses.TopKSparseCategoricalCrossentropy(**settings)
    tensor = ops.convert_to_tensor(y_pred)
    tensor._keras_mask = ops.convert_to_tensor(mask)
    assert float(loss(ids, tensor)) == pytest.approx(sum(expected) / 2, rel=1e-5)


def test_a_mask_of_the_hardest_hides_no_nan():
    y, p, mask = np.ones((1, 4)), np.float32([[0.2, np.nan, 0.9, 0.5]]), [[True, True, True, False]]
    assert np.isnan(_array(losses.top_k_binary_crossentropy(y, p, fraction=0.5, mask=mask)))


def test_easy_entries_have_no_gradient():
    x = np.float32([[-4, -1, 0, 5]])
    _, gradient = value_and_gradient(
        lambda x: losses.top_k_binary_crossentropy(
            np.ones((1, 4)), x, from_logits=True, fraction=0.5
        ),
        x,
    )
    np.testing.assert_allclose(gradient, [[-0.5 / (1 + np.exp(-4)), -0.5 / (1 + np.exp(-1)), 0, 0]])


@pytest.mark.parametrize("name", ["penalty", "soft_f1", "varifocal", "quality", "asymmetric"])
def test_masks_leave_what_they_keep(name):
    rng = np.random.default_rng(0)
    y, p = rng.integers(0, 2, (2, 3, 4)).astype("float32"), rng.random((2, 3, 4)).astype("float32")
    mask = np.ones((2, 3, 4), bool)
    mask[..., 3] = False
    function = FUNCTIONS[name]
    p[..., 3] = np.nan
    got = _array(function(y, p, mask=mask))
    np.testing.assert_allclose(got, _array(function(y[..., :3], p[..., :3])), rtol=1e-6)
    steps = np.array([[True, True, False], [True, False, False]])
    got = _array(function(y[..., :3], p[..., :3], mask=steps))
    if name == "penalty":
        first = _array(function(y[:1, :2, :3], p[:1, :2, :3]))
        np.testing.assert_allclose(got[:1], first, rtol=1e-6)
    else:
        expected = np.where(steps, _array(function(y[..., :3], p[..., :3])), 0)
        np.testing.assert_allclose(got, expected, rtol=1e-6)


def test_wrong_settings_are_refused():
    with pytest.raises(ValueError, match="fraction must lie in"):
        losses.TopKBinaryCrossentropy(fraction=0.0)
    with pytest.raises(ValueError, match="clip must lie in"):
        losses.AsymmetricBinaryCrossentropy(clip=1.0)
    with pytest.raises(ValueError, match="gamma must be at least 0"):
        losses.Varifocal(gamma=-1.0)


def test_images_of_unknown_size():
    if keras.backend.backend() != "tensorflow":
        pytest.skip("other graphs have fixed shapes")
    import tensorflow as tf

    y = np.random.default_rng(0).integers(0, 2, (2, 3, 4, 1)).astype("float32")
    p = np.random.default_rng(1).random((2, 3, 4, 1)).astype("float32")
    spec = tf.TensorSpec((None, None, None, 1))
    function = tf.function(
        lambda y, p: losses.top_k_binary_crossentropy(y, p, fraction=0.3),
        input_signature=[spec, spec],
    )
    expected = losses.top_k_binary_crossentropy(y, p, fraction=0.3)
    np.testing.assert_allclose(_array(function(y, p)), _array(expected), rtol=1e-6)
