"""Rows of CSV: an invalid row costs no other row, and the lines are numbered as in the file."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conll_ner.data import csv_rows
from conll_ner.data.csv_rows import read_rows

OPEN = "not CSV (unexpected end of data); check the quotes"
QUOTE = "not CSV (',' expected after '\"'); check the quotes"


def rows(text: str, delimiter: str = ",") -> list[tuple[int, list[str] | str]]:
    return list(read_rows(io.StringIO(text, newline=""), delimiter))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # A quote that isn't closed takes no other row with it, whether a quote follows or not.
        ('"Ada left.\nNext\n"Lee", he\n', [(1, QUOTE), (2, ["Next"]), (3, ["Lee", " he"])]),
        ('Ada\n"Ada left.\nNext\n', [(1, ["Ada"]), (2, OPEN), (3, ["Next"])]),
        ('"Ada\n"Lee\n"Bo\n', [(1, QUOTE), (2, QUOTE), (3, OPEN)]),
        ('"Ada\n\n1,"a\nb"\n', [(1, QUOTE), (3, ["1", "a\nb"])]),
        # Quotes that would vanish.
        ('"Ada" left.\nNext', [(1, QUOTE), (2, ["Next"])]),
        # Fields of several lines, whatever ends a line; empty lines; quotes within a field.
        ('"a\r\n\r\nb",1\r\n\r\nc\r\n', [(1, ["a\r\n\r\nb", "1"]), (5, ["c"])]),
        ('a\rb\n"c\rd"\re', [(1, ["a"]), (2, ["b"]), (3, ["c\rd"]), (5, ["e"])]),
        ('He said "no".\n"""yes"""\n""\n', [(1, ['He said "no".']), (2, ['"yes"']), (3, [""])]),
        ("", []),
        ("\n\n", []),
    ],
)
def test_rows_and_the_numbers_of_their_first_lines(
    text: str, expected: list[tuple[int, list[str] | str]]
) -> None:
    assert rows(text) == expected


def test_rows_of_another_delimiter() -> None:
    assert rows('1,5\t"a\tb"\n"x" y\tz\n', "\t") == [
        (1, ["1,5", "a\tb"]),
        (2, "not CSV ('\t' expected after '\"'); check the quotes"),
    ]


@given(st.lists(st.lists(st.text(alphabet='ab",\n\r\t '), min_size=1, max_size=3), max_size=6))
def test_rows_that_are_written_by_python_are_read_back(table: list[list[str]]) -> None:
    file = io.StringIO(newline="")
    csv.writer(file, quoting=csv.QUOTE_ALL).writerows(table)
    assert [row for _, row in rows(file.getvalue())] == table


@given(st.text(alphabet='ab",\n', max_size=40))
def test_every_line_belongs_to_a_row_or_has_a_reason(text: str) -> None:
    """Each row starts after the lines of the one before it, and an invalid row is one line."""
    lines = io.StringIO(text, newline="").readlines()
    following = 1
    for number, row in rows(text):
        assert all(not line.strip("\n") for line in lines[following - 1 : number - 1])
        breaks = 0 if isinstance(row, str) else sum(field.count("\n") for field in row)
        following = number + 1 + breaks
    assert all(not line.strip("\n") for line in lines[following - 1 :])


def test_a_row_is_limited_in_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a quote that isn't closed doesn't load the rest of a large file into memory."""
    monkeypatch.setattr(csv_rows, "MAX_CHARACTERS", 1000)
    n_read = 0

    def lines() -> list[str]:
        nonlocal n_read
        n_read += 1
        return ['"open\n'] if n_read == 1 else ["next\n"]

    reader = read_rows((line for _ in range(100_000) for line in lines()), ",")
    assert next(reader) == (1, "not CSV (a row of more than 1,000 characters); check the quotes")
    assert n_read < 300
    assert next(reader) == (2, ["next"])
    long = "x" * 1001
    assert rows(f"{long}\na,{long}\nnext")[-1] == (3, ["next"])


@pytest.mark.parametrize(
    "line", ['"Ada left.\n', 'Ada\n"Ada" left\n', '1,"a\nb"\n', '"""a\nb\n', '"a""\n', '",","\n']
)
def test_no_line_is_read_more_than_twice(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Although an invalid row is read again from its second line on."""
    n_read = 0
    following = csv_rows.Lines.__next__

    def counted(self: csv_rows.Lines) -> str:
        nonlocal n_read
        n_read += 1
        return following(self)

    monkeypatch.setattr(csv_rows.Lines, "__next__", counted)
    text = line * 1000
    rows(text)
    assert n_read <= 2 * text.count("\n") + 2
