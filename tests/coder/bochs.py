"""A machine of another processor, emulated by Bochs 3: it boots Linux, runs one program, and ends."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.tools import lacking, need

LINUX = "CALOTYPE_LINUX"
"""Names a Linux kernel that writes to serial ports: `boot/vmlinuz-*` of Debian 13's linux-image-cloud-amd64.
Linux 6.1 hangs on these processors.
"""

LOADER = (Path("/usr/lib/ISOLINUX/isolinux.bin"), Path("/usr/lib/syslinux/modules/bios/ldlinux.c32"))
KERNEL_OPTIONS = "console=ttyS0,115200 loglevel=0 reboot=t panic=-1 cryptomgr.notests"
# The last thing that Linux does is a fault, which ends Bochs. At ten million instructions a second its delays
# are short.
MACHINE = """\
cpu: model={processor}, count=1, ips=10000000, reset_on_triple_fault=0
memory: guest=256, host=256
romimage: file=$BXSHARE/BIOS-bochs-latest
vgaromimage: file=$BXSHARE/VGABIOS-lgpl-latest
display_library: term
plugin_ctrl: speaker=0
ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14
ata0-master: type=cdrom, path=disc.iso, status=inserted
boot: cdrom
com1: enabled=1, mode=file, dev=serial.txt
panic: action=fatal
log: log.txt
"""


def printed(folder: Path, processor: str, init: Path, program: Path, argument: str) -> list[str]:
    """The lines that a static program printed, and how it ended. ``init`` is init.cpp, static."""
    disc = folder / "disc"
    disc.mkdir()
    for file in LOADER:
        shutil.copy(file, disc)
    shutil.copy(os.environ[LINUX], disc / "linux")
    (disc / "initrd").write_bytes(archive({"init": init.read_bytes(), "program": program.read_bytes()}))
    append = f"APPEND {KERNEL_OPTIONS} {argument}"  # what Linux does not know goes to init
    (disc / "isolinux.cfg").write_text(f"DEFAULT linux\nLABEL linux\nKERNEL linux\nINITRD initrd\n{append}\n")
    boot = "-b isolinux.bin -c boot.cat -no-emul-boot -boot-load-size 4 -boot-info-table"
    make = f"xorriso -as mkisofs -quiet -o disc.iso {boot} disc"
    subprocess.run(make.split(), cwd=folder, check=True, capture_output=True)
    (folder / "bochsrc").write_text(MACHINE.format(processor=processor))
    (folder / "commands").write_text("continue\nquit\n")  # for its debugger, which waits for them
    bochs = "timeout --foreground 900 bochs -q -f bochsrc -rc commands"
    environment = {**os.environ, "TERM": "xterm"}
    # It needs a terminal for its screen.
    subprocess.run(
        ["script", "-qec", bochs, "screen.txt"],
        cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=False,
    )  # fmt: skip
    serial = folder / "serial.txt"
    assert serial.exists(), f"{processor} wrote nothing: see {folder}"
    lines = serial.read_text(errors="replace").splitlines()
    return [line for line in lines if line and not line.startswith("[")]  # without those of Linux


def archive(programs: dict[str, bytes]) -> bytes:
    """A root file system for Linux: a cpio archive ("newc") of programs."""
    found = b""
    for name, data in {**programs, "TRAILER!!!": b""}.items():
        fields = [0, 0o100755, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0]
        head = b"070701" + b"".join(b"%08x" % field for field in fields) + name.encode() + b"\0"
        for part in (head, data):
            found += part + bytes(-len(part) % 4)
    return found


def need_bochs(processor: str) -> None:
    """Leave the test out where there is no such machine."""
    if LINUX not in os.environ:
        pytest.skip(f"needs {LINUX}, a Linux kernel that Bochs 3 boots")
    bochs = need("bochs", "bochs, bochs-term")
    need("xorriso", "xorriso")
    if not all(file.exists() for file in LOADER):
        lacking("ISOLINUX (Debian: isolinux, syslinux-common)")
    models = subprocess.run([bochs, "--help", "cpu"], capture_output=True, text=True, check=False)
    if processor not in models.stdout + models.stderr:
        lacking(f"Bochs with the processor {processor}: 3.0 or later")
