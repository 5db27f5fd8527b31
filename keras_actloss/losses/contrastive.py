"""Losses of embeddings that are to lie near those of their own group and far from the others."""

from typing import Any, Unpack

from keras import ops

from keras_actloss.core.checks import class_id_or_none, finite
from keras_actloss.core.functions import loss_function
from keras_actloss.core.loss import Loss, LossArguments
from keras_actloss.core.numerics import LOG_ZERO, unit
from keras_actloss.core.registry import register
from keras_actloss.core.tensors import halves, mean
from keras_actloss.losses.classification import categorical_crossentropy


@loss_function("binary", margin=finite)
def contrastive(y_true: Any, y_pred: Any, margin=1.0, mask: Any = None) -> Any:
    """Squared distance of pairs that are alike, squared shortfall from a margin of others.

    Take it where the model gives the distance of a pair, as a siamese network does. Nothing pulls
    at a pair that is far apart as it should be; `npairs` compares with a whole batch and trains
    faster.

    Formula:

        far = maximum(margin - y_pred, 0)
        loss = mean(where(y_true > 0, y_pred ** 2, far ** 2), axis=-1)

    Args:
        y_true: Labels, 1 for a pair that is alike, and -1 or 0 for one that is not.
        y_pred: Distances.
        margin: Distance beyond which a pair that is not alike costs nothing. Defaults to `1.0`.
        mask: Boolean, `True` where an entry counts; shape of `y_pred`, or without its last axes.
            Defaults to `None`.

    Shapes:
        `y_true` and `y_pred`: `(batch, ..., n)`; `(batch,)` beside `(batch, 1)` is the same. The
        loss: `(batch, ...)`.

    Raises:
        ValueError: If `margin` is not finite or the shapes do not fit.

    Example:

    >>> float(keras_actloss.losses.contrastive([[1, 0]], [[0.5, 0.25]])[0])
    0.40625

    Related:
        `hinge_embedding` without the squares. The paper has half of it, and 0 for a pair that is
        alike.

    Reference:
        [Hadsell et al., 2006](https://doi.org/10.1109/CVPR.2006.100)
    """
    values = ops.where(y_true > 0, y_pred, ops.relu(margin - y_pred))
    return mean(ops.square(values), mask)


@register("losses")
class Contrastive(Loss, fn=contrastive):
    """Class form of `contrastive`."""

    def __init__(self, margin=1.0, **kwargs: Unpack[LossArguments]):
        super().__init__(**kwargs)
        self.margin = margin


def _pairs(y_true, y_pred, mask, name):
    """Which samples of the batch are of one group, and which count, as matrices."""
    if len(y_pred.shape) != 2:
        raise ValueError(
            f"{name}: y_pred of shape {tuple(y_pred.shape)} must be (batch, dimensions), an "
            "embedding a sample; pool or reshape the other axes"
        )
    same = ops.expand_dims(y_true, 1) == y_true
    if mask is None:
        return same, ops.ones_like(same)
    return same, ops.logical_and(ops.expand_dims(mask, 1), mask)


_GROUPS = {"ignore_class": class_id_or_none}


@loss_function("groups", **_GROUPS)
def npairs(y_true: Any, y_pred: Any, ignore_class=None, mask: Any = None) -> Any:
    """Cross-entropy of which others of the batch belong to a sample, by the product of embeddings.

    Take it where each sample comes as a pair, an anchor and another of its group, and large batches
    of many groups fit: each anchor is compared with the other halves of all pairs.

    Formula:

        anchors, others = split(y_pred, 2, axis=-1)
        same = where(y_true[:, None] == y_true, 1, 0)
        scores = anchors @ others.T
        top = max(scores, axis=-1, keepdims=True)
        log_sum = top[:, 0] + log(sum(exp(scores - top), axis=-1))
        loss = log_sum - sum(same * scores, axis=-1) / sum(same, axis=-1)

    Args:
        y_true: Integers, alike for pairs of the same group.
        y_pred: Both embeddings of a pair, joined: `keras.ops.concatenate([a, b], axis=-1)`.
        ignore_class: Number, often -1, whose pairs are left out. Defaults to `None`.
        mask: Boolean, `True` where a pair counts. Defaults to `None`.

    Shapes:
        `y_pred`: `(batch, 2 * dimensions)`. `y_true` and the loss: `(batch,)`; all values hang on
        all pairs that count.

    Raises:
        TypeError: If `y_true` is not of an integer dtype.
        ValueError: If the last axis is odd or the shapes do not fit.

    Example:

    >>> a, b = np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([[2.0, 0.0], [0.0, 2.0]])
    >>> float(keras_actloss.losses.npairs([0, 1], np.concatenate([a, b], axis=-1))[0])
    0.1269...

    Related:
        `sparse_categorical_crossentropy` of the products, where each pair is a group of its own.
        TFA's takes the products as predictions. The paper adds the squared lengths of the
        embeddings, times a small weight.

    Reference:
        [Sohn, 2016](https://papers.nips.cc/paper/6200-improved-deep-metric-learning-with-multi-class-n-pair-loss-objective)
    """
    same, counts = _pairs(y_true, y_pred, mask, "npairs")
    anchors, others = halves(y_pred, "npairs")
    scores = ops.where(counts, ops.matmul(anchors, ops.transpose(others)), LOG_ZERO)
    same = ops.cast(ops.logical_and(same, counts), scores.dtype)
    # A column of nobody, for an empty batch to have one.
    scores = ops.pad(scores, [(0, 0), (0, 1)], constant_values=LOG_ZERO)
    same = ops.pad(same, [(0, 0), (0, 1)])
    labels = same / ops.maximum(ops.sum(same, axis=-1, keepdims=True), 1)
    values = categorical_crossentropy.prepared(labels, scores, from_logits=True)
    return values if mask is None else ops.where(mask, values, ops.zeros_like(values))


@register("losses")
class NPairs(Loss, fn=npairs):
    """Class form of `npairs`."""

    couples_samples = True

    def __init__(self, ignore_class=None, **kwargs: Unpack[LossArguments]):
        super().__init__(**kwargs)
        self.ignore_class = ignore_class


@loss_function("groups", margin=finite, **_GROUPS)
def lifted_structure(
    y_true: Any, y_pred: Any, margin=1.0, ignore_class=None, mask: Any = None
) -> Any:
    """Excess of the distance within a group over that to all samples of other groups.

    Take it where a batch has some samples of each of several groups: all pairs of it take part, and
    the nearest samples of other groups most. The embeddings should not be normalized.

    Formula:

        step = y_pred[:, None] - y_pred
        distance = sqrt(sum(step ** 2, axis=-1))
        same = y_true[:, None] == y_true
        k = arange(size(y_pred, 0))
        pairs = same & (k[:, None] != k)
        near = sum(where(same, 0, exp(margin - distance)), axis=-1)
        both = near[:, None] + near
        excess = where(both > 0, distance + log(where(both > 0, both, 1)), 0)
        count = maximum(sum(where(pairs, 1, 0)), 1)
        squares = where(pairs, maximum(excess, 0) ** 2, 0)
        loss = size(y_pred, 0) / count * sum(squares, axis=-1) / 2

    Args:
        y_true: Integers, alike for samples of the same group.
        y_pred: Embeddings.
        margin: By how much distances to other groups are to be larger. Defaults to `1.0`.
        ignore_class: Number, often -1, whose samples are left out. Defaults to `None`.
        mask: Boolean, `True` where a sample counts. Defaults to `None`.

    Shapes:
        `y_pred`: `(batch, dimensions)`. `y_true` and the loss: `(batch,)`; all values hang on all
        samples that count, and their mean is that of the pairs. It takes memory for the square of
        the batch times the dimensions.

    Raises:
        TypeError: If `y_true` is not of an integer dtype.
        ValueError: If `margin` is not finite or the shapes do not fit.

    Example:

    >>> loss = keras_actloss.losses.lifted_structure([0, 0, 1], [[0.0], [1.0], [3.0]])
    >>> float(loss[0] + loss[1] + loss[2]) / 3
    0.0490...

    Related:
        TFA's, which gives the mean. With each group twice in a batch, what the paper has.

    Reference:
        [Oh Song et al., 2016](https://arxiv.org/abs/1511.06452)
    """
    same, counts = _pairs(y_true, y_pred, mask, "lifted_structure")
    distance = _length(ops.expand_dims(y_pred, 1) - y_pred)
    others = ops.logical_and(counts, ops.logical_not(same))
    near = ops.logsumexp(ops.where(others, margin - distance, LOG_ZERO), axis=-1)
    # Without another group the logarithm is far below 0, and so is the excess.
    excess = distance + ops.logaddexp(ops.expand_dims(near, 1), near)
    itself = ops.eye(ops.shape(same)[0], dtype="bool")
    pairs = ops.logical_and(ops.logical_and(same, counts), ops.logical_not(itself))
    squares = ops.square(ops.where(pairs, ops.relu(excess), ops.zeros_like(excess)))
    of_pairs, samples = (
        ops.sum(ops.cast(x, squares.dtype)) for x in (pairs, ops.logical_and(itself, counts))
    )
    return samples / ops.maximum(of_pairs, 1) * ops.sum(squares, axis=-1) / 2


def _length(x):
    """Lengths along the last axis, without a gradient at 0."""
    _, length, factor = unit(x, -1)
    zero = factor == 0
    length = ops.where(zero, ops.zeros_like(length), length / ops.where(zero, 1.0, factor))
    return ops.squeeze(length, -1)


@register("losses")
class LiftedStructure(Loss, fn=lifted_structure):
    """Class form of `lifted_structure`."""

    couples_samples = True

    def __init__(self, margin=1.0, ignore_class=None, **kwargs: Unpack[LossArguments]):
        super().__init__(**kwargs)
        self.margin = margin
        self.ignore_class = ignore_class
