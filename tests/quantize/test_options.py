"""Which choices about variants go together, and what is said where they do not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from distilroberta.quantize.options import Options, check, target_of
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
        Options(method="minmax"),
        Options(ranges=FILE),
        Options(save_ranges=FILE),
        Options(method="entropy", save_ranges=FILE),
        Options(target="avx2", method="minmax"),
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
            {"ranges": FILE, "method": "minmax"},
            "^--method says how ranges are found, and --ranges takes .* leave one of them out$",
        ),
    ],
)
def test_choices_that_do_not_go_together_are_refused(
    variants: Any, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message) as raised:
        check(variants, Options(**options))
    assert "\n" not in str(raised.value)


def test_only_int8_is_for_a_target() -> None:
    options = Options(target="avx2")
    found = {name: target_of(name, options) for name in layout.VARIANTS}
    assert found == dict.fromkeys(layout.VARIANTS, "portable") | {"int8": "avx2"}


def test_every_target_of_int8_has_a_file_of_its_own() -> None:
    names = {layout.standard_graph("int8", target) for target in TARGETS}
    others = {layout.standard_graph(name) for name in layout.VARIANTS if name != "int8"}
    assert len(names) == len(TARGETS)
    assert not names & others
