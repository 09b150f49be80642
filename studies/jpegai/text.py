"""The text around the counts of `complexity`: what was published, where we differ, the table."""

from __future__ import annotations

from typing import Any

from calotype.records.markdown import table, wrapped

RULES = ("exact", "biases", "layers", "ptflops")
HEADS = [
    "decoder", "parameters", "exact", "+ biases", "layers", "ptflops", "vs base", "s/MP", "published",
]  # fmt: skip
ALIGN = "lrrrrrrrl"
BRIEF = [0, *range(2, 7)]
"""Columns of the table of wirings."""

PUBLISHED = {
    "baseline": "833 (text), 852 (abstract)",
    "attention-cs": "up to -75 %; better than DS",
    "attention-ds": "up to -75 %",
    "shuffle": "costs 0.2 % BD-rate",
    "activation": "costs 0.1 % BD-rate",
    "combination": "172.1 (text), 180 (abstract)",
    "HOP": "145.5 exact, 191.9 ptflops",
    "BOP": "11.2 exact, 17.1 ptflops",
    "SOP": "4.3 exact, 4.3 ptflops",
}
"""Of the decoder's complexity in kMAC/px, where that was given; the last three were measured on the reference
software."""


def differences(result: dict[str, Any]) -> str:
    """Where we differ from what was published, with the figures of a counted table."""
    cost = {r["name"]: r["kmacs"] for r in (*result["variants"], *result["wirings"])}
    base = cost["baseline"]

    def saved(name: str) -> str:
        return f"{100 * (1 - cost[name]['exact'] / base['exact']):.0f} %"

    others = sorted(saved(f"{low}, then {high}") for low in ("TAM", "CAB") for high in ("CS", "DS"))
    points = [
        "The wiring is inferred. It was chosen because the baseline then costs "
        f"{base['biases']:.1f} with biases, which is the published 833. 852 may be the whole decoder, "
        "hyper-decoder and context included (833 + 19); that is a guess.",
        "CS and DS stand at the higher of the two attentions, the one after the third upsampling; the lower "
        f"one keeps its RNAB. That saves {saved('attention-cs')} (CS) and {saved('attention-ds')} (DS); "
        f'published is "up to 75 %". Plain TAM at both would save {saved("TAM, then TAM")}; CS or DS with '
        f"TAM or CAB in the place of the lower RNAB, {others[0]} to {others[-1]}.",
        "The combination here is CS, conv1 + shuffle at the third upsampling, and the plain activation. "
        f"It costs {cost['combination']['exact']:.1f}, not 172.1 or 180, and no wiring that we tried gives "
        "those numbers in any of the rules.",
        "CAB at 1/4 with DS at 1/2 costs "
        f"{cost['CAB, then DS']['biases']:.1f} with biases here. A count of 141.9 that is given for it "
        "elsewhere does not follow from that source's own figures for the parts, which add up to ours.",
        "The simplified activation saves no multiply-accumulates; what it saves is the tanh and a product "
        "per sample.",
        "The published counter is ptflops, of a version that is not given; 0.6.5, which the reference "
        f"software pins, counts {base['ptflops']:.0f} for the baseline.",
    ]
    head = "Where this differs from the paper (its text and tables could not be had):"
    return "\n".join([head, "", *(line for point in points for line in wrapped(point, 110, "* "))])


def render(result: dict[str, Any]) -> str:
    """The table as Markdown text; where it has times, of a result with its provenance."""
    timed = result["variants"][0]["seconds"] is not None
    base = result["variants"][0]["kmacs"]
    lines = ["kMAC per pixel of the decoder's transform, VCIP 2023 (reconstruction):", ""]
    lines += table(HEADS, [_cells(r, base, timed) for r in result["variants"]], ALIGN, padded=True)
    lines += ["", "Final reference software (chroma latents 48):", ""]
    lines += table(HEADS, [_cells(r, base, timed) for r in result["final"]], ALIGN, padded=True)
    lines += [
        "",
        "Other wirings: attention at the lower, then at the higher resolution; the rest as in the baseline:",
        "",
    ]
    cells = [_cells(r, base, timed) for r in result["wirings"]]
    lines += table([HEADS[i] for i in BRIEF], [[c[i] for i in BRIEF] for c in cells], padded=True)
    if timed:
        m, versions = result["timing"], result["libraries"]
        lines += [
            "",
            f"Times: {result['hardware']['processor']}, torch {versions['torch']}, one thread, float32, "
            f"{m['size']} x {m['size']} pixels, median CPU time of {m['repeats']}.  The rest of decoding a "
            f"lab file (rANS, sigmas, means; float64) takes {result['entropy_seconds']:.2f} s/MP more, the "
            "same for all variants.",
        ]
    return "\n".join([*lines, "", differences(result)])


def _cells(r: dict[str, Any], base: dict[str, float], timed: bool) -> list[str]:
    change = 100 * (r["kmacs"]["exact"] / base["exact"] - 1)
    exact = f"{r['kmacs']['exact']:.2f}"
    if r["name"] in ("HOP", "BOP", "SOP"):
        exact += f" ({r['luma']:.2f} + {r['kmacs']['exact'] - r['luma']:.2f})"
    return [
        r["name"],
        f"{r['parameters']:,}",
        exact,
        *(f"{r['kmacs'][rule]:.1f}" for rule in RULES[1:]),
        f"{change:+.1f} %" if change else "",
        f"{r['seconds']:.2f}" if timed and r["seconds"] is not None else "",
        r["published"],
    ]
