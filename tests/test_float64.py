"""Every public object takes float64, where TensorFlow mixes no dtypes and JAX has to be asked."""

import keras
import numpy as np
import pytest
from catalogue import ACTIVATIONS, LOSSES
from keras import ops

from keras_actloss.testing import example_inputs
from keras_actloss.testing.backend import value_and_gradient
from keras_actloss.testing.examples import rebuilt

pytestmark = pytest.mark.skipif(
    keras.backend.backend() == "jax", reason="JAX has no float64 unless it is switched on"
)


def _both(function, x):
    value, gradient = value_and_gradient(lambda x: ops.sum(ops.square(function(x))), x)
    assert np.asarray(value).dtype == np.asarray(gradient).dtype == x.dtype
    return value, gradient


def _close(wide, single):
    for got, expected in zip(wide, single, strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("loss", LOSSES, ids=repr)
def test_loss(loss):
    y_true, y_pred = example_inputs(loss)
    kind = y_true.dtype.kind

    def at(dtype):
        of_dtype = rebuilt(loss, dtype=dtype)
        y = y_true.astype(dtype) if kind == "f" else y_true
        return _both(lambda x: of_dtype(y, x), y_pred.astype(dtype))

    _close(at("float64"), at("float32"))


@pytest.mark.parametrize("layer", ACTIVATIONS, ids=repr)
def test_activation(layer):
    (x,) = example_inputs(layer)
    single, wide = rebuilt(layer, dtype="float32"), rebuilt(layer, dtype="float64")
    for built in (single, wide):
        built(ops.cast(x, built.compute_dtype))
    wide.set_weights(single.get_weights())
    _close(_both(wide, x.astype("float64")), _both(single, x))
