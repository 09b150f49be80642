"""What a run tells: a line per event in ``log.jsonl``, a progress bar or plain lines, TensorBoard if
wanted.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any

LOG = "log.jsonl"


class Reporter:
    """Telling nothing; for all processes but the first."""

    def __enter__(self) -> Reporter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def begin(self, step: int, steps: int, seconds: float) -> None:
        """The run starts at ``step`` of ``steps`` (0: what time there is for); at most ``seconds`` are left
        (inf: no limit).
        """

    def advance(self, step: int) -> None:
        """A step is done."""

    def log(self, values: dict[str, Any]) -> None:
        """Figures of a step."""

    def validation(self, values: dict[str, Any]) -> None:
        """``step``, ``seconds`` and ``validation``: the figures of the held-out photographs."""

    def say(self, text: str) -> None:
        """A line for people."""


class Console(Reporter):
    """Tells on stderr and in the run's folder.

    tensorboard: also write event files there; needs the package tensorboard.
    """

    def __init__(self, folder: Path, *, tensorboard: bool = False, quiet: bool = False) -> None:
        self.folder, self.quiet = folder, quiet
        self.bar: Any = None
        self.events: Any = _tensorboard(folder) if tensorboard else None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.bar is not None:
            self.bar.stop()
        if self.events is not None:
            self.events.close()

    def begin(self, step: int, steps: int, seconds: float) -> None:
        self.first, self.steps, self.start, self.limit = step, steps, time.monotonic(), seconds
        _trim(self.folder / LOG, step)
        if not self.quiet and sys.stderr.isatty():
            self.bar = _bar()
        if self.bar is not None:
            self.task = self.bar.add_task("", total=steps or None, completed=step, figures="", left="")
            self.bar.start()

    def advance(self, step: int) -> None:
        if self.bar is not None:
            self.bar.update(self.task, completed=step, left=self._left(step))

    def log(self, values: dict[str, Any]) -> None:
        self._write(values)
        figures = "  ".join(f"{k} {v:.4g}" for k, v in values.items() if k not in ("step", "seconds", "norm"))
        if self.bar is not None:
            self.bar.update(self.task, figures=figures)
        else:
            of = f"/{self.steps}" if self.steps else ""
            self.say(f"step {values['step']}{of}  {figures}  {self._left(values['step'])}")

    def validation(self, values: dict[str, Any]) -> None:
        self._write(values)
        self.say(f"validation at step {values['step']}, weights averaged:\n{table(values['validation'])}")

    def say(self, text: str) -> None:
        if self.quiet:
            return
        if self.bar is not None:
            self.bar.console.print(text, highlight=False, markup=False)
        else:
            print(text, file=sys.stderr, flush=True)

    def _write(self, values: dict[str, Any]) -> None:
        line = json.dumps({k: round(v, 5) if isinstance(v, float) else v for k, v in values.items()})
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / LOG).open("a") as log:
            log.write(line + "\n")
        if self.events is not None:
            for name, value in {**values, **values.get("validation", {})}.items():
                if isinstance(value, int | float) and name not in ("step", "seconds"):
                    self.events.add_scalar(name, value, values["step"])

    def _left(self, step: int) -> str:
        """Speed, and the time to the end of the run or of its time limit."""
        passed, done = time.monotonic() - self.start, step - self.first
        if not done:
            return ""
        left = self.limit - passed
        if self.steps:
            left = min((self.steps - step) * passed / done, left)
        hours, minutes = divmod(max(0, round(left / 60)), 60)
        time_left = (
            f"{hours} h {minutes:02} min"
            if hours
            else f"{minutes} min"
            if left > 90
            else f"{max(left, 0):.0f} s"
        )
        return f"{done / passed:.2f} steps/s  {time_left} left"


def table(values: dict[str, Any]) -> str:
    """Figures of a validation: lists as columns, single numbers below."""
    columns = {k: v for k, v in values.items() if isinstance(v, list)}
    lines = ["".join(f" {name:>9}" for name in columns)] if columns else []
    lines += [
        "".join(f" {v:{max(9, len(k))}.4f}" for k, v in zip(columns, row)) for row in zip(*columns.values())
    ]
    lines += [f"{k:>10} {v:.4f}" for k, v in values.items() if isinstance(v, int | float)]
    return "\n".join(lines)


def _bar() -> Any:
    """A progress bar; None without rich."""
    try:
        from rich.console import Console as RichConsole
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    except ImportError:
        return None
    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[figures]}"),
        TextColumn("{task.fields[left]}"),
    )
    return Progress(*columns, console=RichConsole(stderr=True))


def _tensorboard(folder: Path) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise ValueError("TensorBoard is not installed; pip install tensorboard") from error
    return SummaryWriter(str(folder))


def _trim(log: Path, step: int) -> None:
    """Drop what a run that was cut off logged after its last checkpoint: those steps come again."""
    if not log.is_file():
        return
    lines = log.read_text().splitlines()
    kept = [line for line in lines if line.endswith("}") and _done(json.loads(line), step)]
    if len(kept) < len(lines):
        log.write_text("".join(line + "\n" for line in kept))


def _done(entry: dict[str, Any], step: int) -> bool:
    """Whether a run at ``step`` has this line behind it: steps are logged before they count, validations
    after.
    """
    return bool(entry["step"] < step or (entry["step"] == step and "validation" in entry))
