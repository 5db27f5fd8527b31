"""Inputs to hold a loss or an activation against, when the user gives none."""

import copy
import inspect

import numpy as np

from keras_actloss.core.loss import width_of
from keras_actloss.core.tensors import IDS, SEQUENCES, classes_of
from keras_actloss.testing.report import NotApplicable


def rebuilt(thing, **changes):
    """A new object of the same class, built by its constructor from its attributes."""
    arguments = {}
    for cls in type(thing).__mro__:
        if "__init__" in vars(cls) and cls.__module__.split(".")[0] != "keras":
            for parameter in list(inspect.signature(cls.__init__).parameters.values())[1:]:
                named = parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
                if named and hasattr(thing, parameter.name):
                    arguments.setdefault(parameter.name, getattr(thing, parameter.name))
    return type(thing)(**copy.copy(arguments) | changes)


def takes(thing, setting):
    return setting in inspect.signature(type(thing).__init__).parameters and hasattr(thing, setting)


def _softmax(logits):
    e = np.exp(logits - logits.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def within(ends, x):
    """Real numbers, moved between the ends of a range."""
    low, high = ends
    if np.isfinite(low) and np.isfinite(high):
        return low + (high - low) / (1 + np.exp(-x))
    if np.isfinite(high):
        return high - np.exp(x / 2)
    return low + np.exp(x / 2) if np.isfinite(low) else x


def labeled_predictions(loss, batch=6, classes=4, seed=0):
    """Labels and predictions of the kind that `loss.labels` names, as NumPy arrays."""
    rng = np.random.default_rng(seed)
    axis = getattr(loss, "axis", -1)
    if not isinstance(axis, int):
        raise NotApplicable("example inputs need one class axis; pass y_true and y_pred")
    classes = width_of(loss) or classes
    between = max(loss.rank - 2, 0 if axis == -1 else 1)
    shape = (batch, *[3] * between, classes)
    shape = {"sequence": (batch, 5, classes), "tags": (batch, 3, classes, classes)}.get(
        loss.labels, shape
    )
    scores = rng.normal(size=shape).astype("float32")
    num_classes = classes_of(loss.labels, classes)
    blank = getattr(loss, "blank", None)
    left_out = [getattr(part, "ignore_class", None) for part in getattr(loss, "losses", [loss])]
    left_out.append(None if blank is None else blank % classes)
    labels = [c for c in range(num_classes) if c not in left_out]
    of_labels = {"sequence": (batch, 2), "tags": shape[:-2]}.get(loss.labels, shape[:-1])
    ids = rng.choice(labels, size=of_labels).astype("int32")
    if loss.labels == "memberships":
        y_true = rng.integers(0, 2, size=(batch, 3)).astype("int32")
    elif loss.labels == "binary":
        y_true = rng.integers(0, 2, size=shape).astype("int32")
    elif loss.labels in ("values", "target"):
        y_true = rng.normal(size=shape if loss.labels == "values" else shape[:-1])
        y_true = within(loss.targets, y_true).astype("float32")
    else:
        y_true = np.eye(num_classes, dtype="float32")[ids]
    exclusive = loss.labels in ("onehot", "ids", "sequence") and loss.predictions == (0, 1)
    y_pred = _softmax(scores) if exclusive else within(loss.predictions, scores)
    if axis != -1:
        y_true, y_pred = np.moveaxis(y_true, -1, axis), np.moveaxis(y_pred, -1, axis)
    return (ids if loss.labels in IDS + SEQUENCES else y_true), y_pred.astype("float32")
