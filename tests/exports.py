"""Every activation in every format that Keras exports to, run without Keras and this package.

    python tests/exports.py               # everything, ten minutes
    python tests/exports.py Mish Swish    # these anew, unless a version has changed

Writes `exports.json`, which `test_exports.py` holds the package to, and `docs/exports.md` for
readers.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import warnings
from importlib.metadata import version
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
TABLE, PAGE = HERE / "exports.json", HERE.parent / "docs" / "exports.md"
BLOCKED = ("keras", "keras_actloss")
BACKENDS = ("tensorflow", "jax", "torch")
# format -> the end of its files
FORMATS = {
    "tf_saved_model": "",
    "onnx": ".onnx",
    "litert": ".tflite",
    "openvino": ".xml",
    "torch": ".pt2",
}
EXPORTERS = ["tf2onnx", "jax2onnx", "onnxscript", "onnxruntime", "openvino"]


def example(count):
    """An input for each of so many activations: ordinary numbers and two far out."""
    x = np.random.default_rng(0).normal(scale=3, size=(5, count, 4, 6)).astype("float32")
    x[0, :, 0, :3] = 0, 40, -40
    return x


def activations():
    """The first layer of each class in the catalogue, by the name of the class."""
    from catalogue import ACTIVATIONS

    return {type(layer).__name__: layer for layer in ACTIVATIONS[::-1]}


# A process that exports. Some exporters change their own libraries: it does nothing else.


def build_model(names):
    """An output an activation, each of a part of the input, so that exporters do not merge them."""
    import keras

    x = keras.Input((len(names), 4, 6), name="x")
    layers = [activations()[name] for name in names]
    outputs = [type(y).from_config(y.get_config())(x[:, i]) for i, y in enumerate(layers)]
    return keras.Model(x, outputs)


def export(folder):
    """Write a file for each job, or why it cannot be, and what Keras computes itself."""
    import keras

    warnings.simplefilter("ignore")
    for i, (format, names) in enumerate(json.loads((folder / "jobs.json").read_text())):
        model, options = build_model(names), {}
        expected = keras.tree.flatten(model(example(len(names))))
        np.savez(folder / f"{i}.expected.npz", *map(keras.ops.convert_to_numpy, expected))
        if format == "torch":
            import torch

            # Only here the batch would be fixed otherwise.
            options["dynamic_shapes"] = {0: torch.export.Dim("batch")}
        try:
            path = str(folder / f"{i}{FORMATS[format]}")
            model.export(path, format=format, verbose=False, **options)
        except Exception as error:
            (folder / f"{i}.reason").write_text(str(error))


# A process that has the runtimes only.


def run_tf_saved_model(path, x):
    import tensorflow as tf

    model = tf.saved_model.load(path)
    return [y.numpy() for y in tf.nest.flatten(model.serve(x))]


def run_onnx(path, x):
    import onnxruntime

    return onnxruntime.InferenceSession(path).run(None, {"x": x})


def run_litert(path, x):
    import tensorflow as tf

    outputs = tf.lite.Interpreter(path).get_signature_runner()(x=x)
    return [outputs[f"output_{i}"] for i in range(len(outputs))]


def run_openvino(path, x):
    import openvino

    # The default is bfloat16 on processors that have it.
    model = openvino.compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    outputs = model(x)
    # From TensorFlow they come in any order, under the names Identity, Identity_1, ..., and with
    # them what a loop or a gradient left behind.
    named = {
        int(place[1] or 0): y
        for key, y in outputs.items()
        for place in (re.fullmatch(r"Identity(?:_(\d+))?:0", name) for name in key.names)
        if place
    }
    return [named[i] for i in sorted(named)] or list(outputs.values())


def run_torch(path, x):
    import torch

    outputs = torch.export.load(path).module()(torch.tensor(x))
    return [y.numpy() for y in (outputs if isinstance(outputs, list) else [outputs])]


def serve(folder):
    """Run each file, and write what it gives or why it gives nothing."""
    # TensorFlow imports Keras lazily by itself: None makes every such import an ImportError.
    sys.modules.update(dict.fromkeys(BLOCKED))
    warnings.simplefilter("ignore")
    for i, (format, names) in enumerate(json.loads((folder / "jobs.json").read_text())):
        if (folder / f"{i}.reason").exists():
            continue
        path = str(folder / f"{i}{FORMATS[format]}")
        try:
            np.savez(folder / f"{i}.npz", *globals()[f"run_{format}"](path, example(len(names))))
        except Exception as error:
            (folder / f"{i}.reason").write_text(str(error))


# The process that compares.


def measure(backend, jobs):
    """For each job, a format and names of activations: differences by name, or why there are none.

    A difference is relative where the activation is larger than 1.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "jobs.json").write_text(json.dumps(jobs))
        for step in ("export", "serve"):
            done = subprocess.run(
                [sys.executable, __file__, step, name],
                env={**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"},
                capture_output=True,
                text=True,
            )
            assert done.returncode == 0, done.stderr
        return [_compared(folder, i, names) for i, (_, names) in enumerate(jobs)]


def _compared(folder, i, names):
    if (folder / f"{i}.reason").exists():
        return _short((folder / f"{i}.reason").read_text())
    found, expected = (
        list(np.load(folder / f"{i}{end}").values()) for end in (".npz", ".expected.npz")
    )
    if len(found) != len(expected):
        return f"{len(found)} outputs instead of {len(expected)}"
    return {
        name: float(f"{np.max(np.abs(y - e) / np.maximum(1, np.abs(e))):.1e}")
        for name, y, e in zip(names, found, expected, strict=True)
    }


# The part of a message that names the cause, where that is not how it begins.
_CAUSE = re.compile(
    r"No Op registered for \w+|No conversion rule found for operations: .+"
    r"|'[\w.]+' op is neither a custom op nor a flex op|(?<=\x1b\[1m)[^\x1b]+"  # Keras in bold
)


def _short(reason):
    found = _CAUSE.search(reason)
    return found[0] if found else re.split(r"[.:]\s", reason.strip())[0]


def measure_all(backend, names):
    """The columns of a backend. What cannot be exported together is tried in halves."""
    simplest = measure(backend, [(format, ["Linear"]) for format in FORMATS])
    cells = dict(zip(FORMATS, simplest, strict=True))
    jobs = [(format, names) for format, cell in cells.items() if isinstance(cell, dict)]
    while jobs:
        failed = []
        for (format, group), found in zip(jobs, measure(backend, jobs), strict=True):
            if isinstance(found, dict):
                cells[format] |= found
            elif len(group) == 1:
                cells[format][group[0]] = found
            else:
                failed += [(format, group[0::2]), (format, group[1::2])]
        jobs = failed
        print(f"{backend}: {sum(len(group) for _, group in jobs)} cells left", flush=True)
    return cells


# The table.


def page(table):
    """The table in Markdown."""
    columns = [
        (backend, format, column)
        for backend, formats in table["cells"].items()
        for format, column in formats.items()
    ]
    able = [column for *_, column in columns if isinstance(column, dict)]
    reasons = list(dict.fromkeys(c for column in able for c in column.values() if str(c) == c))
    versions = ", ".join(f"{name} {number}" for name, number in table["versions"].items())

    def shown(cell):
        if cell in reasons:
            return f"no ({reasons.index(cell) + 1})"
        return f"{cell:.0e}" if cell else "0"

    lines = [_TOP, "| from | to | activations | largest difference |", "|---" * 4 + "|"]
    for backend, format, column in columns:
        summary = f"none: {column} |"
        if isinstance(column, dict):
            numbers = [cell for cell in column.values() if cell not in reasons]
            summary = f"{len(numbers)} of {len(column)} | {shown(max(numbers))}"
        lines.append(f"| {backend} | {format} | {summary} |")
    lines += ["", "Why some are not exported, as the exporter or the runtime says it:", ""]
    lines += [f"{i}. {reason}" for i, reason in enumerate(reasons, 1)]
    titles = [f"{backend} to {format}" for backend, format, column in columns if column in able]
    lines += ["", f"| | {' | '.join(titles)} |", "|---" * (len(titles) + 1) + "|"]
    for name in able[0]:
        lines.append(f"| {name} | {' | '.join(shown(column[name]) for column in able)} |")
    return "\n".join([*lines, "", f"Measured with {versions}."]) + "\n"


_TOP = """# Exports

`make exports` puts every activation into a model with a batch of any size, has `model.export` write
the file, runs it where neither Keras nor this package can be imported, and notes the largest
difference from Keras, relative where the activation exceeds 1. `tests/test_exports.py` holds the
package to these numbers.
"""


def merged(old, new):
    """A column with the cells of both, or the newer reason why there are none."""
    if isinstance(old, str) or isinstance(new, str):
        return new
    return dict(sorted((old | new).items()))


def main(names):
    versions = {name: version(name).split("+")[0] for name in ("keras", *BACKENDS, *EXPORTERS)}
    old, known = json.loads(TABLE.read_text()), activations()
    if not names or old["versions"] != versions:
        old, names = {"cells": {}}, list(known)
    cells = {}
    for backend in BACKENDS:
        columns = measure_all(backend, names)
        before = old["cells"].get(backend, {})
        cells[backend] = {f: merged(before.get(f, {}), column) for f, column in columns.items()}
    table = {"versions": versions, "cells": cells}
    TABLE.write_text(json.dumps(table, indent=1) + "\n")
    PAGE.write_text(page(table))


if __name__ == "__main__":
    if sys.argv[1:2] == ["export"]:
        export(Path(sys.argv[2]))
    elif sys.argv[1:2] == ["serve"]:
        serve(Path(sys.argv[2]))
    else:
        main(sys.argv[1:])
