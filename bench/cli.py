"""The benchmark's commands: `distilroberta bench ...`, each imported when it is named.

What the list says of a command stands here, so that `distilroberta bench --help` needs none of
what the commands need.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, NamedTuple

import typer
from typer.core import TyperCommand, TyperGroup

from distilroberta.runtime.errors import InputError

_MAIN, _PARTS, _OTHERS = "Questions", "Parts of the answer", "Other machines and environments"


class _Command(NamedTuple):
    module: str
    panel: str
    answers: str


_COMMANDS = {
    "claim": _Command(
        "claim.command", _MAIN, "Is DistilRoBERTa twice as fast as RoBERTa-base here?"
    ),
    "latency": _Command("latency.command", _MAIN, "Which variant of my artifact should I deploy?"),
    "peers": _Command(
        "peers.command", _MAIN, "Is it faster than PyTorch, optimum, OpenVINO and CTranslate2?"
    ),
    "report": _Command(
        "report.command", _MAIN, "What did my runs find? One page, from their JSON."
    ),
    "cold-start": _Command(
        "costs.cold_start", _PARTS, "How long until a fresh process has its first answer?"
    ),
    "import": _Command("costs.import_cost", _PARTS, "How long does importing the runtime take?"),
    "memory": _Command("costs.steady_memory", _PARTS, "Does memory grow over thousands of calls?"),
    "throughput": _Command("costs.throughput", _PARTS, "How many texts a second, of many at once?"),
    "threads": _Command("costs.oversubscription", _PARTS, "What do several callers at once get?"),
    "overhead": _Command("costs.overhead", _PARTS, "How much of a call is not onnxruntime's?"),
    "fill-mask": _Command(
        "costs.fill_mask_int8", _PARTS, "Is fill-mask faster than optimum's INT8?"
    ),
    "quantizing": _Command(
        "costs.quantizing", _PARTS, "How long, and how much memory, does making a variant take?"
    ),
    "gpu": _Command("costs.gpu", _OTHERS, "What does an NVIDIA GPU gain over the CPU?"),
    "peers-environment": _Command(
        "peers.environment", _OTHERS, "Install OpenVINO and CTranslate2, for `peers`, in a folder."
    ),
}
NAMES = tuple(_COMMANDS)


class _Bench(TyperGroup):
    # Contexts and commands are those of click, which newer versions of typer bring inside: it
    # can't be imported by its name.
    def list_commands(self, ctx: Any) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in _COMMANDS:
            return None
        _, panel, answers = _COMMANDS[cmd_name]
        return TyperCommand(cmd_name, help=answers, rich_help_panel=panel)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name, listed, rest = super().resolve_command(ctx, args)
        return name, _load(name) if name else listed, rest

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except ModuleNotFoundError as error:  # also of a package whose version is asked for
            if (error.name or "").startswith("distilroberta"):
                raise
            raise InputError(
                f"this benchmark needs {error.name}, which comes with the bench extra: "
                "pip install 'distilroberta-onnx[bench]'"
            ) from error


def _load(name: str) -> Any:
    # Every command's module has a `main`, which typer makes a command of.
    main = import_module(f"distilroberta.bench.{_COMMANDS[name].module}").main
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command(name)(main)
    return typer.main.get_command(app)


def register(app: typer.Typer) -> None:
    """Add the benchmark's commands to the app."""
    app.add_typer(
        typer.Typer(cls=_Bench, no_args_is_help=True, pretty_exceptions_enable=False),
        name="bench",
        help="Measure: is DistilRoBERTa twice as fast here, and what does an artifact gain?",
    )
