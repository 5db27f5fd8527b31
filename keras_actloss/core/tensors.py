"""Tensors on their way into a loss: dtype, shape, class ids, masks."""

import contextlib
import functools
import inspect
import re
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_actloss.core import keras_fixes
from keras_actloss.core.keras_fixes import tensor
from keras_actloss.core.kernels import fused, hides_values
from keras_actloss.core.registry import CATALOGUE

# The kinds of labels that are class ids, with one axis fewer than the predictions.
IDS = ("ids", "ranks", "groups")
SEQUENCES = ("sequence", "tags")


# Asked for some times a loss, each in longer than an op of a small batch.
_name_of = functools.cache(keras.backend.standardize_dtype)


def dtype_of(x):
    return _name_of(x.dtype)


def cast(x, dtype):
    """`ops.cast`, which takes as long as an op of a small batch where there is nothing to do."""
    return x if dtype_of(x) == dtype else ops.cast(x, dtype)


def is_float(dtype):
    return "float" in dtype


def wide(dtype):
    """The dtype to compute in: 16-bit floats are widened, others kept."""
    return "float32" if dtype in ("float16", "bfloat16") else dtype


def float_tensor(x):
    """`x` as a tensor of a float dtype; integers and booleans become Keras's `floatx`."""
    x = tensor(x)
    return x if is_float(dtype_of(x)) else ops.cast(x, keras.config.floatx())


def from_lists(x):
    """Nested lists of numbers as an array; a structure of tensors stays a structure."""
    nested = keras.tree.is_nested(x) and not isinstance(x, dict)
    if not nested or not all(np.isscalar(leaf) for leaf in keras.tree.flatten(x)):
        return x
    try:
        return np.asarray(x)
    except ValueError as error:
        raise ValueError(
            f"lists of several lengths are no tensor, got {x!r}; fill up the short ones, and leave "
            "out with a mask or with weights of 0 what they lack"
        ) from error


def get_logits(y_pred):
    """The logits that a sigmoid or softmax left on its result, or None.

    Torch's reentrant checkpoint hands on the result with a gradient that its logits have lost.
    """
    logits = getattr(y_pred, "_keras_logits", None)
    if getattr(y_pred, "requires_grad", False) and not getattr(logits, "requires_grad", True):
        return None
    return logits


def attach_logits(y_pred, logits):
    """Leave `logits` on the result of a sigmoid or softmax, as Keras's own functions do."""
    # A NumPy array, on the NumPy backend, takes no attributes.
    with contextlib.suppress(AttributeError):
        y_pred._keras_logits = logits
    return y_pred


def _made(y_pred, logits, make, factor):
    """Where probabilities are what `make` gives of logits, within a factor."""
    made = make(logits)
    # What underflows in 16 bit. NaN tells nothing, nor do the pairs that `remove` has put in.
    lost = ops.logical_and(y_pred == 0, made < 2.0**-24)
    off = ops.logical_or(y_pred > factor * made, made > factor * y_pred)
    return ops.logical_or(ops.logical_not(off), ops.logical_or(lost, y_pred == logits))


def made_of_logits(y_pred, logits, axis, exclusive):
    """Whether a softmax over `axis`, if classes are exclusive, or else a sigmoid left the logits.

    Keras leaves them for a loss to work in log space, and does not say what they went through. Both
    functions may give the same, as two logits of 0: then there is nothing to be had from logits,
    and the probabilities themselves are right whatever made them.
    """
    functions = [lambda x: ops.softmax(x, axis=axis), ops.sigmoid]
    own, other = functions if exclusive else reversed(functions)
    fits = ops.all(_made(y_pred, logits, own, 2.0))
    if not exclusive and y_pred.shape[axis] == 1:
        return fits  # A softmax of one class would be 1.
    inside = ops.logical_and(y_pred > 0, y_pred < 1)
    either = ops.all(ops.logical_and(inside, _made(y_pred, logits, other, 1.125)))
    return ops.logical_and(fits, ops.logical_not(either))


def either(flag, first, x, second, y):
    """`first(x)` if `flag`, else `second(y)`; both where a branch would break a graph.

    Torch's has no branches. In TensorFlow's, XLA compiles no gradient of an op that asks for the
    shape of a batch of any size.
    """
    if hides_values() or (keras.backend.backend() == "tensorflow" and fused()):
        x, y = ops.where(flag, x, 0.5), ops.where(flag, 0.5, y)
        return ops.where(flag, first(x), second(y))
    return ops.cond(flag, lambda: first(x), lambda: second(y))


def map_prediction(op, y_pred):
    """`op(y_pred)`, with the logits that may be attached to `y_pred` mapped alike."""
    mapped = op(y_pred)
    logits = get_logits(y_pred)
    if logits is not None and get_logits(mapped) is None:
        attach_logits(mapped, op(logits))
    return mapped


class _Unit(keras.losses.Loss):
    """A loss that is 1 everywhere, to read what Keras itself multiplies losses with."""

    def call(self, y_true, y_pred):
        return ops.ones_like(y_true)


_MASK = _Unit(name="mask", reduction="none", dtype="float32")


def get_mask(y_pred):
    """The Keras mask of `y_pred`, or None.

    Most tensors carry it as an attribute. A JAX tracer cannot, and Keras then keeps it in private
    state: a loss that is 1 shows it, since Keras multiplies a loss with the mask.
    """
    if hasattr(y_pred, "_keras_mask") or hasattr(y_pred, "__dict__"):
        mask = getattr(y_pred, "_keras_mask", None)
    elif ops.is_tensor(y_pred):
        mask = _MASK(np.float32(1), y_pred)
        mask = mask if len(mask.shape) else None
    else:
        mask = None
    return None if mask is None else ops.cast(mask, "bool")


def known_values(x):
    """`x` as a NumPy array, or None while a graph is traced or a part of `x` is not at hand."""
    if hides_values():
        return None
    try:
        # An array of JAX may lie with other processes.
        return np.asarray(x) if getattr(x, "is_fully_addressable", True) else None
    except (TypeError, NotImplementedError):
        return None


def compatible(shape, other):
    return len(shape) == len(other) and all(
        a is None or b is None or a == b for a, b in zip(shape, other, strict=True)
    )


def check_numbers(x, what, remedy):
    """Refuse what holds none, before a backend does in words of its own."""
    no_array = x is None or isinstance(x, (dict, str))
    if no_array or (isinstance(x, np.ndarray) and x.dtype.kind in "OSUmM"):
        raise TypeError(f"{what} must hold numbers, got {x!r}; {remedy}")


def _labels_tensor(y_true, name):
    """Labels that may be class ids, as a tensor."""
    given = known_values(y_true)
    if given is not None and given.dtype.kind in "iu":
        # As int32, which JAX makes of all, it would be the id of another class.
        far = given[given != given.astype("int32")]
        if far.size:
            raise ValueError(
                f"{name}: y_true has the class id {far[0]}, which is no int32; number the classes "
                "from 0"
            )
    return tensor(y_true)


def _class_ids(y_true, name, from_keras):
    """`y_true` as int32 class ids. A function may be handed float ids by Keras, a class never."""
    dtype = dtype_of(y_true)
    if is_float(dtype) and not keras_fixes.builds_for_replicas():
        values = known_values(y_true) if from_keras and dtype == wide(dtype) else None
        whole = values is None or np.all(values == np.floor(values))
        if not from_keras or dtype != wide(dtype) or not whole:
            raise TypeError(
                f"{name}: y_true holds class ids and must have an integer dtype, got {dtype}; "
                'convert it with y_true.astype("int32")'
            )
    if is_float(dtype):
        # In a graph nobody knows the values: there a fraction becomes an id that is out of range.
        y_true = ops.where(y_true == ops.floor(y_true), y_true, -(2.0**31))
    return ops.cast(y_true, "int32")


def check_shares(y_true, name, least=0):
    """Refuse labels, as far as they are known, that are not from 0 to 1, but for a rounding."""
    values = known_values(ops.stop_gradient(y_true))
    if values is None or not values.size:
        return
    for value in (np.min(values), np.max(values)):
        if value < least - 1e-3 or value > 1 + 1e-3:
            raise ValueError(
                f"{name}: y_true has the label {value:g}, but labels run from {least} to 1; give a "
                "row of 0 and 1 a sample, and leave out others by a mask, a weight of 0 or, where "
                "the loss has it, ignore_class"
            )


def check_range(ids, predictions, labels, ignore_class, name):
    values = known_values(ids)
    if values is None or predictions is None or labels == "groups":
        return
    num_classes = classes_of(labels, predictions)
    wrong = (values < 0) | (values >= num_classes)
    if ignore_class is not None:
        wrong &= values != ignore_class
    if np.any(wrong):
        raise ValueError(
            f"{name}: y_true has the class id {int(values[wrong][0])}, but y_pred has "
            f"{predictions} {'levels' if labels == 'ranks' else 'classes'}, so ids run from 0 to "
            f"{num_classes - 1}; correct the labels or name the id to leave out with ignore_class"
        )


def _other_labels(name, labels, axis):
    """What to do with class ids where a loss takes one-hot `labels`, or the other way round."""
    other, given = ("ids", "class ids") if labels == "onehot" else ("onehot", "one-hot labels")
    losses: dict[str, Any] = CATALOGUE["losses"]
    if name in losses and "encoding" in inspect.signature(losses[name]).parameters:
        return f"{given} need encoding={other!r}"

    def family(name):
        return name.islower(), re.sub("(sparse|categorical)_?", "", name.lower())

    for twin, loss in losses.items():
        if name in losses and family(twin) == family(name) and loss.labels == other:
            return f"{given} belong to {twin}"
    if labels == "onehot":
        return "keras.ops.one_hot(y_true, number_of_classes) makes such rows of class ids"
    return f"keras.ops.argmax(y_true, axis={axis}) makes them of one-hot labels"


def classes_of(labels, predictions):
    """How many classes as many predictions tell apart."""
    return predictions + (labels == "ranks")


def broadcasts(shape, onto):
    """Whether a tensor of `shape` broadcasts to one of the shape `onto`."""
    pairs = zip(reversed(shape), reversed(onto), strict=False)
    return len(shape) <= len(onto) and all(None in (a, b) or a in (1, b) for a, b in pairs)


def check_broadcasts(value, onto, name):
    """Refuse a tensor that does not broadcast to one of the shape `onto`; numbers do."""
    shape, onto = tuple(getattr(value, "shape", ())), tuple(onto)
    if not broadcasts(shape, onto):
        raise ValueError(
            f"{name} of shape {shape} does not broadcast to x of shape {onto}; give it one entry, "
            "or one for each entry of the last axis of x"
        )


def check_axis(axis, shape, name, what="x"):
    """Refuse an axis, or one of several, that a tensor does not have."""
    rank = len(shape)
    if not rank:
        raise ValueError(
            f"{name}: {what} of shape () has no axis={axis}; give it one with {what}[None]"
        )
    axes = axis if isinstance(axis, (tuple, list)) else [axis]
    for each in axes:
        if not -rank <= each < rank:
            raise ValueError(
                f"{name}: axis={each} does not exist in {what} of shape {tuple(shape)}; "
                f"its axes are {-rank} to {rank - 1}"
            )
    if len({each % rank for each in axes}) < len(axes):
        raise ValueError(
            f"{name}: axis={axis} has an axis of {what} of shape {tuple(shape)} twice; name each "
            "one once"
        )


def prepare(y_true, y_pred, labels, axis=-1, name="loss", strict=True):
    """Labels and predictions with dtypes and shapes that fit each other.

    Args:
        y_true: Labels.
        y_pred: Predictions, a tensor of the dtype to compute in.
        labels: What `y_true` holds: `"values"`, `"binary"` (a class label per entry), `"onehot"`,
            `"ids"`, `"ranks"` (ids of one class more than there are predictions), `"groups"` (any
            ids, alike for samples that belong together), `"memberships"` (rows of 0 and 1, for any
            number of groups), `"target"` (one number beside several predictions on the last axis),
            `"tags"` (ids beside predictions with two axes more) or `"sequence"` (ids with a length
            of their own, beside a batch of frames).
        axis: The class axis of `y_pred`, for `"onehot"`, `"ids"` and `"ranks"`.
        name: The loss, for messages.
        strict: Whether `y_true` still has the dtype that the user gave it.

    Returns:
        `(y_true, y_pred)`.
    """
    check_numbers(
        y_true,
        f"{name}: y_true",
        "make class ids of names with keras.layers.StringLookup, and give each output its own loss",
    )
    pred_shape = tuple(y_pred.shape)
    from_keras = not strict and ops.is_tensor(y_true)
    class_axis = labels == "onehot" or labels in IDS
    sequence = labels in SEQUENCES
    two_axes = class_axis or sequence or labels == "target"
    if len(pred_shape) < 1 + two_axes:
        other = "class axis" if class_axis or sequence else "axis of predictions"
        wanted = f"a batch and a {other}" if two_axes else "a batch axis"
        raise ValueError(
            f"{name}: y_pred of shape {pred_shape} needs {wanted}; add one with y_pred[None]"
        )
    check_axis(axis, pred_shape, name, "y_pred")
    if labels in IDS or sequence:
        y_true = _labels_tensor(y_true, name)
    if labels in IDS:
        axis = axis % len(pred_shape)
        expected = pred_shape[:axis] + pred_shape[axis + 1 :]
        remedy = f"class ids have the shape of y_pred without axis {axis}"
        column = len(y_true.shape) == len(pred_shape) and y_true.shape[axis] == 1
        if compatible(tuple(y_true.shape), pred_shape) and not column:
            levels = "the levels of a rank add up to it"
            remedy += f"; {levels if labels == 'ranks' else _other_labels(name, labels, axis)}"
        else:
            y_true = _class_ids(y_true, name, from_keras)
            y_true = ops.squeeze(y_true, axis) if column else y_true
    elif sequence:
        y_true = _class_ids(y_true, name, from_keras)
        expected = pred_shape[:-2] if labels == "tags" else (pred_shape[0], *y_true.shape[-1:])
        remedy = (
            "class ids have the shape of y_pred without its last two axes"
            if labels == "tags"
            else "give a row of class ids for each sample"
        )
    elif labels == "memberships":
        y_true = cast(tensor(y_true), dtype_of(y_pred))
        expected = (pred_shape[0], *y_true.shape[-1:])
        remedy = "give a row of 0 and 1 for each sample"
    elif labels == "target":
        y_true = cast(tensor(y_true), dtype_of(y_pred))
        if len(y_true.shape) == len(pred_shape) and y_true.shape[-1] == 1:
            y_true = ops.squeeze(y_true, -1)
        expected = pred_shape[:-1]
        remedy = "the last axis of y_pred holds what is predicted of one number in y_true"
    else:
        y_true = tensor(y_true)
        # Of class labels some narrow integers cannot hold the one to ignore, nor a boolean.
        whole = labels == "binary" and not is_float(dtype_of(y_true))
        y_true = cast(y_true, "int32" if whole else dtype_of(y_pred))
        true_rank, pred_rank = len(y_true.shape), len(pred_shape)
        if not class_axis:
            # A flat batch is a column of one-entry samples, beside another column or alone.
            flat = true_rank == pred_rank == 1
            if flat or (true_rank == pred_rank - 1 and pred_shape[-1] == 1):
                y_true = ops.expand_dims(y_true, -1)
            if flat or (pred_rank == true_rank - 1 and y_true.shape[-1] == 1):
                y_pred = map_prediction(lambda x: ops.expand_dims(x, -1), y_pred)
        expected = tuple(y_pred.shape)
        remedy = "give both the same shape"
        if class_axis and true_rank < pred_rank:
            remedy += f"; {_other_labels(name, labels, axis)}"
    if not compatible(tuple(y_true.shape), expected):
        raise ValueError(
            f"{name}: y_true of shape {tuple(y_true.shape)} does not fit y_pred of shape "
            f"{pred_shape}; {remedy}"
        )
    return keras_fixes.ensure_shape(y_true, expected), y_pred


def halves(y_pred, name):
    """Both parts of a pair that is joined on the last axis."""
    size = y_pred.shape[-1]
    if size % 2:
        raise ValueError(
            f"{name}: the last axis of y_pred holds both parts of a pair, so its size must be "
            f"even, got {size}; join them with keras.ops.concatenate([first, second], axis=-1)"
        )
    return ops.split(y_pred, 2, axis=-1)


def not_ignored(y_true, labels, ignore_class, axis):
    """Where a label counts: a mask of the labels' shape, without the class axis if it has one."""
    if labels != "onehot":
        return y_true != ops.cast(ignore_class, dtype_of(y_true))
    labelled = ops.any(y_true != 0, axis=axis)
    return ops.logical_and(labelled, ops.argmax(y_true, axis=axis) != ignore_class)


def fit(factor, shape, name="mask", axis=-1):
    """`factor` with the rank of `shape`: missing axes trail, last of all the one at `axis`."""
    rank, given = len(shape), tuple(factor.shape)
    if len(given) == rank + 1 and given[-1] == 1:
        factor = ops.squeeze(factor, -1)
    while len(factor.shape) < rank - 1:
        factor = ops.expand_dims(factor, -1)
    if len(factor.shape) == rank - 1:
        factor = ops.expand_dims(factor, axis)
    sizes = zip(factor.shape, shape, strict=False)
    if len(factor.shape) > rank or any(None not in (a, b) and a not in (1, b) for a, b in sizes):
        raise ValueError(
            f"{name} of shape {given} does not fit values of shape {tuple(shape)}; "
            "give one a sample, or one a value"
        )
    return factor


def of_whole(weight, mask, rank):
    """The mean weight of the steps that `mask` keeps, for values of `rank` that are of all steps.

    tf_keras multiplies the weights of samples with the mask before a loss sees them.
    """
    while len(weight.shape) == len(mask.shape) > rank:
        count = ops.sum(ops.cast(mask, weight.dtype), -1)
        weight = ops.sum(ops.where(mask, weight, 0), -1) / ops.maximum(count, 1)
        mask = ops.any(mask, -1)
    return weight


def both(kept, mask, labels, axis):
    """`mask`, or what it weighs, where `kept` is true; either may be None.

    `kept` has the labels' shape.
    """
    if kept is None or mask is None:
        return mask if kept is None else kept
    mask = fit(mask, kept.shape, axis=axis if labels == "binary" else -1)
    return ops.where(kept, mask, ops.zeros_like(mask))


def of_entries(weight):
    """Whether a weight has axes beside that of the samples."""
    return any(size != 1 for size in weight.shape[1:])


def known_size(x, axis):
    """The size of an axis, None where a graph does not know it or JAX exports a symbol for it."""
    size = x.shape[axis]
    # In a trace of torch it is a tensor that knows its value.
    symbol = keras.backend.backend() == "jax" and not isinstance(size, int)
    return None if symbol else size


def _replaced(x, keep, value, axis, name):
    return ops.where(fit(keep, x.shape, name, axis), x, ops.full_like(x, value))


def remove(keep, y_true, y_pred, axis=-1, name="mask"):
    """Put a harmless pair where `keep` is False, before the maths: no NaN there, no gradient.

    A product with 0 afterwards would not do, since 0 times NaN is NaN. Target 0 with prediction 1/2
    lies inside the domain of every loss: probability, logit, rate and scale.
    """
    same_axes = len(y_true.shape) == len(y_pred.shape)
    return (
        _replaced(y_true, keep, 0, axis if same_axes else -1, name),
        map_prediction(lambda x: _replaced(x, keep, 0.5, axis, name), y_pred),
    )


def remove_samples(keep, y_true, y_pred, name):
    """`remove` for structures of tensors, of whole samples where a tensor has an entry for each."""

    def all_of(structure, value):
        def replaced(x):
            each = len(x.shape) > 0 and compatible(keep.shape, x.shape[:1])
            return _replaced(x, keep, value, -1, name) if each else x

        return keras.tree.map_structure(replaced, structure)

    return all_of(y_true, 0), all_of(y_pred, 0.5)


def _unmasked_mean(values, axis):
    size = values.shape[axis]
    if size == 1:  # A single output, as of most binary classifiers.
        return ops.squeeze(values, axis)
    # Not ops.mean, which goes through float32 for float64 on torch.
    total = ops.sum(values, axis=axis)
    if size is None:
        size = ops.cast(ops.shape(values)[axis], values.dtype)
        return total / ops.maximum(size, 1)
    return total / max(size, 1)


def mean(values, mask=None, axis=-1):
    """Mean over `axis`, of the entries that `mask` keeps; 0 where it keeps none.

    A mask of lower rank does not touch `axis`: it tells which means there are.
    """
    if mask is not None and len(mask.shape) == len(values.shape):
        mask = ops.broadcast_to(mask, ops.shape(values))
        size = ops.sum(ops.cast(mask, values.dtype), axis=axis)
        values = ops.where(mask, values, ops.zeros_like(values))
        return ops.sum(values, axis=axis) / ops.maximum(size, 1)
    result = _unmasked_mean(values, axis)
    if mask is None:
        return result
    return ops.where(fit(mask, result.shape), result, ops.zeros_like(result))
