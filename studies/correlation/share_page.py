"""The page of `studies.correlation.share`, from its stored results."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from calotype.records.markdown import table, wrapped
from studies.correlation.plan import PAPER, WITH, Budget
from studies.paired import Effect, effect, share

HYPERPRIOR, AUTOREGRESSIVE = "cheng", "cheng-autoregressive"
LOSS = HYPERPRIOR + WITH


def gains(record: Mapping[str, Any], key: str) -> list[float]:
    """Of each seed that has it: what ``key`` gains over the hyperprior, in percent of the hyperprior's rate,
    a unit of MSE counted as lambda bits per pixel.
    """
    pairs = [(seed[HYPERPRIOR], seed[key]) for seed in record["seeds"] if key in seed]
    return [100 * (base["cost"] - one["cost"]) / base["bpp"] for base, one in pairs]


def page(record: Mapping[str, Any]) -> str:
    """Markdown."""
    budget = Budget.from_dict(record["budget"])
    config, start = budget.config(True), record["start"]
    trained = [key for key in (LOSS, *record["starts"]) if gains(record, key)]
    about = f"""
        One start, Cheng's hyperprior after {budget.base} steps without the loss (n = {budget.n}). A context
        model has its weights in all that both have; its own layers, drawn, learn alone for {start["steps"]}
        steps at {start["lr"]:g}, all else frozen. From there every run goes on for {config.steps} steps of
        {config.batch} crops of {config.crop} pixels at {config.lr:g}, lambda {budget.lambdas[0]:g}; the runs
        of a seed see the same crops and the same noise. Averaged weights, real files of
        {len(record["pictures"])} pictures of Kodak. Slices: {_told(budget.charm)}. *Gain*:
        percent of the hyperprior's rate saved at equal PSNR, a unit of MSE counted as lambda bits per pixel.
    """
    keys = [key for key in (HYPERPRIOR, LOSS, *record["starts"]) if any(key in s for s in record["seeds"])]
    rows = []
    for seed in record["seeds"]:
        for key in (k for k in keys if k in seed):
            one, base = seed[key], seed[HYPERPRIOR]
            gain = 100 * (base["cost"] - one["cost"]) / base["bpp"]
            told = "" if key == HYPERPRIOR else f"{gain:+.2f}"
            rows.append([str(seed["seed"]), key, f"{one['bpp']:.4f}", f"{one['psnr']:.3f}", told])
    whole, effects = effect(gains(record, AUTOREGRESSIVE)), []
    for key in trained:
        found = gains(record, key)
        own = effect(found) if len(found) > 1 else None
        cells = [key, str(len(found)), own.told(1, " %") if own else f"{found[0]:+.1f} %"]
        if own and key == AUTOREGRESSIVE:
            effects.append([*cells, "100 %", "", own.points(1)])
            continue
        part, claim = own and share(own, whole), PAPER["share"][key]
        told = "-" if part is None else part.told(0, " %")
        effects.append([*cells, told, f"{claim} %", verdict(part, claim)])
    heads = [
        "system", "pairs", "gain over the hyperprior", "share of autoregression's", "published", "verdict",
    ]  # fmt: skip
    notes = """
        Gains: mean and 95 % interval over the pairs (Student's t). Share: ratio of the means, and the least
        and the most that the two intervals allow (90 % at least). *Seen*: the interval lies above 0 and holds
        the published share, or all of it is more; *seen, smaller than published*: it lies above 0 and below
        that; *not seen*: it holds 0 and lies below that; *cannot be told*: it holds both, or there is one
        pair only, or autoregression's own gain cannot be told from 0.
    """
    commits = ", ".join(f"`{c}`" for c in sorted({str(s["commit"]) for s in record["starts"].values()}))
    made = f"""
        Trained at {commits} from the start of the [pairs](cheng/pairs.md). Measured by `{record["command"]}`
        at `{record["commit"]}` on {record["hardware"]["processor"]}, torch {record["libraries"]["torch"]},
        {record["finished"][:10]}. Generated from share.json.
    """
    parts = [
        ["# How much of autoregression's gain the loss has"],
        wrapped(about),
        table(heads, effects, "lrllrl"),
        wrapped(notes),
        ["## Every run"],
        table(["seed", "system", "bpp", "PSNR, dB", "gain, %"], rows, "rlrrr"),
        wrapped(made),
    ]
    return "\n\n".join("\n".join(part) for part in parts) + "\n"


def _told(charm: Mapping[str, Any]) -> str:
    """How many slices there are, and how wide their networks."""
    widths = charm.get("widths", (224, 128))
    return f"{charm['slices']}, with networks of {' and '.join(map(str, widths))} channels"


def verdict(part: Effect | None, claim: float) -> str:
    """In the words of `Effect.verdict`."""
    return "cannot be told at this budget" if part is None else part.verdict(claim)
