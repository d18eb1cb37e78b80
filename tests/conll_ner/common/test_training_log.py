"""The training log: writing and reading."""

from pathlib import Path

import pytest

from conll_ner.common.console import InputError
from conll_ner.common.training_log import (
    LogRow,
    TimedLog,
    append_row,
    cut_log,
    format_rows,
    read_log,
)

ROWS = [
    LogRow(1, 10, 2.0, 1.5, 0.5, 0.25, {"ents_f": 0.25}),
    LogRow(2, 20, 4.0, 3.0, None, 0.5, {}),
]


def test_log_is_read_as_written(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text(format_rows(ROWS[:1]))
    append_row(path, ROWS[1])
    assert read_log(path) == ROWS


@pytest.mark.parametrize("text", ["half a li", "[]", '{"epoch": 1}', '{"other": 1}'])
def test_log_in_another_format_is_an_error(tmp_path: Path, text: str) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text(text)
    with pytest.raises(InputError, match=r"log\.jsonl is not a training log"):
        read_log(path)


def test_log_of_spacys_loop_has_the_mean_loss_per_update(tmp_path: Path) -> None:
    """spaCy sums losses between evaluations. The transformer repeats its listeners' losses."""
    path = tmp_path / "log.jsonl"
    log = TimedLog(path)
    info = {
        "epoch": 0,
        "step": 3,
        "score": 0.25,
        "other_scores": {"ents_f": 0.25},
        "losses": {"transformer": 9.0, "ner": 0.5},
        "seconds": 1,
        "words": 10,
        "checkpoints": [],
    }
    for _ in range(3):
        log.log_step(None)
    log.log_step(info)
    log.log_step(None)
    log.log_step(info | {"step": 5})
    first, second = read_log(path)
    assert (first.step, first.loss, first.f1) == (4, 0.125, 0.25)
    assert (second.step, second.loss) == (6, 0.25)
    assert 0 <= first.training_seconds <= second.training_seconds


def test_log_of_a_resumed_training_goes_on_after_the_step_that_it_is_resumed_from(
    tmp_path: Path,
) -> None:
    """Rows after that step were written before the training was killed; they come again."""
    path = tmp_path / "log.jsonl"
    path.write_text(format_rows([*ROWS, LogRow(3, 30, 6.0, 4.5, 0.1, 0.7, {})]))
    cut_log(path, 20)
    assert read_log(path) == ROWS
    log = TimedLog(path)
    for _ in range(9):
        log.log_step(None)
    log.log_step({"epoch": 3, "step": 29, "losses": {"ner": 5}, "other_scores": {"ents_f": 0.75}})
    *earlier, last = read_log(path)
    assert earlier == ROWS
    assert (last.step, last.loss, last.f1) == (30, 0.5, 0.75)
    assert 4.0 <= last.seconds < 5.0
    assert last.training_seconds > 3.0
