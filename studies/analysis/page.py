"""README.md of a folder of analyses, from the JSON that ``python -m studies.analysis`` wrote there.

    python -m studies.analysis.page studies/analysis

``about.json`` in the folder holds what the models are and the commands: ``{"about": "...", "models": {label:
"..."}, "commands": ["..."], "note": "..."}``; the note says what was not recorded.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from calotype.records.markdown import table, wrapped
from calotype.records.script import guarded, made_of, parser_of
from studies.inside.erf import sides


def page(folder: Path) -> str:
    """The page as Markdown; nothing on it but what is stored.

    Raises:
        OSError: when ``about.json`` is missing.
        ValueError: when a file there is not what the page needs.
    """
    lines, commands = made_of(folder / "about.json", _about)
    for name, read in FIGURES.items():
        if not (folder / f"{name}.json").is_file():
            continue
        (title, head, rows), made = made_of(folder / f"{name}.json", lambda r, read=read: (read(r), _made(r)))
        lines += ["", f"## {title}", "", *table(head, rows), "", *made]
        if (folder / f"{name}.png").is_file():
            lines += ["", f"![{title}]({name}.png)"]
    return "\n".join([*lines, "", *commands]) + "\n"


def _about(about: dict[str, Any]) -> tuple[list[str], list[str]]:
    """How the page begins and ends."""
    begin = ["# Analyses of briefly trained models", "", *wrapped(about["about"]), ""]
    begin += table(["model", "what"], about["models"].items(), "ll")
    end = ["## Commands", "", *(f"    {command}" for command in about["commands"]), ""]
    return begin, end + wrapped(f"{about['note']} Generated from the JSON beside it.")


def _made(record: dict[str, Any]) -> list[str]:
    """Where the numbers of one analysis come from, as stored with them."""
    commit, where, versions = record["commit"] or "unknown", record["hardware"], record["libraries"]
    changed = " with changes" if commit.endswith("+") else ""
    return wrapped(
        f"Numbers: {record['finished'][:10]}, commit `{commit[:10]}`{changed}, {where['processor']} with "
        f"{where['cores']} cores, Calotype {versions['calotype']}, torch {versions['torch']}."
    )


def _erf(record: dict[str, Any]) -> tuple[str, list[str], list[list[str]]]:
    thresholds = [f"{t:g}" for t in record["thresholds"]]
    head = ["model", "radius, pixels", *(f"above {t}: rows x columns, share" for t in thresholds)]
    rows = []
    for model in record["models"]:
        cells = [model["model"], "-" if model["radius"] is None else f"{model['radius']:.1f}"]
        for t in thresholds:
            reach = model["extent"][t]
            cells.append(f"{sides(reach)}, {100 * reach['share']:.2f} %")
        rows.append(cells)
    return "Effective receptive field of a latent", head, rows


def _deviation(record: dict[str, Any]) -> tuple[str, list[str], list[list[str]]]:
    head = ["model", "epsilon_s", "as printed in the paper", "after latent residual prediction"]
    keys = ("epsilon_s", "epsilon_s_literal", "after_residual_prediction")
    rows = [
        [model["model"], *("-" if model[k] is None else f"{model[k]:.3f}" for k in keys)]
        for model in record["models"]
    ]
    return "Latent deviation", head, rows


def _correlation(record: dict[str, Any]) -> tuple[str, list[str], list[list[str]]]:
    head = ["model", "centre", "off-centre", "off-centre / centre", "per channel"]
    rows = [
        [
            m["model"],
            *(
                f"{v:.3f}"
                for v in (
                    m["centre"],
                    m["off_centre"],
                    m["off_centre"] / m["centre"],
                    m["channel_off_centre"],
                )
            ),
        ]
        for m in record["models"]
    ]
    return "Correlation map", head, rows


FIGURES = {"erf": _erf, "deviation": _deviation, "correlation": _correlation}


@guarded
def main(arguments: Sequence[str] | None = None) -> None:
    """Write the pages of folders again."""
    parser = parser_of(__file__, __doc__)
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER")
    for folder in parser.parse_args(arguments).folders:
        (folder / "README.md").write_text(page(folder), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
