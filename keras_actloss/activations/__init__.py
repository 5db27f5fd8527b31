"""Activation functions: tensor in, tensor of the same shape and dtype out."""

from keras_actloss.activations.exponential import elu
from keras_actloss.activations.rectifiers import leaky_relu, linear, relu
from keras_actloss.activations.self_gated import gelu, lisht, mish, quick_gelu, silu, swish
from keras_actloss.activations.sigmoidal import sigmoid, tanh
from keras_actloss.activations.simplex import log_softmax, softmax

__all__ = [
    "elu",
    "gelu",
    "leaky_relu",
    "linear",
    "lisht",
    "log_softmax",
    "mish",
    "quick_gelu",
    "relu",
    "sigmoid",
    "silu",
    "softmax",
    "swish",
    "tanh",
]
