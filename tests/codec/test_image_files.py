"""Files appear whole or not at all, and what was there before survives a failure."""

from __future__ import annotations

import stat
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from calotype.codec.files import atomic_write, write_file


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_writes(tmp_path: Path) -> None:
    write_file(tmp_path / "a", b"one")
    assert (tmp_path / "a").read_bytes() == b"one"
    assert names(tmp_path) == ["a"]


def test_overwrites_only_when_told(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old")
    with pytest.raises(FileExistsError) as caught:
        write_file(path, b"new", overwrite=False)
    assert caught.value.filename == str(path)
    assert path.read_bytes() == b"old"
    write_file(path, b"new")
    assert path.read_bytes() == b"new"


def test_a_file_that_appears_in_the_meantime_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "a"

    def race() -> None:
        with atomic_write(path, overwrite=False) as stream:
            stream.write(b"ours")
            path.write_bytes(b"theirs")

    with pytest.raises(FileExistsError):
        race()
    assert path.read_bytes() == b"theirs"
    assert names(tmp_path) == ["a"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_a_failure_leaves_nothing_and_destroys_nothing(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old")

    def fail(target: Path) -> None:
        with atomic_write(target) as stream:
            stream.write(b"half")
            raise error

    for target in (path, tmp_path / "new"):
        with pytest.raises(error):
            fail(target)
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["a"]


def test_errors_name_the_file_that_was_asked_for(tmp_path: Path) -> None:
    target = tmp_path / "missing" / "a"
    with pytest.raises(FileNotFoundError) as caught:
        write_file(target, b"x")
    assert caught.value.filename == str(target)
    with pytest.raises(IsADirectoryError):
        write_file(tmp_path, b"x")


def test_permissions_are_those_of_any_new_file_and_stay(tmp_path: Path) -> None:
    plain, ours = tmp_path / "plain", tmp_path / "ours"
    plain.write_bytes(b"")
    write_file(ours, b"")
    assert ours.stat().st_mode == plain.stat().st_mode
    ours.chmod(0o640)
    write_file(ours, b"again")
    assert stat.S_IMODE(ours.stat().st_mode) == 0o640


def test_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(b"old")
    (tmp_path / "link").symlink_to("real")
    write_file(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_bytes() == b"new"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_device_stays_a_device(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No space"):
        write_file("/dev/full", b"x" * 100_000)
    assert Path("/dev/full").is_char_device()
    write_file("/dev/null", b"x")
    assert Path("/dev/null").is_char_device()


@pytest.mark.skipif(sys.platform == "win32", reason="needs limits on file sizes")
def test_no_room_leaves_nothing(tmp_path: Path) -> None:
    """A limit on the size of files fails the write half way, as a full disk does."""
    (tmp_path / "a").write_bytes(b"old")
    script = """
        import resource, signal, sys
        from calotype.codec.files import write_file
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
        for name in ("a", "b"):
            try:
                write_file(f"{sys.argv[1]}/{name}", bytes(100_000))
            except OSError as error:
                print(error.filename == f"{sys.argv[1]}/{name}")
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["True", "True"]
    assert names(tmp_path) == ["a"]
    assert (tmp_path / "a").read_bytes() == b"old"


def test_stopping_removes_unfinished_files_of_other_threads(tmp_path: Path) -> None:
    script = """
        import os, sys, threading
        from calotype.codec.files import atomic_write, stop_writing
        started, stopped, results = threading.Event(), threading.Event(), []

        def work():
            try:
                with atomic_write(sys.argv[1] + "/a") as stream:
                    stream.write(b"half")
                    started.set()
                    stopped.wait()
            except OSError as error:
                results.append(type(error).__name__)

        thread = threading.Thread(target=work)
        thread.start()
        started.wait()
        stop_writing()
        print(os.listdir(sys.argv[1]))
        stopped.set()
        thread.join()
        print(os.listdir(sys.argv[1]), results)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines() == ["[]", "[] ['InterruptedError']"]
