"""The page of `studies.correlation.share`, from its stored results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from calotype.records.markdown import table, wrapped
from studies.correlation.plan import PAPER, WITH, Budget
from studies.paired import Effect, effect, share

HYPERPRIOR, AUTOREGRESSIVE = "cheng", "cheng-autoregressive"
LOSS = HYPERPRIOR + WITH
CONTROL = "cheng-control"
"""The hyperprior whose own layers have learned alone for as long as those of context models."""
UNTOLD = "cannot be told at this budget"
WORDS = {
    CONTROL: "the control, that is the hyperprior whose own layers have as many steps",
    "cheng-checkerboard": "the checkerboard without the loss",
    "cheng-charm": "slices without the loss",
}
"""What the loss's part of a share needs."""


def gains(record: Mapping[str, Any], key: str, base: str = HYPERPRIOR) -> list[float]:
    """Of each seed that has both: what ``key`` gains over ``base``, in percent of the hyperprior's rate, a
    unit of MSE counted as lambda bits per pixel.
    """
    pairs = [(s[base], s[key], s[HYPERPRIOR]["bpp"]) for s in record["seeds"] if key in s and base in s]
    return [100 * (a["cost"] - b["cost"]) / bpp for a, b, bpp in pairs]


def fair_share(record: Mapping[str, Any], key: str) -> Effect | None:
    """What part of autoregression's gain a system with the loss has, in percent, both over the control.  None
    where the control or the same system without the loss is missing, or autoregression gains nothing.
    """
    own, without = (CONTROL + WITH, CONTROL) if key == LOSS else (key, key.removesuffix(WITH))
    if any(len(gains(record, k, CONTROL)) < 2 for k in (own, without, AUTOREGRESSIVE)):
        return None
    return share(*(effect(gains(record, k, CONTROL)) for k in (own, AUTOREGRESSIVE)))


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
    heads = [
        "system", "pairs", "gain over the hyperprior", "the loss alone", "part of autoregression's",
        "published", "verdict on that part",
    ]  # fmt: skip
    notes = """
        Gains: mean and 95 % interval over the pairs (Student's t). *The loss alone*: over the same system
        without it, which had the same steps. *Part*: ratio of the means of the two gains over the hyperprior,
        and the least and the most that their intervals allow (90 % at least); a figure, no more. The verdict
        is on the part over the control, where that and the system without the loss were run. *Seen*: the
        interval lies above 0 and holds the published part, or all of it is more; *seen, smaller than
        published*: it lies above 0 and below that; *not seen*: it holds 0 and lies below that; *cannot be
        told*: it holds both, or a run is missing, or autoregression's own gain cannot be told from 0.
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
        wrapped(_untold(record)),
        table(heads, [_cells(record, key) for key in trained], "lrlllrl"),
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


def _untold(record: Mapping[str, Any]) -> str:
    """What the runs leave open."""
    missing = [words for key, words in WORDS.items() if len(gains(record, key, key)) < 2]
    text = f"""
        **What this does not tell.** A context model's own layers have {record["start"]["steps"]} steps that
        the hyperprior has not had, with the loss or without: what it gains is of what it sees and of these
        steps together.
    """
    if missing:
        text += f"""
            Not run: {"; ".join(missing)}. So what of a part the loss has *{UNTOLD}*.
        """
    return f"""{text}
        All runs have one start: the intervals are over continuations of it, with other crops and other noise,
        and what another start would give is not in them.
    """


def _cells(record: Mapping[str, Any], key: str) -> list[str]:
    """A row of the table."""

    def told(found: Sequence[float]) -> str:
        return effect(found).told(1, " %") if len(found) > 1 else f"{found[0]:+.1f} %" if found else "-"

    found, whole = gains(record, key), effect(gains(record, AUTOREGRESSIVE))
    cells = [key, str(len(found)), told(found)]
    if key == AUTOREGRESSIVE:
        return [*cells, "", "100 %", "", ""]
    alone = told(gains(record, key, key.removesuffix(WITH))) if key.endswith(WITH) else ""
    part = share(effect(found), whole) if len(found) > 1 else None
    cells += [alone, "-" if part is None else part.told(0, " %")]
    if (claim := PAPER["share"].get(key)) is None:
        return [*cells, "", ""]
    fair = fair_share(record, key)
    return [*cells, f"{claim} %", UNTOLD if fair is None else fair.verdict(claim)]
