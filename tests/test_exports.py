"""The table of exports holds: what is exported computes the same, the rest fails as recorded."""

import json

import exports
import keras
import pytest

TABLE = json.loads(exports.TABLE.read_text())
CELLS = TABLE["cells"][keras.backend.backend()]


def refused(format):
    """An activation for each reason that a format has, as `(name, reason)`."""
    if isinstance(CELLS[format], str):
        return [("Linear", CELLS[format])]
    first = {cell: name for name, cell in reversed(CELLS[format].items()) if str(cell) == cell}
    return [(name, reason) for reason, name in first.items()]


def supported(format):
    if isinstance(CELLS[format], str):
        return []
    return [name for name, cell in CELLS[format].items() if not isinstance(cell, str)]


@pytest.fixture(scope="module")
def measured():
    """All that a format takes in one model, and each sample of what it refuses alone."""
    jobs = [(format, supported(format)) for format in CELLS if supported(format)]
    jobs += [(format, [name]) for format in CELLS for name, _ in refused(format)]
    found = exports.measure(keras.backend.backend(), jobs)
    return {(format, *names): cell for (format, names), cell in zip(jobs, found, strict=True)}


def test_the_table_is_complete():
    for column in CELLS.values():
        assert isinstance(column, str) or list(column) == sorted(exports.activations())


def test_the_page_is_that_of_the_table():
    assert exports.PAGE.read_text() == exports.page(TABLE)


@pytest.mark.slow
@pytest.mark.parametrize("format", [format for format in CELLS if supported(format)])
def test_exported_activations_compute_the_same(format, measured):
    found = measured[format, *supported(format)]
    assert isinstance(found, dict), found
    # Another processor may round otherwise, by some units in the last place.
    bounds = {name: min(4 * CELLS[format][name] + 1e-6, 1e-5) for name in found}
    assert {n: d for n, d in found.items() if not d <= bounds[n]} == {}


@pytest.mark.slow
@pytest.mark.parametrize("format, name, reason", [(f, *r) for f in CELLS for r in refused(f)])
def test_what_is_refused_is_refused_for_the_same_reason(format, name, reason, measured):
    found = measured[format, name]
    assert found == reason, "make exports measures anew"
