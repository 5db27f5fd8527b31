"""The functions of `keras_actloss.activations`, registered in tf_keras too."""

from keras_actloss.activations import *  # noqa: F403
from keras_actloss.activations import __all__ as __all__
