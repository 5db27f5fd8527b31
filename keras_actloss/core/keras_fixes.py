"""Known defects of Keras and its backends that are worked around, each in one place.

The tests in `tests/test_keras_fixes.py` fail when a fix is no longer needed.
"""

import functools
import sys
import weakref
from typing import Any

import keras
from keras import ops


def attach_logits_to_tracers():
    """Let Keras's sigmoid and softmax leave their logits on a JAX tracer, as they do elsewhere.

    `keras.activations.sigmoid` sets `_keras_logits` on its result so that a loss can work in log
    space. A tracer has slots, the assignment fails, and Keras passes over the failure: inside
    `fit` on JAX the loss of a confident mistake has no gradient, on TensorFlow it has. A property
    that keeps the value beside the tracer makes the assignment succeed.
    """
    if keras.backend.backend() != "jax":
        return
    from jax.core import Tracer

    if hasattr(Tracer, "_keras_logits"):
        return
    kept = {}

    def fetch(tracer):
        if id(tracer) not in kept:
            raise AttributeError("_keras_logits")
        return kept[id(tracer)]

    def keep(tracer, logits):
        kept[id(tracer)] = logits
        weakref.finalize(tracer, kept.pop, id(tracer), None)

    Tracer._keras_logits = property(fetch, keep)  # pyright: ignore[reportAttributeAccessIssue]


def builds_for_replicas():
    """Whether Keras is about to learn shapes for `tf.distribute`, from what is no data.

    Before `fit` it traces the loss on the mean of what the replicas get, and the mean of class ids
    is of dtype float64.
    """
    if keras.backend.backend() != "tensorflow":
        return False
    import tensorflow as tf

    return tf.inside_function() and tf.distribute.in_cross_replica_context()


def tensor(x, dtype=None):
    """`keras.ops.convert_to_tensor`, of a variable its value.

    On TensorFlow Keras hands on the variable itself, which has no `ndim`, and which a function with
    a gradient of its own takes for a weight of its own.
    """
    if keras.backend.backend() == "tensorflow":
        x = x.value if isinstance(x, keras.Variable) else x
        x = x.read_value() if hasattr(x, "read_value") else x
    return ops.convert_to_tensor(x, dtype=dtype)


def ensure_shape(x, shape):
    """`x` with the sizes that a graph of TensorFlow does not know of it, and `shape` tells."""
    if keras.backend.backend() != "tensorflow" or None not in tuple(x.shape):
        return x
    import tensorflow as tf

    return tf.ensure_shape(x, shape)


def amax(x, axis, keepdims=False):
    """Maximum over an axis, of an empty batch too.

    On torch `keras.ops.max`, on TensorFlow also `keras.ops.amax`, refuses a tensor without entries
    even if the axis to reduce has some.
    """
    if keras.backend.backend() == "tensorflow" and not isinstance(x, keras.KerasTensor):
        # Not `ops.max` with an initial value: that is another maximum of each result.
        return sys.modules["tensorflow"].reduce_max(x, axis=axis, keepdims=keepdims)
    return ops.amax(x, axis=axis, keepdims=keepdims)


def add(x, y):
    """`x + y`, of a square matrix and a column too.

    On TensorFlow `keras.ops.add` takes the column for a bias, and adds it to each row.
    """
    return x + y


def moved(x, source, destination):
    """`keras.ops.moveaxis`, for which the transforms of `torch.func` have no rule."""
    order = list(range(len(x.shape)))
    order.insert(destination % len(order), order.pop(source % len(order)))
    return x if order == sorted(order) else ops.transpose(x, order)


def over_axes(op, x, axes):
    """`op(x, axis)` of one axis after the other, counted from 0, the last one first.

    Of several at once Keras 3.12 refuses `any` on torch and `flip` on TensorFlow.
    """
    return functools.reduce(op, sorted(axes, reverse=True), x)


@functools.cache
def _with_constants(step):
    """`step` that takes the constants with what it carries on; one function, which JAX knows."""

    def function(carry, x):
        carry, constants = carry
        carry, result = step(carry, x, *constants)
        return (carry, constants), result

    return function


def scan(step, start, xs, reverse=False, constants=()):
    """`keras.ops.scan` over several sequences, of a length that is not known too.

    On TensorFlow Keras compares their lengths with a method that an unknown one does not have.
    There the steps are counted, and looked up. JAX, called as it is, compiles a `step` in each call
    that is made in it: a function of the module gets what it needs as `constants`.
    """
    if keras.backend.backend() == "jax":
        start = start, constants
        (end, _), results = ops.scan(_with_constants(step), start, xs, reverse=reverse)
        return end, results

    def of_entries(carry, x):
        return step(carry, x, *constants)

    if keras.backend.backend() != "tensorflow" or xs[0].shape[0] is not None:
        return ops.scan(of_entries, start, xs, reverse=reverse)

    def numbered(carry, i):
        return of_entries(carry, tuple(x[i] for x in xs))

    return ops.scan(numbered, start, ops.arange(ops.shape(xs[0])[0]), reverse=reverse)


@functools.cache
def _loop_of_jax(step, times):
    """A program of its own, of which JAX knows the gradient when it is asked for it again."""
    import jax

    return jax.jit(lambda state: jax.lax.fori_loop(0, times, lambda _, state: step(state), state))


def counted_loop(step, state, times):
    """`state = step(state)`, so many times, in a loop that has a gradient.

    Keras's `scan` and `fori_loop` for TensorFlow do not say how often, without which XLA compiles
    no gradient. JAX compiles a `step` once that is the same object in each call.
    """
    if keras.backend.backend() == "tensorflow":
        counted = ops.while_loop(
            lambda i, state: i < times,
            lambda i, state: (i + 1, step(state)),
            (0, state),
            maximum_iterations=times,
        )
        return counted[1]
    return _loop_of_jax(step, times)(state)


def custom_gradient(function):
    """`keras.ops.custom_gradient`, also of three tensors in a graph that torch compiles.

    Torch 2.13 cannot trace an autograd function that saves exactly three tensors, none of which
    needs a gradient. On the backends without gradients Keras warns of every one.
    """
    if keras.backend.backend() in ("numpy", "openvino"):
        return lambda *tensors: function(*tensors)[0]
    if keras.backend.backend() != "torch":
        return ops.custom_gradient(function)

    @ops.custom_gradient
    def padded(*tensors):
        value, gradient = function(*tensors[:3])
        return value, lambda *args, upstream: (*gradient(*args[:3], upstream=upstream), None)

    def call(*tensors):
        if len(tensors) == 3:
            return padded(*tensors, ops.zeros(()))
        return ops.custom_gradient(function)(*tensors)

    return call


def _differentiated():
    """`(slopes, value, *tensors)` -> `value`, whose gradient is `slopes(upstream, *tensors)`.

    For JAX, which differentiates what the forward pass returns by its own rules where a gradient is
    differentiated again: of a value that was computed with constants it has another derivative.
    """
    import jax

    @functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
    def differentiated(slopes, value, *tensors):
        return value

    def forward(slopes, value, *tensors):
        return differentiated(slopes, value, *tensors), tensors

    def backward(slopes, tensors, upstream):
        by_tensors = slopes(upstream, *tensors)
        return None, *(by_tensors if isinstance(by_tensors, tuple) else (by_tensors,))

    differentiated.defvjp(forward, backward)
    return lambda slopes, value, *tensors: differentiated(
        slopes, ops.stop_gradient(value), *tensors
    )


differentiated: Any = _differentiated() if keras.backend.backend() == "jax" else None


def _transformable():
    """`(value, gradient, *tensors)` -> `value(*tensors)`, for the transforms of `torch.func`.

    They take no function that keeps anything between its passes but its tensors, as Keras's does.
    """
    import torch

    class Transformable(torch.autograd.Function):
        generate_vmap_rule = True

        @staticmethod
        def forward(value, gradient, *tensors):
            return value(*tensors)

        @staticmethod
        def setup_context(ctx, inputs, output):
            _, ctx.gradient, *tensors = inputs
            ctx.save_for_backward(*tensors)

        @staticmethod
        def backward(ctx, *upstream):
            slopes = ctx.gradient(*upstream, *ctx.saved_tensors)
            return None, None, *(slopes if isinstance(slopes, tuple) else (slopes,))

    return Transformable.apply


transformable: Any = _transformable() if keras.backend.backend() == "torch" else None


def recomputed(*tensors):
    """The tensors, from which XLA computes anew what the forward pass has computed before.

    Keras has no optimization barrier. Without one XLA finds the same expressions in the forward
    and the backward pass, computes them once and keeps them between the two.
    """
    if keras.backend.backend() != "jax":
        return tensors
    from jax.lax import optimization_barrier

    return optimization_barrier(tensors)


# No sum of logarithms is as large unless one of nothing is in it.
UNLIKELY = 1e11


def _ctc_of_torch():
    """`(x, labels, length, frames, blank)` -> the losses of logits, and their gradients.

    Torch cannot record its kernel of CTC in a graph that it compiles, and makes NaN of what is
    infinite. It is handed how far each class is behind the leader of its frame, which is told from
    certainty by what the others weigh: a confident model still learns.
    """
    import torch

    def ctc(
        x: torch.Tensor,
        labels: torch.Tensor,
        length: torch.Tensor,
        frames: torch.Tensor,
        blank: int,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        behind = x.transpose(0, 1).contiguous().clamp(-1e12, 1e12)
        top, leader = behind.max(-1, keepdim=True)
        behind -= top
        targets = (labels, frames, length)
        value, weights = torch.ops.aten._ctc_loss(behind, *targets, blank, False)
        slope = torch.ops.aten._ctc_loss_backward(
            torch.ones_like(value), behind, *targets, value, weights, blank, False
        )
        others = behind.exp_().scatter_(-1, leader, 0)
        rest = others.sum(-1, keepdim=True)
        # The slope is that of `behind`: the exponential less what alignments want of a class.
        wanted = (others - slope).scatter_(-1, leader, 0)
        of_leader = wanted.sum(-1, keepdim=True) - rest / (1 + rest)
        slope = others.div_(1 + rest).sub_(wanted).scatter_(-1, leader, of_leader)
        counts = (torch.arange(len(rest), device=x.device)[:, None] < frames)[..., None]
        slope.masked_fill_(~counts | (value > UNLIKELY)[:, None], 0)
        value = value + torch.where(counts, rest.log1p(), 0).sum((0, 2))
        return value, slope.transpose(0, 1).contiguous()

    op = torch.library.custom_op("keras_actloss::ctc", ctc, mutates_args=())
    op.register_fake(lambda x, *_: (x.new_empty(x.shape[:1]), x.new_empty(x.shape)))
    return op


ctc_of_torch: Any = _ctc_of_torch() if keras.backend.backend() == "torch" else None
