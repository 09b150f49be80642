"""``calotype lab analyse erf|deviation|correlation``: figures (PNG) and numbers (JSON) for any model of the
laboratory.

A MODEL is ``calotype`` or a name from ``calotype lab list``, perhaps with options
(``liu2023-tcm-small:blocks=conv,n=32``), a checkpoint (``.safetensors``), or the folder of a training run.
Several models make one figure; what is measured is stored model by model.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from calotype.cli.report import complain
from calotype.errors import CalotypeError
from calotype.records.provenance import provenance
from calotype.records.script import usable

app = typer.Typer(
    name="analyse",
    help="Figures and numbers: effective receptive field, latent deviation, correlation map.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

Models = Annotated[
    list[str], typer.Argument(metavar="MODEL...", help="names, NAME:option=value, or checkpoints")
]
Pictures = Annotated[
    list[Path] | None,
    typer.Option(
        "--pictures", "-p", metavar="PATH", help="a picture or a folder; may be given several times"
    ),
]
Output = Annotated[
    Path, typer.Option("--output", "-o", metavar="DIR", help="folder for the figure and the numbers")
]
Limit = Annotated[int | None, typer.Option(min=1, metavar="N", help="look at the first N pictures only")]
Level = Annotated[
    float | None, typer.Option(min=0.0, help="quality level of the product's model; default: the middle")
]
NumbersOnly = Annotated[bool, typer.Option("--numbers-only", help="no figure (matplotlib is not needed)")]


@app.command()
def erf(
    context: typer.Context,
    models: Models,
    output: Output = Path("analysis"),
    pictures: Pictures = None,
    half: Annotated[
        str, typer.Option(help="analysis (pixels to a latent) or synthesis (latents to a pixel)")
    ] = "analysis",
    size: Annotated[
        int, typer.Option(min=64, max=4096, help="side of the part of a picture that is looked at")
    ] = 256,
    position: Annotated[
        str | None, typer.Option(metavar="ROW,COLUMN", help="output position; default: middle")
    ] = None,
    threshold: Annotated[list[float] | None, typer.Option(help="default: 0.01 and 0.0001")] = None,
    limit: Limit = 8,
    level: Level = None,
    numbers_only: NumbersOnly = False,
) -> None:
    """Effective receptive field: how far away pixels move one latent, or latents one pixel."""
    from calotype.lab.analysis import erf as analysis

    if half not in analysis.HALVES:
        raise typer.BadParameter(f"--half must be one of {', '.join(analysis.HALVES)}, got {half!r}")
    thresholds = tuple(threshold or analysis.THRESHOLDS)
    if any(not 0 < t <= 1 for t in thresholds):
        raise typer.BadParameter("--threshold must lie between 0 and 1")
    usable(output)
    subjects, shown, at = _subjects(models, level), _pictures(pictures, limit, size), _position(position)
    fields, numbers = [], []
    for s in subjects:
        fields.append(analysis.effective_field(s, shown, half, at, size))
        numbers.append(fields[-1].numbers(thresholds))
        _write(output / "erf.json", context.obj, {"thresholds": thresholds, "models": numbers})
        reach = numbers[-1]["extent"]
        print(f"{s.label}: " + "; ".join(f"above {t}: {_reach(e)}" for t, e in reach.items()))
    if not numbers_only:
        from calotype.lab.analysis.figures import draw_fields

        draw_fields(fields, thresholds, output / "erf.png")


@app.command()
def deviation(
    context: typer.Context,
    models: Models,
    output: Output = Path("analysis"),
    pictures: Pictures = None,
    limit: Limit = 8,
    level: Level = None,
    numbers_only: NumbersOnly = False,
) -> None:
    """Latent deviation: what rounding takes from the latents, against their size (epsilon_s)."""
    from calotype.lab.analysis import deviation as analysis

    usable(output)
    subjects, shown = _subjects(models, level, gaussian=True), _pictures(pictures, limit)
    results, summaries = [], []
    for s in subjects:
        results.append([analysis.measure(s, name, x) for name, x in shown])
        summaries.append(found := analysis.summary(results[-1]))
        _write(output / "deviation.json", context.obj, {"models": summaries})
        printed = f"as printed in the paper: {found['epsilon_s_literal']:.2f}"
        print(f"{s.label}: epsilon_s {found['epsilon_s']:.4f} ({printed})")
    if not numbers_only:
        from calotype.lab.analysis.figures import draw_deviations

        draw_deviations([x for _, x in shown], results, output / "deviation.png")


@app.command()
def correlation(
    context: typer.Context,
    models: Models,
    output: Output = Path("analysis"),
    pictures: Pictures = None,
    radius: Annotated[int, typer.Option(min=1, help="largest offset")] = 2,
    limit: Limit = None,
    level: Level = None,
    numbers_only: NumbersOnly = False,
) -> None:
    """Correlation map: what a latent still says about its neighbours once mean and scale are known."""
    from calotype.lab.analysis import correlation as analysis

    usable(output)
    subjects, shown = _subjects(models, level, gaussian=True), _pictures(pictures, limit)
    maps, numbers = [], []
    for s in subjects:
        maps.append(analysis.measure(s, shown, radius))
        numbers.append(n := maps[-1].numbers())
        _write(output / "correlation.json", context.obj, {"models": numbers})
        around = f"off-centre {n['off_centre']:.4f}, per channel {n['channel_off_centre']:.4f}"
        print(f"{s.label}: centre {n['centre']:.3f}, {around}")
    if not numbers_only:
        from calotype.lab.analysis.figures import draw_channels, draw_correlations

        draw_correlations(maps, output / "correlation.png")
        for k, m in enumerate(maps, 1):
            draw_channels(m, output / f"correlation-channels-{k}.png")


def main(arguments: list[str]) -> int:
    """Run one analysis; returns the exit status."""
    try:
        app(args=arguments, obj=arguments, prog_name="calotype lab analyse")
    except SystemExit as stop:  # the only way out of a typer application
        return stop.code if isinstance(stop.code, int) else 0
    except (CalotypeError, OSError, ValueError) as error:
        complain(None, error)
        return 1
    except (MemoryError, RuntimeError) as error:
        from calotype.lab.sizes import out_of_memory

        if not out_of_memory(error):
            raise
        print("calotype: not enough memory; look at smaller pictures", file=sys.stderr, flush=True)
        return 1
    return 0


def _subjects(models: list[str], level: float | None, *, gaussian: bool = False) -> list[Any]:
    """The models; ``gaussian``: all must have a predicted mean and scale, or nothing is measured."""
    from calotype.lab.analysis.subjects import open_subject, synthetic

    subjects = [open_subject(name, level) for name in models]
    for s in subjects if gaussian else ():
        s.latents(synthetic(s.multiple))
    return subjects


def _pictures(paths: list[Path] | None, limit: int | None, size: int = 256) -> list[tuple[str, Any]]:
    from calotype.lab.analysis import subjects

    if not paths:
        return [("synthetic", subjects.synthetic(size))]
    return list(subjects.pictures(paths, limit))


def _position(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    try:
        row, column = (int(part) for part in text.split(","))
    except ValueError:
        raise typer.BadParameter(f"--position is ROW,COLUMN, got {text!r}") from None
    return row, column


def _reach(e: dict[str, Any]) -> str:
    if e["rows"] is None:
        return "nothing"
    (top, bottom), (left, right) = e["rows"], e["columns"]
    return f"rows {top}..{bottom}, columns {left}..{right}, {100 * e['share']:.2f} %"


def _write(path: Path, arguments: list[str], record: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    made = provenance(["calotype", "lab", "analyse", *arguments])
    text = json.dumps({**made, **record}, indent=1, allow_nan=False)
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(text + "\n")
    temporary.replace(path)
