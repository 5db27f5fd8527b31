"""What Keras does to models beside training works on those with objects of this package."""

import inspect
import pydoc
import shutil
import warnings

import keras
import numpy as np
import pytest

import keras_actloss
from keras_actloss import activations, layers, losses

pytestmark = pytest.mark.slow

X = np.random.default_rng(0).normal(size=(32, 8)).astype("float32")
Y = np.arange(32) % 4


def _network():
    """Ours as `activation=`, with projections of its own, and with and without other weights."""
    x = inputs = keras.Input((8,))
    x = keras.layers.Dense(16, activation=activations.mish)(x)
    x = layers.SwiGLU(units=8)(x)
    x = layers.PReLU(alpha_initializer=0.25)(x)
    x = layers.Snake(frequency=0.5)(x)
    return _compiled(keras.Model(inputs, keras.layers.Dense(4)(x)))


def _compiled(model):
    loss = losses.SparseCategoricalCrossentropy(
        from_logits=True, class_weights=[1.0, 2.0, 1.0, 1.0]
    )
    # What takes less time here: JAX compiles each op that is new to it.
    eagerly = keras.backend.backend() != "jax"
    model.compile(keras.optimizers.SGD(0.1), loss, run_eagerly=eagerly)
    return model


def _output(model):
    return keras.ops.convert_to_numpy(model(X))


def _reloaded(model, folder):
    model.save(folder / "model.keras")
    return keras.models.load_model(folder / "model.keras")


def _learns(model):
    """Whether steps of training lower the loss."""
    values = [float(model.train_on_batch(X, Y)) for _ in range(5)]
    return values[-1] < values[0]


def test_quantized_models(tmp_path):
    model = _network()
    exact = _output(model)
    with warnings.catch_warnings():
        # Keras says so of inputs and of every layer that has no product to quantize.
        warnings.filterwarnings("ignore", ".*does not have a `quantize` method")
        model.quantize("int8")
    got = _output(model)
    assert 0 < np.abs(got - exact).max() < 0.05 * np.abs(exact).max()
    projection = next(x for x in model.layers if isinstance(x, layers.SwiGLU)).projection
    assert keras.backend.standardize_dtype(projection.kernel.dtype) == "int8"
    for again in (_reloaded(model, tmp_path), keras.models.clone_model(model)):
        again.set_weights(model.get_weights())
        np.testing.assert_array_equal(_output(again), got)


def test_low_rank_adaptation(tmp_path):
    model = _network()
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.Dense):
            layer.enable_lora(2)
    _compiled(model)
    frozen = {w.path: keras.ops.convert_to_numpy(w) for w in model.non_trainable_weights}
    assert sum(path.endswith("/kernel") for path in frozen) == 3
    assert _learns(model)
    for weight in model.non_trainable_weights:
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(weight), frozen[weight.path])
    again = _reloaded(model, tmp_path)
    np.testing.assert_allclose(_output(again), _output(model), rtol=1e-5, atol=1e-6)


def test_rematerialization():
    keras.utils.set_random_seed(0)
    plain = _network()
    keras.utils.set_random_seed(0)
    with keras.RematScope(mode="full"):
        model = _network()
    model.set_weights(plain.get_weights())
    for _ in range(3):
        np.testing.assert_allclose(
            model.train_on_batch(X, Y), plain.train_on_batch(X, Y), rtol=1e-5
        )
    np.testing.assert_allclose(_output(model), _output(plain), rtol=1e-4, atol=1e-6)


@keras.saving.register_keras_serializable("tests")
class Network(keras.Model):
    """A model of the subclassing kind."""

    def __init__(self, gate="last", **kwargs):
        super().__init__(**kwargs)
        self.gated = layers.SwiGLU(units=6, gate=gate)
        self.learned = layers.LearnedSnake()
        self.head = keras.layers.Dense(4, activation=layers.Softcap(cap=5.0))

    def call(self, x):
        return self.head(self.learned(self.gated(x)))

    def get_config(self):
        return {**super().get_config(), "gate": self.gated.gate}


def test_models_of_the_subclassing_kind(tmp_path):
    model = _compiled(Network(gate="interleaved"))
    assert _learns(model)
    again = _reloaded(model, tmp_path)
    assert again.gated.gate == "interleaved"
    np.testing.assert_allclose(_output(again), _output(model), rtol=1e-6, atol=1e-7)


# Keras Tuner calls methods of threads by their old names.
@pytest.mark.filterwarnings("ignore:currentThread.. is deprecated:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:getName.. is deprecated:DeprecationWarning")
@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="one backend is enough: slow")
def test_a_space_of_keras_tuner(tmp_path):
    import keras_tuner

    def build(space):
        activation = space.Choice("activation", ["Mish", "PReLU", "Snake"])
        loss = space.Choice("loss", ["SparseCategoricalCrossentropy", "SparseCategoricalBrier"])
        layer = keras_actloss.get("layers", activation)
        model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4), layer])
        model.compile("sgd", keras_actloss.get("losses", loss, from_logits=True), run_eagerly=True)
        return model

    tuner = keras_tuner.GridSearch(build, "val_loss", max_trials=6, directory=tmp_path)
    tuner.search(X, Y, validation_data=(X, Y), verbose=0)
    tried = {tuple(trial.hyperparameters.values.values()) for trial in tuner.oracle.trials.values()}
    assert len(tried) == 6
    best = tuner.get_best_models()[0]
    chosen = tuner.get_best_hyperparameters()[0]
    assert type(best.layers[-1]).__name__ == chosen["activation"]
    assert type(best.loss).__name__ == chosen["loss"]


def test_summary():
    lines = []
    _network().summary(print_fn=lines.append)
    rows = {
        row.split("(")[1].split(")")[0]: row for row in "".join(lines).split("\n") if "(" in row
    }
    assert "(None, 8)" in rows["SwiGLU"] and "272" in rows["SwiGLU"]
    assert "(None, 8)" in rows["PReLU"] and " 8 " in rows["PReLU"]
    assert "(None, 8)" in rows["Snake"] and " 0 " in rows["Snake"]


def test_plot(tmp_path):
    options = {"show_shapes": True, "show_layer_activations": True, "show_layer_names": True}
    text = keras.utils.model_to_dot(_network(), **options).to_string()
    assert "Activation: <b>mish</b>" in text
    for name in ("SwiGLU", "PReLU", "Snake"):
        assert f"({name})" in text
    if shutil.which("dot"):
        keras.utils.plot_model(_network(), tmp_path / "model.png", **options)
        assert (tmp_path / "model.png").stat().st_size


SHOWN = {
    layers.ELU: "(alpha=1.0, *, ",
    layers.PReLU: "(alpha_initializer",
    losses.Huber: "(delta=1.0, *, reduction",
    losses.WeightedSum: "(losses, weights=None, *, reduction",
}


@pytest.mark.parametrize("cls", SHOWN)
def test_help(cls):
    """What `help` and Jupyter show names what may be given, the base's arguments too."""
    signature = inspect.signature(cls)
    assert str(signature).startswith(SHOWN[cls])
    assert {"name", "dtype"} < set(signature.parameters) and "kwargs" not in signature.parameters
    text = pydoc.render_doc(cls, renderer=pydoc.plaintext)
    assert f" {cls.__name__}(" in text and "Example:" in text
