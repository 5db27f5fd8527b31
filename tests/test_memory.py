"""What activations keep between the two passes, and what losses need, in tensors of their input."""

import functools

import keras
import numpy as np
import pytest
from catalogue import ACTIVATIONS
from keras import ops

from keras_actloss import activations, losses
from keras_actloss.core.gated import GatedLayer
from keras_actloss.core.registry import CATALOGUE
from keras_actloss.layers import LearnedActivation
from keras_actloss.testing.examples import rebuilt

BACKEND = keras.backend.backend()

pytestmark = [
    pytest.mark.slow,
    pytest.mark.optimized,
    pytest.mark.skipif(BACKEND == "tensorflow", reason="cannot tell what its tape keeps"),
]

X = np.random.default_rng(0).normal(size=(64, 256)).astype("float32")


def _kept(function, x=X):
    """Bytes that the gradient of `function` at `x` needs, over those of `x`."""
    if BACKEND == "jax":
        import jax

        _, pull = jax.jit(lambda x: jax.vjp(function, x))(x)
        kept = {id(leaf): leaf.nbytes for leaf in jax.tree.leaves(pull)}
    else:
        import torch

        kept = {}

        def keep(tensor):
            kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            function(ops.convert_to_tensor(x).requires_grad_())
    return sum(kept.values()) / x.nbytes


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


CLASSES = 1000
LOGITS = np.random.default_rng(1).normal(size=(64, CLASSES)).astype("float32")
IDS = np.arange(64) * 7
ONE_HOT = np.eye(CLASSES, dtype="float32")[IDS]
SHARES = np.exp(LOGITS) / np.exp(LOGITS).sum(-1, keepdims=True)
FROM_LOGITS = {"from_logits": True}

# Function, labels, predictions and settings.
LOSSES = {
    "binary": ("binary_crossentropy", ONE_HOT, LOGITS, FROM_LOGITS),
    "categorical": ("categorical_crossentropy", ONE_HOT, LOGITS, FROM_LOGITS),
    "sparse": ("sparse_categorical_crossentropy", IDS, LOGITS, FROM_LOGITS),
    "binary, probabilities": ("binary_crossentropy", ONE_HOT, SHARES, {}),
    "categorical, probabilities": ("categorical_crossentropy", ONE_HOT, SHARES, {}),
    "sparse, probabilities": ("sparse_categorical_crossentropy", IDS, SHARES, {}),
    "binary focal": ("binary_focal_crossentropy", ONE_HOT, LOGITS, FROM_LOGITS),
    "categorical focal": ("categorical_focal_crossentropy", ONE_HOT, LOGITS, FROM_LOGITS),
    "kl": ("kl_divergence", SHARES[::-1].copy(), SHARES, {}),
    "huber": ("huber", ONE_HOT, LOGITS, {}),
    "mse": ("mean_squared_error", ONE_HOT, LOGITS, {}),
    "hinge": ("hinge", ONE_HOT, LOGITS, {}),
}
# What ours may need more in JAX, in tensors of the predictions. Keras's focal loss works with
# probabilities, which saturate; ours with both sides of them in log space.
MORE = {
    "binary focal": 2,
    "categorical, probabilities": 1,  # The ratio of each to the leading one.
    "hinge": 1,  # Labels of 0 are told from -1 without a look at the others.
    "huber": 1,  # A gradient by hand, which keeps the error; on torch it saves three tensors.
}


def _needed(loss, y_true, y_pred, settings):
    """On JAX, what a compiled gradient takes besides its arguments; on torch, what is kept."""
    if BACKEND == "torch":
        y_true = ops.convert_to_tensor(y_true)
        return _kept(lambda p: loss(y_true, p, **settings), y_pred)
    import jax

    gradient = jax.jit(jax.value_and_grad(lambda p, y: ops.sum(loss(y, p, **settings))))
    compiled = gradient.lower(y_pred, y_true).compile()
    return compiled.memory_analysis().temp_size_in_bytes / y_pred.nbytes


@pytest.mark.parametrize("case", LOSSES)
def test_losses_need_no_more_than_keras(case):
    name, *arguments = LOSSES[case]
    ours, theirs = (
        _needed(getattr(package, name), *arguments) for package in (losses, keras.losses)
    )
    more = MORE.get(case, 0) if BACKEND == "jax" else 0
    assert ours <= theirs + more + 0.05


@pytest.mark.parametrize("name", ["lifted_structure", "triplet_hard", "triplet_semihard"])
def test_losses_of_pairs_keep_no_differences(name):
    """Of 64 samples those would be 64 times the embeddings, which are 4 times the distances."""
    assert _needed(getattr(losses, name), np.arange(64) % 8, X, {}) <= 8
