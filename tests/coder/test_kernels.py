"""Integer products: each kernel against plain loops (native/kernels_test.cpp), here or emulated; and the
steps of the trellis (native/trellis_test.cpp).
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from tests.coder import bochs
from tests.tools import lacking, need

NATIVE = Path(__file__).parents[2] / "native"
FLAGS = ("-std=c++20", "-O1", "-Wall", "-Wextra", "-Wno-psabi", "-Werror")


def build(folder: Path, compiler: str, *flags: str, name: str = "kernels_test") -> Path:
    program = folder / name
    command = [compiler, *FLAGS, *flags, str(NATIVE / f"{program.stem}.cpp"), "-o", str(program)]
    subprocess.run(command, check=True)
    return program


def kernels_of(*command: str) -> list[str]:
    """Names of the kernels that agree with the plain loops; a disagreement is an error."""
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout + found.stderr
    return [line.split(":")[0] for line in found.stdout.splitlines()]


@pytest.fixture(scope="module")
def cxx() -> str:
    return need(os.environ.get("CXX", "g++"), "g++")


@pytest.mark.slow  # compiling takes seconds; test_latents.py compares kernels as Python has them
def test_kernels_of_this_machine(tmp_path: Path, cxx: str) -> None:
    assert kernels_of(str(build(tmp_path, cxx)), "200")[-1] == "portable"


@pytest.mark.slow
def test_avx512_and_avx_vnni_emulated(tmp_path: Path, cxx: str) -> None:
    if not Path("/usr/include/simde/x86/avx512.h").exists():
        lacking("SIMDe (Debian: libsimde-dev)")
    program = str(build(tmp_path, cxx, "-DCALOTYPE_EMULATED"))
    assert kernels_of(program, "300", "avx512") == ["avx512"]
    assert kernels_of(program, "300", "avxvnni") == ["avxvnni"]
    assert kernels_of(program, "1") == ["avx512", "avxvnni", "avx2", "portable"]  # the fastest first


@pytest.mark.slow
@pytest.mark.parametrize(("processor", "fastest"), [("arrow_lake", "avxvnni"), ("tigerlake", "avx512")])
def test_processors_in_bochs(tmp_path: Path, cxx: str, processor: str, fastest: str) -> None:
    """The instructions themselves, and that they are found."""
    bochs.need_bochs(processor)
    init = tmp_path / "init"
    subprocess.run([cxx, "-static", str(Path(__file__).parent / "init.cpp"), "-o", str(init)], check=True)
    lines = bochs.printed(tmp_path, processor, init, build(tmp_path, cxx, "-static"), "60")
    assert lines == [f"{name}: 60 rounds" for name in (fastest, "avx2", "portable")] + ["status 0"]


@pytest.mark.slow
def test_neon_emulated(tmp_path: Path) -> None:
    arm = need("aarch64-linux-gnu-g++", "g++-aarch64-linux-gnu")
    run = need("qemu-aarch64", "qemu-user")
    program = str(build(tmp_path, arm, "-static"))
    assert kernels_of(run, "-cpu", "max", program, "200", "neon") == ["neon"]
    # A processor without dot products gets no kernel that needs them.
    assert kernels_of(run, "-cpu", "cortex-a53", program, "20") == ["portable"]


@pytest.mark.slow
def test_webassembly(tmp_path: Path) -> None:
    compiler, node = need("em++", "emscripten"), need("node", "nodejs")
    program = build(
        tmp_path, compiler, "-msimd128", "-fexceptions", "-sALLOW_MEMORY_GROWTH", name="kernels_test.js"
    )
    # Emscripten's 3.1.6 reads its module by a `fetch` that later versions of node have, for addresses alone.
    assert kernels_of(node, "--no-experimental-fetch", str(program), "200", "wasm") == ["wasm"]


@pytest.mark.slow
def test_the_steps_of_the_trellis(tmp_path: Path, cxx: str) -> None:
    assert int(kernels_of(str(build(tmp_path, cxx, name="trellis_test")))[0].split()[0]) >= 1
