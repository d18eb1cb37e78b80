"""Annotate unlabelled texts with a teacher pipeline, as training data for a smaller pipeline."""

from pathlib import Path
from typing import Annotated

import typer

from common.console import InputError, exit_on_input_error, msg
from common.pipelines import load_on_device
from corpus.docs import write_docs
from texts.records import Record, list_files, read_records
from texts.teaching import find_teacher, teach_texts


def main(
    teacher: Annotated[str, typer.Argument(help="Folder or installed package of the teacher")],
    source: Annotated[
        Path,
        typer.Argument(metavar="INPUT", help="File or folder of texts, in any format of predict"),
    ],
    output: Annotated[Path, typer.Argument(help=".spacy file to write")],
    words: Annotated[int, typer.Option(min=1, help="Number of words to annotate")] = 400_000,
    text_field: Annotated[str, typer.Option(help="Field or column of the text")] = "text",
    device: Annotated[str, typer.Option(help="auto, cpu, or a GPU number")] = "auto",
) -> None:
    """Annotate texts with the distributions over labels of a teacher. Training reads the file with
    --paths.taught, beside the gold documents."""
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
        texts = (item.text for item in items if isinstance(item, Record))
        docs = list(teach_texts(nlp, head, texts, words))
        if not docs:
            raise InputError(f"{source} contains no texts")
        write_docs(docs, output)
        n_words = sum(map(len, docs))
        mentions = sum(len(doc.ents) for doc in docs)
        msg.good(f"{output}: {len(docs):,} documents, {n_words:,} words, {mentions:,} mentions")


if __name__ == "__main__":
    typer.run(main)
