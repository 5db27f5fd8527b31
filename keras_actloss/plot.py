"""Pictures of activations with their derivatives; matplotlib is imported when one is drawn."""

import inspect
import textwrap
from collections.abc import Iterable
from functools import partial
from typing import NamedTuple

import keras
import numpy as np
from keras import ops

from keras_actloss.core.checks import one_of, positive_integer
from keras_actloss.core.layer import ActivationLayer
from keras_actloss.core.registry import CATALOGUE, find
from keras_actloss.core.settings import shown
from keras_actloss.testing.backend import value_and_gradient

__all__ = ["plot_activations"]

# An even number of points leaves out 0, where backends choose different derivatives of a kink.
X_LIMITS, Y_LIMITS, _POINTS = (-4, 4), (-2.5, 3.5), 800

# The curves have the blue and the orange of Okabe and Ito that stand out from the background.
THEMES = {
    "light": {
        "paper": "#ffffff",
        "ink": "#1f2328",
        "rule": "#818b98",
        "value": "#0072b2",
        "slope": "#d55e00",
    },
    "dark": {
        "paper": "#0d1117",
        "ink": "#e6edf3",
        "rule": "#757d87",
        "value": "#56b4e9",
        "slope": "#e69f00",
    },
}


class _View(NamedTuple):
    """What an activation is given for a number x, `slope * x + offset`, and what is drawn of it."""

    label: str = "x"
    slope: tuple[float, ...] = (1.0,)
    offset: tuple[float, ...] = (0.0,)
    output: int | None = None  # None draws all.


# By what an activation takes, the first that fits.
_VIEWS = {
    "gate": _View("gate x, value 1", (0.0, 1.0), (1.0, 0.0), 0),
    "axis": _View("logits x and 0", (1.0, 0.0), (0.0, 0.0), 0),
}
# By name, where the axis holds neither a gate nor logits that compete.
_OTHER_VIEWS = {
    "conditional_softmax": _View("logits x and x", (1.0, 1.0), (0.0, 0.0), 1),
    "crelu": _View("x; both outputs"),
    "maxout": _View("pieces x and \N{MINUS SIGN}x/2", (1.0, -0.5), (0.0, 0.0), 0),
    "ordinal_softmax": _View("logits x + 1, x \N{MINUS SIGN} 1", (1.0, 1.0), (1.0, -1.0), 1),
}
# What the views are made for, whatever is set; projections before a gate are no part of the curve.
_FIXED = {"axis": -1, "gate": "last", "num_units": 1, "units": None}

# What the layers of a name are made with that have no default or one that shows nothing: a slope
# of 0, waves narrower than a line.
_SETTINGS = {
    "maxout": {"num_units": 1},
    "prelu": {"alpha_initializer": 0.25},
    "sine": {"frequency": 2.0},
    "softcap": {"cap": 2.0},
    "tlu": {"tau_initializer": -0.5},
}


def _text(name, value):
    """A setting as text; of a weight's first value the number, or the name of its initializer."""
    if name.endswith("_initializer"):
        value = keras.initializers.get(value) if isinstance(value, str) else value
        value = getattr(value, "value", value)
    return shown(value, value.get_config()) if hasattr(value, "get_config") else repr(value)


def _title_of(layer):
    """A layer with the settings that are not the defaults, by which it differs from others."""
    own = {}
    for name, parameter in inspect.signature(type(layer)).parameters.items():
        text = _text(name, getattr(layer, name, None))
        if name not in layer._base_arguments and text != _text(name, parameter.default):
            own[name.removesuffix("_initializer")] = text
    settings = ", ".join(f"{name}={text}" for name, text in own.items())
    return f"{type(layer).__name__}({settings})" if own else repr(layer)


def _titled(thing):
    """Title and layer or function of what `names` may hold."""
    if isinstance(thing, str):
        thing = find("activations", thing, "plot_activations: names")
    if isinstance(thing, type) or not callable(thing):
        raise TypeError(
            "plot_activations: names must hold names, functions and layers, got "
            f"{thing!r}; call a class to make a layer of it"
        )
    if isinstance(thing, ActivationLayer):
        return _title_of(thing), thing
    title = getattr(thing, "__name__", type(thing).__name__)
    if CATALOGUE["activations"].get(title) is not thing:
        return title, thing
    settings = _SETTINGS.get(title, {})
    given = [f"{key.removesuffix('_initializer')}={v}" for key, v in settings.items()]
    # The layer adds no noise outside training.
    layer = vars(thing)["layer"](**settings)
    return f"{title}({', '.join(given)})" if given else title, layer


def _viewed(thing):
    """A callable that the view of a layer or a function fits, and the view."""
    is_layer = isinstance(thing, keras.layers.Layer)
    takes = thing.get_config() if is_layer else inspect.signature(thing).parameters
    fixed = {key: value for key, value in _FIXED.items() if key in takes}
    view = next((view for key, view in _VIEWS.items() if key in takes), _View())
    if not is_layer:
        return partial(thing, **fixed), view
    # A copy, since the layer of the user keeps its settings and is not built for one channel.
    layer = type(thing).from_config({**takes, **fixed})
    if thing.weights:
        layer.build_from_config(thing.get_build_config())
        if layer.weights:
            layer.set_weights(thing.get_weights())
    return layer, _OTHER_VIEWS.get(getattr(getattr(thing, "fn", None), "__name__", ""), view)


def _gap(y):
    """`y` without the points behind a jump, which no line should bridge."""
    steps = np.abs(np.diff(y, prepend=y[:1], append=y[-1:]))
    # A curve that is only steep has steps like it on one side at least.
    jumps = steps[1:-1] > 0.05 + 2 * np.maximum(steps[:-2], steps[2:])
    return np.where(np.append(False, jumps), np.nan, y)


def _curves(call, view, x):
    """Values and derivatives of the outputs to draw, one pair each."""
    slope, offset = (np.array(row, "float32") for row in (view.slope, view.offset))
    if len(slope) == 1:  # Channels with weights of their own are curves of their own.
        shapes = [weight.shape for weight in getattr(call, "weights", ())]
        slope = np.ones(max(shapes, key=len, default=()) or 1, "float32")

    rank = slope.ndim
    slope, offset = ops.convert_to_tensor(slope), ops.convert_to_tensor(offset)

    def outputs(x):
        row = ops.reshape(x, (-1, *[1] * rank)) * slope + offset
        return ops.reshape(call(row), (len(x), -1))

    count = outputs(ops.convert_to_tensor(x)).shape[1]
    for i in range(count) if view.output is None else [view.output]:
        value, gradient = value_and_gradient(lambda x, i=i: outputs(x)[:, i], x)
        # Of what is constant in pieces a backend may find no gradient.
        yield _gap(value), _gap(np.zeros_like(value) if gradient is None else gradient)


def _panel(thing, x):
    """Title, label and curves."""
    title, thing = _titled(thing)
    try:
        call, view = _viewed(thing)
        return title, view.label, list(_curves(call, view, x))
    except Exception as error:  # Whatever a function of the user raises.
        raise ValueError(
            f"plot_activations: names has {title}, which cannot be drawn ({error}); wrap it in a "
            "function that takes a tensor of any shape and has a gradient"
        ) from error


def _draw(axes, x, title, label, curves, colors):
    if len(title) > 25:  # Wider than a panel.
        name, _, settings = title.removesuffix(")").partition("(")
        title = f"{name}\n{textwrap.shorten(settings, 25, placeholder=' ...')}"
    axes.set_title(title, fontsize="medium")
    axes.set(xlabel=label, xlim=X_LIMITS, ylim=Y_LIMITS, xticks=range(-4, 5, 2))
    axes.set_yticks(range(-2, 4))
    axes.tick_params(color=colors["rule"], labelcolor=colors["ink"])
    for rule in (axes.axhline, axes.axvline):
        rule(0, color=colors["rule"], linewidth=0.8)
    for value, slope in curves:
        axes.plot(x, value, color=colors["value"], linewidth=1.8, label="f(x)")
        axes.plot(x, slope, "--", color=colors["slope"], linewidth=1.4, label="f\N{PRIME}(x)")


def plot_activations(names=None, theme="light", columns=8, path=None, figure=None):
    """Draw activations and their derivatives, one panel each.

    All panels have the same limits. Where an activation takes more than a number, the label of the
    panel says what it is given: a gated one the value 1 and the gate x, one on the simplex the
    logits x and 0, of which the first output is drawn. Derivatives are those of the backend.

    Args:
        names: Names of activations of the package, functions of a tensor and layers, or one of
            them. Of a layer with weights every channel is drawn. Defaults to `None`, all
            activations of the package.
        theme: `"light"` or `"dark"`. Defaults to `"light"`.
        columns: Most panels side by side. Defaults to `8`.
        path: File to write to; its ending names the format. Defaults to `None`, no file.
        figure: A matplotlib `Figure` or `SubFigure` to draw into. Defaults to `None`, a new one.

    Returns:
        The matplotlib figure; `pyplot` does not know a new one and shows no window.

    Raises:
        ImportError: If matplotlib is not installed.
        TypeError: If `names` holds a class or what cannot be called, or `figure` is no Figure or
            SubFigure.
        ValueError: If a name or a theme is unknown, or an activation cannot be drawn.

    Example:

    >>> figure = keras_actloss.plot.plot_activations(["mish", keras_actloss.layers.ELU(alpha=0.5)])
    >>> [axes.get_title() for axes in figure.axes]
    ['mish', 'ELU(alpha=0.5)']
    """
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError(
            'plot_activations needs matplotlib; install it with pip install "keras-actloss[plot]"'
        ) from error
    one_of(*THEMES)("plot_activations: theme", theme)
    positive_integer("plot_activations: columns", columns)
    if figure is not None and not hasattr(figure, "subfigures"):
        raise TypeError(
            "plot_activations: figure must be a matplotlib Figure or SubFigure or None, got "
            f"{figure!r}; the figure of axes is axes.figure"
        )
    names = CATALOGUE["activations"] if names is None else names
    is_one = isinstance(names, str) or not isinstance(names, Iterable)
    names = [names] if is_one else list(names)
    if not names:
        raise ValueError("plot_activations: names is empty; leave it out to draw all")
    x = np.linspace(*X_LIMITS, _POINTS, dtype="float32")
    panels = [_panel(name, x) for name in names]
    columns = min(columns, len(panels))
    rows = -(-len(panels) // columns)
    colors = THEMES[theme]
    style: dict = {
        "axes.edgecolor": colors["rule"],
        "axes.facecolor": "none",
        "axes.labelcolor": colors["ink"],
        "font.family": "DejaVu Sans",
        "font.size": 8,
        "svg.hashsalt": "keras_actloss",  # With no date, the same file each time.
        "text.color": colors["ink"],
    }
    with matplotlib.rc_context(style):
        if figure is None:
            figure = Figure(figsize=(1.7 * columns + 0.3, 1.8 * rows + 0.3))
            figure.set_layout_engine("constrained", h_pad=0.06)
        figure.set_facecolor(colors["paper"])
        grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
        for above, axes in zip(grid[len(panels) - columns :], grid[len(panels) :], strict=False):
            axes.remove()
            above.tick_params(labelbottom=True)
        for axes, panel in zip(grid, panels, strict=False):
            _draw(axes, x, *panel, colors)
        figure.legend(handles=grid[0].lines[2:4], loc="outside upper right", ncols=2, frameon=False)
        if path is not None:
            is_svg = str(path).endswith(".svg")
            undated = {"Date": None, "Creator": None} if is_svg else None
            figure.figure.savefig(path, dpi=200, metadata=undated)
    return figure
