"""The training log, log.jsonl: one JSON object per evaluation, the same for every trainer."""

import json
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from conll_ner.common.console import InputError
from conll_ner.common.files import atomic_write


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


class TimedLog:
    """Writes the training log beside the logger of the config, such as spaCy's on the console or a
    tracker.

    path (Path): The log. Rows that are in it already belong to the same training, which is resumed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        rows = read_log(path) if path.is_file() else []
        self.steps_logged = self.steps_timed = rows[-1].step if rows else 0
        self.seconds_timed = rows[-1].training_seconds if rows else 0.0
        self.last = time.perf_counter()
        self.start = self.last - (rows[-1].seconds if rows else 0.0)

    def log_step(self, info: dict[str, Any] | None) -> None:
        """Log a step.

        info (dict[str, Any] | None): What spaCy gives to its loggers after an evaluation; None
            after other steps, of which only the update takes time.
        """
        now = time.perf_counter()
        if info is None:
            self.steps_timed += 1
            self.seconds_timed += now - self.last
        else:
            steps = info["step"] + 1
            seconds_per_update = self.seconds_timed / max(self.steps_timed, 1)
            row = LogRow(
                epoch=info["epoch"],
                step=steps,
                seconds=round(now - self.start, 3),
                training_seconds=round(seconds_per_update * steps, 3),
                loss=sum_losses(info["losses"]) / (steps - self.steps_logged),
                f1=info["other_scores"]["ents_f"],
                scores=info["other_scores"],
            )
            append_row(self.path, row)
            self.steps_logged = steps
        self.leave_out_time()

    def leave_out_time(self) -> None:
        """Leave the time since the last step, such as that of saving, out of `training_seconds`."""
        self.last = time.perf_counter()


def sum_losses(losses: dict[str, Any]) -> float:
    """RETURNS (float): The total loss of all components. The transformer is skipped: it reports its
    listeners' losses again."""
    return sum(float(loss) for name, loss in losses.items() if name != "transformer")


def cut_log(path: Path, step: int) -> None:
    """Drop the rows after a step, which a resumed training writes again."""
    rows = [row for row in read_log(path) if row.step <= step]
    with atomic_write(path) as temporary:
        temporary.write_text(format_rows(rows), encoding="utf-8")
