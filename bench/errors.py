"""The errors of the measurements."""

from __future__ import annotations

from distilroberta.runtime.errors import DistilRobertaError


class BenchError(DistilRobertaError):
    """A measurement that could not be made."""


class WorkerError(BenchError):
    """An engine's process that failed, died or did not answer in time.

    `engine` is the engine's name, `reason` what happened, `stderr` the last lines its process
    wrote.
    """

    def __init__(self, engine: str, message: str, stderr: str = "") -> None:
        """Keep the engine and its last words beside the message."""
        said = f"; it last wrote: {stderr}" if stderr else ""
        super().__init__(f"{engine}: {message}{said}")
        self.engine, self.reason, self.stderr = engine, message, stderr
