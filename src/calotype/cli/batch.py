"""Runs the jobs of a command, several at a time; a file that fails does not stop the others."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from calotype.cli import FAILURE
from calotype.cli.jobs import STANDARD, Job, check_output
from calotype.cli.report import complain, print_json
from calotype.codec.files import write_file
from calotype.codec.threads import default_threads
from calotype.errors import CalotypeError, describe

Record = dict[str, Any]
Buffer = bytes | memoryview
Work = Callable[[Job, int], tuple[Buffer, Record]]
Summary = Callable[[Record], str]


def run(
    jobs: list[Job],
    work: Work,
    summary: Summary,
    *,
    workers: int | None,
    force: bool,
    json: bool,
    quiet: bool,
) -> int:
    """Do every job and return the exit status; ``work`` gives the bytes of the output and a record of it.

    work:    gets the job and how many threads it may use; called for several jobs at a time.
    summary: one line for people from the record.
    workers: jobs at a time; by default one per core, for whole files are the best way to share the cores.
    """
    unsaid: OSError | None = None

    def say(show: Callable[[], None]) -> None:
        """What cannot be said, as nobody listens or a disk is full, keeps no file from being made."""
        nonlocal unsaid
        if unsaid is None:
            try:
                show()
            except OSError as error:
                unsaid = error

    cores = default_threads()
    workers = min(workers or cores, len(jobs))
    threads = max(1, cores // workers)
    failed = 0

    def one(job: Job) -> Record:
        start = time.perf_counter()
        check_output(job, force)
        data, record = work(job, threads)
        _write(job, data, force)
        return {"input": job.source, "output": job.target, **record, "seconds": time.perf_counter() - start}

    with _Count(len(jobs), shown=not json and not quiet) as count:
        for job, result in _results(jobs, one, workers):
            count.hide()
            if isinstance(result, BaseException):
                failed += 1
                complain(_name(job.source), result)
                if json:
                    message = describe(result, _name(job.source))
                    record = {"input": job.source, "output": job.target, "error": message}
                    say(partial(print_json, record))
            elif json:
                say(partial(print_json, result))
            elif not quiet:
                stream = sys.stderr if job.target == STANDARD else sys.stdout
                say(partial(print, summary(result), file=stream, flush=True))
                for note in result.get("notes", ()):
                    print(f"calotype: {_name(job.source)}: {note}", file=sys.stderr, flush=True)
            count.advance()
    if unsaid is not None:
        raise unsaid
    return FAILURE if failed else 0


def _results(
    jobs: list[Job], one: Callable[[Job], Record], workers: int
) -> Iterator[tuple[Job, Record | BaseException]]:
    """Each job with its record or its error, as they finish; the rest of what may happen is raised.

    This thread only waits, even for a single job, so that it hears Ctrl-C at once, while networks run. Plain
    threads, as ``concurrent.futures`` brings ``logging``, whose import takes longer than opening a pack.
    """
    waiting = deque(jobs)
    done: SimpleQueue[tuple[Job, Record | BaseException, bool]] = SimpleQueue()

    def work() -> None:
        while True:
            try:
                job = waiting.popleft()
            except IndexError:
                return
            done.put((job, *_attempt(one, job)))

    for _ in range(workers):
        threading.Thread(target=work, name="calotype").start()
    try:
        for _ in jobs:
            job, result, fatal = done.get()
            if fatal:
                assert isinstance(result, BaseException)
                raise result
            yield job, result
    finally:
        waiting.clear()


def _attempt(one: Callable[[Job], Record], job: Job) -> tuple[Record | BaseException, bool]:
    """The record, or the error and whether it ends all."""
    try:
        return one(job), False
    except (CalotypeError, OSError, MemoryError) as error:
        return error, isinstance(error, BrokenPipeError)  # whoever read our output has gone
    except Exception as error:  # a fault of ours, or of a library: the other files are still to be done
        fault = CalotypeError(f"unexpected {type(error).__name__}: {error}")
        fault.__cause__ = error
        return fault, False
    except BaseException as error:
        return error, True


def _name(source: str) -> str:
    return "standard input" if source == STANDARD else source


def _write(job: Job, data: Buffer, force: bool) -> None:
    if job.target == STANDARD:
        # Not sys.stdout.buffer: where Python runs unbuffered, that may write a part and return.
        with open(sys.stdout.fileno(), "wb", closefd=False) as stream:
            stream.write(data)
        return
    if job.makes_folders:
        Path(job.target).parent.mkdir(parents=True, exist_ok=True)
    write_file(job.target, data, overwrite=force)


class _Count:
    """The last line on the terminal: how many files are done, and how long the rest will take.

    Only where there are several, and a person to see it.
    """

    def __init__(self, total: int, *, shown: bool) -> None:
        self.total, self.done, self.since = total, 0, time.monotonic()
        self.shown = shown and total > 1 and sys.stderr.isatty()
        columns = os.get_terminal_size(sys.stderr.fileno()).columns if self.shown else 0
        self.width = min(60, (columns or 80) - 1)  # a line that goes on in the next one would stay

    def __enter__(self) -> _Count:
        self._show(f"0 of {self.total} files")
        return self

    def __exit__(self, *_: object) -> None:
        self.hide()

    def hide(self) -> None:
        """Before anything else is printed."""
        self._show("")

    def advance(self) -> None:
        """One more is done."""
        self.done += 1
        left = round((time.monotonic() - self.since) / self.done * (self.total - self.done))
        self._show(f"{self.done} of {self.total} files, {left // 60}:{left % 60:02} left")

    def _show(self, text: str) -> None:
        if self.shown:
            print(f"\r{text[: self.width]:{self.width}}\r", end="", file=sys.stderr, flush=True)
