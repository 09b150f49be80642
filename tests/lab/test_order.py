"""Orders over positions: wavefronts are the raster scan, the checkerboard is two steps, estimates and files
agree.
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn

from calotype.lab.entropy import (
    Estimate,
    FileDecoder,
    FileEncoder,
    Gaussian,
    Mixture,
    checkerboard,
    parts,
    raster,
    two_pass,
    wavefronts,
)
from calotype.lab.entropy.coders import place, take
from calotype.lab.entropy.order import one_by_one
from calotype.lab.layers.masked import CheckerboardConv, RasterConv


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 9), (9, 1), (4, 4), (5, 13), (16, 3)])
@pytest.mark.parametrize("reach", [1, 2])
def test_wavefronts_respect_the_scan(height: int, width: int, reach: int) -> None:
    groups = wavefronts(height, width, reach)
    assert sorted(torch.cat(groups).tolist()) == list(range(height * width))
    step = {p: t for t, group in enumerate(groups) for p in group.tolist()}
    for p, t in step.items():
        i, j = divmod(p, width)
        for di in range(-reach, 1):
            for dj in range(-reach, reach + 1):
                before = di < 0 or dj < 0  # the live taps of the mask
                if before and i + di >= 0 and 0 <= j + dj < width:
                    assert step[(i + di) * width + j + dj] < t
    assert len(groups) == width + (reach + 1) * (height - 1)


class Toy:
    """A random context model over 3 channels."""

    def __init__(self, context: nn.Module) -> None:
        torch.manual_seed(0)
        self.context = context.double()
        self.joint = nn.Conv2d(4 + 6, 6, 1).double()
        with torch.no_grad():
            for p in [*self.context.parameters(), *self.joint.parameters()]:
                p.normal_(0, 0.4)

    def __call__(self, side: Tensor, context: Tensor) -> Gaussian:
        mu, sigma = self.joint(torch.cat((side, context), 1)).chunk(2, 1)
        return Gaussian(mu, sigma.exp())


def begin(mode: str, b: int) -> Estimate:
    coder = Estimate(mode, generator=torch.Generator().manual_seed(4))
    coder.begin(b, 0, 0)
    return coder


@torch.no_grad()
def test_wavefront_equals_position_by_position() -> None:
    """Against a plain loop over positions that recomputes the whole map each time."""
    toy = Toy(RasterConv(3, 6))
    y, side = 4 * torch.randn(2, 3, 5, 7).double(), torch.randn(2, 4, 5, 7).double()
    coder = begin("round", 2)
    found = raster(coder, "y", y, side, toy.context, toy)
    y_hat, bits = torch.zeros_like(y), torch.zeros(2).double()
    for i in range(5):
        for j in range(7):
            p = toy(side, toy.context(y_hat))
            mu, sigma = p.mu[:, :, i, j], p.sigma[:, :, i, j]
            y_hat[:, :, i, j] = torch.round(y[:, :, i, j] - mu) + mu
            bits -= torch.log2(Gaussian(mu, sigma).likelihood(y_hat[:, :, i, j])).sum(1)
    torch.testing.assert_close(found, y_hat)
    torch.testing.assert_close(coder.bits["y"], bits)
    serial = begin("round", 2)
    again = raster(serial, "y", y, side, toy.context, toy, one_by_one)
    assert [len(at) for *_, at in serial.coded] == [1] * 35
    torch.testing.assert_close(again, y_hat)
    torch.testing.assert_close(serial.bits["y"], bits)


def test_one_pass_of_training_equals_the_walk() -> None:
    """With noise, all contexts at once give the likelihood of the same groups one by one."""
    toy = Toy(RasterConv(3, 6))
    y, side = torch.randn(2, 3, 4, 6).double(), torch.randn(2, 4, 4, 6).double()
    coder = begin("noise", 2)
    y_hat = raster(coder, "y", y, side, toy.context, toy)

    class Given(Estimate):
        """Quantises to what the one pass drew, group by group."""

        def ahead(self, values: Tensor | None, *, plain: bool = False) -> None:
            return None

        def code(self, name: str, values: Tensor | None, p: Gaussian, at: Tensor | None = None) -> Tensor:
            assert values is not None
            assert at is not None
            self._add(name, values, take(y_hat, at), p, at)
            return take(y_hat, at)

    walked = Given("noise")
    walked.begin(2, 0, 0)
    again = raster(walked, "y", y, side, toy.context, toy)
    torch.testing.assert_close(again, y_hat)
    torch.testing.assert_close(walked.bits["y"], coder.bits["y"])


def test_gradients_flow_through_the_wavefronts() -> None:
    toy = Toy(RasterConv(3, 6))
    y = torch.randn(1, 3, 3, 4).double().requires_grad_()
    side = torch.randn(1, 4, 3, 4).double().requires_grad_()
    coder = begin("round", 1)
    y_hat = raster(coder, "y", y, side, toy.context, toy)
    (coder.bits["y"].sum() + y_hat.square().sum()).backward()
    for t in (y, side, toy.context.weight):
        assert t.grad is not None
        assert t.grad.abs().sum() > 0


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 2), (2, 1), (3, 5), (4, 4)])
def test_checkerboard_positions(height: int, width: int) -> None:
    anchors, others = checkerboard(height, width)
    assert sorted([*anchors.tolist(), *others.tolist()]) == list(range(height * width))
    assert all(sum(divmod(p, width)) % 2 == 0 for p in anchors.tolist())


@torch.no_grad()
def test_two_pass_by_hand() -> None:
    toy = Toy(CheckerboardConv(3, 6))
    y, side = 4 * torch.randn(1, 3, 5, 4).double(), torch.randn(1, 4, 5, 4).double()
    coder = begin("round", 1)
    found = two_pass(coder, "y", y, side, toy.context, toy)
    even = ((torch.arange(5)[:, None] + torch.arange(4)) % 2 == 0).double()
    p = toy(side, torch.zeros(1, 6, 5, 4).double())
    first = (torch.round(y - p.mu) + p.mu) * even
    q = toy(side, toy.context(first))
    second = (torch.round(y - q.mu) + q.mu) * (1 - even)
    torch.testing.assert_close(found, first + second)
    bits = -torch.log2(p.likelihood(first)) * even - torch.log2(q.likelihood(second)) * (1 - even)
    torch.testing.assert_close(coder.bits["y"], bits.flatten(1).sum(1))


def test_anchors_do_not_see_the_context() -> None:
    toy = Toy(CheckerboardConv(3, 6))
    y, side = torch.randn(1, 3, 4, 4).double(), torch.randn(1, 4, 4, 4).double()
    anchors, others = checkerboard(4, 4)
    changed = place(y, others, take(y, others) + 7.3)
    a, b = begin("round", 1), begin("round", 1)
    one = two_pass(a, "y", y, side, toy.context, toy)
    two = two_pass(b, "y", changed, side, toy.context, toy)
    assert torch.equal(take(one, anchors), take(two, anchors))
    assert not torch.equal(take(one, others), take(two, others))


@pytest.mark.parametrize("turns", ["slice after slice", "in turns"])
def test_mixtures_over_channel_slices_come_back(turns: str) -> None:
    """Each slice has a range of its own, in the file and for the reader, in whatever order groups come."""
    torch.manual_seed(0)
    y = torch.cat([scale * torch.randn(1, 2, 4, 6) for scale in (1, 40, 9)], 1).double()
    shape = (1, 2, 2, 24)
    laws = [(torch.randn(shape).double(), 9 * torch.randn(shape).double()) for _ in range(3)]
    groups = checkerboard(4, 6)

    def walk(coder: FileEncoder | FileDecoder, slices: Sequence[Tensor | None]) -> Tensor:
        done = torch.zeros_like(y)
        steps = [(i, at) for i in range(3) for at in groups]
        for i, at in steps if turns == "slice after slice" else sorted(steps, key=lambda s: s[1][0]):
            logits, mu = (t[..., at] for t in laws[i])
            p = Mixture(logits, mu, torch.full_like(mu, 20.0))
            part = done[:, 2 * i : 2 * i + 2]
            part.copy_(place(part, at, coder.code(f"y/{i}", slices[i], p, at=at)))
        return done

    encoder = FileEncoder(64, 96)
    written = walk(encoder, parts(y, [2, 2, 2]))
    assert torch.equal(written, y.round())
    decoder = FileDecoder(encoder.finish(), 64, 96)
    assert torch.equal(walk(decoder, [None] * 3), written)
    decoder.finish()


def test_two_maps_of_one_name_are_refused() -> None:
    """The decoder could not tell them apart."""
    mu = torch.zeros(1, 1, 2, 3, 3).double()
    p, coder, (one, two) = Mixture(mu, mu, mu + 1), FileEncoder(48, 48), torch.randn(2, 1, 2, 3, 3)
    coder.code("y", one, p)
    with pytest.raises(ValueError, match="two maps are coded as 'y'"):
        coder.code("y", two, p)


@pytest.mark.parametrize("order", ["raster", "checkerboard"])
def test_maps_are_put_back_in_place(order: str) -> None:
    """`Estimate.maps` gives the mean and scale that each latent was coded with, as whole maps."""
    walk, conv = (raster, RasterConv) if order == "raster" else (two_pass, CheckerboardConv)
    toy = Toy(conv(3, 6))
    y, side = torch.randn(2, 3, 4, 5).double(), torch.randn(2, 4, 4, 5).double()
    coder = begin("round", 2)
    y_hat = walk(coder, "y", y, side, toy.context, toy)
    maps = coder.maps("y")
    assert maps is not None
    values, mu, sigma = maps
    assert torch.equal(values, y)
    torch.testing.assert_close(torch.round(y - mu) + mu, y_hat)
    total = -torch.log2(Gaussian(mu, sigma).likelihood(y_hat)).flatten(1).sum(1)
    torch.testing.assert_close(total, coder.bits["y"])
