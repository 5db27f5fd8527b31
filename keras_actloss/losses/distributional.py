"""Scores of whole predicted distributions: ranked probabilities, ensembles, histograms."""

import math
from typing import Any, Unpack

from keras import ops

from keras_actloss.core import special
from keras_actloss.core.categorical import categorical
from keras_actloss.core.checks import finite, finite_positive, flag
from keras_actloss.core.functions import loss_function
from keras_actloss.core.heads import LOGARITHMS, of_parameters
from keras_actloss.core.loss import Loss, LossArguments
from keras_actloss.core.numerics import with_gradient
from keras_actloss.core.registry import register

_ROOT_HALF = math.sqrt(1 / 2)
_ROOT_PI = 1 / math.sqrt(math.pi)
_DENSITY = math.sqrt(2 / math.pi)


def _crps_parts(y, mean, log_variance):
    # The deviation itself may be no float32 although the error by it is.
    a, b = special.exp_factors(-0.5 * log_variance)
    scale, rest = special.exp_factors(0.5 * log_variance)
    error = y - mean
    # Beyond 20 the density is 0 and the error function 1.
    z = ops.clip(error * a * b, -20, 20)
    spread = (_DENSITY * ops.exp(-0.5 * (z * z)) - _ROOT_PI) * scale * rest
    return error, ops.erf(z * _ROOT_HALF), spread


@loss_function("target")
def crps_gaussian(y_true: Any, y_pred: Any) -> Any:
    """Continuous ranked probability score of a Gaussian.

    Take it in place of `gaussian_nll` where outliers must not rule: it grows with the error, not
    with its square, and is in the unit of the targets.

    Formula:

        mean, deviation = y_pred[..., 0], exp(y_pred[..., 1] / 2)
        z = (y_true - mean) / deviation
        density = exp(-z**2 / 2) / sqrt(2 * pi)
        loss = deviation * (z * erf(z / sqrt(2)) + 2 * density - 1 / sqrt(pi))

    Args:
        y_true: Targets.
        y_pred: Mean and logarithm of the variance on the last axis, as for `gaussian_nll`.

    Shapes:
        `y_pred`: `(batch, ..., 2)`. `y_true` and the loss: `(batch, ...)`. No gradient flows to
        `y_true`.

    Raises:
        ValueError: If the shapes do not fit.

    Example:

    >>> float(keras_actloss.losses.crps_gaussian([0.0], [[0.0, 0.0]])[0])
    0.2336...

    Related:
        `crps_ensemble` of many samples. `mean_absolute_error` as the variance goes to 0.
        properscoring and scoringrules take the deviation in place of the log-variance.

    Reference:
        [Gneiting et al., 2005](https://doi.org/10.1175/MWR2904.1)
    """
    return of_parameters(
        "crps_gaussian",
        ("the mean", "the log-variance"),
        lambda error, inside, spread: error * inside + spread,
        lambda error, inside, spread: (-inside, 0.5 * spread),
        _crps_parts,
    )(y_true, y_pred)


@register("losses")
class CRPSGaussian(Loss, fn=crps_gaussian):
    """Class form of `crps_gaussian`."""

    width = 2
    predictions = LOGARITHMS

    def __init__(self, **kwargs: Unpack[LossArguments]):
        super().__init__(**kwargs)


def _ensemble(fair):
    """The score by sorting, its terms all positive, and its gradient by ranks, whole numbers."""

    def value(y, members):
        count = members.shape[-1]
        y, x = ops.expand_dims(y, -1), ops.sort(members, axis=-1)
        below = ops.arange(1, count, dtype=x.dtype)
        above = count - below
        inside = ops.minimum(ops.maximum(y, x[..., :-1]), x[..., 1:])
        less, pairs = (1, count * (count - 1.0)) if fair else (0, float(count) ** 2)
        # The squared distance of the two distribution functions, integrated from gap to gap.
        gaps = below * (below - less) * (inside - x[..., :-1])
        gaps = gaps + above * (above - less) * (x[..., 1:] - inside)
        outside = ops.relu(x[..., 0] - y[..., 0]) + ops.relu(y[..., 0] - x[..., -1])
        return outside + ops.sum(gaps, axis=-1) / pairs

    def gradient(upstream, y, members):
        count = members.shape[-1]
        ranks = ops.argsort(ops.argsort(members, axis=-1), axis=-1)
        ranks = ops.cast(ranks, members.dtype)
        y = ops.expand_dims(y, -1)
        less, pairs = (1, count * (count - 1.0)) if fair else (0, float(count) ** 2)
        above = 2 * (count - ranks) - 1 - less
        below = -2 * ranks - 1 + less
        slope = ops.where(members > y, above, ops.where(members < y, below, (above + below) / 2))
        return None, ops.expand_dims(upstream, -1) * (slope / pairs)

    return with_gradient(value, gradient)


@loss_function("target", fair=flag)
def crps_ensemble(y_true: Any, y_pred: Any, fair=False) -> Any:
    """Continuous ranked probability score of an ensemble.

    Take it for models that predict several samples, as in weather forecasts: it rewards samples
    near the target and samples that differ. It sorts them, so that a large ensemble needs no
    matrix of pairs.

    Formula:

        members = size(y_pred, -1)
        pairs = members * (members - 1) if fair else members**2
        distance = mean(abs(y_pred - y_true[..., None]), axis=-1)
        spread = sum(abs(y_pred[..., :, None] - y_pred[..., None, :]), axis=(-2, -1))
        loss = distance - spread / (2 * pairs)

    Args:
        y_true: Targets.
        y_pred: The members of the ensemble on the last axis.
        fair: Whether to leave out the pairs of a member with itself, for the expected score not to
            depend on the number of members. Defaults to `False`.

    Shapes:
        `y_pred`: `(batch, ..., members)`. `y_true` and the loss: `(batch, ...)`. No gradient flows
        to `y_true`.

    Raises:
        ValueError: If the shapes do not fit, or `fair` has but one member.

    Example:

    >>> float(keras_actloss.losses.crps_ensemble([0.0], [[1.0, 3.0]])[0])
    1.5

    Related:
        Of one member, `mean_absolute_error`. Of many samples of a Gaussian, `crps_gaussian`. As
        `crps_ensemble` of properscoring; scoringrules has `fair` for `estimator="fair"`.

    Reference:
        [Gneiting and Raftery, 2007](https://doi.org/10.1198/016214506000001437);
        [Ferro, 2014](https://doi.org/10.1002/qj.2270)
    """
    if fair and y_pred.shape[-1] < 2:
        raise ValueError(
            "crps_ensemble: fair=True needs at least 2 members on the last axis of y_pred, got "
            f"y_pred of shape {tuple(y_pred.shape)}; use fair=False"
        )
    return _ensemble(fair)(y_true, y_pred)


@register("losses")
class CRPSEnsemble(Loss, fn=crps_ensemble):
    """Class form of `crps_ensemble`."""

    def __init__(self, fair=False, **kwargs: Unpack[LossArguments]):
        super().__init__(**kwargs)
        self.fair = fair


def _below(name, low, high):
    if not low < high:
        raise ValueError(f"{name}: low must be below high, got {low!r} and {high!r}; swap them")


def _between_neighbors(place, logits):
    """Cross-entropy of a place among the whole numbers from 0, shared by its two neighbors."""
    ids = ops.arange(logits.shape[-1], dtype=logits.dtype)
    share = ops.relu(1 - ops.abs(ops.expand_dims(place, -1) - ids))
    return categorical(share, logits, -1, True)


@loss_function("target", low=finite, high=finite)
def two_hot(y_true: Any, y_pred: Any, low=-10.0, high=10.0) -> Any:
    """Cross-entropy of a number, shared by its two neighbors among evenly spaced ones.

    Take it for a regression by classification: gradients do not grow with the error, and rewards of
    any size can be learned. `hl_gauss` spreads the target over more neighbors.

    Formula:

        step = (high - low) / (size(y_pred, -1) - 1)
        place = (minimum(maximum(y_true, low), high) - low) / step
        share = maximum(1 - abs(place[..., None] - arange(size(y_pred, -1))), 0)
        p = exp(y_pred - max(y_pred, axis=-1, keepdims=True))
        loss = -sum(share * log(p / sum(p, axis=-1, keepdims=True)), axis=-1)

    Args:
        y_true: Targets; beyond the ends they count as the ends.
        y_pred: Logits of the numbers on the last axis.
        low: The first of the numbers. Defaults to `-10.0`.
        high: The last of the numbers. Defaults to `10.0`.

    Shapes:
        `y_pred`: `(batch, ..., numbers)`. `y_true` and the loss: `(batch, ...)`. No gradient flows
        to `y_true`.

    Raises:
        ValueError: If `low` is not below `high`, there are fewer than two numbers, or the shapes do
            not fit.

    Example:

    >>> float(keras_actloss.losses.two_hot([0.5], [[0.0, 0.0]], low=0.0, high=1.0)[0])
    0.6931...

    Related:
        The prediction is `sum(softmax(y_pred) * linspace(low, high, numbers))`. DreamerV3 scales
        its targets by `symlog` first. The labels are those of `rlax.transform_to_2hot`.

    Reference:
        [Hafner et al., 2023](https://arxiv.org/abs/2301.04104)
    """
    _below("two_hot", low, high)
    numbers = y_pred.shape[-1]
    if numbers < 2:
        raise ValueError(
            "two_hot: the last axis of y_pred needs at least 2 numbers, got y_pred of shape "
            f"{tuple(y_pred.shape)}"
        )
    place = (ops.clip(y_true, low, high) - low) * ((numbers - 1) / (high - low))
    return _between_neighbors(place, y_pred)


@register("losses")
class TwoHot(Loss, fn=two_hot):
    """Class form of `two_hot`."""

    from_logits = True

    def __init__(self, low=-10.0, high=10.0, **kwargs: Unpack[LossArguments]):
        super().__init__(**kwargs)
        self.low = low
        self.high = high
        _below("TwoHot", low, high)


@loss_function("target")
def distribution_focal(y_true: Any, y_pred: Any) -> Any:
    """Cross-entropy of the distance to an edge of a box, shared by the two bins beside it (DFL).

    Take it beside an IoU loss in detectors that predict a distribution for each of the four edges,
    as YOLOv8 and GFL do: it sharpens the distribution around the target, which may still be flat
    where an edge is not clear. Despite its name nothing is focused.

    Formula:

        bins = size(y_pred, -1)
        place = minimum(maximum(y_true, 0), bins - 1)
        share = maximum(1 - abs(place[..., None] - arange(bins)), 0)
        p = exp(y_pred - max(y_pred, axis=-1, keepdims=True))
        loss = -sum(share * log(p / sum(p, axis=-1, keepdims=True)), axis=-1)

    Args:
        y_true: Distances in units of the bin width, usually the stride of the feature map; beyond
            the ends they count as the ends.
        y_pred: Logits of the distances 0, 1, 2, ... on the last axis.

    Shapes:
        `y_pred`: `(batch, ..., bins)`, such as `(batch, boxes, 4, 16)`. `y_true` and the loss:
        `(batch, ...)`. No gradient flows to `y_true`.

    Raises:
        ValueError: If the shapes do not fit.

    Example:

    >>> float(keras_actloss.losses.distribution_focal([1.25], [[0.0, 2.0, 1.0]])[0])
    0.6576...

    Related:
        `two_hot` with `low=0` and `high=bins - 1`. mmdetection's `distribution_focal_loss`, and
        Ultralytics's `DFLoss` but for its mean over the four edges and its end at `bins - 1.01`.
        The distance is `sum(softmax(y_pred) * arange(bins))`.

    Reference:
        [Li et al., 2020](https://arxiv.org/abs/2006.04388)
    """
    return _between_neighbors(ops.clip(y_true, 0, y_pred.shape[-1] - 1), y_pred)


@register("losses")
class DistributionFocal(Loss, fn=distribution_focal):
    """Class form of `distribution_focal`."""

    from_logits = True

    targets = (0.0, math.inf)

    def __init__(self, **kwargs: Unpack[LossArguments]):
        super().__init__(**kwargs)


@loss_function("target", low=finite, high=finite, sigma_ratio=finite_positive)
def hl_gauss(y_true: Any, y_pred: Any, low=-10.0, high=10.0, sigma_ratio=0.75) -> Any:
    """Cross-entropy of a number, spread as a Gaussian over the bins of a histogram.

    Take it for a regression by classification, as of values in reinforcement learning: neighbors of
    the right bin are less wrong than others, and gradients do not grow with the error.

    Formula:

        bins = size(y_pred, -1)
        width = (high - low) / bins
        edges = (low - minimum(maximum(y_true, low), high))[..., None] + width * arange(bins + 1)
        below = erf(edges / (sigma_ratio * width * sqrt(2)))
        share = (below[..., 1:] - below[..., :-1]) / (below[..., -1:] - below[..., :1])
        p = exp(y_pred - max(y_pred, axis=-1, keepdims=True))
        loss = -sum(share * log(p / sum(p, axis=-1, keepdims=True)), axis=-1)

    Args:
        y_true: Targets; beyond the ends they count as the ends.
        y_pred: Logits of the bins on the last axis.
        low: Lower edge of the first bin. Defaults to `-10.0`.
        high: Upper edge of the last bin. Defaults to `10.0`.
        sigma_ratio: Deviation of the Gaussian in units of the bin width, above 0. Defaults to
            `0.75`.

    Shapes:
        `y_pred`: `(batch, ..., bins)`. `y_true` and the loss: `(batch, ...)`. No gradient flows to
        `y_true`.

    Raises:
        ValueError: If `low` is not below `high`, `sigma_ratio` is not positive and finite, or the
            shapes do not fit.

    Example:

    >>> float(keras_actloss.losses.hl_gauss([0.5], [[0.0, 0.0]], low=0.0, high=1.0)[0])
    0.6931...

    Related:
        The prediction is the sum of the middles of the bins, weighed by `softmax(y_pred)`.
        `two_hot` has numbers in place of bins.

    Reference:
        [Imani and White, 2018](https://arxiv.org/abs/1806.04613);
        [Farebrother et al., 2024](https://arxiv.org/abs/2403.03950)
    """
    _below("hl_gauss", low, high)
    bins = y_pred.shape[-1]
    place = (ops.clip(y_true, low, high) - low) * (bins / (high - low))
    edges = ops.arange(bins + 1, dtype=y_pred.dtype) - ops.expand_dims(place, -1)
    share = special.normal_between(edges / sigma_ratio)
    share = share / ops.sum(share, axis=-1, keepdims=True)
    return categorical(share, y_pred, -1, True)


@register("losses")
class HLGauss(Loss, fn=hl_gauss):
    """Class form of `hl_gauss`."""

    from_logits = True

    def __init__(self, low=-10.0, high=10.0, sigma_ratio=0.75, **kwargs: Unpack[LossArguments]):
        super().__init__(**kwargs)
        self.low = low
        self.high = high
        _below("HLGauss", low, high)
        self.sigma_ratio = sigma_ratio
