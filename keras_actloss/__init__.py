"""Activations and losses for Keras 3 that are right on TensorFlow, JAX and PyTorch.

Importing the package registers every class and function, so that saved models that use them load.
"""

from typing import TYPE_CHECKING

from keras_actloss import activations, layers, losses
from keras_actloss.core.keras_fixes import attach_logits_to_tracers
from keras_actloss.core.registry import get

if TYPE_CHECKING:
    from keras_actloss import testing

attach_logits_to_tracers()

__version__ = "0.1.0"

__all__ = ["__version__", "activations", "get", "layers", "losses", "testing"]


def __getattr__(name):
    # The checks are for tests; a training script does not pay for importing them.
    if name == "testing":
        import importlib

        return importlib.import_module("keras_actloss.testing")
    raise AttributeError(f"module 'keras_actloss' has no attribute {name!r}")
