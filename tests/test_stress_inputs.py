"""Random inputs: every one is read correctly or refused with one line; the table of
docs/reliability.md."""

import random
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import spacy

from conll_ner.common.console import InputError
from conll_ner.data.columns.conll import read_corpus
from conll_ner.data.columns.schemes import decode_mentions, encode_iob2
from conll_ner.prediction.outputs import FORMATS
from tests.conftest import ROOT, TINY
from tests.mutation_helpers import mutate

pytestmark = pytest.mark.stress
Record = Callable[[str, str, str], None]
SECONDS = 60  # limit of each loop, for --stress 1
LETTERS = "aA1 .,'-\n\t\u00e9\u0130\u00df\u05d0\u0939\u4e2d\U0001f600\u200d\u0301\u2028\x00$("


def test_mutated_column_files(tmp_path: Path, stress: int, record: Record) -> None:
    """Any file is read to mentions that can be written again, or is an InputError of one line."""
    rng = random.Random(0)
    path = tmp_path / "in.txt"
    refused = count = 0
    deadline = time.monotonic() + SECONDS * stress
    while time.monotonic() < deadline and count < 1_000_000:
        count += 1
        path.write_bytes(mutate(TINY.encode(), rng))
        try:
            corpus = read_corpus(path)
        except InputError as error:
            assert not {"\n", "\r"} & set(str(error)), path.read_bytes()
            refused += 1
            continue
        for document in corpus.documents:
            for sentence in document.sentences:
                labels = encode_iob2(len(sentence.words), sentence.mentions)
                assert decode_mentions(labels, "iob2") == sentence.mentions
    assert 0 < refused < count
    result = f"{refused:,} refused with one line, others read; no other error"
    record("mutated column files", f"{count:,} files", result)


def test_random_documents(pipeline: Path, stress: int, record: Record) -> None:
    """Mentions are legal spans without whitespace at their edges, and `pipe` finds those of one
    call (float32: bfloat16 depends slightly on the batch)."""
    nlp = spacy.load(pipeline, config={"components.transformer.model.precision": "float32"})
    rng = random.Random(0)
    count = mentions = 0
    deadline = time.monotonic() + SECONDS * stress
    while time.monotonic() < deadline and count < 100_000:
        texts = ["".join(rng.choices(LETTERS, k=rng.choice((0, 1, 5, 40, 200)))) for _ in range(50)]
        count += len(texts)
        with nlp.memory_zone():
            for text, doc in zip(texts, nlp.pipe(texts), strict=True):
                assert doc.text == text
                alone = nlp(text)
                spans = [(e.start_char, e.end_char, e.label_) for e in doc.ents]
                assert spans == [(e.start_char, e.end_char, e.label_) for e in alone.ents], text
                for ent, same in zip(doc.ents, alone.ents, strict=True):
                    assert ent.text.strip() == ent.text != ""
                    assert 0 <= ent._.score <= 1
                    assert ent._.score == pytest.approx(same._.score, abs=1e-4)
                mentions += len(spans)
    assert mentions
    result = f"{mentions:,} mentions, all legal, the same by `pipe` and alone"
    record("random Unicode documents", f"{count:,} documents", result)


@pytest.mark.parametrize("suffix", FORMATS)
def test_full_disk(
    pipeline: Path, sentences: list[str], tmp_path: Path, record: Record, suffix: str
) -> None:
    """A limit on the size of files ends writing as a full disk does, by an OSError. Then there is
    one line, no output, and the run can be resumed."""
    source = tmp_path / "in.txt"
    source.write_text("\n".join(sentences * 20), encoding="utf-8")
    output = tmp_path / f"out{suffix}"
    command = [
        sys.executable,
        "-m",
        "spacy",
        "ner",
        "predict",
        str(pipeline),
        str(source),
        "-o",
        str(output),
    ]
    command += ["--device", "cpu"]
    for limit in (1000, 20_000):  # the first is too small for the list of the run's files
        result = subprocess.run(
            command,
            cwd=ROOT,
            capture_output=True,
            text=True,
            preexec_fn=lambda limit=limit: resource.setrlimit(  # type: ignore[misc]
                resource.RLIMIT_FSIZE, (limit, limit)
            ),
        )
        assert result.returncode == 1, result.stderr
        assert len([line for line in result.stderr.splitlines() if "words/s" not in line]) == 1
        assert limit == 1000 or "continue with --resume" in result.stderr
        assert not output.exists()
    subprocess.run([*command, "--resume"], cwd=ROOT, check=True, capture_output=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.txt", output.name]
    record(f"full disk, {suffix}", "2 runs", "one line, no output, resumed")
