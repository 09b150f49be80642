"""Decoders trained from fresh branches, each for the same time of a CPU: optimisers, and parts left out.

    python -m studies.product.decoders PACK RUN FILE.npz... --out RECORD.json [--only NAME ...] [--minutes 30]

Begins with the weights of RUN, but for the branches of the synthesis, which are drawn afresh and start at
zero: what is left is its linear path.  Trains the synthesis on latents as files of PACK hold them
(``training/planned.py latents`` keeps those), with a leak that closes by half of the time, and adds to the
record how near the pixels of held-out crops come.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from calotype.codec import library
from calotype.lab.models.calotype import Calotype
from calotype.lab.models.calotype_transforms import Bottleneck, Branch
from calotype.records.provenance import provenance
from calotype.records.script import guarded, parser_of, run_as, usable

sys.path.insert(0, str(Path(__file__).parents[2] / "training"))
import planned

LEAK = 0.1
"""Slope of ReLUs below zero at the start."""


class Nothing(nn.Module):
    """In the place of a part that adds to what comes in."""

    def __init__(self, result: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.result = result

    def forward(self, x: Tensor) -> Any:
        return self.result(x)


def without_renderer(model: Calotype) -> None:
    """Nothing but the linear path behind the blocks at 1/8."""
    model.synthesis.render = Nothing(lambda t: 0.0)  # type: ignore[assignment]


def without_blocks16(model: Calotype) -> None:
    """No bottleneck at 1/16."""
    model.synthesis.blocks16 = Nothing(lambda t: t)  # type: ignore[assignment]


def without_block8(model: Calotype) -> None:
    """One bottleneck at 1/8 fewer."""
    model.synthesis.blocks8 = model.synthesis.blocks8[:1]  # type: ignore[index]


def with_gelu(model: Calotype) -> None:
    """GELU for ReLU in all branches (and no leak: there is nothing to keep alive)."""
    for part in model.synthesis.modules():
        if isinstance(part, Branch):
            part.relu = F.gelu  # type: ignore[assignment]


class ByEnergy(nn.Module):
    """``x + rms f(x / rms)`` for a bottleneck ``x + f(x)``; rms: that of the place's whitened channels."""

    def __init__(self, block: Bottleneck) -> None:
        super().__init__()
        self.block = block

    def forward(self, x: Tensor) -> Tensor:
        rms = (x / self.block.given[:, None, None]).square().mean(1, keepdim=True).add(1e-4).sqrt()
        even = x / rms
        added: Tensor = rms * (self.block(even) - even)
        return x + added


def by_energy(model: Calotype) -> None:
    """Bottlenecks that see the same of a weak place as of a strong one."""
    for blocks in (model.synthesis.blocks16, model.synthesis.blocks8):
        for k, block in enumerate(blocks):
            assert isinstance(block, Bottleneck)
            blocks[k] = ByEnergy(block)


class Overlapping(nn.Module):
    """In the place of the patches of 8 x 8 pixels: patches of 10 x 10, added where they overlap."""

    def __init__(self, patch: nn.Conv2d) -> None:
        super().__init__()
        assert patch.bias is not None
        kernel = patch.weight.detach()[:, :, 0, 0].T.unflatten(1, (3, 8, 8))
        self.kernel = nn.Parameter(F.pad(kernel, (1, 1, 1, 1)))
        self.bias = nn.Parameter(patch.bias.detach().clone())

    def forward(self, t: Tensor) -> Tensor:
        pixels = F.conv_transpose2d(t, self.kernel, stride=8, padding=1)
        return F.pixel_unshuffle(pixels, 8) + self.bias[:, None, None]


def overlapping(model: Calotype) -> None:
    """The linear path's kernels reach a pixel further on each side (576 to 900 products a pixel)."""
    model.synthesis.patch = Overlapping(model.synthesis.patch)  # type: ignore[assignment]


@dataclass(frozen=True)
class Arm:
    """What is trained, and how."""

    optimizer: str = "adam"
    lr: float = 1e-3
    changes: tuple[Callable[[Calotype], None], ...] = ()
    seed: int = 0


ARMS: Mapping[str, Arm] = {
    "Adam": Arm(),
    "Adam, other first weights": Arm(seed=1),
    "SOAP": Arm("soap"),
    "Muon": Arm("muon"),
    "Adam, at 2e-3": Arm(lr=2e-3),
    "SOAP, at 2e-3": Arm("soap", 2e-3),
    "Muon, at 2e-3": Arm("muon", 2e-3),
    "without the renderer": Arm(changes=(without_renderer,)),
    "without the bottleneck at 1/16": Arm(changes=(without_blocks16,)),
    "without one of two bottlenecks at 1/8": Arm(changes=(without_block8,)),
    "without the renderer, with GELU": Arm(changes=(without_renderer, with_gelu)),
    "without the renderer, by energy": Arm(changes=(without_renderer, by_energy)),
    "without the renderer, overlapping": Arm(changes=(without_renderer, overlapping)),
}


@torch.no_grad()
def afresh(run: Path, seed: int) -> Calotype:
    """The model of a run with branches that were never trained."""
    state, model = planned.loaded(run)
    torch.manual_seed(seed)
    fresh = planned.Subject.from_dict(state.model).build().model
    drawn = {
        name: weight
        for name, weight in fresh.named_parameters()
        if name.startswith(("synthesis.blocks", "synthesis.render"))
    }
    model.load_state_dict(drawn, strict=False)
    return model


def trained(arm: Arm, given: argparse.Namespace) -> dict[str, Any]:
    """What came of an arm."""
    pack, model = library.load(given.base), afresh(given.run, arm.seed)
    for change in arm.changes:
        change(model)
    crops = planned.Crops(given.files, pack, model)
    before = crops.judged()

    def leak(done: float) -> None:
        model.leak(LEAK * (1 - 2 * done) if done < 0.5 else None)

    _, steps = planned.descend(crops, arm.optimizer, arm.lr, given.minutes, leak)
    return {
        "optimizer": arm.optimizer, "lr": arm.lr, "cpu minutes": given.minutes, "steps": steps,
        "megapixels": round(steps * planned.BATCH * (16 * planned.PART) ** 2 / 1e6),
        "held out": [before["dB"], crops.judged()["dB"]],
    }  # fmt: skip


@guarded
def main(arguments: list[str] | None = None) -> None:
    options = parser_of(__file__, __doc__)
    options.add_argument("base", metavar="PACK")
    options.add_argument("run", metavar="RUN", type=Path)
    options.add_argument("files", metavar="FILE.npz", type=Path, nargs="+")
    options.add_argument("--out", type=Path, required=True)
    options.add_argument("--only", nargs="+", choices=ARMS, default=list(ARMS), metavar="NAME")
    options.add_argument("--minutes", type=float, default=30, help="of a CPU, for each [30]")
    given = options.parse_args(arguments)
    usable(given.out)
    torch.set_num_threads(1)
    for name in given.only:
        found = trained(ARMS[name], given) | {"made": provenance(run_as(__file__, arguments))}
        record = json.loads(given.out.read_text(encoding="utf-8")) if given.out.is_file() else {}
        record[name] = found
        given.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        print(json.dumps({name: found}), flush=True)


if __name__ == "__main__":
    sys.exit(main())
