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
    SquaredHinge,
    categorical_hinge,
    hinge,
    squared_hinge,
)
from keras_actloss.losses.regression import (
    CosineSimilarity,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
    ScaleInvariantLogarithmicError,
    SymmetricMeanAbsolutePercentageError,
    cosine_similarity,
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_squared_error,
    mean_squared_logarithmic_error,
    scale_invariant_logarithmic_error,
    symmetric_mean_absolute_percentage_error,
)
from keras_actloss.losses.robust import (
    Huber,
    huber,
)

__all__ = [
    "BinaryCrossentropy",
    "CategoricalCrossentropy",
    "CategoricalHinge",
    "CosineSimilarity",
    "Hinge",
    "Huber",
    "Loss",
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanSquaredError",
    "MeanSquaredLogarithmicError",
    "ScaleInvariantLogarithmicError",
    "SparseCategoricalCrossentropy",
    "SquaredHinge",
    "SymmetricMeanAbsolutePercentageError",
    "binary_crossentropy",
    "categorical_crossentropy",
    "categorical_hinge",
    "cosine_similarity",
    "hinge",
    "huber",
    "mean_absolute_error",
    "mean_absolute_percentage_error",
    "mean_squared_error",
    "mean_squared_logarithmic_error",
    "scale_invariant_logarithmic_error",
    "sparse_categorical_crossentropy",
    "squared_hinge",
    "symmetric_mean_absolute_percentage_error",
]
