"""Activation layers: the functions of `keras_actloss.activations` with their settings."""

from keras_actloss.activations.exponential import (
    CELU,
    ELU,
    SELU,
    Exponential,
    Symexp,
    Symlog,
)
from keras_actloss.activations.gated import (
    GEGLU,
    GLU,
    GTU,
    Bilinear,
    ClippedSwiGLU,
    ReGLU,
    SwiGLU,
)
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
from keras_actloss.activations.self_gated import (
    GELU,
    LearnedSwish,
    LiSHT,
    Mish,
    QuickGELU,
    SiLU,
    Swish,
)
from keras_actloss.activations.shrinkage import (
    HardShrink,
    SoftShrink,
    TanhShrink,
)
from keras_actloss.activations.sigmoidal import (
    HardSigmoid,
    HardTanh,
    LogSigmoid,
    Sigmoid,
    Softcap,
    Softsign,
    SparseSigmoid,
    Tanh,
)
from keras_actloss.activations.simplex import (
    ConditionalSoftmax,
    GumbelSoftmax,
    LogSoftmax,
    OrdinalSoftmax,
    Softmax,
    Softmin,
)
from keras_actloss.activations.smooth_rectifiers import (
    ShiftedSoftplus,
    Softplus,
    Squareplus,
)
from keras_actloss.activations.sparse_simplex import (
    Entmax,
    Entmax15,
    LearnedEntmax,
    Sparsemax,
)
from keras_actloss.activations.stochastic import (
    RReLU,
)
from keras_actloss.core.layer import (
    ActivationLayer,
)
from keras_actloss.core.parameters import (
    LearnedActivation,
)
from keras_actloss.layers.ordinal import (
    OrdinalDense,
)

__all__ = [
    "CELU",
    "ELU",
    "GEGLU",
    "GELU",
    "GLU",
    "GTU",
    "SELU",
    "TLU",
    "XIELU",
    "ActivationLayer",
    "Bilinear",
    "CReLU",
    "ClippedSwiGLU",
    "ConditionalSoftmax",
    "DynamicTanh",
    "Entmax",
    "Entmax15",
    "Exponential",
    "GumbelSoftmax",
    "HardShrink",
    "HardSiLU",
    "HardSigmoid",
    "HardTanh",
    "LeakyReLU",
    "LearnedActivation",
    "LearnedEntmax",
    "LearnedSnake",
    "LearnedSnakeBeta",
    "LearnedStarReLU",
    "LearnedSwish",
    "LiSHT",
    "Linear",
    "LogSigmoid",
    "LogSoftmax",
    "Maxout",
    "Mish",
    "OrdinalDense",
    "OrdinalSoftmax",
    "PReLU",
    "QuickGELU",
    "RReLU",
    "ReGLU",
    "ReLU",
    "ReLU6",
    "ShiftedSoftplus",
    "SiLU",
    "Sigmoid",
    "Sine",
    "Snake",
    "SnakeBeta",
    "SoftShrink",
    "Softcap",
    "Softmax",
    "Softmin",
    "Softplus",
    "Softsign",
    "SparsePlus",
    "SparseSigmoid",
    "Sparsemax",
    "SquaredReLU",
    "Squareplus",
    "StarReLU",
    "SwiGLU",
    "Swish",
    "Symexp",
    "Symlog",
    "Tanh",
    "TanhShrink",
    "Threshold",
    "ThresholdedReLU",
]
