"""Annotate unlabelled texts with a teacher pipeline, as training data for a smaller pipeline."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated

import typer

from common.console import InputError, exit_on_input_error, msg
from common.pipelines import load_on_device
from corpus.docs import write_docs
from texts.annotating import reject_if_longer
from texts.records import Record, Reject, list_files, read_records, write_rejects
from texts.teaching import find_teacher, teach_texts


def keep_texts(items: Iterable[Record | Reject], rejects: list[Reject]) -> Iterator[str]:
    """YIELDS (str): The texts of the records. Rejects are added to the list."""
    for item in items:
        if isinstance(item, Reject):
            rejects.append(item)
        else:
            yield item.text


def main(
    teacher: Annotated[str, typer.Argument(help="Folder or installed package of the teacher")],
    source: Annotated[
        Path,
        typer.Argument(metavar="INPUT", help="File or folder of texts, in any format of predict"),
    ],
    output: Annotated[Path, typer.Argument(help=".spacy file to write")],
    words: Annotated[int, typer.Option(min=1, help="Number of words to annotate")] = 400_000,
    moses: Annotated[
        float,
        typer.Option(
            min=0,
            max=1,
            help="Share of the texts that are split into words by Moses's rules, as most column "
            "files are, instead of the teacher's tokenizer",
        ),
    ] = 0.7,
    text_field: Annotated[str, typer.Option(help="Field or column of the text")] = "text",
    device: Annotated[str, typer.Option(help="auto, cpu, or a GPU number")] = "auto",
) -> None:
    """Annotate texts with the distributions over labels of a teacher. Training reads the file with
    --paths.taught, beside the gold documents. Invalid records are written to OUTPUT.rejects.jsonl;
    the exit code is still 0, so that a project goes on to train."""
    with exit_on_input_error():
        if not teacher or source == Path():
            raise InputError(
                "name a teacher and its texts: --vars.teacher PIPELINE --vars.texts FILE"
            )
        if output.suffix != ".spacy":
            raise InputError(f"{output} must end in .spacy")
        nlp, _ = load_on_device(teacher, device)
        head = find_teacher(nlp, teacher)
        items = read_records(list_files(source, None), text_field)
        rejects: list[Reject] = []
        texts = keep_texts((reject_if_longer(item, nlp.max_length) for item in items), rejects)
        docs = list(teach_texts(nlp, head, texts, words, moses))
        if not docs:
            first = f"; the first is invalid: {rejects[0].reason}" if rejects else ""
            raise InputError(f"{source} contains no texts{first}")
        write_docs(docs, output)
        listed = write_rejects(rejects, output)
        n_words = sum(map(len, docs))
        mentions = sum(len(doc.ents) for doc in docs)
        msg.good(f"{output}: {len(docs):,} documents, {n_words:,} words, {mentions:,} mentions")
        if rejects:
            msg.warn(f"{len(rejects):,} records rejected; the reasons are in {listed}")


if __name__ == "__main__":
    typer.run(main)
