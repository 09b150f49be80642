"""Hidden units that never switch on are left out of packs, and nothing else changes."""

from __future__ import annotations

import copy

import torch

from calotype.lab.models.calotype import Calotype, Config
from calotype.lab.pack import idle

from .conftest import THIN


def test_what_is_left_out_is_what_was_never_on() -> None:
    torch.manual_seed(0)
    model = Calotype(Config.from_dict(THIN | {"narrow": 40, "narrow16": 40, "wide16": 40})).eval()
    parts = dict(idle._bottlenecks(model))
    off = {name: torch.randperm(40)[: 12 + 8 * k] for k, name in enumerate(parts)}
    with torch.no_grad():
        for name, part in parts.items():
            part.expand.weight.normal_(std=0.01)
            assert part.conv.bias is not None
            part.conv.bias[off[name]] = -1e4
    x, level = torch.rand(2, 3, 64, 128), torch.tensor([0.5, 1.5])
    slim = copy.deepcopy(model)
    with torch.no_grad(), idle.watched(slim) as peaks:
        slim(x, level, hard=True)
    kept = idle.drop(slim, peaks)
    for name, part in idle._bottlenecks(slim):
        alive = 40 - len(off[name])
        wanted = min(40, -(-alive // idle.GROUP) * idle.GROUP)
        assert kept[name] == (wanted, 40)
        assert part.conv.weight.shape[0] == part.expand.weight.shape[1] == wanted
        rows = {row.numpy().tobytes() for row in part.conv.weight.detach()}
        on = set(range(40)) - set(off[name].tolist())
        assert {parts[name].conv.weight[k].detach().numpy().tobytes() for k in on} <= rows
    with torch.no_grad():
        before, after = (m(x, level, hard=True) for m in (model, slim))
    torch.testing.assert_close(after.x_hat, before.x_hat, atol=1e-6, rtol=0)
    assert torch.equal(after.latents.r, before.latents.r)


def test_nothing_is_left_out_of_a_model_whose_units_are_all_on() -> None:
    model = Calotype(Config.from_dict(THIN)).eval()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    kept = idle.drop(model, {name: torch.ones(8) for name, _ in idle._bottlenecks(model)})
    assert set(kept.values()) == {(8, 8)}
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def test_watching_ends() -> None:
    model = Calotype(Config.from_dict(THIN)).eval()
    with idle.watched(model) as peaks:
        pass
    model.analysis(torch.rand(1, 3, 64, 64))
    assert not peaks
