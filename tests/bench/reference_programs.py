"""Stand-ins for the reference encoders and decoders VTM and HM, as strict with their command line as the
real ones.

    install(folder)        EncoderApp, DecoderApp, TAppEncoder, TAppDecoder and their configurations

What is imitated, of VTM 23 and HM 16 (source/App, source/Lib/Utilities/program_options_lite.cpp): short
options with one dash and a value of their own, long ones with ``=``; an unknown option is told and ends with
status 1; without arguments the version and the help; sizes must be multiples of the smallest block unless
the conformance window pads them; the reading of raw planar samples of 16 bits; a log on standard output.
Their bitstreams are of course not VVC and HEVC: a header, and samples coarser by the QP.
"""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

PROGRAM = """#!{python}
import struct, sys, zlib
from pathlib import Path
name, banner, worst = {name!r}, {banner!r}, {worst}
encoder = name.endswith("Encoder") or name.startswith("Encoder")
SHORT = {{"c": "", "i": "InputFile", "b": "BitstreamFile", "o": "ReconFile", "wdt": "SourceWidth",
          "hgt": "SourceHeight", "fr": "FrameRate", "f": "FramesToBeEncoded", "q": "QP", "d":
          "OutputBitDepth"}}
if not encoder:
    SHORT = {{k: v for k, v in SHORT.items() if k in "bod"}}
LONG = set(SHORT.values()) | ({{"ConformanceWindowMode", "InputBitDepth", "InternalBitDepth",
"InputChromaFormat",
                               "Level"}} if encoder else set())
print(banner)
if len(sys.argv) == 1:
    print("  --help  this help text")
    sys.exit(1)

def fail(text):
    print(text, file=sys.stderr)
    sys.exit(1)

given, words = {{}}, list(sys.argv[1:])
while words:
    word = words.pop(0)
    if word.startswith("--"):
        key, equals, value = word[2:].partition("=")
    else:
        key, value = word[1:], words.pop(0) if words else ""
        if key not in SHORT:
            fail("Unknown option: `" + key + "' (value:`" + value + "')")
        if key == "c":
            if not Path(value).is_file():
                fail("Failed to open config file: `" + value + "'")
            for line in Path(value).read_text().splitlines():
                field, _, setting = line.partition("#")[0].partition(":")
                if field.strip():
                    given[field.strip()] = setting.strip()
            continue
        key = SHORT[key]
    if key not in LONG:
        fail("Unknown option: `" + key + "' (value:`" + value + "')")
    given[key] = value
if encoder:
    if "Profile" not in given:
        fail("Error: no configuration was read")
    width, height, qp = (int(given[k]) for k in ("SourceWidth", "SourceHeight", "QP"))
    if not 0 <= qp <= worst:
        fail("Error: QP exceeds supported range (-QpBDOffsety to %d)" % worst)
    if given["InputBitDepth"] != "10" or given["InputChromaFormat"] != "444":
        fail("Error: only 4:4:4 with 10 bits is imitated")
    if (width % 8 or height % 8) and given.get("ConformanceWindowMode") != "1":
        fail("Error: Picture width must be an integer multiple of the specified chroma subsampling")
    samples = Path(given["InputFile"]).read_bytes()
    if len(samples) < 6 * width * height:
        fail("Error: input file too short for one frame")
    planes = struct.unpack("<%dH" % (3 * width * height), samples[:6 * width * height])
    if max(planes) > 1023:
        fail("Error: a sample of more than 10 bits")
    step = 1 + qp // 4
    coarse = [min(1023, (v + step // 2) // step * step) for v in planes]
    samples = struct.pack("<%dH" % len(coarse), *coarse)
    stream = struct.pack("<HHB", width, height, qp) + zlib.compress(samples)
    Path(given["BitstreamFile"]).write_bytes(stream)
    Path(given["ReconFile"]).write_bytes(samples)
    print("POC    0 LId:  0 TId: 0 ( I-SLICE, QP %d ) %10d bits" % (qp, 8 * len(stream)))
    print("Bytes written to file: %d" % len(stream))
else:
    stream = Path(given["BitstreamFile"]).read_bytes()
    if len(stream) < 5:
        fail("Error: no NAL unit was found")
    if given.get("OutputBitDepth", "10") != "10":
        fail("Error: only 10 bits are imitated")
    try:
        Path(given["ReconFile"]).write_bytes(zlib.decompress(stream[5:]))
    except zlib.error:
        fail("Error: bitstream is damaged")
    print("POC    0 [DT  0.010] [MD5:(OK)]")
"""
VTM = "VVCSoftware: VTM {0} Version 23.11 [Linux][GCC 12.2.0][64 bit] [SIMD=AVX2]"
HM = "HM software: {0} Version [16.28] (including RExt)[Linux][GCC 12.2.0][64 bit]"
PROGRAMS = {
    "EncoderApp": (VTM.format("Encoder"), 63), "DecoderApp": (VTM.format("Decoder"), 63),
    "TAppEncoder": (HM.format("Encoder"), 51), "TAppDecoder": (HM.format("Decoder"), 51),
}  # fmt: skip
CONFIGURATIONS = ("encoder_intra_vtm.cfg", "encoder_intra_main_rext.cfg")


def install(folder: Path) -> Path:
    """Programs in ``folder/bin``, configurations in ``folder/cfg``, as the real ones build; returns the
    former."""
    programs, configurations = folder / "bin", folder / "cfg"
    for made in (programs, configurations):
        made.mkdir()
    for name, (banner, worst) in PROGRAMS.items():
        file = programs / name
        file.write_text(PROGRAM.format(python=sys.executable, name=name, banner=banner, worst=worst))
        file.chmod(file.stat().st_mode | stat.S_IXUSR)
    for name in CONFIGURATIONS:
        (configurations / name).write_text("Profile      : auto   # of the stream\nIntraPeriod  : 1\n")
    return programs


def on_path(programs: Path) -> str:
    """PATH with the programs in front."""
    return f"{programs}{os.pathsep}{os.environ['PATH']}"
