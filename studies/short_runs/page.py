"""The page of the short runs, from what `studies.short_runs` stored."""

from __future__ import annotations

from typing import Any

from calotype.records.markdown import table, wrapped

FIRST, LAST = 10, 0.2
"""The first loss is the mean of so many steps, the last one that of the last fifth of all."""
HEADS = ("parameters", "steps", "loss, first", "loss, last", "held out, before", "after")
CODED = ("bpp of files", "estimated", "PSNR, dB")
LIBRARIES = ("calotype", "torch", "numpy")
"""Whose versions the page names."""


def rounded(value: Any) -> float:
    """Six digits, as results are stored."""
    return float(f"{float(value):.6g}")


def markdown(record: dict[str, Any]) -> str:
    """The page; nothing on it but what ``record`` says."""
    train, photos, commit = record["train"], record["photographs"], record["commit"] or "unknown"
    shapes = ", ".join(f"{c['height']} x {c['width']}" for c in record["crops"])
    flat = _mean([c["one_colour_psnr"] for c in record["crops"]])
    seconds, count = f"{record['seconds_per_model']:g}", len(record["crops"])
    python, libraries = record["hardware"]["python"], record["libraries"]
    versions = ", ".join([f"python {python}", *(f"{k} {libraries[k]}" for k in LIBRARIES)])
    changed = " with changes" if commit.endswith("+") else ""
    about = f"""
        **{seconds} seconds of training on one thread for each system, with few channels.** They show whether
        every system learns, and whether its files come back exactly and are as long as estimated. They say
        nothing of which system is better: the widths are arbitrary, and slow systems did few steps.
    """
    how = f"""
        Loss: `bpp + {record["lambda"]:g} x 255^2 x MSE`. Each step {train["batch"]} crops of
        {train["crop"]} x {train["crop"]} pixels; Adam at a constant rate of {train["lr"]:g}; seed
        {train["seed"]}; {photos["photographs"]} photographs ({photos["megapixels"]:g} megapixels),
        {train["held_out"]} of them held out.
    """
    notes = f"""
        *Loss*: of training, the mean of the first {FIRST} and of the last {100 * LAST:g} % of the steps.
        *Held out*: the same on rounded latents and 8-bit pixels of the held-out photographs (the middle
        256 x 256), with averaged weights, before the first step and after the last. *Files*: {count} held-out
        crops ({shapes}), all bytes counted; bold where one is not within 1 % + 32 bytes of its estimate. The
        container takes 22 bytes and the coder's state at the end up to 16; a latent that is thought nearly
        impossible is estimated at 30 bits (a probability of 1e-9) and takes fewer in a file. One colour for
        each crop would have {flat:.2f} dB. *Exact*: another process, with only the checkpoint and the bytes,
        finds the encoder's latents and pixels, bit by bit.
    """
    made = f"""
        {record["finished"][:10]}, commit `{commit[:10]}`{changed}, one thread of
        {record["hardware"]["processor"]}, {versions}. Generated from `results.json`.
    """
    heads = ["system", *HEADS, *CODED, "exact"]
    command = f"    {record['command']}"
    own = list(dict.fromkeys(_own(row["own"]) for row in record["systems"] if "own" in row))
    parts = [
        ["# Short runs"],
        wrapped(about),
        wrapped(how),
        table(heads, map(cells, record["systems"]), f"l{'r' * (len(heads) - 2)}l"),
        wrapped(notes),
        [command],
        wrapped(made),
        *(wrapped("(own) " + text) for text in own),
    ]
    return "\n\n".join("\n".join(part) for part in parts) + "\n"


def _own(own: dict[str, Any]) -> str:
    how = f"{own['seconds_per_model']:g} seconds at a learning rate of {own['lr']:g}"
    commit = (own["commit"] or "unknown")[:10]
    return f"Run for {how}: {own['finished'][:10]}, commit `{commit}`, `{own['command']}`."


def line(row: dict[str, Any]) -> str:
    """A system's line of the table, alone."""
    return " | ".join(cells(row))


def cells(row: dict[str, Any]) -> list[str]:
    """A system's cells of the table."""
    name = row["name"] + (" (own)" if "own" in row else "")
    head = [name, f"{row['parameters']:,}", str(row["steps"])]
    if "failure" in row:
        return [*head, f"**{row['failure']}**", *[""] * 7]
    files = row["files"]
    pixels = sum(f["height"] * f["width"] for f in files)
    bpp, estimate = (8 * sum(f[key] for f in files) / pixels for key in ("bytes", "estimated_bytes"))
    rate = f"{bpp:.4f}" if all(map(sane, files)) else f"**{bpp:.4f}**"
    return [
        *head,
        f"{row['first_loss']:.1f}",
        f"{row['last_loss']:.2f}",
        f"{row['held_out_before']['loss']:.1f}",
        f"{row['held_out_after']['loss']:.2f}",
        rate,
        f"{estimate:.4f}",
        f"{_mean([f['psnr'] for f in files]):.2f}",
        "yes" if all(f["exact"] for f in files) else "**no**",
    ]


def sane(file: dict[str, Any]) -> bool:
    """Whether a file is as long as its estimate."""
    estimate = file["estimated_bytes"]
    return bool(abs(file["bytes"] - estimate) <= 0.01 * estimate + 32)


def learned(row: dict[str, Any]) -> bool:
    """Whether both losses fell, and all files came back exactly."""
    if "failure" in row or row["last_loss"] >= row["first_loss"]:
        return False
    fell = row["held_out_after"]["loss"] < row["held_out_before"]["loss"]
    return bool(fell and all(f["exact"] for f in row["files"]))


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)
