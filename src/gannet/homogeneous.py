"""Piecewise linear networks in homogeneous coordinates: why a penalty on a discriminator's slope can be cheap.

Linear maps and leaky ReLUs make a network that is, around any sample x, linear in x and in the 1 its biases multiply:

    D(x) = g . x + k      with      (g, k) = dD / d(x, 1)

Weights act on a loss of logits and slopes through g and k alone, so with c = dL/dD and v = dL/dg its gradient by the
weights is that of g . (c x + v) + c k, in which c, x and v are constants. That is four passes through the network
(logits; slopes; the mixture c x + v forward again; the weights once) where differentiating twice takes six, and the
result is the same. `value_and_slope(discriminator, samples, condition)` of a network that is
`PiecewiseLinear`; its layers take their biases, convolutions and activations from here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn.functional import conv2d, leaky_relu
from torch.utils.checkpoint import checkpoint

from gannet import fused

Pair = tuple[int, ...]
FEW_GROUPS = 4
"""Groups of a convolution up to which a GPU is faster without them."""


class PiecewiseLinear(nn.Module):
    """A network of linear maps, biases and leaky ReLUs throughout, made of the layers in `networks/layers.py`.

    Small perceptrons are no such class although they are piecewise linear: what they save is less than what the way
    round through Python costs.
    """

    piecewise_linear = True
    """False where a network of the class has something else in it."""


def is_piecewise_linear(network: nn.Module) -> bool:
    """Whether a network says that it is."""
    return isinstance(network, PiecewiseLinear) and network.piecewise_linear


def value_and_slope(network: nn.Module, samples: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor]:
    """Logits [n] of samples [n, *shape] and the gradient [n, *shape] of each by its own sample.

    Both can be differentiated once, by the network's weights alone.
    """
    logits, slope = _ValueAndSlope.apply(network, laid_out(samples.detach()), condition, *network.parameters())
    return logits, slope


class _ValueAndSlope(Function):
    @staticmethod
    def forward(ctx: Any, network: nn.Module, samples: Tensor, condition: Tensor | None, *weights: Tensor) -> Any:
        with torch.enable_grad():
            x, one = samples.detach().requires_grad_(), samples.new_ones(len(samples), requires_grad=True)
            with _coordinate(one):
                logits = network(x, condition)
            ctx.slopes = torch.autograd.grad(logits.sum(), (x, one), create_graph=True, materialize_grads=True)
        ctx.samples, ctx.weights = samples, weights
        return logits.detach(), ctx.slopes[0].detach()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, by_logits: Tensor, by_slope: Tensor) -> Any:
        share = by_logits.to(ctx.samples.dtype)
        mixture = laid_out(share.view(-1, *[1] * (ctx.samples.dim() - 1)) * ctx.samples + by_slope)
        learning = [weight for weight in ctx.weights if weight.requires_grad]
        with torch.enable_grad():
            # Summed up here: `grad` with constants of ours imports a package of symbols first, for half a second.
            by_input, by_one = ctx.slopes
            together = (by_input * mixture).sum() + (by_one * share).sum()
        found = iter(torch.autograd.grad(together, learning, allow_unused=True))
        ctx.slopes = None
        return None, None, None, *[next(found) if weight.requires_grad else None for weight in ctx.weights]


# ------------------------------------------------------------------------------------------ what layers are made of

_one: Tensor | None = None
"""The last coordinate [n], one a sample; None outside of `value_and_slope`."""


@contextmanager
def _coordinate(one: Tensor) -> Iterator[None]:
    global _one
    before, _one = _one, one
    try:
        yield
    finally:
        _one = before


def laid_out(x: Tensor) -> Tensor:
    """x [n, channels, h, w] as it is convolved fastest: with a pixel's channels side by side."""
    quick = x.device.type == "cuda" or torch.backends.mkldnn.is_available()
    return side_by_side(x) if x.dim() == 4 and quick else x


def side_by_side(x: Tensor) -> Tensor:
    """x [n, channels, h, w], the channels of a pixel side by side in memory, with strides that say so even of one."""
    if x.shape[1] == 1:
        return x.reshape(len(x), *x.shape[2:], 1).permute(0, 3, 1, 2)
    return x.contiguous(memory_format=torch.channels_last)


def biased(x: Tensor, bias: Tensor) -> Tensor:
    """x [n, ...] plus a bias that broadcasts to x[0]: what the last coordinate multiplies."""
    if _one is None:
        return x + bias
    return x + (bias * _one.view(-1, *[1] * bias.dim())).to(x.dtype)


def rectified(x: Tensor, slope: float, *, inplace: bool) -> Tensor:
    """Leaky ReLU. Its second derivative is nothing, not zeros: nobody computes with them."""
    if _one is None:
        return leaky_relu(x, slope, inplace=inplace)
    rectified: Tensor = _Rectified.apply(x, slope, inplace)
    return rectified


def biased_rectified(x: Tensor, bias: Tensor, slope: float, *, inplace: bool) -> Tensor:
    """Leaky ReLU of x [n, channels, h, w] plus a bias [channels], at once where there are kernels for it."""
    if not fused.works_on(x):
        return rectified(biased(x, bias[:, None, None]), slope, inplace=True)
    y: Tensor = _BiasedRectified.apply(x, bias, _one, slope, inplace)
    return y


def convolved(layer: nn.Conv2d, x: Tensor, *, without_bias: bool = False) -> Tensor:
    """What `layer` makes of x [n, channels, h, w]."""
    weight, groups, bias = layer.weight, layer.groups, None if without_bias else layer.bias
    device, dtype = x.device.type, layer.weight.dtype
    if device == "cuda" and 1 < groups <= FEW_GROUPS:
        weight, groups = merged(weight, groups, groups), 1
    if (device == "cuda" or _one is not None) and torch.is_autocast_enabled(device):
        dtype = torch.get_autocast_dtype(device)
    if device == "cuda":  # laid out once; a library would do so in every pass
        weight = weight.to(dtype, memory_format=torch.channels_last)
    x, weight = x.to(dtype), weight.to(dtype)
    if _one is None:
        return conv2d(x, weight, bias, layer.stride, layer.padding, layer.dilation, groups)
    y: Tensor = _Convolved.apply(x, weight, (layer.stride, layer.padding, layer.dilation, groups))
    return y if bias is None else biased(y, bias[:, None, None])


def filtered(x: Tensor, kernel: Tensor, *, stride: int, padding: int) -> Tensor:
    """Every channel of x [n, channels, h, w] convolved with the same kernel [1, 1, k, k], which does not learn."""
    channels = x.shape[1]
    weight, geometry = kernel.expand(channels, -1, -1, -1), ((stride,) * 2, (padding,) * 2, (1, 1), channels)
    if _one is None:
        return conv2d(x, weight, None, *geometry)
    y: Tensor = _Convolved.apply(x, weight.to(x.dtype), geometry)
    return y


def convolved_rectified(layer: nn.Conv2d, x: Tensor, slope: float) -> Tensor:
    """Leaky ReLU of what `layer` makes of x [n, channels, h, w]."""
    if layer.bias is None or not fused.works_on(x):
        return rectified(convolved(layer, x), slope, inplace=True)
    return biased_rectified(convolved(layer, x, without_bias=True), layer.bias, slope, inplace=True)


def recomputed(play: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """What `play(x)` gives without keeping the way there: for derivatives it is gone once more (Chen et al. 2016).

    Under `value_and_slope` all is kept: the slopes' own way is what takes memory there, and that is not shortened.
    """
    if _one is not None or not torch.is_grad_enabled():
        return play(x)
    given: Tensor = checkpoint(play, x, use_reentrant=False, preserve_rng_state=False)
    return given


def merged(weight: Tensor, groups: int, together: int) -> Tensor:
    """The weight [outputs, together * inputs, h, w] of the convolution of groups / together groups that does the same.

    `weight` [outputs, inputs, h, w] is that of `groups`; between those that come together there are zeros.
    """
    apart = torch.eye(together, device=weight.device, dtype=weight.dtype)[:, None, :, None, None, None]
    own = weight.unflatten(0, (groups // together, together, -1))
    return (apart * own[:, :, :, None]).flatten(0, 2).flatten(1, 2)


class _Rectified(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, slope: float, inplace: bool) -> Tensor:
        y = leaky_relu(x, slope, inplace=inplace)
        if inplace:
            ctx.mark_dirty(x)
        ctx.save_for_backward(y)
        ctx.slope = slope
        return y

    @staticmethod
    def backward(ctx: Any, by_output: Tensor) -> Any:
        # Detached: where the sign changes nothing is differentiable, and elsewhere it does not depend on x.
        return _RectifiedSlope.apply(by_output, ctx.saved_tensors[0].detach(), ctx.slope), None, None


class _RectifiedSlope(Function):
    """Linear in its first argument, so its own derivative is itself."""

    @staticmethod
    def forward(ctx: Any, by_output: Tensor, y: Tensor, slope: float) -> Tensor:
        ctx.save_for_backward(y)
        ctx.slope = slope
        return torch.ops.aten.leaky_relu_backward(by_output, y, slope, True)

    @staticmethod
    def backward(ctx: Any, by_input: Tensor) -> Any:
        return _RectifiedSlope.apply(by_input, ctx.saved_tensors[0], ctx.slope), None, None


class _BiasedRectified(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, bias: Tensor, one: Tensor | None, slope: float, inplace: bool) -> Tensor:
        y = fused.biased_rectified(x, bias, slope, inplace=inplace)
        if inplace:
            ctx.mark_dirty(x)
        ctx.save_for_backward(y, bias)
        ctx.slope, ctx.homogeneous = slope, one is not None
        return y

    @staticmethod
    def backward(ctx: Any, by_output: Tensor) -> Any:
        y, bias = ctx.saved_tensors
        learning = ctx.needs_input_grad[1]
        by_input, total = _BiasedRectifiedSlope.apply(by_output, y.detach(), ctx.slope, ctx.homogeneous or learning)
        if ctx.homogeneous:  # where the gradient by the bias is never asked for at a first derivative
            return by_input, None, (total * bias).sum(1), None, None
        return by_input, total.sum(0) if learning else None, None, None, None


class _BiasedRectifiedSlope(Function):
    """Linear in its first argument; beside the gradient by the input, its sum over all places."""

    @staticmethod
    def forward(ctx: Any, by_output: Tensor, y: Tensor, slope: float, summed: bool) -> Any:
        ctx.save_for_backward(y)
        ctx.slope = slope
        return fused.masked(by_output, y, slope, summed=summed)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, by_input: Tensor, by_total: Tensor) -> Any:
        return fused.masked(by_input, ctx.saved_tensors[0], ctx.slope, more=by_total)[0], None, None, None


class _Convolved(Function):
    """A convolution whose gradient by its input is differentiated with the kernels that were made for it.

    PyTorch's own second derivative calls general convolutions with batch and channels exchanged, which are slow.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, geometry: tuple[Pair, Pair, Pair, int]) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.geometry = geometry
        return torch.conv2d(x, weight, None, *geometry)

    @staticmethod
    def backward(ctx: Any, by_output: Tensor) -> Any:
        # The gradient by the weight is never asked for at a first derivative: `value_and_slope` takes slopes only.
        x, weight = ctx.saved_tensors
        return _ConvolvedSlope.apply(by_output, weight, x.detach(), ctx.geometry), None, None


class _ConvolvedSlope(Function):
    """The gradient by the input of a convolution, bilinear in the one by the output and the weight."""

    @staticmethod
    def forward(ctx: Any, by_output: Tensor, weight: Tensor, x: Tensor, geometry: tuple[Pair, Pair, Pair, int]) -> Any:
        by_output = by_output.to(weight.dtype)
        ctx.save_for_backward(by_output, weight)
        ctx.geometry = geometry
        return _convolution_backward(by_output, x, weight, geometry, (True, False, False))[0]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, by_input: Tensor) -> Any:
        by_output, weight = ctx.saved_tensors
        by_input = by_input.to(weight.dtype)
        forward = by_weight = None
        if ctx.needs_input_grad[0]:
            forward = torch.conv2d(by_input, weight, None, *ctx.geometry)
        if ctx.needs_input_grad[1]:
            by_weight = _convolution_backward(by_output, by_input, weight, ctx.geometry, (False, True, False))[1]
        return forward, by_weight, None, None


def _convolution_backward(by_output: Tensor, x: Tensor, weight: Tensor, geometry: Any, wanted: Any) -> Any:
    stride, padding, dilation, groups = geometry
    return torch.ops.aten.convolution_backward(
        by_output, x, weight, None, stride, padding, dilation, False, [0, 0], groups, wanted
    )
