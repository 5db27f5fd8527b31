"""Reads the config that a model's file holds, and writes the file anew with another one."""

import json
import re
import shutil
import tempfile
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import h5py

CONFIG, WEIGHTS, METADATA = "config.json", "model.weights.h5", "metadata.json"

# In the weights of a `.keras` file layers bear the names of their classes, with a number.
_RENAMED = {"keras_actloss>LearnedSnake": ("snake", "learned_snake")}


class Saved(NamedTuple):
    """What a file says of a model besides its weights."""

    model: dict[str, Any]
    compiled: dict[str, Any] | None
    modern: bool
    version: str  # Of the Keras that wrote it, or empty.


def read(path):
    """The configs in a `.keras` or HDF5 file; the compile config as a `.keras` file has it."""
    path = Path(path)
    if path.is_dir():
        raise ValueError(
            f"{path} is a directory: a SavedModel holds a graph, not the config of a model; save "
            "the model as .h5 where TensorFlow Addons is installed, or run the graph with "
            "keras.layers.TFSMLayer"
        )
    if not path.exists():
        raise FileNotFoundError(f"there is no file {path}")
    if zipfile.is_zipfile(path):
        return _read_keras(path)
    if h5py.is_hdf5(path):
        return _read_h5(path)
    raise ValueError(f"{path} is neither a .keras file nor HDF5, as .h5 files are")


def _read_keras(path):
    with zipfile.ZipFile(path) as archive:
        if CONFIG not in archive.namelist():
            raise ValueError(f"{path} has no {CONFIG}: it is not a model that Keras saved")
        config = json.loads(archive.read(CONFIG))
        told = json.loads(archive.read(METADATA)) if METADATA in archive.namelist() else {}
    version = told.get("keras_version", "")
    return Saved(config, config.pop("compile_config", None), modern=True, version=version)


def _read_h5(path):
    with h5py.File(path) as file:
        config, training = (file.attrs.get(name) for name in ("model_config", "training_config"))
        version = str(file.attrs.get("keras_version", ""))
    if config is None:
        raise ValueError(
            f"{path} has weights only; build the model in code and call its load_weights"
        )
    compiled = None if training is None else json.loads(training)
    if compiled is not None:
        compiled["optimizer"] = compiled.pop("optimizer_config", None)
        compiled.pop("sample_weight_mode", None)
    return Saved(json.loads(config), compiled, modern=False, version=version)


def write(source, target, model):
    """Write to `target` the file `source` with another config of the model, not compiled."""
    if zipfile.is_zipfile(source):
        return _write_keras(source, target, model)
    shutil.copyfile(source, target)
    with h5py.File(target, "r+") as file:
        file.attrs["model_config"] = json.dumps(model)


def _write_keras(source, target, model):
    text = json.dumps(model)
    renamed = dict(names for cls, names in _RENAMED.items() if f'"{cls}"' in text)
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for item in old.infolist():
            if item.filename == CONFIG:
                new.writestr(CONFIG, text)
            elif item.filename == WEIGHTS and renamed:
                with tempfile.TemporaryDirectory() as folder:
                    weights = old.extract(item, folder)
                    _rename_layers(weights, renamed)
                    new.write(weights, WEIGHTS)
            else:
                with old.open(item) as reader, new.open(item, "w", force_zip64=True) as writer:
                    shutil.copyfileobj(reader, writer)


def _rename_layers(weights, renamed):
    found = []
    with h5py.File(weights, "r+") as file:
        file.visit(found.append)
        # Inner ones first, whose paths name the outer ones.
        for path in sorted(found, key=len, reverse=True):
            parent, _, name = path.rpartition("/")
            match = re.fullmatch(r"(\w+?)(_\d+)?", name)
            if match and match[1] in renamed and parent.endswith(_HOLDERS):
                file.move(path, f"{parent}/{renamed[match[1]]}{match[2] or ''}")


# What holds layers by their classes; the second in the files of early releases of the format.
_HOLDERS = ("layers", "_layer_checkpoint_dependencies")
