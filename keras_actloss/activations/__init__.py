"""Activation functions: tensor in, tensor of the same shape and dtype out."""

from keras_actloss.activations.exponential import elu
from keras_actloss.activations.rectifiers import leaky_relu, linear, relu
from keras_actloss.activations.sigmoidal import sigmoid, tanh
from keras_actloss.activations.simplex import (
    gumbel_softmax,
    log_softmax,
    ordinal_softmax,
    softmax,
    softmin,
)
from keras_actloss.activations.sparse_simplex import entmax, entmax15, sparsemax

__all__ = [
    "elu",
    "entmax",
    "entmax15",
    "gumbel_softmax",
    "leaky_relu",
    "linear",
    "log_softmax",
    "ordinal_softmax",
    "relu",
    "sigmoid",
    "softmax",
    "softmin",
    "sparsemax",
    "tanh",
]
