"""The training log: writing and reading."""

import io
from pathlib import Path

import pytest
import spacy

from common.console import InputError
from training.log import LogRow, append_row, format_rows, read_log
from training.loop import timed_logger

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
    nlp = spacy.blank("en")
    nlp.add_pipe("ner")
    log_step, finalize = timed_logger(str(path))(nlp, io.StringIO(), io.StringIO())
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
        log_step(None)
    log_step(info)
    log_step(None)
    log_step(info | {"step": 5})
    finalize()
    first, second = read_log(path)
    assert (first.step, first.loss, first.f1) == (4, 0.125, 0.25)
    assert (second.step, second.loss) == (6, 0.25)
    assert 0 <= first.training_seconds <= second.training_seconds
