"""Losses of embeddings that are to lie near those of their own group and far from the others."""

import math
from typing import Any, Unpack

from keras import ops

from keras_actloss.core.binary import logistic, of_entries
from keras_actloss.core.checks import class_id_or_none, finite, flag, one_of
from keras_actloss.core.curves import OPTIONS
from keras_actloss.core.functions import loss_function
from keras_actloss.core.keras_fixes import amax
from keras_actloss.core.kernels import alike, rectified, rectified_beside
from keras_actloss.core.loss import Loss, LossArguments
from keras_actloss.core.numerics import (
    LOG_ZERO,
    direction,
    positive,
    reciprocal,
    scale,
    with_gradient,
)
from keras_actloss.core.registry import register
from keras_actloss.core.settings import as_list
from keras_actloss.core.tensors import halves, mean
from keras_actloss.losses.classification import categorical_crossentropy


@loss_function("values", margin=finite, **OPTIONS)
def contrastive(
    y_true: Any,
    y_pred: Any,
    margin=1.0,
    class_weights: Any = None,
    ignore_class: Any = None,
    mask: Any = None,
) -> Any:
    """Squared distance of pairs that are alike, squared shortfall from a margin of others.

    Take it where the model gives the distance of a pair, as a siamese network does. Nothing pulls
    at a pair that is far apart as it should be; `npairs` compares with a whole batch and trains
    faster.

    Formula:

        far = maximum(margin - y_pred, 0)
        w = (1, 1) if class_weights is None else class_weights
        loss = mean(where(y_true > 0, w[1] * y_pred ** 2, w[0] * far ** 2), axis=-1)

    Args:
        y_true: Labels, 1 for a pair that is alike, and -1 or 0 for one that is not.
        y_pred: Distances.
        margin: Distance beyond which a pair that is not alike costs nothing. Defaults to `1.0`.
        class_weights: Weights of pairs that are not alike and of those that are, or `None` for 1
            and 1. Defaults to `None`.
        ignore_class: Label whose entries are left out, such as -1 beside labels of 0 and 1.
            Defaults to `None`.
        mask: Boolean, `True` where an entry counts; shape of `y_pred`, or without its last axes.
            Defaults to `None`.

    Shapes:
        `y_true` and `y_pred`: `(batch, ..., n)`; `(batch,)` beside `(batch, 1)` is the same. The
        loss: `(batch, ...)`.

    Raises:
        ValueError: If an option is out of range or the shapes do not fit.

    Example:

    >>> float(keras_actloss.losses.contrastive([[1, 0]], [[0.5, 0.25]])[0])
    0.40625

    Related:
        TFA's. `hinge_embedding` without the squares, as pytorch-metric-learning has it, of pairs
        that it makes itself. The paper has half of it, and 0 for a pair that is alike.

    Reference:
        [Hadsell et al., 2006](https://doi.org/10.1109/CVPR.2006.100)
    """

    def loss(x):
        return ops.square(ops.where(y_true > 0, x, rectified(margin - x)))

    return mean(of_entries(loss, y_true > 0, y_pred, class_weights), mask)


@register("losses")
class Contrastive(Loss, fn=contrastive):
    """Class form of `contrastive`."""

    def __init__(
        self, margin=1.0, class_weights=None, ignore_class=None, **kwargs: Unpack[LossArguments]
    ):
        super().__init__(**kwargs)
        self.margin = margin
        self.class_weights = as_list(class_weights)
        self.ignore_class = ignore_class


def _check_rank(y_pred, name):
    if len(y_pred.shape) != 2:
        raise ValueError(
            f"{name}: y_pred of shape {tuple(y_pred.shape)} must be (batch, dimensions), an "
            "embedding a sample; pool or reshape the other axes"
        )


def _both(mask):
    """Of which pairs both samples count, as a matrix."""
    return ops.logical_and(ops.expand_dims(mask, 1), mask)


def _same(y_true):
    """Which samples are of one group, as a matrix."""
    return ops.expand_dims(y_true, 1) == y_true


def _of_pairs(shared, y_pred, from_products, mask, name):
    """Cross-entropy of the products of all pairs, of which row by row some are `shared`."""
    _check_rank(y_pred, name)
    if from_products and None not in y_pred.shape and y_pred.shape[0] != y_pred.shape[1]:
        raise ValueError(
            f"{name}: y_pred of shape {tuple(y_pred.shape)} must be (batch, batch) with "
            "from_products=True, the product of each anchor with the other half of each pair"
        )
    if y_pred.shape[0] == 0:  # Of nobody there is no largest product.
        return ops.sum(y_pred, axis=-1)
    if not from_products:
        anchors, others = halves(y_pred, name)
        y_pred = ops.matmul(anchors, ops.transpose(others))
    if mask is not None:
        counts = _both(mask)
        y_pred, shared = ops.where(counts, y_pred, LOG_ZERO), ops.where(counts, shared, 0)
    labels = shared / positive(ops.sum(shared, axis=-1, keepdims=True))
    return categorical_crossentropy.maths(labels, y_pred, from_logits=True)


_GROUPS = {"ignore_class": class_id_or_none}


@loss_function("groups", from_products=flag, **_GROUPS)
def npairs(
    y_true: Any, y_pred: Any, ignore_class=None, from_products=False, mask: Any = None
) -> Any:
    """Cross-entropy of which positives of a batch belong to an anchor, by products of embeddings.

    Take it where each sample comes as a pair, an anchor and a positive, and large batches of many
    groups fit: each anchor is compared with the positives of all pairs.

    Formula:

        products = lambda anchors, others: anchors @ others.T
        scores = y_pred if from_products else products(*split(y_pred, 2, axis=-1))
        same = where(y_true[:, None] == y_true, 1, 0)
        top = max(scores, axis=-1, keepdims=True)
        log_sum = top[:, 0] + log(sum(exp(scores - top), axis=-1))
        loss = log_sum - sum(same * scores, axis=-1) / sum(same, axis=-1)

    Args:
        y_true: Integers, alike for pairs of the same group.
        y_pred: Both embeddings of a pair, joined: `keras.ops.concatenate([a, b], axis=-1)`.
        ignore_class: Number, often -1, whose pairs are left out. Defaults to `None`.
        from_products: Whether `y_pred` holds the products of the embeddings, `a @ b.T`, or any
            other similarity. `AcrossReplicas` wants embeddings, for a replica has no products with
            pairs of others. Defaults to `False`.
        mask: Boolean, `True` where a pair counts. Defaults to `None`.

    Shapes:
        `y_pred`: `(batch, 2 * dimensions)`, products `(batch, batch)`. `y_true` and the loss:
        `(batch,)`; all values depend on all pairs that count.

    Raises:
        TypeError: If `y_true` is not of an integer dtype.
        ValueError: If the last axis is odd or the shapes do not fit.

    Example:

    >>> a, b = np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([[2.0, 0.0], [0.0, 2.0]])
    >>> float(keras_actloss.losses.npairs([0, 1], np.concatenate([a, b], axis=-1))[0])
    0.1269...

    Related:
        `sparse_categorical_crossentropy` of the products, where each pair is a group of its own;
        `npairs_multilabel` for several groups per pair. TFA's takes products. The paper adds the
        squared lengths of the embeddings, times a small weight.

    Reference:
        [Sohn, 2016](https://papers.nips.cc/paper/6200-improved-deep-metric-learning-with-multi-class-n-pair-loss-objective)
    """
    same = alike(ops.expand_dims(y_true, 1), y_true, y_pred.dtype)
    return _of_pairs(same, y_pred, from_products, mask, "npairs")


@register("losses")
class NPairs(Loss, fn=npairs):
    """Class form of `npairs`."""

    couples_samples = True

    def __init__(self, ignore_class=None, from_products=False, **kwargs: Unpack[LossArguments]):
        super().__init__(**kwargs)
        self.ignore_class = ignore_class
        self.from_products = from_products


@loss_function("memberships", from_products=flag)
def npairs_multilabel(y_true: Any, y_pred: Any, from_products=False, mask: Any = None) -> Any:
    """Cross-entropy of which positives of a batch share labels with an anchor, and how many.

    Take it in place of `npairs` where a pair has several labels, as an image has tags.

    Formula:

        products = lambda anchors, others: anchors @ others.T
        scores = y_pred if from_products else products(*split(y_pred, 2, axis=-1))
        shared = y_true @ y_true.T
        top = max(scores, axis=-1, keepdims=True)
        log_sum = top[:, 0] + log(sum(exp(scores - top), axis=-1))
        total = sum(shared, axis=-1)
        costs = shared * (log_sum[:, None] - scores)
        loss = sum(costs, axis=-1) / where(total == 0, 1, total)

    Args:
        y_true: Labels of both halves of a pair, 1 for each that it has and 0 for the others. A pair
            without labels costs nothing.
        y_pred: Both embeddings of a pair, joined: `keras.ops.concatenate([a, b], axis=-1)`.
        from_products: Whether `y_pred` holds the products of the embeddings, `a @ b.T`, or any
            other similarity. `AcrossReplicas` wants embeddings, for a replica has no products with
            pairs of others. Defaults to `False`.
        mask: Boolean, `True` where a pair counts. Defaults to `None`.

    Shapes:
        `y_true`: `(batch, labels)`. `y_pred`: `(batch, 2 * dimensions)`, products `(batch, batch)`.
        The loss: `(batch,)`; all values depend on all pairs that count.

    Raises:
        ValueError: If the last axis of embeddings is odd or the shapes do not fit.

    Example:

    >>> tags = np.array([[1, 1, 0], [0, 1, 1]])
    >>> products = np.array([[2.0, 0.0], [0.0, 2.0]])
    >>> loss = keras_actloss.losses.npairs_multilabel(tags, products, from_products=True)
    >>> float(loss[0])
    0.7935...

    Related:
        `npairs` of one label per pair. TFA's takes products.

    Reference:
        [Sohn, 2016](https://papers.nips.cc/paper/6200-improved-deep-metric-learning-with-multi-class-n-pair-loss-objective)
    """
    shared = ops.matmul(y_true, ops.transpose(y_true))
    return _of_pairs(shared, y_pred, from_products, mask, "npairs_multilabel")


@register("losses")
class NPairsMultilabel(Loss, fn=npairs_multilabel):
    """Class form of `npairs_multilabel`."""

    couples_samples = True

    def __init__(self, from_products=False, **kwargs: Unpack[LossArguments]):
        super().__init__(**kwargs)
        self.from_products = from_products


def _relations(y_true, y_pred, mask, name):
    """Pairs of one group and of two, as matrices, and which samples count."""
    _check_rank(y_pred, name)
    same = _same(y_true)
    counts = ops.ones_like(same) if mask is None else _both(mask)
    itself = ops.eye(ops.shape(same)[0], dtype="bool")
    pairs = ops.logical_and(ops.logical_and(same, counts), ops.logical_not(itself))
    return pairs, ops.logical_and(counts, ops.logical_not(same)), ops.any(counts, axis=-1)


def _shared_out(terms, chosen, counts):
    """Sums of rows, scaled such that their mean over what counts is that of all chosen `terms`."""
    values = ops.sum(ops.where(chosen, terms, ops.zeros_like(terms)), axis=-1)
    number, samples = (ops.sum(ops.cast(x, values.dtype)) for x in (chosen, counts))
    return samples / ops.maximum(number, 1) * values


def _between(x, squared):
    """Distances of all rows from each other, without a gradient at 0; no difference is kept."""

    def steps(x):
        return ops.expand_dims(x, 1) - x

    def distances(x):
        factor = 1.0 if squared else scale(ops.sum(ops.abs(x)))
        squares = ops.sum(ops.square(steps(x * factor)), axis=-1)
        if squared:
            return squares
        # The root of 0 has no derivative, which the gradient of the gradient asks for.
        apart = squares > 0
        return ops.where(apart, ops.sqrt(ops.where(apart, squares, 1.0)) / factor, 0.0)

    def gradient(upstream, distances, x):
        both = upstream + ops.transpose(upstream)
        weight = 2 * both if squared else both * reciprocal(distances)
        return ops.sum(ops.expand_dims(weight, -1) * steps(x), axis=1)

    return with_gradient(lambda distances, x: distances + 0, gradient, distances)(x)


def _distances(x, distance):
    """All distances in a batch, from differences: those of close samples keep their digits."""
    if distance != "cosine":
        return _between(x, squared=distance == "squared_euclidean")
    # A vector of zeros has no direction, and is at right angles to all others.
    zero = ops.cast(ops.all(x == 0, axis=-1), x.dtype)
    return (_between(direction(x, -1), squared=True) + zero[:, None] + zero) / 2


@loss_function("groups", margin=finite, **_GROUPS)
def lifted_structure(
    y_true: Any, y_pred: Any, margin=1.0, ignore_class=None, mask: Any = None
) -> Any:
    """Lifted structured loss: distance of each positive pair against a soft minimum over negatives.

    Take it where a batch has some samples of each of several groups. Each positive pair is held
    against all negatives of both of its samples, the nearest of which count most. The embeddings
    should not be normalized.

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
        `y_pred`: `(batch, dimensions)`. `y_true` and the loss: `(batch,)`; all values depend on all
        samples that count, and their mean is that of the pairs. Where no compiler fuses its steps,
        it takes memory for the square of the batch times the dimensions.

    Raises:
        TypeError: If `y_true` is not of an integer dtype.
        ValueError: If `margin` is not finite or the shapes do not fit.

    Example:

    >>> loss = keras_actloss.losses.lifted_structure([0, 0, 1], [[0.0], [1.0], [3.0]])
    >>> float(loss[0] + loss[1] + loss[2]) / 3
    0.0490...

    Related:
        TFA's, which gives the mean; pytorch-metric-learning normalizes the embeddings first. With
        each group twice in a batch, what the paper has.

    Reference:
        [Oh Song et al., 2016](https://arxiv.org/abs/1511.06452)
    """
    pairs, others, counts = _relations(y_true, y_pred, mask, "lifted_structure")
    distance = _distances(y_pred, "euclidean")
    near = ops.logsumexp(ops.where(others, margin - distance, LOG_ZERO), axis=-1)
    # Without another group the logarithm is far below 0, and so is the excess.
    excess = distance + ops.logaddexp(ops.expand_dims(near, 1), near)
    return _shared_out(ops.square(ops.relu(excess)) / 2, pairs, counts)


@register("losses")
class LiftedStructure(Loss, fn=lifted_structure):
    """Class form of `lifted_structure`."""

    couples_samples = True

    def __init__(self, margin=1.0, ignore_class=None, **kwargs: Unpack[LossArguments]):
        super().__init__(**kwargs)
        self.margin = margin
        self.ignore_class = ignore_class


_TRIPLETS = {
    "margin": finite,
    "distance": one_of("euclidean", "squared_euclidean", "cosine"),
    **_GROUPS,
}


def _places(x, rows):
    """How many entries of its sorted row each `x` is not below, by halving what is left."""
    rows = ops.stop_gradient(rows)
    # More than 2**16 rows would be a matrix of 16 GB.
    size, place = rows.shape[-1] or 2**16, ops.zeros_like(x, dtype="int32")
    for bit in reversed(range(size.bit_length())):
        ahead = place + 2**bit
        last = ops.take_along_axis(rows, ops.minimum(ahead, ops.shape(rows)[-1]) - 1, axis=-1)
        go = ops.logical_and(ahead <= ops.shape(rows)[-1], last <= x)
        place = ops.where(go, ahead, place)
    return place


@loss_function("groups", **_TRIPLETS)
def triplet_semihard(
    y_true: Any,
    y_pred: Any,
    margin=1.0,
    distance="euclidean",
    ignore_class=None,
    mask: Any = None,
) -> Any:
    """Shortfall from a margin between a positive and the nearest negative that is farther than it.

    Take it where a batch has several samples of each of several groups. Each anchor and positive
    make a triplet with the nearest negative that is farther than the positive, or with the farthest
    negative if there is none; harder triplets let embeddings collapse early in training. Usually
    embeddings are normalized, by `keras.layers.UnitNormalization`.

    Formula:

        step = y_pred[:, None] - y_pred
        squares = sum(step ** 2, axis=-1)
        length = sqrt(sum(y_pred ** 2, axis=-1))
        cosine = 1 - (y_pred @ y_pred.T) / (length[:, None] * length)
        d = {"euclidean": sqrt(squares), "squared_euclidean": squares, "cosine": cosine}[distance]
        same = y_true[:, None] == y_true
        k = arange(size(y_pred, 0))
        pairs = same & (k[:, None] != k)
        farther = ~same[:, None] & (d[:, None] > d[:, :, None])
        next = -max(where(farther, -d[:, None], -inf), axis=-1)
        farthest = max(where(same, -inf, d), axis=-1, keepdims=True)
        negative = where(next < inf, next, where(farthest > -inf, farthest, inf))
        excess = maximum(margin + d - negative, 0)
        count = maximum(sum(where(pairs, 1, 0)), 1)
        loss = size(y_pred, 0) / count * sum(where(pairs, excess, 0), axis=-1)

    Args:
        y_true: Integers, alike for samples of the same group.
        y_pred: Embeddings.
        margin: By how much the distance to another group is to be larger. Defaults to `1.0`.
        distance: `"euclidean"`, `"squared_euclidean"`, or `"cosine"` for 1 less the cosine of the
            angle. Defaults to `"euclidean"`.
        ignore_class: Number, often -1, whose samples are left out. Defaults to `None`.
        mask: Boolean, `True` where a sample counts. Defaults to `None`.

    Shapes:
        `y_pred`: `(batch, dimensions)`. `y_true` and the loss: `(batch,)`; all values depend on all
        samples that count. Their mean is that of all pairs of a group, in either order. A sample
        without a triplet costs nothing. Where no compiler fuses its steps, it takes memory for the
        square of the batch times the dimensions, and nowhere for the cube of the batch.

    Raises:
        TypeError: If `y_true` is not of an integer dtype.
        ValueError: If `margin` is not finite, `distance` is unknown or the shapes do not fit.

    Example:

    >>> x = np.array([[0.0], [1.0], [1.5], [5.0]])
    >>> loss = keras_actloss.losses.triplet_semihard([0, 0, 1, 1], x)
    >>> [float(value) for value in loss]
    [0.5, 0.0, 3.0, 0.5]

    Related:
        `triplet_hard`. TFA's, which gives the mean and names the distances `"L2"`, `"squared-L2"`
        and `"angular"`. pytorch-metric-learning's takes all triplets within the margin.

    Reference:
        [Schroff et al., 2015](https://arxiv.org/abs/1503.03832)
    """
    pairs, others, counts = _relations(y_true, y_pred, mask, "triplet_semihard")
    between = _distances(y_pred, distance)
    # To nobody it is infinitely far, which costs nothing.
    far = ops.where(others, between, math.inf)
    # TensorFlow has no gradient of a sort of nothing.
    order = ops.argsort(ops.stop_gradient(far), axis=-1)
    negatives = ops.take_along_axis(ops.stop_gradient(far), order, axis=-1)
    number = ops.sum(ops.cast(others, "int32"), axis=-1, keepdims=True)
    place = ops.minimum(_places(between, negatives), ops.maximum(number - 1, 0))
    place = ops.take_along_axis(order, place, axis=-1)
    excess = rectified_beside(margin, between - ops.take_along_axis(far, place, axis=-1))
    return _shared_out(excess, pairs, counts)


@register("losses")
class TripletSemiHard(Loss, fn=triplet_semihard):
    """Class form of `triplet_semihard`."""

    couples_samples = True

    def __init__(
        self,
        margin=1.0,
        distance="euclidean",
        ignore_class=None,
        **kwargs: Unpack[LossArguments],
    ):
        super().__init__(**kwargs)
        self.margin = margin
        self.distance = distance
        self.ignore_class = ignore_class


def _farthest(distance, chosen):
    """The largest chosen distance of each row, or -inf."""
    # A column of nobody, for an empty batch to have one.
    chosen = ops.pad(chosen, [(0, 0), (0, 1)], constant_values=False)
    distance = ops.pad(distance, [(0, 0), (0, 1)])
    return amax(ops.where(chosen, distance, -math.inf), axis=-1, keepdims=True)


@loss_function("groups", soft=flag, **_TRIPLETS)
def triplet_hard(
    y_true: Any,
    y_pred: Any,
    margin=1.0,
    soft=False,
    distance="euclidean",
    ignore_class=None,
    mask: Any = None,
) -> Any:
    """Shortfall from a margin between the farthest positive of an anchor and its nearest negative.

    Take it where a batch has several samples of each of several groups, and few of the labels are
    wrong: those are the hardest. Where embeddings collapse to one, take `triplet_semihard` first.

    Formula:

        step = y_pred[:, None] - y_pred
        squares = sum(step ** 2, axis=-1)
        length = sqrt(sum(y_pred ** 2, axis=-1))
        cosine = 1 - (y_pred @ y_pred.T) / (length[:, None] * length)
        d = {"euclidean": sqrt(squares), "squared_euclidean": squares, "cosine": cosine}[distance]
        same = y_true[:, None] == y_true
        k = arange(size(y_pred, 0))
        pairs = same & (k[:, None] != k)
        farthest = max(where(pairs, d, -inf), axis=-1)
        nearest = -max(where(same, -inf, -d), axis=-1)
        triplets = (farthest > -inf) & (nearest < inf)
        excess = where(triplets, farthest - nearest, 0)
        values = log(1 + exp(excess)) if soft else maximum(margin + excess, 0)
        count = maximum(sum(where(triplets, 1, 0)), 1)
        loss = size(y_pred, 0) / count * where(triplets, values, 0)

    Args:
        y_true: Integers, alike for samples of the same group.
        y_pred: Embeddings.
        margin: By how much the distance to another group is to be larger. Defaults to `1.0`.
        soft: Whether softplus takes the place of the margin: nothing is far enough then. Defaults
            to `False`.
        distance: `"euclidean"`, `"squared_euclidean"`, or `"cosine"` for 1 less the cosine of the
            angle. Defaults to `"euclidean"`.
        ignore_class: Number, often -1, whose samples are left out. Defaults to `None`.
        mask: Boolean, `True` where a sample counts. Defaults to `None`.

    Shapes:
        `y_pred`: `(batch, dimensions)`. `y_true` and the loss: `(batch,)`; all values depend on all
        samples that count. A sample that is alone in its group, or has no other group, costs
        nothing, and the mean is that of the others. Where no compiler fuses its steps, it takes
        memory for the square of the batch times the dimensions.

    Raises:
        TypeError: If `y_true` is not of an integer dtype, or `soft` is not a bool.
        ValueError: If `margin` is not finite, `distance` is unknown or the shapes do not fit.

    Example:

    >>> x = np.array([[0.0], [1.0], [1.5], [5.0]])
    >>> loss = keras_actloss.losses.triplet_hard([0, 0, 1, 1], x)
    >>> [float(value) for value in loss]
    [0.5, 1.5, 4.0, 0.5]

    Related:
        `triplet_semihard`. TFA's, which gives the mean, takes a sample that is alone in its group
        for its own positive, and names the distances `"L2"`, `"squared-L2"` and `"angular"`. In
        pytorch-metric-learning, `TripletMarginLoss` with `BatchHardMiner` and `MeanReducer`.

    Reference:
        [Hermans et al., 2017](https://arxiv.org/abs/1703.07737)
    """
    pairs, others, counts = _relations(y_true, y_pred, mask, "triplet_hard")
    between = _distances(y_pred, distance)
    farthest, nearest = _farthest(between, pairs), -_farthest(-between, others)
    excess = farthest - nearest
    values = logistic(excess, ops.zeros_like(excess)) if soft else rectified_beside(margin, excess)
    triplets = ops.logical_and(*(ops.any(x, axis=-1, keepdims=True) for x in (pairs, others)))
    return _shared_out(values, triplets, counts)


@register("losses")
class TripletHard(Loss, fn=triplet_hard):
    """Class form of `triplet_hard`."""

    couples_samples = True

    def __init__(
        self,
        margin=1.0,
        soft=False,
        distance="euclidean",
        ignore_class=None,
        **kwargs: Unpack[LossArguments],
    ):
        super().__init__(**kwargs)
        self.margin = margin
        self.soft = soft
        self.distance = distance
        self.ignore_class = ignore_class
