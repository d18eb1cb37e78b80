"""Annotate unlabelled texts with a teacher pipeline, as training data for a smaller pipeline."""

from pathlib import Path
from typing import Annotated

import typer

from conll_ner.common.command import READS, Writes, command
from conll_ner.common.console import InputError, msg
from conll_ner.common.options import Device, TextField, Texts
from conll_ner.common.pipelines import find_single_head, load_on_device
from conll_ner.data.docs import write_docs
from conll_ner.data.formats.annotated import Issue
from conll_ner.prediction.annotating import name_first, read_texts
from conll_ner.prediction.records import REJECTS_SUFFIX, write_rejects
from conll_ner.training.teaching import Teacher, teach_texts


@command
def main(
    teacher: Annotated[
        str, typer.Argument(help="Folder or installed package of the teacher"), READS
    ],
    source: Texts,
    output: Annotated[
        Path, typer.Argument(help=".spacy file to write"), Writes(lists=(REJECTS_SUFFIX,))
    ],
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
    also: Annotated[
        list[str] | None,
        typer.Option(help="Another teacher, for the mean of all distributions; repeatable"),
        READS,
    ] = None,
    text_field: TextField = "text",
    device: Device = "auto",
) -> None:
    """Annotate texts with the distributions over labels of a teacher. Training reads the file with
    --paths.taught, beside the gold documents. Invalid records are written to OUTPUT.rejects.jsonl;
    the exit code is still 0, so that a project goes on to train."""
    if not teacher or not source:
        raise InputError("name a teacher and its texts: --vars.teacher PIPELINE --vars.texts FILE")
    if output.suffix != ".spacy":
        raise InputError(f"{output} must end in .spacy")
    teachers = load_teachers([teacher, *(also or [])], device)
    rejects: list[Issue] = []
    texts = read_texts(Path(source), text_field, teachers[0].nlp.max_length, rejects)
    docs = list(teach_texts(teachers, texts, words, moses))
    if not docs:
        raise InputError(f"{source} contains no texts{name_first(rejects)}")
    write_docs(docs, output)
    listed = write_rejects(rejects, output)
    n_words = sum(map(len, docs))
    mentions = sum(len(doc.ents) for doc in docs)
    msg.good(f"{output}: {len(docs):,} documents, {n_words:,} words, {mentions:,} mentions")
    if rejects:
        msg.warn(f"{len(rejects):,} records rejected; the reasons are in {listed}")


def load_teachers(paths: list[str], device: str) -> list[Teacher]:
    """RAISES (InputError): If a pipeline can't be loaded, or has other labels than the first."""
    teachers = []
    for path in paths:
        nlp, _ = load_on_device(path, device)
        teachers.append(Teacher(nlp, find_single_head(nlp, path, "a teacher")[1]))
        if teachers[-1].head.word_labels != teachers[0].head.word_labels:
            raise InputError(f"{path} has other labels than {paths[0]}, or another scheme")
    return teachers
