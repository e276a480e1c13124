"""Which choices about variants go together, and what is said where they do not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from distilroberta.quantize.options import METHODS, Options, check, check_place, target_of
from distilroberta.quantize.targets import TARGETS
from distilroberta.runtime import layout
from distilroberta.runtime.errors import InputError

FILE = Path("ranges.json")


@pytest.mark.parametrize(
    ("variants", "wanted"),
    [
        (["int8", "fp32"], ["fp32", "int8"]),
        (["int4", "int8", "int8-static", "fp16", "fp32"], list(layout.VARIANTS)),
        (["int8", "int8"], ["int8"]),
        (("fp16",), ["fp16"]),
        ("int8", ["int8"]),
    ],
)
def test_variants_come_in_their_order_and_once(variants: Any, wanted: list[str]) -> None:
    assert check(variants, Options()) == wanted


@pytest.mark.parametrize("target", TARGETS)
def test_int8_can_be_made_for_every_target(target: str) -> None:
    assert check(["fp32", "int8"], Options(target=target)) == ["fp32", "int8"]


@pytest.mark.parametrize(
    "options",
    [
        *(Options(method=method) for method in METHODS),
        Options(ranges=Path(__file__)),
        Options(save_ranges=FILE),
        Options(method="entropy", save_ranges=FILE),
        Options(target="avx2", method="percentile"),
    ],
)
def test_choices_that_go_together(options: Options) -> None:
    assert check(["int8-static", "int8"], options) == ["int8-static", "int8"]


NAMES = "choose from fp32, fp16, int8-static, int8, int4$"


@pytest.mark.parametrize(
    ("variants", "options", "message"),
    [
        (["int8", "int2"], {}, f"^unknown variant 'int2': {NAMES}"),
        ([""], {}, f"^unknown variant '': {NAMES}"),
        ("int", {}, f"^unknown variant 'int': {NAMES}"),
        ([], {}, f"^no variant: {NAMES}"),
        (
            ["int8"],
            {"target": "avx"},
            "^unknown target 'avx': choose from portable, avx2, avx512, avx512_vnni, arm64$",
        ),
        (
            ["int8-static"],
            {"method": "mean"},
            "^unknown method 'mean': choose from minmax, entropy, percentile$",
        ),
        (["fp32"], {"method": ""}, "^unknown method '': choose from minmax, entropy, percentile$"),
        (
            ["fp32", "fp16"],
            {"target": "avx2"},
            r"^--target is about int8, which is not among the variants \(fp32, fp16\): add int8, "
            "or leave --target out$",
        ),
        # An artifact holds one int8-static, for every machine.
        (["int8-static"], {"target": "avx512"}, "^--target is about int8, .* add int8, or leave"),
        (["int4"], {"target": "arm64"}, "^--target is about int8, .* add int8, or leave --target"),
        (
            ["int8"],
            {"method": "entropy"},
            r"^--method is about int8-static, which is not among the variants \(int8\): add "
            "int8-static, or leave --method out$",
        ),
        (["fp32"], {"ranges": FILE}, "^--ranges is about int8-static, .* or leave --ranges out$"),
        (
            ["int8"],
            {"save_ranges": FILE},
            "^--save-ranges is about int8-static, .* add int8-static, or leave --save-ranges out$",
        ),
        (
            ["int8-static"],
            {"ranges": FILE, "save_ranges": FILE},
            "^--ranges takes ranges that were saved, --save-ranges saves .* leave one of them out$",
        ),
        (
            ["int8-static"],
            {"ranges": FILE, "method": "entropy"},
            "^--method says how ranges are found, and --ranges takes .* leave one of them out$",
        ),
        (
            ["int8-static"],
            {"ranges": FILE},
            r"^--ranges: ranges\.json is not a file; --save-ranges writes one$",
        ),
        (["int8-static"], {"ranges": Path()}, r"^--ranges: \. is not a file; --save-ranges writes"),
        (
            ["int8-static"],
            {"save_ranges": Path("no/ranges.json")},
            r"^ranges can't be saved: no/ranges\.json lies in no folder that exists: name ",
        ),
    ],
)
def test_choices_that_do_not_go_together_are_refused(
    variants: Any, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message) as raised:
        check(variants, Options(**options))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("variants", "options", "choosing"),
    [
        *(([name], Options(), False) for name in layout.VARIANTS if name != "fp32"),
        (["fp32", "int8"], Options(), False),
        (["int8-static"], Options(save_ranges=FILE), False),
        # The others read the texts.
        (["fp16", "int8-static"], Options(ranges=Path(__file__)), False),
        # So does the choice of what to keep.
        (["int8-static"], Options(ranges=Path(__file__)), True),
    ],
)
def test_calibration_texts_that_are_read(
    variants: list[str], options: Options, choosing: bool
) -> None:
    assert check(variants, options, FILE, choosing=choosing) == variants


@pytest.mark.parametrize(
    ("variants", "options", "message"),
    [
        (
            ["fp32"],
            Options(),
            r"^--calibration is about variants that are made by texts, .* \(fp32\): add one of "
            "fp16, int8-static, int8, int4, or leave --calibration out$",
        ),
        (
            ["int8-static"],
            Options(ranges=Path(__file__)),
            "^--ranges takes ranges that were saved, .* no texts of --calibration: leave one of "
            "them out$",
        ),
        (["int8-static", "fp32"], Options(ranges=__file__), "no texts of --calibration"),
    ],
)
def test_calibration_texts_that_nothing_reads_are_refused(
    variants: list[str], options: Options, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        check(variants, options, FILE)
    with pytest.raises(InputError, match=message):
        check(variants, options, str(FILE))
    check(variants, options)


def test_paths_may_be_strings() -> None:
    assert check(["int8-static"], Options(ranges=__file__)) == ["int8-static"]
    assert check(["int8-static"], Options(save_ranges="ranges.json")) == ["int8-static"]
    with pytest.raises(InputError, match=r"--ranges: no\.json is not a file"):
        check(["int8-static"], Options(ranges="no.json"))
    with pytest.raises(InputError, match=r"ranges can't be saved: no/r\.json lies in no folder"):
        check(["int8-static"], Options(save_ranges="no/r.json"))


def test_place_that_can_hold_no_file_is_refused(tmp_path: Path) -> None:
    for path, wrong in ((tmp_path, "is a folder"), (tmp_path / "no" / "x.json", "lies in no")):
        with pytest.raises(InputError, match=f"ranges can't be saved: .* {wrong}"):
            check_place(path)
    check_place(tmp_path / "x.json")
    assert list(tmp_path.iterdir()) == []


def test_only_int8_is_for_a_target() -> None:
    options = Options(target="avx2")
    found = {name: target_of(name, options) for name in layout.VARIANTS}
    assert found == dict.fromkeys(layout.VARIANTS, "portable") | {"int8": "avx2"}


def test_every_target_of_int8_has_a_file_of_its_own() -> None:
    names = {layout.standard_graph("int8", target) for target in TARGETS}
    others = {layout.standard_graph(name) for name in layout.VARIANTS if name != "int8"}
    assert len(names) == len(TARGETS)
    assert not names & others
