from __future__ import annotations

import json
from pathlib import Path

import pytest

from distilroberta.bench import json_file, machine
from distilroberta.runtime import InputError


def test_the_command_and_the_machine_stand_beside_what_was_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["x", "--rounds", "2"])
    path = tmp_path / "measured.json"
    json_file.check(path)
    json_file.write(path, "some.module", machine.describe(), texts=3)
    document = json.loads(path.read_text("utf-8"))
    assert document["command"] == "python -m some.module --rounds 2"
    assert document["machine"]["cpus"] >= 1
    assert document["texts"] == 3


def test_a_folder_that_is_not_there_is_refused_before_the_run(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"--json names a file in .*nowhere, which is no folder"):
        json_file.check(tmp_path / "nowhere" / "measured.json")


def test_no_path_is_no_file() -> None:
    json_file.check(None)
    json_file.write(None, "some.module", machine.describe())
