"""Chen 2021: tiles of non-local attention."""

from __future__ import annotations

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from calotype.lab.analysis import complexity
from calotype.lab.layers.attention import NonLocal


def attention(width: int, tile: int) -> NonLocal:
    torch.manual_seed(0)
    layer = NonLocal(width, tile)
    torch.nn.init.normal_(layer.out.weight)  # from zero, where it does nothing
    return layer.eval()


def definition(layer: NonLocal, x: torch.Tensor) -> torch.Tensor:
    """Every position's softmax over all of ``x``, one position after the other."""
    q, k, v = (f(x)[0].flatten(1) for f in (layer.query, layer.key, layer.value))
    columns = [v @ torch.softmax(k.T @ q[:, i], 0) for i in range(q.shape[1])]
    return x + layer.out(torch.stack(columns, 1).view(1, -1, *x.shape[2:]))


@torch.no_grad()
def test_tiles_are_the_definition_each_by_itself() -> None:
    """A map within a tile: the definition.  A larger one: the definition of each tile, cut off at the
    borders; and not that of the whole.
    """
    tiled, whole = attention(6, 8), attention(6, 0)
    x = torch.randn(1, 6, 11, 20)
    small = x[:, :, :8, :7]
    torch.testing.assert_close(tiled(small), definition(tiled, small))
    torch.testing.assert_close(whole(x), definition(whole, x))
    out = tiled(x)
    for top in (0, 8):
        for left in (0, 8, 16):
            part = (slice(None), slice(None), slice(top, top + 8), slice(left, left + 8))
            torch.testing.assert_close(out[part], definition(tiled, x[part]))
    assert float((out - whole(x)).abs().max()) > 0.01


class _Largest(TorchDispatchMode):
    """The largest tensor that anything made."""

    def __init__(self) -> None:
        super().__init__()
        self.numel = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        out = func(*args, **(kwargs or {}))
        for t in out if isinstance(out, tuple | list) else (out,):
            self.numel = max(self.numel, t.numel() if isinstance(t, torch.Tensor) else 0)
        return out


@torch.no_grad()
@pytest.mark.parametrize("side", [32, 64])
def test_memory_and_work_grow_with_the_picture_only(side: int) -> None:
    for tile in (16, 0):
        with _Largest() as largest:
            attention(8, tile)(torch.randn(1, 8, side, side))
        assert largest.numel <= 8 * side * side  # the map: products of positions are never all there

    def work(tile: int) -> int:
        net = torch.nn.Sequential(attention(8, tile))
        return sum(complexity.macs(net, lambda t: t(torch.empty(1, 8, side, side, device="meta"))).values())

    per_position = 4 * 8 * 4 + 2 * 4 * 16**2  # four 1x1 convolutions; products with keys and with values
    assert work(16) == per_position * side**2
    assert work(0) == (4 * 8 * 4 + 2 * 4 * side**2) * side**2
