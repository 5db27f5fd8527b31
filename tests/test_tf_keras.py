"""In tf_keras the twins of all classes compute, train, save and load as the classes do in Keras."""

import copy
import importlib
import inspect
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from catalogue import ACTIVATIONS, HEADS, LOSSES

from keras_actloss import activations, layers, losses, testing
from keras_actloss.core import registry

if keras.backend.backend() != "tensorflow":
    pytest.skip("tf_keras computes with TensorFlow", allow_module_level=True)

import tensorflow as tf
import tf_keras

from keras_actloss import tf_keras as bridge

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file:UserWarning"),
]

OF_KERAS = {"layers": layers, "losses": losses}
OF_TF_KERAS = {"layers": bridge.layers, "losses": bridge.losses}
TWINS = [
    (cls, getattr(OF_TF_KERAS[kind], name))
    for kind in OF_KERAS
    for name, cls in registry.CATALOGUE[kind].items()
    if isinstance(cls, type)
]
VITERBI = next(layer for layer in HEADS if isinstance(layer, layers.Viterbi))
LAYERS = [layer for layer in [*ACTIVATIONS, *HEADS] if layer is not VITERBI]
FORMATS = ["model.h5", "model.keras", "model"]


def _shown(thing):
    return repr(thing)[:60]


def _named(thing):
    return getattr(thing, "__name__", None)


def _through_json(thing):
    # What Keras notes of the shape that a layer was built for is no setting.
    return {k: v for k, v in json.loads(json.dumps(thing)).items() if k != "build_config"}


@pytest.fixture(autouse=True)
def same_policy():
    tf_keras.utils.set_random_seed(0)
    yield
    tf_keras.mixed_precision.set_global_policy("float32")


def test_none_is_missing():
    bases = {"layers": {"ActivationLayer", "LearnedActivation"}, "losses": {"Loss"}}
    for kind, module in OF_TF_KERAS.items():
        assert set(OF_KERAS[kind].__all__) - set(module.__all__) == bases[kind]
        assert set(module.__all__) <= set(dir(module))
    assert bridge.activations.__all__ == activations.__all__
    for kind in ("activations", "losses"):
        for name, thing in registry.CATALOGUE[kind].items():
            if inspect.isfunction(thing):
                assert getattr(getattr(bridge, kind), name) is thing
                assert tf_keras.saving.get_registered_object(f"keras_actloss>{name}") is thing


@pytest.mark.parametrize(("cls", "twin"), TWINS, ids=_named)
def test_a_twin_looks_like_its_class(cls, twin):
    base = tf_keras.losses.Loss if issubclass(cls, losses.Loss) else tf_keras.layers.Layer
    assert issubclass(twin, base)
    assert twin.__name__ == cls.__name__ and twin.__doc__ == cls.__doc__
    assert getattr(sys.modules[twin.__module__], twin.__name__) is twin
    assert inspect.signature(twin) == inspect.signature(cls)
    name = keras.saving.get_registered_name(cls)
    assert tf_keras.saving.get_registered_name(twin) == name
    assert tf_keras.saving.get_registered_object(name) is twin


@pytest.mark.parametrize("layer", [*LAYERS, VITERBI], ids=_shown)
def test_configs_of_layers_in_both_worlds(layer):
    config = _through_json(keras.saving.serialize_keras_object(layer))
    twin = tf_keras.layers.deserialize(copy.deepcopy(config))
    there = _through_json(tf_keras.saving.serialize_keras_object(twin))
    assert there["config"].keys() == config["config"].keys()
    again = keras.saving.deserialize_keras_object(copy.deepcopy(there))
    assert _through_json(keras.saving.serialize_keras_object(again)) == config
    again = tf_keras.layers.deserialize(there)
    assert again.get_config() == twin.get_config()


@pytest.mark.parametrize("loss", LOSSES, ids=_shown)
def test_configs_and_values_of_losses_in_both_worlds(loss):
    config = _through_json(keras.saving.serialize_keras_object(loss))
    twin = tf_keras.losses.deserialize(copy.deepcopy(config))
    assert isinstance(twin, bridge.twin(type(loss)))
    there = _through_json(tf_keras.saving.serialize_keras_object(twin))
    again = keras.losses.deserialize(copy.deepcopy(there))
    assert _through_json(keras.saving.serialize_keras_object(again)) == config
    assert tf_keras.saving.deserialize_keras_object(there).get_config() == twin.get_config()
    y_true, y_pred = testing.example_inputs(loss)
    weight = np.linspace(0, 1, len(y_pred))
    np.testing.assert_array_equal(twin(y_true, y_pred, weight), loss(y_true, y_pred, weight))


def _model(of, found):
    """A model of a Keras with an output of each layer, whose class there is `found` of ours."""
    x = of.Input((4, 6), name="x")
    hidden = of.layers.Dense(6, kernel_initializer="identity")(x)
    outputs = {}
    for i, layer in enumerate(LAYERS):
        config = {**layer.get_config(), "name": f"layer_{i}"}
        outputs[f"activation_{i}"] = found(type(layer)).from_config(config)(hidden)
    return of.Model({"x": x}, outputs)


@pytest.fixture(scope="module")
def models():
    return _model(keras, lambda cls: cls), _model(tf_keras, bridge.twin)


X = {"x": np.random.default_rng(0).normal(size=(2, 4, 6)).astype("float32")}


def _same(model, again, rtol=1e-6):
    y, z = model(X), again(X)
    for i, layer in enumerate(LAYERS):
        name = f"activation_{i}"
        assert np.isfinite(y[name]).any()
        np.testing.assert_allclose(z[name], y[name], rtol=rtol, atol=1e-6, err_msg=repr(layer))


def test_layers_compute_the_same_with_each_others_weights(models, tmp_path):
    here, there = models
    assert [w.shape for w in here.get_weights()] == [
        w.shape
        for w, v in zip(there.get_weights(), there.weights, strict=True)
        if "seed" not in v.name
    ]
    here.save_weights(tmp_path / "here.weights.h5")
    there.load_weights(tmp_path / "here.weights.h5")
    _same(here, there)
    for weight in there.trainable_weights:
        weight.assign(weight + 0.125)
    there.save_weights(tmp_path / "there.weights.h5")
    here.load_weights(tmp_path / "there.weights.h5")
    _same(here, there)


@pytest.mark.parametrize("format", FORMATS)
def test_layers_are_saved(format, models, tmp_path):
    _, model = models
    model.save(tmp_path / format)
    again = tf_keras.models.load_model(tmp_path / format, compile=False)
    _same(model, again)
    assert [type(layer) for layer in again.layers] == [type(layer) for layer in model.layers]


IDS = np.random.default_rng(1).integers(1, 9, size=(8, 5))
IDS[::2, 3:] = 0  # Masked.
LABELS = np.random.default_rng(2).integers(0, 4, size=(8, 5))
WEIGHT = np.linspace(0, 2, 8).astype("float32")


def _tagger(of, layers, head):
    embedding = of.layers.Embedding(9, 6, mask_zero=True)
    return of.Sequential([of.Input((5,)), embedding, of.layers.Dense(4), layers.Mish(), head])


@pytest.mark.parametrize(
    ("name", "settings", "head", "labels"),
    [
        ("SparseCategoricalCrossentropy", {"from_logits": True}, "Linear", LABELS),
        ("SequenceCrossentropy", {"from_logits": True}, "SparsePlus", LABELS),
        ("LinearChainCRF", {}, "CRF", LABELS),
        ("CTC", {"from_logits": True}, "Linear", 1 + LABELS[:, :2] % 3),
        ("Dice", {"from_logits": True, "encoding": "ids", "per": "batch"}, "Linear", LABELS),
    ],
)
def test_fit_with_masks_and_weights_as_in_keras(name, settings, head, labels):
    """tf_keras multiplies the weights with the mask and hands over both."""
    here = _tagger(keras, layers, getattr(layers, head)())
    there = _tagger(tf_keras, bridge.layers, getattr(bridge.layers, head)())
    here.compile("sgd", getattr(losses, name)(**settings), run_eagerly=True)
    there.compile("sgd", getattr(bridge.losses, name)(**settings), run_eagerly=True)
    there.set_weights(here.get_weights())
    before = here.get_weights()
    for weight in (None, WEIGHT):
        values = [m.fit(IDS, labels, sample_weight=weight, verbose=0) for m in (here, there)]
        assert values[1].history["loss"] == pytest.approx(values[0].history["loss"], rel=1e-6)
    for start, w, v in zip(before, here.get_weights(), there.get_weights(), strict=True):
        np.testing.assert_allclose(v, w, rtol=1e-5, atol=1e-6)
        assert not np.array_equal(w, start)


def test_masks_leave_and_viterbi_reads_them():
    model = _tagger(tf_keras, bridge.layers, bridge.layers.CRF())
    tags = tf_keras.Sequential([model, bridge.layers.Viterbi()]).predict(IDS, verbose=0)
    np.testing.assert_array_equal(tags == -1, IDS == 0)


def test_scores_are_not_rounded_before_the_best_path_is_found():
    layer = bridge.layers.Viterbi(dtype="mixed_float16")
    np.testing.assert_array_equal(layer(np.float32([[[[1000, 1000.1], [0, 0]]]])), [[1]])


def _trained(loss):
    """A model with each kind of weight: learned, of a part, of a generator."""
    model = tf_keras.Sequential(
        [
            tf_keras.Input((5,)),
            tf_keras.layers.Dense(4),
            bridge.layers.PReLU(
                alpha_initializer=tf_keras.initializers.Constant(0.02),
                alpha_regularizer=tf_keras.regularizers.L1(0.1),
                alpha_constraint="non_neg",
            ),
            bridge.layers.SwiGLU(units=3, kernel_regularizer="l2"),
            bridge.layers.RReLU(seed=1),
            bridge.layers.OrdinalDense(4),
        ]
    )
    model.compile("sgd", loss)
    model.fit(INPUTS, RANKS, epochs=2, verbose=0)
    return model


INPUTS = np.random.default_rng(3).normal(size=(32, 5)).astype("float32")
RANKS = np.arange(32) % 4


@pytest.fixture(scope="module")
def trained():
    tf_keras.utils.set_random_seed(0)
    return _trained(bridge.losses.CORAL(ignore_class=3))


def test_weights_are_regularized_and_constrained():
    model = _trained(bridge.losses.CORAL())
    prelu = model.layers[1]
    np.testing.assert_allclose(model.losses[0], 0.1 * np.sum(prelu.alpha), rtol=1e-6)
    model.optimizer.learning_rate = 1.0
    model.fit(INPUTS, RANKS, verbose=0)
    assert isinstance(prelu.alpha_constraint, keras.constraints.NonNeg)
    np.testing.assert_array_equal(prelu.alpha, 0)


def test_activity_is_regularized():
    layer = bridge.layers.SquaredReLU(activity_regularizer=tf_keras.regularizers.L1(0.5))
    layer(np.full((2, 3), 2.0))
    assert float(layer.losses[0]) == 0.5 * 3 * 4, "a sample"
    again = bridge.layers.SquaredReLU.from_config(layer.get_config())
    assert again.activity_regularizer.l1 == 0.5
    assert layers.SquaredReLU.from_config(layer.get_config()).activity_regularizer.l1 == 0.5


@pytest.mark.parametrize("format", FORMATS)
def test_a_trained_model_goes_on_where_it_was(format, trained, tmp_path):
    trained.save(tmp_path / format)
    again = tf_keras.models.load_model(tmp_path / format)
    assert repr(again.loss) == repr(losses.CORAL(ignore_class=3))
    assert [type(layer) for layer in again.layers] == [type(layer) for layer in trained.layers]
    expected = trained.evaluate(INPUTS, RANKS, verbose=0)
    assert again.evaluate(INPUTS, RANKS, verbose=0) == pytest.approx(expected, rel=1e-6)
    weights = trained.get_weights()
    for model in (trained, again):  # Slopes are drawn too.
        model.fit(INPUTS, RANKS, shuffle=False, verbose=0)
    for start, w, v in zip(weights, trained.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_allclose(v, w, rtol=1e-6, atol=1e-7)
        assert not np.array_equal(w, start)


def test_a_saved_model_with_a_mask(tmp_path):
    model = _tagger(tf_keras, bridge.layers, bridge.layers.CRF())
    model.save(tmp_path / "model")
    again = tf_keras.models.load_model(tmp_path / "model", compile=False)
    np.testing.assert_allclose(again(IDS), model(IDS), rtol=1e-6, atol=1e-7)


def test_mixed_precision():
    tf_keras.mixed_precision.set_global_policy("mixed_float16")
    model = _trained(bridge.losses.CORAL())
    assert {w.dtype for w in model.trainable_weights} == {tf.float32}
    assert model(INPUTS).dtype == model.layers[1](INPUTS[:, :4]).dtype == "float16"
    assert np.isfinite(model.evaluate(INPUTS, RANKS, verbose=0))
    config = model.layers[2].get_config()
    here = layers.SwiGLU.from_config(config)
    assert here.dtype_policy.name == here.projection.dtype_policy.name == "mixed_float16"
    here.build((None, 4))
    here.set_weights(model.layers[2].get_weights())
    x = np.random.default_rng(0).normal(size=(3, 4))
    assert model.layers[2](x).dtype == here(x).dtype
    np.testing.assert_array_equal(model.layers[2](x), here(x))


@pytest.mark.parametrize("mean", ["auto", "mean", "sum_over_batch_size", "mean_with_sample_weight"])
def test_reductions(mean):
    y_true, y_pred, weight = np.zeros((3, 1)), np.array([[1.0], [2.0], [3.0]]), np.array([0, 1, 3])
    loss = bridge.losses.MeanAbsoluteError(reduction=mean)
    assert loss.reduction == "sum_over_batch_size", "the word of tf_keras for a mean"
    count = 4 if mean == "mean_with_sample_weight" else 3
    assert float(loss(y_true, y_pred, weight)) == pytest.approx(11 / count)
    loss.reduction = "none"
    np.testing.assert_array_equal(loss(y_true, y_pred, weight), [0, 2, 9])
    assert loss.get_config()["reduction"] == "none"
    loss.reduction = "sum"
    assert float(loss(y_true, y_pred, weight)) == 11
    loss.reduction = "auto"
    assert loss.get_config()["reduction"] == "sum_over_batch_size"


def test_parts_of_a_sum_are_metrics(tmp_path):
    parts = [bridge.losses.CORAL, bridge.losses.CORAL(ignore_class=3)]
    loss = bridge.losses.WeightedSum(parts, weights=[0.25, 2.0])
    model = tf_keras.Sequential([tf_keras.Input((5,)), tf_keras.layers.Dense(3)])
    model.compile("sgd", loss, metrics=loss.metrics())
    # A last batch of 8 weighs less.
    total, first, second = model.evaluate(INPUTS, RANKS, batch_size=24, verbose=0)
    assert total == pytest.approx(0.25 * first + 2 * second, rel=1e-6)
    model.save(tmp_path / "model.keras")
    again = tf_keras.models.load_model(tmp_path / "model.keras")
    assert repr(again.loss) == repr(loss)
    values = [m.evaluate(INPUTS, RANKS, batch_size=24, verbose=0) for m in (model, again)]
    assert values[1] == pytest.approx(values[0], rel=1e-6)


def test_settings_are_those_of_the_object():
    loss, layer = bridge.losses.Huber(delta=2.0), bridge.layers.ELU(0.5, name="mine")
    loss.delta = 3.0
    assert (loss.delta, loss.get_config()["delta"], loss.name) == (3.0, 3.0, "huber")
    assert float(loss([[0.0]], [[4.0]])) == 7.5
    assert (layer.alpha, layer.name, layer.held.name) == (0.5, "mine", "mine")
    with pytest.raises(ValueError, match="Huber: delta must be greater than 0"):
        loss.delta = -1.0
    with pytest.raises(TypeError, match="ELU has no argument aplha; it takes alpha"):
        bridge.layers.ELU(aplha=0.5)
    with pytest.raises(ValueError, match="unknown keys"):
        bridge.losses.Huber.from_config({"gamma": 1.0})
    with pytest.raises(TypeError, match="WeightedSum takes losses"):
        bridge.losses.WeightedSum([tf_keras.losses.MeanSquaredError()])


def test_projections_are_loaded():
    layer = bridge.layers.SwiGLU(units=2, use_bias=False)
    layer.load_projections(np.zeros((3, 2)), np.ones((3, 2)))
    here = layers.SwiGLU(units=2, use_bias=False)
    here.load_projections(np.zeros((3, 2)), np.ones((3, 2)))
    np.testing.assert_array_equal(layer(np.ones((1, 3))), here(np.ones((1, 3))))
    np.testing.assert_array_equal(layer.get_weights(), here.get_weights())


def test_shapes_are_known_and_others_refused():
    model = tf_keras.Sequential([bridge.layers.CReLU(input_shape=(3,)), tf_keras.layers.Dense(2)])
    assert model.layers[0].compute_output_shape((None, 3)) == (None, 6)
    assert tf_keras.Sequential.from_config(model.get_config()).output_shape == (None, 2)
    dense = bridge.layers.OrdinalDense(4)
    dense(np.ones((2, 5)))
    with pytest.raises(ValueError, match="expected axis -1 of input shape to have value 5"):
        dense(np.ones((2, 3)))
    again = layers.CReLU.from_config(model.layers[0].get_config())
    assert again.compute_output_shape((None, 3)) == (None, 6)


@keras.saving.register_keras_serializable("tests")
class Wave(layers.ActivationLayer):
    """One that a user has written for Keras 3."""

    def __init__(self, height=1.0, **kwargs):
        super().__init__(**kwargs)
        self.height = height

    def build(self, input_shape):
        self.phase = self.add_weight(name="phase", shape=input_shape[-1:], initializer="ones")
        super().build(input_shape)

    def call(self, inputs, training=False):
        return keras.ops.sin(inputs + self.phase) * (self.height if training else 0.0)


@pytest.mark.parametrize(
    "layer",
    [
        bridge.layers.ELU(alpha=0.5),
        bridge.layers.PReLU(alpha_initializer="uniform", trainable=False),
        bridge.layers.LearnedSnakeBeta(),
        bridge.layers.SwiGLU(units=3),
        bridge.layers.RReLU(seed=1),
        tf_keras.layers.Dense(3, activation=bridge.layers.LearnedSwish()),
    ],
    ids=_shown,
)
def test_layers_are_copied(layer):
    x = np.random.default_rng(0).normal(size=(4, 6)).astype("float32")
    copy.deepcopy(layer)(x)
    before = layer(x)
    layer.set_weights([weight + np.ones_like(weight) for weight in layer.get_weights()])
    copies = [copy.deepcopy(layer)]
    if not isinstance(layer, tf_keras.layers.Dense):
        copies.append(pickle.loads(pickle.dumps(layer)))
    for again in copies:
        np.testing.assert_array_equal(again(x), layer(x))
        assert (again.name, again.trainable) == (layer.name, layer.trainable)
        again.set_weights([weight - np.ones_like(weight) for weight in again.get_weights()])
        np.testing.assert_allclose(again(x), before, rtol=1e-5, atol=1e-6)


def test_classes_of_users(tmp_path):
    twin = bridge.twin(Wave)
    assert bridge.twin(Wave) is twin
    layer = twin(height=2.0)
    assert not np.any(layer(np.ones((1, 2)))) and layer.phase.shape == (2,)
    np.testing.assert_allclose(layer(np.ones((1, 2)), training=True), 2 * np.sin([[2.0, 2.0]]))
    config = tf_keras.saving.serialize_keras_object(layer)
    assert config["registered_name"] == "tests>Wave"
    assert tf_keras.saving.deserialize_keras_object(config).height == 2.0

    class Louder(twin):
        def __init__(self, factor, **kwargs):
            super().__init__(**kwargs)
            self.factor = factor

    assert list(inspect.signature(Louder).parameters) == ["factor", "kwargs"]
    assert Louder(3.0, height=2.0).height == 2.0
    with pytest.raises(TypeError, match="Loss, got <class 'keras"):
        bridge.twin(keras.losses.MeanSquaredError)


def test_an_old_name_answers_to_the_new_class(monkeypatch):
    monkeypatch.setattr(registry, "ALIASES", {})
    registry.add_alias("SmoothAbsolute", losses.Huber)
    monkeypatch.setattr(bridge.twins, "ALIASES", registry.ALIASES)
    try:
        bridge.twins.register()
        config = {"class_name": "keras_actloss>SmoothAbsolute", "config": {"delta": 0.5}}
        assert type(tf_keras.losses.get(config)) is bridge.losses.Huber
    finally:
        for of in (keras, tf_keras):
            of.saving.get_custom_objects().pop("keras_actloss>SmoothAbsolute", None)


def test_strings_are_resolved():
    """Which Keras 3 does for its own objects only."""
    assert tf_keras.layers.Dense(1, activation="keras_actloss>elu").activation is activations.elu
    assert type(tf_keras.losses.get("keras_actloss>Huber")) is bridge.losses.Huber


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("activation", [activations.elu, bridge.layers.ELU(alpha=0.5)], ids=_shown)
def test_activations_that_dense_accepts(activation, format, tmp_path):
    dense = tf_keras.layers.Dense(2, activation=activation)
    model = tf_keras.Sequential([tf_keras.Input((3,)), dense])
    model.save(tmp_path / format)
    if format == "model.h5" and activation is activations.elu:
        with pytest.raises(TypeError, match="Unknown activation function"):
            tf_keras.models.load_model(tmp_path / format)
        return
    again = tf_keras.models.load_model(tmp_path / format).layers[-1].activation
    if format == "model.h5":
        assert type(again) is tf_keras.layers.ELU, "as the guide says"
    elif activation is activations.elu:
        assert again is activation
    else:
        assert repr(again) == repr(activation)


def test_functions_of_symbolic_tensors():
    x = tf_keras.Input((3,))
    with pytest.raises(TypeError, match="does not allow registering custom dispatchers"):
        activations.mish(x)
    model = tf_keras.Model(x, tf_keras.layers.Activation(activations.mish)(x))
    expected = activations.mish(INPUTS[:, :3])
    np.testing.assert_allclose(model.predict(INPUTS[:, :3], verbose=0), expected, rtol=1e-6)


def test_files_in_the_other_world(trained, tmp_path):
    trained.save(tmp_path / "there.keras")
    again = keras.models.load_model(tmp_path / "there.keras", compile=False)
    assert type(again.layers[1]) is layers.PReLU
    np.testing.assert_allclose(again(INPUTS), trained(INPUTS), rtol=1e-6)
    again.save(tmp_path / "here.keras")
    with pytest.raises(TypeError, match="batch_shape"):
        tf_keras.models.load_model(tmp_path / "here.keras")


def test_without_tf_keras(monkeypatch):
    monkeypatch.setitem(sys.modules, "tf_keras", None)
    monkeypatch.delitem(sys.modules, "keras_actloss.tf_keras")
    with pytest.raises(ImportError, match=r'pip install "keras-actloss\[tf_keras\]"'):
        importlib.import_module("keras_actloss.tf_keras")


@pytest.fixture(scope="module")
def legacy(tmp_path_factory):
    path = tmp_path_factory.mktemp("legacy") / "results.npz"
    environment = {**os.environ, "TF_USE_LEGACY_KERAS": "1"}
    script = Path(__file__).parent / "legacy.py"
    done = subprocess.run(
        [sys.executable, script, path], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return np.load(path)


@pytest.mark.parametrize("name", ["crossentropy", "sum", "loop"])
def test_two_devices_train_as_one(name, legacy):
    keys = [key for key in legacy if key.startswith(name) and key.endswith("/1")]
    assert keys
    for key in keys:
        np.testing.assert_allclose(
            legacy[f"{key[:-1]}2"], legacy[key], rtol=1e-5, atol=1e-6, err_msg=key
        )


@pytest.mark.parametrize("format", FORMATS)
def test_tf_keras_in_place_of_keras(format, legacy):
    assert str(legacy["module"]) == tf_keras.layers.Dense.__module__
    np.testing.assert_allclose(legacy[f"saved/{format}"], legacy["saved/here"], rtol=1e-6)
