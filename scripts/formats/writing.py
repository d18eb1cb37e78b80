"""Write documents in the formats of annotation tools."""

from collections.abc import Callable, Iterable
from pathlib import Path

from spacy.tokens import Doc

from texts.exact_json import dump_json
from texts.outputs import list_mentions


def write_jsonl(docs: Iterable[Doc], path: Path) -> None:
    """Write `{"text": …, "mentions": …}` per line, as `predict` does."""
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for doc in docs:
            file.write(dump_json({"text": doc.text, "mentions": list_mentions(doc)}) + "\n")


WRITERS: dict[str, Callable[[Iterable[Doc], Path], None]] = {"jsonl": write_jsonl}
