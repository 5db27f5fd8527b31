"""The table of exports holds: what is exported computes the same, the rest fails as recorded."""

import json

import exports
import keras
import numpy as np
import pytest
from packaging.version import parse

from keras_actloss import layers

TABLE = json.loads(exports.TABLE.read_text())
# Of a format that is refused as a whole the simplest activation is tried.
CELLS = {
    format: {"Linear": column} if isinstance(column, str) else column
    for format, column in TABLE["cells"][keras.backend.backend()].items()
}
REFUSED = [(f, name) for f in CELLS for name, cell in CELLS[f].items() if isinstance(cell, str)]
LEFT_OUT = []
if keras.backend.backend() == "torch":
    # Torch writes their loops out in thousands of ops: the fastest exporter stands for the others.
    LEFT_OUT = [(f, name) for f in ("openvino", "torch") for name in ("Entmax", "LearnedEntmax")]
SUPPORTED = {f: [n for n in CELLS[f] if (f, n) not in REFUSED + LEFT_OUT] for f in CELLS}

same_or_newer = pytest.mark.skipif(
    parse(keras.__version__) < parse(TABLE["versions"]["keras"]),
    reason="an older Keras than that of the table",
)


@pytest.fixture(scope="module")
def measured():
    """All that a format takes, in one model, and what it refuses, each alone."""
    jobs = [(format, names) for format, names in SUPPORTED.items() if names]
    jobs += [(format, [name]) for format, name in REFUSED]
    found = exports.measure(keras.backend.backend(), jobs)
    return {(format, *names): cells for (format, names), cells in zip(jobs, found, strict=True)}


def test_the_table_is_complete():
    for column in TABLE["cells"][keras.backend.backend()].values():
        assert isinstance(column, str) or list(column) == sorted(exports.activations())


def test_the_page_is_that_of_the_table():
    assert exports.PAGE.read_text() == exports.page(TABLE)


@same_or_newer
@pytest.mark.slow
@pytest.mark.parametrize("format", [format for format, names in SUPPORTED.items() if names])
def test_exported_activations_compute_the_same(format, measured):
    found = measured[format, *SUPPORTED[format]]
    assert isinstance(found, dict), found
    # Another processor may round otherwise, by some units in the last place.
    bounds = {name: min(4 * CELLS[format][name] + 1e-6, 1e-5) for name in found}
    assert {name: d for name, d in found.items() if not d <= bounds[name]} == {}


@same_or_newer
@pytest.mark.slow
@pytest.mark.parametrize("format, name", REFUSED)
def test_what_is_refused_is_refused_for_the_same_reason(format, name, measured):
    assert measured[format, name] == CELLS[format][name], "`make exports` measures anew"


@pytest.mark.skipif(
    keras.backend.backend() != "jax", reason="the other backends export None for such an axis"
)
@pytest.mark.parametrize(
    "layer",
    [layers.Sparsemax, layers.Entmax15, layers.Entmax, layers.ConditionalSoftmax],
)
def test_an_axis_of_any_size(layer):
    import jax
    from jax import export

    layer, x = layer(axis=1), np.random.default_rng(0).normal(size=(3, 5, 2)).astype("float32")
    expected = layer(x)
    shape = jax.ShapeDtypeStruct(export.symbolic_shape("batch, size, 2"), x.dtype)
    program = export.export(jax.jit(lambda x: layer(x)))(shape)
    np.testing.assert_allclose(program.call(x), expected, rtol=1e-6, atol=1e-7)
