"""A hostile config is refused with an error that says where, and nothing of it runs."""

import copy
import json
import sys
import zipfile

import keras
import numpy as np
import pytest
from catalogue import ACTIVATIONS, HEADS, LOSSES
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_actloss import layers, losses

HUBER = keras.saving.serialize_keras_object(losses.Huber())


def _nested(depth):
    node = outer = keras.saving.serialize_keras_object(losses.WeightedSum([losses.Huber()]))
    for _ in range(depth):
        node = {**outer, "config": {**outer["config"], "losses": [node]}}
    return node["config"]


def _cyclic():
    config = losses.WeightedSum([losses.Huber()]).get_config()
    config["losses"].append({**HUBER, "class_name": "WeightedSum", "config": config})
    return config


def _array(value, dtype, kind="__numpy__"):
    return {"class_name": kind, "config": {"value": value, "dtype": dtype}}


def _of(module, name, config=None, **more):
    return {"module": module, "class_name": name, "config": config or {}, **more}


LAMBDA = _of("builtins", "__lambda__", {"value": "", "defaults": None, "closure": None})
# What a setting of a hostile file may be, and what is said of it.
HOSTILE = {
    "function of a module": (_of("os", "function", "system"), "which is not registered"),
    "class of a module": (_of("subprocess", "Popen", {"args": "ls"}), "which is not registered"),
    "function of Keras": (_of("builtins", "function", "relu"), "must be a Initializer"),
    "lambda": (LAMBDA, "which is not registered"),
    "layer with a lambda": (_of("keras.layers", "Lambda", {"function": LAMBDA}), "not registered"),
    "a lambda inside": (_of("keras.initializers", "Constant", {"value": LAMBDA}), "not registered"),
    "pickle of torch": (_of("keras.layers", "TorchModuleWrapper", {"module": ""}), "registered"),
    "loader of Keras": (_of("keras.saving", "function", "load_model"), "not registered"),
    "base of Keras": (_of("keras", "Model"), "not registered"),
    "path for a module": (_of("../evil", "Evil"), "not registered"),
    "module of another type": (_of(["os"], "system"), "not registered"),
    "class of another type": (_of("keras.losses", ["Huber"]), "not registered"),
    "array of huge elements": (_array([1], "(100000000,)f4"), "array that is not of numbers"),
    "array of long strings": (_array(["a"], "S100000000"), "array that is not of numbers"),
    "array of objects": (_array([{}], "object"), "array that is not of numbers"),
    "array of nothing": (_of("builtins", "__numpy__", {"dtype": "float32"}), "cannot be read"),
    "ragged array": (_array([[1], [1, 2]], "float32", "__tensor__"), "cannot be read"),
    "huge list": ([0.0] * (2**20 + 1), "more than 1048576 values"),
    "Keras refuses it": (_of("keras.initializers", "Constant", {"no": 1}), "cannot be read"),
    "object of another kind": (_of("keras.regularizers", "L2"), "kernel_initializer"),
    "name of another kind": ("keras_actloss>Huber", "must be a Initializer"),
}


@pytest.mark.parametrize(("value", "message"), HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_setting(value, message):
    config = layers.OrdinalDense(3).get_config()
    with pytest.raises((TypeError, ValueError), match=message) as error:
        layers.OrdinalDense.from_config({**config, "kernel_initializer": value})
    assert "kernel_initializer" in str(error.value)


@pytest.mark.parametrize("config", [_nested(20), _cyclic()], ids=["deep", "cyclic"])
def test_losses_without_end(config):
    with pytest.raises(ValueError, match="losses is nested deeper than"):
        losses.WeightedSum.from_config(config)


def test_what_a_file_of_ours_holds_is_read():
    config = _nested(3)
    assert losses.WeightedSum.from_config(config).get_config() == config
    for array in (_array([1, 2], "float32"), _array([1, 2], "float32", "__tensor__")):
        loss = losses.CategoricalCrossentropy.from_config({"class_weights": array})
        assert np.array(loss.class_weights).tolist() == [1, 2]


def _rewritten(path, change):
    """Change the config in a `.keras` file."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(members["config.json"])
    change(config)
    members["config.json"] = json.dumps(config).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


@pytest.mark.parametrize("value", [HOSTILE["function of a module"][0], LAMBDA, "pow", [1]])
@pytest.mark.parametrize("place", ["layer", "loss"])
def test_a_hostile_file(place, value, tmp_path):
    path = tmp_path / "model.keras"
    model = keras.Sequential([keras.Input((3,)), layers.ELU()])
    model.compile("sgd", losses.Huber())
    model.save(path)

    def change(config):
        if place == "loss":
            config["compile_config"]["loss"]["config"]["delta"] = value
        else:
            config["config"]["layers"][1]["config"]["alpha"] = value

    _rewritten(path, change)
    with pytest.raises((TypeError, ValueError), match="delta" if place == "loss" else "alpha"):
        keras.models.load_model(path, safe_mode=True)


@pytest.mark.parametrize("name", ["class", "function"])
def test_no_module_is_imported_by_name(name, tmp_path, monkeypatch):
    (tmp_path / "evil.py").write_text("def huber():\n    pass\n\n\nclass Huber:\n    pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    value = _of("evil", "function", "huber") if name == "function" else _of("evil", "Huber")
    with pytest.raises(ValueError, match="module 'evil', which is not registered"):
        losses.WeightedSum.from_config({"losses": [value]})
    assert "evil" not in sys.modules


THINGS = list({type(t).__name__: t for t in [*ACTIVATIONS, *HEADS, *LOSSES]}.values())
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3)
NAMES = st.sampled_from(
    ["class_name", "config", "module", "registered_name", "value", "dtype", "build_config"]
)
WORDS = st.sampled_from(
    [
        *("__numpy__", "__tensor__", "__lambda__", "__slice__", "__typespec__", "function"),
        *("Huber", "Zeros", "L2", "Lambda", "DTypePolicy", "keras_actloss>Huber", "float32"),
        *("keras.losses", "keras.initializers", "keras.layers", "keras", "builtins", "os"),
    ]
)
VALUES = st.recursive(
    SCALARS | WORDS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(NAMES, WORDS | inner, max_size=4)
        | st.builds(lambda kind, config: {**kind, "config": config}, st.just(HUBER), inner)
    ),
    max_leaves=6,
)


@settings(max_examples=max(500, 20 * settings.default.max_examples))
@given(st.data())
def test_any_config_is_read_or_refused(data):
    """Read, what is read says the same of itself again; refused, the error names the setting."""
    thing = data.draw(st.sampled_from(THINGS))
    config = json.loads(json.dumps(thing.get_config()))
    name, value = data.draw(st.sampled_from(sorted(config))), data.draw(VALUES)
    given = copy.deepcopy(config | {name: value})
    try:
        read = type(thing).from_config(given)
    except (TypeError, ValueError) as error:
        assert name in str(error)
        return
    once = json.loads(json.dumps(read.get_config()))
    again = type(thing).from_config(once).get_config()
    assert json.dumps(again) == json.dumps(once)
