"""Attention over channels: parameters as published, definition, cost, JPEG AI's three forms."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from calotype.lab.analysis.complexity import macs, parameters
from calotype.lab.layers.conv import conv
from calotype.lab.layers.restormer import GDFN, MDTA, TAM, PositionNorm, TransformerBlock

torch.set_num_threads(1)


class Restormer(nn.Module):
    """The restoration network that the blocks are from: a check of the blocks in company."""

    def __init__(
        self, width: int = 48, heads: tuple[int, ...] = (1, 2, 4, 8), counts: tuple[int, ...] = (4, 6, 6, 8)
    ):
        super().__init__()

        def stage(level: int, count: int, wide: int = 1) -> nn.Sequential:
            blocks = (TransformerBlock(wide * width * 2**level, heads[level]) for _ in range(count))
            return nn.Sequential(*blocks)

        self.first, self.last = conv(3, width, 3, 1, bias=False), conv(2 * width, 3, 3, 1, bias=False)
        self.encoders = nn.ModuleList(stage(k, counts[k]) for k in range(4))
        widths = [width * 2**k for k in range(4)]
        self.downs = nn.ModuleList(conv(w, w // 2, 3, 1, bias=False) for w in widths[:3])
        self.ups = nn.ModuleList(conv(w, 2 * w, 3, 1, bias=False) for w in widths[:0:-1])
        self.joins = nn.ModuleList(conv(w, w // 2, 1, 1, bias=False) for w in widths[:1:-1])
        self.decoders = nn.ModuleList([stage(2, counts[2]), stage(1, counts[1]), stage(0, counts[0], 2)])
        self.refine = stage(0, 4, 2)

    def forward(self, x: Tensor) -> Tensor:
        t = self.first(x)
        skips = []
        for encode, down in zip(self.encoders, self.downs):
            t = encode(t)
            skips.append(t)
            t = F.pixel_unshuffle(down(t), 2)
        t = self.encoders[3](t)
        for k, decode in enumerate(self.decoders):
            t = torch.cat((F.pixel_shuffle(self.ups[k](t), 2), skips.pop()), 1)
            t = decode(self.joins[k](t) if k < 2 else t)
        return x + self.last(self.refine(t))


def test_parameters_of_restormer() -> None:
    with torch.device("meta"):
        assert parameters(Restormer()) == 26_126_644


def test_restormer_runs() -> None:
    x = torch.randn(1, 3, 16, 24)
    with torch.no_grad():
        y = Restormer(8, (1, 2, 2, 4), (1, 1, 1, 1))(x)
    assert y.shape == x.shape
    assert torch.isfinite(y).all()


@pytest.mark.parametrize(
    ("width", "heads", "gamma", "count"),
    [(128, 4, 2.66, 206_188), (128, 4, 4, 275_332), (48, 1, 2.66, 31_279)],
)
def test_parameters_of_a_block(width: int, heads: int, gamma: float, count: int) -> None:
    assert parameters(TransformerBlock(width, heads, gamma)) == count


def test_norm_is_over_the_channels_of_one_position() -> None:
    torch.manual_seed(0)
    norm, x = PositionNorm(6).double(), torch.randn(2, 6, 3, 4, dtype=torch.float64)
    with torch.no_grad():
        norm.weight.copy_(torch.arange(6) + 1.0)
        norm.bias.copy_(torch.arange(6) - 2.0)
        out = norm(x)
    for b, i, j in ((0, 0, 0), (1, 2, 3)):
        v = x[b, :, i, j]
        want = (v - v.mean()) / (v.var(unbiased=False) + 1e-5).sqrt() * norm.weight + norm.bias
        torch.testing.assert_close(out[b, :, i, j], want)


def test_attention_by_hand() -> None:
    """In plain loops: unit length along the pixels, softmax over the channels of a head."""
    torch.manual_seed(1)
    layer, x = MDTA(8, 2).double(), torch.randn(1, 8, 3, 5, dtype=torch.float64)
    with torch.no_grad():
        layer.temperature.copy_(torch.tensor([0.7, 3.0]).view(2, 1, 1))
        out = layer(x)
        q, k, v = (t[0].flatten(1) for t in layer.local(layer.expand(x)).chunk(3, 1))
        mixed = torch.zeros(8, 15, dtype=torch.float64)
        for head in range(2):
            mine = range(4 * head, 4 * head + 4)
            for i in mine:
                scores = [float(q[i] @ k[j] / q[i].norm() / k[j].norm()) * (0.7, 3.0)[head] for j in mine]
                weights = torch.tensor(scores, dtype=torch.float64).exp()
                weights /= weights.sum()
                mixed[i] = sum(w * v[j] for w, j in zip(weights, mine))
        want = layer.out(mixed.view(1, 8, 3, 5))
    torch.testing.assert_close(out, want)


def test_attention_does_not_know_where_pixels_are() -> None:
    """With the depth-wise kernels reduced to their centres, moving the pixels only moves the result."""
    torch.manual_seed(2)
    layer, x = MDTA(8, 2).double(), torch.randn(1, 8, 4, 6, dtype=torch.float64)
    order = torch.randperm(24)
    with torch.no_grad():
        centre = layer.local.weight[:, :, 1:2, 1:2].clone()
        layer.local.weight.zero_()
        layer.local.weight[:, :, 1:2, 1:2] = centre
        out, moved = layer(x), layer(x.flatten(2)[:, :, order].view(x.shape))
    torch.testing.assert_close(moved.flatten(2), out.flatten(2)[:, :, order])


def test_feed_forward_by_hand() -> None:
    torch.manual_seed(3)
    x = torch.randn(1, 6, 4, 4)
    for act, f in (("gelu", F.gelu), ("elu", F.elu)):
        layer = GDFN(6, 2.66, act)
        assert layer.out.in_channels == 15  # int(2.66 * 6)
        with torch.no_grad():
            t = layer.local(layer.expand(x))
            torch.testing.assert_close(layer(x), layer.out(f(t[:, :15]) * t[:, 15:]))


def test_heads_must_divide_the_channels() -> None:
    with pytest.raises(ValueError, match="heads"):
        MDTA(10, 4)
    with pytest.raises(ValueError, match="memory"):
        TAM(8, "half")


def _per_position(layer: nn.Module, width: int, size: int = 32) -> float:
    count = sum(macs(layer, lambda t: t(torch.empty(1, width, size, size, device="meta"))).values())
    return count / size**2


def test_cost_per_position() -> None:
    """Multiply-accumulates per position; the same at any size: cost is linear."""
    for size in (16, 64):
        assert _per_position(TAM(128), 128, size) == 566_016
        assert _per_position(TAM(128, "ds"), 128, size) == 215_232
        assert _per_position(TAM(64), 64, size) == 147_840
        assert _per_position(TAM(64, "ds"), 64, size) == 55_392
        assert _per_position(TAM(128, "cs"), 128, size) == _per_position(TAM(64), 64, size)


@pytest.mark.parametrize("memory", ["plain", "ds", "cs"])
@pytest.mark.parametrize("size", [(1, 1), (2, 2), (5, 7), (8, 3)])
def test_any_size(memory: str, size: tuple[int, int]) -> None:
    torch.manual_seed(4)
    x = torch.randn(2, 8, *size)
    with torch.no_grad():
        out = TAM(8, memory)(x)
    assert out.shape == x.shape
    assert torch.isfinite(out).all()


def test_half_of_the_channels_pass_by() -> None:
    torch.manual_seed(5)
    layer, x = TAM(16, "cs"), torch.randn(1, 16, 6, 6)
    changed = x.clone()
    changed[:, 8:] += 1.0
    with torch.no_grad():
        out, other = layer(x), layer(changed)
    assert torch.equal(out[:, 8:], x[:, 8:])
    assert not torch.allclose(out[:, :8], x[:, :8])
    assert torch.equal(other[:, :8], out[:, :8])
