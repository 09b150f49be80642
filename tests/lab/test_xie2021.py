"""Xie 2021: the flow comes back, and what the channels lose is what they must."""

from __future__ import annotations

import pytest
import torch

from calotype.lab import registry
from calotype.lab.layers.flow import Coupling, Flow, Mixing, Squeeze

from .conftest import picture


def stirred(flow: torch.nn.Module) -> torch.nn.Module:
    """Weights away from their start, where couplings are the identity."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for p in flow.parameters():
            if p.ndim == 4:
                p += torch.randn(p.shape, generator=generator) * 0.3 / p[0].numel() ** 0.5
    return flow.eval()


@pytest.mark.slow
@torch.no_grad()
def test_the_published_flow_inverts() -> None:
    torch.manual_seed(0)
    flow = stirred(Flow((5, 5, 3, 3)))
    x = picture(48, 64)[None] / 255
    wide = flow(x)
    assert wide.shape == (1, 768, 3, 4)
    assert float((wide - Flow((5, 5, 3, 3))(x)).abs().max()) > 0.1  # it does something
    assert float((flow(wide, reverse=True) - x).abs().max()) < 1e-5


@torch.no_grad()
@pytest.mark.parametrize("layer", [Squeeze(), Mixing(12), Coupling(12, 3)])
def test_each_layer_inverts_either_way(layer: torch.nn.Module) -> None:
    stirred(layer)
    x = torch.randn(2, 12, 6, 8, generator=torch.Generator().manual_seed(1))
    assert float((layer(layer(x), reverse=True) - x).abs().max()) < 1e-5
    assert float((layer(layer(x, reverse=True)) - x).abs().max()) < 1e-5


def test_squeeze_keeps_the_phases_together() -> None:
    """Channel ``4 C`` of phase (i, j) and colour c is ``x[c, i::2, j::2]``, phases outermost."""
    x = torch.arange(2 * 4 * 6.0).view(1, 2, 4, 6)
    out = Squeeze()(x).unflatten(1, (2, 2, 2))
    for i in range(2):
        for j in range(2):
            assert torch.equal(out[0, i, j], x[0, :, i::2, j::2])


@torch.no_grad()
def test_latents_are_means_of_groups_and_come_back_as_copies() -> None:
    """Attention starts anywhere, so it is left out: the synthesis of the latents then has their group means
    in every copy.
    """
    torch.manual_seed(0)
    model = registry.build("xie2021-invcompress", n=8, enhance=8, couplings=8)
    model.attend, model.attend_back = torch.nn.Identity(), torch.nn.Identity()
    x = picture(64, 64)[None] / 255
    y = model.analyse(x)
    wide = model.flow(model.enhance(x))
    torch.testing.assert_close(y, wide.view(1, 96, 8, 4, 4).mean(1))
    again = model.flow(model.synthesise(y))  # the enhancements are the identity at first
    torch.testing.assert_close(again, y.repeat(1, 96, 1, 1), atol=1e-4, rtol=0)
    with pytest.raises(registry.UnknownModel, match="n must divide 768"):
        registry.build("xie2021-invcompress", n=7)
