"""Whether a release can be made of this source tree: everything that names a version or an address agrees.

    python .ci/release.py [--tag v0.1.0] [--repository https://github.com/OWNER/calotype]
    python .ci/release.py --address https://github.com/OWNER/calotype    # writes it wherever it stands
    python .ci/release.py --packs    # enters in their history that the packs of this tree are released

Without ``--tag`` the changelog may still have its entries under *Unreleased*, and the address may be the one
that stands for none.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from datetime import date
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
FILES = (
    "pyproject.toml",
    "CHANGELOG.md",
    "CITATION.cff",
    "web/decoder/package.json",
    "web/decoder/README.md",
    "native/calotype.h",
)
NO_ADDRESS = "https://calotype.invalid/calotype"
"""Stands where the repository has no public address yet; names that end so lead nowhere (RFC 2606)."""
PACKS = "src/calotype/packs"
HISTORY = "docs/results/packs/history.json"
"""Packs that are ``released`` there stay in the package for good: files name them."""
ADDRESS = re.compile(r"https://[\w.-]+(?:/[\w.-]+)?/calotype\b")


def wrong(root: Path, tag: str | None = None, repository: str | None = None) -> list[str]:
    """What does not agree in the tree ``root``, a line each."""
    project, changelog, citation, npm, _, header = texts = [
        (root / name).read_text(encoding="utf-8") for name in FILES
    ]
    found = []
    version = _one(r'^version = "([^"]+)"', project)
    address = _one(r'^Source = "([^"]+)"', project)
    if (cited := _one(r"^version: (\S+)", citation)) != version:
        found.append(f"CITATION.cff is of version {cited}, pyproject.toml of {version}")
    if (packed := _one(r'^  "version": "([^"]+)"', npm)) != version:
        found.append(f"web/decoder/package.json is of version {packed}, pyproject.toml of {version}")
    major, minor, patch = (int(number) for number in version.split("."))
    number = f"{10000 * major + 100 * minor + patch}"
    if (built := _one(r"^#define CALOTYPE_VERSION (\d+)$", header)) != number:
        found.append(f"native/calotype.h says CALOTYPE_VERSION {built}, which is {number} for {version}")
    for name, text in zip(FILES, texts, strict=True):
        others = set(ADDRESS.findall(text)) - {address}
        found += [f"{name} names {other}, not {address}" for other in sorted(others)]
    if repository is not None and repository != address:
        found.append(f"pyproject.toml says that the repository is {address}; this is {repository}")
    here, released = _packs(root), {e["id"] for e in _history(root)["packs"] if "released" in e}
    found += [f"{PACKS} lacks {id[:8]}, which was released" for id in sorted(released - set(here))]
    if tag is not None:
        if address == NO_ADDRESS:
            found.append("the repository has no address yet: python .ci/release.py --address https://...")
        entry = re.search(rf"^## \[{re.escape(version)}\] - (\d{{4}}-\d\d-\d\d)$", changelog, re.MULTILINE)
        if tag != f"v{version}":
            found.append(f"the tag is {tag}, the version {version}")
        if entry is None:
            found.append(f"CHANGELOG.md has no '## [{version}] - YYYY-MM-DD'")
        elif _one(r"^date-released: (\S+)", citation) != entry[1]:
            found.append(f"CITATION.cff does not say date-released: {entry[1]}")
        elif date.fromisoformat(entry[1]) > date.today():
            found.append(f"CHANGELOG.md dates {version} in the future")
        found += [
            f"{HISTORY} does not say that {name} ({id[:8]}) is released: python .ci/release.py --packs"
            for id, name in sorted(here.items())
            if id not in released
        ]
    return found


def move(root: Path, address: str) -> None:
    """Write the repository's address wherever the tree ``root`` has one.

    Raises:
        ValueError: for what `wrong` would not know as one.
    """
    if not ADDRESS.fullmatch(address):
        raise ValueError(f"an address is https://HOST/OWNER/calotype, got {address!r}")
    for name in FILES:
        text = (root / name).read_text(encoding="utf-8")
        (root / name).write_text(ADDRESS.sub(address, text), encoding="utf-8")


def release(root: Path) -> None:
    """Write into the history of packs that those of the tree ``root`` are released, with its version.

    Raises:
        ValueError: for a pack that the history does not have.
    """
    history = _history(root)
    version = _one(r'^version = "([^"]+)"', (root / "pyproject.toml").read_text(encoding="utf-8"))
    entries = {entry["id"]: entry for entry in history["packs"]}
    for id, name in _packs(root).items():
        if id not in entries:
            raise ValueError(f"{HISTORY} does not have {name} ({id[:8]})")
        entries[id].setdefault("released", version)
    (root / HISTORY).write_text(json.dumps(history, indent=1) + "\n", encoding="utf-8", newline="\n")


def _packs(root: Path) -> dict[str, str]:
    """Names of folders by id."""
    manifests = sorted((root / PACKS).glob("*/manifest.json"))
    return {json.loads(path.read_text(encoding="utf-8"))["id"]: path.parent.name for path in manifests}


def _history(root: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((root / HISTORY).read_text(encoding="utf-8"))
    return found


def _one(pattern: str, text: str) -> str:
    match = re.search(pattern, text, re.MULTILINE)
    return match[1] if match else "nothing"


def main(arguments: list[str] | None = None) -> int:
    """Print what is wrong; returns 1 if anything is."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--tag", help="of the release, v and the version")
    options.add_argument("--repository", help="address of the repository that releases")
    options.add_argument("--address", help="write this address wherever the old one stands, and stop")
    options.add_argument("--packs", action="store_true", help="enter the packs as released, and stop")
    given = options.parse_args(arguments)
    if given.address or given.packs:
        if given.address:
            move(ROOT, given.address)
        if given.packs:
            release(ROOT)
        return 0
    found = wrong(ROOT, given.tag, given.repository)
    print("\n".join(found) or "ready")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
