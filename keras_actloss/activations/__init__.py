"""Activation functions: tensor in, tensor of the same shape and dtype out."""

from keras_actloss.activations.exponential import celu, elu, exponential, selu, symexp, symlog
from keras_actloss.activations.rectifiers import leaky_relu, linear, relu
from keras_actloss.activations.sigmoidal import log_sigmoid, sigmoid, softcap, softsign, tanh
from keras_actloss.activations.simplex import log_softmax, softmax
from keras_actloss.activations.softplus import shifted_softplus, softplus, squareplus

__all__ = [
    "celu",
    "elu",
    "exponential",
    "leaky_relu",
    "linear",
    "log_sigmoid",
    "log_softmax",
    "relu",
    "selu",
    "shifted_softplus",
    "sigmoid",
    "softcap",
    "softmax",
    "softplus",
    "softsign",
    "squareplus",
    "symexp",
    "symlog",
    "tanh",
]
