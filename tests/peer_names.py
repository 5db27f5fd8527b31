"""What the names of packages that have ended are here, with values to tell that they are the same.

    python tests/peer_names.py                    # writes docs/migration.md
    python tests/peer_names.py TFA                # records TFA's values, where it is installed

The second needs nothing of this package, and writes to `peer_names.json` what the peers of a name
compute with their defaults. How each is had:

- TFA: `python3.11 -m venv v; v/bin/pip install "tensorflow==2.15.*" tensorflow-addons==0.23.0`.
- segmentation_models: in the same environment, with `SM_FRAMEWORK=tf.keras` and
  `pip install segmentation-models==1.0.1`.
- KerasCV: `pip install keras-cv==0.9.0` beside Keras 3. Its data sets, which losses do without, are
  replaced by an empty module.
- keras-contrib was never released to a registry: its formulas are computed below with NumPy.
"""

import json
import sys
import types
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import numpy as np

HERE = Path(__file__).parent
VALUES, PAGE = HERE / "peer_names.json", HERE.parent / "docs" / "migration.md"

RNG = np.random.default_rng(0)


def _softmax(x):
    e = np.exp(x)
    return e / e.sum(-1, keepdims=True)


def _float(*arrays):
    return tuple(np.asarray(a, "float32") for a in arrays)


# Inputs by name: of an activation, or the labels and predictions of a loss. What the peer takes in
# another form than we do comes second.
X = RNG.normal(scale=2, size=(2, 6)).astype("float32")
_LABELS, _LOGITS = RNG.integers(0, 2, (6, 3)), RNG.normal(size=(6, 3))
_IDS = np.arange(6) % 3
_LOW, _SIZE = RNG.uniform(0, 4, (2, 6, 2)), RNG.uniform(1, 4, (2, 6, 2))
_BOXES = np.concatenate([_LOW, _LOW + _SIZE], axis=-1)
_IMAGES = (2, 4, 4, 3)
_CLASSES = np.eye(3)[RNG.integers(0, 3, _IMAGES[:3])]
_MASKS = RNG.integers(0, 2, (2, 4, 4, 1))
_OF_MASKS = RNG.uniform(0.1, 0.9, _MASKS.shape)
_FLAT = RNG.integers(0, 2, (2, 12)), RNG.uniform(0.1, 0.9, (2, 12))
_PAIRS = RNG.normal(size=(6, 8))
_PRODUCTS = _PAIRS[:, :4] @ _PAIRS[:, 4:].T
_TAGS = np.maximum(np.eye(3)[_IDS], np.eye(3)[np.arange(6) // 2])
_HEAT = np.where(_LABELS == 1, 1, RNG.uniform(0, 0.9, _LABELS.shape))
INPUTS = {
    "probabilities": _float(_LABELS, 1 / (1 + np.exp(-_LOGITS))),
    "one-hot logits": _float(np.eye(3)[_IDS], _LOGITS),
    "one-hot": _float(np.eye(3)[_IDS], _softmax(_LOGITS)),
    "errors": _float(RNG.normal(size=(6, 3)), _LOGITS),
    "distances": _float(_LABELS, np.abs(_LOGITS)),
    "boxes": _float(*_BOXES),
    "classes": _float(_CLASSES, _softmax(RNG.normal(size=_IMAGES))),
    "masks": _float(_MASKS, _OF_MASKS),
    "heat": _float(_HEAT, 1 / (1 + np.exp(-_LOGITS))),
    "embeddings": (_IDS, *_float(_PAIRS)),
    "products": (_IDS, *_float(_PRODUCTS)),
    "products of tags": _float(_TAGS, _PRODUCTS),
    "flat masks": _float(*(a[..., None] for a in _FLAT)),
}
OF_PEERS = INPUTS | {"flat masks": _float(*_FLAT)}
# What the expressions below may name of the inputs: how many outputs or classes there are.
SIZES = {"outputs": 3, "classes": 3}


class Row(NamedTuple):
    """A name of a peer with its defaults, and what is the same here, or None."""

    theirs: str
    ours: str | None
    inputs: str = "x"
    note: str = ""


def _sum_of(*parts):
    return f"WeightedSum([{', '.join(parts)}])"


_FOCAL = "BinaryFocalCrossentropy(alpha=0.25)"
_SUMMED = f"WeightedSum([{_FOCAL}], weights=[outputs])"
_DICE = 'Dice(per="batch", smooth=1e-5)'
_JACCARD = 'Jaccard(per="batch", smooth=1e-5)'
_MEAN_CE = "WeightedSum([CategoricalCrossentropy()], weights=[1 / classes])"
_MEAN_FOCAL = "WeightedSum([CategoricalFocalCrossentropy()], weights=[0.25 / classes])"


def _multilabel(call):
    return call.replace("(", '(encoding="multilabel", ', 1)


def _combined(first, second, factor):
    """A sum of a mean over classes and of a loss of regions."""
    name = "CategoricalCrossentropy" if factor == "1" else "CategoricalFocalCrossentropy"
    return f"WeightedSum([{name}(), {second}], weights=[{factor} / classes, 1])"


ROWS = {
    "TFA": [
        Row("activations.gelu", "GELU(approximate=True)", note="ours is exact by default"),
        Row("activations.hardshrink", "HardShrink()"),
        Row("activations.lisht", "LiSHT()"),
        Row("activations.mish", "Mish()"),
        Row("activations.rrelu", "RReLU()", note="as a layer it knows whether it trains"),
        Row("activations.snake", "Snake()"),
        Row("activations.softshrink", "SoftShrink()"),
        Row("activations.sparsemax", "Sparsemax()"),
        Row("activations.tanhshrink", "TanhShrink()"),
        Row("layers.GELU()", "GELU(approximate=True)", note="ours is exact by default"),
        Row("layers.Maxout(3)", "Maxout(3)"),
        Row(
            "layers.Snake()",
            'LearnedSnake(shared_axes="all")',
            note="ours learns a frequency for each channel by default",
        ),
        Row("layers.Sparsemax()", "Sparsemax()"),
        Row(
            "layers.TLU()",
            "TLU(shared_axes=[])",
            note="ours learns a threshold for each channel by default",
        ),
        Row("losses.ContrastiveLoss()", "Contrastive()", "distances"),
        Row(
            "losses.GIoULoss()",
            'GIoU(bounding_box_format="yxyx")',
            "boxes",
            "ours is of `xyxy` by default; corners may come in any order",
        ),
        Row('losses.GIoULoss(mode="iou")', 'IoU(bounding_box_format="yxyx")', "boxes", "the same"),
        Row(
            "losses.LiftedStructLoss()",
            "LiftedStructure()",
            "embeddings",
            "ours gives one value per sample; the mean is TFA's",
        ),
        Row(
            "losses.NpairsLoss()",
            "NPairs(from_products=True)",
            "products",
            "ours takes both embeddings, joined, by default",
        ),
        Row(
            "losses.NpairsMultilabelLoss()",
            "NPairsMultilabel(from_products=True)",
            "products of tags",
            "the same",
        ),
        Row("losses.PinballLoss()", "Quantile()", "errors"),
        Row(
            "losses.SigmoidFocalCrossEntropy()",
            _SUMMED,
            "probabilities",
            "TFA adds up the outputs, ours is their mean, and has no `alpha` by default",
        ),
        Row("losses.SparsemaxLoss()", "CategoricalSparsemax()", "one-hot logits"),
        Row(
            "losses.TripletHardLoss()",
            "TripletHard()",
            "embeddings",
            "ours gives one value per sample, 0 for one alone in its group",
        ),
        Row("losses.TripletHardLoss(soft=True)", "TripletHard(soft=True)", "embeddings"),
        Row(
            "losses.TripletSemiHardLoss()",
            "TripletSemiHard()",
            "embeddings",
            "ours gives one value per sample",
        ),
        Row(
            'losses.TripletSemiHardLoss(distance_metric="squared-L2")',
            'TripletSemiHard(distance="squared_euclidean")',
            "embeddings",
        ),
        Row(
            'losses.TripletSemiHardLoss(distance_metric="angular")',
            'TripletSemiHard(distance="cosine")',
            "embeddings",
        ),
        Row(
            "losses.WeightedKappaLoss(3)",
            "CategoricalWeightedKappa(log_epsilon=1e-6)",
            "one-hot",
            "without `log_epsilon` ours is 1 - kappa itself",
        ),
        Row("layers.CRF(3)", None, note="`layers.CRF`, `losses.LinearChainCRF`, `layers.Viterbi`"),
    ],
    "KerasCV": [
        Row(
            "BinaryPenaltyReducedFocalCrossEntropy()",
            None,
            note="`PenaltyReducedFocal()` divides by the peaks of a sample, and KerasCV by none",
        ),
        Row("CenterNetBoxLoss(...)", None, note="a `Huber` of its parts, the heading in bins"),
        Row(
            'CIoULoss("xyxy")',
            None,
            note="`CIoU()` is the paper's; KerasCV squares the factor 4 / pi**2 of its last term",
        ),
        Row(
            "FocalLoss()",
            _SUMMED,
            "probabilities",
            "KerasCV adds up the outputs, ours is their mean, and has no `alpha` by default",
        ),
        Row('GIoULoss("xyxy")', "GIoU()", "boxes"),
        Row('IoULoss("xyxy")', None, note='`mode="log"`, its default, is infinite without overlap'),
        Row('IoULoss("xyxy", mode="linear")', "IoU()", "boxes"),
        Row("SimCLRLoss(0.1)", None, note="not yet"),
        Row(
            "SmoothL1Loss()",
            "SmoothL1()",
            "errors",
            "with another `l1_cutoff` than 1 KerasCV's jumps there; ours has `beta`",
        ),
    ],
    "segmentation_models": [
        Row("BinaryCELoss()", "BinaryCrossentropy()", "masks"),
        Row("BinaryFocalLoss()", _FOCAL, "masks", "ours has no `alpha` by default"),
        Row("CategoricalCELoss()", _MEAN_CE, "classes", "the mean over the classes, not the sum"),
        Row(
            "CategoricalFocalLoss()",
            _MEAN_FOCAL,
            "classes",
            "the mean over the classes, all times `alpha=0.25`; ours has an `alpha` a class",
        ),
        Row(
            "DiceLoss()",
            _DICE,
            "classes",
            'counted in the whole batch; ours has `per="image"` and `smooth=1.0` by default. With '
            "weights of classes ours is a weighted mean, theirs the mean of the products",
        ),
        Row("DiceLoss(per_image=True)", "Dice(smooth=1e-5)", "classes", "the same"),
        Row("JaccardLoss()", _JACCARD, "classes", "as `DiceLoss`"),
        Row("dice_loss", _multilabel(_DICE), "masks", "for masks of one channel"),
        Row("jaccard_loss", _multilabel(_JACCARD), "masks", "the same"),
        Row("bce_dice_loss", _sum_of("BinaryCrossentropy()", _multilabel(_DICE)), "masks"),
        Row("bce_jaccard_loss", _sum_of("BinaryCrossentropy()", _multilabel(_JACCARD)), "masks"),
        Row("binary_focal_dice_loss", _sum_of(_FOCAL, _multilabel(_DICE)), "masks"),
        Row("binary_focal_jaccard_loss", _sum_of(_FOCAL, _multilabel(_JACCARD)), "masks"),
        Row("cce_dice_loss", _combined("", _DICE, "1"), "classes"),
        Row("cce_jaccard_loss", _combined("", _JACCARD, "1"), "classes"),
        Row("categorical_focal_dice_loss", _combined("", _DICE, "0.25"), "classes"),
        Row("categorical_focal_jaccard_loss", _combined("", _JACCARD, "0.25"), "classes"),
    ],
    "keras-contrib": [
        Row(
            "jaccard_distance",
            'WeightedSum([Jaccard(encoding="multilabel", smooth=100)], weights=[100])',
            "flat masks",
            "summed over the last axis, which must hold the pixels; ours takes masks with channels",
        ),
        Row(
            "Swish()",
            'LearnedSwish(shared_axes="all")',
            note="ours learns a `beta` for each channel by default",
        ),
        Row("CRF, crf_loss", None, note="`layers.CRF`, `losses.LinearChainCRF`, `layers.Viterbi`"),
        Row("DSSIMObjective", None, note="a similarity of images, of which there is none here"),
        Row("PELU, SReLU, SineReLU", None, note="no such activations"),
        Row("squash", None, note="no such activation"),
    ],
}
PEERS = {
    "TFA": "TensorFlow Addons",
    "KerasCV": "KerasCV",
    "segmentation_models": "segmentation_models",
    "keras-contrib": "keras-contrib",
}


# Recording, where a peer is installed.


def _tfa():
    import tensorflow_addons as tfa

    return vars(tfa), f"run with TensorFlow Addons {tfa.__version__}"


def _keras_cv():
    sys.modules["tensorflow_datasets"] = types.ModuleType("tensorflow_datasets")
    import keras_cv

    return vars(keras_cv.losses), f"run with KerasCV {keras_cv.__version__}"


def _segmentation_models():
    import segmentation_models

    found = f"run with segmentation_models {version('segmentation-models')}"
    return vars(segmentation_models.losses), found


def _keras_contrib():
    def jaccard_distance(y_true, y_pred, smooth=100):
        both = np.sum(y_true * y_pred, axis=-1)
        either = np.sum(y_true + y_pred, axis=-1) - both
        return smooth * (1 - (both + smooth) / (either + smooth))

    def swish():
        return lambda x: x / (1 + np.exp(-x))

    namespace = {"jaccard_distance": jaccard_distance, "Swish": swish}
    return namespace, "computed with NumPy from the formulas of commit 1c3dfeb (2019)"


RECORD = {
    "TFA": _tfa,
    "KerasCV": _keras_cv,
    "segmentation_models": _segmentation_models,
    "keras-contrib": _keras_contrib,
}


def record(peer):
    """Write what the peer computes: an activation's values, and the mean of a loss."""
    namespace, how = RECORD[peer]()
    found = {}
    for row in ROWS[peer]:
        if row.ours is None:
            continue
        theirs = eval(row.theirs, dict(namespace))
        if row.inputs == "x":
            found[row.theirs] = np.asarray(theirs(X)).astype("float64").round(7).tolist()
        else:
            found[row.theirs] = float(np.mean(np.asarray(theirs(*OF_PEERS[row.inputs]))))
    table = json.loads(VALUES.read_text()) if VALUES.exists() else {}
    table[peer] = {"how": how, "values": found}
    VALUES.write_text(json.dumps({p: table[p] for p in ROWS if p in table}, indent=1) + "\n")


# The page.

_TOP = """# Coming from another package

These packages have ended. What each of their names is here, with the settings that make it the same
as theirs with their defaults; `tests/test_peer_names.py` holds ours to the values of theirs, which
`tests/peer_names.json` records, with how each was obtained.

Files that TensorFlow Addons saved load by themselves: see `help(keras_actloss.migrate)`, or convert
them in a shell with `python -m keras_actloss.migrate old.h5 new.keras`.
"""


def page(table):
    """The tables of names in Markdown."""
    lines = [_TOP]
    for peer, rows in ROWS.items():
        lines += [f"## {PEERS[peer]}", "", f"| {PEERS[peer]} | here | notes |", "|---|---|---|"]
        lines += [
            f"| `{row.theirs}` | {f'`{row.ours}`' if row.ours else 'none'} | {row.note} |"
            for row in rows
        ]
        lines += ["", f"The values were {table[peer]['how']}.", ""]
    return "\n".join(lines).rstrip() + "\n"


if __name__ == "__main__":
    for name in sys.argv[1:]:
        record(name)
    if not sys.argv[1:]:
        PAGE.write_text(page(json.loads(VALUES.read_text())))
