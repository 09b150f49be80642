"""Fewer hidden units in the bottlenecks of a synthesis at 1/8: those go whose work the others do best.

    python training/pruned.py PACK RUN FILE.npz... --narrow8 80 --out RUN

FILE.npz are latents as files of PACK hold them (``planned.py latents``).  A layer is linear in the units that
it reads.  What leaving one out costs, when the others take over as much of it as they can, follows from their
second moments (the optimal brain surgeon: Hassibi and Stork 1993, with units for weights, as in Kurtic et al.
2023); so units leave one by one, the cheapest first, and the weights of the others become the best there
are.  What is counted is the error of the pixels that the linear path makes of the stream.  The run is to be
trained on.
"""

from __future__ import annotations

import sys
from pathlib import Path

import planned  # beside this file
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from calotype.codec import library
from calotype.lab.models.calotype_transforms import Bottleneck, Pointwise
from calotype.records.script import guarded, parser_of

CROPS, SITES = 192, 60_000
"""Crops and positions that second moments are taken of."""
RIDGE = 1e-7


@guarded
def main() -> None:
    options = parser_of(__file__, __doc__)
    options.add_argument("base", metavar="PACK")
    options.add_argument("run", metavar="RUN", type=Path)
    options.add_argument("files", metavar="FILE.npz", type=Path, nargs="+")
    options.add_argument("--narrow8", type=int, required=True, help="units to keep in each hidden layer")
    options.add_argument("--out", type=Path, required=True)
    given = options.parse_args()
    state, model = planned.loaded(given.run)
    if not 1 <= given.narrow8 <= model.config.narrow8:
        raise SystemExit(f"--narrow8 must be 1..{model.config.narrow8}, got {given.narrow8}")
    crops = planned.Crops(given.files, library.load(given.base), model)
    ids = crops.taken[:: -(-len(crops.taken) // CROPS)]
    print(f"held out: {crops.judged()}", flush=True)
    for block in model.synthesis.blocks8:
        assert isinstance(block, Bottleneck)
        prune(block, read(block, crops, ids), given.narrow8, model.synthesis.patch.weight.flatten(1))
    print(f"held out: {crops.judged()}")
    model.config.narrow8 = given.narrow8
    given.out.mkdir(parents=True, exist_ok=True)
    weights = {name: weight.detach() for name, weight in model.named_parameters()}
    planned.named(state, model, weights).save(given.out / "checkpoint.safetensors")


@torch.no_grad()
def read(block: Bottleneck, crops: planned.Crops, ids: planned.Array) -> Tensor:
    """What a block is given for crops, ``[N, width, h, w]``."""
    found: list[Tensor] = []
    hook = block.register_forward_pre_hook(lambda _block, given: found.append(given[0]))
    for k in range(0, len(ids), planned.BATCH):
        some = ids[k : k + planned.BATCH]
        crops.shown(some, [0] * len(some), [0] * len(some), planned.SIDE)
    hook.remove()
    return torch.cat(found)


@torch.no_grad()
def prune(block: Bottleneck, x: Tensor, keep: int, shows: Tensor) -> None:
    """Leave ``keep`` units in both hidden layers of a block.

    x:     what it is given ``[N, width, h, w]``
    shows: the linear map from the stream to what counts ``[out, width]``
    """
    first = block.hidden(0, block.reduce.within(x, given=block.given))
    second = block.behind(0, block.conv, first)
    rows = with_one(second.permute(0, 2, 3, 1).flatten(0, 2))
    expand = joined(block.expand) * block.added[:, None].double()
    kept2, expand = surgeon(rows.T @ rows / len(rows), expand, shows.double(), keep)

    patches = F.unfold(first, 3, padding=1).permute(0, 2, 1).flatten(0, 1)
    rows = with_one(patches)
    counts = torch.diag((shows.double() @ expand[:, :-1]).square().sum(0).sqrt())
    kept1, conv = surgeon(rows.T @ rows / len(rows), joined(block.conv)[kept2], counts, keep, 9)

    width = len(block.added)
    made = Pointwise(width, keep), nn.Conv2d(keep, keep, 3, padding=1), Pointwise(keep, width)
    made[0].weight.copy_(block.reduce.weight[kept1])
    made[0].bias.copy_(block.reduce.bias[kept1])
    expand /= block.added[:, None]
    for layer, values in ((made[1], conv), (made[2], expand)):
        assert layer.bias is not None
        layer.weight.copy_(values[:, :-1].reshape(layer.weight.shape))
        layer.bias.copy_(values[:, -1])
    block.reduce, block.conv, block.expand = made


def surgeon(
    moments: Tensor, weight: Tensor, shows: Tensor, keep: int, size: int = 1
) -> tuple[list[int], Tensor]:
    """Which units stay, and the weights that are best for them.

    moments: of what is read, ``size`` values of a unit beside each other, and a one ``[n + 1, n + 1]``
    weight:  that reads it, the bias last ``[out, n + 1]``
    shows:   from what is written to what counts ``[any, out]``
    """
    moments = moments + RIDGE * moments.diagonal().mean() * torch.eye(len(moments)).double()
    inverse, left = torch.linalg.inv(moments), list(range((len(moments) - 1) // size))
    while len(left) > keep:
        seen = shows @ weight
        own = torch.stack(
            [inverse[at : at + size, at : at + size] for at in range(0, size * len(left), size)]
        )
        parts = seen[:, :-1].unflatten(1, (len(left), size)).transpose(0, 1)
        costs = (parts @ torch.linalg.inv(own) * parts).sum((1, 2))
        least = int(costs.argmin())
        gone = torch.arange(size * least, size * (least + 1))
        stays = torch.cat((torch.arange(0, size * least), torch.arange(size * (least + 1), len(inverse))))
        through = torch.linalg.inv(own[least]) @ inverse[gone]
        weight = (weight - weight[:, gone] @ through)[:, stays]
        inverse = (inverse - inverse[:, gone] @ through)[stays][:, stays]
        left.pop(least)
    return left, weight


def with_one(rows: Tensor) -> Tensor:
    """Some rows ``[N, n]`` with a one behind each, in float64."""
    rows = rows[:: -(-len(rows) // SITES)].double()
    return F.pad(rows, (0, 1), value=1.0)


def joined(layer: nn.Conv2d) -> Tensor:
    """Weights and bias ``[out, n + 1]``, in float64."""
    assert layer.bias is not None
    return torch.cat((layer.weight.flatten(1), layer.bias[:, None]), 1).double()


if __name__ == "__main__":
    sys.exit(main())
