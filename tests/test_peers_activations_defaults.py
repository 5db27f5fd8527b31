"""Activations that differ by package: which setting of ours is theirs.

Keras 3.15, jax 0.10, torch 2.13.
"""

import jax
import keras
import numpy as np
import pytest
import torch
from keras import ops
from torch.nn import functional

from keras_actloss import activations, layers
from keras_actloss.testing.backend import array

X = np.linspace(-4, 4, 24, dtype="float32").reshape(4, 6)


def _torch(function):
    return lambda x: function(torch.tensor(x)).detach().numpy()


# name -> ours with a setting, theirs with none
DEFAULTS = {
    "leaky_relu, Keras's layer": (activations.leaky_relu, keras.layers.LeakyReLU()),
    "leaky_relu, Keras's function": (
        lambda x: activations.leaky_relu(x, 0.2),
        keras.activations.leaky_relu,
    ),
    "leaky_relu, torch": (
        lambda x: activations.leaky_relu(x, 0.01),
        _torch(functional.leaky_relu),
    ),
    "leaky_relu, jax": (lambda x: activations.leaky_relu(x, 0.01), jax.nn.leaky_relu),
    "prelu, torch": (
        layers.PReLU(alpha_initializer=0.25, shared_axes="all"),
        _torch(torch.nn.PReLU()),
    ),
    "prelu, Keras": (layers.PReLU(), lambda x: array(keras.layers.PReLU()(x))),
    "hard_sigmoid": (activations.hard_sigmoid, keras.activations.hard_sigmoid),
    "hard_sigmoid, torch": (activations.hard_sigmoid, _torch(functional.hardsigmoid)),
    "hard_sigmoid, Keras 2": (
        lambda x: activations.hard_sigmoid(1.2 * x),
        lambda x: np.clip(0.2 * x + 0.5, 0, 1),
    ),
    "gelu, Keras": (activations.gelu, keras.activations.gelu),
    "gelu, torch": (activations.gelu, _torch(functional.gelu)),
    "gelu, Keras's op": (lambda x: activations.gelu(x, approximate=True), ops.gelu),
    "gelu, jax": (lambda x: activations.gelu(x, approximate=True), jax.nn.gelu),
    "glu, Keras": (activations.glu, keras.activations.glu),
    "glu, jax": (activations.glu, jax.nn.glu),
    "glu, torch": (activations.glu, _torch(functional.glu)),
}


@pytest.mark.parametrize("name", DEFAULTS)
def test_default(name):
    ours, theirs = DEFAULTS[name]
    np.testing.assert_allclose(array(ours(X)), np.asarray(theirs(X)), rtol=1e-5, atol=1e-6)


def test_shape_of_the_default_weight_of_prelu():
    """One for each channel, where Keras has one for each entry and torch a single one."""
    layer, of_keras = layers.PReLU(), keras.layers.PReLU()
    for each in (layer, of_keras):
        each.build((None, 5, 6))
    assert layer.alpha.shape == (6,) and of_keras.alpha.shape == (5, 6)
    assert torch.nn.PReLU().weight.shape == (1,)


def test_softplus_of_torch_is_cut_off():
    """Above its threshold of 20 it is the input itself; ours goes on."""
    x = np.float64([13.0, 14.0])
    of_torch = functional.softplus(torch.tensor(x), beta=1.5).numpy()
    beyond = np.log1p(np.exp(-1.5 * x)) / 1.5
    np.testing.assert_allclose(of_torch - x, [beyond[0], 0], rtol=1e-6)
    got = array(activations.softplus(np.float32(x), beta=1.5))
    np.testing.assert_array_equal(got, np.float32(x + beyond))
