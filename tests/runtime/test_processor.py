"""What is said of a processor, on systems that are made up, and what that means for a target."""

from __future__ import annotations

import ctypes
import logging
import platform
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from distilroberta.quantize.targets import TARGETS
from distilroberta.runtime import Artifact, layout, pipeline, processor

# Makes the machine one whose /proc/cpuinfo is this.
Linux = Callable[..., None]
Editor = Callable[..., None]

# /proc/cpuinfo of real processors, the flags cut to some of the vector ones.
HASWELL = "fpu sse2 ssse3 fma sse4_1 sse4_2 avx f16c avx2 bmi2"
SKYLAKE = f"{HASWELL} avx512f avx512dq avx512cd avx512bw avx512vl"
CASCADE_LAKE = f"{SKYLAKE} avx512_vnni"
ALDER_LAKE = f"{HASWELL} avx_vnni"
KNIGHTS_LANDING = f"{HASWELL} avx512f avx512pf avx512er avx512cd"
SANDY_BRIDGE = "fpu sse2 ssse3 sse4_1 sse4_2 avx"
FLAGS = "processor\t: {0}\nvendor_id\t: GenuineIntel\nflags\t\t: {1}\nbugs\t\t: avx512_vnni\n\n"


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    processor.features.cache_clear()
    yield
    processor.features.cache_clear()


@pytest.fixture
def linux(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Linux:
    """Make up a Linux machine: `linux(flags, machine="x86_64")`."""

    def make(flags: str | None, machine: str = "x86_64") -> None:
        monkeypatch.setattr(sys, "platform", "linux")
        monkeypatch.setattr(platform, "machine", lambda: machine)
        cpuinfo = tmp_path / "cpuinfo"
        if flags is not None:
            cpuinfo.write_text("".join(FLAGS.format(core, flags) for core in range(2)), "utf-8")
        monkeypatch.setattr(processor, "_CPUINFO", cpuinfo)
        processor.features.cache_clear()

    return make


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        pytest.param(SANDY_BRIDGE, set(), id="Sandy Bridge"),
        pytest.param(HASWELL, {"avx2"}, id="Haswell"),
        pytest.param(SKYLAKE, {"avx2", "avx512"}, id="Skylake"),
        pytest.param(CASCADE_LAKE, {"avx2", "avx512", "avx512_vnni"}, id="Cascade Lake"),
        pytest.param(ALDER_LAKE, {"avx2", "avx_vnni"}, id="Alder Lake"),
        pytest.param(KNIGHTS_LANDING, {"avx2"}, id="AVX512 without what onnxruntime needs"),
    ],
)
def test_flags_of_linux(linux: Linux, flags: str, expected: set[str]) -> None:
    linux(flags)
    assert processor.features() == expected


@pytest.mark.parametrize("machine", ["aarch64", "arm64", "ARM64"])
def test_arm64_is_known_by_its_name(linux: Linux, machine: str) -> None:
    linux(None, machine)
    assert processor.features() == {"arm64"}


@pytest.mark.parametrize("machine", ["riscv64", "armv7l", "i686", ""])
def test_other_machines_are_unknown(linux: Linux, machine: str) -> None:
    linux(CASCADE_LAKE, machine)
    assert processor.features() is None


def test_linux_that_does_not_say_is_unknown(
    linux: Linux, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    linux(None)
    assert processor.features() is None, "no file"
    for content in (b"", b"processor: 0\n", b"flags: \xff\n", b"\0" * 100):
        (tmp_path / "cpuinfo").write_bytes(content)
        processor.features.cache_clear()
        assert processor.features() is None, content
    monkeypatch.setattr(processor, "_CPUINFO", tmp_path)
    processor.features.cache_clear()
    assert processor.features() is None, "a folder"


@pytest.mark.parametrize(
    ("leaf7", "expected"),
    [
        (b"RDWRFSGS BMI1 AVX2 SMEP BMI2 ERMS", {"avx2"}),
        (b"AVX2 AVX512F AVX512DQ AVX512CD AVX512BW AVX512VL", {"avx2", "avx512"}),
        (
            b"AVX2 AVX512F AVX512DQ AVX512BW AVX512VL AVX512VNNI",
            {"avx2", "avx512", "avx512_vnni"},
        ),
        (None, None),
    ],
    ids=["Haswell", "Skylake", "Ice Lake", "not said"],
)
def test_macos(
    linux: Linux, monkeypatch: pytest.MonkeyPatch, leaf7: bytes | None, expected: set[str] | None
) -> None:
    class System:
        @staticmethod
        def sysctlbyname(name: bytes, value: Any, size: Any, new: None, new_size: Any) -> int:
            assert name == b"machdep.cpu.leaf7_features"
            if leaf7 is None:
                return -1
            value.value = leaf7
            return 0

    linux(None)
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(ctypes, "CDLL", lambda name: System())
    assert processor.features() == expected


@pytest.mark.parametrize(
    ("numbers", "expected"), [({40}, {"avx2"}), ({40, 41}, {"avx2", "avx512"}), (set(), set())]
)
def test_windows(
    linux: Linux, monkeypatch: pytest.MonkeyPatch, numbers: set[int], expected: set[str]
) -> None:
    class Windows:
        class kernel32:  # noqa: N801
            @staticmethod
            def IsProcessorFeaturePresent(number: int) -> int:  # noqa: N802
                return int(number in numbers)

    linux(None, "AMD64")
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(ctypes, "windll", Windows, raising=False)
    assert processor.features() == expected


def test_system_without_the_function_is_unknown(
    linux: Linux, monkeypatch: pytest.MonkeyPatch
) -> None:
    linux(None, "AMD64")
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(ctypes, "windll", None, raising=False)
    assert processor.features() is None


def test_it_is_looked_up_once(linux: Linux, tmp_path: Path) -> None:
    linux(HASWELL)
    processor.features()
    (tmp_path / "cpuinfo").unlink()
    assert processor.features() == {"avx2"}


def test_import_looks_nothing_up() -> None:
    code = (
        "import sys; from distilroberta.runtime import processor; "
        "sys.exit(processor.features.cache_info().currsize)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_targets_that_need_exact_sums_are_those_made_without_a_bound() -> None:
    made = {name for name, target in TARGETS.items() if target.signed and not target.bounded}
    assert made == processor._NEED_EXACT


WRONG, SLOWER, RIGHT = "answers may be wrong", "answers are right, but slower", "all the same"


@pytest.mark.parametrize(
    ("flags", "target", "effect"),
    [
        (SANDY_BRIDGE, "avx512_vnni", WRONG),
        (HASWELL, "avx512_vnni", WRONG),
        (SKYLAKE, "avx512_vnni", WRONG),
        (SKYLAKE, "arm64", WRONG),
        (None, "avx512_vnni", WRONG),
        (ALDER_LAKE, "avx512_vnni", RIGHT),
        (CASCADE_LAKE, "arm64", RIGHT),
        (CASCADE_LAKE, "avx512_vnni", None),
        (CASCADE_LAKE, "avx512", None),
        (CASCADE_LAKE, "avx2", SLOWER),
        (ALDER_LAKE, "avx2", SLOWER),
        (SKYLAKE, "avx2", None),
        (HASWELL, "avx2", None),
        (HASWELL, "avx512", RIGHT),
        (None, "avx2", RIGHT),
    ],
)
def test_objection(linux: Linux, flags: str | None, target: str, effect: str | None) -> None:
    linux(flags)
    found = processor.objection(target)
    if effect is None:
        assert found is None
    else:
        assert found is not None
        assert found.startswith(f"built for {target}, this machine has ")
        assert effect in found


@pytest.mark.parametrize("target", layout.TARGETS)
def test_objection_on_arm64(linux: Linux, target: str) -> None:
    linux(None, "aarch64")
    assert WRONG not in (processor.objection(target) or "")
    assert (processor.objection(target) is None) == (target in ("portable", "arm64"))


@pytest.mark.parametrize("flags", [None, SANDY_BRIDGE, HASWELL, CASCADE_LAKE])
def test_portable_suits_every_machine(linux: Linux, flags: str | None) -> None:
    linux(flags)
    assert processor.objection("portable") is None


@pytest.fixture
def built_for(broken_artifact: Path, edit_json: Editor) -> Callable[[str], Artifact]:
    """Let the manifest of the mini artifact say that INT8 was built for a target."""

    def claim(target: str) -> Artifact:
        def change(manifest: dict[str, Any]) -> None:
            manifest["variants"]["int8"]["target"] = target

        edit_json(broken_artifact, "manifest.json", change)
        return Artifact(broken_artifact)

    return claim


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def test_another_machine_is_warned_of_in_one_line(
    linux: Linux, built_for: Callable[[str], Artifact], caplog: pytest.LogCaptureFixture
) -> None:
    linux(HASWELL)
    pipeline(None, built_for("avx512_vnni"), provider="cpu")("A <mask>.")
    assert warnings_of(caplog) == [
        "variant int8 was built for avx512_vnni, this machine has avx2: answers may be wrong; use "
        "one built with --target portable, or for this machine"
    ]


@pytest.mark.parametrize("target", ["portable", "avx512_vnni"])
def test_machine_it_was_built_for_is_not_warned_of(
    linux: Linux,
    built_for: Callable[[str], Artifact],
    caplog: pytest.LogCaptureFixture,
    target: str,
) -> None:
    linux(CASCADE_LAKE)
    built_for(target).session("int8", provider="cpu")
    assert warnings_of(caplog) == []


def test_other_variants_of_it_are_not_warned_of(
    linux: Linux, built_for: Callable[[str], Artifact], caplog: pytest.LogCaptureFixture
) -> None:
    linux(HASWELL)
    built_for("avx512_vnni").session("fp32", provider="cpu")
    assert warnings_of(caplog) == []


def test_half_precision_on_a_cpu_is_warned_of(
    mini_artifact: Artifact, caplog: pytest.LogCaptureFixture
) -> None:
    mini_artifact.session("fp16", provider="cpu")
    assert warnings_of(caplog) == ["variant fp16 is for GPUs; on a CPU fp32 or int8 answer faster"]
