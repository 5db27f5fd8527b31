"""Ops in the form that is the fastest on each backend; what they compute is the same on all.

An eager backend pays a pass over memory for each op, XLA for each choice in what is summed. Each
says what it spares, which `benchmarks/` measures.
"""

import contextlib
import sys
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_actloss.core.keras_fixes import add, amax, recomputed

# Asked for in each op, of which a small batch consists.
_torch: Any = sys.modules["torch"] if keras.backend.backend() == "torch" else None
# Private to torch: without it there is no transform that one can tell.
_functorch: Any = getattr(_torch and _torch._C, "_functorch", None)
_transform: Any = getattr(_functorch, "peek_interpreter_stack", None)


def traced_by_torch():
    """Whether torch records a graph for a file, in which exporters know but the common ops."""
    return _torch is not None and _torch.jit.is_tracing()


def transformed_by_torch():
    """Whether `torch.func` transforms what is called, to map it over a batch for one."""
    return _transform and not _torch.compiler.is_compiling() and _transform() is not None


def runs_torch():
    """Whether torch runs what is called as it is, and so its kernels serve and may overwrite."""
    return _torch is not None and not _torch.jit.is_tracing() and not transformed_by_torch()


def hides_values():
    """Whether torch records or transforms what is called, so that no value can decide anything."""
    return _torch is not None and (_torch.compiler.is_compiling() or not runs_torch())


def runs_jax(*xs):
    """Whether JAX runs what is called with these tensors as it is, one op after the other."""
    tracer = keras.backend.backend() == "jax" and sys.modules["jax"].core.Tracer
    return bool(tracer) and not any(isinstance(x, tracer) for x in xs)


def readable(x):
    """Whether what is in `x` may decide how to compute: torch has it in memory that is at hand."""
    return _torch is not None and not hides_values() and x.device.type == "cpu" and x.numel() > 0


def exact_products(x):
    """A context in which torch rounds no product of matrices to 16 bit, as its autocast does."""
    if _torch is None or not _torch.is_autocast_enabled(x.device.type):
        return contextlib.nullcontext()
    return _torch.autocast(x.device.type, enabled=False)


def tabulates(x, dtype):
    """Whether torch runs a function of `x` of a 16-bit dtype, and nothing differentiates it again.

    There a table of all numbers takes two passes over memory, and each op of the maths one.
    """
    return (
        _torch is not None
        and not hides_values()
        and not _torch.is_grad_enabled()
        and dtype in ("float16", "bfloat16")
        and x.device.type in ("cpu", "cuda")
    )


def every_number(x):
    """All numbers of the dtype of `x`, which is of 16 bit, in the order of `table_entries`."""
    return _torch.arange(2**16, device=x.device).to(_torch.uint16).view(x.dtype)


def table_entries(table, x):
    """The entry of a table for each number of `x`, which is of 16 bit."""
    places = x.view(_torch.uint16).int().flatten()
    # Integers are copied faster than floats of 16 bit.
    entries = table.view(_torch.int16) if table.dtype == x.dtype else table
    return entries.index_select(0, places).view(table.dtype).view(x.shape)


def extremes(x):
    """The least and the largest entry of what is `readable`, both NaN if one is."""
    return (bound.item() for bound in x.detach().aminmax())


def _is_last(axis, x):
    return axis in (-1, len(x.shape) - 1)


def ids_of_one_hot(y, axis):
    """The ids of rows that are 1 at one class and 0 elsewhere; None where that is not told.

    To find them takes less time than they save a loss, which needs no pass for each label then.
    """
    if not readable(y) or not _is_last(axis, y):
        return None
    last = y.shape[-1] - 1
    ids = (y @ _torch.arange(last + 1, dtype=y.dtype)).long().clamp_(0, last)
    least = y.gather(-1, ids[..., None]).amin()
    return ids if least == 1 and y.bool().count_nonzero() == ids.numel() else None


def are_yes_or_no(y):
    """Whether all labels, which run from 0 to 1, are one or the other; False where not told."""
    return readable(y) and not any(extremes(y.frac()))


def signs_of_no(y):
    """-1 for labels of 1, and 1 for labels of 0, of torch and in one pass."""
    return y.new_ones(()).sub(y, alpha=2)


def softplus_of_torch(x):
    """`log1p(exp(x))` in one kernel, in float64 too, where Keras's is linear from 20 on."""
    return _torch.nn.functional.softplus(x, threshold=40)


def softsign_slope(upstream, x):
    """`upstream / (1 + |x|)^2` in the kernel of TensorFlow, which has no gradient."""
    return sys.modules["tensorflow"].raw_ops.SoftsignGrad(gradients=upstream, features=x)


def hard_sigmoid_slope(upstream, x):
    """`upstream / 6` between -3 and 3 in the kernel of torch, which has no gradient."""
    return _torch.ops.aten.hardsigmoid_backward(upstream, x)


def fused():
    """Whether XLA compiles what is called, and so arithmetic costs more than passes over memory.

    TensorFlow traces what it will compile, with the gradient of it, in a context that says so.
    """
    if keras.backend.backend() != "tensorflow":
        return keras.backend.backend() == "jax"
    # Private to TensorFlow: without it all is right, and slower.
    contexts = sys.modules.get("tensorflow.python.ops.control_flow_util")
    told = getattr(contexts, "GraphOrParentsInXlaContext", lambda graph: False)
    return told(sys.modules["tensorflow"].compat.v1.get_default_graph())


def alone(number, x):
    """`number` beside `x`, in JAX apart from all other constants.

    There a kernel takes a sum with the arithmetic of what is summed, but for choices, and a
    constant that anything else shares it reads from an array that is filled with it.
    """
    if keras.backend.backend() != "jax":
        return number
    return recomputed(ops.convert_to_tensor(number, dtype=x.dtype))[0]


def vector(numbers, dtype):
    """A tensor of numbers; Keras looks at each of a list, a hundred times as long as NumPy takes.

    The compiler of torch knows no arrays.
    """
    if isinstance(numbers, (list, tuple)) and not hides_values():
        numbers = np.asarray(numbers)
    return ops.convert_to_tensor(numbers, dtype=dtype)


def _one(x):
    """1, which XLA does not know beforehand."""
    first = ops.reshape(x, (-1,))[:1]
    return ops.maximum(ops.cast(ops.any(first != first), x.dtype), 1)


def _row_by_row(pair, whole, x, axis, pairs, product=True):
    """A reduction along an axis, which is kept, of rows that are short in a loop of XLA's own.

    The kernels that it has for reductions take longer for each row. JAX is given one of the `pairs`
    of entries after another; TensorFlow's XLA takes a loop for a `product`, or a choice of 1 or 0.
    """
    size, backend = x.shape[axis], keras.backend.backend()
    longest = 32 * fused() if backend == "tensorflow" else 16 * pairs * (backend == "jax")
    if size is None or not 1 < size <= longest:
        return whole(x, axis=axis, keepdims=True)
    if backend == "tensorflow":
        return whole(x * _one(x) if product else x, axis=axis, keepdims=True)
    parts = ops.split(x, size, axis)
    while len(parts) > 1:
        rest = parts[-1:] if len(parts) % 2 else []
        parts = [pair(*two) for two in zip(parts[::2], parts[1::2], strict=False)] + rest
    return parts[0]


def row_sum(x, axis, pairs=True):
    """`sum(x, axis)`, with the axis kept; by `pairs` in JAX where that pays, which is measured."""
    return _row_by_row(ops.add, ops.sum, x, axis, pairs)


def row_count(x, axis, pairs=True):
    """`row_sum` of what is 1 or 0 as a comparison has told."""
    return _row_by_row(ops.add, ops.sum, x, axis, pairs, product=False)


def row_max(x, axis, pairs=True):
    """`max(x, axis)`, likewise."""
    return _row_by_row(ops.maximum, amax, x, axis, pairs)


def spent(op, x, *arguments, **options):
    """An op of a tensor that nobody else holds: torch overwrites it, if it records no graph.

    Where one op runs after the other, new memory costs as much as the arithmetic.
    """
    if not runs_torch():
        return (add if op == "add" else getattr(ops, op))(x, *arguments, **options)
    return getattr(x, op if x.requires_grad else f"{op}_")(*arguments, **options)


def exp_to_square(x):
    """`exp(x)` of a tensor that nobody else holds, of whose square XLA makes no second exponential.

    Where it squares an exponential as it stands it takes that of twice the number.
    """
    e = spent("exp", x)
    return at_most(e, 2.0**127) if fused() else e


def plus_times(x, y, factor):
    """`x + factor * y` of a number, on torch in one pass."""
    return x.add(y, alpha=factor) if runs_torch() else x + factor * y


def clip(x, low, high):
    """`ops.clip`; on torch Keras makes tensors of the bounds, in twenty times the op itself."""
    return x.clamp(low, high) if runs_torch() else ops.clip(x, low, high)


def at_least(x, y, spare=False):
    """`maximum(x, y)`, likewise; a `spare` tensor `x`, which nobody else holds, is overwritten."""
    if not runs_torch():
        return ops.maximum(x, y)
    return x.clamp_(min=y) if spare and not x.requires_grad else x.clamp(min=y)


def at_most(x, y, spare=False):
    """`minimum(x, y)`, likewise."""
    if not runs_torch():
        return ops.minimum(x, y)
    return x.clamp_(max=y) if spare and not x.requires_grad else x.clamp(max=y)


def in_float64(x):
    """`x` in twice the digits on torch, where two floats of float32 take five times as long.

    The GPUs of Apple have no float64.
    """
    if not runs_torch() or x.device.type == "mps":
        return x
    return ops.cast(x, "float64")


def select(mask, x, y):
    """`where(mask, x, y)` of a mask of the shape of the tensor `y`.

    TensorFlow's own `where` takes four times as long, for it may broadcast. On torch Keras's takes
    seven times as long for few numbers, for it looks at each argument.
    """
    if runs_torch():
        return _torch.where(mask, x, y)
    if keras.backend.backend() != "tensorflow":
        return ops.where(mask, x, y)
    x = ops.broadcast_to(ops.cast(x, y.dtype), ops.shape(y))
    return sys.modules["tensorflow"].raw_ops.Select(condition=mask, x=x, y=y)


def indexes(x, axis):
    """Whether to tell one entry of each row by its index rather than a mask.

    What runs op by op saves the passes over memory of a mask. TensorFlow looks for the index only
    along the last axis, and takes long where rows are short.
    """
    if keras.backend.backend() == "tensorflow":
        return _is_last(axis, x) and (x.shape[axis] or 0) >= 64 and not fused()
    return runs_torch()


def _rows_of_tensorflow(x, where):
    """`x` with one axis of rows, and where in it the index of each points."""
    tf = sys.modules["tensorflow"]
    where = tf.reshape(where, (-1,))
    places = tf.stack([tf.range(tf.size(where)), where], axis=1)
    return tf, tf.reshape(x, (-1, x.shape[-1])), places


def largest_magnitude(x, axis):
    """`max(|x|, axis)`, with the axis kept; of long rows torch takes it in half the time."""
    if not (runs_torch() and _is_last(axis, x) and x.shape[-1] >= 64):
        return amax(ops.abs(x), axis=axis, keepdims=True)
    return _torch.maximum(x.amax(-1, keepdim=True), -x.amin(-1, keepdim=True))


def first_largest(x, axis):
    """The largest entry of each row, with the axis kept, and its index."""
    if runs_torch():
        return x.max(axis, keepdim=True)
    # Keras's own looks for zeros of either sign, in passes of its own.
    where = sys.modules["tensorflow"].argmax(x, axis, output_type="int32")
    return amax(x, axis=axis, keepdims=True), ops.expand_dims(where, axis)


def entry(x, where, axis):
    """The entry of each row at an index, with the axis kept."""
    if runs_torch():
        return x.gather(axis, where)
    tf, rows, places = _rows_of_tensorflow(x, where)
    return tf.reshape(tf.gather_nd(rows, places), tf.shape(where))


def put_entry(x, where, value, axis, spare=False):
    """`x` with `value` at an index in each row; torch overwrites what is `spare`."""
    if runs_torch():
        put = x.scatter_ if spare and not x.requires_grad else x.scatter
        return put(axis, where, value)
    tf, rows, places = _rows_of_tensorflow(x, where)
    value = tf.reshape(tf.broadcast_to(tf.cast(value, x.dtype), tf.shape(where)), (-1,))
    return tf.reshape(tf.tensor_scatter_nd_update(rows, places, value), tf.shape(x))


def choose(x, above, otherwise):
    """`where(x > 0, above, otherwise)` of finite tensors, both of the shape of `x`.

    On torch a `where` takes ten times as long as a product if no processor foresees its mask.
    """
    if not runs_torch():
        return select(x > 0, above, otherwise)
    return otherwise.lerp(above, ops.relu(ops.sign(x)))


def same(x, y):
    """1 where `x`, which is nowhere above `y`, is as large, else 0; infinity is infinity.

    On torch three kernels of floats take half as long as one that compares.
    """
    if not runs_torch():
        return ops.cast(x == y, x.dtype)
    # Infinity less infinity has no sign.
    return spent("add", spent("sign", x - y), 1)


def alike(x, y, dtype):
    """1 where integers are the same, else 0.

    On torch it takes a fourth of the time of a comparison and its cast.
    """
    if not runs_torch():
        return ops.cast(x == y, dtype)
    return ops.cast((x - y).eq_(0), dtype)


def rectified(x):
    """`ops.relu`, in JAX as a choice: what XLA makes of its own relu's slope costs a loss twice."""
    return ops.where(x <= 0, 0.0, x) if keras.backend.backend() == "jax" else ops.relu(x)


def rectified_beside(margin, x):
    """`rectified(margin + x)` of a difference `x` of large numbers.

    TensorFlow's optimizer adds a number to one of the two before it takes the other from it.
    """
    if keras.backend.backend() != "tensorflow":
        return rectified(margin + x)
    return ops.maximum(x, -margin) + margin


def apart(product):
    """A product from 0 on, to be multiplied afterwards with what is as small.

    Where numbers for rows meet one for each entry TensorFlow's optimizer would multiply those for
    rows before, and underflow.
    """
    return ops.relu(product) if keras.backend.backend() == "tensorflow" else product


def summed_relu(x):
    """`ops.relu` in a sum, with a zero of its own in JAX."""
    return ops.maximum(x, alone(0, x)) if keras.backend.backend() == "jax" else ops.relu(x)


def asked(y, of_labels):
    """`y * of_labels`, 0 where `y` is: what nobody asks for may be infinite."""
    if keras.backend.backend() == "tensorflow":
        # Its `where` takes four times as long as an op of arithmetic.
        return sys.modules["tensorflow"].math.multiply_no_nan(of_labels, y)
    return ops.where(y == 0, 0.0, y * of_labels)


def asked_of_number(y, of_labels, spare=False):
    """`asked` where something else tells of NaN, which becomes 0 on torch.

    There `of_labels` that are `spare`, which nobody else holds, are overwritten.
    """
    if runs_torch():
        product = spent("multiply", of_labels, y) if spare else y * of_labels
        return spent("nan_to_num", product, 0.0, np.inf, -np.inf)
    return asked(y, of_labels)


def between(start, end, weight, end_leads=False, spare=False):
    """`(1 - weight) * start + weight * end`, right to the last digit at weights of 0 and 1.

    Nor is a digit lost between them where both are positive. With `end_leads`, no `start` is
    farther from 0 than the `end`, and two passes over memory do. A `spare` start, which nobody else
    holds, is overwritten on torch.
    """
    if runs_torch():
        return spent("lerp", start, end, weight) if spare else start.lerp(end, weight)
    if end_leads:
        return start + weight * (end - start)
    return (alone(1, weight) - weight) * start + weight * end


def totals(x, places, size):
    """What the entries of `x` at each of `size` places amount to.

    Keras looks for places out of bounds, which on torch takes thrice as long as the sums.
    """
    if runs_torch():
        return x.new_zeros(size).index_add_(0, places, x)
    return ops.segment_sum(x, places, num_segments=size)


def add_at(x, places, more):
    """`x`, which nobody else holds, with `more` added at a few places."""
    if runs_torch():
        return x.index_add_(0, places, more)
    if keras.backend.backend() == "jax":
        return x.at[places].add(more)
    if keras.backend.backend() == "tensorflow":
        return sys.modules["tensorflow"].tensor_scatter_nd_add(x, places[:, None], more)
    return x + totals(more, places, ops.shape(x)[0])


def look_up(table, places):
    """`take(table, places)` of places within bounds, which nobody compares with them."""
    if runs_torch():
        return table.index_select(0, places)
    if keras.backend.backend() == "jax":
        return table.at[places].get(mode="promise_in_bounds")
    if keras.backend.backend() == "tensorflow":
        # Its `gather` takes half as long again.
        return sys.modules["tensorflow"].gather_nd(table, places[:, None])
    return ops.take(table, places)


def top_k(x, k):
    """`ops.top_k` of a matrix, of long rows in half the time; equals are in any order.

    With a row as a table of 16 lines, each of the largest is in one of the `k` columns whose
    largest entries are the largest.
    """
    rows, size = ops.shape(x)
    columns = size // 16
    if size % 16 or columns < 4 * k:
        return ops.top_k(x, k)
    x = ops.reshape(x, (rows, 16, columns))
    _, at = ops.top_k(ops.max(x, axis=1), k)
    x = ops.reshape(ops.take_along_axis(x, at[:, None], axis=2), (rows, 16 * k))
    x, ranks = ops.top_k(x, k)
    return x, ranks // k * columns + ops.take_along_axis(at, ranks % k, axis=-1)
