"""A page for each system, from the registry: diagram, citation, sizes, and what it costs."""

from __future__ import annotations

import hashlib
import importlib
import json
import re
from pathlib import Path
from typing import Any

import torch

from calotype.lab import registry
from calotype.lab.analysis import complexity
from calotype.records import markdown

SIZE = (256, 256)
COLOURS = ("#b3541e", "#1f6f8b", "#5b7a2a", "#7a4fa3", "#c9a227", "#b0476b", "#4f6d7a", "#8a7f78")


def navigation() -> list[Any]:
    """The entries of the menu, by year."""
    years: dict[str, list[dict[str, str]]] = {}
    for name in registry.names():
        undated = "JPEG AI, final" if name.startswith("jpegai") else "Ours"
        year = (re.findall(r"\d{4}", name) or [undated])[0]
        years.setdefault(year, []).append({name: f"systems/{name}.md"})
    return [{"One by one": [{year: pages} for year, pages in years.items()]}]


def linked(text: str) -> str:
    """The page of all systems, with the names in its table leading to their pages."""
    names = set(registry.names())
    return re.sub(
        r"^\| `([a-z0-9-]+)` \|",
        lambda m: f"| [`{m[1]}`](systems/{m[1]}.md) |" if m[1] in names else m[0],
        text,
        flags=re.MULTILINE,
    )


def pages(cache: Path | None) -> dict[str, str]:
    """The pages' sources. cache: where what was counted is kept; None leaves the counting out."""
    counted = {} if cache is None else _counted(cache)
    return {f"systems/{name}.md": _page(name, counted.get(name)) for name in registry.names()}


def _counted(cache: Path) -> dict[str, dict[str, Any]]:
    sources = sorted((Path(registry.__file__).parent).rglob("*.py"))
    state = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()
    if cache.is_file() and (kept := json.loads(cache.read_text())).get("state") == state:
        return dict(kept["systems"])
    found = {name: _count(name) for name in registry.names()}
    cache.parent.mkdir(parents=True, exist_ok=True)
    cache.write_text(json.dumps({"state": state, "systems": found}))
    return found


def _count(name: str) -> dict[str, Any]:
    with torch.device("meta"):
        model = registry.build(name)
    return {
        "parts": complexity.part_parameters(model),
        "kmacs": complexity.kmacs_per_pixel(model, "exact", SIZE),
        "latents": {key: list(shape) for key, shape in complexity.latent_shapes(model, SIZE).items()},
    }


def _page(name: str, counted: dict[str, Any] | None) -> str:
    entry = registry.entry(name)
    module = importlib.import_module(entry.model.__module__)
    file = f"src/{entry.model.__module__.replace('.', '/')}.py"
    lines = [
        f"# {name}",
        "",
        f"{entry.summary[0].upper()}{entry.summary[1:]}.",
        "",
        f"*{entry.citation}*",
        "",
    ]
    document = (module.__doc__ or "").strip()
    # A diagram is announced by "::", and is indented in the text.
    lines += ["## What it is", "", document.replace("\n::\n", "\n"), ""]
    if own := (entry.model.__doc__ or "").strip():
        lines += [f"`{entry.model.__name__}`: {own}", ""]
    lines += ["## Sizes", ""]
    for title, config in (("As here", entry.config), ("For high rates", entry.high)):
        if config:
            lines.append(f"- {title}: {', '.join(f'`{k}={v}`' for k, v in config.items())}")
    if counted:
        lines += ["", "## What it costs", "", *_costs(counted)]
    lines += ["", "## Try it", "", "```sh", f"calotype lab describe {name}"]
    lines += [f"calotype lab train {name} --data photos/ --out run", "```", ""]
    lines += [f"[Training](../training.md) says more. The code: [{file}](../../{file})."]
    return "\n".join(lines) + "\n"


def _costs(counted: dict[str, Any]) -> list[str]:
    kmacs, parts = counted["kmacs"], counted["parts"]
    total = sum(v for k, v in kmacs.items() if k != "total")
    names = [k for k in dict.fromkeys([*parts, *kmacs]) if k != "total" and (parts.get(k) or kmacs.get(k))]
    shares = [(k, kmacs.get(k, 0.0) / total if total else 0.0) for k in names]
    bars = "".join(
        f'<span style="width:{100 * share:.2f}%;background:{COLOURS[i % len(COLOURS)]}" title="{k}"></span>'
        for i, (k, share) in enumerate(shares)
    )
    key = "".join(
        f'<i style="background:{COLOURS[i % len(COLOURS)]}"></i>{k} {100 * share:.0f} %'
        for i, (k, share) in enumerate(shares)
        if share >= 0.005
    )
    rows = [[f"`{k}`", f"{parts.get(k, 0):,}", f"{kmacs.get(k, 0.0):.2f}"] for k in names]
    rows.append(["together", f"{sum(parts.values()):,}", f"{total:.2f}"])
    maps = ", ".join(f"`{key}` of {' x '.join(map(str, shape))}" for key, shape in counted["latents"].items())
    return [
        f"Thousands of multiplications for each pixel, there and back: **{total:.1f}**. Shares of the parts:",
        "",
        f'<div class="bar">{bars}</div><div class="key">{key}</div>',
        "",
        *markdown.table(["part", "parameters", "kMAC per pixel"], rows),
        "",
        f"A picture of {SIZE[0]} x {SIZE[1]} pixels becomes {maps} numbers (channels x rows x columns). "
        "Counted are all products: [the laboratory's rule *exact*](../lab-analysis.md#three-ways-to-count).",
    ]
