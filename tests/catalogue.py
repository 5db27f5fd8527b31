"""The public objects under test: each class with its defaults and with other settings."""

import numpy as np

from keras_actloss import layers, losses

ACTIVATIONS = [
    layers.ELU(),
    layers.ELU(alpha=0.5),
    layers.LeakyReLU(),
    layers.LeakyReLU(negative_slope=0.1),
    layers.Linear(),
    layers.LogSoftmax(),
    layers.LogSoftmax(axis=1),
    layers.ReLU(),
    layers.ReLU(max_value=6.0),
    layers.ReLU(max_value=2.5, negative_slope=0.25, threshold=0.5),
    layers.ReLU(threshold=0.5),
    layers.Sigmoid(),
    layers.Softmax(),
    layers.Softmax(axis=(-2, -1)),
    layers.Tanh(),
]

LOSSES = [
    losses.BinaryCrossentropy(),
    losses.BinaryCrossentropy(from_logits=True),
    losses.BinaryCrossentropy(from_logits=True, label_smoothing=0.1, class_weights=[1.0, 3.0]),
    losses.BinaryCrossentropy(axis=1, ignore_class=-1),
    losses.CategoricalCrossentropy(),
    losses.CategoricalCrossentropy(from_logits=True),
    losses.CategoricalCrossentropy(
        from_logits=True, label_smoothing=0.1, class_weights=np.array([1.0, 2.0, 0.5, 4.0])
    ),
    losses.CategoricalCrossentropy(axis=1, ignore_class=2),
    losses.CategoricalHinge(),
    losses.Hinge(),
    losses.Huber(),
    losses.Huber(delta=0.5),
    losses.MeanAbsoluteError(),
    losses.MeanSquaredError(),
    losses.SparseCategoricalCrossentropy(),
    losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=-1),
    losses.SparseCategoricalCrossentropy(
        from_logits=True, label_smoothing=0.1, class_weights=(1.0, 2.0, 0.5, 4.0)
    ),
    losses.SparseCategoricalCrossentropy(axis=1, class_weights=[1.0, 2.0, 0.5, 4.0]),
    losses.SquaredHinge(),
]
