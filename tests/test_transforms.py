"""The transforms of `torch.func`: a gradient of each sample, by mapping one over a batch.

JAX has them for any function; TensorFlow has none.
"""

import keras
import numpy as np
import pytest
from catalogue import ACTIVATIONS, LOSSES, of_each_class
from keras import ops

from keras_actloss import testing
from keras_actloss.testing.backend import array, value_and_gradient
from keras_actloss.testing.examples import rebuilt

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "torch", reason="looks at what torch cannot map"
)


def _gradients(function, *arguments):
    """The gradient of `function` by the first argument, of each entry of the batch by itself."""
    import torch

    of_each = torch.func.vmap(torch.func.grad(function), randomness="different")
    return array(of_each(*map(ops.convert_to_tensor, arguments)))


@pytest.mark.parametrize(
    "loss", [loss for loss in of_each_class(LOSSES) if not loss.couples_samples], ids=repr
)
def test_of_losses(loss):
    y_true, y_pred = testing.example_inputs(loss)
    loss = rebuilt(loss, reduction="sum")
    _, expected = value_and_gradient(lambda p: loss(y_true, p), y_pred)
    got = _gradients(lambda p, y: loss(y[None], p[None]), y_pred, y_true)
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("layer", of_each_class(ACTIVATIONS), ids=repr)
def test_of_activations(layer):
    x = testing.example_inputs(layer)[0]
    layer = rebuilt(layer)
    _, expected = value_and_gradient(layer, x)
    got = _gradients(lambda x: ops.sum(layer(x[None])), x)
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-6)
