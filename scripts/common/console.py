"""What the scripts say, and how they end on bad input."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from wasabi import msg

__all__ = ["InputError", "exit_on_input_error", "msg"]


class InputError(ValueError):
    """Bad input: what is wrong, where, and how to mend it, in words for the user."""


@contextmanager
def exit_on_input_error() -> Iterator[None]:
    """Turn an InputError, or what the system refuses (a full disk, a file that may not be read),
    into its words on stderr and the exit code 1."""
    try:
        yield
    except (InputError, OSError) as error:
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(1)
