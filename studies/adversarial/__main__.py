"""What the adversarial term of HiFiC (Mentzer et al. 2020) does to a decoder, at the same bytes.

    python -m studies.adversarial --data FOLDER --out RUN                         a narrow HiFiC
    python -m studies.adversarial --data FOLDER --out RUN --start CHECKPOINT      a system that is trained

For each seed a narrow HiFiC is trained without its discriminator; or all seeds begin with a checkpoint.  From
there on encoder and probabilities stay as they are, so that every file stays the same to the byte, and only
the decoder goes on, on rounded latents with HiFiC's loss: without the adversarial term, and with it at some
strengths (C_P), from the same weights on the same crops.  Held-out photographs are then decoded by each.

OUT/results.json   everything that was measured, by section; a run with the same settings goes on there, and
                   trains anew what was stored without all measures
OUT/NAME.jpg       crops: original, then one column for each decoder of the first seed
OUT/README.md      the page, made of results.json alone; without ``--data`` it is made again
"""

from __future__ import annotations

import argparse
import copy
import json
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from calotype.lab import registry
from calotype.lab.adversarial import adversarial, feature_stand_in
from calotype.lab.checkpoint import load_checkpoint, read_info
from calotype.lab.entropy import Estimate
from calotype.lab.layers.generative import PatchDiscriminator
from calotype.lab.metrics import mse255
from calotype.lab.models.base import LabModel, as_tuple
from calotype.lab.models.mentzer2020 import C_D, C, HiFiC
from calotype.lab.objective import RateDistortion
from calotype.lab.train.config import TrainConfig
from calotype.lab.train.data import Photos
from calotype.records.provenance import provenance
from calotype.records.script import guarded, made_of, parser_of, run_as, usable
from studies.adversarial.measure import measured, picture
from studies.adversarial.page import markdown

RESULTS, PAGE = "results.json", "README.md"
SYSTEM = "mentzer2020-hific"
SIZES = {"width": 8, "m": 24, "n": 16, "blocks": 1, "critic": 16, "target": 0.3}
CRITIC = 16
"""Width of the discriminator's first layer."""
CRITIC_PACE = 2
"""Its learning rate, in those of the decoder: it begins with the branch, and has to be ahead."""
STRENGTHS = (0.0, 0.15, 0.6)
"""0: without; 0.15: published."""
BLUR = 9
"""Side in pixels of the blur that parts detail from the rest."""
WARMUP = 30
"""Steps over which the learning rate rises."""
SHOWN = "show the discriminator N times what a blur takes away; default: show it pictures"
GIVEN = ("steps", "branch_steps", "crop", "batch", "lr", "branch_lr", "strengths")
Source = Callable[[int], Tensor]
"""Number of a step to crops, uint8 ``[B, 3, S, S]``."""


def descend(
    wanted: Sequence[dict[str, Any]], loss: Callable[[Tensor], Tensor], source: Source, steps: int, lr: float
) -> float:
    """Steps of Adam on groups of parameters, the rate falling to nothing over the second half; returns the
    mean loss of the last tenth.
    """
    schedule = TrainConfig(steps, lr=lr, warmup=WARMUP, decay=0.5)
    optimizer, losses = torch.optim.Adam(wanted, lr), list[float]()
    paces = [group["lr"] / lr for group in optimizer.param_groups]
    for step in range(steps):
        for group, pace in zip(optimizer.param_groups, paces, strict=True):
            group["lr"] = pace * schedule.learning_rate(step)
        value = loss(source(step))
        optimizer.zero_grad()
        value.backward()  # type: ignore[no-untyped-call]
        for group in optimizer.param_groups:
            nn.utils.clip_grad_norm_(group["params"], 1.0)
        optimizer.step()
        losses.append(float(value.detach()))
        if step % 100 == 0:
            print(f"step {step} of {steps}: {losses[-1]:.3f}", flush=True)
    return float(np.mean(losses[-max(1, steps // 10) :]))


def started(source: Source, seed: int, steps: int, lr: float) -> LabModel:
    """A narrow HiFiC, trained without its discriminator."""
    torch.manual_seed(seed)
    model = registry.build(SYSTEM, **SIZES)
    assert isinstance(model, HiFiC)
    model.deceive = False
    objective = RateDistortion(model.train(), 1.0)
    wanted = [p for name, p in model.named_parameters() if not name.startswith("discriminator.")]
    descend(
        [{"params": wanted}], lambda x: objective.training_loss(x, None, hard=False)[0], source, steps, lr
    )
    finished: LabModel = model.finished().eval()
    return finished


def loaded(path: Path) -> LabModel:
    """The start that is given.

    Raises:
        ValueError: for a system that is not two plain transforms with latents between them.
    """
    model = load_checkpoint(path).eval()
    if not (hasattr(model, "g_s") and isinstance(getattr(model, "g_a", None), nn.Sequential)):
        raise ValueError(f"{path}: {model.name} has no decoder of latents (g_s) that could go on alone")
    return model


def branched(
    start: LabModel,
    strength: float,
    source: Source,
    seed: int,
    steps: int,
    lr: float,
    *,
    detail: float = 0.0,
) -> tuple[LabModel, float | None]:
    """A copy whose decoder has gone on, with a discriminator of its own that begins with it; and the
    discriminator's mean loss over the last tenth of the steps, if there is one.

    Loss: ``C C_D MSE + perceptual + C_P deceived``; perceptual: of the encoder's ReLUs, 0 where it has none.

    detail: what the discriminator sees is what a blur takes away, times so much; 0: the picture.  Told the
        latents, as HiFiC's is, it stays at chance (2 log 2) for hundreds of steps, for its gain is kept at 1
        and latents are larger than pixels.
    """
    model: Any = copy.deepcopy(start).requires_grad_(False)
    model.g_s.requires_grad_(True)
    torch.manual_seed(seed)
    critic = PatchDiscriminator(CRITIC)

    owns = list[float]()

    def loss(x: Tensor) -> Tensor:
        x = x / 255
        y_hat = _latents(model, x)
        x_hat = model.synthesise(y_hat)
        total = C * C_D * mse255(x, x_hat).mean() + feature_stand_in(model.g_a, x, x_hat)
        if not strength:
            return total
        seen = [detail * detail_of(picture) if detail else 2 * picture - 1 for picture in (x, x_hat)]
        deceived, own = adversarial(critic, *seen, None, "non-saturating")
        owns.append(float(own.detach()))
        return total + own + strength * deceived

    wanted: list[dict[str, Any]] = [{"params": list(model.g_s.parameters())}]
    if strength:
        wanted.append({"params": list(critic.parameters()), "lr": CRITIC_PACE * lr})
    descend(wanted, loss, source, steps, lr)
    return model, float(np.mean(owns[-max(1, steps // 10) :])) if strength else None


def detail_of(x: Tensor) -> Tensor:
    """What a blur takes away: the difference of each pixel from the mean around it."""
    return x - F.avg_pool2d(x, BLUR, 1, BLUR // 2, count_include_pad=False)


@torch.no_grad()
def _latents(model: Any, x: Tensor) -> Tensor:
    """What a file would hold of pictures 0..1."""
    coder = Estimate("round")
    coder.begin(len(x), *x.shape[2:])
    found: Tensor = as_tuple(model.walk(coder, model.analyse(x)))[0]
    return found


def run(
    photos: Photos, seed: int, say: Callable[[str], None], given: argparse.Namespace
) -> tuple[dict[str, Any], Any]:
    """Train, branch, measure: what one seed gives, and the picture."""
    indices, held_out = photos.split(given.held_out)
    crops = photos.centres(held_out, 256)

    def source(offset: int, step: int) -> Tensor:
        return photos.crops(indices, (seed + offset, step), given.batch, given.crop)

    if given.start:
        start = loaded(given.start)
    else:
        start = started(partial(source, 0), seed, given.steps, given.lr)
    rows, columns = [], []
    for strength in given.strengths:
        twin, critic = branched(
            start, strength, partial(source, 1000), seed, given.branch_steps, given.branch_lr,
            detail=given.detail,
        )  # fmt: skip
        found, shown = measured(twin, crops)
        columns.append(shown)
        rows.append({"strength": strength, "critic": critic, **found})
        means = ", ".join(f"{k} {np.mean(v):.4g}" for k, v in found.items())
        say(f"seed {seed}, C_P {strength:g}: critic {critic}, {means}")
    return {"seed": seed, "decoders": rows}, picture(crops, columns)


def about(given: argparse.Namespace) -> dict[str, Any]:
    """The system and where it begins, for the results."""
    if not given.start:
        return {"system": SYSTEM, "sizes": SIZES}
    info = read_info(given.start)
    known = ("lambda", "steps", "commit", "command")
    trained = {key: info.training[key] for key in known if key in info.training}
    return {"system": info.name, "sizes": info.config, "start": trained}


def store(out: Path, records: dict[str, Any]) -> int:
    """Write the results and the page made of them."""
    out.mkdir(parents=True, exist_ok=True)
    (out / RESULTS).write_text(json.dumps(records, indent=1) + "\n", encoding="utf-8")
    (out / PAGE).write_text(markdown(records), encoding="utf-8")
    return 0


@guarded
def main(arguments: Sequence[str] | None = None) -> int:
    """Returns 0."""
    options = parser_of(__file__, __doc__)
    add = options.add_argument
    add("--data", nargs="+", type=Path, metavar="FOLDER", help="photographs, as for calotype lab train")
    add("--out", type=Path, required=True, metavar="FOLDER", help="for the results and the page")
    add("--start", type=Path, metavar="CHECKPOINT", help="begin with this; without: with a HiFiC of --steps")
    add("--cache", type=Path, metavar="DIR", help="where decoded photographs are kept")
    add("--steps", type=int, default=1000, help="before decoders part; default: 1000")
    add("--branch-steps", type=int, default=300, help="of each decoder; default: 300")
    add("--crop", type=int, default=64, help="side; default: 64")
    add("--batch", type=int, default=4, help="crops; default: 4")
    add("--lr", type=float, default=4e-3, help="learning rate; default: 4e-3")
    add("--branch-lr", type=float, default=1e-3, help="of the decoders; default: 1e-3")
    add("--held-out", type=int, default=8, help="photographs to measure on; default: 8")
    add("--strengths", type=float, nargs="+", default=list(STRENGTHS), metavar="C_P", help="0 is without")
    add("--detail", type=float, default=0.0, metavar="N", help=SHOWN)
    add("--name", help="of the section and its picture; default: the system's")
    add("--seeds", type=int, default=3, metavar="N", help="pairs of decoders; default: 3")
    given = options.parse_args(arguments)
    if not given.data:
        return made_of(given.out / RESULTS, partial(store, given.out))
    usable(given.out)
    given.strengths = sorted(set(given.strengths))
    if given.strengths[0] != 0 or len(given.strengths) < 2:
        options.error("--strengths needs 0, the decoder without the term, and one above it to compare")
    if given.seeds < 1:
        options.error("--seeds must be at least 1")
    if given.start:
        loaded(given.start)  # refused before there is anything
    torch.set_num_threads(1)
    photos, system = Photos.open(*given.data, cache=given.cache), about(given)
    there = given.out / RESULTS
    records: dict[str, Any] = made_of(there, dict) if there.is_file() else {}
    same = {**system, "warmup": WARMUP, **{key: getattr(given, key) for key in GIVEN}}
    same |= {"photographs": photos.describe(), "crops": [256, 256]}
    if given.detail:
        same |= {"detail": given.detail, "blur": BLUR}
    name = given.name or system["system"]
    before = records.get(name, {})
    runs = list(before["runs"]) if {**before, **same} == before else []
    for seed in range(given.seeds):
        if seed < len(runs) and "off_grid" in runs[seed]["decoders"][0]:
            continue
        found, shown = run(photos, seed, partial(print, flush=True), given)
        runs[seed : seed + 1] = [found]
        made = provenance(run_as(__file__, arguments))
        records[name] = {**made, **same, "runs": runs}
        store(given.out, records)
        if not seed:
            shown.save(given.out / f"{name}.jpg", quality=85)
    return 0


if __name__ == "__main__":
    sys.exit(main())
