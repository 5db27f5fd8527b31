"""Gradients and compilation on whichever backend Keras runs on."""

import importlib
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_actloss.testing.report import NotApplicable


def _numpy(x) -> Any:
    if x is None:
        return None
    if keras.backend.standardize_dtype(x.dtype) == "bfloat16":
        x = ops.cast(x, "float32")
    return ops.convert_to_numpy(x)


def off_differences(value, gradient, x, step, room=1.0):
    """How far a gradient at `x` is off differences of `value(x)`, a number: a share of these.

    The median of seven random directions, for a kink may lie in some; steps are scaled by `room`.
    """
    rng, shares = np.random.default_rng(1), []
    for _ in range(7):
        direction = rng.normal(size=x.shape).astype("float32") * room
        after, before = (value(x + side * step * direction) for side in (1, -1))
        difference = (after - before) / (2 * step)
        miss = abs(np.sum(gradient * direction) - difference)
        shares.append(miss / (abs(difference) + 0.05 * np.abs(gradient).max() + 1e-6))
    return np.median(shares)


def value_and_gradient(function, x, upstream=None, through=None) -> tuple[Any, Any]:
    """`function(x)` and the gradient of `sum(upstream * function(x))`, as NumPy arrays.

    Args:
        function: From one tensor to one tensor.
        x: Tensor or array.
        upstream: What the result is multiplied with before the sum. Defaults to `None`, all 1.
        through: `compiled` or `at_once`, for what is computed to go through it. Defaults to `None`,
            one op after the other.

    Returns:
        `(value, gradient)`; the gradient is `None` where the backend finds no path to `x`.
    """
    x, through = ops.convert_to_tensor(x), through or (lambda function: function)

    def total(value):
        return ops.sum(value if upstream is None else value * ops.cast(upstream, value.dtype))

    name = keras.backend.backend()
    if name == "jax":
        jax = importlib.import_module("jax")

        def with_value(x):
            value = function(x)
            return total(value), value

        gradient, value = through(jax.grad(with_value, has_aux=True))(x)
    elif name == "tensorflow":
        tf = importlib.import_module("tensorflow")

        def both(x):
            with tf.GradientTape() as tape:
                tape.watch(x)
                value = function(x)
                summed = total(value)
            return tape.gradient(summed, x), value

        gradient, value = through(both)(x)
    elif name == "torch":
        x = x.detach().clone().requires_grad_()
        value = through(function)(x)
        summed = total(value)
        if summed.requires_grad:
            summed.backward()
        gradient, value = x.grad, value.detach()
    else:
        raise RuntimeError(f"the {name} backend has no gradients; set KERAS_BACKEND")
    return _numpy(value), _numpy(gradient)


def gradient_of(function, x) -> Any:
    """The gradient of `function(x)`, one number, as a tensor that has a gradient itself."""
    name = keras.backend.backend()
    if name == "jax":
        return importlib.import_module("jax").grad(function)(x)
    if name == "torch":
        torch = importlib.import_module("torch")
        return torch.autograd.grad(function(x), x, create_graph=True)[0]
    tf = importlib.import_module("tensorflow")
    with tf.GradientTape() as tape:
        tape.watch(x)
        value = function(x)
    return tape.gradient(value, x)


def compiles():
    """Whether Keras's own ops can be compiled on this backend."""
    version = tuple(map(int, keras.version().split(".")[:2]))
    return keras.backend.backend() != "torch" or version >= (3, 15)


def compiled(function):
    """`function` of tensors under `jax.jit`, XLA or a full-graph `torch.compile`."""
    name = keras.backend.backend()
    module = importlib.import_module(name)
    if name == "jax":
        return module.jit(function)
    if name == "tensorflow":
        return module.function(function, jit_compile=True)
    if not compiles():
        raise NotApplicable("before Keras 3.15 any of its ops breaks a graph of torch.compile")
    # Many objects pass through the same lines of a check: what was compiled for one is dropped.
    module.compiler.reset()
    # The graph is captured whole, then run as it is: what is tested is that it can be captured.
    return module.compile(function, fullgraph=True, backend="eager", dynamic=False)


def graph(function):
    """`function` as a graph of TensorFlow, which its optimizer rewrites and XLA does not see."""
    return importlib.import_module("tensorflow").function(function)


def at_once(function):
    """`function` as one program on JAX, where each op alone is compiled anew for a new size."""
    return compiled(function) if keras.backend.backend() == "jax" else function


def array(x) -> Any:
    """A tensor of any dtype as a NumPy array of float64 or of its integer dtype."""
    x = _numpy(ops.convert_to_tensor(x))
    return x.astype("float64") if np.issubdtype(x.dtype, np.floating) else x
