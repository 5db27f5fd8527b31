"""Margins of pairs: of their distance, of two embeddings and of two scores."""

from typing import Any, Unpack

from keras import ops

from keras_actloss.core.binary import of_entries
from keras_actloss.core.checks import finite
from keras_actloss.core.curves import OPTIONS
from keras_actloss.core.functions import loss_function
from keras_actloss.core.kernels import rectified
from keras_actloss.core.loss import Loss, LossArguments
from keras_actloss.core.numerics import unit, with_gradient
from keras_actloss.core.registry import register
from keras_actloss.core.settings import as_list
from keras_actloss.core.tensors import halves, mean


@loss_function("values", margin=finite, **OPTIONS)
def hinge_embedding(
    y_true: Any,
    y_pred: Any,
    margin=1.0,
    class_weights: Any = None,
    ignore_class: Any = None,
    mask: Any = None,
) -> Any:
    """Distance of pairs that are alike, shortfall from a margin of others, mean over the last axis.

    Take it where the model gives the distance of a pair; `cosine_embedding` where it gives both
    embeddings. PyTorch's HingeEmbeddingLoss.

    Formula:

        w = (1, 1) if class_weights is None else class_weights
        far = maximum(margin - y_pred, 0)
        loss = mean(where(y_true > 0, w[1] * y_pred, w[0] * far), axis=-1)

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

    >>> float(keras_actloss.losses.hinge_embedding([[1, -1]], [[0.5, 0.25]])[0])
    0.625

    Related:
        A pair that is not alike costs `hinge` of the label 1 and the score `1 - margin + y_pred`.

    Reference:
        [PyTorch's documentation](https://docs.pytorch.org/docs/stable/generated/torch.nn.HingeEmbeddingLoss.html)
    """

    def loss(x):
        return ops.where(y_true > 0, x, rectified(margin - x))

    return mean(of_entries(loss, y_true > 0, y_pred, class_weights), mask)


@register("losses")
class HingeEmbedding(Loss, fn=hinge_embedding):
    """Class form of `hinge_embedding`."""

    def __init__(
        self, margin=1.0, class_weights=None, ignore_class=None, **kwargs: Unpack[LossArguments]
    ):
        super().__init__(**kwargs)
        self.margin = margin
        self.class_weights = as_list(class_weights)
        self.ignore_class = ignore_class


@loss_function("target", margin=finite)
def cosine_embedding(y_true: Any, y_pred: Any, margin=0.0) -> Any:
    """One minus the cosine of pairs that are alike, excess over a margin of the cosine of others.

    Take it to train embeddings whose length means nothing. PyTorch's CosineEmbeddingLoss, exact
    also where two embeddings almost agree.

    Formula:

        a, b = split(y_pred, 2, axis=-1)
        length = sqrt(sum(a**2, axis=-1) * sum(b**2, axis=-1))
        cosine = sum(a * b, axis=-1) / where(length == 0, 1, length)
        loss = where(y_true > 0, 1 - cosine, maximum(cosine - margin, 0))

    Args:
        y_true: Labels, 1 for a pair that is alike, and -1 or 0 for one that is not.
        y_pred: Both embeddings of a pair, joined: `keras.ops.concatenate([a, b], axis=-1)`.
        margin: Cosine below which a pair that is not alike costs nothing, from -1 to 1. Defaults
            to `0.0`.

    Shapes:
        `y_pred`: `(batch, ..., 2 * dimensions)`. `y_true` and the loss: `(batch, ...)`. An
        embedding of zeros has the cosine 0 with any other, and no gradient.

    Raises:
        ValueError: If `margin` is not finite, the last axis is odd or the shapes do not fit.

    Example:

    >>> a, b = np.array([[1.0, 0.0]]), np.array([[3.0, 4.0]])
    >>> float(keras_actloss.losses.cosine_embedding([1], np.concatenate([a, b], axis=-1))[0])
    0.4...

    Related:
        `hinge_embedding` of a distance.

    Reference:
        [PyTorch's documentation](https://docs.pytorch.org/docs/stable/generated/torch.nn.CosineEmbeddingLoss.html)
    """

    def shared(label, y_pred):
        a, b = halves(y_pred, "cosine_embedding")
        a, b = unit(a, -1), unit(b, -1)
        return a, b, ops.sum(a[0] * b[0], -1, keepdims=True)

    def value(shared, label, y_pred):
        (u, *_), (v, *_), cosine = shared
        # Half of the squared chord is 1 - cosine, without cancellation where they agree.
        chord = ops.sum(ops.square(v - u), -1, keepdims=True) / 2
        alike = ops.where(cosine > 0.5, chord, 1 - cosine)
        return ops.squeeze(ops.where(label > 0, alike, ops.relu(cosine - margin)), -1)

    def gradient(upstream, shared, label, y_pred):
        (u, *of_a), (v, *of_b), cosine = shared
        slope = ops.where(label > 0, -1.0, ops.cast(cosine > margin, cosine.dtype))
        # Of a vector of zeros the factor is 0.
        slope = ops.where(ops.minimum(of_a[1], of_b[1]) == 0, 0.0, slope)
        slope = ops.expand_dims(upstream, -1) * slope
        # What of each is across the other, from their chord, or that to the opposite.
        sign = 1 - 2 * ops.cast(cosine < 0, cosine.dtype)
        chord = v - sign * u
        height = ops.sum(ops.square(chord), -1, keepdims=True) / 2
        across_a, across_b = chord + sign * height * u, sign * (height * v - chord)
        slopes = [
            slope * across / length * factor
            for across, (length, factor) in ((across_a, of_a), (across_b, of_b))
        ]
        return None, ops.concatenate(slopes, axis=-1)

    return with_gradient(value, gradient, shared)(ops.expand_dims(y_true, -1), y_pred)


@register("losses")
class CosineEmbedding(Loss, fn=cosine_embedding):
    """Class form of `cosine_embedding`."""

    def __init__(self, margin=0.0, **kwargs: Unpack[LossArguments]):
        super().__init__(**kwargs)
        self.margin = margin


@loss_function("target", margin=finite)
def margin_ranking(y_true: Any, y_pred: Any, margin=0.0) -> Any:
    """How far the better of two scores falls short of the other plus a margin.

    Take it to learn an order from comparisons: one network scores both, and the scores are joined.
    PyTorch's MarginRankingLoss.

    Formula:

        sign = where(y_true == 0, -1, y_true)
        loss = maximum(margin - sign * (y_pred[..., 0] - y_pred[..., 1]), 0)

    Args:
        y_true: Labels, 1 where the first score should be higher, and -1 or 0 where the second.
        y_pred: Both scores of a pair, joined: `keras.ops.concatenate([a, b], axis=-1)`.
        margin: By how much the better score is to lead. Defaults to `0.0`.

    Shapes:
        `y_pred`: `(batch, ..., 2)`. `y_true` and the loss: `(batch, ...)`.

    Raises:
        ValueError: If `margin` is not finite, the last axis is not of size 2 or the shapes do not
            fit.

    Example:

    >>> float(keras_actloss.losses.margin_ranking([1], [[0.5, 2.0]], margin=1.0)[0])
    2.5

    Related:
        `hinge` of the difference of the scores, with its margin of 1.

    Reference:
        [Herbrich et al., 1999](https://doi.org/10.1049/cp:19991091)
    """
    if y_pred.shape[-1] != 2:
        raise ValueError(
            "margin_ranking: the last axis of y_pred holds the two scores of a pair, got the shape "
            f"{tuple(y_pred.shape)}; join them with keras.ops.concatenate([first, second], axis=-1)"
        )
    lead = y_pred[..., 0] - y_pred[..., 1]
    return rectified(margin - ops.where(y_true == 0, -1.0, y_true) * lead)


@register("losses")
class MarginRanking(Loss, fn=margin_ranking):
    """Class form of `margin_ranking`."""

    width = 2

    def __init__(self, margin=0.0, **kwargs: Unpack[LossArguments]):
        super().__init__(**kwargs)
        self.margin = margin
