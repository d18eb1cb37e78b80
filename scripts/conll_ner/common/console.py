"""Messages on the console, and how commands end on invalid input."""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import metadata, requires
from importlib.util import find_spec
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from wasabi.printer import Printer

__all__ = [
    "EXIT_REJECTED",
    "InputError",
    "exit_on_input_error",
    "first_line",
    "msg",
    "printable",
    "shorten",
]
DISTRIBUTION = "conll-ner"
EXIT_REJECTED = 3  # exit code of a command that left out records it couldn't read
# Characters that a terminal obeys, that turn the order of the text around them
# (https://trojansource.codes), that end lines, or that can't be encoded.
UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


class InputError(ValueError):
    """Invalid input. The message tells the user what is wrong, where, and how to fix it.

    example (str): Lines to print after it.
    """

    def __init__(self, message: str, example: str = "") -> None:
        super().__init__(message)
        self.example = example


@contextmanager
def exit_on_input_error() -> Iterator[None]:
    """Print an InputError, an OSError such as a full disk, weights that give no finite scores, or
    that an extra isn't installed, as one line on stderr, and exit with code 1."""
    example = ""
    try:
        yield
        return
    except InputError as error:
        message, example = str(error), error.example
    except (OSError, FloatingPointError) as error:
        message = first_line(error)
    except ImportError as error:
        module = (error.name or "").partition(".")[0]
        extra = extra_of(module) if module and find_spec(module) is None else None
        if extra is None:
            raise
        message = f'{module} is not installed: pip install "{DISTRIBUTION}[{extra}]"'
    print(f"Error: {printable(message)}", *example.splitlines(), sep="\n", file=sys.stderr)
    sys.exit(1)


def extra_of(module: str) -> str | None:
    """RETURNS (str | None): The smallest extra that brings a module; None if no extra does."""
    extras = {
        extra: {canonicalize_name(requirement.name) for requirement in requirements_of(extra)}
        for extra in metadata(DISTRIBUTION).get_all("Provides-Extra", [])
    }
    found = [extra for extra, names in extras.items() if canonicalize_name(module) in names]
    return min(found, key=lambda extra: len(extras[extra]), default=None)


def requirements_of(extra: str) -> list[Requirement]:
    """RETURNS (list[Requirement]): What an extra needs on this platform."""
    found = map(Requirement, requires(DISTRIBUTION) or ())
    return [each for each in found if each.marker and each.marker.evaluate({"extra": extra})]


def first_line(error: BaseException) -> str:
    """RETURNS (str): The first line of an error's message, or the name of its type."""
    return (str(error).splitlines() or [type(error).__name__])[0]


def shorten(text: str, length: int = 100) -> str:
    """RETURNS (str): Text of a file as a message quotes it: at most its start, on one line."""
    return printable(" ".join(text[:length].splitlines())) + "…" * (len(text) > length)


def printable(text: object) -> str:
    """RETURNS (str): A text with UNSAFE characters, but for line feeds, as escapes such as
    \\x1b."""
    return UNSAFE.sub(lambda m: m[0] if m[0] == "\n" else ascii(m[0])[1:-1], str(text))


class SafePrinter(Printer):
    """Prints texts of strangers, such as labels, with UNSAFE characters as escapes."""

    def text(self, title: Any = "", text: Any = "", *args: Any, **kwargs: Any) -> Any:
        return super().text(printable(title), printable(text), *args, **kwargs)

    def table(self, data: Any, **kwargs: Any) -> Any:
        return super().table([[printable(cell) for cell in row] for row in data], **kwargs)


msg = SafePrinter()
