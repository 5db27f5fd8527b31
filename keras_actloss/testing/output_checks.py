"""Whether the outputs of a model are what its losses expect, told before training."""

import dataclasses
import functools
import inspect
import itertools
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_actloss.core.tensors import IDS, classes_of, from_lists, get_logits
from keras_actloss.losses import AcrossReplicas, Loss, WeightedSum
from keras_actloss.testing.report import NotApplicable, ensure

# Names without underscores, in lower case: of functions, layers and operations alike.
_EXCLUSIVE = {
    "conditionalsoftmax",
    "entmax",
    "entmax15",
    "gumbelsoftmax",
    "learnedentmax",
    "ordinalsoftmax",
    "softmax",
    "softmin",
    "sparsemax",
}
_EACH = {"hardsigmoid", "sigmoid", "sparsesigmoid"}
_PROBABILITIES = _EXCLUSIVE | _EACH
_LOGARITHMS = {"logsoftmax"}
_NO_PROBABILITIES = {
    "celu",
    "elu",
    "exponential",
    "gelu",
    "hardtanh",
    "leakyrelu",
    "logsigmoid",
    "logsoftmax",
    "mish",
    "prelu",
    "relu",
    "relu6",
    "selu",
    "silu",
    "softplus",
    "softsign",
    "squareplus",
    "swish",
    "tanh",
}
# What leaves values as they are.
_TRANSPARENT = {
    "activation",
    "activityregularization",
    "cast",
    "dropout",
    "expanddims",
    "flatten",
    "identity",
    "linear",
    "permute",
    "reshape",
    "squeeze",
    "transpose",
}
_SAMPLES = 64

# Keras's losses: what their labels are, and whether predictions are probabilities (or logits).
_OF_KERAS = {
    "binarycrossentropy": ("binary", True),
    "binaryfocalcrossentropy": ("binary", True),
    "categoricalcrossentropy": ("onehot", True),
    "categoricalfocalcrossentropy": ("onehot", True),
    "categoricalgeneralizedcrossentropy": ("ids", True),
    "categoricalhinge": ("onehot", False),
    "sparsecategoricalcrossentropy": ("ids", True),
    "dice": ("values", True),
    "tversky": ("values", True),
    "kldivergence": ("values", True),
} | dict.fromkeys(
    (
        "cosinesimilarity",
        "hinge",
        "huber",
        "logcosh",
        "meanabsoluteerror",
        "meanabsolutepercentageerror",
        "meansquarederror",
        "meansquaredlogarithmicerror",
        "poisson",
        "squaredhinge",
    ),
    ("values", False),
)


def _plain(name):
    return name.replace("_", "").lower()


@dataclasses.dataclass(frozen=True)
class Expected:
    """What a loss expects; `None` where that is not known.

    `range` holds the ends of the range of predictions, `from_logits` is None where a loss says
    nothing of it, `either` tells whether it is a setting.
    """

    name: str
    labels: str | None = None
    from_logits: bool | None = None
    either: bool = False
    range: tuple[float, float] = (-np.inf, np.inf)
    ignore_class: int | None = None
    axis: int = -1
    strict: bool = False

    @property
    def activations(self):
        """Those whose results it takes, or None where that may be any, as of logits."""
        return {(0, 1): _PROBABILITIES, (-np.inf, 0): _LOGARITHMS}.get(self.range)

    @property
    def exclusive(self):
        return self.labels in ("onehot", "ids")

    @property
    def remedy(self):
        """What to do about predictions of another range."""
        wanted = "an activation of that range"
        if self.activations is _LOGARITHMS:
            wanted = "log_softmax"
        elif self.activations:
            wanted = "softmax" if self.exclusive else "sigmoid"
        setting = "set from_logits=True, or " if self.either else ""
        return f"{setting}end the model in {wanted}"


def expected_by(loss) -> list[Expected]:
    """What a loss expects, of each part of a sum."""
    settings = {}
    if isinstance(loss, functools.partial):
        loss, settings = loss.func, loss.keywords
    if isinstance(loss, str):
        if loss.lower() in ("ce", "crossentropy"):
            return [Expected(loss, from_logits=False, either=True, range=(0, 1))]
        loss = keras.losses.get(loss)
    if isinstance(loss, type):
        loss = loss()
    if isinstance(loss, WeightedSum):
        return [expected for part in loss.losses for expected in expected_by(part)]
    if isinstance(loss, AcrossReplicas):
        loss = loss.loss
    name = getattr(loss, "__name__", type(loss).__name__)
    if inspect.isfunction(loss) and hasattr(loss, "layer"):  # Ours: its class knows.
        cls = loss.layer
        known = inspect.signature(cls).parameters
        loss = cls(**{key: value for key, value in settings.items() if key in known})
    if inspect.isfunction(loss):
        parameters = inspect.signature(loss).parameters.values()
        settings = {p.name: p.default for p in parameters if p.default is not p.empty} | settings
    else:
        keys = ("from_logits", "ignore_class", "axis")
        settings = {key: getattr(loss, key) for key in keys if hasattr(loss, key)}
    from_logits = settings.get("from_logits")
    ours = isinstance(loss, Loss)
    if ours:
        labels, limits = loss.labels, loss.predictions
    else:
        labels, probabilities = _OF_KERAS.get(_plain(name), (None, from_logits is not None))
        limits = (0, 1) if probabilities and not from_logits else (-np.inf, np.inf)
    axis = settings.get("axis", -1)
    return [
        Expected(
            name,
            labels,
            from_logits,
            from_logits is not None and not hasattr(type(loss), "from_logits"),
            limits,
            settings.get("ignore_class"),
            axis if isinstance(axis, int) else -1,
            strict=ours,
        )
    ]


@dataclasses.dataclass(frozen=True)
class Output:
    """One output: its loss, and where known its symbolic tensor, predictions and labels."""

    name: str
    loss: Any
    symbol: Any = None
    predicted: Any = None
    labels: Any = None

    @property
    def shape(self):
        known = self.symbol if self.predicted is None else self.predicted
        return None if known is None else tuple(known.shape)


def _of_activation(activation):
    """The name of an activation, function or layer."""
    return getattr(activation, "__name__", None) or type(activation).__name__


def _applied(symbol):
    """Names of what was applied one on the other, the last first, `"linear"` for scores."""
    history = getattr(symbol, "_keras_history", None)
    if history is None:
        return
    operation = history.operation
    if isinstance(operation, keras.Model):
        inner = getattr(operation, "outputs", None)
        if inner:
            yield from _applied(inner[history.tensor_index])
        return
    wraps = isinstance(operation, keras.layers.Wrapper)
    layer = getattr(operation, "layer", operation) if wraps else operation
    name, activation = type(layer).__name__, getattr(layer, "activation", None)
    transparent = _plain(name) in _TRANSPARENT
    if activation is not None:
        name = _of_activation(activation)
    if not transparent or (activation is not None and _plain(name) != "linear"):
        yield name
    if transparent or (activation is None and _plain(name) in _PROBABILITIES):
        # Of this call, for a layer may be called elsewhere too.
        inputs = operation._inbound_nodes[history.node_index].input_tensors
        if len(inputs) == 1:
            yield from _applied(inputs[0])


def _applied_twice(output):
    """Whether what makes probabilities was applied to probabilities."""
    last = [_plain(name) for name in itertools.islice(_applied(output.symbol), 2)]
    if len(last) == 2 and _PROBABILITIES.issuperset(last):
        return True
    logits = None if output.predicted is None else get_logits(output.predicted)
    return logits is not None and logits.shape[-1] > 1 and _are_shares(_array(logits))


def _what_it_ends_in(output):
    """The name of the activation of an output, from its layers or from a sample."""
    name = next(_applied(output.symbol), None)
    known = _PROBABILITIES | _NO_PROBABILITIES | {"linear"}
    if name is not None and _plain(name) in known:
        return name
    if output.predicted is not None:
        values = _array(output.predicted)
        if values.shape[-1] > 1 and _are_shares(values):
            return "softmax"
        logits = get_logits(output.predicted)
        if logits is not None:
            # Of one logit, a softmax is 1 also where a sigmoid would not be.
            one = values.shape[-1] == 1 and np.all(values == 1)
            return "softmax" if one and float(ops.min(logits)) < 10 else "sigmoid"
    return None


def _array(tensor):
    return np.asarray(ops.convert_to_numpy(ops.cast(tensor, "float32")))


def _are_shares(values):
    inside = np.all((values >= 0) & (values <= 1))
    return bool(values.size and inside and np.allclose(values.sum(-1), 1, atol=1e-3))


def _activation(output, expected, applies):
    """The name of the activation of an output, for a check that applies."""
    if not applies:
        raise NotApplicable(f"{expected.name} does not take them")
    name = _what_it_ends_in(output)
    if name is None:
        raise NotApplicable(
            "the last layer is not one that this check knows"
            + ("" if output.predicted is not None else "; pass x, and it looks at predictions")
        )
    return name


def check_logits(output, expected):
    """Logits go to a loss of logits."""
    name = _activation(output, expected, expected.from_logits)
    takes, otherwise = "takes logits", ""
    if expected.either:
        takes = "has from_logits=True and applies one itself"
        otherwise = ", or set from_logits=False"
    ensure(
        _plain(name) not in _PROBABILITIES,
        f"it ends in {name}, but {expected.name} {takes}; leave {name} out of the model{otherwise}",
    )


def check_probabilities(output, expected):
    """Probabilities, or their logarithms, go to a loss of them."""
    name = _activation(output, expected, expected.activations)
    kind = _plain(name)
    said = "no activation" if kind == "linear" else name
    wanted = "probabilities" if expected.activations is _PROBABILITIES else "log-probabilities"
    ensure(
        kind in expected.activations,
        f"it ends in {said}, but {expected.name} expects {wanted}; {expected.remedy}",
    )


def check_one_distribution(output, expected):
    """Of classes that exclude each other the probabilities are those of one distribution."""
    name = _activation(output, expected, expected.activations and expected.exclusive)
    ensure(
        _plain(name) not in _EACH,
        f"it ends in {name}, a probability for each class by itself, but {expected.name} takes one "
        "distribution over classes that exclude each other; end the model in softmax, or take a "
        "binary loss",
    )


def check_applied_once(output, expected):
    """Probabilities are not made of probabilities."""
    name = _activation(output, expected, expected.activations)
    ensure(
        not _applied_twice(output),
        f"it ends in {name} of probabilities, not of scores; leave one of the two out",
    )


def check_predictions_in_range(output, expected):
    """Predictions for a sample lie where the loss is defined."""
    if output.predicted is None:
        raise NotApplicable("needs x")
    values = _array(output.predicted)
    ensure(
        np.all(np.isfinite(values)),
        "predictions are not finite: are there NaN or very large numbers among the inputs?",
    )
    low, high = expected.range
    margin = 1e-3  # What rounding to 16 bit leaves of a probability.
    ensure(
        np.all((values >= low - margin) & (values <= high + margin)),
        f"predictions run from {values.min():.3g} to {values.max():.3g}, but {expected.name} is "
        f"defined from {low:g} to {high:g}; {expected.remedy}",
    )


def _always_1(output, name):
    """Whether a single output comes of an activation, of this name, that makes 1 of it."""
    if name is None or _plain(name) not in _EXCLUSIVE:
        return False
    return output.predicted is None or np.all(_array(output.predicted) == 1)


def check_classes_to_tell_apart(output, expected):
    """Exclusive classes take two outputs at least: a softmax of one is always 1."""
    if output.shape is None:
        raise NotApplicable("a subclassed model shows its outputs on data only: pass x")
    axis = expected.axis if expected.exclusive else -1
    if not -len(output.shape) <= axis < len(output.shape) or output.shape[axis] != 1:
        return
    ensure(
        not expected.exclusive,
        f"{expected.name} tells classes apart, but there is one output; for two classes take two "
        "outputs, or one with sigmoid and BinaryCrossentropy",
    )
    name = _what_it_ends_in(output)
    ensure(
        not _always_1(output, name),
        f"{name} of one output is always 1, so nothing can be learned; take sigmoid",
    )


def _fits(shape, other):
    return len(shape) == len(other) and all(
        a is None or b is None or a == b for a, b in zip(shape[1:], other[1:], strict=True)
    )


def check_labels_fit(output, expected):
    """Labels have the dtype, shape and range that the loss and the number of outputs go with."""
    if output.labels is None:
        raise NotApplicable("needs y")
    unknown = (None, "groups", "memberships", "sequence", "tags")
    if expected.labels in unknown or output.shape is None:
        raise NotApplicable(f"what labels {expected.name} takes is not known to this check")
    y, shape = np.asarray(output.labels), output.shape
    ensure(
        y.dtype.kind in "biuf",
        f"labels have dtype {y.dtype}, but {expected.name} takes numbers; make class ids of names "
        "with keras.layers.StringLookup",
    )
    if not y.size:
        raise NotApplicable("there are no labels")
    check = {"onehot": _check_one_hot, "binary": _check_binary} | dict.fromkeys(IDS, _check_ids)
    check.get(expected.labels, _check_values)(y, shape, expected)
    if isinstance(output.loss, Loss) and output.predicted is not None:
        # What it refuses besides, as one output where it takes a mean and a variance.
        try:
            output.loss(y[:_SAMPLES], output.predicted)
        except (TypeError, ValueError) as error:
            raise AssertionError(str(error)) from error


def _check_ids(y, shape, expected):
    axis = expected.axis % len(shape)
    units = shape[axis]
    beyond = classes_of(expected.labels, 0)
    if len(y.shape) == len(shape) and y.shape[axis] == 1:
        y = np.squeeze(y, axis)
    ensure(
        not _fits(y.shape, shape) or len(y.shape) == 1,
        f"labels of shape {y.shape} have a class axis, but {expected.name} takes ids; take "
        "y.argmax(axis=-1), or the loss without 'sparse' in its name",
    )
    rest = shape[:axis] + shape[axis + 1 :]
    ensure(
        _fits(y.shape, rest),
        f"labels have shape {y.shape}, but outputs of shape {shape} take {rest}",
    )
    whole = y.dtype.kind in "iub" or np.all(y == np.floor(y))
    ensure(
        y.dtype.kind in "iub" or (whole and not expected.strict),
        f"labels have dtype {y.dtype}, but {expected.name} takes class ids; "
        + ('take y.astype("int32")' if whole else "a number that is not whole is no id"),
    )
    counted = y if expected.ignore_class is None else y[y != expected.ignore_class]
    if counted.size and units is not None:
        low, high = counted.min(), counted.max()
        ensure(
            low >= 0 and high < units + beyond,
            f"labels run from {low} to {high}, but {units} outputs stand for the ids 0 to "
            f"{units + beyond - 1}; give the last layer {int(max(high, 0)) + 1 - beyond} units, or "
            "correct the labels or ignore_class",
        )


def _check_one_hot(y, shape, expected):
    ids = len(y.shape) < len(shape) or (y.shape[-1] == 1 and shape[-1] != 1)
    ensure(
        not ids,
        f"labels have shape {y.shape}, but {expected.name} takes one-hot rows beside outputs of "
        f"shape {shape}; class ids go to the loss with 'sparse' in its name",
    )
    _check_same_shape(y, shape, expected)


def _check_binary(y, shape, expected):
    counted = y if expected.ignore_class is None else y[y != expected.ignore_class]
    if counted.size:
        low, high = counted.min(), counted.max()
        remedy = "correct the labels"
        if high > 1:
            remedy = (
                "more than two exclusive classes go to a categorical loss, with an output for each"
            )
        elif low == -1:
            remedy = "take (y + 1) / 2 of labels -1 and 1"
        ensure(
            low >= 0 and high <= 1,
            f"labels run from {low} to {high}, but {expected.name} takes 0 to 1; {remedy}",
        )
    _check_same_shape(y, shape, expected)


def _check_values(y, shape, expected):
    if expected.labels == "target":
        shape = shape[:-1]
        y = y[..., 0] if len(y.shape) == len(shape) + 1 and y.shape[-1] == 1 else y
    _check_same_shape(y, shape, expected)


def _check_same_shape(y, shape, expected):
    flat = len(y.shape) == len(shape) - 1 and shape[-1] == 1 and _fits(y.shape, shape[:-1])
    column = len(y.shape) == len(shape) + 1 and y.shape[-1] == 1 and _fits(y.shape[:-1], shape)
    ensure(
        flat or column or _fits(y.shape, shape),
        f"labels have shape {y.shape}, but outputs of shape {shape} with {expected.name} take the "
        f"same; give the last layer as many units as there are labels a sample",
    )


OUTPUT_CHECKS = (
    check_logits,
    check_probabilities,
    check_one_distribution,
    check_applied_once,
    check_predictions_in_range,
    check_classes_to_tell_apart,
    check_labels_fit,
)


def _by_name(names, given, what):
    """What belongs to each output, of a structure in any of the forms that `compile` takes."""
    if isinstance(given, dict):
        unknown = sorted(set(given) - set(names))
        if unknown:
            raise ValueError(
                f"check_outputs: {what} names the outputs {unknown}, but the model has {names}"
            )
        return [given.get(name) for name in names]
    if isinstance(given, (list, tuple)):
        if len(given) != len(names):
            raise ValueError(
                f"check_outputs: {what} has {len(given)} entries for the {len(names)} outputs "
                f"{names}; give one for each"
            )
        return list(given)
    return [given] * len(names)


def _sample(x):
    def first(a):
        if not hasattr(a, "shape"):
            raise TypeError(
                f"check_outputs: x must be an array or a structure of arrays, got {a!r}; of a "
                "dataset hand over the x and y of a batch"
            )
        return ops.convert_to_tensor(a[:_SAMPLES])

    return keras.tree.map_structure(first, from_lists(x))


def _by_place(given) -> Any:
    """What a structure holds, by its place in it; what is no structure stays."""
    if not keras.tree.is_nested(given):
        return given
    return {"/".join(map(str, path)): leaf for path, leaf in keras.tree.flatten_with_path(given)}


def outputs_of(model, loss, x, y):
    """The outputs of a model, each with what is known of it."""
    predicted = None if x is None else model(_sample(x), training=False)
    try:
        symbols = model.outputs[0] if isinstance(model, keras.Sequential) else model.output
    except (AttributeError, ValueError):  # A subclassed model has none.
        symbols = None
    structure = symbols if predicted is None else predicted
    if any(len(path) > 1 for path, _ in keras.tree.flatten_with_path(structure)):
        structure, loss, symbols, predicted, y = map(
            _by_place, (structure, loss, symbols, predicted, y)
        )
    if isinstance(structure, dict):
        names = list(structure)
    elif isinstance(structure, (list, tuple)):
        found = getattr(model, "output_names", None) or []
        fits = len(found) == len(structure)
        names = list(found) if fits else [f"output_{i}" for i in range(len(structure))]
    elif structure is None and isinstance(loss, (dict, list, tuple)):
        names = list(loss) if isinstance(loss, dict) else [f"output_{i}" for i in range(len(loss))]
    else:
        alone = isinstance(loss, dict) and len(loss) == 1
        found = list(loss) if alone else getattr(model, "output_names", None)
        names = (found or ["output"])[:1]
    if (
        len(names) == 1
        and isinstance(y, (list, tuple))
        and not isinstance(structure, (list, tuple))
    ):
        # A list of labels, unless it has one array, as `fit` takes one for each output.
        y = y[0] if len(y) == 1 and getattr(y[0], "shape", ()) else np.asarray(y)
    columns = (
        _by_name(names, given, what)
        for given, what in (
            (loss, "loss"),
            (symbols, "output"),
            (predicted, "output"),
            (y, "y"),
        )
    )
    return [Output(*row) for row in zip(names, *columns, strict=True)]
