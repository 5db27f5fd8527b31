"""Layers that learn parameters: shapes of the weights, Keras's files, training, precision."""

import json

import keras
import numpy as np
import pytest
from keras import ops

from keras_actloss import activations, layers
from keras_actloss.testing.backend import array

IMAGES = np.random.default_rng(0).normal(size=(2, 4, 6, 3)).astype("float32")


@pytest.mark.parametrize(
    ("shared_axes", "shape"),
    [
        (None, (3,)),
        ([1, 2], (1, 1, 3)),
        ((-2, -3), (1, 1, 3)),
        (3, (4, 6, 1)),
        ([], (4, 6, 3)),
        ("all", ()),
    ],
)
def test_shape_of_a_weight(shared_axes, shape):
    layer = layers.PReLU(alpha_initializer=0.5, shared_axes=shared_axes)
    again = layers.PReLU.from_config(layer.get_config())
    np.testing.assert_allclose(array(again(IMAGES)), np.where(IMAGES > 0, IMAGES, IMAGES / 2))
    assert tuple(again.alpha.shape) == shape


def test_shared_axes_of_another_name_are_refused():
    with pytest.raises(ValueError, match="shared_axes must be None, axes or 'all', got 'last'"):
        layers.PReLU(shared_axes="last")
    with pytest.raises(ValueError, match=r"PReLU: axis=3 does not exist .*\(None, 5, 3\)"):
        layers.PReLU(shared_axes=[1, 3]).build((None, 5, 3))


def test_scalar_weights():
    layer = layers.DynamicTanh()
    layer(IMAGES)
    shapes = {weight.name: tuple(weight.shape) for weight in layer.weights}
    assert shapes == {"alpha": (), "gamma": (3,), "beta": (3,)}


@pytest.mark.parametrize("shared_axes", [None, [1, 2]])
def test_other_sizes_may_be_unknown(shared_axes):
    inputs = keras.Input((None, None, 3))
    layer = layers.PReLU(alpha_initializer=0.25, shared_axes=shared_axes)
    model = keras.Model(inputs, layer(inputs))
    for size in (2, 5):
        x = np.full((1, size, size + 1, 3), -2, "float32")
        np.testing.assert_array_equal(array(model(x)), -0.5)


@pytest.mark.parametrize(
    ("shape", "shared_axes"), [((2, 3, None), None), ((2, None, 3), []), ((), None)]
)
def test_a_weight_of_unknown_shape_is_refused(shape, shared_axes):
    with pytest.raises(ValueError, match="shared_axes"):
        layers.PReLU(shared_axes=shared_axes).build(shape)


def test_a_value_for_what_is_learned_is_refused():
    with pytest.raises(TypeError, match="alpha_initializer"):
        layers.PReLU(alpha=0.25)


CONSTANT = {
    "prelu": {"alpha": 0.3},
    "prelu of channels": {"alpha": np.float32([0.1, 0.2, 0.3])},
    "tlu": {"tau": -0.5},
    "tlu, affine": {"tau": -0.5, "alpha": 0.2},
    "dynamic_tanh": {"alpha": 0.8},
    "dynamic_tanh of defaults": {},
    "xielu": {"alpha_p": 0.4},
    "star_relu": {"bias": -0.1},
    "snake": {"frequency": 2.0},
}


@pytest.mark.parametrize("name", CONSTANT)
def test_in_a_functional_model_a_function_has_constants(name):
    function, settings = getattr(activations, name.split()[0].strip(",")), CONSTANT[name]
    inputs, x = keras.Input((3,)), np.linspace(-2, 2, 6, dtype="float32").reshape(2, 3)
    model = keras.Model(inputs, function(inputs, **settings))
    assert not model.trainable_weights
    again = keras.Model.from_config(json.loads(json.dumps(model.get_config())))
    for built in (model, again):
        np.testing.assert_allclose(array(built(x)), array(function(x, **settings)), rtol=1e-6)


def test_a_symbolic_setting_is_refused():
    inputs = keras.Input((3,))
    with pytest.raises(TypeError, match="snake: frequency of a symbolic x must be a number"):
        activations.snake(inputs, frequency=inputs)


def test_a_weight_is_no_entry_of_the_batch():
    layer = layers.PReLU(alpha_initializer=0.5)
    np.testing.assert_array_equal(array(layer(-np.ones(5, "float32"))), -0.5 * np.ones(5))
    assert layer.alpha.shape == ()
    for axes in (0, [1, -3]):
        with pytest.raises(ValueError, match="shared_axes must name axes of a sample"):
            layers.PReLU(shared_axes=axes).build((6, 4, 3))


def test_affine_is_a_flag():
    with pytest.raises(TypeError, match="TLU: affine must be True or False, got 'no'"):
        layers.TLU(affine="no")


@pytest.mark.parametrize("alpha", [np.ones(2), np.ones((1, 1, 3)), np.ones((1, 3))])
def test_a_parameter_does_not_widen_its_input(alpha):
    x = np.ones((1, 3) if alpha.ndim > 2 else (3,), "float32")
    for function, name in ((activations.prelu, "alpha"), (activations.swish, "beta")):
        message = f"{function.__name__}: {name} of shape .* does not broadcast"
        with pytest.raises(ValueError, match=message):
            function(x, alpha.astype("float32"))


@pytest.mark.parametrize("shape", [(2, 3), (3,), (2, 2, 1), (3, 1)])
def test_alpha_of_entmax_is_one_a_row(shape):
    with pytest.raises(ValueError, match=r"entmax: alpha of shape .* rows along axis=-1"):
        activations.entmax(np.ones((2, 3), "float32"), np.full(shape, 1.5, "float32"))


def test_a_slope_below_0():
    x = np.float32([-2.0, 3.0])
    for alpha in (-0.5, np.float32([-0.5])):
        np.testing.assert_array_equal(array(activations.prelu(x, alpha)), [1, 3])


@pytest.mark.parametrize("shared_axes", [[1, 2], [1]])
def test_weights_of_keras_prelu(shared_axes, tmp_path):
    theirs, ours = (
        keras.Sequential([keras.Input((4, 6, 3)), cls("glorot_uniform", shared_axes=shared_axes)])
        for cls in (keras.layers.PReLU, layers.PReLU)
    )
    path = str(tmp_path / "prelu.weights.h5")
    theirs.save_weights(path)
    ours.load_weights(path)
    np.testing.assert_allclose(array(ours(IMAGES)), array(theirs(IMAGES)), rtol=1e-6)
    ours.save_weights(path)
    theirs.load_weights(path)


def test_regularizer_and_constraint():
    layer = layers.PReLU(-0.5, alpha_regularizer="l2", alpha_constraint="non_neg")
    model = keras.Sequential([keras.Input((3,)), layer])
    assert float(array(layer.losses[0])) == pytest.approx(0.01 * 3 * 0.25)
    model.compile("sgd", "mse")
    model.train_on_batch(np.ones((2, 3)), np.ones((2, 3)))
    np.testing.assert_array_equal(array(layer.alpha), 0)
    again = layers.PReLU.from_config(layer.get_config())
    assert isinstance(again.alpha_constraint, keras.constraints.NonNeg)
    assert isinstance(again.alpha_regularizer, keras.regularizers.L2)


def test_activation_of_dense_is_trained_and_saved(tmp_path):
    layer = layers.PReLU(0.25)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4, activation=layer)])
    model.compile("sgd", "mse")
    x = IMAGES.reshape(-1, 3)
    model.fit(x, np.ones((len(x), 4)), verbose=0)
    assert len(model.trainable_weights) == 3
    assert not np.any(array(layer.alpha) == 0.25)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(array(again(x)), array(model(x)))


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision_rounds_once(policy):
    layer = layers.PReLU(0.3, dtype=policy)
    half = policy.removeprefix("mixed_")
    x = ops.cast(IMAGES, half)
    result = layer(x)
    assert keras.backend.standardize_dtype(layer.alpha.dtype) == "float32"
    wide = ops.cast(x, "float32")
    expected = ops.cast(ops.where(wide > 0, wide, np.float32(0.3) * wide), half)
    np.testing.assert_array_equal(array(result), array(expected))


def test_snake_of_frequency_zero_is_its_limit():
    layer = layers.LearnedSnake("zeros")
    model = keras.Sequential([keras.Input((3,)), layer])
    x = IMAGES.reshape(-1, 3)
    np.testing.assert_array_equal(array(layer(x)), x)
    model.compile(keras.optimizers.SGD(1.0), lambda y_true, y_pred: ops.sum(y_pred, axis=-1))
    model.train_on_batch(x, x)
    np.testing.assert_allclose(array(layer.frequency), -np.mean(x**2, axis=0), rtol=1e-5)


def test_xielu_overflows_no_earlier_than_its_result():
    """Its two slopes left of zero are farther from 0 than what they come to."""
    y = array(activations.xielu(np.float32([-1.5e38]), alpha_n=2.0))
    np.testing.assert_allclose(y, [1.5e38 * np.logaddexp(0, 2)], rtol=1e-6)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_snake_of_frequency_zero_in_16_bit(dtype):
    x = ops.cast(IMAGES.reshape(-1, 3), dtype)
    frequency = ops.zeros(3, dtype)
    np.testing.assert_array_equal(array(activations.snake(x, frequency)), array(x))


@pytest.mark.parametrize("alpha", [1.2, 0.5])
def test_alpha_of_entmax_moves_from_either_side_of_its_bound(alpha):
    layer = layers.LearnedEntmax(alpha_initializer=alpha)
    model = keras.Sequential([keras.Input((3,)), layer])
    x = IMAGES.reshape(-1, 3)
    expected = activations.entmax(x, max(alpha, 1.01))
    np.testing.assert_allclose(array(layer(x)), array(expected), rtol=1e-5)
    model.compile("sgd", lambda y_true, y_pred: ops.sum(ops.square(y_pred - y_true), axis=-1))
    model.train_on_batch(x, np.eye(3)[np.argmax(x, -1)])
    assert float(array(layer.alpha)) > alpha


def test_maxout_takes_the_maximum_over_distant_channels():
    x = np.float32([[1, 2, 3, 6, 5, 4]])
    np.testing.assert_array_equal(array(activations.maxout(x, 3)), [[6, 5, 4]])
    np.testing.assert_array_equal(array(activations.maxout(x.T, 2, axis=0)), [[5], [6]])
    with pytest.raises(ValueError, match="does not divide"):
        activations.maxout(x, 4)
    with pytest.raises(ValueError, match="does not exist"):
        activations.maxout(x, 2, axis=2)
