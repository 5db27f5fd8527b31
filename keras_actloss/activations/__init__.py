"""Activation functions: tensor in, tensor of the same dtype out, mostly of the same shape."""

from keras_actloss.activations.exponential import celu, elu, exponential, selu, symexp, symlog
from keras_actloss.activations.gated import bilinear, geglu, glu, gtu, reglu, swiglu, swiglu_clipped
from keras_actloss.activations.learned import dynamic_tanh, maxout, prelu, star_relu, tlu, xielu
from keras_actloss.activations.periodic import sine, snake, snake_beta
from keras_actloss.activations.rectifiers import (
    crelu,
    hard_silu,
    leaky_relu,
    linear,
    relu,
    relu6,
    sparse_plus,
    squared_relu,
    threshold,
    thresholded_relu,
)
from keras_actloss.activations.self_gated import gelu, lisht, mish, quick_gelu, silu, swish
from keras_actloss.activations.shrinkage import hard_shrink, soft_shrink, tanh_shrink
from keras_actloss.activations.sigmoidal import (
    hard_sigmoid,
    hard_tanh,
    log_sigmoid,
    sigmoid,
    softcap,
    softsign,
    sparse_sigmoid,
    tanh,
)
from keras_actloss.activations.simplex import (
    gumbel_softmax,
    log_softmax,
    ordinal_softmax,
    softmax,
    softmin,
)
from keras_actloss.activations.smooth_rectifiers import shifted_softplus, softplus, squareplus
from keras_actloss.activations.sparse_simplex import entmax, entmax15, sparsemax
from keras_actloss.activations.stochastic import rrelu

__all__ = [
    "bilinear",
    "celu",
    "crelu",
    "dynamic_tanh",
    "elu",
    "entmax",
    "entmax15",
    "exponential",
    "geglu",
    "gelu",
    "glu",
    "gtu",
    "gumbel_softmax",
    "hard_shrink",
    "hard_sigmoid",
    "hard_silu",
    "hard_tanh",
    "leaky_relu",
    "linear",
    "lisht",
    "log_sigmoid",
    "log_softmax",
    "maxout",
    "mish",
    "ordinal_softmax",
    "prelu",
    "quick_gelu",
    "reglu",
    "relu",
    "relu6",
    "rrelu",
    "selu",
    "shifted_softplus",
    "sigmoid",
    "silu",
    "sine",
    "snake",
    "snake_beta",
    "soft_shrink",
    "softcap",
    "softmax",
    "softmin",
    "softplus",
    "softsign",
    "sparse_plus",
    "sparse_sigmoid",
    "sparsemax",
    "squared_relu",
    "squareplus",
    "star_relu",
    "swiglu",
    "swiglu_clipped",
    "swish",
    "symexp",
    "symlog",
    "tanh",
    "tanh_shrink",
    "threshold",
    "thresholded_relu",
    "tlu",
    "xielu",
]
