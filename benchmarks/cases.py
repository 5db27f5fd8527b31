"""What is measured: each object of this package beside Keras's own and the backend's native one."""

import functools
import importlib

import keras
import numpy as np

from keras_actloss import activations, losses

BACKEND = keras.backend.backend()
ROWS, COLUMNS = 4096, 1024


def activation_cases():
    """Name -> contender -> function of a tensor of `ROWS` x `COLUMNS` normal numbers."""
    names = ["relu", "leaky_relu", "elu", "sigmoid", "tanh", "softmax", "log_softmax"]
    settings = {"leaky_relu": {"negative_slope": 0.3}}
    if BACKEND == "tensorflow":
        native = importlib.import_module("tensorflow").nn
        native_settings = {"leaky_relu": {"alpha": 0.3}}
    elif BACKEND == "jax":
        native, native_settings = importlib.import_module("jax.nn"), settings
    else:
        native = importlib.import_module("torch.nn.functional")
        over_rows = {"dim": -1}
        native_settings = settings | {"softmax": over_rows, "log_softmax": over_rows}
    contenders = {
        "ours": (activations, settings),
        "keras": (keras.activations, settings),
        "native": (native, native_settings),
    }
    return {
        name: {
            who: functools.partial(getattr(module, name), **own.get(name, {}))
            for who, (module, own) in contenders.items()
        }
        for name in names
    }


@functools.cache
def loss_cases():
    """Name -> (labels, predictions, settings of both, class name)."""
    rng = np.random.default_rng(0)
    shape = (ROWS, COLUMNS)
    targets = rng.normal(size=shape).astype("float32")
    scores = rng.normal(size=shape).astype("float32")
    binary = rng.integers(0, 2, shape).astype("float32")
    p = (1 / (1 + np.exp(-scores))).astype("float32")
    cases = {
        "mean_squared_error": (targets, scores, {}, "MeanSquaredError"),
        "mean_absolute_error": (targets, scores, {}, "MeanAbsoluteError"),
        "huber": (targets, scores, {}, "Huber"),
        "hinge": (binary, scores, {}, "Hinge"),
        "squared_hinge": (binary, scores, {}, "SquaredHinge"),
        "binary logits": (binary, scores, {"from_logits": True}, "BinaryCrossentropy"),
        "binary probabilities": (binary, p, {}, "BinaryCrossentropy"),
    }
    for classes, rows in ((10, 400_000), (1000, 4096)):
        logits = rng.normal(size=(rows, classes)).astype("float32")
        e = np.exp(logits)
        rows_of_p = (e / e.sum(-1, keepdims=True)).astype("float32")
        ids = rng.integers(0, classes, rows).astype("int32")
        one_hot = np.eye(classes, dtype="float32")[ids]
        for form, y_pred, settings in (
            ("logits", logits, {"from_logits": True}),
            ("probabilities", rows_of_p, {}),
        ):
            name = f"{form}, {classes} classes"
            cases[f"sparse {name}"] = (ids, y_pred, settings, "SparseCategoricalCrossentropy")
            cases[f"categorical {name}"] = (one_hot, y_pred, settings, "CategoricalCrossentropy")
        cases[f"categorical_hinge, {classes} classes"] = (one_hot, logits, {}, "CategoricalHinge")
    return cases


def loss_contenders(name):
    """Labels, predictions and contender -> function of both, for a case of `loss_cases`."""
    y_true, y_pred, settings, cls = loss_cases()[name]
    return (
        y_true,
        y_pred,
        {
            "ours": getattr(losses, cls)(**settings),
            "keras": getattr(keras.losses, cls)(**settings),
        },
    )


FIT_LOSSES = {
    "MeanSquaredError": ("values", {}),
    "MeanAbsoluteError": ("values", {}),
    "Huber": ("values", {}),
    "Hinge": ("onehot", {}),
    "CategoricalHinge": ("onehot", {}),
    "BinaryCrossentropy": ("onehot", {"from_logits": True}),
    "CategoricalCrossentropy": ("onehot", {"from_logits": True}),
    "SparseCategoricalCrossentropy": ("ids", {"from_logits": True}),
}
