"""What is saved comes back: in every form, on every backend, under names that never change."""

import copy
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import elsewhere
import keras
import numpy as np
import pytest
from catalogue import ACTIVATIONS, LOSSES

import keras_actloss
from keras_actloss import activations, layers, losses
from keras_actloss.core import registry

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent
BACKENDS = ("tensorflow", "jax", "torch")


def _same(model, again, x):
    def same(got, expected):
        got, expected = (keras.ops.convert_to_numpy(y) for y in (got, expected))
        np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-7)

    # Not predict, which would compile each of the models.
    keras.tree.map_structure(same, again(x), model(x))


@pytest.fixture(scope="module")
def network():
    """A model with every activation, and an input for it."""
    model = elsewhere.build_model(ACTIVATIONS, [])
    return model, {"x": np.random.default_rng(0).normal(size=(2, 4, 6)).astype("float32")}


def _through_json(model):
    return keras.models.model_from_json(model.to_json())


@pytest.mark.parametrize("way", [_through_json, keras.models.clone_model], ids=["json", "clone"])
def test_activations_through_another_model_with_the_weights(way, network, tmp_path):
    model, x = network
    again = way(model)
    model.save_weights(tmp_path / "model.weights.h5")
    again.load_weights(tmp_path / "model.weights.h5")
    _same(model, again, x)


@pytest.mark.parametrize(
    "way", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))], ids=["copy", "pickle"]
)
def test_activations_through_copy_and_pickle(way, network):
    model, x = network
    _same(model, way(model), x)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """A file with everything, and what its model computes here."""
    path = tmp_path_factory.mktemp("file") / "model.keras"
    model = elsewhere.build_model(ACTIVATIONS, LOSSES)
    model.save(path)
    return path, elsewhere.results(model, LOSSES)


def test_losses_of_a_compiled_model(file):
    path, expected = file
    again = keras.models.load_model(path, safe_mode=True)
    for i, loss in enumerate(LOSSES):
        assert type(again.loss[f"loss_{i}"]) is type(loss)
    for name, value in elsewhere.results(again, LOSSES).items():
        np.testing.assert_allclose(value, expected[name], rtol=1e-6, atol=1e-7, err_msg=name)


@pytest.mark.parametrize("backend", [b for b in BACKENDS if b != keras.backend.backend()])
def test_a_file_loads_on_the_other_backends(backend, file, tmp_path):
    path, here = file
    arguments = [HERE / "elsewhere.py", path, tmp_path / "results.npz"]
    environment = {**os.environ, "KERAS_BACKEND": backend}
    done = subprocess.run(
        [sys.executable, *arguments], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    there = np.load(tmp_path / "results.npz")
    assert set(here) == set(there) and len(here) > len(ACTIVATIONS) + len(LOSSES)
    for name, expected in here.items():
        np.testing.assert_allclose(there[name], expected, rtol=1e-5, atol=1e-6, err_msg=name)


@keras.saving.register_keras_serializable("tests")
class Holder(losses.Loss):
    """Holds one setting of each kind that a loss may have."""

    def __init__(self, weights=None, initializer=None, inner=None, axes=(1,), **kwargs):
        super().__init__(**kwargs)
        self.weights = weights
        self.initializer = initializer
        self.inner = inner
        self.axes = tuple(axes)

    def call(self, y_true, y_pred):
        scale = self.initializer((), dtype=y_pred.dtype) * keras.ops.convert_to_tensor(
            self.weights, y_pred.dtype
        )
        return keras.ops.mean(scale * keras.ops.abs(y_pred - y_true), axis=self.axes) + (
            self.inner.call(y_true, y_pred)
        )


def test_arrays_initializers_and_nested_losses_are_settings():
    loss = Holder(
        weights=np.array([1.0, 2.0], "float32"),
        initializer=keras.initializers.Constant(3.0),
        inner=losses.Huber(delta=0.5, reduction="sum"),
        axes=[1],
        dtype="float64",
        reduction="sum",
        name="mine",
    )
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(loss)))
    again = keras.saving.deserialize_keras_object(config, safe_mode=True)
    np.testing.assert_array_equal(again.weights, loss.weights)
    assert again.initializer.value == 3.0 and again.axes == (1,)
    assert (again.inner.delta, again.inner.reduction) == (0.5, "sum")
    assert (again.dtype, again.reduction, again.name) == ("float64", "sum", "mine")
    y_true, y_pred = np.zeros((2, 2), "float32"), np.ones((2, 2), "float32")
    assert float(again(y_true, y_pred)) == float(loss(y_true, y_pred)) == 2 * (4.5 + 0.375)


def test_registered_names_are_frozen():
    frozen = (HERE / "frozen_names.txt").read_text().split()
    now = [
        keras.saving.get_registered_name(thing)
        for kind in registry.CATALOGUE.values()
        for thing in kind.values()
    ]
    assert sorted(now) == frozen, "a released name never changes; new ones are added to the list"


def test_an_old_name_answers_to_the_new_class(monkeypatch):
    monkeypatch.setattr(registry, "ALIASES", {})
    config = keras.saving.serialize_keras_object(losses.Huber(delta=0.5))
    config.update(class_name="SmoothAbsolute", registered_name="keras_actloss>SmoothAbsolute")
    with pytest.raises(TypeError, match="SmoothAbsolute"):
        keras.saving.deserialize_keras_object(config)
    registry.add_alias("SmoothAbsolute", losses.Huber)
    try:
        assert keras.saving.deserialize_keras_object(config).delta == 0.5
        assert keras.losses.get(config).delta == 0.5
    finally:
        del keras.saving.get_custom_objects()["keras_actloss>SmoothAbsolute"]


def _compiled_loss(loss):
    inputs = keras.Input((2,))
    model = keras.Model(inputs, layers.Linear(name="output")(inputs))
    model.compile(loss=loss)
    return model.evaluate(np.ones((1, 2)), np.zeros((1, 2)), verbose=0)


HUBER = {"class_name": "keras_actloss>Huber", "config": {"delta": 0.5}}


@pytest.mark.parametrize(
    ("identifier", "expected"),
    [
        (losses.Huber, 0.5),
        (losses.Huber(delta=0.5), 0.375),
        (losses.huber, 0.5),
        ({"output": losses.Huber(delta=0.5)}, 0.375),
        ([losses.Huber(delta=0.5)], 0.375),
    ],
    ids=["class", "object", "function", "by output", "list"],
)
def test_losses_that_compile_accepts(identifier, expected):
    assert _compiled_loss(identifier) == expected


def test_losses_that_keras_resolves():
    assert keras.losses.get(HUBER).delta == 0.5
    assert keras.losses.get(losses.huber) is losses.huber
    serialized = keras.saving.serialize_keras_object(losses.Huber(delta=0.5))
    assert keras.losses.deserialize(serialized).delta == 0.5


ELU = {"class_name": "keras_actloss>ELU", "config": {"alpha": 0.5}}


@pytest.mark.parametrize(
    "identifier", [activations.elu, layers.ELU(alpha=1.0), layers.ELU], ids=["fn", "layer", "class"]
)
def test_activations_that_dense_accepts(identifier, tmp_path):
    # Keras takes a class for a function and would call it on the tensor.
    if isinstance(identifier, type):
        identifier = identifier()
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4, activation=identifier)])
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    x = np.linspace(-2, 2, 6, dtype="float32").reshape(2, 3)
    _same(model, again, x)
    weight, bias = model.get_weights()
    expected = x @ weight + bias
    expected = np.where(expected > 0, expected, np.expm1(expected))
    np.testing.assert_allclose(model.predict(x, verbose=0), expected, rtol=1e-5, atol=1e-6)


def test_activations_that_keras_resolves():
    assert keras.activations.get(activations.elu) is activations.elu
    assert keras.activations.get(ELU).alpha == 0.5
    serialized = keras.saving.serialize_keras_object(activations.elu)
    assert keras.activations.deserialize(serialized) is activations.elu


def test_strings_are_ours_only_through_get():
    with pytest.raises(ValueError, match="Could not interpret"):
        keras.losses.get("keras_actloss>Huber")
    with pytest.raises(ValueError, match="Could not interpret"):
        keras.activations.get("keras_actloss>elu")
    assert type(keras.losses.get("Huber")) is type(keras.losses.Huber())
    assert type(keras_actloss.get("losses", "Huber", delta=2.0)) is losses.Huber
    assert keras_actloss.get("activations", "elu") is activations.elu
