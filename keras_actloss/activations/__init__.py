"""Activation functions: tensor in, tensor of the same dtype out, mostly of the same shape."""

from keras_actloss.activations.exponential import elu
from keras_actloss.activations.rectifiers import (
    crelu,
    hard_silu,
    leaky_relu,
    linear,
    relu,
    relu6,
    sparse_plus,
    squared_relu,
    threshold,
    thresholded_relu,
)
from keras_actloss.activations.shrinkage import hard_shrink, soft_shrink, tanh_shrink
from keras_actloss.activations.sigmoidal import (
    hard_sigmoid,
    hard_tanh,
    sigmoid,
    sparse_sigmoid,
    tanh,
)
from keras_actloss.activations.simplex import log_softmax, softmax

__all__ = [
    "crelu",
    "elu",
    "hard_shrink",
    "hard_sigmoid",
    "hard_silu",
    "hard_tanh",
    "leaky_relu",
    "linear",
    "log_softmax",
    "relu",
    "relu6",
    "sigmoid",
    "soft_shrink",
    "softmax",
    "sparse_plus",
    "sparse_sigmoid",
    "squared_relu",
    "tanh",
    "tanh_shrink",
    "threshold",
    "thresholded_relu",
]
