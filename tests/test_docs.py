"""Every docstring has its sections in order, and every example in it and in the README runs."""

import doctest
import inspect
import re
import sys
import types
from pathlib import Path

import keras
import numpy as np
import pytest

import keras_actloss
from keras_actloss import migrate, plot, testing
from keras_actloss.core import regions
from keras_actloss.core.curves import OPTIONS
from keras_actloss.core.functions import INPUTS
from keras_actloss.core.registry import CATALOGUE
from keras_actloss.layers import LearnedActivation

ROOT = Path(__file__).parent.parent
GUIDES = ["README.md", "docs/distribution.md"]
SECTIONS = ["Formula", "Args", "Shapes", "Raises", "Example", "Related", "Reference"]
FUNCTIONS = [
    thing
    for kind in ("activations", "losses")
    for thing in CATALOGUE[kind].values()
    if inspect.isfunction(thing)
]
CLASSES = [
    thing
    for kind in CATALOGUE.values()
    for thing in kind.values()
    if isinstance(thing, type) and thing.fn is not None
]
OTHERS = [
    keras_actloss.get,
    keras_actloss.layers.CRF,
    keras_actloss.layers.ActivationLayer,
    keras_actloss.layers.LearnedActivation,
    keras_actloss.layers.OrdinalDense,
    keras_actloss.layers.Viterbi,
    keras_actloss.layers.viterbi,
    keras_actloss.losses.AcrossReplicas,
    keras_actloss.losses.CTC,
    keras_actloss.losses.Loss,
    keras_actloss.losses.LossMetric,
    keras_actloss.losses.WeightedSum,
    keras_actloss.losses.balanced_weights,
    keras_actloss.losses.class_counts,
    keras_actloss.losses.effective_number_weights,
    keras_actloss.losses.logit_prior,
    keras_actloss.losses.median_class,
    migrate.convert,
    migrate.load_model,
    plot.plot_activations,
    testing.check_activation,
    testing.check_loss,
    testing.check_outputs,
    testing.example_inputs,
]
if keras.backend.backend() == "tensorflow":
    # On others it cannot be imported.
    GUIDES.append("docs/tf_keras.md")
    OTHERS.append(keras_actloss.tf_keras.twin)


def _named(thing):
    return thing.__name__


def _sections(thing):
    return re.findall(r"^(\w[\w ]*):$", inspect.getdoc(thing), flags=re.MULTILINE)


def _section(thing, name):
    text = inspect.getdoc(thing).split(f"\n{name}:\n", 1)[1]
    return re.split(r"^\w[\w ]*:$", text, flags=re.MULTILINE)[0]


def _check_described(thing):
    """Each parameter has an entry in `Args`, with its default."""
    text = _section(thing, "Args")
    described = re.findall(r"^    (\w+): ", text, flags=re.MULTILINE)
    parameters = inspect.signature(thing).parameters
    assert described == list(parameters)
    entries = re.split(r"^    \w+: ", text, flags=re.MULTILINE)[1:]
    for parameter, entry in zip(parameters.values(), entries, strict=True):
        assert re.match(r"\S", entry), parameter.name
        if parameter.default is not parameter.empty:
            entry = " ".join(entry.split())
            default = repr(parameter.default).replace("'", '"')
            assert f"Defaults to `{default}`" in entry, parameter.name


@pytest.mark.parametrize("function", FUNCTIONS, ids=_named)
def test_sections(function):
    found = _sections(function)
    assert found == [s for s in SECTIONS if s in found], "in this order"
    assert set(SECTIONS) - set(found) <= {"Raises"}
    summary, _, when = inspect.getdoc(function).split("\n")[:3]
    assert summary.endswith(".") and when, "one line, then when to take it"
    assert re.search(r"\[.+\]\(https?://.+\)", _section(function, "Reference"))


@pytest.mark.parametrize("function", FUNCTIONS, ids=_named)
def test_arguments_are_described_with_their_defaults(function):
    _check_described(function)


@pytest.mark.parametrize("function", FUNCTIONS, ids=_named)
def test_at_most_six_settings(function):
    """Of its own: the options that losses of labels have in common are learned once."""
    settings = set(inspect.signature(function).parameters) - set(INPUTS)
    shared = set(regions.OPTIONS) - {"smooth"} if "encoding" in settings else set(OPTIONS)
    own = settings - shared
    assert len(own) <= (6 if own == settings or "encoding" in settings else 3)


@pytest.mark.parametrize("cls", CLASSES, ids=_named)
def test_a_class_shows_the_sections_of_its_function_and_arguments_of_its_own(cls):
    of_call = ["Call arguments"] + ["Weights"] * issubclass(cls, LearnedActivation)
    expected = _sections(cls.fn)
    expected[expected.index("Args") + 1 : expected.index("Shapes")] = of_call
    assert _sections(cls) == expected
    _check_described(cls)
    assert re.search(r"^    (inputs|y_true): `?\w", _section(cls, "Call arguments"), re.MULTILINE)
    assert "kwargs" in inspect.signature(cls.__init__).parameters, "real constructors"


def test_an_object_has_the_signature_of_a_call():
    loss = keras_actloss.losses.Huber(delta=2.0)
    assert [*inspect.signature(loss).parameters] == ["y_true", "y_pred", "sample_weight"]
    assert "delta" in inspect.signature(type(loss)).parameters


@pytest.mark.parametrize("thing", FUNCTIONS + OTHERS, ids=_named)
def test_examples_run(thing, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    names = {"keras": keras, "keras_actloss": keras_actloss, "np": np}
    runner = doctest.DocTestRunner(optionflags=flags, verbose=False)
    tests = doctest.DocTestFinder(recurse=False).find(thing, thing.__name__, globs=names)
    tests = [test for test in tests if test.examples]
    assert tests, "no example"
    for test in tests:
        assert runner.run(test).failed == 0


@pytest.mark.parametrize("name", GUIDES)
def test_python_of_the_guides_runs(name, tmp_path, monkeypatch, capsys):
    """The blocks of a page run in order, and print what their last comment says."""
    monkeypatch.chdir(tmp_path)
    guide = types.ModuleType("guide")
    monkeypatch.setitem(sys.modules, "guide", guide)
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / name).read_text(), flags=re.DOTALL)
    assert blocks
    for block in blocks:
        exec(compile(block, name, "exec"), vars(guide))
        printed = capsys.readouterr().out
        for expected in re.findall(r"print\(.*\)  # (.*)", block):
            assert expected in printed, f"{printed!r} should have {expected!r}"


def test_links_of_the_guides_lead_somewhere():
    for page in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]:
        text = page.read_text()
        targets = re.findall(r"\]\((?!https?://|#)([^)#]+)", text)
        for target in targets + re.findall(r'src(?:set)?="([^"]+)"', text):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
