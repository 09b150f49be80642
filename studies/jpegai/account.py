"""Where the products of JPEG AI's decoder of 2023 go, layer by layer, and which readings of the paper would
give its 172.1 kMAC per pixel.

    python -m studies.jpegai.account            counts; seconds
    python -m studies.jpegai.account --stored studies/jpegai/account.json > studies/jpegai/account.md

The paper gives totals and no wiring. A `Reading` is one way to wire what is known of it; `search` goes
through all and keeps those whose totals are the published ones. Costs are formulas here (`test_account.py`
holds them against the networks).
"""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from calotype.records.provenance import provenance
from calotype.records.script import guarded, made_of, parser_of, run_as
from studies.jpegai.account_page import page

RULES = ("exact", "biases", "layers", "ptflops")
PUBLISHED = ((833.0, 172.1), (852.0, 180.0))
"""Baseline and combination: in the text, in the abstract."""
NEAR = (0.5, 0.06, 0.5)
"""How far a count may be off: of the baselines, of 172.1, of 180."""


@dataclass(frozen=True)
class Layer:
    """Operations per pixel of one layer."""

    products: float
    again: float = 0.0
    """What ptflops counts on top: transposed convolutions by their outputs."""
    biases: float = 0.0
    attention: float = 0.0
    """Products between activations."""

    def count(self, rule: str) -> float:
        """kMAC per pixel."""
        more = {"exact": self.attention, "biases": self.attention + self.biases, "layers": 0.0}
        more["ptflops"] = self.attention + self.biases + self.again
        return (self.products + more[rule]) / 1000


def conv(taps: int, cin: int, cout: int, out: float, *, bias: bool = True, groups: int = 1) -> Layer:
    """``out``: its positions for each pixel of the picture."""
    return Layer(taps * cin * cout / groups * out, 0.0, cout * out if bias else 0.0)


def deconv(taps: int, cin: int, cout: int, out: float) -> Layer:
    """Of stride 2."""
    products = taps * cin * cout * out / 4
    return Layer(products, 3 * products, cout * out)


def residual(width: int, out: float, count: int = 1) -> list[Layer]:
    """RB: two conv3."""
    return 2 * count * [conv(9, width, width, out)]


def mask(kind: str, width: int, out: float) -> list[Layer]:
    """RNAB, RNAB whose last convolution is 1x1 (rnab-1), or CAB."""
    inner = [conv(9, width, width, out / 4), *residual(width, out / 4, 2), deconv(9, width, width, out)]
    if kind == "cab":
        return [*residual(width, out, 2), *inner]
    return [*residual(width, out, 7), *inner, conv(1 if kind == "rnab-1" else 9, width, width, out)]


def transformer(width: int, out: float, blocks: int, gamma: float, heads: int = 4) -> list[Layer]:
    """Blocks of attention over channels, no biases."""
    inner = int(width * gamma)
    parts = [
        conv(1, width, 3 * width, out, bias=False),
        conv(9, 3 * width, 3 * width, out, bias=False, groups=3 * width),
        Layer(0.0, attention=2 * width * width / heads * out),
        conv(1, width, width, out, bias=False),
        conv(1, width, 2 * inner, out, bias=False),
        conv(9, 2 * inner, 2 * inner, out, bias=False, groups=2 * inner),
        conv(1, inner, width, out, bias=False),
    ]
    return blocks * parts


def attention(kind: str, width: int, out: float, blocks: int, gamma: float) -> list[Layer]:
    """An attention module by its name: rnab, rnab-1, cab, tam, tam-cs (half of the channels), tam-cs2 (both
    halves, one after the other), tam-ds (convolutions down and up), tam-ps (pixel shuffles in their place),
    none.
    """
    if kind == "none":
        return []
    if kind in ("rnab", "rnab-1", "cab"):
        return mask(kind, width, out)
    if kind == "tam-ds":
        ends = [conv(9, width, width, out / 4), deconv(9, width, width, out)]
        return [*ends, *transformer(width, out / 4, blocks, gamma)]
    if kind == "tam-ps":  # conv1 after unshuffling by 2, conv1 before shuffling
        ends = [conv(1, 4 * width, width, out / 4), conv(1, width, 4 * width, out / 4)]
        return [*ends, *transformer(width, out / 4, blocks, gamma)]
    halves = {"tam": 1, "tam-cs": 1, "tam-cs2": 2}[kind]
    return halves * transformer(width if kind == "tam" else width // 2, out, blocks, gamma)


def activation(taps: int, width: int, out: float) -> list[Layer]:
    """The convolution of ResAU."""
    return [conv(taps, width, width, out, bias=False)]


Stage = tuple[Any, ...]
"""The name of a function here that gives a layer or a list of them, and its arguments."""


@cache
def cost(rule: str, stage: Stage) -> float:
    """kMAC per pixel."""
    name, *arguments = stage
    made = {f.__name__: f for f in (conv, deconv, residual, attention, activation)}[name](*arguments)
    return sum(layer.count(rule) for layer in (made if isinstance(made, list) else [made]))


@dataclass(frozen=True)
class Reading:
    """One way to wire the paper's decoder."""

    luma: int = 160
    chroma: int = 96
    hidden: tuple[int, int] = (128, 64)
    base: str = "rnab"
    """Attention of the baseline."""
    taps: int = 1
    """Of the convolution in the activations."""
    scope: str = "both"
    """What the published figure is of: ``both`` branches, or ``luma``."""
    low: str = "rnab"
    """Attention at the lower resolution in the combination (luma 1/4, chroma 1/8)."""
    high: str = "tam-cs"
    """At the higher one."""
    blocks: int = 2
    gamma: float = 4.0
    shuffles: tuple[int, ...] = (3,)
    """Which upsamplings of luma are conv1 and pixel shuffle in the combination, counted from 1; of chroma,
    which has one less, those as far from the last."""
    branches: str = "both"
    """Which branches are changed."""

    def stages(self, combination: bool, *, attention_only: bool = False) -> Iterator[tuple[str, str, Stage]]:
        """(branch, stage, function of a rule and its arguments), in the order of decoding."""
        latents = {"luma": self.luma, "chroma": self.chroma}
        for branch, hidden, ups, out in (("luma", self.hidden[0], 4, 1), ("chroma", self.hidden[1], 3, 2)):
            if branch == "chroma" and self.scope == "luma":
                return
            changed = combination and self.branches in ("both", branch)
            if branch == "chroma":
                both = self.luma + self.chroma
                yield branch, "combine, 1/16", ("conv", 9, both, self.chroma, 1 / 256)
            yield branch, "2 RB, 1/16", ("residual", latents[branch], 1 / 256, 2)
            for i in range(1, ups + 1):
                cin, cout = hidden if i > 1 else latents[branch], out if i == ups else hidden
                where, name = 4.0**i / 256, f"1/{16 >> i}" if i < 4 else "1/1"
                quick = changed and not attention_only and i + 4 - ups in self.shuffles
                up: Stage = (
                    ("conv", 1, cin, 4 * cout, where / 4) if quick else ("deconv", 9, cin, cout, where)
                )
                yield branch, f"up to {name}", up
                if i in (ups - 2, ups - 1):
                    kind = (self.low if i == ups - 2 else self.high) if changed else self.base
                    tam = (self.blocks, self.gamma) if kind.startswith("tam") else (0, 0.0)
                    yield branch, f"attention, {name}", ("attention", kind, hidden, where, *tam)
                if i < ups:
                    yield branch, f"activation, {name}", ("activation", self.taps, hidden, where)

    def total(self, rule: str, combination: bool, *, attention_only: bool = False) -> float:
        """kMAC per pixel."""
        stages = self.stages(combination, attention_only=attention_only)
        return sum(cost(rule, stage) for _, _, stage in stages)


OURS = Reading()
LOW = ("cab", "tam", "tam-cs", "tam-cs2", "tam-ds", "tam-ps", "none")
HIGH = ("tam", "tam-cs", "tam-cs2", "tam-ds", "tam-ps", "cab", "none")
SHUFFLES = ((), (3,), (2, 3), (1, 2, 3), (1, 2, 3, 4), (4,), (3, 4))
LATENTS = tuple(itertools.product((128, 160, 192), (48, 64, 96, 128)))
HIDDEN = ((128, 64), (128, 32), (128, 96), (128, 128), (96, 48), (160, 80), (192, 64))


def bases() -> Iterator[Reading]:
    """Baselines: widths, scope, the last convolution of RNAB, taps of the activation."""
    narrow = dict.fromkeys(h[0] for h in HIDDEN)
    kinds = list(itertools.product(("rnab", "rnab-1"), (1, 9)))
    for (luma, chroma), hidden, (base, taps) in itertools.product(LATENTS, HIDDEN, kinds):
        yield Reading(luma, chroma, hidden, base, taps, low=base)
    for luma, hidden, (base, taps) in itertools.product((128, 160, 192), narrow, kinds):
        yield Reading(luma, 0, (hidden, 0), base, taps, "luma", low=base)


def search() -> tuple[int, list[dict[str, Any]]]:
    """How many counts were tried, and those that give a published pair.

    A count is a reading in a rule; only baselines that are published ones go on.
    """
    tried, found = 0, []
    for base in bases():
        counts = {rule: base.total(rule, False) for rule in RULES}
        near = [
            (rule, pair) for rule in RULES for pair in PUBLISHED if abs(counts[rule] - pair[0]) <= NEAR[0]
        ]
        if not near:
            continue
        branches = ("both",) if base.scope == "luma" else ("both", "luma")
        for low, high, blocks, gamma, shuffles, which in itertools.product(
            (base.base, *LOW), HIGH, (1, 2, 3, 4), (2.0, 2.66, 4.0), SHUFFLES, branches
        ):
            if not (low + high).count("tam") and (blocks, gamma) != (2, 4.0):
                continue  # blocks and gamma are of TAM
            reading = replace(
                base, low=low, high=high, blocks=blocks, gamma=gamma, shuffles=shuffles, branches=which
            )
            for rule, (whole, combination) in near:
                tried += 1
                count = reading.total(rule, True)
                if abs(count - combination) > (NEAR[1] if combination == 172.1 else NEAR[2]):
                    continue
                alone = reading.total(rule, True, attention_only=True)
                match = {"reading": asdict(reading), "rule": rule, "published": [whole, combination]}
                match |= {"baseline": counts[rule], "combination": count}
                found.append({**match, "saved": 100 * (1 - alone / counts[rule])})
    return tried, found


def measure() -> dict[str, Any]:
    """The account of our reading, and what `search` finds, ready for JSON."""
    rows = []
    for (branch, stage, before), (_, _, after) in zip(OURS.stages(False), OURS.stages(True)):
        cells = {f"{name} {rule}": cost(rule, of)
                 for name, of in (("baseline", before), ("combination", after))
                 for rule in ("exact", "ptflops")}  # fmt: skip
        rows.append({"branch": branch, "stage": stage, **cells})
    tried, found = search()
    return {"stages": rows, "tried": tried, "found": found}


SHOWN = 12
"""Readings that are stored: those that come nearest to -75 % for attention alone."""
BAND = (74.5, 75.5)
"""Percent saved by attention alone that count as the published 75."""


def shortened(record: dict[str, Any]) -> dict[str, Any]:
    """What is stored of `measure`: numbers of matches, and the nearest `SHOWN`."""
    found = sorted(record["found"], key=lambda f: abs(f["saved"] - 75))
    both = sum(BAND[0] <= f["saved"] <= BAND[1] for f in found)
    return {**record, "found": found[:SHOWN], "matches": len(found), "both": both, "band": BAND}


@guarded
def main(arguments: Sequence[str] | None = None) -> None:
    """Count, store ``account.json`` and ``account.md``, or make the page of stored results again."""
    parser = parser_of(__file__, __doc__)
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder for account.json and account.md")
    parser.add_argument("--stored", type=Path, metavar="FILE", help="print the page of such a JSON file")
    given = parser.parse_args(arguments)
    if given.stored:
        print(made_of(given.stored, page), end="")
        return
    record = json.loads(json.dumps(provenance(run_as(__file__, arguments)) | shortened(measure())))
    if given.out:
        (given.out / "account.json").write_text(json.dumps(record, indent=1) + "\n")
        (given.out / "account.md").write_text(page(record))
    else:
        print(page(record), end="")


if __name__ == "__main__":
    sys.exit(main())
