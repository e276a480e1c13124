from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from distilroberta.bench.errors import BenchError
from distilroberta.bench.harness import machine, results_file
from distilroberta.bench.harness.results_file import ResultsFile
from distilroberta.runtime import InputError

HERE = machine.describe()


def begun(path: Path | None, **fields: Any) -> ResultsFile:
    return ResultsFile(path, "some-benchmark", HERE, **fields)


def read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return found


def test_the_command_and_the_machine_stand_beside_what_was_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "sys.argv", ["/somewhere/distilroberta", "bench", "this", "--texts", "a b.tsv"]
    )
    monkeypatch.setattr(results_file, "revision", lambda: "5b3c6b2+changes")
    path = tmp_path / "measured.json"
    begun(path, threads=2, weights="random").save(warnings=["busy"], texts=3)
    document = read(path)
    assert set(document) == {
        *("schema", "benchmark", "complete", "command", "started", "seconds", "machine"),
        *("revision", "warnings", "threads", "weights", "texts"),
    }
    assert document["schema"] == 1
    assert document["benchmark"] == "some-benchmark"
    assert document["complete"] is True
    assert document["command"] == "distilroberta bench this --texts 'a b.tsv'"
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ", document["started"])
    assert 0 <= document["seconds"] < 60
    assert document["machine"] == {
        **{name: getattr(HERE, name) for name in ("cpu", "cpus", "system", "python", "load")},
        "packages": HERE.packages,
    }
    assert document["revision"] == "5b3c6b2+changes"
    assert document["warnings"] == ["busy"]
    assert (document["threads"], document["weights"], document["texts"]) == (2, "random", 3)


def test_what_is_known_so_far_is_replaced_by_all_of_it(tmp_path: Path) -> None:
    path = tmp_path / "measured.json"
    written = begun(path)
    assert not path.exists()
    written.save(complete=False, rounds=[1])
    assert (read(path)["complete"], read(path)["rounds"]) == (False, [1])
    first = read(path)["started"]
    written.save(rounds=[1, 2])
    assert (read(path)["complete"], read(path)["rounds"]) == (True, [1, 2])
    assert read(path)["started"] == first
    assert list(tmp_path.iterdir()) == [path]


def test_who_reads_it_meanwhile_finds_it_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "measured.json"
    written = begun(path)
    written.save(complete=False, rounds=[1])
    replace, seen = results_file.os.replace, []

    def watch(source: Path, target: Path) -> None:
        seen.append((read(source)["rounds"], read(target)["rounds"]))
        replace(source, target)

    monkeypatch.setattr(results_file.os, "replace", watch)
    written.save(rounds=[1, 2])
    assert seen == [([1, 2], [1])]
    assert read(path)["rounds"] == [1, 2]


@pytest.mark.parametrize("error", [OSError("no space left"), KeyboardInterrupt()])
def test_a_failure_leaves_what_was_written_before(
    error: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "measured.json"
    written = begun(path)
    written.save(complete=False, rounds=[1])
    before = path.read_bytes()

    def fail(*_: Any) -> None:
        raise error

    monkeypatch.setattr(results_file.os, "replace", fail)
    expected = BenchError if isinstance(error, OSError) else KeyboardInterrupt
    with pytest.raises(expected):
        written.save(rounds=[1, 2])
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_goes_away_is_an_error(tmp_path: Path) -> None:
    written = begun(tmp_path / "gone" / "measured.json")
    with pytest.raises(BenchError, match=r"measured\.json could not be written"):
        written.save()


def test_what_is_no_json_leaves_what_was_written_before(tmp_path: Path) -> None:
    path = tmp_path / "measured.json"
    written = begun(path)
    written.save(rounds=[1])
    with pytest.raises(TypeError):
        written.save(rounds=object())
    assert read(path)["rounds"] == [1]
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_cannot_be_written_is_refused_before_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match=r"--json names a file in .*nowhere, which is no folder"):
        results_file.check(tmp_path / "nowhere" / "measured.json")
    with pytest.raises(InputError, match=r"--json names .*, which is a folder: name a file"):
        results_file.check(tmp_path)
    results_file.check(tmp_path / "measured.json")
    monkeypatch.setattr(results_file.os, "access", lambda *_: False)  # root may write anywhere
    with pytest.raises(InputError, match=r"which can't be written to"):
        results_file.check(tmp_path / "measured.json")


def test_no_path_is_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    results_file.check(None)
    begun(None).save()
    assert list(tmp_path.iterdir()) == []


def test_a_long_run_names_its_own_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = results_file.named(None, "claim")
    assert re.fullmatch(r"bench-results/claim-\d{8}-\d{6}\.json", found.as_posix())
    begun(found).save()
    assert read(found)["complete"] is True
    asked = tmp_path / "mine.json"
    assert results_file.named(asked, "claim") == asked
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    Path("bench-results").write_text("", "utf-8")
    with pytest.raises(InputError, match="name a file with --json"):
        results_file.named(None, "claim")
