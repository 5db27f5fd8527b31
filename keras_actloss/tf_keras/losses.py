"""The losses of `keras_actloss.losses`, as tf_keras classes, and its functions."""

from typing import TYPE_CHECKING

import tf_keras

from keras_actloss import losses
from keras_actloss.core.registry import PACKAGE
from keras_actloss.tf_keras.twins import Twin, policy_name, twins_of


@tf_keras.saving.register_keras_serializable(PACKAGE)
class LossMetric(Twin, tf_keras.metrics.Mean):
    __doc__ = losses.LossMetric.__doc__

    _class = losses.LossMetric

    def __init__(self, loss, name=None, dtype=None):
        held = self.hold(loss, name, policy_name(dtype) or tf_keras.backend.floatx())
        super().__init__(name=held.name, dtype=held.dtype)

    def update_state(self, y_true, y_pred, sample_weight=None):
        value, size = self.held.of_batch(y_true, y_pred, sample_weight)
        return super().update_state(value, sample_weight=size)

    @classmethod
    def from_config(cls, config):
        held = cls._class.from_config(config)
        return cls(held.loss, held.name, held.dtype)


def _metrics(self):
    return [LossMetric(metric.loss, metric.name) for metric in self.held.metrics()]


_twins = twins_of(losses) | {"LossMetric": LossMetric}
_twins["WeightedSum"].metrics = _metrics

if TYPE_CHECKING:
    # To a type checker, which knows neither Keras, a twin takes and has what its model does.
    from keras_actloss.losses import *  # noqa: F403
    from keras_actloss.losses import __all__ as __all__
else:
    __all__ = list(_twins)
    globals().update(_twins)
