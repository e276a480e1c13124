"""What an artifact gains, in one sentence, of what was measured and no more."""

from __future__ import annotations

from distilroberta.bench.harness import ratio_interval
from distilroberta.bench.harness.ratio_interval import Ratio
from distilroberta.bench.harness.suite import EngineResult
from distilroberta.bench.harness.workload import Workload
from distilroberta.bench.latency.results import Measured

# The length that most is said of: that of a paragraph.
_TOKENS = 128
# Below it, a tenth is too coarse to tell what is gained.
_TWICE = 1.95


def sentence(measured: Measured, *, trained: bool) -> str:
    """Compare the fastest of the other engines with the reference, where one text is answered.

    Args:
        measured: what is known.
        trained: whether the answers mean anything; nothing is said of them otherwise.
    """
    workload = headline(measured.comparison.workloads)
    reference = measured.engine(measured.reference)
    rounds = [one.rounds.get(workload.name, []) for one in measured.comparison.engines]
    done, planned = max(map(len, rounds)), measured.comparison.plan.rounds
    before = f"after {done} of {planned} rounds: " if done < planned else ""
    return before + _said(measured, reference, workload, trained=trained)


def _said(measured: Measured, reference: EngineResult, workload: Workload, *, trained: bool) -> str:
    if not reference.rounds.get(workload.name):
        return f"{_named(measured, reference)} was not timed at {workload.name}: no verdict"
    ratios = {
        engine.spec.name: ratio
        for engine in measured.comparison.engines
        if engine is not reference
        and (ratio := measured.ratio(engine.spec.name, measured.reference, workload))
    }
    if not ratios:
        found = measured.calls(reference, workload)
        assert found is not None  # it has rounds
        said = f"{_named(measured, reference)} answers in {found.p50:.3g} ms at {workload.name}"
        return said + "; nothing else was timed to compare it with" + _refused(measured)
    best = max(ratios, key=lambda name: ratios[name].estimate)
    engine = measured.engine(best)
    name = _named(measured, engine)
    if len(ratios) > 1:  # it was picked for its speed, which may be luck in part
        name = f"{name}, the fastest of {len(ratios)} others,"
    if ratio_interval.verdict(ratios[best]) == ratio_interval.UNCLEAR:
        rounds = ratios[best].rounds
        few = "1 round is" if rounds == 1 else f"{rounds} rounds are"
        return (
            f"unclear at {workload.name}: {few} too few to tell {name} from "
            f"{_named(measured, reference)} in speed" + _refused(measured)
        )
    said = _speed(name, _named(measured, reference), ratios[best], workload)
    return said + _size(measured, engine) + _quality(measured, engine, trained) + _refused(measured)


def headline(workloads: tuple[Workload, ...]) -> Workload:
    """Return the workload that is spoken of: one text, of the length nearest to 128 tokens."""
    return min(
        workloads, key=lambda one: (len(one.texts), abs(len(one.ids[0]) - _TOKENS), one.name)
    )


def _speed(engine: str, reference: str, ratio: Ratio, workload: Workload) -> str:
    digits = 1 if ratio.estimate >= _TWICE else 2
    estimate, low, high = (
        f"{value:.{digits}f}" for value in (ratio.estimate, ratio.low, ratio.high)
    )
    times = f"{estimate} times ({low}-{high}) as fast"
    verdict = ratio_interval.verdict(ratio)
    if verdict == ratio_interval.FASTER:
        return f"{engine} answers {times} as {reference} at {workload.name}"
    if verdict == ratio_interval.SAME:
        return f"{engine} is not told apart from {reference} in speed at {workload.name}, {times},"
    return f"nothing is faster than {reference} at {workload.name}: {engine} comes next, {times},"


def _size(measured: Measured, engine: EngineResult) -> str:
    whole = measured.engine(measured.reference).spec.file_bytes
    if engine.spec.file_bytes == whole:
        return ""
    return f" and is {engine.spec.file_bytes / whole:.0%} of its size"


def _quality(measured: Measured, engine: EngineResult, trained: bool) -> str:
    if not trained:
        return ""
    quality = measured.quality[measured.setups[engine.spec.name].variant]
    if quality.same_top is None:
        return f"; the cosine of its vectors to those of the checkpoint is {quality.cosine:.4f}"
    return f"; {quality.same_top:.1%} of {quality.rows} top answers are the same"


def _refused(measured: Measured) -> str:
    refused = [_named(measured, one) for one in measured.comparison.engines if one.refused]
    return f" ({', '.join(refused)} {_was(refused)} not timed)" if refused else ""


def _was(names: list[str]) -> str:
    return "was" if len(names) == 1 else "were"


def _named(measured: Measured, engine: EngineResult) -> str:
    # Where all run on one provider, it need not be said each time.
    setup = measured.setups[engine.spec.name]
    providers = {measured.setups[one.spec.name].provider for one in measured.comparison.engines}
    return setup.variant if len(providers) == 1 else engine.spec.name
