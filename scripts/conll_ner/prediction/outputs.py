"""Output formats: write annotated documents in parts, and join the parts."""

import csv
import shutil
from collections.abc import Callable, Iterable, Sequence
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

from spacy.displacy.render import EntityRenderer
from spacy.tokens import Doc, DocBin

from conll_ner.common.console import shorten
from conll_ner.common.exact_json import dump_json
from conll_ner.data.columns.conll import Document, format_corpus
from conll_ner.data.columns.rows import DOCSTART
from conll_ner.data.docs import to_sentence
from conll_ner.data.formats.annotated import Annotated
from conll_ner.data.mentions import describe_candidates, list_mentions
from token_ner import gives_candidates, group_scores

CANDIDATES = "candidates"  # a field that is added only if the pipeline gives some
CSV_COLUMNS = ("record", "start", "end", "label", "score", "text")
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # how a cell begins that is a formula
MARK = '<mark title="{score}">{text} <b>{label}</b></mark>'
PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Named entities</title>
<style>
body { font: 1rem/1.8 sans-serif; max-width: 60rem; margin: 1rem auto; padding: 0 1rem }
mark { background: #dbe7fb; padding: .1em .3em; border-radius: .3em }
mark b { font-size: .7em }
</style>
</head>
<body>
"""
PAGE_END = "</body>\n</html>\n"


Join = Callable[[Sequence[Path], Path], None]


class Format(NamedTuple):
    """An output format.

    write (Callable): Writes a part.
    join (Callable): Joins parts in order to a file.
    problem (Callable): The reason why the format can't contain a record; empty if it can.
    adds (tuple[str, ...]): The fields that are added to those of a record.
    """

    write: Callable[[Sequence[Annotated], Sequence[Doc], Path], None]
    join: Join
    problem: Callable[[Annotated], str] = lambda _: ""
    adds: tuple[str, ...] = ("text", "mentions", CANDIDATES)


def list_rows(records: Sequence[Annotated], docs: Sequence[Doc]) -> list[dict[str, Any]]:
    """RETURNS (list[dict[str, Any]]): For each record its fields, `text`, `mentions`, and
    `candidates` if the pipeline gives them."""
    rows = []
    for record, doc in zip(records, docs, strict=True):
        row = dict(record.fields) | {"text": record.text, "mentions": list_mentions(doc)}
        if gives_candidates(doc):
            row[CANDIDATES] = describe_candidates(doc)
        rows.append(row)
    return rows


def join_bytes(parts: Iterable[Path], target: Path, before: str = "", after: str = "") -> None:
    with target.open("wb") as output:
        output.write(before.encode())
        for part in parts:
            with part.open("rb") as file:
                shutil.copyfileobj(file, output)
        output.write(after.encode())


def write_jsonl(records: Sequence[Annotated], docs: Sequence[Doc], path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for row in list_rows(records, docs):
            file.write(dump_json(row) + "\n")


def find_nan(record: Annotated) -> str:
    """RETURNS (str): The reason if a field is NaN or infinite, as numbers from Parquet can be."""
    for name, value in record.fields.items():
        try:
            dump_json(value)
        except ValueError:
            return f'the field "{shorten(name)}" is NaN or infinite, which JSON doesn\'t have'
    return ""


def write_parquet(records: Sequence[Annotated], docs: Sequence[Doc], path: Path) -> None:
    from conll_ner.prediction.parquet_tables import write_table  # pyarrow is an extra

    write_table(list_rows(records, docs), path)


def join_parquet(parts: Sequence[Path], target: Path) -> None:
    from conll_ner.prediction.parquet_tables import join_tables

    join_tables(parts, target)


def write_conll(_: Sequence[Annotated], docs: Sequence[Doc], path: Path) -> None:
    documents = []
    for doc in docs:
        sents = doc.sents if doc.has_annotation("SENT_START") else [doc[:]]
        sentences = [to_sentence(sent) for sent in sents]
        documents.append(Document([sentence for sentence in sentences if sentence.words]))
    text = format_corpus(documents)
    path.write_text(f"{text}\n\n" if text else "", encoding="utf-8", newline="\n")


def find_docstart(record: Annotated) -> str:
    """RETURNS (str): The reason if a line could be read as the start of another document."""
    if DOCSTART not in record.text:
        return ""
    return f"the text contains {DOCSTART}, which starts a document in this format"


def write_docbin(_: Sequence[Annotated], docs: Sequence[Doc], path: Path) -> None:
    for doc in docs:
        group_scores(doc, "token_ner", doc.ents)  # a DocBin without user data keeps span groups
    DocBin(attrs=("ORTH", "SENT_START", "ENT_IOB", "ENT_TYPE"), docs=docs).to_disk(path)


def join_docbin(parts: Sequence[Path], target: Path) -> None:
    """Loads all parts into memory, because a DocBin is compressed as a whole."""
    first, *others = (DocBin().from_disk(part) for part in parts)
    for other in others:
        first.merge(other)
    first.to_disk(target)


def write_html(_: Sequence[Annotated], docs: Sequence[Doc], path: Path) -> None:
    renderer = EntityRenderer({"template": MARK})
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for doc in docs:
            ents = [
                row
                | {
                    "label": escape(row["label"]),
                    "params": {"score": "" if row["score"] is None else f"{row['score']:.3f}"},
                }
                for row in list_mentions(doc)
            ]
            file.write(f"<p>{renderer.render_ents(doc.text, ents, None).strip()}</p>\n")


def join_html(parts: Sequence[Path], target: Path) -> None:
    join_bytes(parts, target, PAGE, PAGE_END)


def write_csv(records: Sequence[Annotated], docs: Sequence[Doc], path: Path) -> None:
    """Write a row for each mention."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        for record, doc in zip(records, docs, strict=True):
            for mention in list_mentions(doc):
                row = {"record": record.record} | mention
                writer.writerow([disarm(row[name]) for name in CSV_COLUMNS])


def disarm(value: Any) -> Any:
    """RETURNS (Any): A cell that a spreadsheet doesn't take for a formula
    (https://owasp.org/www-community/attacks/CSV_Injection)."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value


def join_csv(parts: Sequence[Path], target: Path) -> None:
    join_bytes(parts, target, ",".join(CSV_COLUMNS) + "\r\n")


FORMATS = {
    ".jsonl": Format(write_jsonl, join_bytes, find_nan),
    ".parquet": Format(write_parquet, join_parquet),
    ".csv": Format(write_csv, join_csv),
    ".conll": Format(write_conll, join_bytes, find_docstart),
    ".spacy": Format(write_docbin, join_docbin),
    ".html": Format(write_html, join_html),
}
