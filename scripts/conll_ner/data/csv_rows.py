"""Read the rows of a CSV file, so that a row which isn't valid costs no other row."""

import csv
from collections import deque
from collections.abc import Iterable, Iterator

MAX_CHARACTERS = 10_000_000  # of a field, and of the lines of a row
# UTF-16 without a byte order mark looks like this.
HAS_NUL = "NUL characters; if the file is UTF-16, save it as UTF-8 or with a byte order mark"


def find_delimiter(header: str, default: str) -> str:
    """RETURNS (str): What separates the columns in the first line of a file, such as the semicolon
    where the comma is the decimal sign."""
    counts = {delimiter: header.count(delimiter) for delimiter in (default, ",", ";", "\t")}
    return max(counts, key=lambda delimiter: counts[delimiter])


class Lines:
    """Iterates over physical lines, and can go back within the lines of the current row."""

    def __init__(self, lines: Iterable[str]) -> None:
        self.lines = iter(lines)
        self.again: deque[str] = deque()  # lines to be read again
        self.row: list[str] = []  # the lines of the current row so far
        self.size = 0  # characters of these
        self.number = 1  # line number of the first of these

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self.again.popleft() if self.again else next(self.lines)
        self.row.append(line)
        self.size += len(line)
        if self.size > MAX_CHARACTERS:
            raise csv.Error(f"a row of more than {MAX_CHARACTERS:,} characters")
        return line

    def start_row(self) -> None:
        self.number += len(self.row)
        self.row, self.size = [], 0

    def go_back(self) -> None:
        """Continue after the first line of the current row."""
        self.again.extendleft(reversed(self.row[1:]))
        del self.row[1:]


def read_rows(lines: Iterable[str], delimiter: str) -> Iterator[tuple[int, list[str] | str]]:
    """Read rows strictly: a quoted field ends before a delimiter or at the end of a line.

    After a quote that isn't closed, all following lines seem to be one field. So an invalid row is
    given up with its first line, and the next line starts a row again.

    YIELDS (tuple[int, list[str] | str]): The number of the row's first line, and its fields, or the
        reason why it is invalid. Empty lines are skipped.
    """
    csv.field_size_limit(MAX_CHARACTERS)
    source = Lines(lines)
    rows = csv.reader(source, delimiter=delimiter, strict=True)
    while True:
        source.start_row()
        try:
            row = next(rows, None)
        except csv.Error as error:
            source.go_back()
            has_nul = "\0" in source.row[0]
            yield source.number, HAS_NUL if has_nul else f"not CSV ({error}); check the quotes"
            continue
        if row is None:
            return
        if row:
            yield source.number, HAS_NUL if any("\0" in value for value in row) else row
