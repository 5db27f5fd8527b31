"""Loads and converts files: the rewriting is here, building the model is Keras's."""

import importlib
import tempfile
import warnings
from pathlib import Path

from keras_actloss.migrate import files
from keras_actloss.migrate.report import Report
from keras_actloss.migrate.rewrite import Rewriter


def _keras(legacy):
    """The Keras to load with, in which the classes of this package are registered."""
    if not legacy:
        return importlib.import_module("keras")
    importlib.import_module("keras_actloss.tf_keras")
    return importlib.import_module("tf_keras")


def load_model(
    path,
    custom_objects=None,
    compile=True,
    optimizer=None,
    gelu="tanh",
    safe_mode=True,
    tf_keras=False,
    return_report=False,
):
    """Load a model that names TensorFlow Addons (TFA), without TFA.

    What the file says of the model is rewritten to name this package; then Keras loads it with its
    weights. The model predicts and evaluates as it did with TFA, and saves as any other. It is
    compiled if all of its losses and its optimizer can be had; the state of the optimizer is left
    behind. A loss without a reduction, TFA's default, gets `"sum_over_batch_size"`, which shows the
    same numbers.

    Args:
        path: A `.keras` or `.h5` file.
        custom_objects: Classes and functions by name, also of TFA: `{"Addons>CRF": MyCRF}`.
            Defaults to `None`.
        compile: Whether to compile the model if the file says how. Defaults to `True`.
        optimizer: The optimizer to compile with in place of that in the file, by name or an object,
            of which the model gets a copy. Defaults to `None`.
        gelu: What an activation with the bare name `"gelu"` is, `"tanh"` or `"exact"`. TFA's
            function, the tanh form, was saved under the same name as Keras's own, the exact form.
            Defaults to `"tanh"`.
        safe_mode: As in `keras.models.load_model`. Defaults to `True`.
        tf_keras: Whether to load a model of Keras 2, that of the package `tf_keras`, with
            `keras_actloss.tf_keras`. Defaults to `False`.
        return_report: Whether to return a `Report` beside the model. Defaults to `False`.

    Returns:
        The model, or `(model, report)`. Printed, the report says what became of what.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is no model, or a layer of it has no counterpart: the message has
            the report. If there is no such optimizer.

    Example:

    >>> from keras_actloss import migrate
    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3, activation="gelu")])
    >>> model.save("old.keras")
    >>> model, report = migrate.load_model("old.keras", return_report=True)
    >>> model.layers[0].activation
    GELU(approximate=True)
    >>> [(change.where.split("/")[-1], change.old) for change in report.changes]
    [('dense..., activation', 'gelu')]
    """
    if gelu not in ("tanh", "exact"):
        raise ValueError(f"load_model: gelu must be 'tanh' or 'exact', got {gelu!r}")
    keras = _keras(tf_keras)
    custom_objects = dict(custom_objects or {})
    if optimizer is not None:
        optimizer = keras.optimizers.serialize(keras.optimizers.get(optimizer))
    saved, report = files.read(path), Report()
    steep = not tf_keras and saved.version.startswith(("1.", "2."))
    rewriter = Rewriter(report, gelu, custom_objects, for_keras_3=not tf_keras, steep=steep)
    config = rewriter.model(saved.model)
    if report.missing:
        raise ValueError(f"{path} has layers that have no counterpart here.\n{report}")
    with tempfile.TemporaryDirectory() as folder:
        clean = Path(folder, "model.keras" if saved.modern else "model.h5")
        files.write(path, clean, config)
        model = keras.models.load_model(
            clean, custom_objects=custom_objects, compile=False, safe_mode=safe_mode
        )
    if compile and saved.compiled:
        with keras.saving.custom_object_scope(custom_objects):
            _compile(model, saved.compiled, rewriter, optimizer)
    return (model, report) if return_report else model


def _outputs(model):
    """Sizes of the last axes of the model's outputs by name, as far as it knows them."""
    outputs = getattr(model, "outputs", None) or []
    # A sequential model of Keras 3 has no names, nor needs one.
    names = getattr(model, "output_names", map(str, range(len(outputs))))
    return {name: y.shape[-1] for name, y in zip(names, outputs, strict=True)}


def _compile(model, config, rewriter, optimizer):
    report = rewriter.report
    if optimizer is not None:
        config = config | {"optimizer": None}
    config = rewriter.compiled(config, _outputs(model))
    if optimizer is not None:
        config["optimizer"] = optimizer
    needed = ("compile, loss", "compile, optimizer")
    if not any(change.where.startswith(needed) for change in report.missing):
        try:
            return model.compile_from_config(config)
        except (TypeError, ValueError) as error:
            reason = str(error).strip().splitlines()[0]
            report.add("compile", "the rest", None, f"Keras cannot read it: {reason}")
    warnings.warn(f"the model is not compiled, compile it yourself\n{report}", stacklevel=3)


def convert(old, new, overwrite=False, **options):
    """Write a model that names TensorFlow Addons to a `.keras` file that names this package.

    Args:
        old: A `.keras` or `.h5` file.
        new: The file to write, which ends in `.keras`.
        overwrite: Whether to write over a file that is there. Defaults to `False`.
        options: As for `load_model`.

    Returns:
        A `Report`. Printed, it says what became of what.

    Raises:
        FileExistsError: If there is a file `new` already.
        ValueError: As for `load_model`, and if `new` does not end in `.keras`.

    Example:

    >>> from keras_actloss import migrate
    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3, activation="gelu")])
    >>> model.save("old.keras")
    >>> report = migrate.convert("old.keras", "new.keras")
    >>> len(report.changes), len(report.missing)
    (1, 0)
    """
    new = Path(new)
    if new.suffix != ".keras":
        raise ValueError(f"convert: new must end in .keras, got {str(new)!r}")
    if new.exists() and not overwrite:
        raise FileExistsError(f"{new} is there already; choose another name or overwrite it")
    model, report = load_model(old, **{**options, "return_report": True})
    model.save(new)
    return report
