"""Which codecs a run uses, what each is called in the results, and at which qualities it is measured."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from calotype.bench import codecs
from calotype.bench.errors import BenchError, nearest
from calotype.errors import CalotypeError


@dataclass
class Selection:
    """The codecs of a run, by spec (what `calotype.bench.codecs.get` takes)."""

    codecs: dict[str, codecs.Codec]
    """Those that can run here."""
    names: dict[str, str]
    """What they are called in the results: each codec's name, or its spec where two have one name."""
    versions: dict[str, str]
    missing: list[dict[str, str]]
    """The others: ``codec``, ``reason``, ``install``."""
    chosen: dict[str, tuple[float, ...]]
    """Qualities asked for, by name, family or ``*``."""

    def qualities(self, spec: str) -> tuple[float, ...]:
        codec = self.codecs[spec]
        for name in (spec, self.names[spec], codec.name, codec.family, "*"):
            if name in self.chosen:
                return self.chosen[name]
        return codec.qualities

    def about(self, spec: str) -> dict[str, Any]:
        """What the results say of a codec."""
        codec = self.codecs[spec]
        try:
            complexity = codec.complexity()
        except (CalotypeError, OSError):  # its pack or checkpoint went away meanwhile: it is not known then
            complexity = None
        return {
            "spec": spec,
            "family": codec.family,
            "settings": codec.settings,
            "version": self.versions[spec],
            "quality_unit": codec.quality_unit,
            "qualities": list(self.qualities(spec)),
            "complexity": complexity,
        }


def select(wanted: Sequence[str], qualities: dict[str, tuple[float, ...]] | None) -> Selection:
    """Look at every codec asked for; one that cannot run here is put aside with the reason.

    Raises BenchError for a name that is no codec, for qualities of a codec that is not asked for, and when no
    codec can run.
    """
    found = {spec: codecs.get(spec) for spec in codecs.expand(list(wanted))}
    count = Counter(codec.name for codec in found.values())
    names = {spec: codec.name if count[codec.name] == 1 else spec for spec, codec in found.items()}
    _check_qualities(qualities or {}, found, names)
    usable, versions, missing = {}, {}, []
    for spec, codec in found.items():
        reason, version = codecs.state(codec)
        if reason is None:
            usable[spec], versions[spec] = codec, version
        else:
            missing.append({"codec": names[spec], "reason": reason, "install": codec.install})
    if not usable:
        first = missing[0]
        raise BenchError(f"none of the codecs can run here: {first['codec']}: {first['reason']}")
    return Selection(usable, names, versions, missing, qualities or {})


def _check_qualities(given: dict[str, Any], found: dict[str, codecs.Codec], names: dict[str, str]) -> None:
    if any(isinstance(codec, codecs.Broken) for codec in found.values()):
        return  # the names in a file that cannot be imported are not known
    known = {*found, *names.values(), *(c.name for c in found.values()), *(c.family for c in found.values())}
    for name in given:
        if name == "*" or name in known:
            continue
        if name in codecs.every():
            raise BenchError(f"--qualities {name}=...: {name} is not run; add it to --codecs")
        hint = nearest(name, known) or f"; this run has {', '.join(names.values())}"
        raise BenchError(f"--qualities {name}=...: no codec of this run has that name{hint}")
