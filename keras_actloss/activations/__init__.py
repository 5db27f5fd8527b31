"""Activation functions: tensor in, tensor of the same shape and dtype out."""

from keras_actloss.activations.exponential import elu
from keras_actloss.activations.learned import dynamic_tanh, maxout, prelu, star_relu, tlu, xielu
from keras_actloss.activations.periodic import sine, snake, snake_beta
from keras_actloss.activations.rectifiers import leaky_relu, linear, relu
from keras_actloss.activations.sigmoidal import sigmoid, tanh
from keras_actloss.activations.simplex import log_softmax, softmax
from keras_actloss.activations.stochastic import rrelu

__all__ = [
    "dynamic_tanh",
    "elu",
    "leaky_relu",
    "linear",
    "log_softmax",
    "maxout",
    "prelu",
    "relu",
    "rrelu",
    "sigmoid",
    "sine",
    "snake",
    "snake_beta",
    "softmax",
    "star_relu",
    "tanh",
    "tlu",
    "xielu",
]
