"""Figures (PNG) and numbers (JSON) for any model of the laboratory.

    python -m studies.analysis erf         MODEL... --pictures photos --output out
    python -m studies.analysis deviation   MODEL... --pictures photos --output out
    python -m studies.analysis correlation MODEL... --pictures photos --output out

A MODEL is a name from ``calotype lab list``, perhaps with options
(``liu2023-tcm-small:blocks=conv,n=32``), a checkpoint (``.safetensors``), or the folder of a training run.
Several models make one figure; what is measured is stored model by model.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from calotype.cli.options import count, number
from calotype.records.provenance import provenance
from calotype.records.script import guarded, parser_of, run_as, usable
from studies.inside import correlation, deviation, erf, figures
from studies.inside.specimens import Specimen, open_specimen, pictures, synthetic


def _parser() -> argparse.ArgumentParser:
    options = parser_of(__file__, __doc__)
    kinds = options.add_subparsers(dest="analysis", required=True, metavar="ANALYSIS")

    one = _kind(kinds, "erf", "how far away pixels move one latent, or latents one pixel", limit=8)
    one.add_argument(
        "--half",
        choices=("analysis", "synthesis"),
        default="analysis",
        help="analysis (pixels to a latent; default) or synthesis (latents to a pixel)",
    )
    one.add_argument(
        "--size",
        type=_side,
        default=256,
        metavar="N",
        help="side of the part of a picture looked at; default: 256",
    )
    one.add_argument(
        "--position", type=_position, metavar="ROW,COLUMN", help="output position; default: the middle"
    )
    one.add_argument(
        "--threshold",
        action="append",
        type=_share,
        metavar="X",
        help="of the maximum; may be given several times; default: 0.01 and 0.0001",
    )

    _kind(kinds, "deviation", "what rounding takes from the latents, against their size (epsilon_s)", limit=8)

    one = _kind(kinds, "correlation", "what a latent still says about its neighbours", limit=None)
    one.add_argument("--radius", type=count, default=2, metavar="N", help="largest offset; default: 2")
    return options


def _kind(kinds: Any, name: str, what: str, limit: int | None) -> argparse.ArgumentParser:
    """A parser of one analysis with the options that all have."""
    one: argparse.ArgumentParser = kinds.add_parser(name, help=what, description=what, allow_abbrev=False)
    add = one.add_argument
    add("models", nargs="+", metavar="MODEL", help="names, NAME:option=value, or checkpoints")
    add(
        "-p",
        "--pictures",
        action="append",
        type=Path,
        metavar="PATH",
        help="a picture or a folder; may be given several times; default: a synthetic picture",
    )
    add("-o", "--output", type=Path, default=Path("analysis"), metavar="DIR", help="default: analysis")
    add(
        "--limit",
        type=count,
        default=limit,
        metavar="N",
        help=f"look at the first N pictures only; default: {limit or 'all'}",
    )
    add(
        "--level",
        type=number(0, float("inf")),
        metavar="X",
        help="quality level of the product's model; default: the middle",
    )
    add("--numbers-only", action="store_true", help="no figure (matplotlib is not needed)")
    return one


def _erf(given: argparse.Namespace, command: list[str]) -> None:
    """Effective receptive field."""
    thresholds = tuple(given.threshold or erf.THRESHOLDS)
    specimens, shown = _specimens(given), _pictures(given, given.size)
    fields, numbers = [], []
    for s in specimens:
        fields.append(erf.effective_field(s, shown, given.half, given.position, given.size))
        numbers.append(fields[-1].numbers(thresholds))
        _write(given.output / "erf.json", command, {"thresholds": thresholds, "models": numbers})
        reach = numbers[-1]["extent"]
        print(f"{s.label}: " + "; ".join(f"above {t}: {_reach(e)}" for t, e in reach.items()))
        if warning := fields[-1].warning(thresholds):
            print(f"studies.analysis: warning: {warning}", file=sys.stderr)
    if not given.numbers_only:
        figures.draw_fields(fields, thresholds, given.output / "erf.png")


def _deviation(given: argparse.Namespace, command: list[str]) -> None:
    """Latent deviation."""
    specimens, shown = _specimens(given, gaussian=True), _pictures(given)
    results, summaries = [], []
    for s in specimens:
        results.append([deviation.measure(s, name, x) for name, x in shown])
        summaries.append(found := deviation.summary(results[-1]))
        _write(given.output / "deviation.json", command, {"models": summaries})
        printed = f"as printed in the paper: {found['epsilon_s_literal']:.2f}"
        print(f"{s.label}: epsilon_s {found['epsilon_s']:.4f} ({printed})")
    if not given.numbers_only:
        figures.draw_deviations([x for _, x in shown], results, given.output / "deviation.png")


def _correlation(given: argparse.Namespace, command: list[str]) -> None:
    """Correlation map, once mean and scale are known."""
    specimens, shown = _specimens(given, gaussian=True), _pictures(given)
    maps, numbers = [], []
    for s in specimens:
        maps.append(correlation.measure(s, shown, given.radius))
        numbers.append(n := maps[-1].numbers())
        _write(given.output / "correlation.json", command, {"models": numbers})
        around = f"off-centre {n['off_centre']:.4f}, per channel {n['channel_off_centre']:.4f}"
        print(f"{s.label}: centre {n['centre']:.3f}, {around}")
    if not given.numbers_only:
        figures.draw_correlations(maps, given.output / "correlation.png")
        for k, m in enumerate(maps, 1):
            figures.draw_channels(m, given.output / f"correlation-channels-{k}.png")


ANALYSES = {"erf": _erf, "deviation": _deviation, "correlation": _correlation}


@guarded
def main(arguments: list[str] | None = None) -> None:
    """Run one analysis."""
    given = _parser().parse_args(arguments)
    usable(given.output)
    ANALYSES[given.analysis](given, run_as(__file__, arguments))


def _specimens(given: argparse.Namespace, *, gaussian: bool = False) -> list[Specimen]:
    """The models; ``gaussian``: all must have a predicted mean and scale, or nothing is measured."""
    specimens = [open_specimen(name, given.level) for name in given.models]
    for s in specimens if gaussian else ():
        s.latents(synthetic(s.model.multiple))
    return specimens


def _pictures(given: argparse.Namespace, size: int = 256) -> list[tuple[str, Any]]:
    if not given.pictures:
        return [("synthetic", synthetic(size))]
    return list(pictures(given.pictures, given.limit))


def _position(text: str) -> tuple[int, int]:
    try:
        row, column = (int(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not ROW,COLUMN") from None
    return row, column


def _side(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 64 <= int(text) <= 4096:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 64 to 4096")
    return int(text)


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} does not lie between 0 and 1")
    return value


def _reach(e: dict[str, Any]) -> str:
    if e["rows"] is None:
        return "nothing"
    (top, bottom), (left, right) = e["rows"], e["columns"]
    return f"rows {top}..{bottom}, columns {left}..{right}, {100 * e['share']:.2f} %"


def _write(path: Path, command: list[str], record: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    made = provenance(command)
    text = json.dumps({**made, **record}, indent=1, allow_nan=False)
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(text + "\n")
    temporary.replace(path)


if __name__ == "__main__":
    sys.exit(main())
