"""Earlier runs in the same folder: what a resumed run keeps of their results, and what it says of them."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

from calotype.bench import codecs, results
from calotype.bench.errors import BenchError
from calotype.bench.journal import Journal

ROWS = ("measurements", "timing", "pictures", "failures")


def earlier(folder: Path) -> dict[str, Any] | None:
    """The results that the folder holds already, or None."""
    try:
        return results.read(folder)
    except BenchError:
        return None


def merge(found: dict[str, Any], before: dict[str, Any] | None, only: bool) -> list[str]:
    """Add to `found` what `before` has of codecs that this run does not, on the same pictures.

    Returns what a person should know: what was kept, and what is left out. With `only`, nothing is kept.
    """
    if before is None:
        return []
    by_hash = {image["sha256"]: image["name"] for image in found["images"]}
    names = {i["name"]: by_hash[i["sha256"]] for i in before["images"] if i["sha256"] in by_hash}
    kept, left, notes = [], [], []
    for codec in [c for c in before["codecs"] if c not in found["codecs"]]:
        rows = {
            kind: [{**r, "image": names[r["image"]]} for r in before[kind] if _of(r, codec, names)]
            for kind in ROWS
        }
        if only or not any(rows.values()):
            left.append(codec)
            continue
        kept.append(codec)
        found["codecs"][codec] = before["codecs"][codec]
        for kind in ROWS:
            found[kind] += rows[kind]
    _keep_parts(found, before, names)
    for metric, about in before["metrics"].items():
        if any(metric in m["metrics"] for m in found["measurements"]):
            found["metrics"].setdefault(metric, about)
    if kept:
        notes.append(f"kept from earlier runs: {', '.join(kept)} (--only leaves them out)")
    if left:
        notes.append(f"left out of the results, as not asked for: {', '.join(left)}")
    gone = len(before["images"]) - len(names)
    if gone:
        notes.append(f"{gone} pictures of earlier runs are not asked for, or have changed: left out")
    for codec in found["codecs"]:
        was = before["codecs"].get(codec, {}).get("qualities", [])
        missed = [f"{q:g}" for q in was if q not in found["codecs"][codec]["qualities"]]
        if missed:
            notes.append(f"{codec}: left out, as not asked for: qualities {', '.join(missed)}")
    return notes


def _keep_parts(found: dict[str, Any], before: dict[str, Any], names: dict[str, str]) -> None:
    """Timing and pictures of codecs that have not changed, where this run was asked for none."""
    for codec, about in found["codecs"].items():
        was = before["codecs"].get(codec)
        if was is None or any(was[key] != about[key] for key in ("version", "settings")):
            continue
        for kind in ("timing", "pictures"):
            if not any(r["codec"] == codec for r in found[kind]):
                rows = [r for r in before[kind] if _of(r, codec, names)]
                found[kind] += [{**r, "image": names[r["image"]]} for r in rows]


def _of(row: dict[str, Any], codec: str, names: dict[str, str]) -> bool:
    return row["codec"] == codec and row["image"] in names


def sessions(journal: Journal, before: dict[str, Any] | None, now: dict[str, Any]) -> list[dict[str, Any]]:
    """The runs that measured what the folder holds, oldest first; `now` when there is no other."""
    old: list[dict[str, Any]] = []
    if before is not None:  # it knows of runs that the journal does not: those before its first session
        keys = ("started", "finished", "command", "commit", "hardware", "engine")
        alone = {**{k: before.get(k) for k in keys}, "tasks": journal.earlier or len(before["measurements"])}
        first = journal.sessions[0]["started"] if journal.sessions else now["started"]
        old = [run for run in before.get("sessions", [alone]) if run["tasks"] and run["started"] < first]
    return old + journal.sessions or [{**now, "finished": now["started"], "tasks": 0}]


def duration(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """``started``, ``finished`` over all runs, and ``active_seconds`` that they took in sum."""
    spent = [_time(run["finished"]) - _time(run["started"]) for run in runs]
    return {
        "started": min(run["started"] for run in runs),
        "finished": max(run["finished"] for run in runs),
        "active_seconds": sum(spent, datetime.timedelta()).total_seconds(),
    }


def _time(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(text)


def repeat(command: list[str], found: dict[str, Any], asked: list[str]) -> list[str]:
    """The one command that measures all that is in the results, as if there had been no earlier run.

    command: as given to this run. asked: names of the codecs that it asked for.
    """
    flags = ("--resume", "--retry-failed", "--only")
    words = [word for word in command if word not in flags]
    for option, rows in (("--timing", found["timing"]), ("--pictures", found["pictures"])):
        if rows and _value(words, option) == "0":  # kept from a run that was asked for them
            _take_back(words, option, [run["command"] for run in found["sessions"]])
    kept = [name for name in found["codecs"] if name not in asked]
    if not kept or not words:
        return words
    specs = ",".join(about["spec"] for about in found["codecs"].values())
    for place, word in enumerate(words):
        if word == "--codecs":
            words[place + 1] = specs
        elif word.startswith("--codecs="):
            words[place] = f"--codecs={specs}"
    if not any(word.split("=")[0] == "--codecs" for word in words):
        words += ["--codecs", specs]
    for_all = any(w == "--qualities" and "=" not in words[n + 1] for n, w in enumerate(words[:-1]))
    for name in kept:
        about = found["codecs"][name]
        if for_all or list(about["qualities"]) != _default(about["spec"]):
            words += ["--qualities", f"{about['spec']}={','.join(f'{q:g}' for q in about['qualities'])}"]
    return words


def _value(words: list[str], option: str) -> str | None:
    """What the last ``option`` is given, None when it is not there."""
    found = None
    for word, after in zip(words, [*words[1:], ""], strict=False):  # none at all: nothing
        if word == option:
            found = after
        elif word.startswith(option + "="):
            found = word.partition("=")[2]
    return found


def _take_back(words: list[str], option: str, commands: list[list[str]]) -> None:
    """Give ``option`` the value that it had when it last was not 0; without one, its default."""
    values = [_value(command, option) for command in commands if _value(command, option) != "0"]
    while option in words:
        place = words.index(option)
        del words[place : place + 2]
    words[:] = [word for word in words if not word.startswith(option + "=")]
    if values and values[-1] is not None:
        words += [option, values[-1]]


def _default(spec: str) -> list[float]:
    try:
        return list(codecs.get(spec).qualities)
    except BenchError:  # a checkpoint that is no longer there
        return []
