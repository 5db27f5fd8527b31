"""Random slopes: drawn in training only, where they should lie, and the same again from a seed."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_actloss import activations, layers
from keras_actloss.testing.backend import array, compiled, value_and_gradient

X = np.where(np.arange(4000) % 2, 2, -2).reshape(-1, 4).astype("float32")


def test_slopes_in_training():
    x = ops.convert_to_tensor(X)
    value, gradient = value_and_gradient(lambda x: activations.rrelu(x, training=True, seed=1), x)
    np.testing.assert_array_equal(value[X > 0], 2)
    np.testing.assert_array_equal(gradient, value / X)
    slopes = gradient[X < 0]
    assert slopes.min() >= 1 / 8 and slopes.max() <= 1 / 3
    # The mean of 2000 uniform draws, to four of its standard deviations.
    assert abs(slopes.mean() - 11 / 48) < 4 * (1 / 3 - 1 / 8) / np.sqrt(12 * 2000)
    assert len(np.unique(slopes)) > 1900


def test_mean_slope_in_inference():
    layer = layers.RReLU(lower=0.25, upper=0.75)
    for training in ({}, {"training": False}):
        np.testing.assert_array_equal(array(layer(X, **training)), np.maximum(X, -1))


def test_each_call_draws_anew_and_a_seed_repeats_it():
    first, second = layers.RReLU(seed=3), layers.RReLU(seed=3)
    calls = [array(layer(X, training=True)) for layer in (first, first, second)]
    assert not np.array_equal(calls[0], calls[1])
    np.testing.assert_array_equal(calls[0], calls[2])
    fixed = [array(activations.rrelu(X, training=True, seed=5)) for _ in range(2)]
    np.testing.assert_array_equal(*fixed)


def test_global_seed():
    calls = []
    for _ in range(2):
        keras.utils.set_random_seed(7)
        calls.append(array(layers.RReLU()(X, training=True)))
    np.testing.assert_array_equal(*calls)


def test_state_is_saved(tmp_path):
    model = keras.Sequential([keras.Input((4,)), layers.RReLU(seed=3)])
    model(X, training=True)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(array(again(X, training=True)), array(model(X, training=True)))


@pytest.mark.parametrize("random", [layers.RReLU(), layers.GumbelSoftmax()])
def test_weights_of_a_model_with_another_activation(random, tmp_path):
    models = [
        keras.Sequential([keras.Input((4,)), keras.layers.Dense(4), layer])
        for layer in (keras.layers.Softmax(), random)
    ]
    models[0].save_weights(tmp_path / "model.weights.h5")
    models[1].load_weights(tmp_path / "model.weights.h5")
    np.testing.assert_array_equal(*(array(model.layers[0].kernel) for model in models))


def test_fit_draws():
    layer = layers.RReLU()
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(4), layer])
    model.compile("sgd", "mse")
    state = np.array(array(layer.seed_generator.state))
    model.fit(X, X, verbose=0)
    assert not np.array_equal(array(layer.seed_generator.state), state)


@pytest.mark.xfail(
    keras.backend.backend() == "torch",
    reason="Keras keeps its random generator of torch out of compiled graphs",
)
def test_compiled():
    result = array(
        compiled(lambda x: activations.rrelu(x, training=True, seed=1))(ops.convert_to_tensor(X))
    )
    assert np.all((result <= -2 / 8 + 1e-7) & (result >= -2 / 3 - 1e-7) | (X > 0))


def test_function_on_a_symbolic_input_keeps_its_settings():
    inputs = keras.Input((4,))
    model = keras.Model(inputs, activations.rrelu(inputs, upper=0.5, training=True, seed=1))
    assert not np.array_equal(array(model(X)), array(activations.rrelu(X, upper=0.5)))


@pytest.mark.parametrize(("lower", "upper"), [(0.5, 0.25), (-0.5, 0.5)])
def test_bounds_are_checked(lower, upper):
    with pytest.raises(ValueError, match="lower"):
        activations.rrelu(X, lower, upper)
