"""What runs a loop compiles it once, on JAX called as it is too."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_actloss import activations, layers, losses

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "jax", reason="compiles nothing by itself"
)

X = np.random.default_rng(0).normal(size=(2, 5, 3, 3)).astype("float32")
IDS = np.array([[1, 2, 1, 2, 0], [2, 1, 1, 0, 2]], dtype="int32")

FUNCTIONS = {
    "sparsemax": activations.sparsemax,
    "entmax15": activations.entmax15,
    "viterbi": layers.viterbi,
    "linear_chain_crf": lambda x: losses.linear_chain_crf(IDS, x),
    "centerline_dice": lambda x: losses.centerline_dice(ops.abs(ops.sign(x)), ops.sigmoid(x)),
    "ctc": lambda x: losses.ctc(IDS[:, :2], x[:, :, 0], from_logits=True),
}
GRADIENTS = ("sparsemax", "entmax15", "linear_chain_crf", "centerline_dice", "ctc")


def _gradient(function):
    import jax

    return jax.grad(lambda x: ops.sum(function(x)))


@pytest.mark.parametrize("name", [*FUNCTIONS, *(f"{name}, gradient" for name in GRADIENTS)])
def test_a_second_call_compiles_nothing(name):
    import jax

    name, *gradient = name.split(", ")
    function = _gradient(FUNCTIONS[name]) if gradient else FUNCTIONS[name]
    programs = []

    def note(event, _, **details):
        programs.extend([event] if "backend_compile" in event else [])

    x = ops.convert_to_tensor(X)
    jax.monitoring.register_event_duration_secs_listener(note)
    function(x)
    jax.jit(lambda x: ops.sum(FUNCTIONS[name](x)[0]))(x)
    assert programs
    programs.clear()
    function(x)
    assert not programs


@pytest.mark.parametrize("alpha", [1.3, 1.5, 2.0])
def test_a_loop_may_be_mapped(alpha):
    """Called as it is, it ends on a value, which a map over a batch hides; also one of alphas."""
    import jax

    expected = ops.convert_to_numpy(activations.entmax(X, alpha))
    got = jax.vmap(lambda x: activations.entmax(x, alpha))(X)
    np.testing.assert_allclose(got, expected, atol=1e-6)
    got = jax.vmap(lambda alpha: activations.entmax(X, alpha))(np.float32([alpha, 1.2]))
    np.testing.assert_allclose(got[0], expected, atol=1e-6)
