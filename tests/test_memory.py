"""What activations keep between the two passes, and what losses need, in tensors of their input."""

import functools
import gc
import itertools
import weakref

import keras
import numpy as np
import pytest
from catalogue import ACTIVATIONS
from keras import ops
from packaging.version import parse

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
    pytest.mark.skipif(
        BACKEND == "torch" and parse(keras.__version__) < parse("3.15"),
        reason="any op of an older Keras leaves tensors to the garbage collector",
    ),
]

X = np.random.default_rng(0).normal(size=(64, 256)).astype("float32")


WIDTHS = {"float32": "float32", "bfloat16": "mixed_bfloat16"}  # And the policy of a layer.


def _in_jax(function, x):
    import jax

    _, pull = jax.jit(lambda x: jax.vjp(function, x))(x)
    return {id(leaf): leaf.nbytes for leaf in jax.tree.leaves(pull)}


def _sizes(tensors):
    return {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in tensors}


def _held():
    """The tensors with data that objects of Python hold."""
    import torch

    kinds = (torch.Tensor, torch.nn.Parameter)  # Compiled graphs are kept with fakes.
    return [item for item in gc.get_objects() if type(item) in kinds]


class _Saved:
    """What autograd has saved, for as long as it holds it."""

    def __init__(self, tensor):
        self.tensor = tensor.detach()


def _in_torch(function, x):
    import torch

    alive = weakref.WeakSet()

    def save(tensor):
        saved = _Saved(tensor)
        alive.add(saved)
        return saved

    function(x)  # Makes the tables that all later calls share.
    x.requires_grad_()
    gc.collect()
    before = _held()
    with torch.autograd.graph.saved_tensors_hooks(save, lambda saved: saved.tensor):
        result = function(x)
    # A function of Python may hold tensors that autograd does not know of.
    held = _sizes(_held())
    for pointer in _sizes([*before, result]):
        held.pop(pointer, None)
    return held | _sizes([saved.tensor for saved in alive])


def _kept(function, width="float32"):
    """Bytes that the gradient of `function` needs, over those of its input."""
    x = ops.cast(X, width)
    kept = (_in_jax if BACKEND == "jax" else _in_torch)(function, x)
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


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", [*NAMES, "gelu, tanh"])
def test_no_more_than_keras(name, width):
    ours, theirs = _defaults(name)
    assert _kept(ours, width) <= _kept(theirs, width) + 0.05


@pytest.mark.skipif(BACKEND != "jax", reason="runs op by op")
@pytest.mark.parametrize("name", [*NAMES, "gelu, tanh"])
def test_a_compiled_step_takes_no_more_than_keras(name):
    """A compiler may keep more between the passes than either asks it to."""
    import jax

    def taken(function):
        def step(x, upstream):
            y, pull = jax.vjp(function, x)
            return y, pull(upstream)

        upstream = jax.eval_shape(function, X)
        analysis = jax.jit(step).lower(X, upstream).compile().memory_analysis()
        return analysis.temp_size_in_bytes / X.nbytes

    ours, theirs = _defaults(name)
    assert taken(ours) <= taken(theirs) + 0.05


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize(
    "layer",
    [layer for layer in ACTIVATIONS if isinstance(layer, GatedLayer | LearnedActivation)],
    ids=repr,
)
def test_gated_and_learned_keep_input_and_output_at_most(layer, width):
    layer = rebuilt(layer, dtype=WIDTHS[width])
    output = layer(X)
    assert _kept(layer, width) <= 1 + np.prod(output.shape) / X.size + 0.05


CLASSES = 1000
LOGITS = np.random.default_rng(1).normal(size=(64, CLASSES)).astype("float32")
IDS = np.arange(64) * 7
ONE_HOT = np.eye(CLASSES, dtype="float32")[IDS]
SHARES = np.exp(LOGITS) / np.exp(LOGITS).sum(-1, keepdims=True)
POSITIVE = np.abs(LOGITS) + 0.1
FROM_LOGITS = {"from_logits": True}
SMOOTHED = {"from_logits": True, "label_smoothing": 0.1}

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
    "mae": ("mean_absolute_error", ONE_HOT, LOGITS, {}),
    "mape": ("mean_absolute_percentage_error", POSITIVE, LOGITS, {}),
    "msle": ("mean_squared_logarithmic_error", POSITIVE, POSITIVE[::-1].copy(), {}),
    "log-cosh": ("log_cosh", ONE_HOT, LOGITS, {}),
    "poisson": ("poisson", POSITIVE, POSITIVE[::-1].copy(), {}),
    "hinge": ("hinge", ONE_HOT, LOGITS, {}),
    "squared hinge": ("squared_hinge", ONE_HOT, LOGITS, {}),
    "categorical hinge": ("categorical_hinge", ONE_HOT, LOGITS, {}),
    "binary, smoothed": ("binary_crossentropy", ONE_HOT, LOGITS, SMOOTHED),
    "categorical, smoothed": ("categorical_crossentropy", ONE_HOT, LOGITS, SMOOTHED),
    "categorical, soft": ("categorical_crossentropy", SHARES, LOGITS, FROM_LOGITS),
}


def _needed(loss, y_true, y_pred, settings):
    """The most that value and gradient take at a time besides the arguments."""
    if BACKEND == "torch":
        import torch

        y_true, y_pred = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
        y_pred.requires_grad_()
        gc.collect()
        with torch.profiler.profile(profile_memory=True) as profile:
            ops.sum(loss(y_true, y_pred, **settings)).backward()
        events = profile.profiler.kineto_results.events()
        memory = sorted((e.start_ns(), e.nbytes()) for e in events if e.name() == "[memory]")
        most = max(itertools.accumulate(size for _, size in memory))
        return most / y_pred.untyped_storage().nbytes()
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
    assert ours <= theirs + 0.05


@pytest.mark.parametrize("name", ["lifted_structure", "triplet_hard", "triplet_semihard"])
def test_losses_of_pairs_keep_no_differences(name):
    """Of 64 samples those would be 64 times the embeddings, which are 4 times the distances."""
    assert _kept(functools.partial(getattr(losses, name), np.arange(64) % 8)) <= 8
