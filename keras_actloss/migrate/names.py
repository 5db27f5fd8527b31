"""What each name of TensorFlow Addons (TFA) is here: the one table of `keras_actloss.migrate`."""

import numbers
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Found:
    """A class of this package with its settings, in place of an object of TFA."""

    name: str
    settings: dict[str, Any] = field(default_factory=dict)
    note: str = ""


class NoCounterpart(Exception):
    """Why an object of TFA has none here, and what to do about it."""


# Functions. TFA's files hold their names only: their settings were TFA's defaults.
ACTIVATIONS = {
    "gelu": Found("GELU", {"approximate": True}),
    "hardshrink": Found("HardShrink"),
    "lisht": Found("LiSHT"),
    "mish": Found("Mish"),
    "rrelu": Found("RReLU"),
    "snake": Found("Snake"),
    "softshrink": Found("SoftShrink"),
    "sparsemax": Found("Sparsemax"),
    "tanhshrink": Found("TanhShrink"),
}

# A layer keeps the config that it has in the file and gets these settings beside it.
LAYERS = {
    "GELU": Found("GELU"),
    "Maxout": Found("Maxout"),
    "Snake": Found("LearnedSnake", {"shared_axes": "all"}, "one frequency for all channels"),
    "Sparsemax": Found("Sparsemax"),
    "TLU": Found("TLU", {"shared_axes": []}, "a threshold for each entry of a sample"),
}

# Layers of Keras 2 that Keras 3 has no more, with their configs.
LAYERS_OF_KERAS_2 = {"ThresholdedReLU": Found("ThresholdedReLU")}

# Layers that are not activations, where there is more to say than that.
OTHER_LAYERS = {
    "CRF": "layers.CRF leaves decoding to layers.Viterbi, and the model ends in scores for "
    "losses.LinearChainCRF; build it anew and copy the weights",
    "GroupNormalization": "keras.layers.GroupNormalization reads its config and weights; pass "
    "custom_objects={'Addons>GroupNormalization': keras.layers.GroupNormalization}",
}


def _focal(config, width):
    if width is None:
        raise NoCounterpart(
            "TFA adds up the outputs on the last axis, and the file does not say how many there "
            "are; compile with WeightedSum([BinaryFocalCrossentropy(...)], weights=[their number])"
        )
    focal = Found(
        "BinaryFocalCrossentropy",
        {
            "alpha": config.get("alpha", 0.25) or None,
            "gamma": config.get("gamma", 2.0) or 0.0,
            "from_logits": config.get("from_logits", False),
        },
    )
    if width == 1:
        return focal
    note = f"TFA adds up the {width} outputs, BinaryFocalCrossentropy has their mean"
    return Found("WeightedSum", {"losses": [focal], "weights": [float(width)]}, note)


def _giou(config, width):
    return Found(
        "IoU" if config.get("mode") == "iou" else "GIoU",
        {"bounding_box_format": "yxyx"},
        "corners may come in any order; TFA took a box with the far one first for empty",
    )


def _kappa(config, width):
    settings = {
        "weighting": config.get("weightage", "quadratic"),
        "log_epsilon": config.get("epsilon", 1e-6) or 1e-7,
    }
    return Found("CategoricalWeightedKappa", settings)


def _pinball(config, width):
    tau = config.get("tau", 0.5)
    if isinstance(tau, list) and len(tau) == 1:
        (tau,) = tau
    if isinstance(tau, numbers.Real):
        return Found("Quantile", {"quantiles": tau})
    if isinstance(tau, list) and all(isinstance(t, numbers.Real) for t in tau):
        note = "for one target beside them; TFA also took a target for each, which Quantile refuses"
        return Found("Quantile", {"quantiles": tau}, note)
    raise NoCounterpart(
        f"a quantile for each entry of a sample, tau={tau}; split the outputs and compile one "
        "Quantile for each"
    )


def _plain(name, **settings):
    return lambda config, width: Found(name, settings)


def _of_file(name, **defaults):
    """Settings of the same name here; TFA's defaults, where the file has none."""

    def rule(config, width):
        return Found(name, {key: config.get(key, value) for key, value in defaults.items()})

    return rule


_DISTANCES = {"L2": "euclidean", "squared-L2": "squared_euclidean", "angular": "cosine"}


def _triplet(name, note="", **defaults):
    def rule(config, width):
        metric = config.get("distance_metric", "L2")
        if not isinstance(metric, str) or metric not in _DISTANCES:
            raise NoCounterpart(
                f"{name} has no distances by a function of yours, {metric}; compile with a loss of "
                "your own"
            )
        found = _of_file(name, **defaults)(config, width)
        return Found(name, found.settings | {"distance": _DISTANCES[metric]}, note)

    return rule


# Config and size of the last axis of the predictions, None if unknown -> what it is here.
LOSSES = {
    "ContrastiveLoss": _of_file("Contrastive", margin=1.0),
    "GIoULoss": _giou,
    "LiftedStructLoss": _of_file("LiftedStructure", margin=1.0),
    "NpairsLoss": _plain("NPairs", from_products=True),
    "NpairsMultilabelLoss": _plain("NPairsMultilabel", from_products=True),
    "PinballLoss": _pinball,
    "SigmoidFocalCrossEntropy": _focal,
    "SparsemaxLoss": _plain("CategoricalSparsemax"),
    "TripletHardLoss": _triplet(
        "TripletHard",
        "a sample alone in its group costs nothing; TFA took it for its own second",
        margin=1.0,
        soft=False,
    ),
    "TripletSemiHardLoss": _triplet("TripletSemiHard", margin=1.0),
    "WeightedKappaLoss": _kappa,
}

# Those that TFA gave as one number a batch, whatever the reduction: here it is the mean.
OF_A_BATCH = {
    "LiftedStructLoss",
    "NpairsLoss",
    "NpairsMultilabelLoss",
    "TripletHardLoss",
    "TripletSemiHardLoss",
    "WeightedKappaLoss",
}

# Functions that are compiled as losses, with TFA's defaults.
LOSS_FUNCTIONS = {
    "contrastive_loss": "ContrastiveLoss",
    "giou_loss": "GIoULoss",
    "lifted_struct_loss": "LiftedStructLoss",
    "npairs_loss": "NpairsLoss",
    "npairs_multilabel_loss": "NpairsMultilabelLoss",
    "pinball_loss": "PinballLoss",
    "sigmoid_focal_crossentropy": "SigmoidFocalCrossEntropy",
    "triplet_hard_loss": "TripletHardLoss",
    "triplet_semihard_loss": "TripletSemiHardLoss",
}
