"""Activations that draw random numbers in training."""

from typing import Any, Unpack

import keras
from keras import ops

from keras_actloss.activations.learned import prelu
from keras_actloss.activations.rectifiers import leaky_relu
from keras_actloss.core import tensors
from keras_actloss.core.checks import finite_non_negative, ordered
from keras_actloss.core.functions import activation
from keras_actloss.core.layer import ActivationLayer, LayerArguments
from keras_actloss.core.registry import register


@activation(lower=finite_non_negative, upper=finite_non_negative)
def rrelu(x: Any, lower=1 / 8, upper=1 / 3, training=False, seed: Any = None) -> Any:
    """Rectifier with a random slope for negative inputs in training, the mean slope afterwards.

    Take it instead of `leaky_relu` on small data sets, where the noise regularizes.

    Formula:

        slope = (lower + upper) / 2
        y = where(x > 0, x, slope * x)

    With `training=True` the slope is drawn for each entry from `lower` to `upper`, uniformly.

    Args:
        x: Tensor.
        lower: Least slope, at least 0. Defaults to `0.125`.
        upper: Largest slope, at least `lower`. Defaults to
            `0.3333333333333333`.
        training: Whether to draw the slopes. Defaults to `False`.
        seed: Integer, or a `keras.random.SeedGenerator` that gives other slopes on each call. The
            layer owns a generator, which begins with an integer or `None`. Defaults to `None`,
            Keras's global seed.

    Shapes:
        Any; the output has the shape and dtype of `x`.

    Raises:
        ValueError: If `lower` is negative or above `upper`, or that infinite.

    Example:

    >>> float(keras_actloss.activations.rrelu(-2.0, lower=0.25, upper=0.75))
    -1.0

    Related:
        `leaky_relu(x, negative_slope=(lower + upper) / 2)` when not in training.

    Reference:
        [Xu et al., 2015](https://arxiv.org/abs/1505.00853)
    """
    ordered("rrelu", lower=lower, upper=upper)
    if not training:
        return leaky_relu.prepared(x, negative_slope=(lower + upper) / 2)
    dtype = tensors.wide(tensors.dtype_of(x))
    slope = keras.random.uniform(ops.shape(x), lower, upper, dtype=dtype, seed=seed)
    return prelu.prepared(x, alpha=slope)


@register("layers")
class RReLU(ActivationLayer, fn=rrelu):
    """Layer form of `rrelu`; it owns a seed generator, whose state is saved in `.keras` files."""

    def __init__(self, lower=1 / 8, upper=1 / 3, seed=None, **kwargs: Unpack[LayerArguments]):
        super().__init__(**kwargs)
        self.lower = lower
        self.upper = upper
        ordered("RReLU", lower=lower, upper=upper)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, inputs, training=False):
        settings = {**self.fn_settings(), "seed": self.seed_generator}
        return rrelu.prepared(inputs, training=training, **settings)

    # Keras leaves the state of a generator out of its files.
    def save_own_variables(self, store):
        store["seed_state"] = ops.convert_to_numpy(self.seed_generator.state)

    def load_own_variables(self, store):
        if "seed_state" in store:  # Not in the file of a model that `rrelu` was a function of.
            self.seed_generator.state.assign(store["seed_state"])
