"""The derivative of a gradient is that of the gradient, also where it depends on the result."""

import keras
import numpy as np
import pytest
from catalogue import ACTIVATIONS, LOSSES
from keras import ops

from keras_actloss import layers, losses, testing
from keras_actloss.testing.backend import compiled, gradient_of, value_and_gradient
from keras_actloss.testing.examples import rebuilt

BACKEND = keras.backend.backend()

# Where a helper is a constant, a root of 0, or a kernel without a derivative of its gradient.
SUSPECTS = (
    layers.Sparsemax,
    layers.LearnedEntmax,
    layers.HardSigmoid,
    layers.Softsign,
    losses.CategoricalSparsemax,
    losses.JensenShannon,
    losses.LiftedStructure,
    losses.MatthewsCorrelation,
    losses.TripletHard,
    losses.TripletSemiHard,
)


def _marked(thing):
    # JAX compiles each for a second or more.
    marks = [] if BACKEND == "torch" or isinstance(thing, SUSPECTS) else [pytest.mark.nightly]
    return pytest.param(thing, id=repr(thing), marks=marks)


def _check(function, x):
    """Along a random line, where the gradient depends on the result too.

    The steps are so long that differences of float32 leave two digits.
    """
    rng = np.random.default_rng(1)
    way = rng.normal(size=x.shape).astype("float32")
    upstream = rng.uniform(0.5, 1.5, size=tuple(function(x).shape)).astype("float32")
    through = compiled if BACKEND == "jax" else None

    def steep(x):
        y = function(x)
        return ops.sum(ops.multiply(upstream, y * (1 + y)))

    def along(x):
        return ops.sum(ops.multiply(way, gradient_of(steep, x)))

    _, second = value_and_gradient(along, x, through=through)
    step = np.float32(2.0**-10)
    before, here, after = (
        value_and_gradient(steep, x + d * way, through=through)[1] for d in (-step, 0, step)
    )
    expected = (after - before) / (2 * step)
    atol = 0.03 * np.abs(expected).max() + 2e-3
    # Beside a kink the two sides tell something else.
    smooth = np.abs((after - here) - (here - before)) <= step * atol
    assert smooth.mean() > 0.7
    np.testing.assert_allclose(second[smooth], expected[smooth], rtol=0, atol=atol)


@pytest.mark.parametrize("layer", [_marked(layer) for layer in ACTIVATIONS])
def test_of_activations(layer):
    layer, (x,) = rebuilt(layer), testing.example_inputs(layer)
    _check(layer, x)


# The kernel of torch for CTC has a gradient and no second one.
SMOOTH = [
    loss
    for loss in LOSSES
    if not loss.stops_gradient and not (BACKEND == "torch" and isinstance(loss, losses.CTC))
]


@pytest.mark.parametrize("loss", [_marked(loss) for loss in SMOOTH])
def test_of_losses(loss):
    y_true, y_pred = testing.example_inputs(loss)
    loss = rebuilt(loss, reduction="none")
    _check(lambda x: loss(y_true, x), y_pred)


@pytest.mark.parametrize(
    "loss",
    [x for x in LOSSES if "gradient flows to `y_true`" in " ".join(x.__doc__.split())],
    ids=repr,
)
def test_labels_are_constants(loss):
    """All of them whose docstring says so."""
    y_true, y_pred = testing.example_inputs(loss)
    loss = rebuilt(loss, reduction="sum")
    if y_true.dtype.kind == "i":
        pytest.skip("ids have no gradient")
    through = compiled if BACKEND == "jax" else None
    _, gradient = value_and_gradient(lambda y: loss(y, y_pred), y_true, through=through)
    assert gradient is None or not np.any(gradient)
