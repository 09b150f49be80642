"""What a network costs: multiply-accumulates per pixel in three counting rules, parameters, shapes,
receptive field.

The literature counts in ways that disagree; always say which (`RULES`).

    exact      every product of convolutions and matrix products, attention and GDN too; a transposed
               convolution costs one product for each *input* position and tap
    layers     convolutions and linear layers only, as hook-based counters do: no GDN, no attention products
    ptflops    as ptflops 0.6.5: layers only; a transposed convolution is counted for each *output*
               position, and each bias adds one operation for each output

Models run on torch's meta device: shapes are computed, values are not.
"""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from calotype.lab.layers.integer import IntConv
from calotype.lab.models.base import System

RULES = ("exact", "layers", "ptflops")
STRIP = 32
"""Pixels: the width of a strip that every system takes."""


def parameters(model: nn.Module) -> int:
    """Number of trained numbers."""
    return sum(p.numel() for p in model.parameters())


def part_parameters(model: nn.Module) -> dict[str, int]:
    """Parameters of each direct part, and of the model's own ("self") if it has any."""
    counts = {name: parameters(part) for name, part in model.named_children()}
    own = sum(p.numel() for p in model.parameters(recurse=False))
    return {name: n for name, n in {**counts, "self": own}.items() if n}


def _layer_macs(layer: nn.Module, x: Tensor, out: Tensor, rule: str) -> int:
    if isinstance(layer, nn.Linear):
        per = layer.in_features
        macs = out.numel() * per
    elif isinstance(layer, IntConv):
        macs = out.numel() * layer.weight[0].numel()
    else:
        taps = layer.kernel_size[0] * layer.kernel_size[1]
        if isinstance(layer, nn.ConvTranspose2d):
            if rule == "ptflops":
                macs = out.numel() * taps * layer.in_channels // layer.groups
            else:
                macs = x.numel() * taps * layer.out_channels // layer.groups
        else:
            macs = out.numel() * taps * layer.in_channels // layer.groups
    if rule == "ptflops" and layer.bias is not None:
        macs += out.numel()
    return macs


def macs(model: nn.Module, run: Callable[[nn.Module], Any], rule: str = "exact") -> dict[str, int]:
    """Multiply-accumulates of each direct part of a model while ``run(copy of the model on the meta
    device)``.

    The key "self" holds what no part does.

    Raises:
        ValueError: for a rule that is none of `RULES`.
    """
    known = _known(rule)
    return _counted(model, run)[0][known]


def _known(rule: str) -> str:
    if rule not in RULES:
        raise ValueError(f"rule must be one of {', '.join(RULES)}, got {rule!r}")
    return rule


def _counted(model: nn.Module, run: Callable[[nn.Module], Any]) -> tuple[dict[str, dict[str, int]], Any]:
    """`macs` by all rules, of one run, and what it returned."""
    twin = copy.deepcopy(model).to("meta").eval()
    found: dict[str, dict[str, int]] = {rule: defaultdict(int) for rule in RULES}
    for name, layer in twin.named_modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear | IntConv):
            part = name.split(".")[0] if "." in name or name in dict(twin.named_children()) else "self"

            def hook(layer: nn.Module, args: tuple[Tensor, ...], out: Tensor, part: str = part) -> None:
                for rule in RULES[1:]:
                    found[rule][part] += _layer_macs(layer, args[0], out, rule)

            layer.register_forward_hook(hook)
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        result = run(twin)
    by_module, exact = counter.get_flop_counts(), found["exact"]
    root = type(twin).__name__
    for name, _ in twin.named_children():
        exact[name] = sum(by_module.get(f"{root}.{name}", {}).values()) // 2
        if not exact[name]:  # a list of modules is never called itself
            prefix = f"{root}.{name}."
            children = [k for k in by_module if k.startswith(prefix) and "." not in k[len(prefix) :]]
            exact[name] = sum(sum(by_module[k].values()) for k in children) // 2
    exact["self"] = counter.get_total_flops() // 2 - sum(exact.values())
    return {rule: {k: v for k, v in counts.items() if v} for rule, counts in found.items()}, result


def costs(
    model: System, size: tuple[int, int] = (256, 256)
) -> tuple[dict[str, dict[str, float]], dict[str, tuple[int, int, int]]]:
    """`kmacs_per_pixel` by all rules, and `latent_shapes`: of one run, which takes seconds."""
    counts, shapes = _counted(model, lambda twin: twin.trial(torch.empty(1, 3, *size, device="meta")))
    kmacs = {}
    for rule, found in counts.items():
        kmacs[rule] = {part: n / (size[0] * size[1] * 1000) for part, n in found.items()}
        kmacs[rule]["total"] = sum(kmacs[rule].values())
    return kmacs, shapes


def kmacs_per_pixel(
    model: System, rule: str = "exact", size: tuple[int, int] = (256, 256)
) -> dict[str, float]:
    """Thousands of multiply-accumulates per pixel of each part of a model, and their "total".

    Sizes are best multiples of 128.

    Raises:
        ValueError: for a rule that is none of `RULES`.
    """
    known = _known(rule)
    return costs(model, size)[0][known]


def latent_shapes(model: System, size: tuple[int, int] = (256, 256)) -> dict[str, tuple[int, int, int]]:
    """(channels, rows, columns) of every latent map of a picture of that size, by name."""
    return costs(model, size)[1]


def receptive_field(part: nn.Module, channels: int, size: int = 256) -> tuple[int, int]:
    """(rows, columns) of input that one output position in the middle can depend on; ``size`` where it sees
    everything.

    ``part`` should have few channels: its weights are replaced by positive ones in a float64 copy, so that
    nothing cancels, and the gradient's support is measured: down a strip of `STRIP` pixels, then across one,
    which is a fraction of the work of a square, and sees as far (further where a square's many taps
    saturate the gates of an attention).
    """
    twin = copy.deepcopy(part).double().eval().requires_grad_(False)
    generator = torch.Generator().manual_seed(0)
    for p in twin.parameters():
        fan = max(1, p[0].numel()) if p.ndim > 1 else 1
        p.copy_((0.5 + torch.rand(p.shape, generator=generator, dtype=torch.float64)) / fan)
    found = []
    for sides in ((size, STRIP), (STRIP, size)):
        x = torch.rand(1, channels, *sides, generator=generator, dtype=torch.float64) + 0.5
        out = twin(x.requires_grad_())
        out[0, :, out.shape[2] // 2, out.shape[3] // 2].sum().backward()
        support = x.grad[0].abs().sum((0, 2 if sides[0] == size else 1)) > 0
        seen = support.nonzero()[:, 0]
        found.append(int(seen[-1] - seen[0] + 1))
    return found[0], found[1]
