"""Each fix for a defect of Keras is still needed: a failure here says which can go."""

import importlib.metadata
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
from keras import ops

from keras_actloss import activations, losses
from keras_actloss.core import keras_fixes, tensors
from keras_actloss.core.numerics import with_gradient

BACKEND = keras.backend.backend()
OLDEST = next(
    wanted.removeprefix("keras>=")
    for wanted in importlib.metadata.requires("keras-actloss")
    if wanted.startswith("keras>=")
)

LOGITS = """
import jax, keras, numpy as np
kept = []
def look(x):
    kept.append(hasattr(keras.activations.sigmoid(x), "_keras_logits"))
    return x
jax.jit(look)(np.zeros(3))
print(kept)
"""


@pytest.mark.skipif(BACKEND != "jax", reason="tensors of other backends take attributes")
def test_keras_loses_logits_on_tracers():
    environment = {**os.environ, "KERAS_BACKEND": "jax"}
    run = subprocess.run(
        [sys.executable, "-c", LOGITS], env=environment, capture_output=True, text=True, check=True
    )
    assert run.stdout.split()[-1] == "[False]"


@pytest.mark.skipif(BACKEND != "jax", reason="the fix is for JAX")
def test_logits_stay_with_their_tracer():
    import jax

    def look(x):
        y = keras.activations.sigmoid(x)
        assert y._keras_logits is x and not hasattr(x + 1, "_keras_logits")
        return y

    jax.jit(look)(np.zeros(3))


REPLICAS = """
import keras, numpy as np, tensorflow as tf
from keras_actloss.core import keras_fixes
two = [tf.config.LogicalDeviceConfiguration()] * 2
tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], two)
seen = []
class Seen(keras.losses.MeanSquaredError):
    def __call__(self, y_true, y_pred, sample_weight=None):
        seen.append((y_true.dtype.name, keras_fixes.builds_for_replicas()))
        return super().__call__(y_true, y_pred, sample_weight)
with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile("sgd", Seen())
model.fit(np.zeros((2, 1)), np.zeros((2, 1), "int32"), verbose=0)
print(sorted(set(seen)))
"""


@pytest.mark.skipif(BACKEND != "tensorflow", reason="of tf.distribute")
def test_keras_builds_for_replicas_on_the_mean_of_class_ids():
    run = subprocess.run([sys.executable, "-c", REPLICAS], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines()[-1] == "[('float64', True), ('int32', False)]"


@pytest.mark.parametrize("op", [ops.max, ops.amax])
def test_keras_refuses_an_empty_maximum(op):
    refuses = {"tensorflow": ops.amax, "torch": ops.max}
    if refuses.get(BACKEND) is not op:
        pytest.skip("this one works")
    with pytest.raises(Exception):  # noqa: B017 - the backends raise what they like
        op(ops.zeros((0, 3)), axis=-1)


def test_maximum_of_an_empty_batch():
    assert tuple(keras_fixes.amax(ops.zeros((0, 3)), -1).shape) == (0,)
    assert tuple(keras_fixes.amax(ops.zeros((0, 3)), -1, keepdims=True).shape) == (0, 1)


def test_sum_of_a_square_matrix_and_a_column():
    """Keras takes the column for a bias on TensorFlow."""
    square, column = ops.zeros((2, 2)), ops.convert_to_tensor([[1.0], [2.0]])
    right = [[1, 1], [2, 2]]
    assert ops.convert_to_numpy(keras_fixes.add(square, column)).tolist() == right
    keras_is_right = ops.convert_to_numpy(ops.add(square, column)).tolist() == right
    assert keras_is_right == (BACKEND != "tensorflow")


@pytest.mark.skipif(BACKEND != "torch", reason="other backends keep float64")
def test_keras_takes_means_of_float64_through_float32():
    values = ops.convert_to_tensor(np.array([0.1]), dtype="float64")
    assert float(ops.mean(values)) != 0.1
    assert float(tensors.mean(values)) == 0.1


@pytest.mark.skipif(not keras.version().startswith(OLDEST), reason="corrected in later releases")
def test_the_oldest_keras_takes_one_axis():
    refuses = {"torch": ops.any, "tensorflow": ops.flip}
    if BACKEND not in refuses:
        pytest.skip("takes several")
    with pytest.raises(Exception):  # noqa: B017 - the backends raise what they like
        refuses[BACKEND](ops.ones((2, 2, 2), dtype="bool"), axis=(0, 2))


def test_one_axis_after_the_other():
    x = np.arange(8).reshape(2, 2, 2)
    assert ops.convert_to_numpy(keras_fixes.over_axes(ops.any, x > 6, (0, 2))).tolist() == [0, 1]
    flipped = keras_fixes.over_axes(ops.flip, x, (0, 2))
    np.testing.assert_array_equal(flipped, np.flip(x, (0, 2)))


def test_keras_forgets_the_dtype_of_losses():
    loss = keras.losses.MeanSquaredError(dtype="bfloat16")
    assert keras.losses.MeanSquaredError.from_config(loss.get_config()).dtype != "bfloat16"


def test_keras_rounds_class_ids():
    class Seen(keras.losses.Loss):
        def call(self, y_true, y_pred):
            self.ids = ops.convert_to_numpy(ops.cast(y_true, "int32"))
            return ops.zeros_like(y_pred)

    loss = Seen(dtype="bfloat16")
    loss(np.array([1001]), np.array([0.0]))
    assert loss.ids.tolist() == [1000]


@pytest.mark.skipif(BACKEND == "torch", reason="the kernels of torch keep NaN")
@pytest.mark.parametrize(
    "shrink", [ops.hard_shrink, ops.soft_shrink, lambda x: ops.threshold(x, 0.5, 0.0)]
)
def test_keras_hides_nan_in_shrinkage(shrink):
    assert float(shrink(np.float32("nan"))) == 0


def test_keras_keeps_nan_of_weight_zero():
    loss = keras.losses.MeanSquaredError()
    assert np.isnan(float(loss(np.array([[np.nan], [1.0]]), np.zeros((2, 1)), np.array([0, 1]))))


@pytest.mark.skipif(BACKEND != "torch", reason="the fix is for torch")
def test_torch_cannot_compile_a_gradient_of_three_tensors():
    import torch

    def three(*tensors):
        return sum(tensors), lambda *args, upstream: (2 * upstream, None, None)

    def compiled(custom_gradient):
        torch.compiler.reset()
        function = custom_gradient(three)
        return torch.compile(lambda x: function(x, x + 1, x + 2), fullgraph=True, backend="eager")

    x = torch.ones(2)
    with pytest.raises(torch._dynamo.exc.Unsupported):
        compiled(ops.custom_gradient)(x)
    assert compiled(keras_fixes.custom_gradient)(x).tolist() == [6, 6]
    x.requires_grad = True
    (gradient,) = torch.autograd.grad(compiled(keras_fixes.custom_gradient)(x).sum(), x)
    assert gradient.tolist() == [2, 2]


GRADIENTS = """
import keras, warnings
from keras_actloss.core import keras_fixes
for custom_gradient in (keras.ops.custom_gradient, keras_fixes.custom_gradient):
    with warnings.catch_warnings(record=True) as caught:
        assert custom_gradient(lambda x: (2 * x, None))(1.0) == 2
    print(len(caught))
"""


@pytest.mark.skipif(BACKEND != "jax", reason="one backend is enough: another is started")
def test_keras_warns_of_gradients_that_nobody_takes():
    environment = {**os.environ, "KERAS_BACKEND": "numpy"}
    run = subprocess.run(
        [sys.executable, "-c", GRADIENTS], env=environment, capture_output=True, text=True
    )
    assert run.stdout.split() == ["1", "0"], run.stderr


@pytest.mark.skipif(keras.backend.backend() != "torch", reason="of torch")
def test_ctc_cannot_be_compiled():
    import torch

    def loss(log_p, labels, length):
        return torch.nn.functional.ctc_loss(log_p, labels, length, length)

    log_p, labels = torch.zeros(3, 2, 4), torch.ones((2, 1), dtype=torch.int32)
    compiled = torch.compile(loss, fullgraph=True, backend="eager")
    with pytest.raises(torch._dynamo.exc.Unsupported):
        compiled(log_p, labels, torch.ones(2, dtype=torch.int32))


@pytest.mark.skipif(BACKEND != "tensorflow", reason="other graphs have fixed shapes")
def test_several_sequences_of_unknown_length_cannot_be_scanned():
    import tensorflow as tf

    def total(scan):
        def step(carry, frame):
            carry = carry + frame[0] * frame[1]
            return carry, carry

        def of(x, y):
            return scan(step, ops.zeros(2), (x, y))[1]

        return tf.function(of, input_signature=[tf.TensorSpec((None, 2))] * 2)

    x = np.arange(6.0, dtype="float32").reshape(3, 2)
    with pytest.raises(AttributeError, match="assert_is_compatible_with"):
        total(ops.scan)(x, x)
    np.testing.assert_array_equal(total(keras_fixes.scan)(x, x), np.cumsum(x * x, axis=0))


@pytest.mark.skipif(BACKEND != "tensorflow", reason="other backends count")
@pytest.mark.parametrize(
    ("loop", "works"),
    [
        (lambda step, x, times: ops.fori_loop(0, times, lambda _, x: step(x), x), False),
        (lambda step, x, times: ops.scan(lambda x, _: (step(x), x), x, length=times)[0], False),
        (keras_fixes.counted_loop, True),
    ],
    ids=["fori_loop", "scan", "ours"],
)
def test_loops_whose_gradient_xla_compiles(loop, works):
    import tensorflow as tf

    @tf.function(jit_compile=True)
    def gradient(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = loop(ops.square, x, 3)
        return tape.gradient(y, x)

    if works:
        assert float(gradient(tf.constant(2.0))) == 8 * 2**7
    else:
        with pytest.raises(tf.errors.InvalidArgumentError, match="XLA compilation requires"):
            gradient(tf.constant(2.0))


@pytest.mark.skipif(BACKEND != "jax", reason="other backends differentiate the gradient alone")
@pytest.mark.parametrize(("opaque", "second"), [(False, 8.0), (True, 12.0)])
def test_a_gradient_of_a_gradient_is_that_of_the_gradient(opaque, second):
    """`x**4`, of a square with a constant in it that hides half of its derivative."""
    import jax

    square = with_gradient(
        lambda x: ops.stop_gradient(x) * x, lambda upstream, x: upstream * 2 * x, opaque=opaque
    )
    assert jax.grad(jax.grad(lambda x: square(x) ** 2))(1.0) == second


@pytest.mark.skipif(BACKEND == "jax", reason="JAX takes any axis")
def test_keras_takes_no_axis_of_one_hot_from_the_end():
    """TensorFlow refuses it, and on torch it is another one."""
    if BACKEND == "torch":
        assert tuple(ops.one_hot([[0, 1, 1]], 2, axis=-2).shape) != (1, 2, 3)
        return
    with pytest.raises(Exception, match="Expected axis"):
        ops.one_hot([[0, 1, 1]], 2, axis=-2)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="other backends take its value")
def test_keras_hands_on_a_variable():
    variable = keras.Variable(np.zeros(3))
    assert ops.convert_to_tensor(variable) is variable
    assert ops.convert_to_tensor(variable.value) is variable.value


@pytest.mark.parametrize("unpacked", [False, True], ids=["of Keras", "of the backend"])
def test_variables_are_inputs_as_any_other(unpacked):
    numbers = np.array([[0.5, -2.0], [1.0, 3.0]], "float32")
    variable = keras.Variable(numbers)
    x = variable.value if unpacked else variable
    loss = losses.BinaryCrossentropy(from_logits=True)
    for function in (
        activations.mish,
        lambda x: loss([[0, 1], [1, 1]], x),
        lambda x: losses.coral([0, 2], x),
    ):
        expected = ops.convert_to_numpy(function(numbers))
        np.testing.assert_allclose(ops.convert_to_numpy(function(x)), expected, rtol=1e-6)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="of the tape")
def test_a_variable_has_a_gradient():
    import tensorflow as tf

    variable = keras.Variable([[0.5, -2.0]])
    with tf.GradientTape() as tape:
        loss = losses.BinaryCrossentropy(from_logits=True)([[1, 0]], variable)
    assert np.all(tape.gradient(loss, variable.value) != 0)


@pytest.mark.skipif(BACKEND != "torch", reason="of the transforms of torch.func")
@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (ops.custom_gradient(lambda x: (x, lambda *_, upstream: upstream)), "setup_context"),
        (lambda x: ops.moveaxis(x, 0, -1), "Batching rule not implemented"),
    ],
    ids=["gradient", "moveaxis"],
)
def test_torch_cannot_map(function, reason):
    with pytest.raises(RuntimeError, match=reason):
        ops.vectorized_map(function, ops.ones((2, 3, 2)))


@pytest.mark.skipif(BACKEND != "torch", reason="of the transforms of torch.func")
def test_torch_cannot_map_a_gradient_beside_one_hot_labels():
    import torch

    gradient = torch.func.grad(lambda x, i: ops.sum(x * ops.one_hot(i, 3)))
    with pytest.raises(RuntimeError, match="data-dependent"):
        torch.func.vmap(gradient)(ops.ones((2, 3)), ops.zeros(2, "int32"))
