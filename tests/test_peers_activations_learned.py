"""The same values and gradients as the functions of torch, and as Keras's and TFA's layers."""

import keras
import numpy as np
import pytest
import torch
from torch.nn import functional

from keras_actloss import activations
from keras_actloss.testing.backend import value_and_gradient

pytestmark = pytest.mark.slow

X = np.random.default_rng(0).normal(scale=2, size=(8, 6)).astype("float32")
UPSTREAM = np.random.default_rng(1).normal(size=(8, 6)).astype("float32")
CHANNELS = np.random.default_rng(2).uniform(0.5, 1.5, 6).astype("float32")


def _xielu(x, alpha_p, alpha_n, beta=0.5):
    """As transformers 4.57 has it, but for the -1e-6 that it puts in place of an input near 0."""
    right, left = functional.softplus(alpha_p), beta + functional.softplus(alpha_n)
    return torch.where(
        x > 0, right * x * x + beta * x, (torch.expm1(x.clamp(max=0)) - x) * left + beta * x
    )


def _maxout(x, num_units):
    """As TensorFlow Addons 0.23 groups the channels."""
    return x.reshape(len(x), -1, num_units).amax(1)


# name -> ours, the same in torch, parameters that get a gradient
PEERS = {
    "prelu": (activations.prelu, functional.prelu, [CHANNELS]),
    "tlu": (activations.tlu, torch.maximum, [-CHANNELS]),
    "tlu(affine)": (
        activations.tlu,
        lambda x, tau, alpha: torch.maximum(x, tau + alpha * x),
        [-CHANNELS, CHANNELS / 4],
    ),
    "dynamic_tanh": (
        activations.dynamic_tanh,
        lambda x, alpha, gamma, beta: torch.addcmul(beta, gamma, torch.tanh(alpha * x)),
        [CHANNELS[:1], CHANNELS, -CHANNELS],
    ),
    "star_relu": (
        activations.star_relu,
        lambda x, scale, bias: scale * functional.relu(x) ** 2 + bias,
        [CHANNELS[:1], -CHANNELS[:1]],
    ),
    "xielu": (activations.xielu, _xielu, [CHANNELS[:1], -CHANNELS[:1]]),
    "snake": (activations.snake, lambda x, a: x + torch.sin(a * x) ** 2 / a, [CHANNELS]),
    "snake_beta": (
        activations.snake_beta,
        lambda x, a, b: x + torch.sin(a * x) ** 2 / b,
        [CHANNELS, CHANNELS[::-1].copy()],
    ),
    "sine": (activations.sine, lambda x, w: torch.sin(w * x), [CHANNELS]),
    "rrelu": (
        lambda x: activations.rrelu(x, 0.1, 0.4),
        lambda x: functional.rrelu(x, 0.1, 0.4),
        [],
    ),
    "maxout": (lambda x: activations.maxout(x, 3), lambda x: _maxout(x, 3), []),
}


@pytest.mark.parametrize("name", PEERS)
def test_torch(name):
    ours, theirs, parameters = PEERS[name]
    tensors = [torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in (X, *parameters)]
    value = theirs(*tensors)
    upstream = UPSTREAM[:, : value.shape[1]]
    (value * torch.tensor(upstream)).sum().backward()
    for index, tensor in enumerate(tensors):

        def of_one(v, index=index):
            return ours(*[v if i == index else p for i, p in enumerate((X, *parameters))])

        got, gradient = value_and_gradient(of_one, (X, *parameters)[index], upstream)
        np.testing.assert_allclose(got, value.detach().numpy(), rtol=2e-5, atol=1e-6)
        np.testing.assert_allclose(gradient, tensor.grad.numpy(), rtol=2e-5, atol=1e-5)


@pytest.mark.parametrize("alpha", [0.25, CHANNELS])
def test_prelu_of_keras(alpha):
    layer = keras.layers.PReLU(lambda shape, dtype: keras.ops.broadcast_to(alpha, shape))
    got = value_and_gradient(lambda x: activations.prelu(x, alpha), X, UPSTREAM)
    for computed, reference in zip(got, value_and_gradient(layer, X, UPSTREAM), strict=True):
        np.testing.assert_allclose(computed, reference, rtol=1e-6)
