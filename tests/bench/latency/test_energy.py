from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

import pytest

from distilroberta.bench.errors import BenchError, WorkerError
from distilroberta.bench.harness.workload import Workload
from distilroberta.bench.latency import energy
from distilroberta.bench.latency.energy import Meter

RANGE = 262_143_328_850


def zone(root: Path, folder: str, name: str, counter: int = 0) -> Path:
    """Write a zone as powercap shows it, and return its counter."""
    path = root / folder
    path.mkdir()
    (path / "name").write_text(f"{name}\n", "utf-8")
    (path / "max_energy_range_uj").write_text(f"{RANGE}\n", "utf-8")
    (path / "energy_uj").write_text(f"{counter}\n", "utf-8")
    return path / "energy_uj"


@pytest.fixture
def powercap(tmp_path: Path) -> Path:
    """Two packages, with parts of one of them and the whole platform, which count the same again.

    The counter of the second is about to begin again at 0.
    """
    (tmp_path / "intel-rapl").mkdir()
    zone(tmp_path, "intel-rapl:0", "package-0", 5_000_000)
    zone(tmp_path, "intel-rapl:0:0", "core", 1)
    zone(tmp_path, "intel-rapl:1", "package-1", RANGE - 1_000_000)
    zone(tmp_path, "intel-rapl:2", "psys", 2)
    zone(tmp_path, "intel-rapl-mmio:0", "package-0", 3)
    return tmp_path


def test_joules_of_all_packages_and_of_nothing_twice(powercap: Path) -> None:
    meter = Meter(powercap)
    assert str(meter) == "package-0, package-1, RAPL"
    before = meter.read()
    assert before == [5_000_000, RANGE - 1_000_000]
    (powercap / "intel-rapl:0" / "energy_uj").write_text("8500000\n", "utf-8")
    (powercap / "intel-rapl:1" / "energy_uj").write_text("250000\n", "utf-8")
    assert meter.joules(before, meter.read()) == pytest.approx(3.5 + 1.25)
    assert meter.joules(before, before) == 0


def test_a_machine_without_counters(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match=r"shows no energy counters: .* has no intel-rapl"):
        Meter(tmp_path / "powercap")
    (tmp_path / "intel-rapl").mkdir()
    zone(tmp_path, "intel-rapl:0", "psys")
    with pytest.raises(BenchError, match="shows no energy counters"):
        Meter(tmp_path)


def test_counters_that_only_root_may_read(powercap: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Tests may run as root, whom no mode keeps out.
    read = Path.read_text

    def refuse(path: Path, *arguments: str) -> str:
        if path.name == "energy_uj":
            raise PermissionError(13, "Permission denied", str(path))
        return read(path, *arguments)

    monkeypatch.setattr(Path, "read_text", refuse)
    with pytest.raises(BenchError, match=r"may not be read: .*/intel-rapl:0/energy_uj is for root"):
        Meter(powercap)


def test_a_counter_that_can_not_be_read(powercap: Path) -> None:
    (powercap / "intel-rapl:1" / "energy_uj").unlink()
    with pytest.raises(BenchError, match=r"the energy counters can't be read: .*energy_uj"):
        Meter(powercap)


class Heater:
    """An engine whose every call takes some joules of the second package."""

    def __init__(
        self, name: str, counter: Path, asked: list[str], joules: Sequence[int], dies: bool = False
    ) -> None:
        self.name = name
        self.asked: list[tuple[int, int]] = []
        self._counter, self._order, self._dies = counter, asked, dies
        self._joules = itertools.cycle(joules)

    def time(self, workload: Workload, warmup: int, calls: int) -> list[int]:
        if self._dies and len(self.asked) > 2:
            raise WorkerError(self.name, "its process ended with code 4")
        self.asked.append((warmup, calls))
        if calls:
            self._order.append(self.name)
        joules = next(self._joules) if calls else 9
        shown = int(self._counter.read_text("utf-8")) + joules * 1_000_000 * (warmup + calls)
        self._counter.write_text(str(shown % RANGE), "utf-8")
        return [1] * calls

    def revive(self) -> None:
        raise AssertionError("nothing is to be revived")


def test_joules_of_a_text_in_rounds_from_engine_to_engine(powercap: Path, batch: Workload) -> None:
    order: list[str] = []
    counter = powercap / "intel-rapl:1" / "energy_uj"
    engines = [Heater("a", counter, order, [2]), Heater("b", counter, order, [4, 8])]
    kept: list[int] = []
    calls = {("a", batch.name): 7, ("b", batch.name): 3}
    found = energy.measure(
        Meter(powercap),
        engines,
        [batch],
        calls,
        warmup=2,
        rounds=4,
        keep=lambda joules: kept.append(len(joules["b", batch.name])),
    )
    # Two texts a call, and the warm-up not counted.
    assert found.joules["a", batch.name] == pytest.approx([1.0] * 4)
    assert found.joules["b", batch.name] == pytest.approx([2.0, 4.0] * 2)
    assert found.failed == {}
    assert kept == [1, 2, 3, 4]
    assert engines[0].asked == [(2, 0), (0, 7)] * 4
    assert engines[1].asked == [(2, 0), (0, 3)] * 4
    assert all({*order[place : place + 2]} == {"a", "b"} for place in range(0, 8, 2))


def test_one_that_dies_has_no_joules_and_leaves_the_others_theirs(
    powercap: Path, batch: Workload
) -> None:
    counter = powercap / "intel-rapl:1" / "energy_uj"
    engines = [Heater("a", counter, [], [2]), Heater("b", counter, [], [2], dies=True)]
    calls = {(name, batch.name): 1 for name in "ab"}
    found = energy.measure(Meter(powercap), engines, [batch], calls, warmup=0, rounds=3)
    assert found.joules == {("a", batch.name): pytest.approx([1.0] * 3)}
    assert found.failed == {"b": "b: its process ended with code 4"}


def test_what_was_not_timed_is_not_run(powercap: Path, batch: Workload) -> None:
    heater = Heater("a", powercap / "intel-rapl:1" / "energy_uj", [], [2])
    found = energy.measure(Meter(powercap), [heater], [batch], {}, warmup=1, rounds=2)
    assert (found.joules, heater.asked) == ({}, [])
