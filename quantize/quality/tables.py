"""Tables in files: TSV, CSV, JSON lines and Parquet, read row by row."""

from __future__ import annotations

import csv
import itertools
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distilroberta.quantize.quality.errors import DataError
from distilroberta.quantize.quality.text_file import lines

_ROWS_AT_ONCE = 1024
_SHOWN = 12

# Tells from the cells of a first line if it names the columns.
IsHeader = Callable[[Sequence[str]], bool]


@dataclass(frozen=True)
class Row:
    """A row by column name. `where` is its place; `problem` says why it has no values."""

    where: str
    values: dict[str, Any]
    problem: str | None = None


@dataclass(frozen=True)
class Table:
    """A table whose rows are still to be read.

    `names` are those of the columns, `1`, `2`, ... where the file has no header. `rows` gives the
    rows with the named columns alone, once.
    """

    path: Path
    names: tuple[str, ...]
    has_header: bool
    rows: Callable[[Sequence[str]], Iterator[Row]]


def read_tsv(path: Path, is_header: IsHeader) -> Table:
    """Open a file with a tab between columns and nothing quoted, as GLUE ships its data.

    Raises:
        DataError: it can't be read, or is empty.
    """
    return _delimited(path, ((at, line.split("\t")) for at, line in lines(path) if line), is_header)


def read_csv(path: Path, is_header: IsHeader) -> Table:
    """Open a file with commas between columns, quoted as RFC 4180 has it.

    Raises:
        DataError: it can't be read, is empty, or its quotes do not match.
    """
    return _delimited(path, _csv_rows(path), is_header)


def _csv_rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader((f"{line}\n" for _, line in lines(path)), strict=True)
    while True:
        start = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise DataError(f"{path}, line {start}: is not CSV: {error}") from error
        if cells:
            yield start, cells


def _delimited(path: Path, numbered: Iterator[tuple[int, list[str]]], is_header: IsHeader) -> Table:
    first = next(numbered, None)
    if first is None:
        raise DataError(f"{path} is empty")
    has_header = is_header(first[1])
    names = tuple(first[1]) if has_header else tuple(map(str, range(1, len(first[1]) + 1)))
    if len(set(names)) != len(names):
        raise DataError(f"{path}, line {first[0]}: a column is named twice: {listed(names)}")
    data = numbered if has_header else itertools.chain([first], numbered)

    def rows(columns: Sequence[str]) -> Iterator[Row]:
        wanted = [(name, names.index(name)) for name in columns]
        for at, cells in data:
            where = f"{path}, line {at}"
            if len(cells) != len(names):
                counts = f"has {len(cells)} columns, line {first[0]} has {len(names)}"
                yield Row(where, {}, counts)
            else:
                yield Row(where, {name: cells[index] for name, index in wanted})

    return Table(path, names, has_header, rows)


def read_json_lines(path: Path) -> Table:
    """Open a file with a JSON object on each line.

    Raises:
        DataError: it can't be read, is empty, or a line is something else.
    """
    numbered = ((at, _object(path, at, line)) for at, line in lines(path) if line.strip())
    first = next(numbered, None)
    if first is None:
        raise DataError(f"{path} is empty")

    def rows(columns: Sequence[str]) -> Iterator[Row]:
        for at, tree in itertools.chain([first], numbered):
            where = f"{path}, line {at}"
            missing = [name for name in columns if name not in tree]
            problem = f"has no {missing[0]!r}; it has {listed(tree)}" if missing else None
            yield Row(where, tree, problem)

    return Table(path, tuple(first[1]), True, rows)


def _object(path: Path, at: int, line: str) -> dict[str, Any]:
    try:
        tree = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}, line {at}: is not JSON: {error}") from error
    if not isinstance(tree, dict):
        raise DataError(f"{path}, line {at}: must be a JSON object, found {type(tree).__name__}")
    return tree


def read_parquet(path: Path) -> Table:
    """Open a Parquet file; its rows are read some at a time.

    Raises:
        DataError: it can't be read.
    """
    import pyarrow
    import pyarrow.parquet as parquet

    def wrong(error: Exception) -> DataError:
        return DataError(f"{path} can't be read as Parquet: {error}")

    try:
        file = parquet.ParquetFile(path)
    except (pyarrow.ArrowException, OSError) as error:
        raise wrong(error) from error

    def rows(columns: Sequence[str]) -> Iterator[Row]:
        count = 0
        with file:
            try:
                for batch in file.iter_batches(_ROWS_AT_ONCE, columns=list(columns)):
                    for values in batch.to_pylist():
                        count += 1
                        yield Row(f"{path}, row {count}", values)
            except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
                raise wrong(error) from error

    return Table(path, tuple(file.schema_arrow.names), True, rows)


def listed(names: Sequence[str] | dict[str, Any]) -> str:
    """Return the first names of columns, for a message."""
    shown = [repr(name[:40]) for name in list(names)[:_SHOWN]]
    return ", ".join(shown) + (", ..." if len(names) > _SHOWN else "")
