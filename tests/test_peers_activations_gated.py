"""Gated activations beside those of torch and JAX, and beside numbers made without this package."""

import jax
import keras
import numpy as np
import pytest
import torch
from torch.nn import functional

from keras_actloss import activations
from keras_actloss.testing.backend import value_and_gradient

pytestmark = pytest.mark.slow

X = np.random.default_rng(0).normal(scale=2, size=(5, 8)).astype("float32")
UPSTREAM = np.random.default_rng(1).normal(size=(5, 4)).astype("float32")


def _packed(curve):
    """Value beside gate, as torch code writes it where the gate is the first half."""

    def peer(x):
        gate, value = x.chunk(2, -1)
        return curve(gate) * value

    return peer


def _gpt_oss(x):
    gate, value = x[..., ::2].clamp(max=7.0), x[..., 1::2].clamp(-7.0, 7.0)
    return (value + 1) * gate * torch.sigmoid(1.702 * gate)


# name -> ours, settings, theirs in torch
TORCH = {
    "glu": (activations.glu, {}, functional.glu),
    "bilinear": (activations.bilinear, {"gate": "first"}, _packed(lambda gate: gate)),
    "gtu": (
        activations.gtu,
        {},
        lambda x: functional.glu(torch.cat([x[:, :4].tanh(), x[:, 4:]], 1)),
    ),
    "swiglu": (activations.swiglu, {}, _packed(functional.silu)),
    "geglu": (activations.geglu, {"gate": "first"}, _packed(functional.gelu)),
    "geglu, tanh": (
        activations.geglu,
        {"gate": "first", "approximate": True},
        _packed(lambda gate: functional.gelu(gate, approximate="tanh")),
    ),
    "reglu": (activations.reglu, {"gate": "first"}, _packed(functional.relu)),
    "swiglu_clipped": (activations.swiglu_clipped, {}, _gpt_oss),
}


@pytest.mark.parametrize("name", TORCH)
def test_torch(name):
    ours, settings, theirs = TORCH[name]
    x = torch.tensor(2 * X, dtype=torch.float64, requires_grad=True)
    expected = theirs(x)
    expected.backward(torch.tensor(UPSTREAM, dtype=torch.float64))
    got = value_and_gradient(lambda x: ours(x, **settings), 2 * X, UPSTREAM)
    for mine, other in zip(got, (expected.detach(), x.grad), strict=True):
        np.testing.assert_allclose(mine, other.numpy(), rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_jax_and_keras(axis):
    x = np.concatenate([X, X[:1] - 1])
    got = activations.glu(x, axis=axis)
    for theirs in (jax.nn.glu, keras.activations.glu):
        expected = keras.ops.convert_to_numpy(theirs(x, axis=axis))
        np.testing.assert_allclose(keras.ops.convert_to_numpy(got), expected, rtol=1e-6)


def test_timm():
    """timm 1.0.31's `SwiGLUPacked` is `act(x1) * x2` of `x1, x2 = fc1(x).chunk(2)`, act the SiLU.

    The numbers are that of the floats below, computed once in NumPy's float64.
    """
    x = np.array([0.5, -1.25, 3.0, -20.0, 2.0, -0.75, 1e4, 1e9], "float32")
    expected = [0.6224593312018546, 0.20878138014872705, 28577.223804672998, -41.22307236380407]
    got = keras.ops.convert_to_numpy(activations.swiglu(x))
    np.testing.assert_allclose(got, expected, rtol=5e-7)
