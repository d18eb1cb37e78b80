"""A bar on a terminal, lines elsewhere."""

import io
import sys
import time

import pytest

from conll_ner.common import progress
from conll_ner.common.progress import show_progress, track


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def replace_stderr(patch: pytest.MonkeyPatch, stream: io.StringIO) -> io.StringIO:
    patch.setattr(sys, "stderr", stream)
    return stream


def test_a_terminal_gets_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = replace_stderr(monkeypatch, Terminal())
    monkeypatch.setattr(progress, "BAR_AFTER", 0.0)
    with show_progress("words", 200, mininterval=0) as bar:
        bar.update(50)
        shown = stream.getvalue()
    assert "\r" in shown
    assert "25%" in shown
    assert "50.0/200" in shown


def test_a_file_gets_a_line_per_interval_with_rate_and_rest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stream = replace_stderr(monkeypatch, io.StringIO())
    monkeypatch.setattr(progress, "LINE_EVERY", 0.05)
    for _ in track(range(8), "texts", 8):
        time.sleep(0.03)
    lines = stream.getvalue().split("\n")[:-2]  # tqdm ends with an empty line
    assert 2 <= len(lines) <= 6
    assert "\r" not in "".join(lines)
    assert all("texts/s" in line and "/8.00" in line and "<" in line for line in lines)


@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
def test_what_is_quick_shows_nothing(
    monkeypatch: pytest.MonkeyPatch, stream: type[io.StringIO]
) -> None:
    stderr = replace_stderr(monkeypatch, stream())
    assert list(track("abc", "words", 3)) == ["a", "b", "c"]
    assert stderr.getvalue() == ""
