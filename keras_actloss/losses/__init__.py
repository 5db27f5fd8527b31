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
from keras_actloss.losses.hardest import (
    TopKBinaryCrossentropy,
    TopKSparseCategoricalCrossentropy,
    top_k_binary_crossentropy,
    top_k_sparse_categorical_crossentropy,
)
from keras_actloss.losses.hinge import (
    CategoricalHinge,
    Hinge,
    SquaredHinge,
    categorical_hinge,
    hinge,
    squared_hinge,
)
from keras_actloss.losses.imbalance import (
    AsymmetricBinaryCrossentropy,
    PenaltyReducedFocal,
    QualityFocal,
    SoftF1,
    Varifocal,
    asymmetric_binary_crossentropy,
    penalty_reduced_focal,
    quality_focal,
    soft_f1,
    varifocal,
)
from keras_actloss.losses.regression import (
    MeanAbsoluteError,
    MeanSquaredError,
    mean_absolute_error,
    mean_squared_error,
)
from keras_actloss.losses.robust import Huber, huber

__all__ = [
    "AsymmetricBinaryCrossentropy",
    "BinaryCrossentropy",
    "CategoricalCrossentropy",
    "CategoricalHinge",
    "Hinge",
    "Huber",
    "Loss",
    "MeanAbsoluteError",
    "MeanSquaredError",
    "PenaltyReducedFocal",
    "QualityFocal",
    "SoftF1",
    "SparseCategoricalCrossentropy",
    "SquaredHinge",
    "TopKBinaryCrossentropy",
    "TopKSparseCategoricalCrossentropy",
    "Varifocal",
    "asymmetric_binary_crossentropy",
    "binary_crossentropy",
    "categorical_crossentropy",
    "categorical_hinge",
    "hinge",
    "huber",
    "mean_absolute_error",
    "mean_squared_error",
    "penalty_reduced_focal",
    "quality_focal",
    "soft_f1",
    "sparse_categorical_crossentropy",
    "squared_hinge",
    "top_k_binary_crossentropy",
    "top_k_sparse_categorical_crossentropy",
    "varifocal",
]
