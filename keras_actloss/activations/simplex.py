"""Activations onto the probability simplex."""

from collections.abc import Sequence
from typing import Any, Unpack

import keras
import numpy as np
from keras import ops

from keras_actloss.core import tensors
from keras_actloss.core.checks import axes, flag, integer_axis, positive
from keras_actloss.core.functions import activation, by_kernel, by_width, in_float32
from keras_actloss.core.keras_fixes import amax
from keras_actloss.core.kernels import entry, first_largest, indexes
from keras_actloss.core.layer import ActivationLayer, LayerArguments
from keras_actloss.core.numerics import leader, rounded_once, sigmoid_sides, tail, with_gradient
from keras_actloss.core.registry import register


def _over_last_axis(function, x, axis):
    """`function` over several axes at once: they are moved to the end and flattened."""
    rank = len(x.shape)
    axis = [a % rank for a in axis]
    order = [a for a in range(rank) if a not in axis] + axis
    back = sorted(range(rank), key=order.__getitem__)
    moved = ops.transpose(x, order)
    sizes = ops.shape(moved)
    flat = ops.reshape(moved, (*sizes[: rank - len(axis)], -1))
    return ops.transpose(ops.reshape(function(flat), sizes), back)


def _of_entries(mask, x):
    """A mask that broadcasts to `x` as one of its shape."""
    mask = ops.cast(ops.convert_to_tensor(mask), "bool")
    if not tensors.broadcasts(mask.shape, x.shape):
        raise ValueError(
            f"mask of shape {tuple(mask.shape)} does not broadcast to x of shape {tuple(x.shape)}; "
            "give it the shape of x, with 1 along the axes whose entries go together"
        )
    return ops.broadcast_to(mask, ops.shape(x))


def _softmax_gradient(axis):
    def gradient(upstream, x):
        y = ops.softmax(x, axis=axis)
        # Relative to the upstream value of one leader nothing cancels at a saturated row.
        if indexes(x, axis):
            reference = entry(upstream, first_largest(x, axis)[1], axis)
        else:
            leads = x == amax(x, axis=axis, keepdims=True)
            reference = amax(ops.where(leads, upstream, -np.inf), axis=axis, keepdims=True)
        relative = upstream - reference
        return y * (relative - ops.sum(y * relative, axis=axis, keepdims=True))

    return gradient


def _exact_log_softmax(axis):
    def value(x):
        top, _, _, rest = leader(x, axis)
        return (x - top) - ops.log1p(rest)

    def gradient(upstream, x):
        _, leads, others, rest = leader(x, axis)
        y = ops.where(leads, 1.0, others) / (1 + rest)
        # 1 - y of a leader, without subtracting y from 1.
        complement = ops.where(leads, rest / (1 + rest), 1 - y)
        total = ops.sum(upstream, axis=axis, keepdims=True)
        return upstream * complement - y * (total - upstream)

    return rounded_once(value, gradient)


@activation(axis=axes)
def softmax(x: Any, axis: int | Sequence[int] = -1, mask: Any = None) -> Any:
    """Softmax: logits to probabilities that sum to 1 along an axis.

    Take it for the output of a classifier with exclusive classes, and for attention weights with
    `mask`. The cross-entropies of this package recover the logits from its result.

    Formula:

        e = exp(x - max(x, axis=axis, keepdims=True))
        y = e / sum(e, axis=axis, keepdims=True)

    Args:
        x: Tensor of logits.
        axis: Axis, or several, over which the result sums to 1. Defaults to `-1`.
        mask: Boolean tensor that broadcasts to `x`, `True` where an entry takes part. Entries
            left out get exactly 0, a row with none left only zeros. Defaults to `None`.

    Shapes:
        Any with at least one axis; the output has the shape and dtype of `x`.

    Raises:
        TypeError: If `axis` is not an integer or several.
        ValueError: If `axis` does not exist in `x`, or `mask` does not broadcast to it.

    Example:

    >>> float(keras_actloss.activations.softmax([0.0, 1.0])[1])
    0.7310...

    Related:
        Of two logits, `sigmoid` of their difference; `log_softmax` is its logarithm.

    Reference:
        [Bridle, 1990](https://doi.org/10.1007/978-3-642-76153-9_28)
    """
    if mask is not None:
        mask = _of_entries(mask, x)
        # Minus infinity leaves an entry out; a row of nothing else would be NaN, so it keeps zeros.
        some = ops.any(mask, axis=axis, keepdims=True)
        x = ops.where(mask, x, ops.where(some, ops.full_like(x, -np.inf), ops.zeros_like(x)))

    def along(axis):
        gradient = _softmax_gradient(axis)
        return lambda x: by_kernel(x, lambda x: ops.softmax(x, axis=axis), gradient)

    axes = (axis,) if isinstance(axis, int) else tuple(axis)
    y = along(axes[0])(x) if len(axes) == 1 else _over_last_axis(along(-1), x, axes)
    if mask is not None:
        y = ops.where(mask, y, ops.zeros_like(y))
    return tensors.attach_logits(y, x) if len(axes) == 1 else y


def _is_of_steps(mask, x):
    """Whether a mask that a layer is handed has the first axes of `x`, as those of Keras.

    Else it has the last ones, as the function takes it. Where it fits both ways, it is Keras's if
    `x` has one: a functional model hands masks of steps on by itself.
    """
    shape, of_x = np.shape(mask), np.shape(x)
    fits = tensors.compatible(shape, of_x[: len(shape)])
    return fits and (not tensors.broadcasts(shape, of_x) or tensors.get_mask(x) is not None)


@register("layers")
class Softmax(ActivationLayer, fn=softmax):
    """Layer form of `softmax`; `layer(x, mask)` leaves entries out."""

    def __init__(self, axis: int | Sequence[int] = -1, **kwargs: Unpack[LayerArguments]):
        super().__init__(**kwargs)
        self.axis = tuple(axis) if isinstance(axis, list) else axis

    def __call__(self, inputs, mask=None, **kwargs):
        if mask is not None and not _is_of_steps(mask, inputs):
            for _ in range(np.ndim(inputs) - np.ndim(mask)):
                mask = ops.expand_dims(mask, 0)
        return super().__call__(inputs, mask=mask, **kwargs)

    def call(self, inputs, mask=None):
        # A Keras mask of steps reaches all entries of a step.
        while mask is not None and len(mask.shape) < len(inputs.shape):
            mask = ops.expand_dims(mask, -1)
        return self.apply_fn(inputs, mask=mask)


@activation(axis=axes)
def softmin(x: Any, axis: int | Sequence[int] = -1, mask: Any = None) -> Any:
    """Softmin: costs or distances to probabilities, the smallest of which gets the most.

    Take it where small is good, as in attention by distance or soft assignment to centers.

    Formula:

        e = exp(-x - max(-x, axis=axis, keepdims=True))
        y = e / sum(e, axis=axis, keepdims=True)

    Args:
        x: Tensor of costs.
        axis: Axis, or several, over which the result sums to 1. Defaults to `-1`.
        mask: Boolean tensor that broadcasts to `x`, `True` where an entry takes part. Entries
            left out get exactly 0, a row with none left only zeros. Defaults to `None`.

    Shapes:
        Any with at least one axis; the output has the shape and dtype of `x`.

    Raises:
        TypeError: If `axis` is not an integer or several.
        ValueError: If `axis` does not exist in `x`, or `mask` does not broadcast to it.

    Example:

    >>> float(keras_actloss.activations.softmin([0.0, 1.0])[0])
    0.7310...

    Related:
        `softmin(x) = softmax(-x)`.

    Reference:
        [Goodfellow et al., 2016, section 6.2.2.3](https://www.deeplearningbook.org)
    """
    return softmax.prepared(-x, axis=axis, mask=mask)


@register("layers")
class Softmin(Softmax, fn=softmin):
    """Layer form of `softmin`; `layer(x, mask)` leaves entries out."""

    def __init__(self, axis: int | Sequence[int] = -1, **kwargs: Unpack[LayerArguments]):
        super().__init__(axis=axis, **kwargs)


@activation(axis=integer_axis)
def log_softmax(x: Any, axis=-1) -> Any:
    """Logarithm of the softmax, computed without forming the probabilities.

    Take it where log-probabilities are wanted; `log(softmax(x))` is minus infinity where a
    probability underflows.

    Formula:

        top = max(x, axis=axis, keepdims=True)
        y = (x - top) - log(sum(exp(x - top), axis=axis, keepdims=True))

    Args:
        x: Tensor of logits.
        axis: Axis over which the exponential of the result sums to 1. Defaults to `-1`.

    Shapes:
        Any with at least one axis; the output has the shape and dtype of `x`.

    Raises:
        TypeError: If `axis` is not an integer.
        ValueError: If `axis` does not exist in `x`.

    Example:

    >>> float(keras_actloss.activations.log_softmax([0.0, 1.0])[1])
    -0.3132...

    Related:
        `exp(log_softmax(x)) = softmax(x)`.

    Reference:
        [Goodfellow et al., 2016, section 6.2.2.3](https://www.deeplearningbook.org)
    """
    return by_width(x, _exact_log_softmax(axis), lambda x: ops.log_softmax(x, axis=axis))


@register("layers")
class LogSoftmax(ActivationLayer, fn=log_softmax):
    """Layer form of `log_softmax`."""

    def __init__(self, axis=-1, **kwargs: Unpack[LayerArguments]):
        super().__init__(**kwargs)
        self.axis = axis


def _choose(x, axis):
    """One-hot of the largest entry, the first of equals, with the gradient of the softmax."""

    def value(x):
        leads = ops.cast(x == amax(x, axis=axis, keepdims=True), x.dtype)
        return leads * ops.cast(ops.cumsum(leads, axis=axis) == 1, x.dtype)

    return with_gradient(value, _softmax_gradient(axis))(x)


def _gumbel_noise(x, seed):
    # Above 0, where the logarithm is infinite; the largest float below 1 gives 16.6.
    uniform = keras.random.uniform(ops.shape(x), minval=2.0**-126, dtype=x.dtype, seed=seed)
    return -ops.log(-ops.log(uniform))


def _relaxed_choice(x, noisy, temperature, hard, axis, seed):
    def choice(x):
        noise = _gumbel_noise(x, seed) if noisy else 0
        z = (x + noise) / temperature
        return _choose(z, axis) if hard else softmax.prepared(z, axis=axis)

    return in_float32(choice, x)


@activation(temperature=positive, hard=flag, axis=integer_axis)
def gumbel_softmax(x: Any, temperature=1.0, hard=False, axis=-1, seed: Any = None) -> Any:
    """Gumbel-softmax: a random choice among classes that has a gradient.

    Take it where a network samples a category, as in discrete latent variables or learned
    selection. The largest entry is class `k` with probability `softmax(x)[k]`; a low temperature
    brings the result close to one-hot and makes the gradient noisy.

    Formula:

        noise = 0  # The layer outside training; else -log(-log(u)), u uniform between 0 and 1.
        z = (x + noise) / temperature
        e = exp(z - max(z, axis=axis, keepdims=True))
        y = e / sum(e, axis=axis, keepdims=True)

    Args:
        x: Tensor of logits.
        temperature: What the noisy logits are divided by, above 0. Defaults to `1.0`.
        hard: Whether the result is exactly one-hot, with the gradient of the soft one
            (straight-through). Defaults to `False`.
        axis: Axis over which the result sums to 1. Defaults to `-1`.
        seed: Integer, for the same noise at every call, a `keras.random.SeedGenerator`, or `None`
            for Keras's global one. The layer owns a generator, which begins with an integer or
            `None`. Defaults to `None`.

    Shapes:
        Any with at least one axis; the output has the shape and dtype of `x`.

    Raises:
        TypeError: If `axis` is not an integer or `hard` not a flag.
        ValueError: If `temperature` is not positive or `axis` does not exist in `x`.

    Example:

    >>> y = keras_actloss.activations.gumbel_softmax([[0.0, 30.0]], hard=True, seed=1)
    >>> float(y[0, 1])
    1.0

    Related:
        Without noise `softmax(x / temperature)`.

    Reference:
        [Jang et al., 2017](https://arxiv.org/abs/1611.01144),
        [Maddison et al., 2017](https://arxiv.org/abs/1611.00712)
    """
    return _relaxed_choice(x, True, temperature, hard, axis, seed)


@register("layers")
class GumbelSoftmax(ActivationLayer, fn=gumbel_softmax):
    """Layer form of `gumbel_softmax`; outside training it adds no noise."""

    def __init__(
        self,
        temperature=1.0,
        hard=False,
        axis=-1,
        seed: int | None = None,
        **kwargs: Unpack[LayerArguments],
    ):
        super().__init__(**kwargs)
        self.temperature = temperature
        self.hard = hard
        self.axis = axis
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, inputs, training=False):
        x = tensors.float_tensor(inputs)
        settings = self.temperature, self.hard, self.axis
        return _relaxed_choice(x, training, *settings, self.seed_generator)

    # Keras leaves the state of a seed generator out of its files.
    def save_own_variables(self, store):
        store["seed"] = self.seed_generator.state

    def load_own_variables(self, store):
        if "seed" in store:  # A softmax in its place has none.
            self.seed_generator.state.assign(store["seed"])


def _part(x, axis, start, end=None):
    """What `x` holds along an axis from `start` up to `end`."""
    where = [slice(None)] * len(x.shape)
    where[axis] = slice(start, end)
    return x[tuple(where)]


@activation(axis=integer_axis)
def ordinal_softmax(x: Any, axis=-1) -> Any:
    """Turn cumulative logits, of `y > k`, into probabilities of the classes.

    Take it behind the outputs of an ordinal model (CORAL, proportional odds), where entry `k` is
    the logit of a class above `k`. They should not increase along the axis: the class between two
    thresholds of increasing logits has a negative probability, which is not hidden.

    Formula:

        above = 1 / (1 + exp(-x))
        y = pad(above, 1, "start", axis) - pad(above, 0, "end", axis)

    Args:
        x: Tensor of logits of the thresholds, one less along `axis` than there are classes.
        axis: Axis of the thresholds, in the output of the classes. Defaults to `-1`.

    Shapes:
        Any with at least one axis; the output has the dtype of `x` and is longer by 1 along `axis`.

    Raises:
        TypeError: If `axis` is not an integer.
        ValueError: If `axis` does not exist in `x`, or has no logit.

    Example:

    >>> float(keras_actloss.activations.ordinal_softmax([2.0, -1.0])[1])
    0.6118...

    Related:
        Of a single logit, `sigmoid(-x)` and `sigmoid(x)`. `conditional_softmax` for CORN,
        `losses.median_class` for the class to predict.

    Reference:
        [Cao et al., 2020](https://arxiv.org/abs/1901.07884)
    """
    if x.shape[axis] == 0:
        raise ValueError(
            f"x of shape {tuple(x.shape)} has no logit along axis={axis}; give it one less than "
            "there are classes"
        )

    def value(x):
        above, below = sigmoid_sides(x)
        high, low = _part(x, axis, 0, -1), _part(x, axis, 1)
        # sigmoid(a) - sigmoid(b) as a product; equal logits, infinite too, differ by 0.
        gap = ops.where(high == low, 0.0, high - low)
        both = _part(above, axis, 0, -1) * _part(below, axis, 1)
        both = both + _part(below, axis, 0, -1) * _part(above, axis, 1)
        levels = _part(below, axis, 0, 1), ops.tanh(gap / 2) * both, _part(above, axis, -1)
        return ops.concatenate(levels, axis)

    def gradient(upstream, x):
        small = tail(x)
        last, first = _part(upstream, axis, 1), _part(upstream, axis, 0, -1)
        return (last - first) * (small * (1 - small))

    return rounded_once(value, gradient)(x)


class _OneMore(ActivationLayer):
    """A layer whose output is longer by 1 along `axis`."""

    def __init__(self, axis=-1, **kwargs: Unpack[LayerArguments]):
        super().__init__(**kwargs)
        self.axis = axis

    def compute_output_shape(self, input_shape):
        shape = list(input_shape)
        if shape[self.axis] is not None:
            shape[self.axis] += 1
        return tuple(shape)


@register("layers")
class OrdinalSoftmax(_OneMore, fn=ordinal_softmax):
    """Layer form of `ordinal_softmax`."""

    def __init__(self, axis=-1, **kwargs: Unpack[LayerArguments]):
        super().__init__(axis, **kwargs)

    def resized_mask(self, mask, axis):
        # A class is known if the logits on both of its sides are.
        end = ops.ones_like(ops.take(mask, [0], axis=axis))
        sides = [end, mask], [mask, end]
        return ops.logical_and(*(ops.concatenate(side, axis=axis) for side in sides))


def _products(x, axis):
    """The product of the entries up to each, in ops that every exporter knows."""
    size = tensors.known_size(x, axis)
    if size is None:
        return ops.cumprod(x, axis=axis)
    done = 1
    while done < size:
        # Not by `pad`, of which `tf.vectorized_map` forgets the value.
        ones = ops.ones_like(_part(x, axis, 0, done))
        x = x * ops.concatenate([ones, _part(x, axis, 0, -done)], axis=axis)
        done = 2 * done
    return x


@activation(axis=integer_axis)
def conditional_softmax(x: Any, axis=-1) -> Any:
    """Turn conditional logits, of `y > k` given `y >= k`, into probabilities of the classes.

    Take it behind the outputs of a CORN or continuation-ratio model, where entry `k` is the logit
    of a class above `k` among those of at least `k`. No logits give a negative probability.

    Formula:

        above = cumprod(1 / (1 + exp(-x)), axis)
        y = pad(above, 1, "start", axis) * pad(1 / (1 + exp(x)), 1, "end", axis)

    Args:
        x: Tensor of logits of the thresholds, one less along `axis` than there are classes.
        axis: Axis of the thresholds, in the output of the classes. Defaults to `-1`.

    Shapes:
        Any with at least one axis; the output has the dtype of `x` and is longer by 1 along `axis`.

    Raises:
        TypeError: If `axis` is not an integer.
        ValueError: If `axis` does not exist in `x`.

    Example:

    >>> float(keras_actloss.activations.conditional_softmax([2.0, -1.0])[1])
    0.6439...

    Related:
        `losses.corn` is the cross-entropy of it. `losses.median_class` of it is the class that
        `corn_label_from_logits` of coral_pytorch predicts. `ordinal_softmax` for CORAL.

    Reference:
        [Shi et al., 2021](https://arxiv.org/abs/2111.08851)
    """

    def value(x):
        above = _products(ops.sigmoid(x), axis)
        below = ops.sigmoid(-x)
        one = ops.ones_like(ops.sum(x, axis=axis, keepdims=True))
        above, below = (ops.concatenate(v, axis=axis) for v in ([one, above], [below, one]))
        return above * below

    def gradient(upstream, x):
        own, beyond = _part(upstream, axis, 0, -1), _part(upstream * value(x), axis, 1)
        beyond = ops.flip(ops.cumsum(ops.flip(beyond, axis=axis), axis=axis), axis=axis)
        return ops.sigmoid(-x) * (beyond - own * _products(ops.sigmoid(x), axis))

    return rounded_once(value, gradient)(x)


@register("layers")
class ConditionalSoftmax(_OneMore, fn=conditional_softmax):
    """Layer form of `conditional_softmax`."""

    def __init__(self, axis=-1, **kwargs: Unpack[LayerArguments]):
        super().__init__(axis, **kwargs)

    def resized_mask(self, mask, axis):
        # A class is known if all logits up to it are, the last if the one before is.
        unknown = ops.cumsum(ops.cast(ops.logical_not(mask), "int32"), axis=axis)
        last = ops.take(unknown, [mask.shape[axis] - 1], axis=axis)
        return ops.concatenate([unknown, last], axis=axis) == 0
