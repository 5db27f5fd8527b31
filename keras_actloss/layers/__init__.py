"""Activation layers: the functions of `keras_actloss.activations` with their settings."""

from keras_actloss.activations.exponential import ELU
from keras_actloss.activations.rectifiers import (
    CReLU,
    HardSiLU,
    LeakyReLU,
    Linear,
    ReLU,
    ReLU6,
    SparsePlus,
    SquaredReLU,
    Threshold,
    ThresholdedReLU,
)
from keras_actloss.activations.shrinkage import HardShrink, SoftShrink, TanhShrink
from keras_actloss.activations.sigmoidal import (
    HardSigmoid,
    HardTanh,
    Sigmoid,
    SparseSigmoid,
    Tanh,
)
from keras_actloss.activations.simplex import LogSoftmax, Softmax
from keras_actloss.core.layer import ActivationLayer

__all__ = [
    "ELU",
    "ActivationLayer",
    "CReLU",
    "HardShrink",
    "HardSiLU",
    "HardSigmoid",
    "HardTanh",
    "LeakyReLU",
    "Linear",
    "LogSoftmax",
    "ReLU",
    "ReLU6",
    "Sigmoid",
    "SoftShrink",
    "Softmax",
    "SparsePlus",
    "SparseSigmoid",
    "SquaredReLU",
    "Tanh",
    "TanhShrink",
    "Threshold",
    "ThresholdedReLU",
]
