"""What is saved comes back: in every form, on every backend, under names that never change."""

import copy
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import golden
import keras
import numpy as np
import pytest
from catalogue import ACTIVATIONS, HEADS, LOSSES
from packaging.version import parse

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
    model = golden.build_model(_named(ACTIVATIONS), {})
    # Of the golden files' shape, for JAX to have each op compiled when it comes to them.
    shape = (golden.BATCH, 2, 4)
    return model, {"x": np.random.default_rng(0).normal(size=shape).astype("float32")}


def _named(things):
    return {f"{type(thing).__name__}_{i}": thing for i, thing in enumerate(things)}


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


def test_a_file_holds_a_compiled_model(tmp_path):
    model = golden.build_model(_named(ACTIVATIONS + HEADS), _named(LOSSES))
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras", safe_mode=True)
    assert _contents(again) == _contents(model)
    for name, loss in _named(LOSSES).items():
        assert type(again.loss[name]) is type(loss)


def _contents(model, optimizer=True):
    """All that makes a model what it is."""
    compiled = model.get_compile_config()
    if not optimizer:
        del compiled["optimizer"]
    weights = {w.path: keras.ops.convert_to_numpy(w).tolist() for w in model.weights}
    return json.loads(json.dumps([model.get_config(), compiled, weights]))


@pytest.fixture(scope="module")
def golden_models():
    """What the golden files hold, by release and by the backend that wrote it."""
    files = {
        release: {b: release / f"{b}.keras" for b in BACKENDS} for release in golden.releases()
    }
    newest = max(parse(golden.keras_version(path["jax"])) for path in files.values())
    if newest > parse(keras.__version__):
        pytest.skip(f"Keras {newest} wrote what an older one need not read")
    return {
        release: {b: keras.models.load_model(path) for b, path in of_release.items()}
        for release, of_release in files.items()
    }


def test_every_class_is_in_a_golden_file():
    registered = {keras.saving.get_registered_name(thing) for thing in _classes()}
    files = [path for release in golden.releases() for path in release.glob("*.keras")]
    assert len(files) == 3 * len(golden.releases())
    for backend in BACKENDS:
        names = [golden.registered_names(p) for p in files if p.stem == backend]
        missing = registered - {f"keras_actloss>{name}" for name in set().union(*names)}
        assert not missing, "`make golden` writes them"


def _classes():
    kinds = registry.CATALOGUE["layers"], registry.CATALOGUE["losses"]
    return [thing for kind in kinds for thing in kind.values() if isinstance(thing, type)]


def test_golden_files_of_a_release_hold_the_same(golden_models):
    for models in golden_models.values():
        first, *others = (_contents(model, optimizer=False) for model in models.values())
        assert all(other == first for other in others)


@pytest.mark.skipif(keras.backend.backend() == "torch", reason="torch knows its optimizers")
def test_an_optimizer_of_torch_trains_on_torch_only(golden_models):
    """So the README says to compile again what was compiled there; else it need no longer."""
    for models in golden_models.values():
        weights = models["torch"].trainable_weights
        with pytest.raises(TypeError, match="expected Tensor"):
            models["torch"].optimizer.apply([keras.ops.ones(w.shape) for w in weights], weights)


@pytest.fixture(scope="module")
def computed(golden_models):
    """What the models of golden files compute here, by release; those of a release are the same."""
    found = {}
    for release, models in golden_models.items():
        model = models["torch"]
        config = models[keras.backend.backend()].get_compile_config()
        model.compile_from_config(model.get_compile_config() | {"optimizer": config["optimizer"]})
        found[release] = golden.results(model, *golden.read_example(release))
    return found


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_golden_file_computes_what_its_writer_did(backend, computed):
    for release, found in computed.items():
        expected = golden.recorded(release, backend, found)
        off = {name: golden.off(found[name], expected[name]) for name in found}
        assert {name: d for name, d in off.items() if not d <= 1e-6} == {}


# What a backend without gradients computes otherwise, and why.
OTHERWISE = {
    "numpy": set(),
    # It drops the absolute value of what is known to be a difference, as a loss's errors are there.
    "openvino": {"LaplaceNLL_loss of a batch"},
}


@pytest.mark.skipif(keras.backend.backend() != "torch", reason="one backend is enough to compare")
@pytest.mark.parametrize("backend", OTHERWISE)
def test_backends_without_gradients_compute_the_same(backend, computed, tmp_path):
    np.savez(tmp_path / "expected.npz", **{k: v for r in computed.values() for k, v in r.items()})
    done = subprocess.run(
        # Keras warns of each gradient that is not taken, as if somebody had asked for one.
        [sys.executable, "-W", "error:`custom_gradient`", HERE / "inference.py", "expected.npz"],
        env={**os.environ, "KERAS_BACKEND": backend},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    off = json.loads(done.stdout)
    assert {name.split("_")[0].removeprefix("predicted ") for name in off} >= {
        cls.__name__ for cls in _classes() if issubclass(cls, layers.ActivationLayer)
    }
    # OpenVINO's logarithms are its own.
    assert {name for name, d in off.items() if d == str(d) or d > 2e-6} == set(OTHERWISE[backend])


WITHOUT = """
import keras, sys
try:
    keras.models.load_model(sys.argv[1])
except TypeError as error:
    print(error)
keras.models.load_model(sys.argv[1], compile=False)
assert "keras_actloss" not in sys.modules
"""


@pytest.mark.skipif(keras.backend.backend() != "jax", reason="one backend is enough: Keras tells")
def test_loading_without_the_package_says_what_is_missing(tmp_path):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)])
    model.compile("sgd", losses.Huber())
    model.save(tmp_path / "model.keras")
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, tmp_path / "model.keras"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "keras_actloss>Huber" in done.stdout and "imported" in done.stdout


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
