"""Print metrics as a Markdown table, and write tables of them to pages."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from conll_ner.common.command import WRITES, command
from conll_ner.common.console import InputError, msg
from conll_ner.common.files import atomic_write
from conll_ner.evaluation.runs import read_run
from conll_ner.evaluation.tables import VIEWS, format_table

START = "<!-- RESULTS: AUTO-GENERATED START (spacy ner scores{}) -->"
END = "<!-- RESULTS: AUTO-GENERATED END -->"
BLOCK = re.compile(
    re.escape(START).replace(r"\{\}", r"(?:: (\w+))?") + f".*?{re.escape(END)}", re.DOTALL
)


@command
def main(
    metrics: Annotated[list[Path], typer.Argument(help="JSON files that evaluate wrote")],
    output: Annotated[
        list[Path] | None,
        typer.Option(help="Markdown page whose marked blocks are replaced by tables; repeatable"),
        WRITES,
    ] = None,
) -> None:
    """Print the scores of one or more runs as a Markdown table. A page's blocks are marked by
    <!-- RESULTS: AUTO-GENERATED START (spacy ner scores: VIEW) --> and
    <!-- RESULTS: AUTO-GENERATED END -->, where VIEW is runs, means (of seeds), summary or gpu."""
    runs = list(map(read_run, metrics))
    print(format_table(runs))
    pages = {path: fill_blocks(path, runs) for path in output or ()}
    for path, text in pages.items():
        with atomic_write(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
        msg.good(f"{path}: results of {', '.join(run['name'] for run in runs)}")


def fill_blocks(path: Path, runs: Sequence[dict[str, Any]]) -> str:
    """RETURNS (str): The text of a page with tables in its marked blocks.
    RAISES (InputError): If it can't be read, has no such block, one that isn't closed, or one of an
        unknown view."""
    try:
        old = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: not a page in UTF-8") from None

    def fill(block: re.Match[str]) -> str:
        view = block[1] or "runs"
        if view not in VIEWS:
            raise InputError(f"{path}: no view is called {view}: {', '.join(VIEWS)}")
        mark = START.format(f": {block[1]}" if block[1] else "")
        return f"{mark}\n\n{VIEWS[view](runs)}\n\n{END}"

    new, number = BLOCK.subn(fill, old)
    opened, closed = old.count(START.partition(" (")[0]), old.count(END)
    if not number == opened == closed > 0:  # else a block would take in what is between two
        raise InputError(f"{path}: must contain pairs of {START.format('')} … {END}")
    return new
