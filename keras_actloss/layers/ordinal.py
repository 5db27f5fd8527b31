"""The output layer of an ordinal model."""

import numbers
from typing import Any, Unpack

import keras
from keras import ops

from keras_actloss.core.layer import (
    ActivationLayer,
    Constraint,
    Initializer,
    LayerArguments,
    Regularizer,
)
from keras_actloss.core.registry import register


@register("layers")
class OrdinalDense(ActivationLayer):
    """One score per sample, plus a bias for each threshold between ordered classes (CORAL).

    Take it as the last layer before `losses.CORAL`. Its outputs `inputs @ kernel + bias` are the
    logits of lying above each threshold, and the predicted probabilities of that fall if the biases
    do. They do at the minimum of the loss; on the way there nothing forces them to.

    Args:
        num_classes: Number of classes, one more than thresholds; at least 2.
        kernel_initializer, kernel_regularizer, kernel_constraint: As in `keras.layers.Dense`, for
            the weights of the score, of shape `(input_dim, 1)`.
        bias_initializer, bias_regularizer, bias_constraint: The same for the biases, of shape
            `(num_classes - 1,)`. They begin as zeros, as in the paper and in coral_ordinal.
            coral_pytorch begins with evenly spaced ones from 1 down:
            `Constant([3 / 3, 2 / 3, 1 / 3])` of four classes.

    Shapes:
        Input: `(batch, ..., input_dim)`. Output: `(batch, ..., num_classes - 1)`.

    Raises:
        ValueError: If `num_classes` is no integer of at least 2, or the input has fewer than 2 axes
            or not the `input_dim` that the layer was built with.

    Example:

    >>> tuple(keras_actloss.layers.OrdinalDense(4)(np.ones((2, 5, 8))).shape)
    (2, 5, 3)

    Related:
        `activations.ordinal_softmax` makes probabilities of the classes of its outputs. For
        `losses.CORN`, a plain `Dense(num_classes - 1)`.

    Reference:
        [Cao et al., 2020](https://arxiv.org/abs/1901.07884)
    """

    def __init__(
        self,
        num_classes,
        kernel_initializer: Initializer = "glorot_uniform",
        bias_initializer: Initializer = "zeros",
        kernel_regularizer: Regularizer = None,
        bias_regularizer: Regularizer = None,
        kernel_constraint: Constraint = None,
        bias_constraint: Constraint = None,
        **kwargs: Unpack[LayerArguments],
    ):
        super().__init__(**kwargs)
        if not isinstance(num_classes, numbers.Integral) or num_classes < 2:
            raise ValueError(
                f"OrdinalDense: num_classes must be an integer of at least 2, got {num_classes!r}"
            )
        self.num_classes = num_classes
        self.describe_weight("kernel", kernel_initializer, kernel_regularizer, kernel_constraint)
        self.describe_weight("bias", bias_initializer, bias_regularizer, bias_constraint)

    def build(self, input_shape: Any = None):
        self.kernel = self.add_weight(
            name="kernel",
            shape=(input_shape[-1], 1),
            initializer=self.kernel_initializer,
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
        )
        self.bias = self.add_weight(
            name="bias",
            shape=(self.num_classes - 1,),
            initializer=self.bias_initializer,
            regularizer=self.bias_regularizer,
            constraint=self.bias_constraint,
        )
        self.input_spec = keras.layers.InputSpec(min_ndim=2, axes={-1: input_shape[-1]})
        super().build(input_shape)

    def call(self, inputs):
        return ops.matmul(inputs, self.kernel) + self.bias

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.num_classes - 1)
