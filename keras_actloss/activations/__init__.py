"""Activation functions: tensor in, tensor of the same shape and dtype out."""

from keras_actloss.activations.exponential import elu
from keras_actloss.activations.rectifiers import leaky_relu, linear, relu
from keras_actloss.activations.sigmoidal import sigmoid, tanh
from keras_actloss.activations.simplex import log_softmax, softmax

__all__ = [
    "elu",
    "leaky_relu",
    "linear",
    "log_softmax",
    "relu",
    "sigmoid",
    "softmax",
    "tanh",
]
