"""List what a conversion leaves out, and count what it reads."""

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self, TextIO

from spacy.tokens import Doc

from conll_ner.common.console import InputError, msg, shorten
from conll_ner.common.files import atomic_write, delete_output
from conll_ner.data.formats.aligning import Aligned
from conll_ner.data.formats.annotated import Issue

ISSUES_SUFFIX = ".issues.jsonl"
SHOWN = 3  # issues that are printed


class IssueList:
    """Writes OUT.issues.jsonl as issues come, or deletes that of an earlier run if none comes. The
    file appears when the block ends without an error."""

    def __init__(self, target: Path) -> None:
        self.path = target.with_name(f"{target.name}{ISSUES_SUFFIX}")
        self.reasons: Counter[str] = Counter()  # without what follows a colon
        self.first: list[Issue] = []
        self.stack = ExitStack()
        self.file: TextIO | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        type_: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self.file is not None:
            self.file.close()
        elif type_ is None:
            delete_output(self.path)
        self.stack.__exit__(type_, error, traceback)

    def add(self, issue: Issue) -> None:
        if self.file is None:
            path = self.stack.enter_context(atomic_write(self.path))
            self.file = path.open("w", encoding="utf-8", newline="\n")
        self.file.write(issue.to_json())
        self.reasons[issue.reason.split(":")[0]] += 1
        if len(self.first) < SHOWN:
            self.first.append(issue)

    def print(self) -> None:
        """Print how many issues there are, by reason, and the first ones."""
        if not self.reasons:
            return
        counts = ", ".join(f"{n:,} {reason}" for reason, n in self.reasons.most_common())
        msg.warn(f"{self.reasons.total():,} annotations not used as they are: {counts}")
        for issue in self.first:
            msg.text(f"  {issue.record}: {shorten(repr(issue.text))} {issue.label}: {issue.reason}")
        msg.text(f"  all are listed in {self.path}")


class Counts:
    """What was read, for the summary."""

    def __init__(self) -> None:
        self.documents = 0
        self.words = 0
        self.unlabelled = 0  # words
        self.types: Counter[str] = Counter()

    def add(self, doc: Doc) -> None:
        self.documents += 1
        self.words += len(doc)
        self.unlabelled += sum(token.ent_iob == 0 for token in doc)
        self.types.update(ent.label_ for ent in doc.ents)

    def print(self, target: Path, format_: str) -> None:
        counts = {
            "documents": self.documents,
            "words": self.words,
            **dict(sorted(self.types.items())),
        }
        numbers = ", ".join(f"{number:,} {shorten(name)}" for name, number in counts.items())
        msg.good(f"{target}: {numbers} ({format_})")
        if self.unlabelled:
            msg.info(f"{self.unlabelled:,} words have no label")


def keep_documents(
    aligned: Iterable[Aligned], issues: IssueList, counts: Counts, source: Path
) -> Iterator[Doc]:
    """YIELDS (Doc): The documents that have words. Lists the issues, and counts the documents.
    RAISES (InputError): If there are none."""
    for doc, found in aligned:
        for issue in found:
            issues.add(issue)
        if doc is not None:
            counts.add(doc)
            yield doc
    if not counts.documents:
        raise InputError(
            f"{source} contains no words; check that it is the right file and complete"
        )
