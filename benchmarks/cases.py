"""What is measured: each object of this package beside Keras's own and the backend's native one."""

import functools
import importlib

import keras
import numpy as np
from keras import ops

from keras_actloss import activations, losses

BACKEND = keras.backend.backend()
ROWS, COLUMNS = 4096, 1024


# Settings of each activation that Keras or the backend has, too.
ACTIVATIONS = {
    "relu": {},
    "relu6": {},
    "leaky_relu": {"negative_slope": 0.3},
    "threshold": {"threshold": -0.5, "default_value": 0.5},
    "sparse_plus": {},
    "hard_silu": {},
    "elu": {},
    "selu": {},
    "celu": {},
    "exponential": {},
    "sigmoid": {},
    "log_sigmoid": {},
    "tanh": {},
    "softsign": {},
    "hard_tanh": {},
    "hard_sigmoid": {},
    "sparse_sigmoid": {},
    "softplus": {},
    "squareplus": {},
    "silu": {},
    "gelu": {"approximate": False},
    "gelu, tanh": {"approximate": True},
    "mish": {},
    "hard_shrink": {},
    "soft_shrink": {},
    "tanh_shrink": {},
    "glu": {},
    "softmax": {},
    "log_softmax": {},
    "sparsemax": {},
}


def _gated(curve, through=lambda x: x):
    """What one writes for a gated unit."""

    def plain(x):
        linear, opens = ops.split(x, 2, -1)
        return through(linear) * curve(opens)

    return plain


def _clipped(x):
    opens = ops.minimum(x, 7.0)
    return opens * ops.sigmoid(1.702 * opens)


def _xielu(x):
    left = 0.8
    return ops.where(x > 0, left * x * x, left * (ops.expm1(ops.minimum(x, 0)) - x)) + 0.5 * x


def _ordinal(x):
    above, end = ops.sigmoid(x), ops.ones_like(x[..., :1])
    return ops.concatenate([end, above], -1) - ops.concatenate([above, 0 * end], -1)


def _gumbel(x):
    uniform = keras.random.uniform(ops.shape(x), 1e-7, 1.0, seed=1)
    return ops.softmax(x - ops.log(-ops.log(uniform)))


# Settings of each activation that neither has, and the plain expression of it in Keras's ops.
OWN_ACTIVATIONS = {
    "squared_relu": ({}, lambda x: ops.square(ops.relu(x))),
    "thresholded_relu": ({}, lambda x: ops.where(x > 1.0, x, 0.0)),
    "crelu": ({}, lambda x: ops.concatenate([ops.relu(x), ops.relu(-x)], -1)),
    "symlog": ({}, lambda x: ops.sign(x) * ops.log1p(ops.abs(x))),
    "symexp": ({}, lambda x: ops.sign(x) * ops.expm1(ops.abs(x))),
    "softcap": ({"cap": 30.0}, lambda x: 30.0 * ops.tanh(x / 30.0)),
    "softplus, beta 1.7": ({"beta": 1.7}, lambda x: ops.softplus(1.7 * x) / 1.7),
    "shifted_softplus": ({}, lambda x: ops.softplus(x) - float(np.log(2))),
    "swish": ({"beta": 1.7}, lambda x: x * ops.sigmoid(1.7 * x)),
    "quick_gelu": ({}, lambda x: x * ops.sigmoid(1.702 * x)),
    "lisht": ({}, lambda x: x * ops.tanh(x)),
    "sine": ({"frequency": 1.0}, ops.sin),
    "snake": ({}, lambda x: x + ops.square(ops.sin(x))),
    "snake_beta": ({}, lambda x: x + ops.square(ops.sin(x))),
    "bilinear": ({}, _gated(lambda x: x)),
    "gtu": ({}, _gated(ops.sigmoid, ops.tanh)),
    "swiglu": ({"gate": "last"}, _gated(ops.silu)),
    "geglu": ({}, _gated(functools.partial(ops.gelu, approximate=False))),
    "geglu, tanh": ({"approximate": True}, _gated(functools.partial(ops.gelu, approximate=True))),
    "reglu": ({}, _gated(ops.relu)),
    "swiglu_clipped": ({"gate": "last"}, _gated(_clipped, lambda x: ops.clip(x, -7.0, 7.0) + 1)),
    "prelu": ({"alpha": np.float32([0.25] * COLUMNS)}, lambda x: ops.where(x > 0, x, 0.25 * x)),
    "tlu": ({"tau": -0.5}, lambda x: ops.maximum(x, -0.5)),
    "star_relu": ({}, lambda x: 0.8944 * ops.square(ops.relu(x)) - 0.4472),
    "xielu": ({"alpha_p": 0.2, "alpha_n": -1.05}, _xielu),
    "dynamic_tanh": ({}, lambda x: ops.tanh(0.5 * x)),
    "maxout": (
        {"num_units": COLUMNS // 2},
        lambda x: ops.max(ops.reshape(x, (ROWS, COLUMNS // 2, 2)), -1),
    ),
    "softmin": ({}, lambda x: ops.softmax(-x)),
    "ordinal_softmax": ({}, _ordinal),
    "gumbel_softmax": ({"seed": 1}, _gumbel),
    "entmax15": ({}, keras.activations.sparsemax),
    "entmax": ({"alpha": 1.3}, keras.activations.sparsemax),
    "rrelu": ({}, lambda x: ops.leaky_relu(x, 11 / 48)),
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

    The contenders are ours; Keras's and the backend's of the same name or, where there is neither,
    the plain expression; and a copy of the same bytes.
    """
    cases = {}
    for name, (settings, plain) in OWN_ACTIVATIONS.items():
        cases[name] = {"ours": _ours(name, settings), "plain": plain, "copy": lambda x: 2 * x}
    for name, settings in ACTIVATIONS.items():
        own = name.split(",")[0]
        others = {"keras": getattr(keras.activations, own, None), "native": _native(own)}
        contenders = {
            who: functools.partial(f, **settings) for who, f in others.items() if f is not None
        }
        cases[name] = {"ours": _ours(name, settings), **contenders, "copy": lambda x: 2 * x}
    return cases


def _ours(name, settings):
    return functools.partial(getattr(activations, name.split(",")[0]), **settings)


SMOOTHED = {"label_smoothing": 0.1}


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
        "mean_absolute_percentage_error": (targets, scores, {}, "MeanAbsolutePercentageError"),
        "mean_squared_logarithmic_error": (
            np.exp(targets),
            np.exp(scores),
            {},
            "MeanSquaredLogarithmicError",
        ),
        "cosine_similarity": (targets, scores, {}, "CosineSimilarity"),
        "log_cosh": (targets, scores, {}, "LogCosh"),
        "poisson": (binary, p, {}, "Poisson"),
        "hinge": (binary, scores, {}, "Hinge"),
        "squared_hinge": (binary, scores, {}, "SquaredHinge"),
        "binary logits": (binary, scores, {"from_logits": True}, "BinaryCrossentropy"),
        "binary probabilities": (binary, p, {}, "BinaryCrossentropy"),
        "binary focal": (binary, scores, {"from_logits": True}, "BinaryFocalCrossentropy"),
    }
    for form in ("logits", "probabilities"):
        y_true, y_pred, settings, cls = cases[f"binary {form}"]
        cases[f"smoothed binary {form}"] = (y_true, y_pred, settings | SMOOTHED, cls)
    for classes, rows in ((10, 400_000), (1000, 4096), (32_000, 128)):
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
            dense = "CategoricalCrossentropy"
            cases[f"categorical {name}"] = (one_hot, y_pred, settings, dense)
            cases[f"smoothed categorical {name}"] = (one_hot, y_pred, settings | SMOOTHED, dense)
            focal = "CategoricalFocalCrossentropy"
            cases[f"categorical focal {name}"] = (one_hot, y_pred, settings, focal)
        cases[f"kl_divergence, {classes} classes"] = (
            rows_of_p[::-1],
            rows_of_p,
            {},
            "KLDivergence",
        )
        cases[f"categorical_hinge, {classes} classes"] = (one_hot, logits, {}, "CategoricalHinge")
    return cases


def _torch_losses():
    f = importlib.import_module("torch.nn.functional")
    return {
        "mean_squared_error": lambda y, p: f.mse_loss(p, y),
        "mean_absolute_error": lambda y, p: f.l1_loss(p, y),
        "huber": lambda y, p: f.huber_loss(p, y),
        "cosine_similarity": lambda y, p: -ops.mean(f.cosine_similarity(p, y, dim=-1)),
        "poisson": lambda y, p: f.poisson_nll_loss(p, y, log_input=False),
        "binary logits": lambda y, p: f.binary_cross_entropy_with_logits(p, y),
        "binary probabilities": lambda y, p: f.binary_cross_entropy(p, y),
        "sparse logits": lambda y, p: f.cross_entropy(p, y.long()),
        "categorical logits": lambda y, p: f.cross_entropy(p, y),
        "kl_divergence": lambda y, p: f.kl_div(p.log(), y, reduction="batchmean"),
    }


def _optax_losses():
    optax = importlib.import_module("optax").losses
    peers = {
        "mean_squared_error": lambda y, p: optax.squared_error(p, y),
        "huber": lambda y, p: optax.huber_loss(p, y),
        "cosine_similarity": lambda y, p: -optax.cosine_similarity(p, y),
        "log_cosh": lambda y, p: optax.log_cosh(p, y),
        "hinge": lambda y, p: optax.hinge_loss(p, 2 * y - 1),
        "binary logits": lambda y, p: optax.sigmoid_binary_cross_entropy(p, y),
        "binary focal": lambda y, p: optax.sigmoid_focal_loss(p, y, gamma=2.0),
        "sparse logits": lambda y, p: optax.softmax_cross_entropy_with_integer_labels(p, y),
        "categorical logits": lambda y, p: optax.softmax_cross_entropy(p, y),
        "kl_divergence": lambda y, p: optax.kl_divergence(ops.log(p), y),
    }
    return {name: lambda y, p, f=f: ops.mean(f(y, p)) for name, f in peers.items()}


def loss_contenders(name):
    """Labels, predictions and contender -> function of both, for a case of `loss_cases`.

    The contenders are ours, Keras's, and that of PyTorch or optax, where it has the loss.
    """
    y_true, y_pred, settings, cls = loss_cases()[name]
    contenders = {
        "ours": getattr(losses, cls)(**settings),
        "keras": getattr(keras.losses, cls)(**settings),
    }
    peers = {"torch": _torch_losses, "jax": _optax_losses}.get(BACKEND, dict)()
    if (own := name.split(",")[0]) in peers:
        contenders["peer"] = peers[own]
    return y_true, y_pred, contenders


def _plain_dice(y, p):
    """The sums of SMP and MONAI, with an axis of pixels."""
    y, p = (ops.reshape(x, (ops.shape(x)[0], -1, x.shape[-1])) for x in (y, p))
    both = ops.sum(y * p, axis=1)
    return 1 - ops.mean((2 * both + 1) / (ops.sum(y, axis=1) + ops.sum(p, axis=1) + 1), axis=-1)


def _plain_giou(y, p):
    """The definition, for corners in order."""

    def area(low, high):
        sides = ops.relu(high - low)
        return sides[..., 0] * sides[..., 1]

    (y_low, y_high), (p_low, p_high) = ((x[..., :2], x[..., 2:]) for x in (y, p))
    both = area(ops.maximum(y_low, p_low), ops.minimum(y_high, p_high))
    union = area(y_low, y_high) + area(p_low, p_high) - both
    hull = area(ops.minimum(y_low, p_low), ops.maximum(y_high, p_high))
    return 1 - both / union + (hull - union) / hull


def _plain_contrastive(y, p):
    far = ops.maximum(1 - p, 0)
    return ops.mean(ops.where(y > 0, ops.square(p), ops.square(far)), axis=-1)


def _plain_npairs(y, p):
    anchors, others = ops.split(p, 2, axis=-1)
    same = ops.cast(ops.expand_dims(y, 1) == y, p.dtype)
    labels = same / ops.sum(same, axis=-1, keepdims=True)
    scores = ops.log_softmax(ops.matmul(anchors, ops.transpose(others)), axis=-1)
    return -ops.sum(labels * scores, axis=-1)


def _plain_distances(y, p):
    """Those of the samples, and which are pairs of one group and of two."""
    squares = ops.sum(ops.square(ops.expand_dims(p, 1) - p), axis=-1)
    same = ops.expand_dims(y, 1) == y
    pairs = ops.logical_and(same, ops.logical_not(ops.eye(len(y), dtype="bool")))
    return ops.sqrt(ops.maximum(squares, 1e-16)), pairs, ops.logical_not(same)


def _plain_lifted_structure(y, p):
    d, pairs, others = _plain_distances(y, p)
    near = ops.sum(ops.where(others, ops.exp(1 - d), 0), axis=-1)
    excess = ops.log(ops.expand_dims(near, 1) + near) + d
    squares = ops.where(pairs, ops.square(ops.relu(excess)), 0)
    return ops.sum(squares) / ops.sum(ops.cast(pairs, d.dtype)) / 2


def _plain_triplet_hard(y, p):
    d, pairs, others = _plain_distances(y, p)
    farthest = ops.amax(ops.where(pairs, d, 0), axis=-1)
    return ops.relu(1 + farthest - ops.amin(ops.where(others, d, 1e30), axis=-1))


def _plain_triplet_semihard(y, p):
    """As TensorFlow Addons has it, with all triplets."""
    d, pairs, others = _plain_distances(y, p)
    negatives = ops.expand_dims(ops.where(others, d, 1e30), 1)
    farther = ops.amin(ops.where(negatives > ops.expand_dims(d, -1), negatives, 1e30), axis=-1)
    farthest = ops.amax(ops.where(others, d, 0), axis=-1, keepdims=True)
    excess = ops.relu(1 + d - ops.where(farther < 1e30, farther, farthest))
    return ops.sum(ops.where(pairs, excess, 0)) / ops.sum(ops.cast(pairs, d.dtype))


def _ctc_peer():
    if BACKEND == "torch":
        f, torch = importlib.import_module("torch.nn.functional"), importlib.import_module("torch")

        def of_torch(y, p):
            frames, labels = torch.full((len(p),), p.shape[1]), torch.full((len(y),), y.shape[1])
            log_p = f.log_softmax(p, -1).transpose(0, 1)
            return f.ctc_loss(log_p, y, frames, labels, reduction="none")

        return {"peer": of_torch}
    if BACKEND == "jax":
        ctc = importlib.import_module("optax").losses.ctc_loss
        return {"peer": lambda y, p: ctc(p, ops.zeros(p.shape[:2]), y, ops.zeros(y.shape))}
    return {}


@functools.cache
def structured_cases():
    """Name -> labels, predictions and contender -> function of both, where samples have a shape."""
    rng = np.random.default_rng(0)
    cases = {}
    for classes in (1, 4, 20):
        p = rng.random((8, 512, 512, classes), dtype="float32")
        y = (p > rng.random(p.shape, dtype="float32")).astype("float32")
        if classes > 1:
            p /= p.sum(-1, keepdims=True)
            y = np.eye(classes, dtype="float32")[p.argmax(-1)]
        cases[f"dice, {classes} classes"] = (
            y,
            p,
            {
                "ours": losses.Dice(encoding="onehot" if classes > 1 else "multilabel"),
                "keras": keras.losses.Dice(axis=(1, 2)),
                "peer": _plain_dice,
            },
        )
    corners = np.sort(rng.random((2, 10_000, 2, 2), dtype="float32"), axis=-2)
    y, p = corners.reshape(2, 10_000, 4)
    cases["giou, 10,000 boxes"] = y, p, {"ours": losses.GIoU(), "plain": _plain_giou}
    y, p = rng.integers(0, 2, (1_000_000, 1)), rng.random((1_000_000, 1), dtype="float32")
    cases["contrastive"] = y, p, {"ours": losses.Contrastive(), "plain": _plain_contrastive}
    y, p = np.arange(256) // 4, rng.normal(size=(256, 128)).astype("float32")
    for cls, plain in (
        (losses.NPairs, _plain_npairs),
        (losses.LiftedStructure, _plain_lifted_structure),
        (losses.TripletHard, _plain_triplet_hard),
        (losses.TripletSemiHard, _plain_triplet_semihard),
    ):
        contenders = {"ours": cls(), "plain": plain}
        cases[f"{cls.fn.__name__}, 256 samples"] = y.astype("int32"), p, contenders
    y = rng.integers(1, 64, (32, 30)).astype("int32")
    p = rng.normal(size=(32, 200, 64)).astype("float32")
    cases["ctc, 200 frames"] = (
        y,
        p,
        {
            "ours": losses.CTC(from_logits=True),
            "keras": keras.losses.CTC(),
            **_ctc_peer(),
        },
    )
    return cases


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
