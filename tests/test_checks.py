"""Every public object passes every check."""

import accuracy
import keras
import numpy as np
import pytest
from catalogue import ACTIVATIONS, HEADS, LOSSES

from keras_actloss import layers, losses, testing
from keras_actloss.core.registry import CATALOGUE
from keras_actloss.testing import oracle
from keras_actloss.testing.__main__ import main

pytestmark = pytest.mark.slow


# What depends on the settings, and is checked with each of them. All else is the work of the bases,
# or held to the formula: of each class and kind of labels one object is checked, others at night.
OF_SETTINGS = {
    "check_config_round_trip",
    "check_finite",
    "check_formula",
    "check_ignore_class",
    "check_layer_equals_function",
    "check_mask_is_kept",
}
WITHOUT_FORMULA = {"check_differentiable", "check_gradient"}


def _pairs(things, checks):
    """Each object with each check."""
    seen = set()
    for thing in things:
        cls = type(thing)
        kind = cls, getattr(thing, "labels", None), getattr(thing, "couples_samples", None)
        always = OF_SETTINGS | (set() if oracle.formula_of(cls) else WITHOUT_FORMULA)
        for check in checks:
            name = check.__name__
            # Which takes a second on torch.
            known = (cls if name == "check_compiled" else kind) in seen
            marks = [pytest.mark.nightly] if known and name not in always else []
            yield pytest.param(thing, check, marks=marks, id=f"{thing!r}-{name}")
        seen |= {cls, kind}


@pytest.fixture(autouse=True)
def fifty_digits(monkeypatch):
    """Those that another backend has left."""

    def evaluate(formula, **arguments):
        return accuracy.evaluate(formula, arguments)

    def derivative(formula, name, x, upstream=None, coupled=False, /, **arguments):
        return accuracy.derivative(formula, name, x, upstream, coupled, arguments)

    monkeypatch.setattr(oracle, "evaluate", evaluate)
    monkeypatch.setattr(oracle, "derivative", derivative)


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
    with pytest.raises(ValueError, match="y_true and y_pred go together"):
        testing.check_loss(losses.MeanSquaredError(), y_pred=y)


def test_a_setting_without_a_name_is_refused():
    with pytest.raises(SystemExit, match="name each setting"):
        main(["Huber(2.0)"])
