"""A worker: one child process that does tasks, and can be killed or can crash without harm to anybody
else.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import tempfile
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from calotype.bench.task import Outcome, Task

# One thread per codec instance while several run: these are read by libraries when they load.
_LIBRARIES = ("OMP_NUM", "OPENBLAS_NUM", "MKL_NUM", "NUMEXPR_NUM", "VECLIB_MAXIMUM")
_ONE_THREAD = dict.fromkeys((f"{library}_THREADS" for library in _LIBRARIES), "1")


class Worker:
    """A child process and the pipe to it. It is started when first needed and again after it died."""

    def __init__(self, one_thread: bool = True, one_core: bool = False) -> None:
        """`one_thread`: libraries that read OMP_NUM_THREADS and the like use one. `one_core`: pin to one
        core.
        """
        self.one_thread, self.one_core = one_thread, one_core
        self.process: multiprocessing.process.BaseProcess | None = None
        self.pipe: Connection | None = None
        self._log = tempfile.NamedTemporaryFile(prefix="calotype-bench-", suffix=".log", delete=False)  # noqa: SIM115
        self._log.close()

    def submit(self, task: Task, data: bytes | None = None) -> None:
        """Hand over a task; fetch its outcome with `result` once `pipe` is readable."""
        if self.process is None or not self.process.is_alive() or self.pipe is None:
            self._start()
        assert self.pipe is not None
        try:
            self.pipe.send((task, data))
        except (BrokenPipeError, OSError):  # died between two tasks
            self._start()
            self.pipe.send((task, data))

    def result(self) -> Outcome:
        """The outcome of the task in hand; a crash when the process died."""
        assert self.pipe is not None
        try:
            outcome: Outcome = self.pipe.recv()
            return outcome
        except (EOFError, OSError):
            assert self.process is not None
            self.process.join(5)
            code = self.process.exitcode
            how = (
                f"signal {signal.Signals(-code).name}"
                if code is not None and code < 0
                else f"exit status {code}"
            )
            self.kill()
            return Outcome(failure="crash", message=f"the process died: {how}{self._last_words()}")

    def wait(self, timeout: float) -> Outcome:
        """The outcome of the task in hand, or a timeout (seconds) that ends the process."""
        assert self.pipe is not None
        return self.result() if self.pipe.poll(timeout) else self.timed_out(timeout)

    def timed_out(self, timeout: float) -> Outcome:
        self.kill()
        return Outcome(failure="timeout", message=f"no answer within {timeout:g} s")

    def kill(self) -> None:
        """End the process and everything it started."""
        if self.process is not None and self.process.pid is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                if hasattr(os, "killpg") and os.getpgid(self.process.pid) == self.process.pid:
                    os.killpg(self.process.pid, signal.SIGKILL)
            self.process.kill()
            self.process.join(5)
        if self.pipe is not None:
            self.pipe.close()
        self.process = self.pipe = None

    def close(self) -> None:
        self.kill()
        Path(self._log.name).unlink(missing_ok=True)

    def _start(self) -> None:
        self.kill()
        context = multiprocessing.get_context("spawn")  # fork is unsafe once libraries have started threads
        self.pipe, theirs = context.Pipe()
        core = 0 if self.one_core else -1
        self.process = context.Process(target=_main, args=(theirs, self._log.name, core), daemon=True)
        saved = {name: os.environ.get(name) for name in _ONE_THREAD}
        try:
            if self.one_thread:
                os.environ.update(_ONE_THREAD)
            with _no_main_module():
                self.process.start()
        finally:
            for name, value in saved.items():
                os.environ.pop(name, None) if value is None else os.environ.__setitem__(name, value)
        theirs.close()

    def _last_words(self) -> str:
        lines = Path(self._log.name).read_text(errors="replace").strip().splitlines()
        fatal = [
            line
            for line in lines
            if line.startswith(("Fatal", "free()", "malloc", "double free", "terminate"))
        ]
        told = (fatal or lines)[-1:]
        return f" ({told[0][:200]})" if told else ""


@contextlib.contextmanager
def _no_main_module():  # type: ignore[no-untyped-def]
    """Keep a spawned child from importing the parent's __main__ again: a worker needs nothing of it."""
    main = sys.modules["__main__"]
    names = [name for name in ("__spec__", "__file__") if name in main.__dict__]
    hidden: dict[str, Any] = {name: main.__dict__.pop(name) for name in names}
    main.__dict__["__spec__"] = None
    try:
        yield
    finally:
        main.__dict__.pop("__spec__", None)
        main.__dict__.update(hidden)


def _main(pipe: Connection, log: str, core: int) -> None:
    """Body of the child: tasks in, outcomes out, until the pipe closes."""
    if hasattr(os, "setsid"):
        os.setsid()  # its own group: killed with all its children, and deaf to the terminal's Ctrl-C
    descriptor = os.open(log, os.O_WRONLY | os.O_TRUNC | os.O_APPEND)
    os.dup2(descriptor, 1)  # what codec libraries print must not tear the progress bar
    os.dup2(descriptor, 2)
    import faulthandler

    faulthandler.enable()
    if core >= 0 and hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[core % len(cores)]})
    from calotype.bench.measure import perform

    while True:
        try:
            task, data = pipe.recv()
        except (EOFError, OSError):
            return
        try:
            outcome = perform(task, data)
        except MemoryError:
            outcome = Outcome(failure="codec-error", message="MemoryError: not enough memory")
        except BaseException as error:  # SystemExit or KeyboardInterrupt raised by a codec
            outcome = Outcome(failure="codec-error", message=f"{type(error).__name__}: {error}")
        pipe.send(outcome)
