"""Read the rows of Parquet files, whatever is wrong with some of them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet

from conll_ner.common.console import InputError, first_line, shorten


def open_parquet(source: Path) -> pyarrow.parquet.ParquetFile:
    """RAISES (InputError): If it isn't a complete Parquet file."""
    try:
        table = pyarrow.parquet.ParquetFile(source)
        _ = table.schema_arrow
    except (OSError, ValueError, pyarrow.ArrowException) as error:
        raise InputError(f"{source} is not a complete Parquet file: {first_line(error)}") from None
    return table


def read_fields(table: pyarrow.parquet.ParquetFile, source: Path) -> Iterator[dict[str, Any] | str]:
    """YIELDS (dict[str, Any] | str): The values of each row, or the reason why Python can't
    represent them, such as a string that isn't UTF-8 or a date after the year 9999.
    RAISES (InputError): If the file is damaged."""
    batches = table.iter_batches(batch_size=1000)
    n_rows = 0
    while True:
        try:
            batch = next(batches, None)
        except (OSError, ValueError, pyarrow.ArrowException) as error:
            where = f"rows from {n_rows + 1:,} on can't be read"
            raise InputError(f"{source} is damaged: {where}: {first_line(error)}") from None
        if batch is None:
            return
        n_rows += len(batch)
        yield from convert_rows(batch)


def convert_rows(batch: pyarrow.RecordBatch) -> list[dict[str, Any] | str]:
    """RETURNS (list[dict[str, Any] | str]): As `read_fields` yields them."""
    try:
        rows: list[dict[str, Any] | str] = batch.to_pylist()
        return rows
    except Exception:  # of many types; convert_row finds where
        return [convert_row(batch.slice(i, 1)) for i in range(len(batch))]


def convert_row(batch: pyarrow.RecordBatch) -> dict[str, Any] | str:
    fields: dict[str, Any] = {}
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        try:
            (fields[name],) = column.to_pylist()
        except Exception as error:
            type_, reason = shorten(str(column.type)), shorten(first_line(error))
            return f'the column "{shorten(name)}" ({type_}) can\'t be read: {reason}'
    return fields
