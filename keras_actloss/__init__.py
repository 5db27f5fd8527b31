"""Activations and losses for Keras 3 that are right on TensorFlow, JAX and PyTorch.

Importing the package registers every class and function, so that saved models that use them load.
"""

from typing import TYPE_CHECKING

from keras_actloss import activations, layers, losses
from keras_actloss.core.keras_fixes import attach_logits_to_tracers
from keras_actloss.core.registry import get

if TYPE_CHECKING:
    from keras_actloss import migrate, plot, testing
    from keras_actloss import tf_keras as tf_keras

attach_logits_to_tracers()

__version__ = "0.1.0"

__all__ = ["__version__", "activations", "get", "layers", "losses", "migrate", "plot", "testing"]


def __getattr__(name):
    # A training script does not pay for importing what it does without.
    if name in ("migrate", "plot", "testing", "tf_keras"):
        import importlib

        return importlib.import_module(f"keras_actloss.{name}")
    raise AttributeError(f"module 'keras_actloss' has no attribute {name!r}")
