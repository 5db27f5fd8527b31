"""Losses of sequences: one label per step, and tags that form a chain."""

import math
from collections.abc import Callable
from typing import Any, Unpack

from keras import ops

from keras_actloss.core.categorical import of_sparse
from keras_actloss.core.checks import flag
from keras_actloss.core.curves import OPTIONS
from keras_actloss.core.functions import loss_function
from keras_actloss.core.keras_fixes import amax, over_axes, scan
from keras_actloss.core.kernels import (
    first_largest,
    in_float64,
    put_entry,
    runs_torch,
    spent,
)
from keras_actloss.core.loss import Loss, LossArguments
from keras_actloss.core.numerics import LOG_ZERO, leader, with_gradient
from keras_actloss.core.registry import register
from keras_actloss.core.settings import as_list
from keras_actloss.core.tensors import check_range, fit, mean


@loss_function(
    "ids",
    average_across_timesteps=flag,
    **OPTIONS,
)
def sequence_crossentropy(
    y_true: Any,
    y_pred: Any,
    from_logits=False,
    ignore_class: Any = None,
    axis=-1,
    label_smoothing=0.0,
    class_weights: Any = None,
    average_across_timesteps=True,
    mask: Any = None,
) -> Any:
    """Cross-entropy of a sequence of class ids, one value per sequence.

    Take it for models of sequences where each sequence is one sample: weighed, reported or compared
    as a whole. Where each step counts the same, however long its sequence is, take
    `sparse_categorical_crossentropy`, whose mean over a masked batch is over its steps.

    Formula:

        p = exp(y_pred - max(y_pred, axis=axis, keepdims=True)) if from_logits else y_pred
        p = p / sum(p, axis=axis, keepdims=True)
        y = one_hot(y_true, size(y_pred, axis), axis) * (1 - label_smoothing)
        y = y + label_smoothing / size(y_pred, axis)
        w = 1 if class_weights is None else along(class_weights, axis)
        steps = flat(-sum(w * xlogy(y, p), axis=axis))
        loss = mean(steps, axis=-1) if average_across_timesteps else sum(steps, axis=-1)

    Args:
        y_true: Class ids, integers from 0.
        y_pred: Probabilities, which need not sum to 1, or logits with `from_logits=True`.
        from_logits: Whether `y_pred` holds logits. Defaults to `False`.
        ignore_class: Id, often -1 or -100, whose steps are left out. Defaults to `None`.
        axis: The class axis. Defaults to `-1`.
        label_smoothing: Share of the label that is spread over all classes, in [0, 1). Defaults to
            `0.0`.
        class_weights: One weight of at least 0 per class. Defaults to `None`, all 1.
        average_across_timesteps: Whether the value is the mean over the steps that count; if not,
            it is their sum, minus the logarithm of the sequence's probability. Defaults to `True`.
        mask: Boolean, `True` where a step counts; shape of `y_true`, or `(batch,)`. Defaults to
            `None`.

    Shapes:
        `y_pred`: `(batch, steps, classes)`, the classes on `axis`. `y_true`: `(batch, steps)`. The
        loss: `(batch,)`.

    Raises:
        TypeError: If `y_true` is not of an integer dtype.
        ValueError: If an option or an id is out of range, or the shapes do not fit.

    Example:

    >>> loss = keras_actloss.losses.sequence_crossentropy
    >>> float(loss([[0, 1, -1]], [[[0.5, 0.5], [0.1, 0.9], [0.3, 0.7]]], ignore_class=-1)[0])
    0.3992...

    Related:
        `SequenceLoss` of TensorFlow Addons with `average_across_timesteps=True` and
        `average_across_batch=False`, for weights of 0 and 1; the sum is
        `torch.nn.functional.cross_entropy` with `reduction="none"`, summed over the steps. Addons
        averages over both by default: that is `SparseCategoricalCrossentropy` of a masked batch.

    Reference:
        [Sutskever et al., 2014](https://arxiv.org/abs/1409.3215)
    """
    values = of_sparse(y_true, y_pred, from_logits, label_smoothing, axis, class_weights)
    if len(values.shape) == 1:  # Sequences of one step.
        values = ops.expand_dims(values, -1)
    mask = None if mask is None else fit(mask, values.shape)
    if average_across_timesteps:
        return mean(values, mask)
    return ops.sum(values if mask is None else ops.where(mask, values, 0.0), axis=-1)


@register("losses")
class SequenceCrossentropy(Loss, fn=sequence_crossentropy):
    """Class form of `sequence_crossentropy`."""

    def __init__(
        self,
        from_logits=False,
        ignore_class=None,
        axis=-1,
        label_smoothing=0.0,
        class_weights=None,
        average_across_timesteps=True,
        **kwargs: Unpack[LossArguments],
    ):
        super().__init__(**kwargs)
        self.from_logits = from_logits
        self.ignore_class = ignore_class
        self.axis = axis
        self.label_smoothing = label_smoothing
        self.class_weights = as_list(class_weights)
        self.average_across_timesteps = average_across_timesteps


def _steps(x):
    """`(batch, steps, ...)` as `(steps, batch, ...)`."""
    return ops.swapaxes(x, 0, 1)


def _log_sum(x, axis):
    """Log-sum-exp over an axis, less its largest entry over the rest, and that one."""
    dtype = x.dtype
    if runs_torch():
        # In twice the digits, and a third of the kernels that `leader` calls.
        x = in_float64(x)
        top, first = first_largest(x, axis)
        others = put_entry(spent("exp", x - top), first, 0.0, axis, spare=True)
        rest = ops.sum(others, axis, keepdims=True)
    else:
        top, _, _, rest = leader(x, axis)
    total = ops.squeeze(top + ops.log1p(rest), axis)
    scale = ops.cast(amax(total, axis=-1, keepdims=True), dtype)
    return ops.cast(total - scale, dtype), scale


def _follow(last, step):
    tag, keep = step
    return ops.where(keep[:, 0], tag, last), last


def _forward(carry, step):
    (weights, scale), (x, keep) = carry, step
    total, scale = _log_sum(ops.expand_dims(weights, -1) + x, 1)
    carry = ops.where(keep, total, weights), ops.where(keep, scale, 0.0)
    return carry, carry


def _backward(weights, step):
    x, keep = step
    total, _ = _log_sum(x + ops.expand_dims(weights, 1), 2)
    return ops.where(keep, total, weights), weights


def _chain_parts(tags, keep, x):
    """Scores beside those of the true path, with steps first, and what is summed up to each step.

    Beside the true path a confident chain costs what the others weigh: nothing large cancels.
    """
    size = x.shape[-1]
    x = ops.maximum(_steps(x), LOG_ZERO)
    tags, keep = _steps(tags), ops.expand_dims(_steps(keep), -1)

    _, before = scan(_follow, ops.zeros_like(tags[0]), (tags, keep))
    place = ops.expand_dims(before * size + tags, -1)
    flat = ops.reshape(x, (*ops.shape(x)[:2], size * size))
    true = ops.where(keep, ops.take_along_axis(flat, place, -1), 0.0)
    barred = over_axes(ops.any, true < LOG_ZERO / 2, (0, 2))
    true = ops.where(true < LOG_ZERO / 2, 0.0, true)
    x = x - ops.expand_dims(true, -1)

    # Whatever comes first comes from tag 0.
    start = ops.where(ops.arange(size) == 0, ops.cast(0, x.dtype), LOG_ZERO)
    start = ops.broadcast_to(start, ops.shape(x)[1:3])
    weights, scale = scan(_forward, (start, ops.zeros_like(start[:, :1])), (x, keep))[1]
    return x, keep, place, barred, start, weights, scale


def _chain_value(parts, tags, keep, x):
    *_, barred, _, weights, scale = parts
    top, _, _, rest = leader(weights[-1], -1)
    value = (top + ops.log1p(rest))[:, 0] + ops.sum(scale[..., 0], axis=0)
    return ops.where(barred, math.inf, value)


def _chain_gradient(upstream, parts, tags, keep, x):
    x, keep, place, _, start, weights, _ = parts

    _, after = scan(_backward, ops.zeros_like(start), (x, keep), reverse=True)
    before = ops.concatenate([start[None], weights[:-1]], axis=0)
    pairs = ops.expand_dims(before, -1) + x + ops.expand_dims(after, 2)
    pairs = ops.reshape(pairs, (*ops.shape(pairs)[:2], x.shape[-1] ** 2))
    pairs = ops.softmax(pairs, axis=-1)
    true = ops.arange(x.shape[-1] ** 2, dtype="int32") == place
    others = ops.where(true, 0.0, pairs)
    # Of the true pair by what the others weigh, where its own probability less 1 would cancel.
    slope = ops.where(true, -ops.sum(others, axis=-1, keepdims=True), others)
    slope = ops.reshape(ops.where(keep, slope, 0.0), ops.shape(x))
    return None, None, upstream[:, None, None, None] * _steps(slope)


_chain: Callable[..., Any] = with_gradient(_chain_value, _chain_gradient, _chain_parts)


@loss_function("tags")
def linear_chain_crf(y_true: Any, y_pred: Any, mask: Any = None) -> Any:
    """Negative log-likelihood of a sequence of tags in a linear-chain conditional random field.

    Take it behind `layers.CRF` for tagging where tags depend on their neighbors, as in named
    entities. Whole sequences compete: `y_pred` holds the score of each tag beside each tag that
    may stand before it, so that the loss needs no weights of the layer.

    Formula:

        weights, score, tag = y_pred[:, 0, 0], 0, 0 * y_true[:, 0]
        for t in range(size(y_true, 1)):
            if t > 0:
                weights = log(sum(exp(weights[:, :, None] + y_pred[:, t]), axis=1))
            score = score + y_pred[range(len(y_true)), t, tag, y_true[:, t]]
            tag = y_true[:, t]
        loss = log(sum(exp(weights), axis=1)) - score

    Args:
        y_true: Tags, class ids from 0.
        y_pred: Scores: `y_pred[:, t, i, j]` of tag `j` at step `t` after tag `i`. Before the first
            step stands tag 0. Minus infinity bars a pair of tags.
        mask: Boolean, `True` where a step counts, `(batch, steps)` or `(batch,)`. Steps left out
            are as if they were not there; gaps are allowed. Defaults to `None`.

    Shapes:
        `y_true`: `(batch, steps)`. `y_pred`: `(batch, steps, tags, tags)`, which takes `tags` times
        the memory of scores of single tags, and as much again for the gradient. The loss:
        `(batch,)`.

    Raises:
        TypeError: If `y_true` is not of an integer dtype.
        ValueError: If a tag is out of range, or the shapes do not fit.

    Example:

    >>> scores = np.zeros((1, 3, 2, 2))  # 8 paths of equal score
    >>> float(keras_actloss.losses.linear_chain_crf([[0, 1, 1]], scores)[0])
    2.0794...

    Related:
        Where no score depends on the tag before, the sum of `sparse_categorical_crossentropy` over
        the steps. Minus `crf_log_likelihood` of TensorFlow Addons, and minus the `CRF` of
        pytorch-crf with `reduction="none"`, both of the scores that `layers.CRF` makes. There is no
        `ignore_class`: mask what does not count before the layer, which finds the ends of a
        sequence by the mask.

    Reference:
        [Lafferty et al., 2001](https://repository.upenn.edu/cis_papers/159),
        [Lample et al., 2016](https://arxiv.org/abs/1603.01360)
    """
    if len(y_pred.shape) != 4 or y_pred.shape[-1] != y_pred.shape[-2]:
        raise ValueError(
            f"linear_chain_crf: y_pred of shape {tuple(y_pred.shape)} needs the axes (batch, steps,"
            " tags, tags); end the model in layers.CRF"
        )
    check_range(y_true, y_pred.shape[-1], "tags", None, "linear_chain_crf")
    keep = ops.ones(ops.shape(y_true), "bool")
    if mask is not None:
        keep = ops.logical_and(keep, fit(mask, y_true.shape))
    return _chain(y_true, keep, y_pred)


@register("losses")
class LinearChainCRF(Loss, fn=linear_chain_crf):
    """Class form of `linear_chain_crf`; a Keras mask tells which steps count."""
