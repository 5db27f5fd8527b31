"""The base class of all losses."""

import inspect
import math
from typing import Any, Literal, TypedDict

import keras
from keras import ops

from keras_actloss.core import replicas, tensors
from keras_actloss.core.checks import one_of
from keras_actloss.core.settings import Configured

Reduction = Literal["sum_over_batch_size", "sum", "mean", "mean_with_sample_weight", "none"] | None
check_reduction = one_of(
    "sum_over_batch_size", "sum", "mean", "mean_with_sample_weight", "none", None
)


class LossArguments(TypedDict, total=False):
    """What every loss takes besides its own settings."""

    reduction: Reduction
    name: str | None
    dtype: str | keras.DTypePolicy | None


class Loss(Configured, keras.losses.Loss):
    """Base class of the losses: a constructor that stores its arguments, and `call` or `fn`.

    Subclass it for a loss of your own. `call(y_true, y_pred)` returns one value per sample (or a
    sample and step), never a scalar. The base class does the rest: the config is read from the
    constructor, integer labels keep their dtype, shapes that do not fit are an error, samples of
    weight 0, masked steps and ignored labels are taken out before the maths, sums run in float32 or
    wider.

    With `class MyLoss(Loss, fn=my_function)` the settings are passed to a function; leave the
    constructor out and the class takes the function's settings.

    Class attributes:
        labels: What `y_true` holds: `"values"` (as many as predictions), `"binary"` (a class label
            per entry), `"onehot"`, `"ids"` (class ids, one axis fewer than `y_pred`), `"ranks"`
            (ids of one class more than there are predictions), `"groups"` (any ids, alike for
            samples that belong together), `"memberships"` (rows of 0 and 1, for any number of
            groups that a sample may be in), `"target"` (one number beside several predictions on
            the last axis, such as its quantiles), `"tags"` (class ids, two axes fewer) or
            `"sequence"` (rows of class ids, of any length).
        targets: Ends of the range of `y_true`, for the checks to stay in. Defaults to the reals.
        predictions: Ends of the range of `y_pred`. Defaults to the reals, or to 0 and 1 where
            `from_logits` is `False`.
        from_logits: `True` where `y_pred` is never what a softmax or sigmoid makes, for
            `check_outputs` to find one. A setting of losses that take either.
        width: Size of the last axis of `y_pred`, or `None` where any will do.
        rank: The least number of axes of `y_pred` with which there is something to learn.
        couples_samples: Whether the value of a sample depends on the others. If `call` takes
            `mask`, samples of weight 0 are then `False` in it. Defaults to whether a setting `per`
            is `"batch"`.
        weighs_entries: Whether `call` takes numbers for `mask`, what each entry of a sample weighs.
            It is then handed a `sample_weight` that has axes beside that of the samples. Defaults
            to `False`.
        stops_gradient: Whether a part of the gradient is stopped, for the checks not to hold it
            against differences of values. Defaults to `False`.

    Each of these may be a property, where it depends on a setting.

    Args:
        reduction: `"sum_over_batch_size"` (or `"mean"`), `"sum"`, `"mean_with_sample_weight"`,
            `"none"` or `None`. Means divide by the number of values that a mask or `ignore_class`
            leaves. Defaults to `"sum_over_batch_size"`.
        name: Name of the loss. Defaults to `None`, the class's name in snake case.
        dtype: The dtype of the result. 16-bit losses are computed in float32. Defaults to `None`,
            Keras's `floatx`.

    Call arguments:
        y_true: Labels.
        y_pred: Predictions. Where a Keras mask of theirs is `False` nothing counts.
        sample_weight: What each sample, or each value of a sample, weighs; what weighs 0 may be
            NaN. Defaults to `None`, all 1.

    Raises:
        ValueError: If `reduction` is unknown.

    Example:

    >>> @keras.saving.register_keras_serializable("my_project")
    ... class ScaledError(keras_actloss.losses.Loss):
    ...     def __init__(self, scale=1.0, **kwargs):
    ...         super().__init__(**kwargs)
    ...         self.scale = scale
    ...
    ...     def call(self, y_true, y_pred):
    ...         return keras.ops.mean(keras.ops.abs(y_true - y_pred) / self.scale, axis=-1)
    >>> loss = ScaledError(scale=2.0)
    >>> float(loss([[1.0]], [[4.0]]))
    1.5
    >>> ScaledError.from_config(loss.get_config())
    ScaledError(scale=2.0)
    """

    labels: Any = "values"
    targets = (-math.inf, math.inf)
    predictions: Any = property(
        lambda self: (-math.inf, math.inf) if getattr(self, "from_logits", True) else (0.0, 1.0)
    )
    width = None
    rank = 1
    couples_samples: Any = property(lambda self: getattr(self, "per", None) == "batch")
    weighs_entries: Any = False
    stops_gradient: Any = False
    # Whether it asks the other replicas where the engine leaves it to the loss.
    _waits = False
    own_checks = {"reduction": check_reduction}  # noqa: RUF012
    _keras_base = keras.losses.Loss
    _base_arguments = ("reduction", "name", "dtype")
    _called = "__call__"

    def __init_subclass__(cls, fn=None, **kwargs):
        labels: Any = getattr(fn, "labels", cls.labels)
        cls.labels = property(lambda self: labels(vars(self))) if callable(labels) else labels
        cls.weighs_entries = getattr(fn, "weighs_entries", cls.weighs_entries)
        super().__init_subclass__(fn=fn, **kwargs)
        maths = cls.fn if cls.fn and cls.call is Loss.call else cls.call
        cls._takes_mask = "mask" in inspect.signature(maths).parameters

    def __init__(
        self,
        *,
        reduction: Reduction = "sum_over_batch_size",
        name: str | None = None,
        dtype: str | keras.DTypePolicy | None = None,
        **unknown: Any,
    ):
        self.refuse(unknown)
        # Before Keras refuses it in words of its own.
        check_reduction(f"{type(self).__name__}: reduction", reduction)
        super().__init__(name=name or self._default_name(), reduction=reduction, dtype=dtype)

    def _default_name(self):
        """The class's name in snake case; a function of the same name knows its words, as IoU's."""
        name, of_fn = type(self).__name__, getattr(self.fn, "__name__", "")
        return of_fn if of_fn.replace("_", "") == name.lower() else _snake_case(name)

    def call(self, y_true, y_pred, mask=None):
        """One value per sample, from inputs that fit each other."""
        masked = {"mask": mask} if self._takes_mask else {}
        return self.apply_fn(y_true, y_pred, **masked)

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        y_true, y_pred = tensors.from_lists(y_true), tensors.from_lists(y_pred)
        mask = tensors.get_mask(y_pred)
        dtype = tensors.wide(self.dtype)
        with keras.name_scope(self.name):
            y_pred = keras.tree.map_structure(lambda x: _prediction(x, dtype), y_pred)
            if not keras.tree.is_nested(y_pred):
                y_true, y_pred = self._prepare(y_true, y_pred)
            else:
                y_true = keras.tree.map_structure(ops.convert_to_tensor, y_true)
            if sample_weight is not None:
                tensors.check_numbers(
                    sample_weight, f"{self.name}: sample_weight", "give one a sample"
                )
                sample_weight = ops.cast(ops.convert_to_tensor(sample_weight), dtype)
                if self.weighs_entries and tensors.of_entries(sample_weight):
                    weight = tensors.fit(
                        sample_weight, y_pred.shape, f"{self.name}: sample_weight", self._class_axis
                    )
                    mask = _left_of(weight, mask, self._class_axis)
                    sample_weight = None
                elif self.weighs_entries or self.couples_samples:
                    sample_weight = _of_samples(sample_weight, y_pred)
                elif mask is not None and self.labels == "sequence":  # Of frames, not of labels.
                    sample_weight = tensors.of_whole(sample_weight, mask, 1)
            # What a mask or ignore_class leaves, with the rank of the labels or lower.
            kept = self._not_ignored(y_true)
            takes_mask = mask is not None and self._takes_mask
            y_true, y_pred = self._remove(
                y_true, y_pred, sample_weight, None if takes_mask else mask
            )
            seen = mask if takes_mask else None
            self._check_ids(y_true, y_pred, seen)
            if sample_weight is not None and self._takes_mask and self.couples_samples:
                seen = _weighed(sample_weight, mask)
            values = self.call(y_true, y_pred, **({} if seen is None else {"mask": seen}))
            if mask is not None:
                self._check_consumed(mask, values, takes_mask)
                there = ops.cast(mask, "bool")
                kept = tensors.both(kept, there, self.labels, self._class_axis)
                if sample_weight is not None:
                    sample_weight = tensors.of_whole(sample_weight, mask, len(values.shape))
            loss = self._reduce(tensors.cast(values, dtype), sample_weight, kept)
            return tensors.cast(loss, self.dtype)

    @property
    def _class_axis(self):
        return getattr(self, "axis", -1)

    def _prepare(self, y_true, y_pred):
        name = type(self).__name__
        return tensors.prepare(y_true, y_pred, self.labels, self._class_axis, name)

    def _check_ids(self, y_true, y_pred, mask):
        """Refuse class ids that are out of range; what is left out may be anything."""
        if self.labels not in tensors.IDS or keras.tree.is_nested(y_pred):
            return
        axis, ignored = self._class_axis, getattr(self, "ignore_class", None)
        if mask is not None:
            y_true, _ = tensors.remove(ops.cast(mask, "bool"), y_true, y_pred, axis)
        tensors.check_range(y_true, y_pred.shape[axis], self.labels, ignored, type(self).__name__)

    def _not_ignored(self, y_true):
        ignore_class = getattr(self, "ignore_class", None)
        if ignore_class is None:
            return None
        return tensors.not_ignored(y_true, self.labels, ignore_class, self._class_axis)

    def _remove(self, y_true, y_pred, sample_weight, mask):
        """Take out, before the maths, what has weight 0 or is masked."""
        weighed = None if sample_weight is None else sample_weight != 0
        for name, keep in (("sample_weight", weighed), ("mask", mask)):
            what = f"{self.name}: {name}"
            if keep is None:
                continue
            if not (keras.tree.is_nested(y_true) or keras.tree.is_nested(y_pred)):
                y_true, y_pred = tensors.remove(keep, y_true, y_pred, self._class_axis, what)
            elif len(keep.shape) == 1:
                y_true, y_pred = tensors.remove_samples(keep, y_true, y_pred, what)
        return y_true, y_pred

    def _check_consumed(self, mask, values, takes_mask):
        if len(mask.shape) > len(values.shape) and not takes_mask:
            raise ValueError(
                f"{self.name}: the mask of shape {tuple(mask.shape)} covers an axis that the loss "
                f"reduces, its values have shape {tuple(values.shape)}; let call take `mask` and "
                "leave masked entries out, or return one value a step"
            )

    def _reduce(self, values, weight, kept):
        """Keras's reductions, over what is kept and weighed."""
        rank = len(values.shape)
        if kept is not None:
            # Class ids and what is kept of one-hot labels have no class axis any more.
            axis = -1 if self.labels in (*tensors.IDS, "onehot") else self._class_axis
            while len(kept.shape) > rank:
                kept = ops.any(kept, axis=axis if len(kept.shape) == rank + 1 > 2 else -1)
            kept = ops.broadcast_to(tensors.fit(kept, values.shape), ops.shape(values))
            values = ops.where(kept, values, ops.zeros_like(values))
        if weight is not None:
            weight = tensors.fit(weight, values.shape, f"{self.name}: sample_weight")
            values = ops.where(weight == 0, ops.zeros_like(values), values * weight)
        if self.reduction in (None, "none"):
            return values
        if self.reduction == "sum":
            count = None
        elif self.reduction == "mean_with_sample_weight" and weight is not None:
            count = ops.broadcast_to(weight, ops.shape(values))
            count = ops.sum(count if kept is None else ops.where(kept, count, 0))
        elif kept is not None:
            count = ops.sum(ops.cast(kept, values.dtype))
        else:
            count = math.prod(ops.shape(values))
        return replicas.quotient(ops.sum(values), count, self._waits)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "dtype": self.dtype, **self.own_config()}

    _base_get_config = get_config

    @classmethod
    def from_config(cls, config: dict[str, Any]):
        return cls(**cls.restored(config))


def width_of(loss):
    """The size of the last axis that a loss needs, if any; `width` may be a setting, as of Wing."""
    return None if "width" in getattr(loss, "_settings", ()) else getattr(loss, "width", None)


def _of_samples(weight, y_pred):
    """One weight a sample, of what has further axes of size 1 or is one weight for all."""
    if tensors.of_entries(weight):
        return weight
    size = ops.shape(keras.tree.flatten(y_pred)[0])[0]
    return ops.broadcast_to(ops.reshape(weight, (-1,)), (size,))


def _weighed(sample_weight, mask):
    """Where `mask` is True, or None, and the weight is not 0."""
    weighed = sample_weight != 0
    if mask is None:
        return weighed
    wide, narrow = sorted((weighed, mask), key=lambda x: -len(x.shape))
    return ops.logical_and(wide, tensors.fit(narrow, wide.shape))


def _left_of(weight, mask, axis):
    """What entries weigh where `mask` is True, or None; without the class axis if that is alike."""
    if mask is not None:
        mask = tensors.fit(mask, weight.shape, axis=axis)
        weight = ops.where(mask, weight, ops.zeros_like(weight))
    return ops.squeeze(weight, axis) if weight.shape[axis] == 1 else weight


def _prediction(y_pred, dtype):
    return tensors.map_prediction(lambda x: tensors.tensor(x, dtype), y_pred)


def _snake_case(name):
    words = "".join(f"_{c.lower()}" if c.isupper() else c for c in name)
    return words.lstrip("_")
