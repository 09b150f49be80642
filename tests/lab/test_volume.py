"""Latents as a volume: masks, the order of a file, and that files see what training saw."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from calotype.lab.entropy import Estimate, FileDecoder, FileEncoder, Mixture
from calotype.lab.entropy.volume import MaskedConv3d, See, fronts, volume


def test_masks() -> None:
    """Of an 11^3 window 665 taps are live: 5 whole channels, 5 rows of the own, 5 of the own row."""
    first, other = MaskedConv3d(1, 2, 11, first=True), MaskedConv3d(1, 2, 11)
    assert int(first.mask.sum()) == 5 * 121 + 5 * 11 + 5
    assert int(other.mask.sum()) == int(first.mask.sum()) + 1
    assert other.mask[5, 5, 5] == 1
    assert first.mask[5, 5, 5] == 0


@pytest.mark.parametrize("first", [True, False])
def test_a_latent_sees_only_what_came_before(first: bool) -> None:
    layer = MaskedConv3d(1, 3, 3, first=first).double()
    x = torch.randn(1, 1, 4, 5, 6, dtype=torch.float64, requires_grad=True)
    layer(x)[0, :, 2, 3, 2].sum().backward()
    seen = (x.grad[0, 0].flatten() != 0).nonzero()[:, 0]
    own = 2 * 30 + 3 * 6 + 2
    assert int(seen.max()) == (own - 1 if first else own)
    assert len(seen) == 13 + (not first)


def test_fronts_hold_every_position_once_and_see_only_earlier_ones() -> None:
    size, reach = (4, 3, 5), 1
    groups = fronts(size, reach)
    assert sorted(torch.cat(groups).tolist()) == list(range(60))
    assert len(groups) == 5 + 2 * 2 + 4 * 3
    when = torch.zeros(60, dtype=torch.long)
    for t, group in enumerate(groups):
        when[group] = t
    when = when.view(size)
    for offset in (MaskedConv3d(1, 1, 3, first=True).mask.nonzero() - 1).tolist():
        here, there = [], []
        for n, d in zip(size, offset):
            here.append(slice(max(0, -d), n - max(0, d)))
            there.append(slice(max(0, d), n - max(0, -d)))
        assert bool((when[tuple(here)] > when[tuple(there)]).all())


class _Net(nn.Module):
    """Two masked layers of different reach with a residual, and a side value."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = MaskedConv3d(1, 5, 5, first=True), MaskedConv3d(5, 5, 3)
        self.out = nn.Conv3d(6, 6, 1)

    def forward(self, see: See, side: Tensor | None) -> Tensor:
        t = torch.relu(see(self.first, None))
        t = t + see(self.second, t)
        assert side is not None
        return self.out(torch.cat((t, side), 1))


def _law(parameters: Tensor) -> Mixture:
    logits, mu, sigma = parameters.unflatten(1, (3, 2)).unbind(1)
    return Mixture(logits, 4 * mu, 1 + sigma.abs())


@torch.no_grad()
def test_files_see_what_training_sees() -> None:
    """The laws that the encoder met, group by group, are those of the whole volume; the decoder finds y."""
    torch.manual_seed(0)
    net, size = _Net().double(), (1, 3, 4, 6)
    y, side = torch.randn(size, dtype=torch.float64) * 3, torch.randn(1, 1, 3, 4, 6, dtype=torch.float64)
    met = []

    def law(parameters: Tensor) -> Mixture:
        met.append(parameters)
        return _law(parameters)

    estimate = Estimate("round")
    whole = volume(estimate, "y", y, size, net, law, side, reach=2)
    writer = FileEncoder(64, 96)
    coded = volume(writer, "y", y, size, net, law, side, reach=2)
    order = torch.cat(fronts((3, 4, 6), 2))
    torch.testing.assert_close(torch.cat(met[1:], 3)[0, :, 0], met[0][0].flatten(1)[:, order])
    assert torch.equal(coded, whole)
    assert torch.equal(coded, torch.round(y))
    assert torch.equal(
        volume(FileDecoder(writer.finish(), 64, 96), "y", None, size, net, _law, side, reach=2), coded
    )
