"""Losses: functions that return one value a sample, and the classes that carry their settings."""

from keras_actloss.core.loss import Loss
from keras_actloss.losses.classification import (
    BinaryCrossentropy,
    CategoricalCrossentropy,
    SparseCategoricalCrossentropy,
    binary_crossentropy,
    categorical_crossentropy,
    sparse_categorical_crossentropy,
)
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
    "MarginRanking",
    "MeanAbsoluteError",
    "MeanSquaredError",
    "MultiMargin",
    "MultilabelMargin",
    "SoftMargin",
    "SparseCategoricalCrossentropy",
    "SquaredHinge",
    "binary_crossentropy",
    "categorical_crossentropy",
    "categorical_hinge",
    "cosine_embedding",
    "hinge",
    "hinge_embedding",
    "huber",
    "margin_ranking",
    "mean_absolute_error",
    "mean_squared_error",
    "multi_margin",
    "multilabel_margin",
    "soft_margin",
    "sparse_categorical_crossentropy",
    "squared_hinge",
]
