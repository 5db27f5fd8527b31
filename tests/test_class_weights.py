"""Weights and priors of classes beside scikit-learn and the formulas of the papers."""

import numpy as np
import pytest
from catalogue import LOSSES
from sklearn.utils.class_weight import compute_class_weight

from keras_actloss import losses, testing
from keras_actloss.core.tensors import classes_of
from keras_actloss.testing.backend import value_and_gradient

IDS = np.random.default_rng(0).choice(4, size=(50, 8), p=[0.7, 0.2, 0.07, 0.03])


def test_counts_of_labels_of_any_shape():
    assert losses.class_counts(IDS) == np.bincount(IDS.ravel()).tolist()
    assert losses.class_counts(IDS, num_classes=6)[4:] == [0, 0]
    padded = np.where(IDS == 2, 255, IDS).astype("uint8")
    assert losses.class_counts(padded, ignore_class=255)[2] == 0
    assert losses.class_counts(IDS == 3) == [(IDS != 3).sum(), (IDS == 3).sum()]
    assert losses.class_counts(IDS[:0], num_classes=2) == [0, 0]


def test_balanced_weights_are_those_of_scikit_learn():
    y = IDS.ravel()
    expected = compute_class_weight("balanced", classes=np.arange(4), y=y)
    weights = losses.balanced_weights(losses.class_counts(y))
    np.testing.assert_allclose(weights, expected, rtol=1e-12)
    assert np.mean(np.take(weights, y)) == pytest.approx(1)


@pytest.mark.parametrize("beta", [0.9, 0.999, 1 - 1e-12])
def test_effective_numbers(beta):
    counts = np.array([5000, 400, 3])
    # A sum in place of the quotient, which cancels.
    number = [np.sum(beta ** np.arange(n, dtype="float64")) for n in counts]
    expected = 3 / np.array(number) / np.sum(1 / np.array(number))
    np.testing.assert_allclose(losses.effective_number_weights(counts, beta), expected, rtol=1e-9)


def test_limits_of_effective_numbers():
    counts = [100, 10, 1]
    assert losses.effective_number_weights(counts, beta=0) == [1, 1, 1]
    balanced = np.array(losses.balanced_weights(counts))
    near = losses.effective_number_weights(counts, beta=1 - 1e-13)
    np.testing.assert_allclose(near, 3 * balanced / balanced.sum(), rtol=1e-9)


def test_a_prior_is_a_distribution():
    np.testing.assert_allclose(np.exp(losses.logit_prior([6, 3, 1])), [0.6, 0.3, 0.1])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: losses.class_counts([0.0, 1.0]), "argmax"),
        (lambda: losses.class_counts(["a", "b"]), "StringLookup"),
        (lambda: losses.class_counts([0, 3], num_classes=3), "id 3, but ids run from 0 to 2"),
        (lambda: losses.class_counts([0, -1]), "ignore_class"),
        (lambda: losses.balanced_weights([3, 0]), "does not occur"),
        (lambda: losses.balanced_weights(IDS), "class_counts makes them of labels"),
        (lambda: losses.balanced_weights({"a": 3}), "got {'a': 3}"),
        (lambda: losses.effective_number_weights(["3", "a"]), "one number above 0 a class"),
        (lambda: losses.effective_number_weights([3, 1], beta=1), "balanced_weights"),
        (lambda: losses.logit_prior([]), "above 0 a class"),
    ],
)
def test_what_is_refused(call, message):
    with pytest.raises((TypeError, ValueError), match=message):
        call()


# The weights of a multi-label loss, of regions too, are of columns.
WEIGHED = {
    repr(x): x
    for x in LOSSES
    if hasattr(x, "class_weights")
    and not hasattr(x, "encoding")
    and not isinstance(x, losses.MultilabelSoftMargin | losses.SoftF1 | losses.LovaszSoftmax)
}


@pytest.mark.parametrize("loss", WEIGHED.values(), ids=WEIGHED)
def test_a_class_that_weighs_nothing_may_be_nan(loss):
    y_true, y_pred = testing.example_inputs(loss)
    axis, of_answers = getattr(loss, "axis", -1), loss.labels in ("values", "binary")
    y_true = (y_true > 0.5).astype("float32") if loss.labels == "values" else y_true
    ids = np.argmax(y_true, axis) if loss.labels == "onehot" else y_true
    left_out = int(ids.flat[0])
    out = ids == left_out
    if not of_answers:
        out = np.broadcast_to(np.expand_dims(out, axis), y_pred.shape)
    config = loss.get_config()
    if "label_smoothing" in config:  # Of which every class has a share.
        config["label_smoothing"] = 0.0
    weights = np.ones(2 if of_answers else classes_of(loss.labels, y_pred.shape[axis]))
    weights[left_out] = 0
    loss = type(loss).from_config(config | {"class_weights": weights})
    expected, got = (
        value_and_gradient(lambda p: loss(y_true, p), np.where(out, np.float32(x), y_pred))
        for x in (0.5, np.nan)
    )
    np.testing.assert_allclose(got[0], expected[0], rtol=1e-6)
    np.testing.assert_allclose(got[1], np.where(out, 0, expected[1]), rtol=1e-5, atol=1e-7)
