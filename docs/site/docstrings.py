"""Docstrings as this project writes them, for mkdocstrings: an extension of Griffe.

In them, parameters are lines ``name:   what it is`` with what follows indented, and ``::`` announces an
example. Here the former become a section *Args* when the function has such parameters, and a list otherwise.
"""

from __future__ import annotations

import re
from typing import Any

import griffe

ENTRY = re.compile(r"(\w+(?:, \w+)*):\s+(\S.*)")
ROLE = re.compile(r":(?:func|mod|class|meth|attr):`~?([\w.]+)`")


class Plain(griffe.Extension):
    """Rewrites every docstring before it is parsed."""

    def on_instance(self, *, obj: Any, **kwargs: Any) -> None:
        if isinstance(obj, griffe.Alias) or obj.docstring is None:
            return
        known = {p.name for p in obj.parameters} if isinstance(obj, griffe.Function) else set()
        obj.docstring.value = rewritten(obj.docstring.value, known)


def rewritten(text: str, known: set[str]) -> str:
    """The docstring in Google's style. known: names of the function's parameters."""
    text = ROLE.sub(r"`\1`", text).replace("::\n", "\n")
    done = []
    for block in text.split("\n\n"):
        entries = _entries(block.splitlines())
        if not entries:
            done.append(block)
        elif known and all(name in known for names, _ in entries for name in names.split(", ")):
            lines = [f"    {name}: {said}" for names, said in entries for name in names.split(", ")]
            done.append("\n".join(["Args:", *lines]))
        else:
            done.append("\n".join(f"- `{name}`: {said}" for name, said in entries))
    return "\n\n".join(done)


def _entries(lines: list[str]) -> list[tuple[str, str]]:
    """Names and texts of a block all of which is entries; nothing of any other."""
    found: list[tuple[str, str]] = []
    for line in lines:
        match = ENTRY.fullmatch(line)
        if match and match[1] not in ("Raises", "Returns", "Args", "Yields"):
            found.append((match[1], match[2]))
        elif found and line.startswith("  "):
            found[-1] = (found[-1][0], f"{found[-1][1]} {line.strip()}")
        else:
            return []
    return found
