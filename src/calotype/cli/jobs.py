"""From what stands on the command line to a list of (input, output) pairs.

``IN... [OUT]`` follows ``cp``: with two or more paths, the last one is the output when it is ``-``, a
folder, ends in a slash, or ends in a suffix that only an output can have. ``--output`` says it outright.
"""

from __future__ import annotations

import glob
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

STANDARD = "-"

#: Other names of standard input and output: opened by name, a redirected file would be taken for any other.
_INPUTS = ("/dev/stdin", "/dev/fd/0", "/proc/self/fd/0")
_OUTPUTS = ("/dev/stdout", "/dev/fd/1", "/proc/self/fd/1")

#: What is taken for a picture when a folder is searched.
PICTURE_SUFFIXES = frozenset({
    ".avif", ".bmp", ".gif", ".heic", ".heif", ".hif", ".j2k", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg",
    ".pbm", ".pgm", ".png", ".pnm", ".ppm", ".tga", ".tif", ".tiff", ".webp",
})  # fmt: skip
CALO_SUFFIX = ".calo"


class UsageError(Exception):
    """The command line asks for something that has no meaning; exit status 2."""


class Job(NamedTuple):
    """One file to turn into another; ``-`` is standard input or output.

    Folders on the way to the target are made if ``makes_folders``, that is, if a folder was asked for."""

    source: str
    target: str
    makes_folders: bool = False


class Plan(NamedTuple):
    """What a command takes and gives.

    wanted:    suffixes of the files that are inputs, when a folder is given.
    suffix:    that of outputs without a name.
    is_output: whether a path can only be an output.
    """

    wanted: frozenset[str]
    suffix: str
    is_output: Callable[[str], bool]

    def jobs(self, paths: list[str], output: str | None, recursive: bool) -> list[Job]:
        """The work to do, in the order given. Raises UsageError."""
        if output is None and len(paths) > 1 and paths[-1] in _OUTPUTS:
            *paths, output = paths
        paths = [STANDARD if path in _INPUTS else path for path in paths]
        output = STANDARD if output in _OUTPUTS else output
        if output is None and len(paths) > 1 and self._last_is_output(paths):
            *paths, output = paths
        elif output is None and len(paths) > 1 and not _may_be_input(paths[-1]):
            raise UsageError(f"there is no {paths[-1]}; to write into a new folder, say {paths[-1]}/")
        sources = list(self._sources(paths, recursive))
        if not sources:
            raise UsageError("no pictures found in " + ", ".join(paths))
        into_folder = output != STANDARD and any(map(_is_folder, [*paths, output or ""]))
        if output is not None and not into_folder:
            if len(sources) > 1:
                count = f"{len(sources)} inputs cannot go"
                if output == STANDARD:
                    raise UsageError(f"{count} to standard output; name a folder, such as out/")
                raise UsageError(f"{count} into one file {output}; name a folder: {output}/")
            return [Job(sources[0][0], output)]
        return self._named(sources, output)

    def _last_is_output(self, paths: list[str]) -> bool:
        *others, path = paths
        if path == STANDARD or _is_folder(path):
            return True
        if glob.has_magic(path):
            return False
        return self.is_output(path) or (any(map(_is_folder, others)) and not Path(path).exists())

    def _sources(self, paths: list[str], recursive: bool) -> Iterator[tuple[str, Path]]:
        """Pairs of an input and its place below the output folder."""
        for path in paths:
            if path == STANDARD:
                yield path, Path(path)
            elif Path(path).is_dir():
                for found in self._search(Path(path), recursive):
                    yield str(found), found.relative_to(path)
            elif not Path(path).exists() and glob.has_magic(path):
                for match in sorted(glob.glob(path, recursive=True)):  # noqa: PTH207 (absolute patterns, too)
                    if Path(match).is_file():
                        yield match, Path(Path(match).name)
            else:
                yield path, Path(Path(path).name)

    def _search(self, folder: Path, recursive: bool) -> list[Path]:
        found = folder.rglob("*") if recursive else folder.iterdir()
        return sorted(path for path in found if path.suffix.lower() in self.wanted and path.is_file())

    def _named(self, sources: list[tuple[str, Path]], folder: str | None) -> list[Job]:
        targets = []
        for source, place in sources:
            if source == STANDARD:
                targets.append(Path(STANDARD) if folder is None else Path(folder, "stdin" + self.suffix))
            elif folder is None and _is_pipe(source):
                raise UsageError(
                    f"{source} is a pipe, which has no place for a file beside it; name the output"
                )
            else:
                targets.append(
                    (Path(source) if folder is None else Path(folder, place)).with_suffix(self.suffix)
                )
        taken = Counter(targets)
        jobs = []
        for (source, _), target in zip(sources, targets):
            if taken[target] > 1 and source != STANDARD:  # a.jpg, a.png: a.jpg.calo, a.png.calo
                target = target.with_name(Path(source).name + self.suffix)
            jobs.append(Job(source, str(target), makes_folders=folder is not None))
        twice = [name for name, number in Counter(job.target for job in jobs).items() if number > 1]
        if twice:
            raise UsageError(f"two inputs would both be written to {twice[0]}")
        return jobs


def _may_be_input(path: str) -> bool:
    return path == STANDARD or glob.has_magic(path) or Path(path).exists()


def _is_pipe(path: str) -> bool:
    return Path(path).exists() and not Path(path).is_file() and not Path(path).is_dir()


def _is_folder(path: str) -> bool:
    return path not in (STANDARD, "") and (path.endswith(("/", os.sep)) or Path(path).is_dir())


def check_output(job: Job, force: bool) -> None:
    """Refuse early what writing would refuse at the end. Raises OSError."""
    target = Path(job.target)
    if job.target != STANDARD and not force and target.is_file():
        raise FileExistsError(17, "exists already; --force overwrites it", job.target)


def check_terminal(jobs: list[Job], json: bool) -> None:
    """Standard output cannot take bytes and text, nor should it show bytes to people. Raises UsageError."""
    if all(job.target != STANDARD for job in jobs):
        return
    if json:
        raise UsageError("--json and the output '-' both need standard output")
    if sys.stdout.isatty():
        raise UsageError("the output '-' is a terminal; redirect it to a file or a program")


def read_bytes(source: str) -> bytes:
    """The bytes of a file, or of standard input. Raises OSError."""
    return sys.stdin.buffer.read() if source == STANDARD else Path(source).read_bytes()
