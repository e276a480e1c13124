"""What this machine's processor has, as far as INT8 weights depend on it.

The names are those of `layout.TARGETS`, and `avx_vnni` for VNNI without AVX512. They are read where
the operating system says them: /proc/cpuinfo, sysctl(3), IsProcessorFeaturePresent. Windows does
not tell of VNNI, so it is never found there.
"""

from __future__ import annotations

import functools
import sys
from pathlib import Path

from distilroberta.runtime import layout

_CPUINFO = Path("/proc/cpuinfo")
_ARM64 = frozenset({"arm64", "aarch64"})
_X86_64 = frozenset({"x86_64", "amd64"})

# What onnxruntime looks for before it takes the kernels of that name, as Linux and macOS call it,
# in lower case and without underscores.
_FLAGS = {
    "avx2": {"avx2"},
    "avx512": {"avx512f", "avx512bw", "avx512dq", "avx512vl"},
    "avx512_vnni": {"avx512vnni"},
    "avx_vnni": {"avxvnni"},
}
# PF_AVX2_INSTRUCTIONS_AVAILABLE and PF_AVX512F_INSTRUCTIONS_AVAILABLE of winnt.h.
_WINDOWS_FEATURES = {"avx2": 40, "avx512": 41}

# Where the product of U8 by S8 is added up in 32 bits, and the targets that need that.
_EXACT = frozenset({"avx512_vnni", "avx_vnni", "arm64"})
_NEED_EXACT = frozenset({"avx512_vnni", "arm64"})


@functools.cache
def features() -> frozenset[str] | None:
    """Return what the processor has of avx2, avx512, avx512_vnni, avx_vnni and arm64.

    None where the system does not say.
    """
    try:
        return _features()
    except Exception:  # whatever a system does not have: nobody's answer should hang on it
        return None


def objection(target: str) -> str | None:
    """Return what speaks against running here what was built for a target, None if nothing does.

    Args:
        target: one of `layout.TARGETS`.
    """
    found = features() or frozenset()
    if target == layout.PORTABLE:
        return None
    if target in _NEED_EXACT and not found & _EXACT:
        effect = "answers may be wrong; use one built with --target portable, or for this machine"
    elif target == "avx2" and found & _EXACT:
        effect = "answers are right, but slower than those of one built with --target portable"
    elif target not in found:
        effect = "answers are right all the same"
    else:
        return None
    has = ", ".join(sorted(found)) or "an unknown processor"
    return f"built for {target}, this machine has {has}: {effect}"


def _features() -> frozenset[str] | None:
    import platform  # not before it is needed: most artifacts are portable

    machine = platform.machine().lower()
    if machine in _ARM64:
        return frozenset({"arm64"})
    if machine not in _X86_64:
        return None
    if sys.platform == "win32":
        return _of_windows()
    words = _of_macos() if sys.platform == "darwin" else _of_linux()
    if words is None:
        return None
    return frozenset(name for name, needed in _FLAGS.items() if needed <= words)


def _of_linux() -> frozenset[str] | None:
    with _CPUINFO.open(encoding="utf-8") as lines:  # a block for each core, which are alike
        for line in lines:
            name, _, value = line.partition(":")
            if name.strip() == "flags":
                return _words(value)
    return None


def _of_macos() -> frozenset[str]:
    import ctypes

    size = ctypes.c_size_t(4096)
    value = ctypes.create_string_buffer(size.value)
    system = ctypes.CDLL(None)
    name = b"machdep.cpu.leaf7_features"
    if system.sysctlbyname(name, value, ctypes.byref(size), None, ctypes.c_size_t(0)) != 0:
        raise OSError(f"sysctl has no {name.decode()}")
    return _words(value.value.decode())


def _of_windows() -> frozenset[str]:
    import ctypes

    kernel = ctypes.windll.kernel32  # type: ignore[attr-defined]
    present = kernel.IsProcessorFeaturePresent
    return frozenset(name for name, number in _WINDOWS_FEATURES.items() if present(number))


def _words(text: str) -> frozenset[str]:
    return frozenset(text.lower().replace("_", "").split())
