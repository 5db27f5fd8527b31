"""Self-gated activations beside those of torch: an independent witness."""

import keras
import numpy as np
import pytest
import torch
from keras import ops

from keras_actloss import activations
from keras_actloss.testing.backend import value_and_gradient

pytestmark = pytest.mark.slow

X = np.linspace(-6, 6, 241).astype("float32")


def _of_torch(function, *tensors):
    """Value and gradients in float64."""
    tensors = [torch.tensor(np.float64(t), requires_grad=True) for t in tensors]
    value = function(*tensors)
    return value.detach().numpy(), *(g.numpy() for g in torch.autograd.grad(value.sum(), tensors))


PEERS = {
    "silu": (activations.silu, lambda: _of_torch(torch.nn.functional.silu, X)),
    "swish": (
        lambda x: activations.swish(x, beta=-0.7),
        lambda: _of_torch(lambda x: torch.nn.functional.silu(-0.7 * x) / -0.7, X),
    ),
    "quick_gelu": (
        activations.quick_gelu,
        lambda: _of_torch(lambda x: x * torch.sigmoid(1.702 * x), X),
    ),
    "gelu": (activations.gelu, lambda: _of_torch(torch.nn.functional.gelu, X)),
    "gelu(approximate=True)": (
        lambda x: activations.gelu(x, approximate=True),
        lambda: _of_torch(lambda x: torch.nn.functional.gelu(x, approximate="tanh"), X),
    ),
    "mish": (activations.mish, lambda: _of_torch(torch.nn.functional.mish, X)),
    "lisht": (activations.lisht, lambda: _of_torch(lambda x: x * torch.tanh(x), X)),
}


@pytest.mark.parametrize("name", PEERS)
def test_peer(name):
    ours, theirs = PEERS[name]
    for got, expected in zip(value_and_gradient(ours, X), theirs(), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("beta", [np.array([[0.5], [-1.5], [0.0]]), np.array(2.0)], ids=np.shape)
def test_learned_steepness(beta):
    """A tensor `beta` has the gradient of its own, summed over what it was broadcast to."""
    x = np.stack([X, X, X])
    beta = beta.astype("float32")
    value, of_x, of_beta = _of_torch(lambda x, b: x * torch.sigmoid(b * x), x, beta)
    got, by_x = value_and_gradient(lambda x: activations.swish(x, ops.convert_to_tensor(beta)), x)
    _, by_beta = value_and_gradient(lambda b: activations.swish(ops.convert_to_tensor(x), b), beta)
    for ours, theirs in ((got, value), (by_x, of_x), (by_beta, of_beta)):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)


# Kernels of the backends, which multiply infinity by 0, take the place of the others.
EXACT = {
    "jax": ["silu", "gelu", "quick_gelu", "mish"],
    "tensorflow": ["quick_gelu", "mish"],
    "torch": ["mish"],
}


@pytest.mark.parametrize("name", EXACT[keras.backend.backend()])
def test_limits(name):
    function = getattr(activations, name)
    value, gradient = value_and_gradient(function, np.array([-np.inf, np.inf], "float32"))
    np.testing.assert_array_equal(value, [0, np.inf])
    np.testing.assert_array_equal(gradient, [0, 1])


@pytest.mark.parametrize("beta", [1e-45, 1e-38, 1e10, 1e38, -1e38])
def test_a_gate_as_steep_or_flat_as_floats_go(beta):
    x = np.array([[-1e20, -1.0, 0.0, 1.0, 1e20]], "float32")
    value, gradient = value_and_gradient(lambda x: activations.swish(x, beta), x)
    gate = (np.sign(x) * np.sign(beta) + 1) / 2 if abs(beta) > 1 else np.full_like(x, 0.5)
    np.testing.assert_array_equal(value, x * gate)
    np.testing.assert_array_equal(gradient, gate)


def test_steepness_is_checked():
    with pytest.raises(ValueError, match="beta must be finite"):
        activations.swish(1.0, beta=np.inf)
    with pytest.raises(TypeError, match="beta must be a number"):
        activations.swish(1.0, beta="steep")
