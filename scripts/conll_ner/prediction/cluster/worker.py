"""A worker that annotates partitions: a plain class, without Ray."""

import json
import time
from typing import Any

import pyarrow.parquet
from spacy.language import Language

from conll_ner.common.console import InputError
from conll_ner.data.formats.annotated import Annotated, Issue
from conll_ner.data.mentions import list_mentions
from conll_ner.prediction.annotating import (
    annotate_texts,
    cut_parts,
    load_for_annotation,
)
from conll_ner.prediction.cluster.partitions import (
    COUNTS_KEY,
    Job,
    Partition,
    locate,
    read_counts,
    read_rows,
    write_rows,
)
from conll_ner.prediction.parquet_tables import MENTION
from conll_ner.prediction.records import check_text


class Worker:
    """Annotates partitions with its own copy of the pipeline. Each worker process has one."""

    def __init__(self, job: Job) -> None:
        self.job = job
        # Loaded with the first partition: of errors in a constructor, Ray reports only the text.
        self.nlp: Language | None = None

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """Annotate a partition and write its file, unless the file exists already: from a worker
        that died after writing it, or from the interrupted run.

        row (dict[str, Any]): The fields of a Partition.
        RETURNS (dict[str, Any]): Its name, the numbers of rows, words, mentions and rejected
            rows, CPU seconds (wall-clock seconds on a GPU), and whether this run wrote it.
        RAISES (InputError): If the pipeline's weights are not finite.
        """
        partition = Partition(**row)
        job = self.job
        done = read_counts(job, partition.name)
        if done:
            return done | {"new": False}
        nlp = self.nlp or load_for_annotation(job.pipeline, job.device, job.threshold, job.labels)
        self.nlp = nlp
        clock = time.process_time if job.device == "cpu" else time.perf_counter
        start = clock()
        table = read_rows(locate(job.source)[0], partition)
        with nlp.memory_zone():  # otherwise the vocabulary grows with every new word
            mentions, reasons, words = self.annotate_table(nlp, table, partition)
        counts = {
            "name": partition.name,
            "rows": len(table),
            "words": words,
            "mentions": sum(len(found) for found in mentions if found is not None),
            "rejected": sum(reason is not None for reason in reasons),
            "seconds": clock() - start,
        }
        table = table.append_column("mentions", pyarrow.array(mentions, pyarrow.list_(MENTION)))
        table = table.append_column("rejected", pyarrow.array(reasons, pyarrow.string()))
        metadata = (table.schema.metadata or {}) | {COUNTS_KEY: json.dumps(counts).encode()}
        write_rows(job, partition.name, table.replace_schema_metadata(metadata))
        return counts | {"new": True}

    def annotate_table(
        self, nlp: Language, table: pyarrow.Table, partition: Partition
    ) -> tuple[list[list[dict[str, Any]] | None], list[str | None], int]:
        """RETURNS (tuple[list, list, int]): The mentions of each row (None if it is rejected), the
        reason for its rejection (None if it isn't), and the number of words."""
        mentions: list[list[dict[str, Any]] | None] = []
        reasons: list[str | None] = []
        words = 0
        items = [
            check_text(text, {}, f"{partition.path}:{number}")
            for number, text in enumerate(read_texts(table[self.job.text_field]))
        ]
        for part in cut_parts(items):
            texts = [item.text for item in part if isinstance(item, Annotated)]
            try:
                docs = iter(annotate_texts(nlp, texts, self.job.labels))
            except FloatingPointError as error:
                raise InputError(str(error)) from None
            for item in part:
                doc = None if isinstance(item, Issue) else next(docs)
                mentions.append(None if doc is None else list_mentions(doc))
                reasons.append(item.reason if isinstance(item, Issue) else None)
                words += 0 if doc is None else len(doc)
        return mentions, reasons, words


def read_texts(column: pyarrow.ChunkedArray) -> list[str | None]:
    """RETURNS (list[str | None]): The texts. Invalid UTF-8, which Parquet allows, is decoded to
    surrogates, which `check_text` detects; Arrow would reject the whole column."""
    if pyarrow.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    texts = column.cast(pyarrow.large_binary()).to_pylist()
    return [None if text is None else text.decode("utf-8", "surrogateescape") for text in texts]
