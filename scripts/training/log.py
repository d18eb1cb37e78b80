"""The training log, log.jsonl: one JSON object per evaluation, the same for every trainer."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from common.console import InputError


@dataclass(frozen=True)
class LogRow:
    """One evaluation on dev.

    epoch (int): The epoch, as the trainer counts it.
    step (int): Updates so far.
    seconds (float): Seconds since the start of training, including evaluation.
    training_seconds (float): Seconds since the start of training, without evaluation.
    loss (float | None): Mean loss per update since the previous row; None if unknown.
    f1 (float): F1 of mentions on dev, by word, from 0 to 1.
    scores (dict[str, Any]): All scores, under the trainer's own names.
    """

    epoch: int
    step: int
    seconds: float
    training_seconds: float
    loss: float | None
    f1: float
    scores: dict[str, Any]


def format_rows(rows: Iterable[LogRow]) -> str:
    """RETURNS (str): One line of JSON per row."""
    return "".join(json.dumps(asdict(row)) + "\n" for row in rows)


def append_row(path: Path, row: LogRow) -> None:
    """Append a row to a log."""
    with path.open("a", encoding="utf-8") as log:
        log.write(format_rows([row]))


def read_log(path: Path) -> list[LogRow]:
    """RETURNS (list[LogRow]): All rows of a log.
    RAISES (InputError): If the file is missing or isn't a training log."""
    if not path.is_file():
        raise InputError(f"{path}: no such file; the train step writes it")
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        return [LogRow(**json.loads(line)) for line in lines]
    except (ValueError, TypeError) as error:
        raise InputError(f"{path} is not a training log ({error})") from None
