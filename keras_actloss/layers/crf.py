"""A linear-chain conditional random field: the layer that scores, and the best path."""

from typing import Any, Unpack

import keras
from keras import ops

from keras_actloss.core.categorical import is_label
from keras_actloss.core.checks import flag
from keras_actloss.core.keras_fixes import amax, scan
from keras_actloss.core.kernels import traced_by_torch
from keras_actloss.core.layer import (
    ActivationLayer,
    Constraint,
    Initializer,
    LayerArguments,
    Regularizer,
)
from keras_actloss.core.numerics import LOG_ZERO
from keras_actloss.core.registry import register
from keras_actloss.core.tensors import dtype_of, fit, float_tensor, wide


def _every(x, mask):
    """Which steps of `x` count."""
    keep = ops.ones(ops.shape(x)[:2], dtype="bool")
    if mask is None:
        return keep
    return ops.logical_and(keep, fit(ops.cast(mask, "bool"), x.shape[:2]))


@register("layers")
class CRF(ActivationLayer):
    """Scores of pairs of neighboring tags, for `losses.LinearChainCRF` and `Viterbi`.

    Put it behind the layer that scores the tags of each step, without a softmax. It adds a learned
    score for each tag after each other one, and for each tag at the first and at the last step. All
    that the loss needs is in its output, so that the model compiles, saves and loads as any other.

    The output is `(batch, steps, tags, tags)`, in float32 or wider: entry `[:, t, i, j]` is the
    score of tag `j` at step `t` after tag `i`. It takes `tags` times the memory of the input; 32
    sequences of 100 steps take 5 MB with 20 tags and 210 MB with 128.

    A Keras mask may leave out any steps. The first and last scores go to the first and last step
    that are left, and transitions lead from each of these to the next.

    The score of a path of tags `y` through scores `x` of `n` steps, and what the loss makes of it,
    with a sum over all paths `z`:

        score(y) = first[y[0]] + x[0, y[0]] + ... + x[n - 1, y[n - 1]] + last[y[n - 1]]
                   + transitions[y[0], y[1]] + ... + transitions[y[n - 2], y[n - 1]]
        loss = log(sum(exp(score(z)))) - score(y)

    Args:
        use_boundary: Whether to learn scores for the first and the last step. Defaults to `True`.
        transition_initializer: Of the scores `(tags, tags)`, from row to column. Defaults to
            `"zeros"`, where each step is a softmax of its own.
        boundary_initializer: Of the first and last scores. Defaults to `"zeros"`.
        transition_regularizer: A regularizer of the transitions. Defaults to `None`.
        boundary_regularizer: A regularizer of the boundary scores. Defaults to `None`.
        transition_constraint: A constraint of the transitions. Defaults to `None`.
        boundary_constraint: A constraint of the boundary scores. Defaults to `None`.

    Shapes:
        Input: `(batch, steps, tags)`, with a known number of tags. Output:
        `(batch, steps, tags, tags)`.

    Raises:
        TypeError: If `use_boundary` is not `True` or `False`.
        ValueError: If the input has other axes, or a mask does not fit them.

    Example:

    >>> model = keras.Sequential([
    ...     keras.Input((None,)),
    ...     keras.layers.Embedding(1000, 16, mask_zero=True),
    ...     keras.layers.Dense(5),
    ...     keras_actloss.layers.CRF(),
    ... ])
    >>> model.compile("adam", keras_actloss.losses.LinearChainCRF())
    >>> tagger = keras.Sequential([model, keras_actloss.layers.Viterbi()])
    >>> tagger.predict(np.array([[3, 1, 4, 0]]), verbose=0).shape
    (1, 4)

    Related:
        `losses.LinearChainCRF`; `Viterbi` for the best path.

    Reference:
        [Lafferty et al., 2001](https://repository.upenn.edu/cis_papers/159),
        [Lample et al., 2016](https://arxiv.org/abs/1603.01360)
    """

    def __init__(
        self,
        use_boundary=True,
        transition_initializer: Initializer = "zeros",
        boundary_initializer: Initializer = "zeros",
        transition_regularizer: Regularizer = None,
        boundary_regularizer: Regularizer = None,
        transition_constraint: Constraint = None,
        boundary_constraint: Constraint = None,
        **kwargs: Unpack[LayerArguments],
    ):
        super().__init__(**kwargs)
        flag("CRF: use_boundary", use_boundary)
        self.use_boundary = use_boundary
        self.describe_weight(
            "transition", transition_initializer, transition_regularizer, transition_constraint
        )
        self.describe_weight(
            "boundary", boundary_initializer, boundary_regularizer, boundary_constraint
        )

    def build(self, input_shape=None):
        tags = self._tags(input_shape or ())
        self.transitions = self._learn("transitions", (tags, tags), "transition")
        if self.use_boundary:
            self.first = self._learn("first", (tags,), "boundary")
            self.last = self._learn("last", (tags,), "boundary")
        super().build(input_shape)

    def _tags(self, input_shape):
        if len(input_shape) != 3 or input_shape[-1] is None:
            raise ValueError(
                f"CRF: an input of shape {tuple(input_shape)} needs the axes (batch, steps, tags), "
                "with a known number of tags; put a Dense layer with a unit a tag before it"
            )
        return input_shape[-1]

    def _learn(self, name, shape, kind):
        return self.add_weight(
            name=name,
            shape=shape,
            initializer=getattr(self, f"{kind}_initializer"),
            regularizer=getattr(self, f"{kind}_regularizer"),
            constraint=getattr(self, f"{kind}_constraint"),
            autocast=False,
        )

    def call(self, inputs, mask=None):
        # A sum over many steps: in 16 bit it would lose the last of them.
        x = float_tensor(inputs)
        x = ops.cast(x, wide(dtype_of(x)))
        count = ops.cumsum(ops.cast(_every(inputs, mask), "int32"), axis=1)
        before = ops.pad(count, [(0, 0), (1, 0)])[:, :-1]
        counts = count > before
        is_first = ops.logical_and(counts, before == 0)[:, :, None, None]
        is_last = ops.logical_and(counts, count == count[:, -1:])[:, :, None]
        first, transitions = 0.0, ops.cast(self.transitions, x.dtype)
        if self.use_boundary:
            first = ops.cast(self.first, x.dtype)
            x = x + ops.where(is_last, ops.cast(self.last, x.dtype), 0.0)
        return ops.expand_dims(x, 2) + ops.where(is_first, first, transitions)

    def compute_output_shape(self, input_shape):
        return (*input_shape, self._tags(input_shape))

    def compute_output_spec(self, inputs, mask=None):
        shape = self.compute_output_shape(inputs.shape)
        return keras.KerasTensor(shape, wide(self.compute_dtype))


def _check_potentials(shape):
    if len(shape) != 4 or shape[2] != shape[3]:
        raise ValueError(
            f"viterbi: potentials of shape {tuple(shape)} need the axes (batch, steps, tags, tags);"
            " put a CRF layer before it"
        )


def _forward(carry, step):
    reached = ops.expand_dims(carry[0], -1) + step[0]
    carry = amax(reached, axis=1), ops.cast(ops.argmax(reached, axis=1), "int32")
    return carry, carry


def _backward(tag, step):
    # Not by `take_along_axis`, which fixes the batch where torch exports one of any size.
    origin = ops.where(is_label(tag, step[0], -1), step[0], 0)
    return ops.cast(ops.sum(origin, axis=-1), "int32"), tag


def viterbi(potentials: Any, mask: Any = None) -> Any:
    """The tags of the path with the largest sum of scores, and that sum.

    Args:
        potentials: Scores of pairs of tags, `(batch, steps, tags, tags)`, as `CRF` makes them.
        mask: Boolean, `True` where a step counts, `(batch, steps)` or `(batch,)`. Defaults to
            `None`.

    Returns:
        `(tags, score)`: tags as integers, `(batch, steps)`, -1 where `mask` is `False`; and the
        score of each sequence, `(batch,)`.

    Raises:
        ValueError: If `potentials` has other axes, or `mask` does not fit them.

    Example:

    >>> scores = np.array([[[[1.0, 0.0], [1.0, 0.0]], [[0.0, 2.0], [0.0, 0.0]]]])
    >>> tags, score = keras_actloss.layers.viterbi(scores)
    >>> np.array(tags).tolist(), float(score[0])
    ([[0, 1]], 3.0)

    Reference:
        [Viterbi, 1967](https://doi.org/10.1109/TIT.1967.1054010)
    """
    x = float_tensor(potentials)
    _check_potentials(x.shape)
    if traced_by_torch() and x.shape[1] == 1:
        raise ValueError(
            "viterbi: torch exports the steps that it traces a model with, and of an unknown "
            "number that is one; fix the number of steps in keras.Input, or export on TensorFlow, "
            "as a SavedModel"
        )
    dtype = dtype_of(x)
    keep = _every(x, mask)
    same = ops.arange(x.shape[-1], dtype="int32")
    # A step that does not count leads from each tag to itself.
    stay = ops.where(same[:, None] == same, ops.cast(0, wide(dtype)), LOG_ZERO)
    x = ops.where(keep[:, :, None, None], ops.cast(x, wide(dtype)), stay)

    # Whatever comes first comes from tag 0.
    start = ops.where(same == 0, ops.cast(0, x.dtype), LOG_ZERO)
    shape = ops.shape(x)[0], x.shape[-1]
    state = ops.broadcast_to(start, shape), ops.broadcast_to(same, shape)
    (best, _), (_, origins) = scan(_forward, state, (ops.swapaxes(x, 0, 1),))

    last = ops.cast(ops.argmax(best, axis=-1), "int32")
    _, tags = scan(_backward, last, (origins,), reverse=True)
    tags = ops.where(keep, ops.swapaxes(tags, 0, 1), -1)
    return tags, ops.cast(amax(best, axis=-1), dtype)


@register("layers")
class Viterbi(ActivationLayer):
    """The best tags of the scores that a `CRF` makes, as `viterbi`.

    Put it behind a trained model that ends in `CRF`, to predict and to export: the mask comes from
    there, and steps that it leaves out get the tag -1.

    Args:
        **kwargs: `name`, `trainable` and `dtype`, as of any Keras layer; tags are int32 in each.

    Shapes:
        Input: `(batch, steps, tags, tags)`. Output: `(batch, steps)`.

    Raises:
        ValueError: If the input has other axes, or a mask does not fit them.

    Example:

    >>> layer = keras_actloss.layers.Viterbi()
    >>> np.array(layer(np.eye(2).reshape(1, 1, 2, 2))).tolist()
    [[0]]

    Related:
        `viterbi`, which gives the scores of the paths too.

    Reference:
        [Viterbi, 1967](https://doi.org/10.1109/TIT.1967.1054010)
    """

    def __init__(self, **kwargs: Unpack[LayerArguments]):
        super().__init__(**kwargs)
        self.autocast = False  # A policy of 16 bit would round the scores, which are float32.

    def call(self, inputs, mask=None):
        return viterbi(inputs, mask)[0]

    def compute_output_shape(self, input_shape):
        _check_potentials(input_shape)
        return input_shape[:2]

    def compute_output_spec(self, inputs, mask=None):
        return keras.KerasTensor(self.compute_output_shape(inputs.shape), "int32")
