"""The report of an audit as a Parquet file: a row for each place, and one for each file without any."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from layoutbridge.auditing.finding import EXTRA
from layoutbridge.auditing.records import Record
from layoutbridge.frameworks.base import require

_TEXTS = ("file", "sha256", "status", "message", "same_as", "format", "output", "out_shape", "kind", "parameters",
          "pattern", "layout", "wrapping", "advice", "reason", "suspicion")  # fmt: skip
_LISTS = ("notes", "node_names", "inputs", "in_shapes", "names")
_COLUMNS = (
    "file", "size", "sha256", "status", "message", "same_as", "format", "nodes", "notes", "place", "node_names",
    "inputs", "output", "in_shapes", "out_shape", "kind", "names", "parameters", "pattern", "layout", "wrapping",
    "bytes", "advice", "reason", "suspicion",
)  # fmt: skip
_ROWS = 20_000  # of a row group


def write_parquet(path: Path, records: Iterable[Record]) -> None:
    """Write the rows of `records`, a group of them at a time.

    Raises `MissingFrameworkError` without pyarrow.
    """
    pyarrow = require("pyarrow", "pyarrow", EXTRA)
    parquet = require("pyarrow.parquet", "pyarrow", EXTRA)
    schema = pyarrow.schema([(name, _type(pyarrow, name)) for name in _COLUMNS])
    rows = (row for record in records for row in record.rows())
    with parquet.ParquetWriter(path, schema, compression="zstd") as writer:
        for group in _groups(rows):
            writer.write_table(pyarrow.Table.from_pylist(group, schema=schema))


def _type(pyarrow: Any, name: str) -> Any:
    if name in _TEXTS:
        return pyarrow.string()
    return pyarrow.list_(pyarrow.string()) if name in _LISTS else pyarrow.int64()


def _groups(rows: Iterator[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    while group := list(islice(rows, _ROWS)):
        yield group
