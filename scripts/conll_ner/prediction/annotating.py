"""Annotate texts with a pipeline, in batches of similar length."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from spacy.language import Language
from spacy.tokens import Doc

from conll_ner.common.console import InputError
from conll_ner.common.pipelines import drop_transformer_output, find_heads, load_on_device
from conll_ner.data.formats.annotated import Annotated, Issue
from conll_ner.prediction.long_texts import join_pieces, split_text
from conll_ner.prediction.records import list_files, read_records, reject
from token_ner import keep_candidates

# Maximum size of a part. An interrupted run loses only the parts in progress.
PART_RECORDS = 1000
PART_CHARACTERS = 500_000
BATCH_CHARACTERS = 50_000  # per call of the pipeline
Part = list[Annotated | Issue]


def load_for_annotation(
    pipeline: str,
    device: str,
    threshold: float | None,
    labels: Sequence[str],
    candidates: float | None = None,
) -> Language:
    """RETURNS (Language): The pipeline on the device, with the least scores set that are given.
    RAISES (InputError): If one is given but the pipeline has no confidence scores, or if it lacks
        one of the labels."""
    nlp, _ = load_on_device(pipeline, device)
    heads = find_heads(nlp)
    for setting, value in (("threshold", threshold), ("candidates", candidates)):
        if value is not None and not heads:
            raise InputError(f"{pipeline} has no confidence scores, which --{setting} needs")
        for head in heads.values() if value is not None else ():
            setattr(head, setting, value)
    known = {label for values in nlp.pipe_labels.values() for label in values}
    unknown = sorted(set(labels) - known)
    if unknown:
        listed = ", ".join(sorted(known)) or "none"
        raise InputError(f"{pipeline} has no label {', '.join(unknown)}; its labels are {listed}")
    return nlp


def batch_by_length(texts: Sequence[str]) -> Iterator[list[int]]:
    """YIELDS (list[int]): Indices of texts of similar length."""
    batch: list[int] = []
    size = 0
    for i in sorted(range(len(texts)), key=lambda i: (len(texts[i]), i)):
        if batch and size + len(texts[i]) > BATCH_CHARACTERS:
            yield batch
            batch, size = [], 0
        batch.append(i)
        size += len(texts[i])
    if batch:
        yield batch


def annotate_texts(nlp: Language, texts: Sequence[str], labels: Sequence[str]) -> list[Doc]:
    """Annotate texts in batches of similar length, and long ones in pieces.

    labels (Sequence[str]): The labels to keep; all if empty.
    RETURNS (list[Doc]): In the order of the texts, without the transformer's output.
    """
    pieces = [list(split_text(text, nlp.max_length)) for text in texts]
    flat = [piece for parts in pieces for piece in parts]
    docs: dict[int, Doc] = {}
    for batch in batch_by_length(flat):
        found = nlp.pipe([flat[i] for i in batch], batch_size=len(batch))
        for i, doc in zip(batch, found, strict=True):
            drop_transformer_output(doc)
            if labels:
                keep_labels(doc, labels)
            docs[i] = doc
    in_order = (docs[i] for i in range(len(flat)))
    return [join_pieces([next(in_order) for _ in parts]) for parts in pieces]


def keep_labels(doc: Doc, labels: Sequence[str]) -> None:
    """Drop mentions and candidates with other labels."""
    doc.set_ents([ent for ent in doc.ents if ent.label_ in labels], default="outside")
    keep_candidates(doc, labels)


def has_candidates(nlp: Language) -> bool:
    return any(head.candidates is not None for head in find_heads(nlp).values())


def read_texts(
    source: Path,
    text_field: str,
    limit: int,
    rejects: list[Issue],
    *,
    whole_files: bool = False,
) -> Iterator[str]:
    """YIELDS (str): The texts of a file or folder, in any format of predict. Rejects are added to
    the list.
    limit (int): The most characters of a text; longer ones are cut into several.
    whole_files (bool): As for `read_records`.
    RAISES (InputError): If a file can't be read."""
    for item in read_records(list_files(source, None), text_field, whole_files=whole_files):
        if isinstance(item, Issue):
            rejects.append(item)
        else:
            yield from split_text(item.text, limit)


def name_first(rejects: Sequence[Issue]) -> str:
    """RETURNS (str): Why the first record was rejected, to end a message that there are no texts;
    empty without one."""
    return f"; the first is invalid: {rejects[0].reason}" if rejects else ""


def reject_overwritten(item: Annotated | Issue, added: Sequence[str]) -> Annotated | Issue:
    """Reject records with fields that the output would overwrite, which are `added`."""
    taken = [name for name in added if isinstance(item, Annotated) and name in item.fields]
    if not taken:
        return item
    reason = f"the output would overwrite the field {taken[0]}; rename it"
    return reject(item.record, reason)


def reject_unwritable(
    item: Annotated | Issue, problem: Callable[[Annotated], str]
) -> Annotated | Issue:
    """Reject records that the output format can't contain.

    problem (Callable[[Annotated], str]): That of an outputs.Format.
    """
    reason = problem(item) if isinstance(item, Annotated) else ""
    return reject(item.record, reason) if reason else item


def cut_parts(items: Iterable[Annotated | Issue]) -> Iterator[Part]:
    """YIELDS (Part): The items in order; one empty part if there are none. Parts depend only on the
    input, so that a resumed run has the same parts."""
    part: Part = []
    size = 0
    first = True
    for item in items:
        length = len(item.text) if isinstance(item, Annotated) else 0
        if part and (len(part) == PART_RECORDS or size + length > PART_CHARACTERS):
            yield part
            part, size, first = [], 0, False
        part.append(item)
        size += length
    if part or first:
        yield part
