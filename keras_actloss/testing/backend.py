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


def value_and_gradient(function, x, upstream=None) -> tuple[Any, Any]:
    """`function(x)` and the gradient of `sum(upstream * function(x))`, as NumPy arrays.

    Args:
        function: From one tensor to one tensor.
        x: Tensor or array.
        upstream: What the result is multiplied with before the sum. Defaults to `None`, all 1.

    Returns:
        `(value, gradient)`; the gradient is `None` where the backend finds no path to `x`.
    """
    x = ops.convert_to_tensor(x)

    def total(value):
        return ops.sum(value if upstream is None else value * ops.cast(upstream, value.dtype))

    name = keras.backend.backend()
    if name == "jax":
        jax = importlib.import_module("jax")

        def with_value(x):
            value = function(x)
            return total(value), value

        gradient, value = jax.grad(with_value, has_aux=True)(x)
    elif name == "tensorflow":
        tf = importlib.import_module("tensorflow")
        with tf.GradientTape() as tape:
            tape.watch(x)
            value = function(x)
            summed = total(value)
        gradient = tape.gradient(summed, x)
    elif name == "torch":
        x = x.detach().clone().requires_grad_()
        value = function(x)
        summed = total(value)
        if summed.requires_grad:
            summed.backward()
        gradient, value = x.grad, value.detach()
    else:
        raise RuntimeError(f"the {name} backend has no gradients; set KERAS_BACKEND")
    return _numpy(value), _numpy(gradient)


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


def compiled_value_and_gradient(function, x, upstream=None) -> tuple[Any, Any]:
    """`value_and_gradient` with value and gradient in one compiled program."""
    name = keras.backend.backend()
    if name == "torch":
        return value_and_gradient(compiled(function), x, upstream)
    module = importlib.import_module(name)
    weights = 1.0 if upstream is None else upstream

    def both(x):
        if name == "jax":
            gradient, value = module.grad(
                lambda x: (lambda v: (ops.sum(v * ops.cast(weights, v.dtype)), v))(function(x)),
                has_aux=True,
            )(x)
            return value, gradient
        with module.GradientTape() as tape:
            tape.watch(x)
            value = function(x)
            total = ops.sum(value * ops.cast(weights, value.dtype))
        return value, tape.gradient(total, x)

    value, gradient = compiled(both)(ops.convert_to_tensor(x))
    return _numpy(value), _numpy(gradient)


def array(x) -> Any:
    """A tensor of any dtype as a NumPy array of float64 or of its integer dtype."""
    x = _numpy(ops.convert_to_tensor(x))
    return x.astype("float64") if np.issubdtype(x.dtype, np.floating) else x
