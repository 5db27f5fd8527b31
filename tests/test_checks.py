"""Every public object passes every check."""

import keras
import numpy as np
import pytest
from catalogue import ACTIVATIONS, HEADS, LOSSES

from keras_actloss import layers, losses, testing
from keras_actloss.core.registry import CATALOGUE

pytestmark = pytest.mark.slow


def _pairs(things, checks):
    """Each object with each check. Torch takes a second to compile an object: one of each class."""
    is_slow = keras.backend.backend() == "torch"
    compiled = set()
    for thing in things:
        for check in checks:
            again = is_slow and check.__name__ == "check_compiled" and type(thing) in compiled
            marks = [pytest.mark.nightly] if again else []
            yield pytest.param(thing, check, marks=marks, id=f"{thing!r}-{check.__name__}")
        compiled.add(type(thing))


@pytest.mark.parametrize(
    ("thing", "check"),
    [*_pairs(LOSSES, testing.LOSS_CHECKS), *_pairs(ACTIVATIONS, testing.ACTIVATION_CHECKS)],
)
def test_object(thing, check):
    check(thing, *testing.example_inputs(thing))


def test_every_class_is_in_the_catalogue():
    checked = {type(thing).__name__ for thing in ACTIVATIONS + HEADS + LOSSES}
    classes = [*CATALOGUE["layers"].values(), *CATALOGUE["losses"].values()]
    assert checked == {cls.__name__ for cls in classes if isinstance(cls, type)}


def test_reports_can_be_read():
    report = testing.check_loss(losses.Huber(delta=0.5))
    assert "Huber(delta=0.5)" in str(report) and "0 failed" in str(report)
    with pytest.raises(TypeError, match="class MyLoss"):
        testing.check_loss(keras.losses.Huber())
    with pytest.raises(TypeError, match="class MyLayer"):
        testing.check_activation(keras.layers.ReLU())


def test_inputs_can_be_given():
    y = np.arange(12, dtype="float32").reshape(4, 3)
    assert not testing.check_loss(losses.MeanSquaredError(), y, y[::-1] * 0.3).failed
    assert not testing.check_activation(layers.Tanh(), y / 6 - 1).failed
