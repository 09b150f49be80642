"""The page beside account.json, from what `studies.jpegai.account` stored."""

from __future__ import annotations

from typing import Any

from calotype.records.markdown import table, wrapped


def page(record: dict[str, Any]) -> str:
    """The page beside account.json."""
    names = [f"{name} {rule}" for rule in ("exact", "ptflops") for name in ("baseline", "combination")]
    columns = ["stage", *(n.replace(" ", ", ") for n in names)]
    sums = {n: sum(row[n] for row in record["stages"]) for n in names}
    rows = [[f"{r['branch']}: {r['stage']}", *(f"{r[n]:.2f}" for n in names)] for r in record["stages"]]
    rows.append(["all", *(f"{sums[n]:.2f}" for n in names)])
    stages = {f"{r['branch']}: {r['stage']}": r for r in record["stages"]}
    low = sum(stages[k]["combination exact"] for k in ("luma: attention, 1/4", "chroma: attention, 1/8"))
    rest = sums["combination exact"] - low
    ups = [r for r in record["stages"] if r["stage"].startswith("up ")]
    shuffle = {
        rule: sum(r[f"baseline {rule}"] - r[f"combination {rule}"] for r in ups)
        for rule in ("exact", "ptflops")
    }
    alone = 0.25 * 833
    gap = f"""
        Our combination costs {sums["combination exact"]:.1f} kMAC per pixel (exact), the published one 172.1:
        {sums["combination exact"] - 172.1:.1f} too many. {low:.1f} of ours are the two RNAB at the lower
        resolution, which our reading keeps; everything else together is {rest:.1f}. So no change of the rest
        closes the gap unless it is nearly left out: either the lower attention is cheaper than RNAB, or what
        is counted is something else.
    """
    rule = f"""
        Two published figures together say more than each: attention alone saves "up to 75 %", which leaves
        {alone:.0f} of 833, and all three 172.1. The activation saves no products, so the shuffle would save
        about {alone - 172.1:.0f}. Ours saves {shuffle["exact"]:.1f} by the exact rule and
        {shuffle["ptflops"]:.1f} by that of ptflops 0.6.5, which counts a transposed convolution four times
        too high: the published figures are by the latter, or by one like it. In that rule our baseline is
        {sums["baseline ptflops"]:.0f} and not 833, and the combination {sums["combination ptflops"]:.1f}:
        then the baseline is wired otherwise as well.
    """
    kept = [f for f in record["found"] if f["published"][1] == 172.1]
    about = f"""
        {record["tried"]:,} counts were tried (readings times rules): widths of latents and branches,
        attention at either resolution, blocks and widths of TAM, which upsamplings shuffle, which branches
        change. {record["matches"]} give a published pair, {record["both"]} of them also {record["band"][0]:g}
        to {record["band"][1]:g} % for attention alone. With so many tries some hit by chance; none is
        confirmed, and our systems stay as they are. The {len(kept)} that come nearest to 75 %:
    """
    heads = [
        "baseline", "combination", "attention alone", "rule", "latents", "widths", "lower", "higher", "TAM",
        "shuffles", "changed",
    ]  # fmt: skip
    found = []
    for f in kept:
        r = f["reading"]
        base = "" if r["base"] == "rnab" else ", baseline rnab-1"
        tam = f"{r['blocks']} x {r['gamma']:g}" if "tam" in r["low"] + r["high"] else "-"
        found.append(
            [f"{f['baseline']:.2f}", f"{f['combination']:.2f}", f"-{f['saved']:.1f} %", f["rule"],
             f"{r['luma']}, {r['chroma']}", ", ".join(map(str, r["hidden"])) + base, r["low"], r["high"], tam,
             ", ".join(map(str, r["shuffles"])) or "none", r["branches"]]
        )  # fmt: skip
    words = """
        *Lower*, *higher*: attention at luma 1/4 and 1/2, chroma 1/8 and 1/4. `rnab-1`: RNAB that ends in a
        1x1 convolution; `tam-cs`: half of the channels; `tam-cs2`: both halves, each by itself; `tam-ds`:
        convolutions down and up; `tam-ps`: 1x1 convolutions and pixel shuffles in their place. *TAM*: blocks
        x gamma. *Shuffles*: upsamplings of luma that are conv1 and pixel shuffle.
    """
    lines = ["# Where the products of JPEG AI's decoder of 2023 go", ""]
    lines += ["kMAC per pixel of our reading, stage by stage:", "", *table(columns, rows), ""]
    lines += [*wrapped(gap), "", *wrapped(rule), ""]
    lines += ["## Readings that would give the published figures", "", *wrapped(about), ""]
    lines += [*table(heads, found, "rrrl" + "l" * 7), "", *wrapped(words), ""]
    made = f"Made by `{record['command']}` at commit `{record['commit']}`. Generated from `account.json`."
    return "\n".join([*lines, *wrapped(made)]) + "\n"
