"""Progress of what takes long: a bar on a terminal, elsewhere a line per minute."""

import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from spacy.tokens import Doc
from tqdm import tqdm

T = TypeVar("T")
BAR_AFTER = 2.0  # seconds without a bar
LINE_EVERY = 60.0  # seconds


class LoggedProgress(tqdm):  # type: ignore[type-arg]
    """Writes lines, for files and the logs of services, in which a bar would be one long line."""

    def display(self, msg: str | None = None, pos: int | None = None) -> None:  # noqa: ARG002
        if text := str(self) if msg is None else msg:
            print(text, file=self.fp, flush=True)


def show_progress(unit: str, total: int | None = None, **settings: Any) -> Any:
    """RETURNS (tqdm): The progress, with the rate and, if the total is known, what is left.

    unit (str): Of what is counted, such as "words".
    settings: Further ones of tqdm.
    """
    if sys.stderr.isatty():
        kind, when = tqdm, {"delay": BAR_AFTER, "leave": False}
    else:
        kind = LoggedProgress
        when = dict.fromkeys(("delay", "mininterval", "maxinterval"), LINE_EVERY)
    settings = when | settings
    return kind(unit=f" {unit}", unit_scale=True, total=total, **settings)


def track(
    items: Iterable[T], unit: str, total: int | None = None, size: Callable[[T], int] = lambda _: 1
) -> Iterator[T]:
    """YIELDS (T): The items, with the progress.

    total (int | None): As of `show_progress`.
    size (Callable): How many units an item is.
    """
    with show_progress(unit, total) as progress:
        for item in items:
            yield item
            progress.update(size(item))


def track_words(docs: Iterable[Doc], of: Iterable[Doc]) -> Iterator[Doc]:
    """YIELDS (Doc): The documents, with the progress by words. of: the documents that they are made
    of, with about as many words."""
    return track(docs, "words", sum(map(len, of)), len)
