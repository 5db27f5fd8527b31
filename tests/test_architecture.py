"""What CONTRIBUTING.md says of the structure is true of the code."""

import ast
import inspect
import os
import subprocess
import sys
from pathlib import Path

import keras
import pytest

import keras_actloss
from keras_actloss.core.registry import CATALOGUE

PACKAGE = Path(keras_actloss.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
FAMILIES = ("activations", "losses")
BACKENDS = ("jax", "tensorflow", "torch")
KNOW_BACKENDS = ("keras_fixes.py", "replicas.py")


def _imports(path):
    """Modules and names that a file imports, wherever in the file."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((alias.name, None) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.module, alias.name) for alias in node.names)


def _part(path):
    return path.relative_to(PACKAGE).parts[0]


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_dependencies_point_one_way(path):
    part = _part(path)
    for module, name in _imports(path):
        assert not module.startswith("keras.src"), "private to Keras"
        theirs = module.split(".")
        of_backend = path.name in KNOW_BACKENDS or part == "tf_keras"
        assert theirs[0] not in BACKENDS or of_backend, "a backend"
        if theirs[0] != "keras_actloss":
            continue
        if part == "core":
            assert theirs[1:2] == ["core"], "core imports nothing of the package but core"
        elif part in FAMILIES:
            assert theirs[1:2] in (["core"], [part]), "a family imports core and its own kind"
            own = ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
            assert module == own or not str(name).startswith("_"), "a private name"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_files_can_be_read_in_one_go(path):
    text = path.read_text()
    assert len(text.splitlines()) <= 650, "it has become two families"
    assert ast.get_docstring(ast.parse(text)), "a file begins by saying what it holds"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_compilers_can_read_it(path):
    for node in ast.walk(ast.parse(path.read_text())):
        assert not isinstance(node, ast.NamedExpr), "AutoGraph of TensorFlow knows no :="
        if _part(path) in FAMILIES and isinstance(node, ast.Call):
            # Arguments are bound to a signature there, which a graph of torch cannot record.
            called = getattr(node.func, "id", None)
            assert called not in CATALOGUE[_part(path)], f"{called} has a form called prepared"


def test_every_registered_object_is_exported_once():
    kinds = {"activations": ["activations"], "layers": ["layers"], "losses": ["losses"]}
    for kind, modules in kinds.items():
        for name, thing in CATALOGUE[kind].items():
            holders = [m for m in kinds if getattr(getattr(keras_actloss, m), name, None) is thing]
            assert holders == modules, name
            assert name in getattr(keras_actloss, kind).__all__


def test_public_names_are_listed_in_order():
    # As the linter sorts them: constants, classes, functions.
    for module in ("activations", "layers", "losses", "plot", "testing"):
        names = getattr(keras_actloss, module).__all__
        assert len(names) == len(set(names))
        for name in names:
            assert hasattr(getattr(keras_actloss, module), name)


@pytest.mark.parametrize("prefix", ["binary", "categorical", "sparse_categorical"])
def test_arguments_stand_in_one_order(prefix):
    model = CATALOGUE["losses"][f"{prefix}_crossentropy"]
    order = list(inspect.signature(model).parameters)
    for name, loss in CATALOGUE["losses"].items():
        if inspect.isfunction(loss) and loss.labels == model.labels:
            shared = [p for p in inspect.signature(loss).parameters if p in order]
            assert shared == sorted(shared, key=order.index), name


IMPORT = """
import sys, time, keras
before = set(sys.modules)
start = time.process_time()
import keras_actloss
print(time.process_time() - start, *set(sys.modules) - before)
"""


def _after_import(backend):
    # An installed package is not compiled at each import; the first of these leaves what it made.
    environment = {**os.environ, "KERAS_BACKEND": backend}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    done = subprocess.run(
        [sys.executable, "-c", IMPORT],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    seconds, *loaded = done.stdout.split()
    return float(seconds), loaded


def test_import_is_light():
    backend = keras.backend.backend()
    seconds = []
    # Beside other tests a processor takes up to twice as long: the best of a few counts.
    while len(seconds) < 6 and min(seconds, default=1.0) >= 0.1:
        took, loaded = _after_import(backend)
        seconds.append(took)
    assert min(seconds) < 0.1, f"importing the package took {seconds} s of processor time"
    others = {module.split(".")[0] for module in loaded} - {"keras_actloss"}
    assert others <= sys.stdlib_module_names, "it needs more than Keras has loaded"
    names = ("migrate", "plot", "testing", "tf_keras")
    late = {f"keras_actloss.{name}" for name in names}
    assert late.isdisjoint(loaded), "what a training script does without"
