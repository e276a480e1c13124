"""The value at a place of a JSON document, named by a path that a person can read.

* `machine.cpu`: a key of an object, and a key of that;
* `engines["ours int8"]`: the entry of a list that has this `name`, or the key of an object;
* `cells[workload="128 tokens"]`: the one entry of a list with these fields; a number, or a truth
  value, is written as in JSON: `settings[callers="2", spinning="false"]`;
* `rounds_ms[0]`: the entry of a list at this place.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from distilroberta.runtime.errors import InputError

_PART = re.compile(
    r"""
      (?:^|(?!^)\.)(?P<name>[A-Za-z_][\w-]*)
    | \[(?P<place>\d+)\]
    | \["(?P<key>[^"]*)"\]
    | \[(?P<fields>[\w-]+="[^"]*"(?:,\s*[\w-]+="[^"]*")*)\]
    """,
    re.VERBOSE,
)
_FIELD = re.compile(r'([\w-]+)="([^"]*)"')
_MOST_NAMED = 12


def look_up(document: Any, path: str) -> Any:
    """Return what stands at a path.

    Raises:
        InputError: the path is not of the form above, or leads to nothing, or to several entries.
    """
    value, walked = document, ""
    for part in _parts(path):
        value = _step(value, part, walked or "the top")
        walked += part.group()
    return value


def fields(listed: str) -> dict[str, str]:
    """Read `task="fill-mask", level="model"`; the commas may be left out.

    Raises:
        InputError: something else stands in it.
    """
    if _FIELD.sub("", listed).replace(",", "").strip():
        raise InputError(f'fields are written name="value", found {listed}')
    return dict(_FIELD.findall(listed))


def chosen(entries: list[Any], wanted: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return the objects of a list that have all of some fields."""
    return [
        entry
        for entry in entries
        if isinstance(entry, dict)
        and all(name in entry and _reads(entry[name], value) for name, value in wanted.items())
    ]


def _reads(value: Any, text: str) -> bool:
    # Numbers and the like are written as in JSON: spinning="false".
    return value == text if isinstance(value, str) else json.dumps(value) == text


def _parts(path: str) -> Iterator[re.Match[str]]:
    place = 0
    while place < len(path) or not path:
        part = _PART.match(path, place)
        if part is None:
            raise InputError(f"{path!r} is no path: it can't be read from {path[place:]!r} on")
        yield part
        place = part.end()


def _step(value: Any, part: re.Match[str], where: str) -> Any:
    name, place, key, listed = part.group("name", "place", "key", "fields")
    if isinstance(value, list) and name is None:
        return _entry(value, place, {"name": key} if listed is None else fields(listed), where)
    wanted = name if key is None else key
    if isinstance(value, dict) and wanted is not None:
        if wanted not in value:
            raise InputError(f"{wanted!r} is not at {where}, which has {_some(list(value))}")
        return value[wanted]
    raise InputError(f"{part.group()} leads nowhere from {where}, a {type(value).__name__}")


def _entry(entries: list[Any], place: str | None, wanted: Mapping[str, Any], where: str) -> Any:
    if place is not None:
        if int(place) >= len(entries):
            raise InputError(f"{where} has {len(entries)} entries, none at [{place}]")
        return entries[int(place)]
    found = chosen(entries, wanted)
    if len(found) != 1:
        told = ", ".join(f'{name}="{value}"' for name, value in wanted.items())
        names = [str(entry["name"]) for entry in chosen(entries, {}) if "name" in entry]
        having = f", which has {_some(names)}" if names else ""
        raise InputError(f"{len(found)} entries with {told} are at {where}{having}")
    return found[0]


def _some(names: list[str]) -> str:
    more = ", ..." if len(names) > _MOST_NAMED else ""
    return (", ".join(names[:_MOST_NAMED]) or "nothing") + more
