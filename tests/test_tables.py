"""On torch functions of one number in 16 bit are looked up: what the tables hold is the maths."""

import functools

import keras
import numpy as np
import pytest

from keras_actloss import activations
from keras_actloss.core import numerics

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(keras.backend.backend() != "torch", reason="computes at once"),
]


def _gated(function, **settings):
    """A gated function of all numbers, each through a gate of another one."""

    def of_numbers(x):
        return function(keras.ops.concatenate([x, keras.ops.flip(x)]), **settings)

    return of_numbers


FUNCTIONS = {
    "gelu": activations.gelu,
    "gelu, tanh": functools.partial(activations.gelu, approximate=True),
    "silu": activations.silu,
    "swish": functools.partial(activations.swish, beta=1.7),
    "mish": activations.mish,
    "lisht": activations.lisht,
    "snake": functools.partial(activations.snake, frequency=2.0),
    "snake beta": functools.partial(activations.snake_beta, frequency=2.0, magnitude=3.0),
    "sine": activations.sine,
    "xielu": activations.xielu,
    "sigmoid": activations.sigmoid,
    "tanh": activations.tanh,
    "log_sigmoid": activations.log_sigmoid,
    "softsign": activations.softsign,
    "softcap": functools.partial(activations.softcap, cap=30.0),
    "exponential": activations.exponential,
    "symlog": activations.symlog,
    "symexp": activations.symexp,
    "celu": functools.partial(activations.celu, alpha=0.3),
    "softplus": functools.partial(activations.softplus, beta=3.0),
    "shifted_softplus": activations.shifted_softplus,
    "squareplus": activations.squareplus,
    "sparse_plus": activations.sparse_plus,
    "hard_silu": activations.hard_silu,
    "tanh_shrink": activations.tanh_shrink,
    "swiglu": _gated(activations.swiglu),
    "swiglu_clipped": _gated(activations.swiglu_clipped),
    "geglu": _gated(activations.geglu),
    "geglu, tanh": _gated(activations.geglu, approximate=True),
    "glu": _gated(activations.glu),
    "gtu": _gated(activations.gtu),
}


def _numbers(dtype):
    import torch

    return torch.arange(-(2**15), 2**15, dtype=torch.int16).view(getattr(torch, dtype)).clone()


def _results(function, x):
    """Value, slope, the same as it is when nothing asks for its own, and the second derivative."""
    import torch

    x = x.detach().requires_grad_()
    y = function(x)
    upstream = torch.ones_like(y)
    (alone,) = torch.autograd.grad(y, x, upstream, retain_graph=True)
    (slope,) = torch.autograd.grad(y, x, upstream, create_graph=True)
    (second,) = torch.autograd.grad(slope, x, torch.ones_like(slope))
    return [np.asarray(v.detach().float()) for v in (y, alone, slope, second)]


def _without_tables(monkeypatch):
    monkeypatch.setattr(numerics, "tabulates", lambda x, dtype: False)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_number_is_as_computed(name, dtype, monkeypatch):
    x = _numbers(dtype)
    looked_up = _results(FUNCTIONS[name], x)
    _without_tables(monkeypatch)
    computed = _results(FUNCTIONS[name], x)
    for got, expected in zip(looked_up, computed, strict=True):
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("shape", [(), (0, 3), (2, 3), (3, 2, 4)])
def test_a_tensor_of_any_shape_and_order(shape):
    import torch

    x = torch.linspace(-3, 3, int(np.prod(shape))).reshape(shape).bfloat16()
    expected = activations.gelu(x)
    assert expected.shape == x.shape and expected.dtype == x.dtype
    around = tuple(reversed(range(x.ndim)))
    turned = activations.gelu(x.permute(around))
    np.testing.assert_array_equal(turned.float(), expected.permute(around).float())


def test_tables_made_without_gradients_serve_with_them():
    import torch

    x = torch.linspace(-3, 3, 8).bfloat16()
    with torch.inference_mode():
        activations.softcap(x, cap=3.25)
    value, alone, *_ = _results(functools.partial(activations.softcap, cap=3.25), x)
    tanh = (x.float() / 3.25).tanh()
    np.testing.assert_allclose(value, 3.25 * tanh, rtol=2**-8)
    np.testing.assert_allclose(alone, 1 - tanh * tanh, rtol=2**-8)


def test_no_more_tables_than_are_kept():
    import torch

    x = torch.ones(3).half()
    for cap in range(1, 2 * numerics._MOST_TABLES):
        assert activations.softcap(x, cap=float(cap)).dtype == x.dtype
    assert len(numerics._TABLES) == numerics._MOST_TABLES


def test_an_upstream_of_any_size():
    import torch

    # Far out the slope of 1e-37 is shown by a large upstream, and one that underflows is not.
    x = torch.tensor([-80.0, -1.0, 2.0]).bfloat16().requires_grad_()
    upstream = torch.tensor([2.0**60, 2.0**-120, -3.0]).bfloat16()
    (got,) = torch.autograd.grad(activations.silu(x), x, upstream)
    z = x.detach().double()
    sigmoid = 1 / (1 + (-z).exp())
    expected = upstream.double() * sigmoid * (1 + z * (1 - sigmoid))
    np.testing.assert_allclose(got.double(), expected, rtol=2**-8)
