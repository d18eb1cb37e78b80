"""Write documents to a file of any format; in those of annotation tools one by one, in constant
memory.

Except for Prodigy's partial tasks, none of these formats can say that a word's label is unknown: it
reads as no mention. `count_lost` counts such words.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from spacy.tokens import Doc

from conll_ner.common.console import InputError, msg
from conll_ner.common.exact_json import dump_json
from conll_ner.common.files import atomic_write
from conll_ner.data.columns.conll import format_corpus
from conll_ner.data.docs import to_document, write_docs
from conll_ner.data.formats.reading import COLUMNS, FORMATS, SPACY
from conll_ner.data.mentions import list_mentions

# Names of Label Studio's control and object in the labelling interface, those of its template for
# named entities (https://labelstud.io/templates/named_entity).
CONTROL, OBJECT = "label", "text"


def plain_record(doc: Doc) -> dict[str, Any]:
    """RETURNS (dict[str, Any]): Text and mentions, as `predict` writes them."""
    return {"text": doc.text, "mentions": list_mentions(doc)}


def doccano_record(doc: Doc) -> dict[str, Any]:
    """RETURNS (dict[str, Any]): What doccano imports as JSONL with the column "label"."""
    return {"text": doc.text, "label": [[e.start_char, e.end_char, e.label_] for e in doc.ents]}


def prodigy_record(doc: Doc) -> dict[str, Any]:
    """RETURNS (dict[str, Any]): A task of ner.manual, with words and mentions; `token_end` is
    inclusive (https://prodi.gy/docs/api-interfaces#ner_manual). If all words outside of mentions
    are without a label, it is one of ner.teach, which says nothing about them."""
    is_binary = is_partial(doc)
    return {
        "text": doc.text,
        "tokens": [
            {
                "text": token.text,
                "start": token.idx,
                "end": token.idx + len(token),
                "id": token.i,
                "ws": bool(token.whitespace_),
            }
            for token in doc
        ],
        "spans": [
            {
                "start": mention["start"],
                "end": mention["end"],
                "token_start": ent.start,
                "token_end": ent.end - 1,
                "label": ent.label_,
                **({} if mention["score"] is None else {"score": mention["score"]}),
            }
            for ent, mention in zip(doc.ents, list_mentions(doc), strict=True)
        ],
        "_is_binary": is_binary,
        "_view_id": "ner" if is_binary else "ner_manual",
        "answer": "accept",
    }


def labelstudio_record(doc: Doc) -> dict[str, Any]:
    """RETURNS (dict[str, Any]): A task of Label Studio. The mentions of a pipeline with confidence
    scores are a prediction, which annotators correct; others, such as gold ones, an annotation
    (https://labelstud.io/guide/predictions). The project's labelling interface has to be

    <View>
      <Labels name="label" toName="text"><Label value="PER"/><Label value="LOC"/></Labels>
      <Text name="text" value="$text"/>
    </View>
    """
    made = labelstudio_result(list_mentions(doc))
    task: dict[str, Any] = {"data": {OBJECT: doc.text}}
    has_scores = "score" in made or any("scores" in group.attrs for group in doc.spans.values())
    return task | {"predictions" if has_scores else "annotations": [made]}


def labelstudio_result(
    mentions: Iterable[Mapping[str, Any]], control: str = CONTROL, text: str = OBJECT
) -> dict[str, Any]:
    """RETURNS (dict[str, Any]): A prediction or annotation of Label Studio: `result` with a region
    for each mention, and `score`, the lowest of theirs, if they have scores.

    mentions (Iterable): As of `list_mentions`.
    control (str): The name of the labels' tag in the labelling interface.
    text (str): The name of the text's tag.
    """
    result: list[dict[str, Any]] = [
        {
            "id": f"m{number}",
            "from_name": control,
            "to_name": text,
            "type": "labels",
            "value": {
                "start": mention["start"],
                "end": mention["end"],
                "text": mention["text"],
                "labels": [mention["label"]],
            },
            **({} if mention["score"] is None else {"score": mention["score"]}),
        }
        for number, mention in enumerate(mentions, start=1)
    ]
    scores = [region["score"] for region in result if "score" in region]
    return {"result": result, **({"score": min(scores)} if scores else {})}


def is_partial(doc: Doc) -> bool:
    """RETURNS (bool): Whether nothing is known but the mentions."""
    labels = {token.ent_iob_ for token in doc}
    return "" in labels and "O" not in labels


def count_lost(doc: Doc, name: str) -> int:
    """RETURNS (int): How many words without a label would read as no mention in a format, a key of
    WRITERS."""
    if name == "prodigy" and is_partial(doc):
        return 0
    return sum(not token.ent_iob_ for token in doc)


def write_lines(docs: Iterable[Doc], path: Path, make: Callable[[Doc], dict[str, Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(dump_json(make(doc)) + "\n" for doc in docs)


def write_array(docs: Iterable[Doc], path: Path, make: Callable[[Doc], dict[str, Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        before = "[\n"
        for doc in docs:
            file.write(before + dump_json(make(doc)))
            before = ",\n"
        file.write("\n]\n" if before != "[\n" else "[]\n")


WRITERS: dict[str, Callable[[Iterable[Doc], Path], None]] = {
    "jsonl": partial(write_lines, make=plain_record),
    "prodigy": partial(write_lines, make=prodigy_record),
    "doccano": partial(write_lines, make=doccano_record),
    "labelstudio": partial(write_array, make=labelstudio_record),
}
TARGET_NAMES = (SPACY, COLUMNS, *WRITERS)
SUFFIXES = {".spacy": SPACY, ".jsonl": "jsonl", ".json": "labelstudio"}
SUFFIX_OF = {name: suffix for suffix, name in SUFFIXES.items()} | {COLUMNS: ".txt"}


def describe_formats() -> str:
    """RETURNS (str): The table of docs/formats.md."""
    rows = ["| read | `--format` | written |", "| --- | --- | --- |"]
    for name, format_ in FORMATS.items():
        written = "yes" if name in TARGET_NAMES else ""
        rows.append(f"| {format_.shown} | `{name}` | {written} |".replace("|  |", "| |"))
    return "\n".join(rows)


def find_target(target: Path, name: str) -> str:
    """RETURNS (str): One of TARGET_NAMES; with "auto" by the suffix, columns for unknown ones.
    RAISES (InputError): If there is no such format."""
    if name == "auto":
        return SUFFIXES.get(target.suffix.lower(), COLUMNS)
    if name not in TARGET_NAMES:
        raise InputError(f"--to {name} is not one of auto, {', '.join(TARGET_NAMES)}")
    return name


def write_target(docs: Iterable[Doc], target: Path, name: str, scheme: str) -> None:
    """Write documents in one of TARGET_NAMES; columns in a label scheme. Warns of words without a
    label that the format can't express.

    RAISES (InputError): If the format can't hold them.
    """
    if name == SPACY:
        write_docs(docs, target)
        return
    lost = 0

    def counted() -> Iterator[Doc]:
        nonlocal lost
        for doc in docs:
            lost += count_lost(doc, name)
            yield doc

    with atomic_write(target) as temporary:
        if name == COLUMNS:
            text = format_corpus(map(to_document, docs), scheme=scheme)
            temporary.write_text(text, encoding="utf-8", newline="\n")
        else:
            WRITERS[name](counted(), temporary)
    if lost:
        msg.warn(
            f"{target}: {lost:,} words without a label read as no mention, because {name} has no "
            "unknown labels"
        )


def write_splits(splits: Mapping[str, Iterable[Doc]], target: Path, name: str, scheme: str) -> None:
    """Write the documents of each split to a file of a folder. Raises as `write_target`."""
    with atomic_write(target) as folder:
        folder.mkdir()
        for split, docs in splits.items():
            write_target(docs, folder / f"{split}{SUFFIX_OF.get(name, '.jsonl')}", name, scheme)
