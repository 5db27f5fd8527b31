"""Losses of sequences against the formulas in their docstrings."""

import numpy as np
import pytest
from accuracy import (
    IS_TORCH,
    MODES,
    RUNS,
    beside_largest,
    loss_test,
    representable,
    truth_of,
    worst,
)

from keras_actloss import losses

pytestmark = [pytest.mark.slow, pytest.mark.optimized]


def _normal(*shape, scale=2.0):
    rng = np.random.default_rng(0)
    return lambda dtype: representable(scale * rng.normal(size=shape), dtype)


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

CROSSING = {
    "sequence, smoothed sum": (sequence, SUM, _ids(4), _normal(20, 3, 4)),
    "chain": (chain, {}, _ids(3), _normal(20, 3, 3, 3)),
    "ctc": (ctc, LOGITS, _ids(3, 1), _normal(20, 4, 3)),
    "ctc, probabilities": (ctc, {}, _ids(3, 1), _probabilities(20, 4, 3)),
}
test_in_16_bit = loss_test(CROSSING, ("bfloat16", "float16"))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", CROSSING)
def test_where_slopes_cross_zero(name, mode):
    """A slope is what is predicted less what is wanted, which cancel if but by chance.

    It is right to 8 units of the largest one of its sequence; torch's kernel of CTC, whose sums of
    logarithms are rounded in each frame, to 16.
    """
    function, settings, labels, predictions = CROSSING[name]
    limit = 16 if IS_TORCH and function is ctc else 8
    x = predictions("float32")
    arguments = settings | {"y_true": labels(x)}
    truth = truth_of(function, x, arguments)
    got = RUNS[mode](lambda x: function(y_pred=x, **arguments), x)
    assert max(worst(got[:1], truth[:1], "float32")) <= 8
    assert beside_largest(*(v.reshape(len(x), -1) for v in (got[1], truth[1]))) <= limit
