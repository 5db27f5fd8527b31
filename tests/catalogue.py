"""The public objects under test: each class with its defaults and with other settings."""

import numpy as np

from keras_actloss import layers, losses

ACTIVATIONS = [
    layers.Bilinear(),
    layers.Bilinear(gate="interleaved"),
    layers.ClippedSwiGLU(),
    layers.ClippedSwiGLU(gate="first", alpha=1.3, limit=1.75),
    layers.ELU(),
    layers.ELU(alpha=0.5),
    layers.GEGLU(),
    layers.GEGLU(gate="first", approximate=True),
    layers.GLU(),
    layers.GLU(axis=1, gate="interleaved"),
    layers.GTU(),
    layers.GTU(axis=1, gate="first"),
    layers.LeakyReLU(),
    layers.LeakyReLU(negative_slope=0.1),
    layers.Linear(),
    layers.LogSoftmax(),
    layers.LogSoftmax(axis=1),
    layers.ReGLU(),
    layers.ReGLU(axis=-2, gate="interleaved"),
    layers.ReLU(),
    layers.ReLU(max_value=6.0),
    layers.ReLU(max_value=2.5, negative_slope=0.25, threshold=0.5),
    layers.ReLU(threshold=0.5),
    layers.Sigmoid(),
    layers.Softmax(),
    layers.Softmax(axis=(-2, -1)),
    layers.SwiGLU(),
    layers.SwiGLU(axis=-2, gate="interleaved"),
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
