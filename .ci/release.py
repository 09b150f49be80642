"""Whether a release can be made of this source tree: everything that names a version or an address agrees.

    python .ci/release.py [--tag v0.1.0] [--repository https://github.com/OWNER/calotype]
    python .ci/release.py --address https://github.com/OWNER/calotype    # writes it wherever it stands

Without ``--tag`` the changelog may still have its entries under *Unreleased*, and the address may be the one
that stands for none.
"""

from __future__ import annotations

import argparse
import re
import sys
from datetime import date
from pathlib import Path

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


def _one(pattern: str, text: str) -> str:
    match = re.search(pattern, text, re.MULTILINE)
    return match[1] if match else "nothing"


def main(arguments: list[str] | None = None) -> int:
    """Print what is wrong; returns 1 if anything is."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--tag", help="of the release, v and the version")
    options.add_argument("--repository", help="address of the repository that releases")
    options.add_argument("--address", help="write this address wherever the old one stands, and stop")
    given = options.parse_args(arguments)
    if given.address:
        move(ROOT, given.address)
        return 0
    found = wrong(ROOT, given.tag, given.repository)
    print("\n".join(found) or "ready")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
