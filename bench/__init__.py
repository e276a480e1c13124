"""Measurements: engines side by side, in one run, each in a process of its own."""

import os

# No engine here reports to anybody while it is measured, see `runtime/execution/ort.py`.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
