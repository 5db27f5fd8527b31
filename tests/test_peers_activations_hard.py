"""Piecewise and shrinking activations beside those of torch and JAX."""

import jax
import numpy as np
import pytest
import torch

from keras_actloss import activations
from keras_actloss.testing.backend import array, value_and_gradient

pytestmark = pytest.mark.slow

F = torch.nn.functional

# name -> our function, the same of torch in float64 or of JAX in float32
TORCH = {
    "relu6": (activations.relu6, F.relu6),
    "threshold": (
        lambda x: activations.threshold(x, 0.3, -2.0),
        lambda x: F.threshold(x, 0.3, -2.0),
    ),
    "thresholded_relu": (activations.thresholded_relu, lambda x: F.threshold(x, 1.0, 0.0)),
    "crelu": (activations.crelu, lambda x: torch.cat((F.relu(x), F.relu(-x)), -1)),
    "hard_silu": (activations.hard_silu, F.hardswish),
    "hard_tanh": (activations.hard_tanh, F.hardtanh),
    "hard_tanh(bounds)": (
        lambda x: activations.hard_tanh(x, -0.3, 2.0),
        lambda x: F.hardtanh(x, -0.3, 2.0),
    ),
    "hard_sigmoid": (activations.hard_sigmoid, F.hardsigmoid),
    "hard_shrink": (
        lambda x: activations.hard_shrink(x, 0.7),
        lambda x: F.hardshrink(x, 0.7),
    ),
    "soft_shrink": (
        lambda x: activations.soft_shrink(x, 0.7),
        lambda x: F.softshrink(x, 0.7),
    ),
    # With bounds of their own, as in TensorFlow Addons: a difference of two one-sided ones.
    "hard_shrink(bounds)": (
        lambda x: activations.hard_shrink(x, lower=-0.7, upper=0.3),
        lambda x: F.threshold(x, 0.3, 0.0) - F.threshold(-x, 0.7, 0.0),
    ),
    "soft_shrink(bounds)": (
        lambda x: activations.soft_shrink(x, lower=-0.7, upper=0.3),
        lambda x: F.relu(x - 0.3) - F.relu(-0.7 - x),
    ),
    "tanh_shrink": (activations.tanh_shrink, F.tanhshrink),
}
JAX = {
    "squared_relu": (activations.squared_relu, lambda x: jax.nn.relu(x) ** 2),
    "sparse_plus": (activations.sparse_plus, jax.nn.sparse_plus),
    "sparse_sigmoid": (activations.sparse_sigmoid, jax.nn.sparse_sigmoid),
}

# Inputs away from 0 and from where pieces meet.
X = np.linspace(-5.003, 5.001, 256, dtype="float32").reshape(2, 128)


def _assert_equal(ours, value, gradient):
    got = value_and_gradient(ours, X)
    np.testing.assert_allclose(got[0], value, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(got[1], gradient, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", TORCH)
def test_torch(name):
    ours, theirs = TORCH[name]
    x = torch.tensor(X, dtype=torch.float64, requires_grad=True)
    value = theirs(x)
    value.sum().backward()
    assert x.grad is not None
    _assert_equal(ours, value.detach().numpy(), x.grad.numpy())


@pytest.mark.parametrize("name", JAX)
def test_jax(name):
    ours, theirs = JAX[name]
    _assert_equal(ours, theirs(X), jax.grad(lambda x: theirs(x).sum())(X))


# name -> our function, its limits at minus and plus infinity
LIMITS = {
    "hard_shrink": (activations.hard_shrink, [-np.inf, np.inf]),
    "hard_sigmoid": (activations.hard_sigmoid, [0, 1]),
    "hard_tanh": (activations.hard_tanh, [-1, 1]),
    "soft_shrink": (activations.soft_shrink, [-np.inf, np.inf]),
    "sparse_plus": (activations.sparse_plus, [0, np.inf]),
    "sparse_sigmoid": (activations.sparse_sigmoid, [0, 1]),
    "squared_relu": (activations.squared_relu, [0, np.inf]),
    "tanh_shrink": (activations.tanh_shrink, [-np.inf, np.inf]),
    "threshold": (activations.threshold, [0, np.inf]),
}


@pytest.mark.parametrize("name", LIMITS)
def test_limits(name):
    function, expected = LIMITS[name]
    np.testing.assert_array_equal(array(function(np.array([-np.inf, np.inf], "float32"))), expected)


@pytest.mark.parametrize("shrink", [activations.hard_shrink, activations.soft_shrink])
def test_everything_is_shrunk_to_zero(shrink):
    np.testing.assert_array_equal(array(shrink(np.float32([-2, 3]), np.inf)), 0)
