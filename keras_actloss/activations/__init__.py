"""Activation functions: tensor in, tensor of the same dtype out; gated ones halve an axis."""

from keras_actloss.activations.exponential import elu
from keras_actloss.activations.gated import (
    bilinear,
    geglu,
    glu,
    gtu,
    reglu,
    swiglu,
    swiglu_clipped,
)
from keras_actloss.activations.rectifiers import leaky_relu, linear, relu
from keras_actloss.activations.sigmoidal import sigmoid, tanh
from keras_actloss.activations.simplex import log_softmax, softmax

__all__ = [
    "bilinear",
    "elu",
    "geglu",
    "glu",
    "gtu",
    "leaky_relu",
    "linear",
    "log_softmax",
    "reglu",
    "relu",
    "sigmoid",
    "softmax",
    "swiglu",
    "swiglu_clipped",
    "tanh",
]
