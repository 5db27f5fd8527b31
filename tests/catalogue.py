"""The public objects under test: each class with its defaults and with other settings."""

import keras
import numpy as np

from keras_actloss import layers, losses


def _around(center, seed):
    """Another start for each entry of a weight, the same in every layer it is handed to."""
    return keras.initializers.RandomUniform(center - 0.25, center + 0.25, seed=seed)


ACTIVATIONS = [
    layers.DynamicTanh(),
    layers.DynamicTanh(
        alpha_initializer=_around(1.0, 1),
        gamma_initializer=_around(1.5, 2),
        beta_initializer=_around(0.5, 3),
    ),
    layers.ELU(),
    layers.ELU(alpha=0.5),
    layers.LearnedSnake(),
    layers.LearnedSnake(frequency_initializer=_around(1.5, 1)),
    layers.LearnedSnakeBeta(),
    layers.LearnedSnakeBeta(
        frequency_initializer=_around(2.0, 1), magnitude_initializer=_around(0.75, 2)
    ),
    layers.LearnedStarReLU(),
    layers.LearnedStarReLU(scale_initializer=1.0, bias_initializer=0.25),
    layers.LeakyReLU(),
    layers.LeakyReLU(negative_slope=0.1),
    layers.Linear(),
    layers.LogSoftmax(),
    layers.LogSoftmax(axis=1),
    layers.Maxout(num_units=2),
    layers.Maxout(num_units=1, axis=1),
    layers.PReLU(),
    layers.PReLU(alpha_initializer=_around(0.25, 1)),
    layers.ReLU(),
    layers.ReLU(max_value=6.0),
    layers.ReLU(max_value=2.5, negative_slope=0.25, threshold=0.5),
    layers.ReLU(threshold=0.5),
    layers.RReLU(),
    layers.RReLU(lower=0.25, upper=0.5, seed=1),
    layers.Sigmoid(),
    layers.Sine(),
    layers.Sine(frequency=1.5),
    layers.Snake(),
    layers.Snake(frequency=0.7),
    layers.SnakeBeta(),
    layers.SnakeBeta(frequency=2.0, magnitude=0.5),
    layers.Softmax(),
    layers.Softmax(axis=(-2, -1)),
    layers.StarReLU(),
    layers.StarReLU(scale=1.5, bias=0.25),
    layers.TLU(),
    layers.TLU(tau_initializer=_around(-0.25, 1)),
    layers.TLU(affine=True, tau_initializer=_around(-0.25, 1), alpha_initializer=_around(0.25, 2)),
    layers.Tanh(),
    layers.XIELU(),
    layers.XIELU(alpha_p_initializer=-0.5, alpha_n_initializer=0.5, beta=0.25),
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
