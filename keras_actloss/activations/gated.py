"""Gated activations: one half of an axis lets the other half through."""

from collections.abc import Callable
from typing import Any, NamedTuple, Unpack

from keras import ops

from keras_actloss.core import gates, tensors
from keras_actloss.core.checks import finite_positive, flag, integer_axis, one_of, positive
from keras_actloss.core.functions import activation
from keras_actloss.core.gated import GatedLayer, ProjectionArguments, halved, halves, joined
from keras_actloss.core.keras_fixes import recomputed
from keras_actloss.core.kernels import at_most, clip
from keras_actloss.core.numerics import looked_up, rounded_once, tanh_slope
from keras_actloss.core.registry import register

_ORDER = {"axis": integer_axis, "gate": one_of("first", "last", "interleaved")}


class _Curve(NamedTuple):
    """What a half of the input goes through: as the backend has it, exactly, and its slope.

    Of a gate the exact value and the slope are pairs of factors, see `core.gates`. Without a form
    of the backend's, value and slope serve in every dtype.
    """

    native: Callable | None
    value: Callable
    slope: Callable
    anywhere: bool = False  # Whether the backend's form serves on each, as in the function itself.


def _linear(x):
    return x


_LINEAR = _Curve(_linear, _linear, lambda x: 1.0)
_RELU = _Curve(ops.relu, lambda x: (ops.relu(x), 1.0), lambda x: (ops.cast(x > 0, x.dtype), 1.0))
_SIGMOID = _Curve(ops.sigmoid, gates.sigmoid, gates.sigmoid_slope)


def _gated(name, x, axis, gate, opening, through=_LINEAR, settings=()):
    """`through(linear) * opening(opens)` of the two halves of `x`."""
    halved(name, x.shape, axis)
    dtype = tensors.dtype_of(x)
    anywhere = opening.anywhere and tensors.wide(dtype) == dtype
    if through.native and opening.native and (anywhere or gates.left_to_kernels(dtype)):
        linear, opens = halves(x, axis, gate)
        return through.native(linear) * opening.native(opens)

    def of(curve, which, half):
        function = getattr(curve, which)
        if curve in (_LINEAR, _RELU):  # No slower as they are.
            return function(half)
        return looked_up(function, (name, curve is opening, which, *settings), half, dtype)

    def value(x):
        linear, opens = halves(x, axis, gate)
        a, b = of(opening, "value", opens)
        return of(through, "value", linear) * a * b

    def gradient(upstream, x):
        # From the input alone: nothing else is kept.
        upstream, x = recomputed(upstream, x)
        linear, opens = halves(x, axis, gate)
        a, b = of(opening, "value", opens)
        to_linear = upstream * of(through, "slope", linear) * a * b
        a, b = of(opening, "slope", opens)
        to_opens = of(through, "value", linear) * a * upstream * b
        return joined(to_linear, to_opens, axis, gate)

    return rounded_once(value, gradient)(x)


@activation(**_ORDER)
def glu(x: Any, axis=-1, gate="last") -> Any:
    """Gated linear unit: one half of the input, let through by the sigmoid of the other half.

    Take it for convolutional and sequence models that want a linear path for the gradient; in
    transformers `swiglu` and `geglu` have replaced it.

    Formula:

        linear, opens = halves(x, axis, gate)
        y = linear / (1 + exp(-opens))

    Args:
        x: Tensor with gate and value along one axis.
        axis: Axis to halve. Defaults to `-1`.
        gate: Which half opens the gate: `"first"`, `"last"` or, of each pair of neighbors the
            first, `"interleaved"`. Defaults to `"last"`, as in Keras, JAX and torch.

    Shapes:
        Any with at least one axis, of even size at `axis`, which the output has halved; the dtype
        is that of `x`.

    Raises:
        TypeError: If `axis` is not an integer.
        ValueError: If `gate` is unknown, `axis` does not exist or has an odd size.

    Example:

    >>> float(keras_actloss.activations.glu([3.0, 1.0])[0])
    2.1931...

    Related:
        `silu(x)` is `glu` of `x` beside itself. Keras, JAX and PyTorch too have the gate last.

    Reference:
        [Dauphin et al., 2017](https://arxiv.org/abs/1612.08083)
    """
    if gate == "last" and tensors.wide(tensors.dtype_of(x)) == tensors.dtype_of(x):
        halved("glu", x.shape, axis)
        return ops.glu(x, axis)
    return _gated("glu", x, axis, gate, _SIGMOID._replace(anywhere=True))


@register("layers")
class GLU(GatedLayer, fn=glu):
    """Layer form of `glu`; with `units` it owns the projections onto gate and value."""

    def __init__(self, units=None, axis=-1, gate="last", **kwargs: Unpack[ProjectionArguments]):
        super().__init__(units, axis, gate, **kwargs)


@activation(**_ORDER)
def bilinear(x: Any, axis=-1, gate="last") -> Any:
    """Product of the two halves of the input: a gate without a curve.

    Take it where a nonlinearity should cost one multiplication, as in image restoration.

    Formula:

        linear, opens = halves(x, axis, gate)
        y = linear * opens

    Args:
        x: Tensor with both factors along one axis.
        axis: Axis to halve. Defaults to `-1`.
        gate: Where the halves are: `"first"` and `"last"` mean the same here, with
            `"interleaved"` neighbors are multiplied. Defaults to `"last"`.

    Shapes:
        Any with at least one axis, of even size at `axis`, which the output has halved; the dtype
        is that of `x`.

    Raises:
        TypeError: If `axis` is not an integer.
        ValueError: If `gate` is unknown, `axis` does not exist or has an odd size.

    Example:

    >>> float(keras_actloss.activations.bilinear([3.0, 2.0])[0])
    6.0

    Related:
        `reglu(x) = bilinear(x)` where the gate is positive.

    Reference:
        [Shazeer, 2020](https://arxiv.org/abs/2002.05202),
        [Chen et al., 2022](https://arxiv.org/abs/2204.04676)
    """
    halved("bilinear", x.shape, axis)
    linear, opens = halves(x, axis, gate)
    return linear * opens


@register("layers")
class Bilinear(GatedLayer, fn=bilinear):
    """Layer form of `bilinear`; with `units` it owns the projections onto both factors."""

    def __init__(self, units=None, axis=-1, gate="last", **kwargs: Unpack[ProjectionArguments]):
        super().__init__(units, axis, gate, **kwargs)


_TANH = _Curve(ops.tanh, ops.tanh, tanh_slope)


@activation(**_ORDER)
def gtu(x: Any, axis=-1, gate="last") -> Any:
    """Gated tanh unit: the tanh of one half, let through by the sigmoid of the other half.

    Take it for autoregressive models of audio and images in the manner of WaveNet, whose outputs
    it keeps between -1 and 1; `glu` passes gradients on more easily.

    Formula:

        linear, opens = halves(x, axis, gate)
        y = tanh(linear) / (1 + exp(-opens))

    Args:
        x: Tensor with gate and value along one axis.
        axis: Axis to halve. Defaults to `-1`.
        gate: Which half opens the gate: `"first"`, `"last"` or, of each pair of neighbors the
            first, `"interleaved"`. Defaults to `"last"`.

    Shapes:
        Any with at least one axis, of even size at `axis`, which the output has halved; the dtype
        is that of `x`.

    Raises:
        TypeError: If `axis` is not an integer.
        ValueError: If `gate` is unknown, `axis` does not exist or has an odd size.

    Example:

    >>> float(keras_actloss.activations.gtu([1.0, 1.0])[0])
    0.5567...

    Related:
        `glu` without the tanh.

    Reference:
        [van den Oord et al., 2016](https://arxiv.org/abs/1606.05328)
    """
    return _gated("gtu", x, axis, gate, _SIGMOID, _TANH)


@register("layers")
class GTU(GatedLayer, fn=gtu):
    """Layer form of `gtu`; with `units` it owns the projections onto gate and value."""

    def __init__(self, units=None, axis=-1, gate="last", **kwargs: Unpack[ProjectionArguments]):
        super().__init__(units, axis, gate, **kwargs)


@activation(**_ORDER)
def swiglu(x: Any, axis=-1, gate="first") -> Any:
    """Gated linear unit with SiLU for the sigmoid, the gate in front.

    The feed-forward unit of most language models since 2022. Check which half of a checkpoint's
    kernel is the gate: packed weights of Phi-3, timm and DINOv2 have it first, other code last.

    Formula:

        linear, opens = halves(x, axis, gate)
        y = linear * opens / (1 + exp(-opens))

    Args:
        x: Tensor with gate and value along one axis.
        axis: Axis to halve. Defaults to `-1`.
        gate: Which half opens the gate: `"first"`, `"last"` or, of each pair of neighbors the
            first, `"interleaved"`. Defaults to `"first"`.

    Shapes:
        Any with at least one axis, of even size at `axis`, which the output has halved; the dtype
        is that of `x`.

    Raises:
        TypeError: If `axis` is not an integer.
        ValueError: If `gate` is unknown, `axis` does not exist or has an odd size.

    Example:

    >>> float(keras_actloss.activations.swiglu([1.0, 3.0])[0])
    2.1931...

    Related:
        `swiglu_clipped` bounds both halves.

    Reference:
        [Shazeer, 2020](https://arxiv.org/abs/2002.05202)
    """
    curve = _Curve(ops.silu, gates.silu, gates.silu_slope)
    return _gated("swiglu", x, axis, gate, curve)


@register("layers")
class SwiGLU(GatedLayer, fn=swiglu):
    """Layer form of `swiglu`; with `units` it owns the projections onto gate and value."""

    def __init__(self, units=None, axis=-1, gate="first", **kwargs: Unpack[ProjectionArguments]):
        super().__init__(units, axis, gate, **kwargs)


@activation(**_ORDER, approximate=flag)
def geglu(x: Any, axis=-1, gate="last", approximate=False) -> Any:
    """Gated linear unit with GELU for the sigmoid.

    The feed-forward unit of T5 1.1, Gemma and diffusion transformers; beside `swiglu` it makes
    little difference. Gemma and T5 take the tanh form of GELU.

    Formula:

        linear, opens = halves(x, axis, gate)
        bent = sqrt(2 / pi) * (opens + 0.044715 * opens**3)
        open = (1 + (tanh(bent) if approximate else erf(opens / sqrt(2)))) / 2
        y = linear * opens * open

    Args:
        x: Tensor with gate and value along one axis.
        axis: Axis to halve. Defaults to `-1`.
        gate: Which half opens the gate: `"first"`, `"last"` or, of each pair of neighbors the
            first, `"interleaved"`. Defaults to `"last"`.
        approximate: Whether GELU is its tanh form. Defaults to `False`.

    Shapes:
        Any with at least one axis, of even size at `axis`, which the output has halved; the dtype
        is that of `x`.

    Raises:
        TypeError: If `axis` is not an integer or `approximate` not a flag.
        ValueError: If `gate` is unknown, `axis` does not exist or has an odd size.

    Example:

    >>> float(keras_actloss.activations.geglu([3.0, 1.0])[0])
    2.5240...

    Related:
        `swiglu` of a gate 1.702 times as large is close to 1.702 times `geglu`.

    Reference:
        [Shazeer, 2020](https://arxiv.org/abs/2002.05202)
    """
    curve = _Curve(
        gates.fast_gelu_tanh if approximate else lambda x: ops.gelu(x, approximate=False),
        gates.gelu_tanh if approximate else gates.gelu,
        gates.gelu_tanh_slope if approximate else gates.gelu_slope,
        anywhere=approximate,
    )
    return _gated("geglu", x, axis, gate, curve, settings=(approximate,))


@register("layers")
class GEGLU(GatedLayer, fn=geglu):
    """Layer form of `geglu`; with `units` it owns the projections onto gate and value."""

    def __init__(
        self,
        units=None,
        axis=-1,
        gate="last",
        approximate=False,
        **kwargs: Unpack[ProjectionArguments],
    ):
        super().__init__(units, axis, gate, **kwargs)
        self.approximate = approximate


@activation(**_ORDER)
def reglu(x: Any, axis=-1, gate="last") -> Any:
    """Gated linear unit with ReLU for the sigmoid: the gate is shut or wide open.

    Take it where sparse activations pay, or where exponentials are dear.

    Formula:

        linear, opens = halves(x, axis, gate)
        y = linear * maximum(opens, 0)

    Args:
        x: Tensor with gate and value along one axis.
        axis: Axis to halve. Defaults to `-1`.
        gate: Which half opens the gate: `"first"`, `"last"` or, of each pair of neighbors the
            first, `"interleaved"`. Defaults to `"last"`.

    Shapes:
        Any with at least one axis, of even size at `axis`, which the output has halved; the dtype
        is that of `x`.

    Raises:
        TypeError: If `axis` is not an integer.
        ValueError: If `gate` is unknown, `axis` does not exist or has an odd size.

    Example:

    >>> float(keras_actloss.activations.reglu([3.0, 2.0])[0])
    6.0

    Related:
        `bilinear` without the ReLU.

    Reference:
        [Shazeer, 2020](https://arxiv.org/abs/2002.05202)
    """
    return _gated("reglu", x, axis, gate, _RELU)


@register("layers")
class ReGLU(GatedLayer, fn=reglu):
    """Layer form of `reglu`; with `units` it owns the projections onto gate and value."""

    def __init__(self, units=None, axis=-1, gate="last", **kwargs: Unpack[ProjectionArguments]):
        super().__init__(units, axis, gate, **kwargs)


@activation(**_ORDER, alpha=finite_positive, limit=positive)
def swiglu_clipped(x: Any, axis=-1, gate="interleaved", alpha=1.702, limit=7.0) -> Any:
    """SwiGLU with both halves bounded and 1 added to the linear one, as gpt-oss has it.

    Take it to load such models, or where the products of `swiglu` overflow 16-bit floats. The gate
    is bounded above only.

    Formula:

        linear, opens = halves(x, axis, gate)
        opens = minimum(opens, limit)
        linear = minimum(maximum(linear, -limit), limit)
        y = (linear + 1) * opens / (1 + exp(-alpha * opens))

    Args:
        x: Tensor with gate and value along one axis.
        axis: Axis to halve. Defaults to `-1`.
        gate: Which half opens the gate: `"first"`, `"last"` or, of each pair of neighbors the
            first, `"interleaved"`. Defaults to `"interleaved"`.
        alpha: Slope of the sigmoid, greater than 0. Defaults to `1.702`.
        limit: Bound of both halves, greater than 0; infinity is none. Defaults to `7.0`.

    Shapes:
        Any with at least one axis, of even size at `axis`, which the output has halved; the dtype
        is that of `x`.

    Raises:
        TypeError: If `axis` is not an integer.
        ValueError: If `gate` is unknown, `axis` does not exist or has an odd size, or `alpha` or
            `limit` is not positive, or `alpha` infinite.

    Example:

    >>> float(keras_actloss.activations.swiglu_clipped([1.0, 2.0])[0])
    2.5373...

    Related:
        With `alpha=1`, `limit=inf` and without the added 1 it is `swiglu` of the same `gate`.

    Reference:
        [OpenAI, 2025](https://arxiv.org/abs/2508.10925)
    """

    by_kernels = gates.left_to_kernels(tensors.dtype_of(x))

    def value(x):
        x = at_most(x, limit)
        return (ops.sigmoid(alpha * x), x) if by_kernels else gates.silu(x, alpha)

    def slope(x):
        curve = gates.fast_silu_slope if by_kernels else gates.silu_slope
        # Of the same input as the value, which XLA then shares an exponential with.
        a, b = curve(at_most(x, limit), alpha)
        return ops.where(x > limit, 0.0, a), b

    def shifted(x):
        return clip(x, -limit, limit) + 1

    def inside(x):
        return ops.cast(ops.abs(x) <= limit, x.dtype)

    curves = _Curve(None, value, slope), _Curve(None, shifted, inside)
    return _gated("swiglu_clipped", x, axis, gate, *curves, settings=(alpha, limit))


@register("layers")
class ClippedSwiGLU(GatedLayer, fn=swiglu_clipped):
    """Layer form of `swiglu_clipped`; with `units` it owns the projections onto both halves."""

    def __init__(
        self,
        units=None,
        axis=-1,
        gate="interleaved",
        alpha=1.702,
        limit=7.0,
        **kwargs: Unpack[ProjectionArguments],
    ):
        super().__init__(units, axis, gate, **kwargs)
        self.alpha = alpha
        self.limit = limit
