"""Losses of the overlap of masks: ratios of what is found, wrongly there and missed."""

from typing import Any, Unpack

from keras_actloss.core.checks import finite_non_negative, finite_positive
from keras_actloss.core.loss import Loss, LossArguments
from keras_actloss.core.numerics import power
from keras_actloss.core.regions import (
    OPTIONS,
    count,
    for_samples,
    mean_of_classes,
    miss,
    priced,
    region_loss,
    weights_of_classes,
)
from keras_actloss.core.registry import register
from keras_actloss.core.settings import as_list


@region_loss(**OPTIONS)
def dice(
    y_true: Any,
    y_pred: Any,
    from_logits=False,
    encoding="onehot",
    smooth=1.0,
    per="image",
    absent="count",
    background=True,
    class_weights: Any = None,
    ignore_class: Any = None,
    axis=-1,
    mask: Any = None,
) -> Any:
    """One minus the Dice coefficient of each class, mean over the classes of an image.

    Take it for masks that are judged by overlap, often beside a cross-entropy: however few its
    pixels are, a class counts as much as another. An empty mask that is predicted empty costs 0.
    There `smooth` tells how soon a false pixel costs all: near 0 any does, and nothing is learned.

    Formula:

        p = sigmoid(y_pred) if encoding == "multilabel" else softmax(y_pred, axis)
        p = pixels(p if from_logits else y_pred, per, axis)
        y = one_hot(y_true, size(y_pred, axis), axis) if encoding == "ids" else y_true
        y = pixels(y, per, axis)
        found, extra, missed = (sum(v, axis=1) for v in (p * y, p * (1 - y), (1 - p) * y))
        above, below = pair(smooth)
        miss = 1 - (2 * found + above) / (2 * found + extra + missed + below)
        loss = class_mean(miss, y, absent, background, class_weights)

    Args:
        y_true: Labels, as `encoding` says.
        y_pred: Probabilities of each class, or logits with `from_logits=True`.
        from_logits: Whether `y_pred` holds logits. Defaults to `False`.
        encoding: What `y_true` holds: `"onehot"` rows or `"ids"` of classes of which a pixel has
            one, or `"multilabel"`, one binary mask per channel. The first two take a softmax of
            logits, the last a sigmoid. Defaults to `"onehot"`.
        smooth: Added to both sides of the ratio, in pixels, at least 0; a pair is for numerator and
            denominator. Defaults to `1.0`.
        per: Whether to count in each `"image"` or in the whole `"batch"`. Defaults to `"image"`.
        absent: Whether a class without a labeled pixel has its place in the mean, `"count"`, or
            not, `"skip"`. Defaults to `"count"`.
        background: Whether class 0 counts. Defaults to `True`.
        class_weights: One weight of at least 0 per class, for a weighted mean. NaN in a class of
            weight 0 is ignored, except in logits of a softmax. Defaults to `None`, all 1.
        ignore_class: Class, often -1 or 255, whose pixels are left out. Defaults to `None`.
        axis: The class axis. Defaults to `-1`.
        mask: `True` where a pixel counts, or what it weighs; shape of `y_pred` without `axis`, or
            without its last axes. The class takes weights of pixels as `sample_weight`. With
            weights of pixels the mean is over images with a nonzero weight, with weights of images
            over all, as in Keras. Defaults to `None`.

    Shapes:
        `y_pred`: `(batch, ..., classes)`, the classes on `axis`. `y_true`: the same, of ids without
        `axis`. The loss: `(batch,)`, with `per="batch"` the same for each. No gradient flows to
        `y_true`.

    Raises:
        TypeError: If ids are not of an integer dtype.
        ValueError: If an option, an id or an entry of `"multilabel"` is out of range, or the shapes
            do not fit.

    Example:

    >>> y_true = [[[1, 0], [0, 1]]]
    >>> y_pred = [[[0.75, 0.25], [0.25, 0.75]]]
    >>> float(keras_actloss.losses.dice(y_true, y_pred, smooth=0.0)[0])
    0.25

    Related:
        `dice(smooth=2 * s)` is `tversky(smooth=s)` with `alpha` and `beta` of 0.5; `soft_f1` counts
        along one axis. No two packages mean the same. With all classes in the labels, ours is that
        of

        - Keras, one channel: `smooth=(0, 1e-7)`, and `per="batch"` where `axis` is `None`, which
          multiplies the loss of all with the mean of `sample_weight`. More channels it takes for
          one: reshape both to `(batch, -1, 1)`;
        - optax: `from_logits=True, smooth=2.0`, twice its own, without its `class_weights`, which
          are no mean; masks of one channel take `encoding="multilabel"` here;
        - MONAI: `smooth=1e-5`, without its `weight`, which is no mean;
        - SMP, "multiclass": `from_logits=True, encoding="ids", smooth=0.0, per="batch"`; an absent
          class costs 0 and has its place in the mean;
        - kornia, "macro": `from_logits=True, encoding="ids", smooth=1e-8, absent="skip"`;
        - segmentation_models: `smooth=1e-5, per="batch"`;
        - nnU-Net, plus 1: `from_logits=True, encoding="ids", smooth=1e-5, background=False`.

    Reference:
        [Milletari et al., 2016](https://arxiv.org/abs/1606.04797), whose denominator has squares,
        [Drozdzal et al., 2016](https://arxiv.org/abs/1608.04117)
    """
    sums = priced(1.0, 1.0, absent)
    counts = count(y_true, y_pred, from_logits, encoding, per, axis, mask, sums)
    weight = weights_of_classes(counts[-1], y_pred, absent, background, class_weights, axis)
    values = mean_of_classes(miss(counts, 2.0, smooth), weight)
    return for_samples(values, y_pred, mask)


@register("losses")
class Dice(Loss, fn=dice):
    """Class form of `dice`."""

    def __init__(
        self,
        from_logits=False,
        encoding="onehot",
        smooth=1.0,
        per="image",
        absent="count",
        background=True,
        class_weights=None,
        ignore_class=None,
        axis=-1,
        **kwargs: Unpack[LossArguments],
    ):
        super().__init__(**kwargs)
        self.from_logits = from_logits
        self.encoding = encoding
        self.smooth = as_list(smooth)
        self.per = per
        self.absent = absent
        self.background = background
        self.class_weights = as_list(class_weights)
        self.ignore_class = ignore_class
        self.axis = axis


@region_loss(**OPTIONS)
def jaccard(
    y_true: Any,
    y_pred: Any,
    from_logits=False,
    encoding="onehot",
    smooth=1.0,
    per="image",
    absent="count",
    background=True,
    class_weights: Any = None,
    ignore_class: Any = None,
    axis=-1,
    mask: Any = None,
) -> Any:
    """One minus the Jaccard index (IoU) of each class, mean over the classes of an image.

    Take it instead of `dice` where masks are judged by intersection over union: of the same counts
    it is the larger one and steeper near the end. The Lovasz losses follow the index of hard masks.

    Formula:

        p = sigmoid(y_pred) if encoding == "multilabel" else softmax(y_pred, axis)
        p = pixels(p if from_logits else y_pred, per, axis)
        y = one_hot(y_true, size(y_pred, axis), axis) if encoding == "ids" else y_true
        y = pixels(y, per, axis)
        found, extra, missed = (sum(v, axis=1) for v in (p * y, p * (1 - y), (1 - p) * y))
        above, below = pair(smooth)
        miss = 1 - (found + above) / (found + extra + missed + below)
        loss = class_mean(miss, y, absent, background, class_weights)

    Args:
        y_true: Labels, as `encoding` says.
        y_pred: Probabilities of each class, or logits with `from_logits=True`.
        from_logits: Whether `y_pred` holds logits. Defaults to `False`.
        encoding: What `y_true` holds: `"onehot"` rows or `"ids"` of classes of which a pixel has
            one, or `"multilabel"`, one binary mask per channel. The first two take a softmax of
            logits, the last a sigmoid. Defaults to `"onehot"`.
        smooth: Added to both sides of the ratio, in pixels, at least 0; a pair is for numerator and
            denominator. Defaults to `1.0`.
        per: Whether to count in each `"image"` or in the whole `"batch"`. Defaults to `"image"`.
        absent: Whether a class without a labeled pixel has its place in the mean, `"count"`, or
            not, `"skip"`. Defaults to `"count"`.
        background: Whether class 0 counts. Defaults to `True`.
        class_weights: One weight of at least 0 per class, for a weighted mean. NaN in a class of
            weight 0 is ignored, except in logits of a softmax. Defaults to `None`, all 1.
        ignore_class: Class, often -1 or 255, whose pixels are left out. Defaults to `None`.
        axis: The class axis. Defaults to `-1`.
        mask: `True` where a pixel counts, or what it weighs; shape of `y_pred` without `axis`, or
            without its last axes. The class takes weights of pixels as `sample_weight`. With
            weights of pixels the mean is over images with a nonzero weight, with weights of images
            over all, as in Keras. Defaults to `None`.

    Shapes:
        `y_pred`: `(batch, ..., classes)`, the classes on `axis`. `y_true`: the same, of ids without
        `axis`. The loss: `(batch,)`, with `per="batch"` the same for each. No gradient flows to
        `y_true`.

    Raises:
        TypeError: If ids are not of an integer dtype.
        ValueError: If an option, an id or an entry of `"multilabel"` is out of range, or the shapes
            do not fit.

    Example:

    >>> y_true = [[[1, 0], [0, 1]]]
    >>> y_pred = [[[0.75, 0.25], [0.25, 0.75]]]
    >>> float(keras_actloss.losses.jaccard(y_true, y_pred)[0])
    0.2222...

    Related:
        `tversky(alpha=1, beta=1)`; without `smooth`, `2 d / (1 + d)` of the `dice` loss `d` of one
        class. MONAI's `DiceLoss(jaccard=True)` has `smooth=0.5e-5`, SMP's `JaccardLoss`
        `from_logits=True, smooth=0.0, per="batch"` and 0 for an absent class, segmentation_models'
        `smooth=1e-5, per="batch"`.

    Reference:
        [Rahman and Wang, 2016](https://doi.org/10.1007/978-3-319-50835-1_22)
    """
    sums = priced(1.0, 1.0, absent)
    counts = count(y_true, y_pred, from_logits, encoding, per, axis, mask, sums)
    weight = weights_of_classes(counts[-1], y_pred, absent, background, class_weights, axis)
    values = mean_of_classes(miss(counts, 1.0, smooth), weight)
    return for_samples(values, y_pred, mask)


@register("losses")
class Jaccard(Loss, fn=jaccard):
    """Class form of `jaccard`."""

    def __init__(
        self,
        from_logits=False,
        encoding="onehot",
        smooth=1.0,
        per="image",
        absent="count",
        background=True,
        class_weights=None,
        ignore_class=None,
        axis=-1,
        **kwargs: Unpack[LossArguments],
    ):
        super().__init__(**kwargs)
        self.from_logits = from_logits
        self.encoding = encoding
        self.smooth = as_list(smooth)
        self.per = per
        self.absent = absent
        self.background = background
        self.class_weights = as_list(class_weights)
        self.ignore_class = ignore_class
        self.axis = axis


@region_loss(
    alpha=finite_non_negative,
    beta=finite_non_negative,
    **OPTIONS,
)
def tversky(
    y_true: Any,
    y_pred: Any,
    from_logits=False,
    encoding="onehot",
    alpha=0.5,
    beta=0.5,
    smooth=1.0,
    per="image",
    absent="count",
    background=True,
    class_weights: Any = None,
    ignore_class: Any = None,
    axis=-1,
    mask: Any = None,
) -> Any:
    """One minus the Tversky index of each class: Dice with a price for either kind of mistake.

    Take it where missed pixels cost more than false ones, such as small lesions: a larger `beta`
    finds more of them. Keras up to 3.15 takes `alpha` for false negatives, against the paper.

    Formula:

        p = sigmoid(y_pred) if encoding == "multilabel" else softmax(y_pred, axis)
        p = pixels(p if from_logits else y_pred, per, axis)
        y = one_hot(y_true, size(y_pred, axis), axis) if encoding == "ids" else y_true
        y = pixels(y, per, axis)
        found, extra, missed = (sum(v, axis=1) for v in (p * y, p * (1 - y), (1 - p) * y))
        above, below = pair(smooth)
        miss = 1 - (found + above) / (found + alpha * extra + beta * missed + below)
        loss = class_mean(miss, y, absent, background, class_weights)

    Args:
        y_true: Labels, as `encoding` says.
        y_pred: Probabilities of each class, or logits with `from_logits=True`.
        from_logits: Whether `y_pred` holds logits. Defaults to `False`.
        encoding: What `y_true` holds: `"onehot"` rows or `"ids"` of classes of which a pixel has
            one, or `"multilabel"`, one binary mask per channel. The first two take a softmax of
            logits, the last a sigmoid. Defaults to `"onehot"`.
        alpha: Weight of false positives, at least 0. Defaults to `0.5`.
        beta: Weight of false negatives, at least 0. Defaults to `0.5`.
        smooth: Added to both sides of the ratio, in pixels, at least 0; a pair is for numerator and
            denominator. Defaults to `1.0`.
        per: Whether to count in each `"image"` or in the whole `"batch"`. Defaults to `"image"`.
        absent: Whether a class without a labeled pixel has its place in the mean, `"count"`, or
            not, `"skip"`. Defaults to `"count"`.
        background: Whether class 0 counts. Defaults to `True`.
        class_weights: One weight of at least 0 per class, for a weighted mean. NaN in a class of
            weight 0 is ignored, except in logits of a softmax. Defaults to `None`, all 1.
        ignore_class: Class, often -1 or 255, whose pixels are left out. Defaults to `None`.
        axis: The class axis. Defaults to `-1`.
        mask: `True` where a pixel counts, or what it weighs; shape of `y_pred` without `axis`, or
            without its last axes. The class takes weights of pixels as `sample_weight`. With
            weights of pixels the mean is over images with a nonzero weight, with weights of images
            over all, as in Keras. Defaults to `None`.

    Shapes:
        `y_pred`: `(batch, ..., classes)`, the classes on `axis`. `y_true`: the same, of ids without
        `axis`. The loss: `(batch,)`, with `per="batch"` the same for each. No gradient flows to
        `y_true`.

    Raises:
        TypeError: If ids are not of an integer dtype.
        ValueError: If an option, an id or an entry of `"multilabel"` is out of range, or the shapes
            do not fit.

    Example:

    >>> y_true, y_pred = [[[1], [0]]], [[[1.0], [0.5]]]
    >>> loss = keras_actloss.losses.tversky
    >>> float(loss(y_true, y_pred, alpha=0.4, beta=0.6, smooth=0.0)[0])
    0.1666...

    Related:
        With 0.5 and 0.5, `tversky(smooth=s)` is `dice(smooth=2 * s)`; with 1 and 1, `jaccard`. Of
        MONAI, SMP and kornia `alpha` and `beta` mean the same; `smooth=1e-5` is MONAI's,
        `smooth=1e-8, absent="skip"` kornia's, `smooth=0.0, per="batch"` SMP's, whose absent class
        costs 0. optax's `dice_loss` of an `alpha` and a `beta` has `from_logits=True`, and else
        what `dice` says. Keras's, one channel, is `smooth=(0, 1e-7), per="batch"` with the two
        swapped up to 3.15.

    Reference:
        [Salehi et al., 2017](https://arxiv.org/abs/1706.05721)
    """
    sums = priced(alpha, beta, absent)
    counts = count(y_true, y_pred, from_logits, encoding, per, axis, mask, sums)
    weight = weights_of_classes(counts[-1], y_pred, absent, background, class_weights, axis)
    values = mean_of_classes(miss(counts, 1.0, smooth), weight)
    return for_samples(values, y_pred, mask)


@register("losses")
class Tversky(Loss, fn=tversky):
    """Class form of `tversky`."""

    def __init__(
        self,
        from_logits=False,
        encoding="onehot",
        alpha=0.5,
        beta=0.5,
        smooth=1.0,
        per="image",
        absent="count",
        background=True,
        class_weights=None,
        ignore_class=None,
        axis=-1,
        **kwargs: Unpack[LossArguments],
    ):
        super().__init__(**kwargs)
        self.from_logits = from_logits
        self.encoding = encoding
        self.alpha = alpha
        self.beta = beta
        self.smooth = as_list(smooth)
        self.per = per
        self.absent = absent
        self.background = background
        self.class_weights = as_list(class_weights)
        self.ignore_class = ignore_class
        self.axis = axis


@region_loss(
    alpha=finite_non_negative,
    beta=finite_non_negative,
    gamma=finite_positive,
    **OPTIONS,
)
def focal_tversky(
    y_true: Any,
    y_pred: Any,
    from_logits=False,
    encoding="onehot",
    alpha=0.3,
    beta=0.7,
    gamma=0.75,
    smooth=1.0,
    per="image",
    absent="count",
    background=True,
    class_weights: Any = None,
    ignore_class: Any = None,
    axis=-1,
    mask: Any = None,
) -> Any:
    """A power of the Tversky loss of each class, mean over the classes of an image.

    Take it where some classes are learned and small ones are not: a `gamma` above 1 turns to the
    classes with a large loss; below 1, as in the paper, nearly correct classes keep a gradient.

    Formula:

        p = sigmoid(y_pred) if encoding == "multilabel" else softmax(y_pred, axis)
        p = pixels(p if from_logits else y_pred, per, axis)
        y = one_hot(y_true, size(y_pred, axis), axis) if encoding == "ids" else y_true
        y = pixels(y, per, axis)
        found, extra, missed = (sum(v, axis=1) for v in (p * y, p * (1 - y), (1 - p) * y))
        above, below = pair(smooth)
        miss = 1 - (found + above) / (found + alpha * extra + beta * missed + below)
        loss = class_mean(miss**gamma, y, absent, background, class_weights)

    Args:
        y_true: Labels, as `encoding` says.
        y_pred: Probabilities of each class, or logits with `from_logits=True`.
        from_logits: Whether `y_pred` holds logits. Defaults to `False`.
        encoding: What `y_true` holds: `"onehot"` rows or `"ids"` of classes of which a pixel has
            one, or `"multilabel"`, one binary mask per channel. The first two take a softmax of
            logits, the last a sigmoid. Defaults to `"onehot"`.
        alpha: Weight of false positives, at least 0. Defaults to `0.3`.
        beta: Weight of false negatives, at least 0. Defaults to `0.7`.
        gamma: Exponent of a class's loss, above 0; the paper's is one over it. Defaults to `0.75`.
        smooth: Added to both sides of the ratio, in pixels, at least 0; a pair is for numerator and
            denominator. Defaults to `1.0`.
        per: Whether to count in each `"image"` or in the whole `"batch"`. Defaults to `"image"`.
        absent: Whether a class without a labeled pixel has its place in the mean, `"count"`, or
            not, `"skip"`. Defaults to `"count"`.
        background: Whether class 0 counts. Defaults to `True`.
        class_weights: One weight of at least 0 per class, for a weighted mean. NaN in a class of
            weight 0 is ignored, except in logits of a softmax. Defaults to `None`, all 1.
        ignore_class: Class, often -1 or 255, whose pixels are left out. Defaults to `None`.
        axis: The class axis. Defaults to `-1`.
        mask: `True` where a pixel counts, or what it weighs; shape of `y_pred` without `axis`, or
            without its last axes. The class takes weights of pixels as `sample_weight`. With
            weights of pixels the mean is over images with a nonzero weight, with weights of images
            over all, as in Keras. Defaults to `None`.

    Shapes:
        `y_pred`: `(batch, ..., classes)`, the classes on `axis`. `y_true`: the same, of ids without
        `axis`. The loss: `(batch,)`, with `per="batch"` the same for each. No gradient flows to
        `y_true`.

    Raises:
        TypeError: If ids are not of an integer dtype.
        ValueError: If an option, an id or an entry of `"multilabel"` is out of range, or the shapes
            do not fit.

    Example:

    >>> y_true, y_pred = [[[1], [0]]], [[[1.0], [0.5]]]
    >>> loss = keras_actloss.losses.focal_tversky
    >>> float(loss(y_true, y_pred, alpha=0.4, beta=0.6, gamma=2.0, smooth=0.0)[0])
    0.0277...

    Related:
        With `gamma=1`, `tversky`. The paper's `alpha` is the price of false negatives, its 4/3 is
        a `gamma` of 0.75. SMP's `TverskyLoss(gamma=...)` is that of one mask, with `smooth=0.0,
        per="batch", absent="skip"`; of several it takes the power of the mean.

    Reference:
        [Abraham and Khan, 2018](https://arxiv.org/abs/1810.07842)
    """
    sums = priced(alpha, beta, absent)
    counts = count(y_true, y_pred, from_logits, encoding, per, axis, mask, sums)
    weight = weights_of_classes(counts[-1], y_pred, absent, background, class_weights, axis)
    of_class = power(miss(counts, 1.0, smooth), gamma)
    return for_samples(mean_of_classes(of_class, weight), y_pred, mask)


@register("losses")
class FocalTversky(Loss, fn=focal_tversky):
    """Class form of `focal_tversky`."""

    def __init__(
        self,
        from_logits=False,
        encoding="onehot",
        alpha=0.3,
        beta=0.7,
        gamma=0.75,
        smooth=1.0,
        per="image",
        absent="count",
        background=True,
        class_weights=None,
        ignore_class=None,
        axis=-1,
        **kwargs: Unpack[LossArguments],
    ):
        super().__init__(**kwargs)
        self.from_logits = from_logits
        self.encoding = encoding
        self.alpha = alpha
        self.beta = beta
        self.gamma = gamma
        self.smooth = as_list(smooth)
        self.per = per
        self.absent = absent
        self.background = background
        self.class_weights = as_list(class_weights)
        self.ignore_class = ignore_class
        self.axis = axis
