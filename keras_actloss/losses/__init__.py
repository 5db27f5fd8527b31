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
from keras_actloss.losses.focal import (
    BinaryFocalCrossentropy,
    CategoricalFocalCrossentropy,
    SparseCategoricalFocalCrossentropy,
    binary_focal_crossentropy,
    categorical_focal_crossentropy,
    sparse_categorical_focal_crossentropy,
)
from keras_actloss.losses.hinge import (
    CategoricalHinge,
    Hinge,
    SquaredHinge,
    categorical_hinge,
    hinge,
    squared_hinge,
)
from keras_actloss.losses.noisy import (
    CategoricalGeneralizedCrossEntropy,
    CategoricalSymmetricCrossentropy,
    SparseCategoricalGeneralizedCrossEntropy,
    SparseCategoricalSymmetricCrossentropy,
    categorical_generalized_cross_entropy,
    categorical_symmetric_crossentropy,
    sparse_categorical_generalized_cross_entropy,
    sparse_categorical_symmetric_crossentropy,
)
from keras_actloss.losses.poly import (
    BinaryPolyCrossentropy,
    CategoricalPolyCrossentropy,
    SparseCategoricalPolyCrossentropy,
    binary_poly_crossentropy,
    categorical_poly_crossentropy,
    sparse_categorical_poly_crossentropy,
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
    "BinaryFocalCrossentropy",
    "BinaryPolyCrossentropy",
    "CategoricalCrossentropy",
    "CategoricalFocalCrossentropy",
    "CategoricalGeneralizedCrossEntropy",
    "CategoricalHinge",
    "CategoricalPolyCrossentropy",
    "CategoricalSymmetricCrossentropy",
    "Hinge",
    "Huber",
    "Loss",
    "MeanAbsoluteError",
    "MeanSquaredError",
    "SparseCategoricalCrossentropy",
    "SparseCategoricalFocalCrossentropy",
    "SparseCategoricalGeneralizedCrossEntropy",
    "SparseCategoricalPolyCrossentropy",
    "SparseCategoricalSymmetricCrossentropy",
    "SquaredHinge",
    "binary_crossentropy",
    "binary_focal_crossentropy",
    "binary_poly_crossentropy",
    "categorical_crossentropy",
    "categorical_focal_crossentropy",
    "categorical_generalized_cross_entropy",
    "categorical_hinge",
    "categorical_poly_crossentropy",
    "categorical_symmetric_crossentropy",
    "hinge",
    "huber",
    "mean_absolute_error",
    "mean_squared_error",
    "sparse_categorical_crossentropy",
    "sparse_categorical_focal_crossentropy",
    "sparse_categorical_generalized_cross_entropy",
    "sparse_categorical_poly_crossentropy",
    "sparse_categorical_symmetric_crossentropy",
    "squared_hinge",
]
