"""The layers of `keras_actloss.layers`, as tf_keras classes, and its functions."""

from typing import TYPE_CHECKING

from keras_actloss import layers
from keras_actloss.tf_keras.twins import twins_of

_twins = twins_of(layers)

if TYPE_CHECKING:
    # To a type checker, which knows neither Keras, a twin takes and has what its model does.
    from keras_actloss.layers import *  # noqa: F403
    from keras_actloss.layers import __all__ as __all__
else:
    __all__ = list(_twins)
    globals().update(_twins)
