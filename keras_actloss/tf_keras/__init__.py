"""The layers and losses of the package as classes of tf_keras, Keras 2.

Importing it registers them in tf_keras under the names that they have in Keras 3.
"""

import keras

if keras.backend.backend() != "tensorflow":
    raise ImportError(
        "keras_actloss.tf_keras needs the backend TensorFlow of Keras 3, got "
        f"{keras.backend.backend()!r}; set the environment variable KERAS_BACKEND=tensorflow "
        "before keras is imported"
    )
try:
    import tf_keras as _tf_keras  # noqa: F401
except ModuleNotFoundError as error:
    if error.name != "tf_keras":
        raise
    raise ImportError(
        "keras_actloss.tf_keras needs the package tf_keras, which is not installed; "
        'pip install "keras-actloss[tf_keras]"'
    ) from error

from keras_actloss.tf_keras import activations, layers, losses
from keras_actloss.tf_keras.twins import register, twin

register()

__all__ = ["activations", "layers", "losses", "twin"]
