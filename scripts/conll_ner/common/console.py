"""Messages on the console, and how commands end on invalid input."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import metadata, requires
from importlib.util import find_spec

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from wasabi import msg

__all__ = ["InputError", "exit_on_input_error", "first_line", "msg", "shorten"]
DISTRIBUTION = "conll-ner"


class InputError(ValueError):
    """Invalid input. The message tells the user what is wrong, where, and how to fix it."""


@contextmanager
def exit_on_input_error() -> Iterator[None]:
    """Print an InputError, an OSError such as a full disk, or that an extra isn't installed, as one
    line on stderr, and exit with code 1."""
    try:
        yield
        return
    except (InputError, OSError) as error:
        message = str(error) if isinstance(error, InputError) else first_line(error)
    except ImportError as error:
        module = (error.name or "").partition(".")[0]
        extra = extra_of(module) if module and find_spec(module) is None else None
        if extra is None:
            raise
        message = f'{module} is not installed: pip install "{DISTRIBUTION}[{extra}]"'
    print(f"Error: {message}", file=sys.stderr)
    sys.exit(1)


def extra_of(module: str) -> str | None:
    """RETURNS (str | None): The smallest extra that brings a module; None if no extra does."""
    extras: dict[str, set[str]] = {
        extra: set() for extra in metadata(DISTRIBUTION).get_all("Provides-Extra", [])
    }
    for requirement in map(Requirement, requires(DISTRIBUTION) or ()):
        for extra, names in extras.items():
            if requirement.marker and requirement.marker.evaluate({"extra": extra}):
                names.add(canonicalize_name(requirement.name))
    found = [extra for extra, names in extras.items() if canonicalize_name(module) in names]
    return min(found, key=lambda extra: len(extras[extra]), default=None)


def first_line(error: BaseException) -> str:
    """RETURNS (str): The first line of an error's message, or the name of its type."""
    return (str(error).splitlines() or [type(error).__name__])[0]


def shorten(text: str, length: int = 100) -> str:
    """RETURNS (str): Text of a file as a message quotes it: at most its start, on one line."""
    return " ".join(text[:length].splitlines()) + "…" * (len(text) > length)
