"""Run a command that is killed (SIGSYS) as soon as it makes a socket of the internet.

    python without_network.py COMMAND...

The kernel's filter of system calls (seccomp(2), "Secure computing with filters" in the kernel's
documentation) sees every thread, those of C++ libraries included, and each process the command
starts. Linux on x86-64 and AArch64.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
import sys

# Numbers of the system call socket(2), whose first argument is a family of addresses.
_SOCKET = {"x86_64": 41, "aarch64": 198}
_INTERNET = (2, 10)  # AF_INET, AF_INET6
_NO_NEW_PRIVILEGES, _SECCOMP, _FILTER = 38, 22, 2
# Instructions of the filter: load a word of the call, go on after so many if it is equal, end.
_LOAD, _IF_EQUAL, _RETURN = 0x20, 0x15, 0x06
_NUMBER, _FIRST_ARGUMENT = 0, 16
_KILL, _ALLOW = 0x80000000, 0x7FFF0000


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_void_p))


def forbid_network() -> None:
    """Let the kernel kill this process where it makes a socket of the internet, from now on."""
    instructions = [
        (_LOAD, 0, 0, _NUMBER),
        (_IF_EQUAL, 0, 4, _SOCKET[platform.machine()]),
        (_LOAD, 0, 0, _FIRST_ARGUMENT),
        (_IF_EQUAL, 1, 0, _INTERNET[0]),
        (_IF_EQUAL, 0, 1, _INTERNET[1]),
        (_RETURN, 0, 0, _KILL),
        (_RETURN, 0, 0, _ALLOW),
    ]
    code = b"".join(struct.pack("HBBI", *one) for one in instructions)
    stored = ctypes.create_string_buffer(code, len(code))
    program = _Program(len(instructions), ctypes.addressof(stored))
    system = ctypes.CDLL(None, use_errno=True)
    for words in [
        (_NO_NEW_PRIVILEGES, 1, 0, 0, 0),
        (_SECCOMP, _FILTER, ctypes.byref(program), 0, 0),
    ]:
        if system.prctl(*words) != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


if __name__ == "__main__":
    forbid_network()
    os.execv(sys.argv[1], sys.argv[1:])  # noqa: S606
