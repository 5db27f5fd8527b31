"""The shorter examples run, with fewer epochs than they need; `make demo` runs the longest."""

import runpy
from pathlib import Path

import keras
import pytest

pytestmark = pytest.mark.slow

EXAMPLES = Path(__file__).parent.parent / "examples"


def _on(backend, *values):
    """A row of `values`, which other backends leave to the night."""
    elsewhere = keras.backend.backend() != backend
    return pytest.param(*values, marks=[pytest.mark.nightly] if elsewhere else [])


@pytest.mark.parametrize(
    ("name", "row"),
    [
        _on("jax", "imbalance", "balanced"),
        _on("torch", "ordinal", "CORN"),
        _on("tensorflow", "segmentation", "Tversky"),
        _on("torch", "uncertainty", "the network"),
    ],
)
def test_example(name, row, tmp_path, capsys, monkeypatch):
    monkeypatch.syspath_prepend(EXAMPLES)  # as for a script, whose neighbors are at hand
    main = runpy.run_path(str(EXAMPLES / f"{name}.py"))["main"]
    # Whether the numbers are those of its docstring is told by its exit code, after more epochs.
    assert main(["--out", str(tmp_path), "--epochs", "2"]) in (0, 1)
    printed = capsys.readouterr().out
    assert row in printed and f"{name}.png" in printed
    assert (tmp_path / f"{name}.png").stat().st_size > 10_000
