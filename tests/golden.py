"""Files that load for ever: a model of every class, compiled, and what its writer computed.

    make golden    # on each backend, for what has no file yet; run it before a release

A release has a folder in `golden/`, with a `.keras` file and results from each backend, and the
inputs and labels that these belong to. It holds the classes that no earlier release has, and is
never written again once the version has gone on. `test_saving.py` reads all of them on each
backend: what any backend wrote computes the same on any other.
"""

import json
import re
import tempfile
import zipfile
from pathlib import Path

import keras
import numpy as np

import keras_actloss
from keras_actloss import layers, losses, testing

FOLDER = Path(__file__).parent / "golden"
BATCH = 6


def registered_names(path):
    """The names under which a file has objects of this package."""
    with zipfile.ZipFile(path) as archive:
        return set(re.findall(r'"keras_actloss>(\w+)"', archive.read("config.json").decode()))


def things():
    """An activation or head, and a loss, of each class that no earlier release has written."""
    from catalogue import ACTIVATIONS, HEADS, LOSSES

    earlier = [path for path in FOLDER.glob("*/*.keras") if path.parent.name != _release()]
    written = set().union(*map(registered_names, earlier))
    # The last of a class has settings other than the defaults.
    new = {type(t).__name__: t for t in [*ACTIVATIONS, *HEADS, *LOSSES]}
    new = {name: thing for name, thing in new.items() if name not in written}
    is_loss = {name: isinstance(thing, losses.Loss) for name, thing in new.items()}
    return [{name: t for name, t in new.items() if is_loss[name] == wanted} for wanted in (0, 1)]


def _release():
    return keras_actloss.__version__


def _weights(name, x):
    """Weights before what is tested, for its gradient to show in a training step; 1 times `x`."""
    initializer = keras.initializers.Identity()
    size = x.shape[-1]
    return keras.layers.Dense(size, use_bias=False, kernel_initializer=initializer, name=name)(x)


def build_model(activations, of_predictions):
    """Activations of one common input, and each loss on an input of its own, all by name."""
    inputs = {"x": keras.Input((2, 4), name="x")}
    outputs, loss, metrics = {}, {}, {}
    for name, layer in activations.items():
        y = inputs["x"]
        if isinstance(layer, layers.Viterbi):
            y = layers.CRF(trainable=False)(y)
        elif not hasattr(layer, "seed"):  # In training the noise is each backend's own.
            y = _weights(f"before_{name}", y)
            loss[name] = losses.MeanSquaredError()
        outputs[name] = type(layer).from_config({**layer.get_config(), "name": name})(y)
    for name, of_prediction in of_predictions.items():
        inputs[name] = keras.Input(testing.example_inputs(of_prediction)[1].shape[1:], name=name)
        outputs[name] = _weights(f"before_{name}", inputs[name])
        loss[name] = of_prediction
        if isinstance(of_prediction, losses.WeightedSum):
            metrics[name] = of_prediction.metrics()
    model = keras.Model(inputs, outputs)
    # What is drawn at random is each backend's own.
    rng = np.random.default_rng(1)
    for weight in model.weights:
        if not weight.path.startswith("before_"):
            weight.assign(rng.uniform(1.25, 1.75, weight.shape))
    # TensorFlow and torch would compile so much at once for minutes.
    model.compile(keras.optimizers.SGD(1.0), loss, metrics=metrics, run_eagerly=True)
    return model


def example(model, of_predictions):
    """Inputs and labels by name."""
    rng = np.random.default_rng(0)
    inputs = {"x": rng.normal(size=(BATCH, 2, 4)).astype("float32")}
    labels = {
        name: rng.normal(size=(BATCH, *output.shape[1:])).astype("float32")
        for name, output in model.output.items()
    }
    for name, of_prediction in of_predictions.items():
        labels[name], inputs[name] = testing.example_inputs(of_prediction)
    return inputs, labels


def results(model, inputs, labels):
    """Predictions, losses and metrics, and the weights after a step of training, by name."""
    predictions = keras.tree.map_structure(keras.ops.convert_to_numpy, model(inputs))
    if keras.backend.backend() == "jax":  # Ops one by one take longer than one graph.
        model.run_eagerly, model.jit_compile = False, True
    values = model.train_on_batch(inputs, labels, return_dict=True)
    return {
        **{f"predicted {name}": y for name, y in predictions.items() if name not in inputs},
        **{f"{name} of a batch": np.float32(value) for name, value in values.items()},
        **{f"trained {w.path}": keras.ops.convert_to_numpy(w) for w in model.trainable_weights},
    }


# Hundreds of small arrays would be headers mostly.


def pack(arrays):
    """The numbers of all arrays, in the order of the names."""
    return np.concatenate([np.ravel(arrays[name]) for name in sorted(arrays)])


def unpack(packed, like):
    """`packed` with the names and shapes of the arrays in `like`."""
    names = sorted(like)
    ends = np.cumsum([np.size(like[name]) for name in names])
    assert ends[-1] == len(packed)
    parts = np.split(packed, ends[:-1])
    return {n: np.reshape(part, np.shape(like[n])) for n, part in zip(names, parts, strict=True)}


def keras_version(path):
    """That of the Keras that wrote a file."""
    with zipfile.ZipFile(path) as archive:
        return json.loads(archive.read("metadata.json"))["keras_version"]


def releases():
    """The folders of all releases."""
    return sorted(path for path in FOLDER.iterdir())


def read_example(release):
    """Inputs and labels by name."""
    arrays = np.load(release / "example.npz")
    return tuple(
        {key.removeprefix(kind): arrays[key] for key in arrays.files if key.startswith(kind)}
        for kind in ("input ", "label ")
    )


def recorded(release, backend, like):
    """What a backend has computed for a release, under the names and in the shapes of `like`."""
    return unpack(np.load(release / f"{backend}.npy"), like)


def off(got, expected):
    """The largest difference, relative where the numbers are larger than 1."""
    got = np.asarray(got, "float64")
    return float(np.max(np.abs(got - expected) / np.maximum(1, np.abs(expected))))


def write():
    """Write what this backend has for the release that is to come."""
    activations, of_predictions = things()
    model = build_model(activations, of_predictions)
    release = FOLDER / _release()
    release.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(suffix=".keras") as file:
        model.save(file.name)
        backend = keras.backend.backend()
        # As Keras has written it, but compressed.
        with (
            zipfile.ZipFile(file.name) as source,
            zipfile.ZipFile(release / f"{backend}.keras", "w", zipfile.ZIP_DEFLATED) as target,
        ):
            for name in source.namelist():
                target.writestr(name, source.read(name))
    inputs, labels = example(model, of_predictions)
    np.save(release / f"{backend}.npy", pack(results(model, inputs, labels)))
    arrays = {f"input {name}": x for name, x in inputs.items()}
    arrays |= {f"label {name}": y for name, y in labels.items()}
    np.savez_compressed(release / "example.npz", **arrays)


if __name__ == "__main__":
    write()
