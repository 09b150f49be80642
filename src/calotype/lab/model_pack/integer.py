"""A trained hyper-synthesis as a network of integers, so that every machine reads the same probabilities.

Activations are integers with a scale of their own per channel, which the weights of the next layer undo;
weights are integers with a scale per output channel, as large as exact sums allow.  Activations go up to the
peak at which their rounding and that of the weights that see them cost about the same.  Requantisation is a
power of two.  While sums stay below 2^23 every one is exact in float32, in any order, halves included; bounds
hold by construction, and `Integers.bounds` says what they are.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from calotype.lab.entropy import log_scales

SUM = 2**23
"""What no sum reaches."""
MAX_PEAK = 2047
HEADROOM = 1.5
"""By how much activations may exceed those seen; beyond, they are clipped, at the cost of rate alone."""
LEAK = 41
"""LeakyReLU's 0.01 as 41 / 4096."""
UNITS = 256
"""Steps of sigma that the last layer counts in; 1/256 is 27 times finer than the finest class."""
CLASSES = 64


class _Layer(nn.Module):
    """Convolution, requantisation, pixel shuffle and activation, on integers."""

    def __init__(
        self,
        conv: nn.Module,
        weight: Tensor,
        bias: Tensor,
        shift: Tensor,
        peak: int,
        leaky: bool,
        shuffle: int,
    ) -> None:
        super().__init__()
        self.transposed = isinstance(conv, nn.ConvTranspose2d)
        self.stride, self.padding = conv.stride, conv.padding
        self.extra = conv.output_padding if self.transposed else None
        self.peak, self.leaky, self.shuffle = peak, leaky, shuffle
        self.register_buffer("weight", weight.float())
        self.register_buffer("bias", bias.float())
        self.register_buffer("step", (2.0 ** -shift.double()).float()[None, :, None, None])

    def forward(self, x: Tensor) -> Tensor:
        if self.transposed:
            t = F.conv_transpose2d(x, self.weight, self.bias, self.stride, self.padding, self.extra)
        else:
            t = F.conv2d(x, self.weight, self.bias, self.stride, self.padding)
        t = torch.floor(t * self.step + 0.5).clamp(-self.peak if self.leaky else 0, self.peak)
        if self.shuffle > 1:
            t = F.pixel_shuffle(t, self.shuffle)
        if self.leaky:
            t = t.clamp(min=0) + torch.floor(t.clamp(max=0) * (LEAK / 4096) + 0.5)
        return t


class Integers(nn.Module):
    """Integer hyper-latents ``[B, Z, a, b]`` to sigma classes 1 .. 64, ``[B, M, 4a, 4b]``.

    It stands for ``net(z + centre)[:, :m]`` of a trained network of convolutions, pixel shuffles and (leaky)
    ReLUs. ``seen`` are hyper-latents, integers, of some photographs: they say how large activations get.
    """

    def __init__(self, net: nn.Module, centre: Tensor, m: int, seen: Iterable[Tensor], z_limit: int) -> None:
        super().__init__()
        stages = _stages(net)
        ranges = _ranges(net, [stage[0] for stage in stages], centre, seen)
        scale, peak = torch.ones(len(centre) + 1, dtype=torch.float64), z_limit
        self.bounds: list[float] = []
        layers = []
        for k, (conv, shuffle, leaky) in enumerate(stages):
            weight, bias = conv.weight.detach().double(), conv.bias.detach().double()
            axis = 1 if isinstance(conv, nn.ConvTranspose2d) else 0
            weight = weight if axis == 0 else weight.transpose(0, 1)  # [cout, cin, k, k]
            last, found = k == len(stages) - 1, ranges[k]
            if last:
                weight, bias, found = weight[:m], bias[:m], found[:m]
            peaks = torch.full((weight.shape[1],), peak, dtype=torch.float64)
            if k == 0:  # the centre comes in as one more channel, of ones: at the borders it counts less
                weight = torch.cat((weight, (weight * centre[None, :, None, None]).sum(1, keepdim=True)), 1)
                peaks = torch.cat((peaks, torch.ones(1, dtype=torch.float64)))
            weight = weight / scale[None, :, None, None]
            largest = (SUM - 2.0**12) / (_reach(weight, peaks, conv) + bias.abs() + 1e-30)
            peak = UNITS * UNITS - 1 if last else _peak(stages[k + 1][0])
            gain, shift = _gains(largest, found, shuffle, None if last else peak)
            weight, bias = (weight * gain[:, None, None, None]).round(), (bias * gain).round()
            self.bounds.append(float((_reach(weight, peaks, conv) + bias.abs()).max()))
            layers.append(
                _Layer(
                    conv,
                    weight.transpose(0, 1) if axis else weight,
                    bias,
                    shift,
                    peak,
                    leaky and not last,
                    shuffle,
                )
            )
            scale = (gain * 2.0**-shift)[:: shuffle * shuffle]
        self.layers = nn.Sequential(*layers)
        self.register_buffer("classes", _classes())

    def forward(self, z: Tensor) -> Tensor:
        x = torch.cat((z, z[:, :1] * 0 + 1), 1)
        return self.classes[self.layers(x).long()]


def _stages(net: nn.Module) -> list[tuple[nn.Module, int, bool]]:
    """(convolution, factor of the pixel shuffle behind it, whether a leaky ReLU follows)."""
    stages: list[tuple[nn.Module, int, bool]] = []
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            stages.append((layer, 1, False))
        elif isinstance(layer, nn.PixelShuffle):
            stages[-1] = (stages[-1][0], layer.upscale_factor, False)
        elif isinstance(layer, nn.LeakyReLU):
            stages[-1] = (*stages[-1][:2], True)
        elif not isinstance(layer, nn.ReLU | nn.Sequential):
            raise ValueError(f"a network with {type(layer).__name__} has no form in integers")
    return stages


@torch.no_grad()
def _ranges(net: nn.Module, convs: list[nn.Module], centre: Tensor, seen: Iterable[Tensor]) -> list[Tensor]:
    """Largest magnitude of each output channel of each convolution."""
    found = [torch.zeros(1, dtype=torch.float64) for _ in convs]

    def hook(k: int) -> object:
        def keep(module: nn.Module, args: object, out: Tensor) -> None:
            found[k] = torch.maximum(found[k], out.abs().amax((0, 2, 3)))

        return keep

    handles = [conv.register_forward_hook(hook(k)) for k, conv in enumerate(convs)]
    for z in seen:
        net(z.double() + centre[None, :, None, None])
    for handle in handles:
        handle.remove()
    return found


def _reach(weight: Tensor, peaks: Tensor, conv: nn.Module) -> Tensor:
    """Largest magnitude of ``sum w x``, ``[cout]``: of a transposed convolution, over its output phases."""
    w = weight.abs() * peaks[None, :, None, None]
    if not isinstance(conv, nn.ConvTranspose2d):
        return w.sum((1, 2, 3))
    s, t = conv.stride
    return torch.stack([w[:, :, i::s, j::t].sum((1, 2, 3)) for i in range(s) for j in range(t)]).amax(0)


def _peak(reader: nn.Module) -> int:
    """Largest activation for a layer to see: the more it adds up, the smaller."""
    taps = reader.kernel_size[0] * reader.kernel_size[1] * reader.in_channels
    if isinstance(reader, nn.ConvTranspose2d):  # its taps share the output positions
        taps /= reader.stride[0] * reader.stride[1]
    return min(MAX_PEAK, int((6 * SUM / taps) ** 0.5))


def _gains(largest: Tensor, found: Tensor, shuffle: int, peak: int | None) -> tuple[Tensor, Tensor]:
    """Scale of the accumulator, at most ``largest``, and the shift behind it; the same for channels that a
    pixel shuffle makes one.  ``peak`` None: the last layer, which counts in units of sigma.
    """
    if peak is None:
        shift = torch.floor(torch.log2(largest / UNITS))
        return UNITS * 2.0**shift, shift
    found = found.clamp(min=1e-6 * float(found.max()) + 1e-12) * HEADROOM
    if shuffle > 1:
        group = shuffle * shuffle
        found = found.view(-1, group).amax(1).repeat_interleave(group)
        largest = largest.view(-1, group).amin(1).repeat_interleave(group)
    shift = torch.floor(torch.log2(largest * found / peak)).clamp(min=0)
    return torch.minimum(peak * 2.0**shift / found, largest), shift


def _classes() -> Tensor:
    """Class of sigma = k / UNITS: the nearest of the 64 scales, in the logarithm, from 1 up; uint8."""
    scales = log_scales()
    middles = np.sqrt(scales[1:] * scales[:-1])
    sigma = np.arange(UNITS * UNITS) / UNITS
    return torch.from_numpy((1 + np.searchsorted(middles, sigma, side="left")).astype(np.uint8))


def golden(net: Integers, channels: int, z_limit: int) -> tuple[np.ndarray, np.ndarray]:
    """Random hyper-latents, some at the limits, and their classes computed in float64: I32 ``[3, Z, 3, 3]``,
    U8 ``[3, M, 12, 12]``.
    """
    rng = np.random.default_rng(20261121)
    z = rng.normal(0, max(1.0, z_limit / 8), (3, channels, 3, 3)).round()
    z = z.clip(-z_limit, z_limit).astype(np.int32)
    z[:, ::5, 0, 0], z[:, 2::7, 1, 1] = z_limit, -z_limit
    with torch.no_grad():
        index = _double(net)(torch.from_numpy(z).double())
    return z, index.numpy().astype(np.uint8)


def _double(net: nn.Module) -> nn.Module:
    import copy

    return copy.deepcopy(net).double()
