"""Training through `fit`, in every mode that `compile` and the dtype policies offer."""

import keras
import numpy as np
import pytest
from catalogue import ACTIVATIONS, LOSSES, of_each_class

from keras_actloss import activations, layers, losses, testing
from keras_actloss.testing.backend import compiles
from keras_actloss.testing.examples import rebuilt

pytestmark = pytest.mark.slow

MODES = {
    # As far as this Keras can on this backend.
    "jit": {"jit_compile": compiles()},
    "no jit": {"jit_compile": False},
    "eager": {"run_eagerly": True},
}
IS_TORCH = keras.backend.backend() == "torch"
if keras.backend.backend() == "jax":  # where it is the same as "eager"
    del MODES["no jit"]
if not IS_TORCH:  # where Keras refuses it
    MODES["two steps at once"] = {"steps_per_execution": 2}
# What to compile again and again; torch generates and compiles C++, for half a minute each time.
FAST = "no jit" if IS_TORCH else "jit"


def _mode(name, *values, sampled=True):
    """A row of `values` and a mode of `compile`, which torch leaves to the night if it is slow."""
    marks = [pytest.mark.nightly] if IS_TORCH and name == "jit" and not sampled else []
    return pytest.param(*values, name, marks=marks)


def _one_logit(output, logit):
    """A model that gives one logit, and adds a weight of 0 to show what gradient it gets."""
    dense = keras.layers.Dense(1, use_bias=False, activation=output)
    model = keras.Sequential([keras.Input((2,)), dense])
    model.set_weights([np.array([[logit], [0.0]])])
    return model


def _step(model, loss, label, **mode):
    """The loss of one sample in `fit`, and the gradient of its logit."""
    model.compile(keras.optimizers.SGD(1.0), loss=loss, **mode)
    x, y = np.ones((1, 2), "float32"), np.full((1, 1), label, "float32")
    history = model.fit(x, y, verbose=0).history
    return history["loss"][0], -model.get_weights()[0][1].item()


SIGMOIDS = {
    "by name": (lambda: "sigmoid", "float32"),
    "by name in float16": (lambda: "sigmoid", "mixed_float16"),
    "by name in bfloat16": (lambda: "sigmoid", "mixed_bfloat16"),
    "function": (lambda: activations.sigmoid, "float32"),
    "layer": (layers.Sigmoid, "float32"),
}


@pytest.mark.parametrize(
    ("sigmoid", "mode"),
    [_mode(mode, name, sampled=name == "by name") for name in SIGMOIDS for mode in MODES],
)
def test_a_confident_mistake_of_a_sigmoid_is_learned_from(sigmoid, mode):
    output, policy = SIGMOIDS[sigmoid]
    keras.config.set_dtype_policy(policy)
    got = _step(_one_logit(output(), 40.0), losses.BinaryCrossentropy(), 0.0, **MODES[mode])
    assert got == (40.0, 1.0)


@pytest.mark.parametrize("logit", [-40.0, -5.0, 0.0, 5.0, 40.0])
def test_a_sigmoid_and_its_logit_cost_the_same(logit):
    from_sigmoid = _step(_one_logit("sigmoid", logit), losses.BinaryCrossentropy(), 1.0)
    from_logit = _step(_one_logit(None, logit), losses.BinaryCrossentropy(from_logits=True), 1.0)
    assert from_sigmoid == from_logit
    truth = np.logaddexp(0, -logit), -1 / (1 + np.exp(logit))
    np.testing.assert_allclose(from_logit, truth, rtol=1e-6)


@pytest.mark.parametrize("logits", [[40.0, 0.0], [0.0, 0.0]], ids=str)
def test_a_softmax_and_its_logits_cost_the_same(logits):
    got = []
    for output, from_logits in (("softmax", False), (layers.Softmax(), False), (None, True)):
        dense = keras.layers.Dense(2, activation=output, kernel_initializer="zeros")
        model = keras.Sequential([keras.Input((1,)), dense])
        model.set_weights([np.zeros((1, 2)), np.array(logits)])
        loss = losses.SparseCategoricalCrossentropy(from_logits=from_logits)
        model.compile(keras.optimizers.SGD(1.0), loss=loss)
        history = model.fit(np.ones((1, 1)), np.ones((1, 1), "int32"), verbose=0).history
        got.append((history["loss"][0], -model.get_weights()[0][0, 1].item()))
    assert got[0] == got[1] == got[2]
    distance = logits[0] - logits[1]
    truth = np.logaddexp(0, distance), -1 / (1 + np.exp(-distance))
    np.testing.assert_allclose(got[0], truth, rtol=1e-6)


# A loss of probabilities, what made them, and whether its logits are of use to the loss.
OUTPUTS = {
    "distances behind a sigmoid": (losses.Boundary(encoding="multilabel"), "sigmoid", True),
    "distances behind a softmax": (losses.Boundary(), "softmax", True),
    "labels without an alignment": (losses.CTC(), "softmax", True),
    "exclusive distances behind a sigmoid": (losses.Boundary(), "sigmoid", False),
    "labels behind a sigmoid": (losses.CTC(), "sigmoid", False),
}


@pytest.mark.parametrize("name", OUTPUTS)
def test_logits_are_those_of_the_function_that_a_loss_wants(name):
    loss, function, fits = OUTPUTS[name]
    x = 30 * np.random.default_rng(0).normal(size=(2, 4, 3)).astype("float32")
    y = np.int32([[1, 2], [2, 1]]) if isinstance(loss, losses.CTC) else np.tanh(x[:, ::-1])
    of_logits = type(loss).from_config({**loss.get_config(), "from_logits": True})
    p = (layers.Sigmoid() if function == "sigmoid" else layers.Softmax())(x)
    expected = of_logits(y, x) if fits else loss(y, keras.ops.convert_to_numpy(p))
    got, expected = (float(keras.ops.convert_to_numpy(v)) for v in (loss(y, p), expected))
    assert got == pytest.approx(expected, rel=1e-6)


def test_one_channel_of_distances_behind_a_sigmoid():
    model = keras.Sequential([keras.Input((4, 4, 2)), keras.layers.Conv2D(1, 1), layers.Sigmoid()])
    model.compile("sgd", losses.Boundary())
    x, y = np.ones((2, 4, 4, 2)), np.random.default_rng(0).normal(size=(2, 4, 4, 1))
    value = model.evaluate(x, y, verbose=0)
    assert value == pytest.approx(np.mean(y * model.predict(x, verbose=0)), rel=1e-5)


@pytest.mark.parametrize("eager", [False, True])
@pytest.mark.parametrize("name", ["SparseCategoricalCrossentropy", "SequenceCrossentropy"])
def test_an_id_that_is_masked_may_be_anything(name, eager):
    steps = keras.layers.Embedding(9, 4, mask_zero=True)
    model = keras.Sequential([keras.Input((3,)), steps, keras.layers.Dense(3)])
    loss = getattr(losses, name)(from_logits=True)
    model.compile("sgd", loss, run_eagerly=eager)
    x, y = np.array([[1, 2, 0], [3, 0, 0]]), np.array([[0, 1, -1], [2, -1, -1]])
    value = model.evaluate(x, y, verbose=0)
    assert value == pytest.approx(model.evaluate(x, np.maximum(y, 0), verbose=0), rel=1e-6)


@pytest.mark.parametrize(
    ("policy", "mode"),
    [_mode(mode, "float32", sampled=False) for mode in MODES]
    + [(policy, FAST) for policy in ("mixed_float16", "mixed_bfloat16", "float64")],
)
def test_a_network_learns(policy, mode):
    keras.config.set_dtype_policy(policy)
    x = np.random.default_rng(0).normal(size=(64, 4)).astype("float32")
    label = (x[:, 0] > 0).astype("int32")
    inputs = keras.Input((4,))
    hidden = layers.ELU(alpha=0.5)(keras.layers.Dense(16)(inputs))
    hidden = keras.layers.Dense(16, activation=activations.leaky_relu)(hidden)
    outputs = {
        "binary": layers.Sigmoid(dtype="float32")(keras.layers.Dense(1)(hidden)),
        "classes": layers.Softmax()(keras.layers.Dense(2)(hidden)),
        "logits": keras.layers.Dense(2)(hidden),
        "number": layers.Tanh()(keras.layers.Dense(1)(hidden)),
    }
    targets = {"binary": label, "classes": label, "logits": label, "number": 2.0 * label - 1}
    loss = {
        "binary": losses.BinaryCrossentropy(),
        "classes": losses.SparseCategoricalCrossentropy(),
        "logits": losses.SparseCategoricalCrossentropy(from_logits=True),
        "number": losses.Huber(delta=0.5),
    }
    if mode == "eager" and keras.backend.backend() == "jax":  # which compiles each op.
        outputs, targets, loss = ({"classes": v["classes"]} for v in (outputs, targets, loss))
    model = keras.Model(inputs, outputs)
    model.compile(keras.optimizers.Adam(0.01), loss=loss, **MODES[mode])
    history = model.fit(x, targets, batch_size=16, epochs=6, verbose=0).history["loss"]
    assert np.all(np.isfinite(history)) and history[-1] < 0.7 * history[0]


def test_every_loss_trains():
    x, y, features, outputs, owners = {}, {}, {}, {}, {}
    ends = {
        (-np.inf, np.inf): layers.Linear,
        (-np.inf, 0.0): layers.LogSoftmax,
        (0.0, np.inf): layers.Exponential,
    }
    for i, loss in enumerate(of_each_class(LOSSES)):
        name = f"output_{i}"
        y[name], x[name] = testing.example_inputs(loss)
        features[name] = keras.Input(x[name].shape[1:], name=name)
        # Not drawn: boxes that happen not to overlap have nothing to learn from.
        dense = keras.layers.Dense(x[name].shape[-1], kernel_initializer="identity")(features[name])
        outputs[name] = ends.get(loss.predictions, layers.Sigmoid)()(dense)
        owners[name] = loss
    # One model for all, since each compiles by itself in a second. TensorFlow traces for a minute.
    model = keras.Model(features, outputs)
    eager = keras.backend.backend() == "tensorflow"
    model.compile(keras.optimizers.Adam(0.02), loss=owners, run_eagerly=eager)
    history = model.fit(x, y, epochs=8, verbose=0).history
    for name, loss in owners.items():
        values = history[f"{name}_loss"]
        assert np.all(np.isfinite(values)) and values[-1] < values[0], loss


PROBABILITIES = of_each_class(x for x in LOSSES if getattr(x, "from_logits", None) is False)
# One for each op whose gradient asks for the size of a batch.
ASKING = (losses.Boundary, losses.Dice, losses.LovaszSoftmax, losses.TopKBinaryCrossentropy)


@pytest.mark.parametrize(
    "loss",
    [
        pytest.param(x, marks=[] if isinstance(x, ASKING) else [pytest.mark.nightly])
        for x in PROBABILITIES
    ],
    ids=repr,
)
def test_probabilities_of_a_batch_of_any_size(loss):
    y, x = testing.example_inputs(loss)
    exclusive = loss.labels in ("onehot", "ids")
    end = layers.Softmax(axis=loss.axis) if exclusive else layers.Sigmoid()
    dense = keras.layers.Dense(x.shape[-1], kernel_initializer="identity")
    model = keras.Sequential([keras.Input(x.shape[1:]), dense, end])
    model.compile(keras.optimizers.SGD(0.01), loss, **MODES[FAST])
    # Keras leaves the size unknown where the last batch is smaller than it could be.
    history = model.fit(x, y, batch_size=len(x) + 1, epochs=2, verbose=0).history["loss"]
    assert np.isfinite(history[1]) and history[1] < history[0]


def test_unknown_batch_and_spatial_sizes():
    # Other tests may have built these layers for other channels.
    own = {repr(layer): rebuilt(layer) for layer in of_each_class(ACTIVATIONS)}

    def model(shape):
        inputs = keras.Input(batch_shape=shape)
        model = keras.Model(inputs, {name: layer(inputs) for name, layer in own.items()})
        model.compile(jit_compile=False)  # XLA would take minutes for so many at once.
        return model

    known, unknown = model((2, 4, 6, 4)), model((None, None, None, 4))
    x = np.random.default_rng(0).normal(size=(2, 4, 6, 4)).astype("float32")
    expected, got, small = (
        m.predict(v, verbose=0) for m, v in ((known, x), (unknown, x), (unknown, x[:1, :2, :2]))
    )
    for name, layer in own.items():
        np.testing.assert_allclose(got[name], expected[name], rtol=1e-5, atol=1e-6, err_msg=name)
        assert small[name].shape == tuple(layer.compute_output_shape((1, 2, 2, 4))), name
        shape = tuple(layer.compute_output_shape((None, None, None, 4)))
        assert unknown.output[name].shape == shape, name


def test_unknown_sizes_of_labels():
    model = keras.Sequential([keras.Input((None, None, 3)), keras.layers.Dense(4)])
    model.compile("sgd", losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=255))
    for size in (3, 5):
        x = np.random.default_rng(0).normal(size=(2, size, size, 3)).astype("float32")
        y = np.full((2, size, size), 255)
        assert model.evaluate(x, y, verbose=0) == 0.0
        y[:, 0] = 1
        got = model.evaluate(x, y, verbose=0)
        logits = model.predict(x, verbose=0)[:, 0]
        expected = np.log(np.exp(logits).sum(-1)) - logits[..., 1]
        assert got == pytest.approx(expected.mean(), rel=1e-5)


def test_masks_and_weights_in_fit():
    x = np.random.default_rng(0).normal(size=(4, 3, 2)).astype("float32")
    x[:, 2] = 0  # padding
    y = np.random.default_rng(1).normal(size=(4, 3, 1)).astype("float32")
    y[0] = np.nan  # an unknown target, of weight 0
    weights = np.array([0.0, 1.0, 2.0, 1.0], "float32")
    model = keras.Sequential(
        [keras.Input((3, 2)), keras.layers.Masking(), keras.layers.Dense(1), layers.Tanh()]
    )
    model.compile("sgd", losses.MeanSquaredError())
    got = model.evaluate(x, y, sample_weight=weights, verbose=0)
    errors = (model.predict(x, verbose=0) - y)[1:, :2, 0] ** 2
    # Four samples of two steps are left by the mask, the first without weight.
    assert got == pytest.approx((errors * weights[1:, None]).sum() / 8, rel=1e-5)
    assert np.isfinite(model.fit(x, y, sample_weight=weights, verbose=0).history["loss"][0])


@pytest.mark.parametrize("layer", [layers.Softmax, layers.Softmin])
def test_a_mask_that_a_user_hands_to_a_softmax(layer):
    """It broadcasts as in the function; causal attention has one of the last two axes."""
    causal = np.tril(np.ones((4, 4), "bool"))
    for shape in ((2, 3, 4, 4), (4, 4, 4, 4)):
        y = keras.ops.convert_to_numpy(layer()(np.zeros(shape, "float32"), mask=causal))
        expected = np.broadcast_to(causal / causal.sum(-1, keepdims=True), shape)
        np.testing.assert_allclose(y, expected, rtol=1e-6)


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_mask_of_steps_reaches_a_softmax(wrapped):
    layer = layers.Softmax()
    if wrapped:
        layer = keras.layers.TimeDistributed(layer)
    inputs = keras.Input((3,))
    # As many entries as steps and samples, where a mask would fit the last axes too.
    outputs = layer(keras.layers.Embedding(5, 3, mask_zero=True)(inputs))
    y = keras.Model(inputs, outputs).predict(np.array([[1, 2, 0], [3, 0, 0], [0, 4, 1]]), verbose=0)
    np.testing.assert_allclose(y.sum(-1), [[1, 1, 0], [1, 0, 0], [0, 1, 1]], rtol=1e-6)


def test_a_mask_of_an_axis_that_the_loss_reduces():
    rng = np.random.default_rng(0)
    y_true, y_pred = rng.normal(size=(2, 4, 3)).astype("float32")
    keep = np.array([[1, 1, 0], [1, 0, 0], [1, 1, 1], [0, 0, 0]], bool)
    expected = sum(
        (y_true[i, k] - y_pred[i, k]) @ (y_true[i, k] - y_pred[i, k]) / k.sum()
        for i, k in enumerate(keep[:3])
    )
    y_pred = keras.ops.convert_to_tensor(y_pred)
    y_pred._keras_mask = keras.ops.convert_to_tensor(keep)
    loss = losses.MeanSquaredError()(y_true, y_pred)
    # Of the sample without entries nothing is left, so the mean is over three.
    assert float(loss) == pytest.approx(expected / 3, rel=1e-5)


@pytest.mark.skipif(keras.backend.backend() != "torch", reason="a checkpoint of torch")
@pytest.mark.parametrize("reentrant", [True, False])
def test_probabilities_from_a_checkpoint_have_a_gradient(reentrant):
    """One that is reentrant hands on the result of a softmax with logits that have lost theirs."""
    from torch.utils.checkpoint import checkpoint

    layer = keras.layers.Dense(4, activation="softmax")
    x = keras.ops.convert_to_tensor(np.random.default_rng(0).normal(size=(6, 3)).astype("float32"))
    x.requires_grad_()
    loss = losses.SparseCategoricalCrossentropy()
    expected, got = (
        loss(np.arange(6) % 4, forward(x))
        for forward in (layer, lambda x: checkpoint(layer, x, use_reentrant=reentrant))
    )
    slopes = []
    for value in (expected, got):
        layer.zero_grad()
        value.backward()
        slopes.append(layer.kernel.value.grad.clone())
    np.testing.assert_allclose(slopes[1], slopes[0], rtol=1e-4, atol=1e-6)


@pytest.mark.skipif(keras.backend.backend() != "torch", reason="of torch")
@pytest.mark.parametrize(
    "loss", [losses.MatthewsCorrelation(from_logits=True), losses.Dice(from_logits=True)], ids=repr
)
def test_autocast_rounds_nothing_in_a_loss(loss):
    import torch

    rng = np.random.default_rng(0)
    y_true = np.eye(3, dtype="float32")[rng.integers(0, 3, size=(2, 40, 40))]
    y_pred = keras.ops.convert_to_tensor(rng.normal(size=(2, 40, 40, 3)).astype("float32"))
    expected = float(loss(y_true, y_pred))
    with torch.amp.autocast("cpu", torch.bfloat16):
        assert float(loss(y_true, y_pred)) == expected
