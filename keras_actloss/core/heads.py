"""Losses of one number beside several parameters of its distribution, with gradients by hand."""

import math
from collections.abc import Callable
from typing import Any

from keras import ops

from keras_actloss.core.numerics import with_gradient

POSITIVE = (0.0, math.inf)

# For the checks to stay in: exp(88), and so the loss of such a logarithm, is no float32.
LOGARITHMS = (-4.0, 4.0)


def of_parameters(name, parameters, value, gradient, shared) -> Callable[..., Any]:
    """`value(*shared(y_true, *columns of y_pred))`, and a gradient for each column likewise."""

    def loss(y_true, y_pred):
        if y_pred.shape[-1] != len(parameters):
            raise ValueError(
                f"{name}: the last axis of y_pred holds {', '.join(parameters)}, so its size is "
                f"{len(parameters)}; got y_pred of shape {tuple(y_pred.shape)}"
            )

        def prepared(y_true, y_pred):
            return shared(y_true, *(y_pred[..., i] for i in range(len(parameters))))

        def gradients(upstream, kept, y_true, y_pred):
            slopes = gradient(*kept)
            return None, ops.stack([upstream * slope for slope in slopes], axis=-1)

        return with_gradient(lambda kept, *_: value(*kept), gradients, prepared)(y_true, y_pred)

    return loss
