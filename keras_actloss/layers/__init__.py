"""Activation layers: the functions of `keras_actloss.activations` with their settings."""

from keras_actloss.activations.exponential import ELU
from keras_actloss.activations.rectifiers import LeakyReLU, Linear, ReLU
from keras_actloss.activations.sigmoidal import Sigmoid, Tanh
from keras_actloss.activations.simplex import LogSoftmax, Softmax
from keras_actloss.core.layer import ActivationLayer

__all__ = [
    "ELU",
    "ActivationLayer",
    "LeakyReLU",
    "Linear",
    "LogSoftmax",
    "ReLU",
    "Sigmoid",
    "Softmax",
    "Tanh",
]
