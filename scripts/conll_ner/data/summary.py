"""What a conversion reads, and what it leaves out."""

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self, TextIO

from spacy.tokens import Doc

from conll_ner.common.console import InputError, msg, shorten
from conll_ner.common.files import atomic_write, delete_output
from conll_ner.data.formats.annotated import Agreement, Annotated, Issue

ISSUES_SUFFIX = ".issues.jsonl"
SHOWN = 3  # issues that are printed


class Summary:
    """Counts documents, and writes OUT.issues.jsonl as issues come, or deletes that of an earlier
    run if none comes. The file appears when the block ends without an error."""

    def __init__(self, target: Path, shown: Path) -> None:
        self.shown = shown  # the target's name in messages
        self.path = target.with_name(f"{target.name}{ISSUES_SUFFIX}")
        self.counts = Counter(documents=0, sentences=0, words=0)
        self.types: Counter[str] = Counter()
        self.unlabelled = 0  # words
        self.reasons: Counter[str] = Counter()  # without what follows a colon
        self.unreadable = 0  # records
        self.agreement = Agreement()
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

    def count_copies(self, found: Iterable[Annotated | Issue]) -> Iterator[Annotated | Issue]:
        """YIELDS (Annotated | Issue): The records. Counts how far annotations of a text agree."""
        for item in found:
            if isinstance(item, Annotated):
                pairs = zip(self.agreement, item.agreement, strict=True)
                self.agreement = Agreement(*(a + b for a, b in pairs))
            yield item

    def keep_documents(self, found: Iterable[Doc | Issue], source: str) -> Iterator[Doc]:
        """YIELDS (Doc): The documents, counted. Lists the issues.
        RAISES (InputError): If there are no documents."""
        for item in found:
            if isinstance(item, Issue):
                self.add_issue(item)
            else:
                self.count(item)
                yield item
        first = next((issue for issue in self.first if issue.unreadable), None)
        if first is not None and not self.counts["documents"]:
            raise InputError(f"{first.record}: {first.reason}")
        if not self.counts["documents"]:
            raise InputError(
                f"{source} contains no words; check that it is the right file and complete"
            )

    def count(self, doc: Doc) -> None:
        has_sentences = doc.has_annotation("SENT_START")
        self.counts["documents"] += 1
        self.counts["sentences"] += sum(1 for _ in doc.sents) if has_sentences else 0
        self.counts["words"] += len(doc)
        self.types.update(ent.label_ for ent in doc.ents)
        self.unlabelled += sum(token.ent_iob == 0 for token in doc)

    def add_issue(self, issue: Issue) -> None:
        if self.file is None:
            path = self.stack.enter_context(atomic_write(self.path))
            self.file = path.open("w", encoding="utf-8", newline="\n")
        self.file.write(issue.to_json())
        self.unreadable += issue.unreadable
        reason = "can't be read" if issue.unreadable else issue.reason.split(":")[0]
        self.reasons[reason] += 1
        if len(self.first) < SHOWN:
            self.first.append(issue)

    def print(self, format_: str) -> None:
        """Print the counts, how many issues there are, by reason, and the first ones."""
        counts = {name: n for name, n in self.counts.items() if n or name != "sentences"}
        counts |= dict(sorted(self.types.items()))
        numbers = ", ".join(f"{number:,} {shorten(name)}" for name, number in counts.items())
        msg.good(f"{self.shown}: {numbers} ({format_})")
        if self.unlabelled:
            msg.info(f"{self.unlabelled:,} words have no label")
        if self.agreement.total:
            f1 = 200 * self.agreement.shared / self.agreement.total
            msg.info(
                f"{self.agreement.texts:,} texts annotated more than once; their mentions agree "
                f"with an F1 of {f1:.1f}"
            )
        if not self.reasons:
            return
        reasons = ", ".join(f"{n:,} {reason}" for reason, n in self.reasons.most_common())
        msg.warn(f"{self.reasons.total():,} annotations not used as they are: {reasons}")
        for issue in self.first:
            text, label = shorten(repr(issue.text)), shorten(issue.label)
            msg.text(f"  {issue.record}: {text} {label}: {issue.reason}")
        msg.text(f"  all are listed in {self.shown.with_name(self.path.name)}")
        if self.unreadable:
            msg.warn(f"{self.unreadable:,} records can't be read; --strict refuses the source")
