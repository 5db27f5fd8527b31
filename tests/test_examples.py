"""The shorter examples run, with fewer epochs than they need; `make demo` runs the longest."""

import runpy
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

EXAMPLES = Path(__file__).parent.parent / "examples"


@pytest.mark.parametrize(
    ("name", "row"),
    [
        ("imbalance", "balanced"),
        ("ordinal", "CORN"),
        ("segmentation", "Tversky"),
        ("uncertainty", "the network"),
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
