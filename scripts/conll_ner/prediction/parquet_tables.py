"""Write annotated records as Parquet, in parts, and join the parts."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet

from conll_ner.common.console import InputError, first_line, shorten

MENTION = pyarrow.struct(
    {
        "text": pyarrow.string(),
        "label": pyarrow.string(),
        "score": pyarrow.float64(),
        "start": pyarrow.int64(),
        "end": pyarrow.int64(),
    }
)


def write_table(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """RAISES (InputError): If a value has no place in a Parquet file."""
    names = dict.fromkeys(name for row in rows for name in row) or ("text", "mentions")
    columns: dict[str, Any] = {}
    for name in names:
        type_ = pyarrow.list_(MENTION) if name in ("mentions", "candidates") else None
        type_ = pyarrow.string() if name == "text" else type_
        values = [row.get(name) for row in rows]
        try:
            columns[name] = pyarrow.array(values, type_)
        except (pyarrow.ArrowException, OverflowError) as error:
            raise column_error(name, error) from None
    try:
        pyarrow.parquet.write_table(pyarrow.table(columns), path)
    except pyarrow.ArrowException as error:  # such as an object without keys
        reason = shorten(first_line(error), 200).rstrip(".")
        raise InputError(f"{reason}; write .jsonl instead") from None


def column_error(name: str, error: Exception) -> InputError:
    return InputError(
        f'the field "{shorten(name)}" has values of different types, or a number that is too large '
        f"or precise, for a Parquet column ({shorten(first_line(error))}); write .jsonl instead"
    )


def join_tables(parts: Sequence[Path], target: Path) -> None:
    """Every part becomes a row group. Columns that a part lacks are null in its rows."""
    check_decimals(parts)
    schemas = [pyarrow.parquet.read_schema(part) for part in parts]
    try:
        schema = pyarrow.unify_schemas(schemas, promote_options="permissive")
    except pyarrow.ArrowException as error:
        reason = shorten(first_line(error), 200)
        raise InputError(
            f"a column has different types in different parts ({reason}); write .jsonl instead"
        ) from None
    with pyarrow.parquet.ParquetWriter(target, schema) as writer:
        for part in parts:
            table = pyarrow.parquet.read_table(part)
            columns = [cast_column(table, field) for field in schema]
            writer.write_table(pyarrow.table(columns, schema=schema))


def cast_column(table: pyarrow.Table, field: pyarrow.Field) -> Any:
    """RETURNS (Any): The column with the type of all parts.
    RAISES (InputError): If a value would change."""
    if field.name not in table.column_names:
        return pyarrow.nulls(len(table), field.type)
    try:
        return table[field.name].cast(field.type)
    except pyarrow.ArrowException as error:
        raise column_error(field.name, error) from None


def check_decimals(parts: Sequence[Path]) -> None:
    """Where some parts have floats, Arrow would round the decimals of others to floats.

    RAISES (InputError): If a column has both.
    """
    kinds: dict[str, set[str]] = defaultdict(set)
    for part in parts:
        schema = pyarrow.parquet.read_metadata(part).schema
        for column in map(schema.column, range(len(schema))):
            is_decimal = column.logical_type.type == "DECIMAL"
            kinds[column.path].add("DECIMAL" if is_decimal else column.physical_type)
    for path, found in kinds.items():
        if {"DECIMAL", "DOUBLE"} <= found:
            raise InputError(
                f'the field "{shorten(path)}" has numbers that are too precise for the type of its '
                "others; write .jsonl instead"
            )
