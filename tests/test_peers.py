"""Values and gradients beside independent implementations: PyTorch and optax.

torch 2.13, optax 0.2.8. PyTorch computes in float64. Where a convention differs, the row says how.
"""

import keras
import numpy as np
import optax
import pytest
import torch
from peers import compare, of_torch
from torch.nn import functional as F

from keras_actloss import activations, losses

RNG = np.random.default_rng(0)
X = np.concatenate([RNG.normal(size=(40, 5)) * 3, [[-88, -12, 0.25, 12, 88]]]).astype("float32")
IDS = RNG.integers(0, 5, len(X))
ONE_HOT = np.eye(5, dtype="float32")[IDS]
SOFT = RNG.dirichlet(np.ones(5), len(X)).astype("float32")
BINARY = RNG.integers(0, 2, X.shape).astype("float32")
TARGETS = RNG.normal(size=X.shape).astype("float32")
P = (1 / (1 + np.exp(-RNG.normal(size=X.shape)))).astype("float32")
WEIGHTS = [1.0, 2.0, 0.5, 4.0, 0.25]


ACTIVATIONS = {
    "relu": (activations.relu, F.relu),
    "relu6": (lambda x: activations.relu(x, max_value=6.0), F.relu6),
    "leaky_relu": (lambda x: activations.leaky_relu(x, 0.1), lambda x: F.leaky_relu(x, 0.1)),
    "threshold": (
        lambda x: activations.relu(x, threshold=0.7),
        lambda x: F.threshold(x, 0.7, 0.0),
    ),
    "elu": (lambda x: activations.elu(x, alpha=0.5), lambda x: F.elu(x, alpha=0.5)),
    "sigmoid": (activations.sigmoid, torch.sigmoid),
    "tanh": (activations.tanh, torch.tanh),
    "softmax": (activations.softmax, lambda x: F.softmax(x, -1)),
    "softmax(axis=0)": (lambda x: activations.softmax(x, axis=0), lambda x: F.softmax(x, 0)),
    "log_softmax": (activations.log_softmax, lambda x: F.log_softmax(x, -1)),
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation(name):
    compare(*ACTIVATIONS[name], X, RNG.normal(size=X.shape).astype("float32"))


# name -> our function, torch's, labels, predictions
LOSSES = {
    "mean_squared_error": (
        losses.mean_squared_error,
        lambda y, p: F.mse_loss(p, y, reduction="none").mean(-1),
        TARGETS,
        X,
    ),
    "mean_absolute_error": (
        losses.mean_absolute_error,
        lambda y, p: F.l1_loss(p, y, reduction="none").mean(-1),
        TARGETS,
        X,
    ),
    "huber": (
        lambda y, p: losses.huber(y, p, delta=1.5),
        lambda y, p: F.huber_loss(p, y, reduction="none", delta=1.5).mean(-1),
        TARGETS,
        X,
    ),
    "binary logits": (
        lambda y, p: losses.binary_crossentropy(y, p, from_logits=True),
        lambda y, p: F.binary_cross_entropy_with_logits(p, y, reduction="none").mean(-1),
        BINARY,
        X,
    ),
    "binary probabilities": (
        losses.binary_crossentropy,
        lambda y, p: F.binary_cross_entropy(p, y, reduction="none").mean(-1),
        SOFT,
        P,
    ),
    # torch weighs the positive class only.
    "binary weights": (
        lambda y, p: losses.binary_crossentropy(y, p, from_logits=True, class_weights=[1.0, 3.0]),
        lambda y, p: F.binary_cross_entropy_with_logits(
            p, y, reduction="none", pos_weight=torch.tensor(3.0, dtype=torch.float64)
        ).mean(-1),
        BINARY,
        X,
    ),
    "categorical": (
        lambda y, p: losses.categorical_crossentropy(y, p, from_logits=True),
        lambda y, p: F.cross_entropy(p, y, reduction="none"),
        SOFT,
        X,
    ),
    # torch too weighs and smooths the classes before it sums.
    "categorical, all options": (
        lambda y, p: losses.categorical_crossentropy(
            y, p, from_logits=True, label_smoothing=0.1, class_weights=WEIGHTS
        ),
        lambda y, p: F.cross_entropy(
            p, y, of_torch(np.array(WEIGHTS)), reduction="none", label_smoothing=0.1
        ),
        ONE_HOT,
        X,
    ),
    "sparse, all options": (
        lambda y, p: losses.sparse_categorical_crossentropy(
            y, p, from_logits=True, label_smoothing=0.1, class_weights=WEIGHTS, ignore_class=3
        ),
        lambda y, p: F.cross_entropy(
            p, y, of_torch(np.array(WEIGHTS)), reduction="none", label_smoothing=0.1, ignore_index=3
        ),
        IDS,
        X,
    ),
    # Labels of -1 and 1 in torch's hinge, which is the margin of a distance: 1 - y * p, so y = -1.
    "hinge": (
        lambda y, p: losses.hinge(y, -p),
        lambda y, p: F.hinge_embedding_loss(p, -torch.ones_like(p), reduction="none").mean(-1),
        np.full_like(X, -1.0),
        X,
    ),
}


@pytest.mark.parametrize("name", LOSSES)
def test_loss(name):
    ours, theirs, y_true, y_pred = LOSSES[name]
    upstream = RNG.normal(size=len(X)).astype("float32")
    labels = of_torch(y_true)
    compare(lambda p: ours(y_true, p), lambda p: theirs(labels, p), y_pred, upstream)


OPTAX = {
    "hinge": (losses.hinge, lambda y, p: optax.losses.hinge_loss(p, 2 * y - 1).mean(-1), BINARY),
    "categorical_hinge": (
        losses.categorical_hinge,
        lambda y, p: optax.losses.multiclass_hinge_loss(p, y),
        ONE_HOT,
    ),
    "sparse_categorical_hinge": (
        losses.sparse_categorical_hinge,
        lambda y, p: optax.losses.multiclass_hinge_loss(p, y),
        IDS,
    ),
}


@pytest.mark.parametrize("name", OPTAX)
def test_loss_beside_optax(name):
    ours, theirs, y_true = OPTAX[name]
    labels = IDS if name == "categorical_hinge" else y_true
    expected = np.asarray(theirs(labels, X))
    got = keras.ops.convert_to_numpy(ours(y_true, X))
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)
