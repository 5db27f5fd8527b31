"""Activation layers: the functions of `keras_actloss.activations` with their settings."""

from keras_actloss.activations.exponential import CELU, ELU, SELU, Exponential, Symexp, Symlog
from keras_actloss.activations.rectifiers import LeakyReLU, Linear, ReLU
from keras_actloss.activations.sigmoidal import LogSigmoid, Sigmoid, Softcap, Softsign, Tanh
from keras_actloss.activations.simplex import LogSoftmax, Softmax
from keras_actloss.activations.softplus import ShiftedSoftplus, Softplus, Squareplus
from keras_actloss.core.layer import ActivationLayer

__all__ = [
    "CELU",
    "ELU",
    "SELU",
    "ActivationLayer",
    "Exponential",
    "LeakyReLU",
    "Linear",
    "LogSigmoid",
    "LogSoftmax",
    "ReLU",
    "ShiftedSoftplus",
    "Sigmoid",
    "Softcap",
    "Softmax",
    "Softplus",
    "Softsign",
    "Squareplus",
    "Symexp",
    "Symlog",
    "Tanh",
]
