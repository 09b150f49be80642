"""Whether a release can be made of this source tree: everything that names a version or an address agrees.

    python .ci/release.py [--tag v0.1.0] [--repository https://github.com/OWNER/NAME]

Without ``--tag`` the changelog may still have its entries under *Unreleased*.
"""

from __future__ import annotations

import argparse
import re
import sys
from datetime import date
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def wrong(root: Path, tag: str | None = None, repository: str | None = None) -> list[str]:
    """What does not agree in the tree ``root``, a line each."""
    project, changelog, citation = (
        (root / name).read_text(encoding="utf-8")
        for name in ("pyproject.toml", "CHANGELOG.md", "CITATION.cff")
    )
    found = []
    version = _one(r'^version = "([^"]+)"', project)
    address = _one(r'^Source = "([^"]+)"', project)
    if (cited := _one(r"^version: (\S+)", citation)) != version:
        found.append(f"CITATION.cff is of version {cited}, pyproject.toml of {version}")
    for name, text in (("pyproject.toml", project), ("CHANGELOG.md", changelog), ("CITATION.cff", citation)):
        others = set(re.findall(r"https://github\.com/[\w.-]+/calotype\b", text)) - {address}
        found += [f"{name} names {other}, not {address}" for other in sorted(others)]
    if repository is not None and repository != address:
        found.append(f"pyproject.toml says that the repository is {address}; this is {repository}")
    if tag is not None:
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


def _one(pattern: str, text: str) -> str:
    match = re.search(pattern, text, re.MULTILINE)
    return match[1] if match else "nothing"


def main(arguments: list[str] | None = None) -> int:
    """Print what is wrong; returns 1 if anything is."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--tag", help="of the release, v and the version")
    options.add_argument("--repository", help="address of the repository that releases")
    given = options.parse_args(arguments)
    found = wrong(ROOT, given.tag, given.repository)
    print("\n".join(found) or "ready")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
