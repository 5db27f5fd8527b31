"""Losses of segmentation beside Keras, optax and recorded numbers of MONAI, SMP and kornia.

Each case says which of our settings is the other one's: no two of them mean the same by Dice.
"""

import keras
import numpy as np
import pytest
from scipy import ndimage

from keras_actloss import losses
from keras_actloss.testing.backend import value_and_gradient

pytestmark = pytest.mark.slow

IDS = np.array(
    [
        [[0, 1, 1, 2], [1, 1, 2, 2], [0, 0, 2, 1]],
        # An image without class 2.
        [[0, 0, 0, 0], [0, 1, 1, 0], [0, 0, 0, 0]],
    ]
)
INDEX = np.arange(2 * 3 * 4 * 3).reshape(2, 3, 4, 3)
X = (2 * np.sin(1.7 * INDEX) + np.cos(0.3 * INDEX)).astype("float32")
P = (np.exp(X) / np.exp(X).sum(-1, keepdims=True)).astype("float32")
ONE_HOT = np.eye(3, dtype="float32")[IDS]
MASKS = (np.sin(2.3 * INDEX) > 0).astype("float32")

LOGITS = {"from_logits": True}
OF_IDS = LOGITS | {"encoding": "ids"}
OF_MASKS = LOGITS | {"encoding": "multilabel"}
MONAI, SMP = {"smooth": 1e-5}, {"smooth": 0.0, "per": "batch", "absent": "skip"}


def _distances():
    """Signed distances as MONAI and the authors have them: those inside begin with 0."""
    result = np.zeros_like(ONE_HOT)
    for n, c in np.ndindex(2, 3):
        mask = ONE_HOT[n, ..., c] > 0
        if mask.any():
            inside = ndimage.distance_transform_edt(mask) - 1
            result[n, ..., c] = np.where(mask, -inside, ndimage.distance_transform_edt(~mask))
    return result


# name -> our function, labels, settings; the value, the derivative by the logit of class 1 at the
# third pixel of the second row, and the sum of all absolute derivatives. In float64.
RECORDED = {
    # MONAI 1.6.1: DiceLoss, TverskyLoss, GeneralizedDiceLoss, MCCLoss, SoftclDiceLoss, BoundaryLoss
    # with softmax=True or sigmoid=True; no smoothing for the third and fourth, smooth=1e-12 for the
    # fifth.
    "MONAI dice": (
        losses.dice,
        ONE_HOT,
        LOGITS | MONAI,
        (0.6718967711743288, 0.00980410892543496, 0.21520042176500032),
    ),
    "MONAI dice of the batch without background": (
        losses.dice,
        IDS,
        OF_IDS | MONAI | {"per": "batch", "background": False},
        (0.7112073260401506, 0.018680183699141376, 0.24918031972241572),
    ),
    "MONAI dice of masks": (
        losses.dice,
        MASKS,
        OF_MASKS | MONAI,
        (0.5101096427395378, 0.0005889705832690079, 0.15551821548079547),
    ),
    "MONAI jaccard": (
        losses.jaccard,
        IDS,
        OF_IDS | {"smooth": 0.5e-5},
        (0.7883681888365578, 0.007748084755419744, 0.17077900657344547),
    ),
    "MONAI tversky": (
        losses.tversky,
        IDS,
        OF_IDS | MONAI | {"alpha": 0.3, "beta": 0.9},
        (0.7169011152671416, 0.009202589644528724, 0.20652942657767787),
    ),
    "MONAI generalized_dice": (
        losses.generalized_dice,
        IDS,
        OF_IDS | {"smooth": 0.0},
        (0.738573155400547, 0.007990485703244132, 0.2017370321138378),
    ),
    "MONAI matthews_correlation": (
        losses.matthews_correlation,
        IDS,
        OF_IDS | {"smooth": 0.0},
        (0.9130003832276371, 0.01927130551035968, 0.3607620684439755),
    ),
    "MONAI centerline_dice of one mask": (
        losses.centerline_dice,
        MASKS[..., :1],
        OF_MASKS,
        (0.3888443768100927, None, 0.18179752467380808),
    ),
    "MONAI boundary": (
        losses.boundary,
        _distances(),
        LOGITS,
        (0.1585290666461602, 0.0031273427930229285, 0.11009389395182369),
    ),
    # segmentation_models_pytorch 0.6.0: DiceLoss, JaccardLoss, TverskyLoss and MCCLoss.
    "SMP dice": (
        losses.dice,
        IDS,
        OF_IDS | SMP,
        (0.6375865954473404, 0.012343711482054546, 0.24058994784177204),
    ),
    "SMP dice of masks": (
        losses.dice,
        MASKS,
        OF_MASKS | SMP,
        (0.5057833650535081, 0.0005509023412768961, 0.15747924055328086),
    ),
    "SMP dice with class weights": (
        losses.dice,
        IDS,
        OF_IDS | SMP | {"class_weights": [1.0, 2.0, 0.5]},
        (0.6275199184686807, 0.007709222127145009, 0.2701637777557097),
    ),
    "SMP jaccard": (
        losses.jaccard,
        IDS,
        OF_IDS | SMP,
        (0.7728849717503575, 0.008096178030048909, 0.1828763165685559),
    ),
    "SMP tversky": (
        losses.tversky,
        IDS,
        OF_IDS | SMP | {"alpha": 0.3, "beta": 0.9},
        (0.6767114946569235, 0.013478475440826901, 0.2362391053734407),
    ),
    "SMP tversky of one mask, gamma": (
        losses.focal_tversky,
        MASKS[..., :1],
        OF_MASKS | SMP | {"alpha": 0.3, "beta": 0.9, "gamma": 2.0},
        (0.3226864209534779, None, 0.1783819688146694),
    ),
    "SMP matthews_correlation of one mask": (
        losses.matthews_correlation,
        MASKS[..., :1],
        OF_MASKS | {"smooth": 0.0},
        (1.046095413987277, None, 0.32708936323689963),
    ),
    # kornia 0.9.0: dice_loss and tversky_loss, which leave absent classes out.
    "kornia dice, macro": (
        losses.dice,
        IDS,
        OF_IDS | {"smooth": 1e-8, "absent": "skip"},
        (0.6161101986677942, 0.0098041225436692, 0.25236733986725773),
    ),
    "kornia tversky": (
        losses.tversky,
        IDS,
        OF_IDS | {"smooth": 1e-8, "absent": "skip", "alpha": 0.3, "beta": 0.9},
        (0.6735345221868714, 0.009202608991154585, 0.24142510612970522),
    ),
}


@pytest.mark.parametrize("name", RECORDED)
def test_as_recorded(name):
    function, y_true, settings, (value, one, total) = RECORDED[name]
    x = X[..., :1] if y_true.shape[-1] == 1 else X
    got, slope = value_and_gradient(lambda x: function(y_true, x, **settings).mean(), x)
    assert got == pytest.approx(value, rel=1e-5)
    assert np.abs(slope).sum() == pytest.approx(total, rel=1e-5)
    if one is not None:
        assert slope[0, 1, 2, 1] == pytest.approx(one, rel=1e-4)


def test_micro_of_kornia():
    """kornia 0.9.0, dice_loss(average="micro"): all classes for one."""
    flat = [np.reshape(v, (2, -1, 1)) for v in (ONE_HOT, P)]
    got = np.mean(keras.ops.convert_to_numpy(losses.dice(*flat, smooth=1e-8)))
    assert got == pytest.approx(0.6137697631600738, rel=1e-5)


def test_an_absent_class_has_its_place_in_the_mean_of_smp():
    """SMP 0.6.0 with ignore_index=2: class 2 costs 0 and counts as a third."""
    settings = OF_IDS | SMP | {"ignore_class": 2}
    got = losses.dice(IDS, X, **settings)
    assert float(got[0]) * 2 / 3 == pytest.approx(0.36335922627254424, rel=1e-5)


@pytest.mark.parametrize("axis", [None, (1, 2, 3)])
@pytest.mark.parametrize("classes", [1, 3])
def test_keras_dice(axis, classes):
    """Keras takes all channels for one."""
    y, p = ONE_HOT[..., :classes], P[..., :classes]
    theirs = keras.ops.convert_to_numpy(keras.losses.dice(y, p, axis=axis))
    one_channel = [v.reshape(2, -1, 1) for v in (y, p)]
    settings = {"smooth": (0.0, 1e-7), "per": "image" if axis else "batch"}
    ours = keras.ops.convert_to_numpy(losses.dice(*one_channel, **settings))
    np.testing.assert_allclose(ours, np.broadcast_to(theirs, 2), rtol=1e-5)


def test_keras_tversky():
    """Keras up to 3.15 has the two weights swapped."""
    version = tuple(map(int, keras.__version__.split(".")[:2]))
    alpha, beta = (0.3, 0.9) if version > (3, 15) else (0.9, 0.3)
    theirs = float(keras.losses.tversky(ONE_HOT[..., 1], P[..., 1], alpha=alpha, beta=beta))
    settings = {"alpha": 0.3, "beta": 0.9, "smooth": (0.0, 1e-7), "per": "batch"}
    ours = losses.tversky(ONE_HOT[..., 1:2], P[..., 1:2], **settings)
    assert float(ours[0]) == pytest.approx(theirs, rel=1e-5)


def test_optax_dice():
    import optax

    theirs = np.asarray(optax.losses.dice_loss(X, ONE_HOT, alpha=0.3, beta=0.9))
    ours = losses.tversky(ONE_HOT, X, from_logits=True, alpha=0.3, beta=0.9)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(ours), theirs, rtol=1e-5)
    theirs = np.asarray(optax.losses.dice_loss(X, ONE_HOT, ignore_background=True))
    ours = losses.dice(ONE_HOT, X, from_logits=True, smooth=2.0, background=False)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(ours), theirs, rtol=1e-5)
