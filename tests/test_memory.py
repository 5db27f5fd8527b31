"""What activations keep between the forward and the backward pass, in tensors of their input."""

import functools

import keras
import numpy as np
import pytest
from catalogue import ACTIVATIONS
from keras import ops

from keras_actloss import activations
from keras_actloss.core.gated import GatedLayer
from keras_actloss.core.registry import CATALOGUE
from keras_actloss.layers import LearnedActivation
from keras_actloss.testing.examples import rebuilt

BACKEND = keras.backend.backend()

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BACKEND == "tensorflow", reason="cannot tell what its tape keeps"),
]

X = np.random.default_rng(0).normal(size=(64, 256)).astype("float32")


def _kept(function):
    """Bytes that the gradient of `function` at `X` needs, over those of `X`."""
    if BACKEND == "jax":
        import jax

        _, pull = jax.jit(lambda x: jax.vjp(function, x))(X)
        kept = {id(leaf): leaf.nbytes for leaf in jax.tree.leaves(pull)}
    else:
        import torch

        kept = {}

        def keep(tensor):
            kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            function(ops.convert_to_tensor(X).requires_grad_())
    return sum(kept.values()) / X.nbytes


def _defaults(name):
    """Ours and Keras's function of a name."""
    settings = {
        "gelu, tanh": {"approximate": True},
        "threshold": {"threshold": 0.5, "default_value": 0.0},
    }.get(name, {})
    name = name.split(",")[0]
    return (
        functools.partial(getattr(package, name), **settings)
        for package in (activations, keras.activations)
    )


NAMES = [name for name in CATALOGUE["activations"] if hasattr(keras.activations, name)]


@pytest.mark.parametrize("name", [*NAMES, "gelu, tanh"])
def test_no_more_than_keras(name):
    ours, theirs = _defaults(name)
    assert _kept(ours) <= _kept(theirs) + 0.05


@pytest.mark.parametrize(
    "layer",
    [layer for layer in ACTIVATIONS if isinstance(layer, GatedLayer | LearnedActivation)],
    ids=repr,
)
def test_gated_and_learned_keep_input_and_output_at_most(layer):
    layer = rebuilt(layer)
    output = layer(X)
    assert _kept(layer) <= 1 + np.prod(output.shape) / X.size + 0.05
