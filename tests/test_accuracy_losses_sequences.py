"""Losses of sequences against the formulas in their docstrings."""

import numpy as np
import pytest
from accuracy import (
    IS_TORCH,
    MODES,
    RUNS,
    beyond,
    loss_test,
    representable,
    truth_of,
)

from keras_actloss import losses
from keras_actloss.testing import oracle

pytestmark = [pytest.mark.slow, pytest.mark.optimized]


def _normal(*shape, scale=2.0):
    return lambda dtype: representable(scale * np.random.default_rng(0).normal(size=shape), dtype)


def _probabilities(*shape):
    def rows(dtype):
        e = np.exp(_normal(*shape)(dtype))
        return representable(e / e.sum(-1, keepdims=True), dtype)

    return rows


def _ids(classes, first=0):
    """Labels of as many steps as there are predictions, or of two."""

    def ids(x):
        steps = 2 if first else x.shape[1]
        return first + (np.arange(len(x) * steps) * 7 // 3 % (classes - first)).reshape(-1, steps)

    return ids


sequence, chain, ctc = losses.sequence_crossentropy, losses.linear_chain_crf, losses.ctc
LOGITS = {"from_logits": True}
SUM = LOGITS | {"average_across_timesteps": False, "label_smoothing": 0.1}
test_loss = loss_test(
    {
        "sequence": (sequence, LOGITS, _ids(4), _normal(20, 3, 4)),
        "sequence, probabilities": (sequence, {}, _ids(4), _probabilities(20, 3, 4)),
    }
)

CHAIN = (chain, {}, _ids(3), _normal(20, 3, 3, 3))
DIFFERENCES = {
    "sequence, smoothed sum": (sequence, SUM, _ids(4), _normal(20, 3, 4)),
    "ctc": (ctc, LOGITS, _ids(3, 1), _normal(20, 4, 3)),
    "ctc, probabilities": (ctc, {}, _ids(3, 1), _probabilities(20, 4, 3)),
}
test_in_16_bit = loss_test(DIFFERENCES | {"chain": CHAIN}, ("bfloat16", "float16"))


def _case(function, settings, labels, predictions):
    """Scores, the loss as a function of them, and its other arguments."""
    x = predictions("float32")
    arguments = settings | {"y_true": labels(x)}
    return x, lambda x: function(y_pred=x, **arguments), arguments


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", DIFFERENCES)
def test_what_is_predicted_less_what_is_wanted(name, mode):
    """A slope is right to 8 units of the larger one of the two that it is the difference of.

    Torch's kernel of CTC, whose sums of logarithms are rounded in each frame, to 24.
    """
    function, settings, *_ = DIFFERENCES[name]
    x, call, arguments = _case(*DIFFERENCES[name])
    value, slope = truth_of(function, x, arguments)
    got = RUNS[mode](call, x)
    assert oracle.errors(got[0], value, "float32").max() <= 8
    e = np.exp(np.float64(x))
    # Of the logarithm of a probability it is the share of one frame, which is 1.
    predicted = e / e.sum(-1, keepdims=True) if settings else np.ones_like(e)
    unit = np.maximum(*(oracle.ulp(v, "float32") for v in (predicted, predicted - slope)))
    limit = 24 if IS_TORCH and function is ctc else 8
    assert np.max(np.abs(got[1] - slope) / unit) <= limit


@pytest.mark.parametrize("mode", MODES)
def test_chain(mode):
    """Nothing is off beyond what one float32 ULP in each score does, up or down."""
    x, call, arguments = _case(*CHAIN)
    ups = np.random.default_rng(0).random((16, *x.shape)) < 0.5
    moved = np.nextafter(x, np.where(ups, np.float32(np.inf), np.float32(-np.inf)))
    truths = [truth_of(chain, v, arguments) for v in (x, *moved)]
    assert beyond(RUNS[mode](call, x), truths, "float32") <= 8
