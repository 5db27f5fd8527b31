"""Losses made of losses: a weighted sum with its parts as metrics, and one of several devices."""

import copy
import itertools
import math
from typing import Unpack

import keras
import numpy as np
from keras import ops

from keras_actloss.core import replicas, tensors
from keras_actloss.core.checks import finite
from keras_actloss.core.loss import Loss, LossArguments, width_of
from keras_actloss.core.reading import restored_config
from keras_actloss.core.registry import PACKAGE, register

_MEAN = ("sum_over_batch_size", "mean")


def _loss_object(loss, owner):
    if isinstance(loss, type) and issubclass(loss, keras.losses.Loss):
        loss = loss()
    if not isinstance(loss, keras.losses.Loss):
        raise TypeError(
            f"{owner} takes losses, got {loss!r}; pass an object such as losses.Huber() or "
            "keras.losses.MeanSquaredError()"
        )
    return loss


def _part(loss, reduction):
    loss = _loss_object(loss, "WeightedSum")
    if loss.reduction not in (*_MEAN, reduction):
        raise ValueError(
            f"WeightedSum: the sum reduces all of its parts alike, got a part with the reduction "
            f"{loss.reduction!r}; hand reduction={loss.reduction!r} to WeightedSum"
        )
    return _reduced(loss, reduction)


def _parts_of(losses, reduction):
    if not isinstance(losses, (list, tuple)) or not losses:
        raise ValueError(f"WeightedSum: losses must be a list of at least one loss, got {losses!r}")
    return [_part(loss, reduction) for loss in losses]


def _weights_of(weights, losses):
    """One number for each of the parts."""
    if not isinstance(weights, (list, tuple, np.ndarray)):
        raise TypeError(
            f"WeightedSum: weights must be a list of one number a part, got {weights!r}"
        )
    weights = list(weights)
    for weight in weights:
        finite("WeightedSum: each of weights", weight)
    if len(weights) != len(losses) or not any(weights):
        raise ValueError(
            f"WeightedSum: weights must hold one number a part, not all of them 0, got {weights!r} "
            f"for {len(losses)} parts"
        )
    return weights


def _reduced(loss, reduction):
    """`loss` with another reduction, a copy unless it has that one."""
    if loss.reduction == reduction:
        return loss
    loss = copy.copy(loss)
    loss.reduction = reduction
    return loss


def _takes_mask(loss):
    return getattr(loss, "_takes_mask", False)


@register("losses")
class WeightedSum(Loss):
    """Weighted sum of losses of the same labels and predictions.

    Take it for combinations such as cross-entropy with an overlap loss. Each part meets labels,
    predictions and sample weights as if it were alone: it leaves out what it ignores, and its mean
    is over what it counts. `metrics` shows the parts during training.

    Args:
        losses: The parts: losses of this package, of Keras or your own registered ones, as objects
            or classes. A part may be a sum again.
        weights: One number per part. Defaults to `None`, all 1.
        reduction: As of every loss, for each part. A part with another one is copied.
        name: Name of the loss. Defaults to `"weighted_sum"`.
        dtype: The dtype of the result. Each part is computed in its own.

    Raises:
        TypeError: If a part is not a loss.
        ValueError: If there is no part, or not one weight per part, or a part has a reduction of
            its own.

    Example:

    >>> loss = keras_actloss.losses.WeightedSum(
    ...     [keras_actloss.losses.MeanSquaredError(), keras_actloss.losses.MeanAbsoluteError()],
    ...     weights=[1.0, 0.5],
    ... )
    >>> float(loss([[0.0]], [[2.0]]))
    5.0
    >>> [metric.name for metric in loss.metrics()]
    ['mean_squared_error', 'mean_absolute_error']
    """

    def __init__(self, losses, weights=None, **kwargs: Unpack[LossArguments]):
        super().__init__(**kwargs)
        self.losses = losses
        self.weights = [1.0] * len(losses) if weights is None else weights

    def __setattr__(self, name, value):
        if name == "losses":
            value = _parts_of(value, self.reduction)
            if hasattr(self, "weights"):
                _weights_of(self.weights, value)
        elif name == "weights":
            value = _weights_of(value, self.losses)
        super().__setattr__(name, value)
        if name == "reduction" and hasattr(self, "losses"):
            # Not in __call__, since a compiler cannot look through a copy.
            super().__setattr__("losses", [_reduced(loss, value) for loss in self.losses])

    def _parts(self):
        """The parts that weigh something, as they are now, for both lists may be changed."""
        pairs = zip(self.weights, self.losses, strict=True)
        return [(weight, _reduced(loss, self.reduction)) for weight, loss in pairs if weight]

    @property
    def labels(self):
        return getattr(self.losses[0], "labels", "values")

    @property
    def targets(self):
        return self._common("targets")

    @property
    def predictions(self):
        return self._common("predictions")

    def _common(self, name):
        """The range that all parts know."""
        ends = [getattr(loss, name, (-math.inf, math.inf)) for loss in self.losses]
        return max(low for low, _ in ends), min(high for _, high in ends)

    @property
    def width(self):
        widths = map(width_of, self.losses)
        return next((width for width in widths if width is not None), None)

    @property
    def axis(self):
        return getattr(self.losses[0], "axis", -1)

    @property
    def rank(self):
        return max(getattr(loss, "rank", 1) for loss in self.losses)

    def _any(self, name):
        return any(getattr(loss, name, False) for loss in self.losses)

    couples_samples = property(lambda self: self._any("couples_samples"))
    weighs_entries = property(lambda self: self._any("weighs_entries"))
    stops_gradient = property(lambda self: self._any("stops_gradient"))

    def __call__(self, y_true, y_pred, sample_weight=None):
        y_true, y_pred = tensors.from_lists(y_true), tensors.from_lists(y_pred)
        dtype = tensors.wide(self.dtype)
        with keras.name_scope(self.name):
            values = [
                weight * ops.cast(part(y_true, y_pred, sample_weight), dtype)
                for weight, part in self._parts()
            ]
            shapes = [tuple(value.shape) for value in values]
            if len(set(shapes)) > 1:
                raise ValueError(
                    f"{self.name}: without a reduction the parts have values of the shapes "
                    f"{shapes}, which do not add up; sum losses that give as many values a sample"
                )
            return ops.cast(sum(values[1:], values[0]), self.dtype)

    def call(self, y_true, y_pred, mask=None):
        """One value per sample, of inputs that fit; the mask is for the parts that take one."""
        values = [
            weight * part.call(y_true, y_pred, **({"mask": mask} if _takes_mask(part) else {}))
            for weight, part in self._parts()
        ]
        return sum(values[1:], values[0])

    def metrics(self) -> "list[LossMetric]":
        """A metric for each part, named after it, for `compile(metrics=...)`.

        Times the weights of the parts they add up to the loss that Keras shows. Hand them to
        `weighted_metrics` instead if samples have weights. In `fit` on JAX, Keras hands metrics
        predictions that have lost their mask and the logits of a sigmoid or softmax.

        Returns:
            A list of `LossMetric`. Parts of the same name are numbered.
        """
        reduction = self.reduction if self.reduction not in (None, "none") else _MEAN[0]
        taken, found = {loss.name for loss in self.losses}, {}
        for loss in self.losses:
            numbered = (f"{loss.name}_{i}" for i in itertools.count(1))
            name = loss.name
            if name in found:
                name = next(name for name in numbered if name not in taken | found.keys())
            found[name] = LossMetric(_reduced(loss, reduction), name)
        return list(found.values())


def _of_loss(name):
    return property(lambda self: getattr(self.loss, name))


@register("losses")
class AcrossReplicas(Loss):
    """A loss of the whole batch, where each replica of a model has a part of it.

    Take it for a loss that couples samples, such as Dice with `per="batch"`: alone, a replica
    couples only its own. On torch take it for every loss with a mask, `ignore_class` or
    `"mean_with_sample_weight"` as well: there a loss divides by what its own process counts. The
    gradient that `tf.distribute` or `DistributedDataParallel` applies is then that of one device
    with the whole batch. On JAX, and with one replica, nothing changes.

    Each process of torch has to call it, for it waits for all of them; in one process alone,
    evaluate `loss.loss`.

    Args:
        loss: A loss of this package or of its base class, as object or class. What couples samples
            meets the predictions of all replicas, of other losses only a sum and a count travel.
        reduction: As of every loss. Defaults to that of `loss`.
        name: Name of the loss. Defaults to `"across_replicas"`.
        dtype: The dtype of the result. Defaults to that of `loss`.

    Raises:
        TypeError: If `loss` has another base class, or has parts; those can be wrapped.

    Example:

    >>> loss = keras_actloss.losses.AcrossReplicas(keras_actloss.losses.Dice(per="batch"))
    >>> loss.loss.per
    'batch'
    >>> float(loss([[1.0], [1.0]], [[1.0], [1.0]]))
    0.0
    """

    _waits = True
    labels = _of_loss("labels")
    targets = _of_loss("targets")
    predictions = _of_loss("predictions")
    width = property(lambda self: width_of(self.loss))
    rank = _of_loss("rank")
    couples_samples = _of_loss("couples_samples")
    weighs_entries = _of_loss("weighs_entries")
    stops_gradient = _of_loss("stops_gradient")
    ignore_class = property(lambda self: getattr(self.loss, "ignore_class", None))
    axis = property(lambda self: getattr(self.loss, "axis", -1))

    def __init__(self, loss, **kwargs: Unpack[LossArguments]):
        loss = _loss_object(loss, "AcrossReplicas")
        if not isinstance(loss, Loss) or isinstance(loss, (WeightedSum, AcrossReplicas)):
            raise TypeError(
                "AcrossReplicas takes one loss whose base class is keras_actloss.losses.Loss, got "
                f"{loss!r}; wrap the parts of a sum"
            )
        of_loss: LossArguments = {"reduction": loss.reduction, "dtype": loss.dtype}
        super().__init__(**{**of_loss, **kwargs})
        self.loss = loss
        self._takes_mask = _takes_mask(loss)

    def call(self, y_true, y_pred, mask=None):
        """One value for each sample that lies here, coupled to those that lie elsewhere."""
        inputs = [y_true, y_pred]
        size = ops.shape(keras.tree.flatten(y_pred)[0])[0]
        if mask is not None:
            inputs.append(ops.broadcast_to(mask, (size, *ops.shape(mask)[1:])))
        if not self.couples_samples or replicas.number() == 1:
            return self.loss.call(*inputs)
        rows = replicas.Rows(size)
        inputs = keras.tree.map_structure(lambda x: tensors.map_prediction(rows.gather, x), inputs)
        return rows.own(self.loss.call(*inputs))


@keras.saving.register_keras_serializable(PACKAGE)
class LossMetric(keras.metrics.Mean):
    """The value of a loss as a metric: the mean over batches, as Keras has it for the loss itself.

    Args:
        loss: A loss with a reduction, as object or class.
        name: Name of the metric. Defaults to `None`, that of the loss.
        dtype: As of Keras's metrics. Defaults to `None`, Keras's `floatx`.

    Raises:
        TypeError: If `loss` is not a loss.
        ValueError: If its reduction is none.

    Example:

    >>> metric = keras_actloss.losses.LossMetric(keras_actloss.losses.Huber(delta=2.0))
    >>> metric.update_state([[0.0], [0.0]], [[1.0], [3.0]])
    >>> float(metric.result())
    2.25
    """

    def __init__(self, loss, name=None, dtype=None):
        loss = _loss_object(loss, "LossMetric")
        if loss.reduction in (None, "none"):
            raise ValueError(
                f"LossMetric: loss must have a reduction, got {loss!r} without; take its default"
            )
        super().__init__(name=name or loss.name, dtype=dtype)
        # For callbacks that watch it in mode "auto".
        self._direction = "down"
        self.loss = loss

    def of_batch(self, y_true, y_pred, sample_weight=None):
        """The value of the loss for a batch, and the size of the batch."""
        y_pred = tensors.from_lists(y_pred)
        value = self.loss(y_true, y_pred, sample_weight)
        return value / replicas.share(), ops.shape(keras.tree.flatten(y_pred)[0])[0]

    def update_state(self, y_true, y_pred, sample_weight=None):
        value, size = self.of_batch(y_true, y_pred, sample_weight)
        return super().update_state(value, sample_weight=size)

    def get_config(self):
        return {
            "name": self.name,
            "dtype": self.dtype,
            "loss": keras.saving.serialize_keras_object(self.loss),
        }

    @classmethod
    def from_config(cls, config):
        return cls(**restored_config(cls.__name__, config))
