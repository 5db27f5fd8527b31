"""Gated layers that own their projections: shapes, weights in every layout, saving, training."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_actloss import activations, layers

pytestmark = pytest.mark.slow

RNG = np.random.default_rng(0)
GATE, VALUE = RNG.normal(size=(2, 6, 3)).astype("float32")
GATE_BIAS, VALUE_BIAS = RNG.normal(size=(2, 3)).astype("float32")
X = RNG.normal(size=(4, 5, 6)).astype("float32")
CLASSES = [
    layers.GLU,
    layers.Bilinear,
    layers.GTU,
    layers.SwiGLU,
    layers.GEGLU,
    layers.ReGLU,
    layers.ClippedSwiGLU,
]
ORDERS = ["first", "last", "interleaved"]


def _numpy(x):
    return ops.convert_to_numpy(x)


def _packed(gate, value, order):
    if order == "interleaved":
        return np.stack([gate, value], -1).reshape(*gate.shape[:-1], -1)
    return np.concatenate([gate, value] if order == "first" else [value, gate], -1)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("cls", CLASSES)
def test_both_layouts_of_weights_are_the_function_of_the_projections(cls, order):
    halves = _packed(X @ GATE + GATE_BIAS, X @ VALUE + VALUE_BIAS, order)
    expected = _numpy(cls.fn(halves, gate=order))
    separate = cls(3, gate=order)
    separate.load_projections(GATE, VALUE, GATE_BIAS, VALUE_BIAS)
    packed = cls(3, gate=order)
    packed.build(X.shape)
    packed.set_weights([_packed(GATE, VALUE, order), _packed(GATE_BIAS, VALUE_BIAS, order)])
    for layer in (separate, packed):
        np.testing.assert_allclose(_numpy(layer(X)), expected, rtol=1e-4, atol=1e-5)


def test_order_is_what_the_layer_says():
    assert [cls().gate for cls in CLASSES] == ["last"] * 3 + ["first"] + ["last"] * 2 + [
        "interleaved"
    ]


def test_is_dense_of_twice_the_units():
    layer = layers.SwiGLU(
        3,
        kernel_initializer=keras.initializers.Ones(),
        kernel_regularizer=keras.regularizers.L2(0.5),
        kernel_constraint="non_neg",
        use_bias=False,
    )
    layer.build((None, None, 6))
    assert [w.shape for w in layer.weights] == [(6, 6)]
    assert _numpy(layer.losses[0]) == 18
    assert isinstance(layer.weights[0].constraint, keras.constraints.NonNeg)
    assert layer.compute_output_shape((None, None, 6)) == (None, None, 3)
    assert layer(keras.Input((None, 6))).shape == (None, None, 3)
    restored = layers.SwiGLU.from_config(layer.get_config())
    assert restored.kernel_initializer.get_config() == layer.kernel_initializer.get_config()
    assert restored.kernel_regularizer.l2 == 0.5


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision(policy):
    layer = layers.SwiGLU(3, dtype=policy)
    result = layer(X)
    assert keras.backend.standardize_dtype(result.dtype) == policy.removeprefix("mixed_")
    assert {w.dtype for w in layer.weights} == {"float32"}


def test_trains_and_reloads(tmp_path):
    inputs = keras.Input((None, 6))
    model = keras.Model(inputs, layers.ClippedSwiGLU(3)(layers.SwiGLU(6)(inputs)))
    model.compile(keras.optimizers.Adam(0.01), "mse")
    target = RNG.normal(size=(4, 5, 3)).astype("float32")
    losses = model.fit(X, target, epochs=5, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(again.predict(X, verbose=0), model.predict(X, verbose=0), rtol=1e-6)


def test_a_frozen_layer_stays_frozen(tmp_path):
    frozen, layer = layers.SwiGLU(4, trainable=False), layers.SwiGLU(4)
    layer.trainable = False
    for each in (frozen, layer):
        model = keras.Sequential([keras.Input((5, 6)), each, keras.layers.Dense(1)])
        model.save(tmp_path / "model.keras")
        copies = keras.models.clone_model(model), keras.saving.load_model(tmp_path / "model.keras")
        for again in (model, *copies):
            assert [tuple(w.shape) for w in again.trainable_weights] == [(4, 1), (1,)]
    frozen.trainable = True
    assert len(frozen.trainable_weights) == 2


def test_a_policy_that_is_set_later():
    layer = layers.SwiGLU(3)
    layer.dtype_policy = "mixed_bfloat16"
    assert "bfloat16" in str(layer(X).dtype)
    again = layers.SwiGLU.from_config(layer.get_config())
    assert again.dtype_policy.name == again.projection.dtype_policy.name == "mixed_bfloat16"


@pytest.mark.parametrize(
    "change",
    [
        lambda projection: projection.quantize("int8"),
        lambda projection: projection.enable_lora(2),
    ],
)
def test_projections_that_are_not_plain_take_no_weights(change):
    layer = layers.SwiGLU(3)
    layer.load_projections(GATE, VALUE, GATE_BIAS, VALUE_BIAS)
    change(layer.projection)
    with pytest.raises(ValueError, match="load them before quantize and enable_lora"):
        layer.load_projections(GATE, VALUE, GATE_BIAS, VALUE_BIAS)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ((GATE.T, VALUE), r"gate must have the shape \(3, 3\), got \(3, 6\)"),
        ((GATE, VALUE.T), r"value must have the shape \(6, 3\), got \(3, 6\)"),
        ((GATE, VALUE), r"gate_bias must have the shape \(3,\), got None"),
        (
            (GATE, VALUE, GATE_BIAS[:2], VALUE_BIAS),
            r"gate_bias must have the shape \(3,\), got \(2,\)",
        ),
    ],
)
def test_weights_that_do_not_fit_are_refused(weights, message):
    with pytest.raises(ValueError, match=message):
        layers.SwiGLU(3).load_projections(*weights)


def test_what_makes_no_sense_is_refused():
    with pytest.raises(ValueError, match="no weights to load; name units"):
        layers.SwiGLU().load_projections(GATE, VALUE)
    with pytest.raises(ValueError, match="gate_bias must have the shape None"):
        layers.SwiGLU(3, use_bias=False).load_projections(GATE, VALUE, GATE_BIAS, VALUE_BIAS)
    for weights, named in (((None, VALUE), "gate"), ((GATE, GATE[0]), "value")):
        with pytest.raises(TypeError, match=rf"{named} must be a kernel of shape \(input_dim, 3\)"):
            layers.SwiGLU(3).load_projections(*weights)
    with pytest.raises(ValueError, match="axis must be -1 with units"):
        layers.SwiGLU(3, axis=1)
    with pytest.raises(ValueError, match="units must be greater than 0, got 0"):
        layers.SwiGLU(0)
    with pytest.raises(TypeError, match="units must be an integer or None"):
        layers.SwiGLU(2.5)
    with pytest.raises(ValueError, match="gate must be one of 'first', 'last', 'interleaved'"):
        layers.SwiGLU(gate="second")


@pytest.mark.parametrize("cls", CLASSES)
def test_an_axis_that_cannot_be_halved_is_refused(cls):
    message = r"even size at axis=-1 to be halved, got 5 in the shape \(4, 5\); give it twice"
    for call in (cls.fn, cls()):
        with pytest.raises(ValueError, match=message):
            call(np.ones((4, 5), "float32"))
    with pytest.raises(ValueError, match="even size at axis=-1"):
        cls()(keras.Input((5,)))
    with pytest.raises(ValueError, match=r"axis=2 does not exist in x of shape \(4, 6\)"):
        cls.fn(np.ones((4, 6), "float32"), axis=2)


def test_a_masked_axis_is_halved_with_its_mask():
    x = np.ones((1, 4, 2), "float32")
    x[:, 3] = 0
    inputs = keras.Input((4, 2))
    result = layers.GLU(axis=1)(keras.layers.Masking()(inputs))
    model = keras.Model(inputs, result)
    assert _numpy(model(x)._keras_mask).tolist() == [[True, False]]


def test_nothing_overflows_or_vanishes_that_need_not():
    x = np.array([[-100.0, 1e30], [-5.0, 3e38], [2e-38, 1e30], [3e38, 1e-30]])
    rounded = ops.cast(x, "bfloat16")
    gate, value = _numpy(ops.cast(rounded, "float32")).astype("float64").T
    got = _numpy(ops.cast(activations.swiglu(rounded), "float32"))[:, 0]
    np.testing.assert_allclose(got, gate / (1 + np.exp(-gate)) * value, rtol=2**-8)


def test_units_may_be_an_integer_of_numpy():
    layer = layers.SwiGLU(np.int64(5))
    assert layer(np.ones((2, 3), "float32")).shape == (2, 5) and layer.get_config()["units"] == 5


def test_the_settings_of_a_layer_with_units_are_shown():
    layer = layers.SwiGLU(units=4, kernel_regularizer="l2")
    assert "kernel_initializer=GlorotUniform(" in repr(layer) and " at 0x" not in repr(layer)
