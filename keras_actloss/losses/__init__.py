"""Losses: functions that return one value a sample, and the classes that carry their settings.

Beside them: weights of classes, from how often each occurs.
"""

from keras_actloss.core.loss import Loss
from keras_actloss.losses.class_weights import (
    balanced_weights,
    class_counts,
    effective_number_weights,
    logit_prior,
)
from keras_actloss.losses.classification import (
    BinaryCrossentropy,
    CategoricalCrossentropy,
    SparseCategoricalCrossentropy,
    binary_crossentropy,
    categorical_crossentropy,
    sparse_categorical_crossentropy,
)
from keras_actloss.losses.composite import LossMetric, WeightedSum
from keras_actloss.losses.hinge import (
    CategoricalHinge,
    Hinge,
    MultilabelMargin,
    MultiMargin,
    SoftMargin,
    SquaredHinge,
    categorical_hinge,
    hinge,
    multi_margin,
    multilabel_margin,
    soft_margin,
    squared_hinge,
)
from keras_actloss.losses.margin import (
    CosineEmbedding,
    HingeEmbedding,
    MarginRanking,
    cosine_embedding,
    hinge_embedding,
    margin_ranking,
)
from keras_actloss.losses.regression import (
    MeanAbsoluteError,
    MeanSquaredError,
    mean_absolute_error,
    mean_squared_error,
)
from keras_actloss.losses.robust import Huber, huber

__all__ = [
    "BinaryCrossentropy",
    "CategoricalCrossentropy",
    "CategoricalHinge",
    "CosineEmbedding",
    "Hinge",
    "HingeEmbedding",
    "Huber",
    "Loss",
    "LossMetric",
    "MarginRanking",
    "MeanAbsoluteError",
    "MeanSquaredError",
    "MultiMargin",
    "MultilabelMargin",
    "SoftMargin",
    "SparseCategoricalCrossentropy",
    "SquaredHinge",
    "WeightedSum",
    "balanced_weights",
    "binary_crossentropy",
    "categorical_crossentropy",
    "categorical_hinge",
    "class_counts",
    "cosine_embedding",
    "effective_number_weights",
    "hinge",
    "hinge_embedding",
    "huber",
    "logit_prior",
    "margin_ranking",
    "mean_absolute_error",
    "mean_squared_error",
    "multi_margin",
    "multilabel_margin",
    "soft_margin",
    "sparse_categorical_crossentropy",
    "squared_hinge",
]
