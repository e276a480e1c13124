"""What a user may choose about variants, and which choices go together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from distilroberta.quantize.targets import TARGETS
from distilroberta.runtime import layout
from distilroberta.runtime.errors import InputError


@dataclass(frozen=True)
class Options:
    """What a user may choose about a variant.

    `target` is the kind of processor it is made for, one of `targets.TARGETS`. `method` is how
    `int8-static` finds a range, one of `ranges.METHODS`; `ranges` a file of ranges found before, to
    be used in place of observing, `save_ranges` where to write them.
    """

    target: str = "portable"
    method: str = "percentile"
    ranges: Path | None = None
    save_ranges: Path | None = None


_DEFAULT = Options()
# The variant an option is about.
_VARIANT = {
    "target": "int8",
    "method": "int8-static",
    "ranges": "int8-static",
    "save_ranges": "int8-static",
}


def check(variants: Sequence[str], options: Options) -> list[str]:
    """Return the variants in the order of `layout.VARIANTS`, each once.

    Raises:
        InputError: a variant or target is unknown, or an option is about a variant that is not
            made, or rules out another one.
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
    return [name for name in layout.VARIANTS if name in wanted]


def target_of(variant: str, options: Options) -> str:
    """Return the kind of processor a variant is for: what was asked for, of those that differ."""
    return options.target if variant == _VARIANT["target"] else layout.PORTABLE
