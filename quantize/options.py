"""What a user may choose about variants, and which choices go together."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from distilroberta.quantize.targets import TARGETS
from distilroberta.runtime import layout
from distilroberta.runtime.errors import InputError

# How `int8-static` can find a range, see `ranges`.
METHODS = ("minmax", "entropy", "percentile")


@dataclass(frozen=True)
class Options:
    """What a user may choose about a variant.

    `target` is the kind of processor it is made for, one of `targets.TARGETS`. `method` is how
    `int8-static` finds a range, one of `METHODS`; `ranges` a file of ranges found before, to be
    used in place of observing, `save_ranges` where to write them.

    `minmax` reads the texts once, the other methods twice. On the sentences this was developed with
    it lost the least; on inputs of 512 tokens the others lost a little less.
    """

    target: str = "portable"
    method: str = "minmax"
    ranges: str | os.PathLike[str] | None = None
    save_ranges: str | os.PathLike[str] | None = None


_DEFAULT = Options()
# The variants that are made without a look at calibration texts.
_WITHOUT_TEXTS = frozenset({"fp32"})
# The variant an option is about.
_VARIANT = {
    "target": "int8",
    "method": "int8-static",
    "ranges": "int8-static",
    "save_ranges": "int8-static",
}


def check(
    variants: Sequence[str],
    options: Options,
    calibration: str | os.PathLike[str] | None = None,
    *,
    choosing: bool = False,
) -> list[str]:
    """Return the variants in the order of `layout.VARIANTS`, each once.

    Args:
        variants: the variants to make.
        options: what is chosen about them.
        calibration: a file of texts, None for those of the package.
        choosing: the weights to keep in a higher precision are chosen on these texts.

    Raises:
        InputError: a variant, target or method is unknown, an option is about a variant that is not
            made, or rules out another one, no variant reads the texts, there is no file of ranges,
            or no place to save them.
    """
    wanted = [variants] if isinstance(variants, str) else list(variants)
    unknown = [name for name in wanted if name not in layout.VARIANTS]
    if unknown or not wanted:
        raise InputError(
            (f"unknown variant {unknown[0]!r}" if unknown else "no variant")
            + f": choose from {', '.join(layout.VARIANTS)}"
        )
    if options.target not in TARGETS:
        raise InputError(f"unknown target {options.target!r}: choose from {', '.join(TARGETS)}")
    check_method(options.method)
    for name, variant in _VARIANT.items():
        if getattr(options, name) != getattr(_DEFAULT, name) and variant not in wanted:
            option = f"--{name.replace('_', '-')}"
            raise InputError(
                f"{option} is about {variant}, which is not among the variants "
                f"({', '.join(wanted)}): add {variant}, or leave {option} out"
            )
    if options.ranges is not None and options.save_ranges is not None:
        raise InputError(
            "--ranges takes ranges that were saved, --save-ranges saves those that are found: "
            "leave one of them out"
        )
    if options.ranges is not None and options.method != _DEFAULT.method:
        raise InputError(
            "--method says how ranges are found, and --ranges takes those that were saved: leave "
            "one of them out"
        )
    if calibration is not None and not choosing:
        _check_calibration(wanted, options)
    if options.ranges is not None and not Path(options.ranges).is_file():
        raise InputError(f"--ranges: {options.ranges} is not a file; --save-ranges writes one")
    if options.save_ranges is not None:
        check_place(options.save_ranges)
    return [name for name in layout.VARIANTS if name in wanted]


def _check_calibration(wanted: Sequence[str], options: Options) -> None:
    reading = {*wanted} - _WITHOUT_TEXTS
    if not reading:
        others = [name for name in layout.VARIANTS if name not in _WITHOUT_TEXTS]
        raise InputError(
            "--calibration is about variants that are made by texts, and none is among the "
            f"variants ({', '.join(wanted)}): add one of {', '.join(others)}, or leave "
            "--calibration out"
        )
    if options.ranges is not None and reading == {_VARIANT["ranges"]}:
        raise InputError(
            "--ranges takes ranges that were saved, so int8-static reads no texts of "
            "--calibration: leave one of them out"
        )


def check_method(method: str) -> None:
    """Check the name of a method.

    Raises:
        InputError: there is none of this name.
    """
    if method not in METHODS:
        raise InputError(f"unknown method {method!r}: choose from {', '.join(METHODS)}")


def check_place(place: str | os.PathLike[str]) -> None:
    """Check that a file of ranges can be written, before the work whose result it is to hold.

    Raises:
        InputError: it is a folder, or there is no folder to hold it.
    """
    path = Path(place)
    if path.is_dir() or not path.absolute().parent.is_dir():
        wrong = "is a folder" if path.is_dir() else "lies in no folder that exists"
        raise InputError(f"ranges can't be saved: {path} {wrong}: name one in an existing folder")


def target_of(variant: str, options: Options) -> str:
    """Return the kind of processor a variant is for: what was asked for, of those that differ."""
    return options.target if variant == _VARIANT["target"] else layout.PORTABLE
