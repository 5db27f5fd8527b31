"""Values and gradients of activations with an exponential or a root beside other libraries'.

torch 2.13, jax 0.10. They compute in float64. What a library that is not installed computes is
written out in torch, below the file and commit that were read.
"""

import jax
import numpy as np
import pytest
import torch
from torch.nn import functional as F

from keras_actloss import activations as ours
from keras_actloss.testing.backend import value_and_gradient

pytestmark = pytest.mark.slow

TORCH = {
    "celu": (ours.celu, F.celu),
    "celu(0.3)": (lambda x: ours.celu(x, alpha=0.3), lambda x: F.celu(x, alpha=0.3)),
    "exponential": (ours.exponential, torch.exp),
    "log_sigmoid": (ours.log_sigmoid, F.logsigmoid),
    "selu": (ours.selu, F.selu),
    # pytorch_geometric 0319061, torch_geometric/nn/models/schnet.py
    "shifted_softplus": (ours.shifted_softplus, lambda x: F.softplus(x) - np.log(2.0)),
    # keras-hub 05c9324, keras_hub/src/models/gemma/gemma_attention.py
    "softcap(3)": (lambda x: ours.softcap(x, cap=3.0), lambda x: 3.0 * torch.tanh(x / 3.0)),
    "softplus": (ours.softplus, F.softplus),
    "softplus(1.7)": (lambda x: ours.softplus(x, beta=1.7), lambda x: F.softplus(x, beta=1.7)),
    "softsign": (ours.softsign, F.softsign),
    # dreamerv3 84ecf19, dreamerv3/jaxutils.py
    "symexp": (ours.symexp, lambda x: torch.sign(x) * (torch.exp(torch.abs(x)) - 1)),
    "symlog": (ours.symlog, lambda x: torch.sign(x) * torch.log(1 + torch.abs(x))),
}

JAX = {
    "squareplus": (ours.squareplus, jax.nn.squareplus),
    "squareplus(0.3)": (
        lambda x: ours.squareplus(x, b=0.3),
        lambda x: jax.nn.squareplus(x, b=0.3),
    ),
}

# Both sides of zero and both tails, without the kink that some have at zero.
X = np.linspace(-30, 30, 240)


def _agree(mine, value, slope):
    x = X.astype("float32")
    for got, expected in zip(value_and_gradient(mine, x), (value, slope), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=2e-7)


@pytest.mark.parametrize("name", TORCH)
def test_torch_agrees(name):
    mine, theirs = TORCH[name]
    x = torch.tensor(X.astype("float32"), dtype=torch.float64, requires_grad=True)
    value = theirs(x)
    value.sum().backward()
    _agree(mine, value.detach().numpy(), x.grad.numpy())


@pytest.mark.parametrize("name", JAX)
def test_jax_agrees(name):
    mine, theirs = JAX[name]
    with jax.enable_x64(True):
        x = np.float64(X.astype("float32"))
        value, slope = theirs(x), jax.vmap(jax.grad(theirs))(x)
    _agree(mine, np.array(value), np.array(slope))
