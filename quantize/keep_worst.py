"""`--sensitivity`: choose the products to keep, and show what the choice rests on."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from distilroberta.quantize import sensitivity
from distilroberta.quantize.errors import QuantizationError
from distilroberta.quantize.recipe import Feed, Kept, Prepared
from distilroberta.quantize.sensitivity import Choice, Sensitivity
from distilroberta.quantize.sensitivity_picture import check_picture, picture
from distilroberta.quantize.variants import Graphs
from distilroberta.runtime.command_line import results
from distilroberta.runtime.errors import DistilRobertaError


class KeepWorst:
    """Keeps the products that cost the most, until the divergence from FP32 is within a bound."""

    def __init__(self, bound: float, path: Path | None, progress: Callable[[str], None]) -> None:
        """Check that the picture can be written.

        Args:
            bound: the highest mean KL divergence, in nats.
            path: where the picture goes, None for none.
            progress: called with a line on what is done next.

        Raises:
            InputError: see `check_picture`.
        """
        if path is not None:
            check_picture(path)
        self._bound, self._path, self._progress = bound, path, progress
        self._measured: Sensitivity | None = None
        self._choice: Choice | None = None

    def __call__(self, prepared: Prepared, graphs: Graphs, feeds: Iterable[Feed]) -> Kept:
        """Measure each product by itself, choose, and write the picture.

        Where nothing can be chosen, the picture is of what was measured.

        Raises:
            QuantizationError: no choice meets the bound, or the picture can't be written.
        """
        self._measured = sensitivity.measure(
            prepared, graphs, feeds, progress=self._step("measuring each product")
        )
        try:
            self._choice = sensitivity.keep(
                self._measured,
                prepared,
                graphs,
                feeds,
                self._bound,
                progress=self._step("keeping the worst"),
            )
        except QuantizationError:
            with suppress(DistilRobertaError):  # that no choice was found is the one to tell
                self._draw(self._measured)
            raise
        self._draw(self._measured)
        return self._choice.kept

    def show(self) -> None:
        """Print the table of what was measured, and of the choice if there is one."""
        if self._measured is None:
            return
        table = sensitivity.table(self._measured, self._choice)
        results().print(table)

    def _draw(self, measured: Sensitivity) -> None:
        if self._path is not None:
            picture(measured, self._path, self._choice)

    def _step(self, what: str) -> Callable[[int, int], None]:
        return lambda done, total: self._progress(f"{what}: {done} of at most {total} graphs")
