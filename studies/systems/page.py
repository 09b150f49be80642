"""The pages beside results.json: what every system costs, and what a rate costs by the three ways to choose
one."""

from __future__ import annotations

from typing import Any

from calotype.records.markdown import table, wrapped


def page(record: dict[str, Any]) -> str:
    """Markdown of what `studies.systems measure` stored."""
    side = record["side"]
    text = f"""
        {len(record["systems"])} systems of the laboratory at the width published for low rates, random
        weights, the middle {side} x {side} pixels of
        {record["picture"]}, one thread. kMAC per pixel by the exact rule, all networks; *decoding* without
        the analyses. Seconds are CPU seconds of one thread, of real files; the machine was busy, so they are
        rough. *Memory*: the largest that the process was above what it held before there was a model, so
        weights are in it, and again in float64 those that probabilities depend on. Systems with *: files in
        iterations; time and memory of four, kMAC per pixel of all 16, both networks. `calotype` is the
        product: counts of the model as it is trained, its decoding with the hyper-analysis, which is small
        and only encoders need; time and memory of the program (integers, eight bits) with the default pack.
    """
    heads = [
        "system", "parameters", "kMAC/px", "decoding", "encode, s", "decode, s", "encode, MiB", "decode, MiB",
    ]  # fmt: skip
    rows = []
    for s in record["systems"]:
        star = "*" if s["parts"] else ""
        decoding = "-" if s["parts"] else f"{s['kmacs_decoding']:.1f}"
        cells = [f"`{s['system']}`{star}", f"{s['parameters']:,}", f"{s['kmacs']:.1f}", decoding]
        for key, form in (("seconds", "{:.2f}"), ("peak_mib", "{:.0f}")):
            cells += [form.format(s[k][key]) if k in s else "-" for k in ("encode", "decode")]
        rows.append(cells)
    if any("encode" not in s for s in record["systems"]):
        text += " -: counted, not run, for want of time."
    lines = ["# What the learned systems cost", "", *wrapped(text), "", *table(heads, rows), ""]
    here = record["hardware"]["processor"]
    later: dict[tuple[str, str], list[str]] = {}
    for s in record["systems"]:
        if "commit" in s and (s["commit"], s["processor"]) != (record["commit"], here):
            later.setdefault((s["commit"], s["processor"]), []).append(f"`{s['system']}`")
    added = "".join(
        f" Since then, at `{at}` on {on}: {', '.join(names)}." for (at, on), names in later.items()
    )
    made = f"""
        Made by `{record["command"]}` at commit `{record["commit"]}` on {here},
        torch {record["libraries"]["torch"]}.{added} Generated from results.json.
    """
    return "\n".join([*lines, *wrapped(made)]) + "\n"
