"""What is measured: each object of this package beside Keras's own and the backend's native one."""

import functools
import importlib

import keras
import numpy as np

from keras_actloss import activations, losses

BACKEND = keras.backend.backend()
ROWS, COLUMNS = 4096, 1024


# Settings of each activation, and beside which native function of the same shape one is measured
# that neither Keras nor the backend has.
ACTIVATIONS = {
    "relu": {},
    "relu6": {},
    "leaky_relu": {"negative_slope": 0.3},
    "squared_relu": {"beside": "relu"},
    "thresholded_relu": {"beside": "relu"},
    "threshold": {"threshold": -0.5, "default_value": 0.5},
    "crelu": {"beside": "relu"},
    "sparse_plus": {},
    "hard_silu": {},
    "elu": {},
    "selu": {},
    "celu": {},
    "exponential": {},
    "symlog": {"beside": "softplus"},
    "symexp": {"beside": "elu"},
    "sigmoid": {},
    "log_sigmoid": {},
    "tanh": {},
    "softsign": {},
    "softcap": {"cap": 30.0, "beside": "tanh"},
    "hard_tanh": {},
    "hard_sigmoid": {},
    "sparse_sigmoid": {},
    "softplus": {},
    "softplus, beta 1.7": {"beta": 1.7, "beside": "softplus"},
    "shifted_softplus": {"beside": "softplus"},
    "squareplus": {},
    "silu": {},
    "swish": {"beta": 1.7, "beside": "silu"},
    "quick_gelu": {"beside": "silu"},
    "gelu": {"approximate": False},
    "gelu, tanh": {"approximate": True},
    "mish": {},
    "lisht": {"beside": "silu"},
    "hard_shrink": {},
    "soft_shrink": {},
    "tanh_shrink": {},
    "sine": {"frequency": 1.0, "beside": "sin"},
    "snake": {"beside": "sin"},
    "snake_beta": {"beside": "sin"},
    "glu": {},
    "bilinear": {"beside": "glu"},
    "gtu": {"beside": "glu"},
    "swiglu": {"gate": "last", "beside": "glu"},
    "geglu": {"beside": "glu"},
    "geglu, tanh": {"approximate": True, "beside": "glu"},
    "reglu": {"beside": "glu"},
    "swiglu_clipped": {"gate": "last", "beside": "glu"},
    "prelu": {"alpha": 0.25, "beside": "leaky_relu"},
    "tlu": {"tau": -0.5, "beside": "relu"},
    "star_relu": {"beside": "relu"},
    "xielu": {"beside": "elu"},
    "dynamic_tanh": {"beside": "tanh"},
    "maxout": {"num_units": COLUMNS // 2, "beside": "glu"},
    "softmax": {},
    "log_softmax": {},
    "softmin": {"beside": "softmax"},
    "ordinal_softmax": {"beside": "softmax"},
    "gumbel_softmax": {"seed": 1, "beside": "softmax"},
    "sparsemax": {},
    "entmax15": {"beside": "sparsemax"},
    "entmax": {"alpha": 1.3, "beside": "sparsemax"},
    "rrelu": {"beside": "leaky_relu"},
}


def _native(name):
    """The backend's own function of a name, with Keras's settings, or None."""
    if BACKEND == "tensorflow":  # Loads its parts when they are asked for.
        module = importlib.import_module("tensorflow").nn
    else:
        module = importlib.import_module("jax.nn" if BACKEND == "jax" else "torch.nn.functional")
    spellings = {"hard_silu": "hardswish"}.get(name), name, name.replace("_", "")
    function = next((getattr(module, n) for n in spellings if n and hasattr(module, n)), None)
    if function is None:
        return None

    def native(x, **settings):
        if BACKEND == "tensorflow" and "negative_slope" in settings:
            settings["alpha"] = settings.pop("negative_slope")
        if BACKEND == "torch" and "approximate" in settings:
            settings["approximate"] = "tanh" if settings["approximate"] else "none"
        if BACKEND == "torch" and "default_value" in settings:
            settings["value"] = settings.pop("default_value")
        if BACKEND == "torch" and name in ("softmax", "log_softmax"):
            settings["dim"] = -1
        return function(x, **settings)

    return native


def activation_cases():
    """Name -> contender -> function of a tensor of `ROWS` x `COLUMNS` normal numbers.

    The contenders are ours, Keras's and the backend's of the same name, or else the one `beside`
    which ours is measured, and a copy of the same bytes.
    """
    cases = {}
    for name, settings in ACTIVATIONS.items():
        settings = dict(settings)
        beside = settings.pop("beside", None)
        own = name.split(",")[0]
        contenders = {"ours": functools.partial(getattr(activations, own), **settings)}
        of_others = {} if beside else settings
        of_keras = keras.ops if beside == "sin" else keras.activations
        others = {
            "keras": getattr(of_keras, beside or own, None),
            "native": _native(beside or own),
        }
        for who, function in others.items():
            if function is not None:
                contenders[f"{who} {beside}" if beside else who] = functools.partial(
                    function, **of_others
                )
        cases[name] = contenders | {"copy": lambda x: 2 * x}
    return cases


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
        "poisson": (binary, p, {}, "Poisson"),
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
        cases[f"kl_divergence, {classes} classes"] = (
            rows_of_p[::-1],
            rows_of_p,
            {},
            "KLDivergence",
        )
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


FIT_ACTIVATIONS = [
    "relu",
    "leaky_relu",
    "elu",
    "sigmoid",
    "tanh",
    "softmax",
    "silu",
    "gelu",
    "mish",
]
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
