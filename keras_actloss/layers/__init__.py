"""Activation layers: the functions of `keras_actloss.activations` with their settings."""

from keras_actloss.activations.exponential import ELU
from keras_actloss.activations.learned import (
    TLU,
    XIELU,
    DynamicTanh,
    LearnedStarReLU,
    Maxout,
    PReLU,
    StarReLU,
)
from keras_actloss.activations.periodic import (
    LearnedSnake,
    LearnedSnakeBeta,
    Sine,
    Snake,
    SnakeBeta,
)
from keras_actloss.activations.rectifiers import LeakyReLU, Linear, ReLU
from keras_actloss.activations.sigmoidal import Sigmoid, Tanh
from keras_actloss.activations.simplex import LogSoftmax, Softmax
from keras_actloss.activations.stochastic import RReLU
from keras_actloss.core.layer import ActivationLayer
from keras_actloss.core.parameters import LearnedActivation

__all__ = [
    "ELU",
    "TLU",
    "XIELU",
    "ActivationLayer",
    "DynamicTanh",
    "LeakyReLU",
    "LearnedActivation",
    "LearnedSnake",
    "LearnedSnakeBeta",
    "LearnedStarReLU",
    "Linear",
    "LogSoftmax",
    "Maxout",
    "PReLU",
    "RReLU",
    "ReLU",
    "Sigmoid",
    "Sine",
    "Snake",
    "SnakeBeta",
    "Softmax",
    "StarReLU",
    "Tanh",
]
