"""What a reader must know before believing a figure: shown above all of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from distilroberta.bench.harness import ratio_interval
from distilroberta.bench.report import wording
from distilroberta.bench.report.claim import ClaimResults
from distilroberta.bench.report.comparison import EngineRatio
from distilroberta.bench.report.gpu import GpuResults
from distilroberta.bench.report.latency import LatencyResults
from distilroberta.bench.report.not_timed import NotTimed
from distilroberta.bench.report.peers import PeersResults
from distilroberta.bench.report.results import Run

_CHANGED = "+changes"


def notes(runs: Sequence[Run], missing: Sequence[NotTimed]) -> list[str]:
    """Return a line for each thing that makes figures less sure, or not comparable."""
    return [
        *(
            f"{run.file} is incomplete: the run was interrupted."
            for run in runs
            if not run.complete
        ),
        *(f"{run.file}: {warning}." for run in runs for warning in map(_line, run.warnings)),
        *_differences(runs),
        *_changed(runs),
        *_unsure(runs),
        *_missing(missing),
        *_without_figures(runs),
    ]


def _line(warning: str) -> str:
    return warning.rstrip(".")


def _differences(runs: Sequence[Run]) -> Iterable[str]:
    machines = dict.fromkeys(
        (run.machine.cpu, run.machine.cpus, run.machine.system) for run in runs
    )
    if len(machines) > 1:
        yield (
            f"These results come from {len(machines)} different machines: compare figures only "
            "inside one results file."
        )
    if len({run.threads for run in runs}) > 1:
        yield "These results were measured with different numbers of threads."
    if len({run.revision for run in runs}) > 1:
        shown = [run.revision or "no clone" for run in runs]
        yield f"These results come from several revisions: {wording.listed(_unique(shown))}."
    versions: dict[str, dict[str, None]] = {}
    for run in runs:
        for name, version in run.machine.packages.items():
            versions.setdefault(name, {})[version] = None
    several = [
        f"{name} {wording.listed(list(found))}"
        for name, found in versions.items()
        if len(found) > 1
    ]
    if several:
        yield f"These results were measured with several versions of {'; '.join(several)}."


def _without_figures(runs: Sequence[Run]) -> Iterable[str]:
    files = [run.file for run in runs if run.found is None]
    if len(files) > 1:
        yield f"No figure here is of {wording.listed(files)}: see how they were measured."
    elif files:
        yield f"No figure here is of {files[0]}: see how it was measured."


def _changed(runs: Sequence[Run]) -> Iterable[str]:
    revisions = _unique([run.revision or "" for run in runs])
    for revision in revisions:
        if revision.endswith(_CHANGED):
            files = [run.file for run in runs if run.revision == revision]
            yield (
                f"Measured with changes that are not in revision "
                f"{revision.removesuffix(_CHANGED)}: {wording.listed(files)}."
            )


def _unsure(runs: Sequence[Run]) -> Iterable[str]:
    for run in runs:
        if isinstance(run.found, ClaimResults):
            cells = [cell for claim in run.found.claims for cell in claim.cells]
            warned = sum(cell.warning is not None for cell in cells)
            if warned:
                verb = "carry a warning" if warned > 1 else "carries a warning"
                yield f"{run.file}: {warned} of {len(cells)} cells {verb}, given below their map."
            missing = sum(cell.ratio is None for cell in cells)
            if missing:
                verb = "were" if missing > 1 else "was"
                yield (
                    f"{run.file}: {missing} of {len(cells)} cells {verb} not measured, for reasons "
                    "given below their map."
                )
        ratios = _ratios(run)
        doubtful = sum(one.doubtful for one in ratios)
        if doubtful:
            verb = "carry a warning" if doubtful > 1 else "carries a warning"
            yield (
                f"{run.file}: {doubtful} of {len(ratios)} ratios {verb}, marked {wording.DOUBT} in "
                "their table."
            )
        unclear = sum(one.verdict == ratio_interval.UNCLEAR for one in ratios)
        if unclear:
            yield (
                f"{run.file}: {unclear} of {len(ratios)} ratios are of fewer than "
                f"{ratio_interval.ENOUGH_ROUNDS} rounds, too few to show a difference."
            )


def _ratios(run: Run) -> Sequence[EngineRatio]:
    if isinstance(run.found, PeersResults):
        return [one for peers in run.found.comparisons for one in peers.ratios]
    return run.found.ratios if isinstance(run.found, LatencyResults | GpuResults) else []


def _missing(missing: Sequence[NotTimed]) -> Iterable[str]:
    engines = _unique([one.engine for one in missing])
    if engines:
        yield f"Not measured, or not on everything: {wording.listed(engines)}; reasons at the end."


def _unique(words: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(words))
