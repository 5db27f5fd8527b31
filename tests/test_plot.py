"""Pictures show what the functions compute, in colors that everyone can read."""

import itertools
import re
import runpy
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import ops
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text

from keras_actloss import activations, layers
from keras_actloss.core.registry import CATALOGUE
from keras_actloss.plot import THEMES, X_LIMITS, Y_LIMITS, plot_activations

ROOT = Path(__file__).parent.parent
PICTURES = runpy.run_path(str(ROOT / "docs" / "pictures.py"))
GATED = ("bilinear", "geglu", "glu", "gtu", "reglu", "swiglu", "swiglu_clipped")
SIMPLEX = ("entmax", "entmax15", "log_softmax", "softmax", "softmin", "sparsemax")


def _row(*entries):
    return np.stack(np.broadcast_arrays(*entries), axis=-1)


# What is drawn of an activation that is no curve in x with its defaults: one column a curve.
EXPECTED = {
    "conditional_softmax": lambda x: _row(activations.sigmoid(x) * activations.sigmoid(-x)),
    "crelu": lambda x: _row(np.maximum(x, 0), np.maximum(-x, 0)),
    "gumbel_softmax": lambda x: activations.softmax(_row(x, 0.0))[:, :1],
    "maxout": lambda x: _row(np.maximum(x, -x / 2)),
    "ordinal_softmax": lambda x: _row(activations.sigmoid(x + 1) - activations.sigmoid(x - 1)),
    "prelu": lambda x: _row(activations.prelu(x, 0.25)),
    "sine": lambda x: _row(np.sin(2 * x)),
    "softcap": lambda x: _row(activations.softcap(x, 2.0)),
    "tlu": lambda x: _row(activations.tlu(x, -0.5)),
}
for _name in GATED:
    EXPECTED[_name] = lambda x, name=_name: getattr(activations, name)(_row(1.0, x), gate="last")
for _name in SIMPLEX:
    EXPECTED[_name] = lambda x, name=_name: getattr(activations, name)(_row(x, 0.0))[:, :1]


def _curves(axes):
    """Values and derivatives of a panel, in pairs of lines."""
    lines = [line for line in axes.lines if line.get_label() in ("f(x)", "f\u2032(x)")]
    return list(zip(lines[::2], lines[1::2], strict=True))


@pytest.fixture(scope="module")
def panels():
    figure = plot_activations()
    return {axes.get_title().partition("(")[0]: axes for axes in figure.axes}


@pytest.mark.slow
@pytest.mark.slow
def test_every_activation_is_drawn(panels):
    assert list(panels) == list(CATALOGUE["activations"])
    for axes in panels.values():
        assert axes.get_xlim() == X_LIMITS and axes.get_ylim() == Y_LIMITS, "panels compare"


@pytest.mark.slow
@pytest.mark.parametrize("name", CATALOGUE["activations"])
def test_curves_are_those_of_the_function(panels, name):
    curves = _curves(panels[name])
    x = curves[0][0].get_xdata()
    expected = EXPECTED.get(name, lambda x: _row(CATALOGUE["activations"][name](x)))(x)
    expected = ops.convert_to_numpy(expected)
    assert expected.shape == (len(x), len(curves))
    for (values, slopes), truth in zip(curves, expected.T, strict=True):
        y, slope = values.get_ydata(), slopes.get_ydata()
        inside = (truth > Y_LIMITS[0]) & (truth < Y_LIMITS[1])
        assert np.isnan(y[inside]).sum() <= 4, "a gap at a jump, and nowhere else"
        np.testing.assert_allclose(y[~np.isnan(y)], truth[~np.isnan(y)], rtol=1e-5, atol=1e-6)
        middle = slice(1, -1)
        differences = np.gradient(y, x)[middle]
        # Away from kinks; a difference has the slopes of both sides there.
        bend = np.abs(slope[2:] - slope[:-2])
        smooth = np.isfinite(differences) & (bend < 0.1)
        assert smooth[inside[middle]].mean() > 0.95
        np.testing.assert_allclose(differences[smooth], slope[middle][smooth], rtol=5e-3, atol=5e-3)


def _luminance(color):
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(color)]
    return np.dot(linear, (0.2126, 0.7152, 0.0722))


def _contrast(one, other):
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", THEMES)
def test_everything_stands_out_from_the_paper(theme):
    figure = plot_activations(["relu", "softmax"], theme)
    figure.draw_without_rendering()
    paper = figure.get_facecolor()
    for line in figure.findobj(Line2D):
        if line.get_visible():
            assert _contrast(line.get_color(), paper) >= 3
    for text in figure.findobj(Text):
        assert _contrast(text.get_color(), paper) >= 4.5
    for axes in figure.axes:
        for spine in axes.spines.values():
            assert _contrast(spine.get_edgecolor(), paper) >= 3
    values, slopes = _curves(figure.axes[0])[0]
    assert values.get_linestyle() != slopes.get_linestyle(), "told apart without color"


def test_one_legend():
    (legend,) = plot_activations(["relu", "crelu", "tanh"]).legends
    assert [text.get_text() for text in legend.get_texts()] == ["f(x)", "f\u2032(x)"]


def _overlap(figure):
    figure.draw_without_rendering()
    texts = [t for t in figure.findobj(Text) if t.get_text() and t.get_visible()]
    boxes = [(t.get_text(), t.get_window_extent()) for t in texts]
    edges = figure.bbox
    outside = [name for name, box in boxes if box.x0 < 0 or box.x1 > edges.x1 or box.y0 < 0]
    pairs = itertools.combinations(boxes, 2)
    return outside + [(a, b) for (a, one), (b, two) in pairs if one.overlaps(two)]


def test_no_text_overlaps():
    things = [layers.PReLU(), layers.SoftShrink(lower=-0.25), "thresholded_relu", "ordinal_softmax"]
    assert not _overlap(plot_activations(things, columns=2))
    assert not _overlap(plot_activations("swiglu"))


def test_columns():
    figure = plot_activations(["relu"] * 5, columns=3)
    shape = figure.axes[0].get_gridspec().get_geometry()
    assert shape == (2, 3) and len(figure.axes) == 5


def test_own_activations():
    def bent(x):
        return x + ops.abs(x) / 2

    built = layers.PReLU(alpha_initializer=keras.initializers.RandomUniform(seed=1))
    built.build((None, 3))
    new = layers.DynamicTanh()
    projected = layers.GLU(units=4)
    things = [bent, ops.round, built, new, projected, keras.layers.LeakyReLU(0.5)]
    axes = plot_activations(things).axes
    assert axes[0].get_title() == "bent" and len(_curves(axes[0])) == 1
    assert not _curves(axes[1])[0][1].get_ydata().any(), "the derivative of steps"
    slopes = [y.get_ydata()[0] / X_LIMITS[0] for y, _ in _curves(axes[2])]
    np.testing.assert_allclose(slopes, ops.convert_to_numpy(built.alpha), rtol=1e-5)
    assert not new.built and not projected.built and projected.gate == "last"
    assert axes[4].get_xlabel() == "gate x, value 1"


def test_a_gap_is_where_a_curve_jumps():
    things = [layers.Sine(frequency=30.0), layers.HardShrink(), lambda x: ops.tanh(9 * x)]
    gaps = [
        np.isnan(_curves(axes)[0][0].get_ydata()).sum() for axes in plot_activations(things).axes
    ]
    assert gaps == [0, 2, 0]


def test_layers_on_an_axis_of_their_own():
    things = [layers.Softmax(axis=1), layers.SwiGLU(gate="interleaved"), layers.Maxout(3)]
    drawn = plot_activations([*things, "softmax", "swiglu", "maxout"]).axes
    for one, other in zip(drawn[:3], drawn[3:], strict=True):
        np.testing.assert_array_equal(*(_curves(a)[0][0].get_ydata() for a in (one, other)))


def test_titles_tell_layers_apart():
    things = [
        layers.PReLU(),
        layers.PReLU(alpha_initializer=0.1),
        layers.SwiGLU(units=3, gate="last"),
        layers.Softcap(3.0),
    ]
    first, *titles = (axes.get_title() for axes in plot_activations(things).axes)
    assert first.startswith("PReLU")
    assert titles[0] == "PReLU(alpha=0.1)" and "units=3, gate='last'" in titles[1]
    assert titles[2] == "Softcap(cap=3.0)"


def test_a_figure_of_ones_own(tmp_path):
    figure = Figure()
    left, right = figure.subfigures(1, 2)
    path = tmp_path / "drawn.png"
    assert plot_activations("relu", figure=left, path=path) is left
    assert left.axes and not right.axes and path.stat().st_size


def test_pyplot_is_not_asked(monkeypatch, tmp_path):
    import matplotlib

    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    before = matplotlib.rcParams.copy()
    plot_activations("relu", path=tmp_path / "relu.svg")
    assert matplotlib.rcParams.copy() == before


def _broken(x):
    raise RuntimeError("no such luck")


ERRORS = {
    "unknown name": (lambda: plot_activations(["rleu"]), "names", "'rleu'; did you mean relu"),
    "no name": (lambda: plot_activations([]), "names", "empty"),
    "a class": (lambda: plot_activations([layers.ELU]), "names", "call a class"),
    "a number": (lambda: plot_activations([3]), "names", "got 3"),
    "only a number": (lambda: plot_activations(3), "names", "got 3"),
    "axes": (lambda: plot_activations("relu", figure=Figure().subplots()), "figure", "axes.figure"),
    "own error": (lambda: plot_activations(_broken), "_broken", "no such luck"),
    "unknown theme": (lambda: plot_activations("relu", "neon"), "theme", "'light', 'dark'"),
    "no columns": (lambda: plot_activations("relu", columns=0), "columns", "got 0"),
}


@pytest.mark.parametrize(("call", "argument", "remedy"), ERRORS.values(), ids=ERRORS)
def test_errors(call, argument, remedy):
    with pytest.raises((TypeError, ValueError), match="plot_activations") as error:
        call()
    assert argument in str(error.value) and remedy in str(error.value)


def test_without_matplotlib(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r'pip install "keras-actloss\[plot\]"'):
        plot_activations("relu")


def _svg_lines(path):
    """Color and points of the lines of a picture."""
    found = re.findall(
        r'<path d="([^"]*)"[^>]*style="fill: none[^"]*stroke: (#\w+)', path.read_text()
    )
    return [(c, np.array(re.findall(r"[-\d.]+", d), float).reshape(-1, 2)) for d, c in found]


@pytest.mark.parametrize("theme", THEMES)
def test_pictures_of_the_readme_are_up_to_date(theme, tmp_path):
    (new,) = (path for path in PICTURES["draw"](tmp_path) if theme in path.name)
    old = PICTURES["IMAGES"] / new.name
    assert re.search(rf'["/]{old.name}"', (ROOT / "README.md").read_text())
    new_lines, old_lines = _svg_lines(new), _svg_lines(old)
    assert [color for color, _ in new_lines] == [color for color, _ in old_lines]
    for (_, new_points), (_, old_points) in zip(new_lines, old_lines, strict=True):
        x = np.linspace(*new_points[[0, -1], 0], 200)
        sides = [np.interp(x, *points.T) for points in (new_points, old_points)]
        # Releases of matplotlib place panels and simplify lines a little differently.
        assert np.abs(np.subtract(*sides)).max() < 1, f"{old.name} is stale: make pictures"
