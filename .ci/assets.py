"""The large things of a release, as files that its page carries beside the wheels.

    python .ci/assets.py make FOLDER          # from a clone: packs, weights, results, and what they are
    python .ci/assets.py check FOLDER         # every file is whole, none lacks, none is too many
    python .ci/assets.py check FOLDER --tree  # and this clone would make the same

``manifest.json`` says what each file is and what it was made of, ``SHA256SUMS`` is for those who have only
``sha256sum -c``. Archives are without compression and without times, so that a clone gives the same bytes
everywhere.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PACKS = "src/calotype/packs"
WEIGHTS = {"training/photo/checkpoint.safetensors": "photo-psnr"}
"""Weights to train on from (docs/training.md), and the pack that was made of them."""
RESULTS = re.compile(r"(docs/results|studies)/.*\.(json|jsonl|csv)")
MANIFEST, SUMS = "manifest.json", "SHA256SUMS"


def make(root: Path, folder: Path) -> None:
    """Write the files of the clone ``root`` into ``folder``, which is new or empty.

    Raises:
        ValueError: when there is something in the folder, or something is not in the clone.
    """
    tracked = _git(root, "ls-files", "-z").split("\0")
    changed = "+" if _git(root, "status", "--porcelain", "--untracked-files=no") else ""
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise ValueError(f"{folder} is not empty")
    files: list[dict[str, Any]] = []

    def add(name: str, what: str, sources: list[str], below: str | None) -> None:
        if not sources:
            raise ValueError(f"nothing in {root} is of {what}")
        if below is None:
            shutil.copyfile(root / sources[0], folder / name)
        else:
            _archive(folder / name, {path.removeprefix(below): root / path for path in sources})
        files.append({"file": name, "what": what, "from": sources, **_measure(folder / name)})

    for path in sorted(path for path in tracked if re.fullmatch(rf"{PACKS}/[^/]+/manifest\.json", path)):
        pack = path.split("/")[-2]
        below, key = (
            path.removesuffix("manifest.json"),
            json.loads((root / path).read_text("utf-8"))["id"][:8],
        )
        name = f"pack-{pack.removesuffix(f'-{key}')}-{key}.zip"
        add(name, "a pack: calotype decode --pack", [p for p in tracked if p.startswith(below)], below)
    for path, pack in WEIGHTS.items():
        add(f"weights-{pack}.safetensors", "averaged weights", [path] if path in tracked else [], None)
    add("results.zip", "results as they were measured", [p for p in tracked if RESULTS.fullmatch(p)], "")
    about = {"version": _version(root), "commit": _git(root, "rev-parse", "HEAD").strip() + changed}
    text = json.dumps({**about, "files": files}, indent=1) + "\n"
    (folder / MANIFEST).write_text(text, "utf-8", newline="\n")
    names = [MANIFEST, *(entry["file"] for entry in files)]
    lines = [f"{_measure(folder / name)['sha256']}  {name}\n" for name in names]
    (folder / SUMS).write_text("".join(lines), "utf-8", newline="\n")


def wrong(folder: Path, root: Path | None = None) -> list[str]:
    """What in ``folder`` is not as it was made, a line each; with ``root``, not as that clone makes it."""
    try:
        listed = json.loads((folder / MANIFEST).read_text("utf-8"))["files"]
        expected = {entry["file"]: entry for entry in listed}
        lines = (folder / SUMS).read_text("utf-8").splitlines()
        sums = {name: digest for digest, name in (line.split("  ", 1) for line in lines)}
    except (OSError, ValueError, KeyError, TypeError) as error:
        return [f"{folder} does not hold {MANIFEST} and {SUMS} of a release: {error}"]
    found = []
    for name in sorted({MANIFEST, *expected} ^ set(sums)):
        found.append(f"{name} is in {SUMS if name in sums else MANIFEST} alone")
    for name in sorted({*expected, *sums}):
        if not (folder / name).is_file():
            found.append(f"{name} is missing")
            continue
        measured = _measure(folder / name)
        digest = sums.get(name, measured["sha256"])
        same = all(expected.get(name, measured)[key] == measured[key] for key in measured)
        if not same or digest != measured["sha256"]:
            found.append(f"{name} is not the file that was made: {measured['bytes']} bytes")
    others = {path.name for path in folder.iterdir()} - {SUMS, MANIFEST, *sums, *expected}
    found += [f"{name} is not of this release" for name in sorted(others)]
    if root is not None and not found:
        with tempfile.TemporaryDirectory() as made:
            make(root, Path(made))
            now = {e["file"]: e for e in json.loads((Path(made) / MANIFEST).read_text("utf-8"))["files"]}
        differ = (name for name in sorted({*now, *expected}) if now.get(name) != expected.get(name))
        found += [f"{name} is not what {root} makes" for name in differ]
    return found


def _archive(path: Path, files: dict[str, Path]) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name)
            entry.create_system, entry.external_attr = 3, 0o644 << 16  # as on Unix, wherever it is made
            archive.writestr(entry, files[name].read_bytes())


def _measure(path: Path) -> dict[str, Any]:
    data = path.read_bytes()
    return {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def _version(root: Path) -> str:
    match = re.search(r'^version = "([^"]+)"', (root / "pyproject.toml").read_text("utf-8"), re.MULTILINE)
    return match[1] if match else "nothing"


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True)
    if done.returncode:
        raise ValueError(f"{root} is no clone: {done.stderr.strip()}")
    return done.stdout


def main(arguments: list[str] | None = None) -> int:
    """Print what is wrong; returns 1 if anything is."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("do", choices=("make", "check"))
    options.add_argument("folder", type=Path)
    options.add_argument("--tree", action="store_true", help="check: this clone makes the same files")
    given = options.parse_args(arguments)
    try:
        if given.do == "make":
            make(ROOT, given.folder)
        found = wrong(given.folder, ROOT if given.tree else None)
    except (OSError, ValueError) as error:
        found = [str(error)]
    print("\n".join(found) or f"{given.folder}: whole")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
