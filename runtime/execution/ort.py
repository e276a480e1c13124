"""onnxruntime, without its telemetry.

From 1.29 on, onnxruntime's wheels report their use to Microsoft: importing it starts a thread that
uploads events and writes an identifier to the user's cache (Privacy.md in the wheel). This package
promises that nothing goes over a network. And a process forked from one with that thread never
ends: its exit waits for the thread, which it does not have.

The variable has to be set before onnxruntime is imported for the first time, so everything here
takes it from this module. Who wants the telemetry sets ORT_DISABLE_TELEMETRY=0.
"""

from __future__ import annotations

import os

_ASKED = os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import onnxruntime  # noqa: E402

if _ASKED != "0":
    # What is left to do where it was imported before.
    onnxruntime.disable_telemetry_events()

__all__ = ["onnxruntime"]
