"""Activation layers: the functions of `keras_actloss.activations` with their settings."""

from keras_actloss.activations.exponential import ELU
from keras_actloss.activations.rectifiers import LeakyReLU, Linear, ReLU
from keras_actloss.activations.sigmoidal import Sigmoid, Tanh
from keras_actloss.activations.simplex import (
    GumbelSoftmax,
    LogSoftmax,
    OrdinalSoftmax,
    Softmax,
    Softmin,
)
from keras_actloss.activations.sparse_simplex import Entmax, Entmax15, Sparsemax
from keras_actloss.core.layer import ActivationLayer

__all__ = [
    "ELU",
    "ActivationLayer",
    "Entmax",
    "Entmax15",
    "GumbelSoftmax",
    "LeakyReLU",
    "Linear",
    "LogSoftmax",
    "OrdinalSoftmax",
    "ReLU",
    "Sigmoid",
    "Softmax",
    "Softmin",
    "Sparsemax",
    "Tanh",
]
