"""Properties that hold for every shape and value, on inputs that Hypothesis chooses.

The references are plain loops over NumPy float64: slow, and nothing in them can broadcast.
"""

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras import ops

from keras_actloss import activations, losses

pytestmark = pytest.mark.slow

SHAPES = st.lists(st.integers(2, 4), min_size=1, max_size=3).map(tuple)
SEEDS = st.integers(0, 10_000)


def _values(seed, shape):
    """Numbers of every size, as a float32 array."""
    rng = np.random.default_rng(seed)
    return (rng.normal(size=shape) * 10.0 ** rng.integers(-3, 3)).astype("float32")


def _array(x):
    return np.asarray(ops.convert_to_numpy(x), dtype="float64")


@given(SHAPES, st.data(), SEEDS)
def test_softmax_sums_to_one_over_any_axes(shape, data, seed):
    axis = data.draw(st.sets(st.integers(0, len(shape) - 1), min_size=1).map(tuple))
    y = _array(activations.softmax(_values(seed, shape), axis=axis))
    np.testing.assert_allclose(y.sum(axis=axis), 1, rtol=1e-5)
    assert np.all(y >= 0)


@given(SHAPES, SEEDS)
def test_softmax_of_a_mask(shape, seed):
    x, mask = _values(seed, shape), np.random.default_rng(seed).random(shape) < 0.6
    y = _array(activations.softmax(x, mask=mask))
    assert np.all(y[~mask] == 0)
    for row, of_row, keep in zip(
        x.reshape(-1, shape[-1]),
        y.reshape(-1, shape[-1]),
        mask.reshape(-1, shape[-1]),
        strict=True,
    ):
        if keep.any():
            e = np.exp(np.float64(row[keep]) - row[keep].max())
            np.testing.assert_allclose(of_row[keep], e / e.sum(), rtol=1e-4, atol=1e-7)


@given(SHAPES, SEEDS)
def test_log_softmax_is_the_logarithm_of_softmax(shape, seed):
    x = _values(seed, shape)
    expected = np.log(_array(activations.softmax(x)) + 1e-300)
    got = _array(activations.log_softmax(x))
    np.testing.assert_allclose(got[expected > -80], expected[expected > -80], rtol=1e-4, atol=1e-6)


@given(SHAPES, SEEDS, st.sampled_from(["softmax", "log_softmax"]))
def test_a_constant_added_to_logits_changes_nothing(shape, seed, name):
    function = getattr(activations, name)
    x = np.round(_values(seed, shape))
    np.testing.assert_array_equal(_array(function(x + 64)), _array(function(x)))


ERRORS = {
    losses.MeanSquaredError(): lambda e: e * e,
    losses.MeanAbsoluteError(): abs,
    losses.Huber(delta=2.0): lambda e: e * e / 2 if abs(e) <= 2 else 2 * (abs(e) - 1),
}


@pytest.mark.parametrize("loss", ERRORS, ids=repr)
@given(SHAPES, SEEDS, st.booleans())
def test_losses_of_errors(loss, shape, seed, masked):
    """Sample weights, masks of any rank and zero weights on NaN, in one mean."""
    rng = np.random.default_rng(seed)
    shape = (*shape, 3)
    y_true, y_pred = _values(seed, shape), _values(seed + 1, shape)
    weight = rng.integers(0, 3, shape[:1]).astype("float32")
    keep = rng.random(shape[: rng.integers(1, len(shape) + 1)]) < 0.7
    y_true[weight == 0] = np.nan
    total, count = 0.0, 0
    for index in np.ndindex(shape[:-1]):
        entries = [
            ERRORS[loss](float(y_pred[index][i]) - float(y_true[index][i]))
            for i in range(shape[-1])
            if not masked or keep[(*index, i)[: keep.ndim]]
        ]
        count += bool(entries)
        if entries and weight[index[0]]:
            total += weight[index[0]] * np.mean(entries)
    tensor = ops.convert_to_tensor(y_pred)
    if masked:
        tensor._keras_mask = ops.convert_to_tensor(keep)
    got = float(loss(y_true, tensor, weight))
    assert got == pytest.approx(total / max(count, 1), rel=1e-4, abs=1e-9)


@pytest.mark.parametrize("name", ["hinge", "squared_hinge", "categorical_hinge"])
@given(st.integers(2, 5), SEEDS)
def test_hinges(name, classes, seed):
    rng = np.random.default_rng(seed)
    scores = _values(seed, (3, classes))
    label = np.eye(classes)[rng.integers(0, classes, 3)]
    expected = []
    for row, y in zip(np.float64(scores), label, strict=True):
        if name == "categorical_hinge":
            expected.append(max(0, 1 + row[y == 0].max() - row[y == 1].item()))
        else:
            gaps = [max(0, 1 - (1 if one else -1) * s) for s, one in zip(row, y, strict=True)]
            expected.append(np.mean(np.array(gaps) ** (2 if "squared" in name else 1)))
    got = _array(getattr(losses, name)(label, scores))
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5 * np.abs(scores).max())


def test_mistakes_that_tutorials_make():
    # The denominator of tanh is a sum of two exponentials.
    assert float(activations.tanh(1.0)) == pytest.approx(np.tanh(1.0), rel=1e-6)
    # Softmax belongs to a row: neither its maximum nor its sum is that of the batch.
    rows = np.array([[0.0, 1.0], [1000.0, 1001.0]], "float32")
    np.testing.assert_allclose(
        _array(activations.softmax(rows))[1], [0.268941, 0.731059], rtol=1e-5
    )
    # Huber's delta is where it turns linear, not always 1.
    assert float(losses.huber([[0.0]], [[3.0]], delta=2.0)[0]) == 4.0
    assert keras.backend.standardize_dtype(losses.huber([[0.0]], [[3.0]]).dtype) == "float32"
