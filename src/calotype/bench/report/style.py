"""One colour per family of codecs, one dash per member, the same in the page and the figures."""

from __future__ import annotations

FAMILIES = {
    "calotype": "#d62728",
    "lab": "#b5179e",
    "jpeg": "#7f7f7f",
    "mozjpeg": "#a0785a",
    "jpegli": "#c7a76c",
    "webp": "#2ca02c",
    "jpeg2000": "#17a2b8",
    "jxl": "#e67e22",
    "avif": "#1f77b4",
    "av1": "#4aa3df",
    "hevc": "#6a51a3",
    "bpg": "#9e7bd6",
    "hm": "#54278f",
    "vvc": "#111111",
    "vtm": "#3b3b3b",
}
OTHERS = ("#e377c2", "#bcbd22", "#008080", "#b8860b", "#5f9ea0", "#8b0000", "#556b2f", "#4682b4")
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")


def styles(codecs: dict[str, str]) -> dict[str, dict[str, object]]:
    """Colour, dash and width of each codec. `codecs` maps name to family."""
    seen: dict[str, int] = {}
    others: dict[str, str] = {}
    made: dict[str, dict[str, object]] = {}
    for name, family in codecs.items():
        if family not in FAMILIES and family not in others:
            others[family] = OTHERS[len(others) % len(OTHERS)]
        color = FAMILIES.get(family) or others[family]
        dash = DASHES[seen.get(family, 0) % len(DASHES)]
        seen[family] = seen.get(family, 0) + 1
        made[name] = {"color": color, "dash": dash, "width": 3.5 if family in ("calotype", "lab") else 1.8}
    return made
