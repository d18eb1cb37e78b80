"""Messages on the console, and how commands end on invalid input."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from wasabi import msg

__all__ = ["InputError", "exit_on_input_error", "first_line", "msg", "shorten"]


class InputError(ValueError):
    """Invalid input. The message tells the user what is wrong, where, and how to fix it."""


@contextmanager
def exit_on_input_error() -> Iterator[None]:
    """Print an InputError, or an OSError such as a full disk, as one line on stderr, and exit with
    code 1."""
    try:
        yield
    except (InputError, OSError) as error:
        message = str(error) if isinstance(error, InputError) else first_line(error)
        print(f"Error: {message}", file=sys.stderr)
        sys.exit(1)


def first_line(error: BaseException) -> str:
    """RETURNS (str): The first line of an error's message, or the name of its type."""
    return (str(error).splitlines() or [type(error).__name__])[0]


def shorten(text: str, length: int = 100) -> str:
    """RETURNS (str): Text of a file as a message quotes it: at most its start, on one line."""
    return " ".join(text[:length].splitlines()) + "…" * (len(text) > length)
