"""Mutated files through all readers: every one is read, or is an InputError of one line; the table
of docs/reliability.md."""

import json
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import spacy
from spacy.tokens import Doc

from conll_ner.common.console import InputError
from conll_ner.data.columns.conll import read_corpus
from conll_ner.data.docs import make_doc, write_docs
from conll_ner.data.formats.aligning import make_docs
from conll_ner.data.formats.annotated import Annotated, Issue, Reading
from conll_ner.data.formats.reading import FORMATS, open_sources
from conll_ner.data.mentions import check_labels, label_problem
from conll_ner.prediction.records import FORMATS as TEXTS
from conll_ner.prediction.records import list_files, read_records
from tests.conftest import TINY
from tests.conll_ner.data.formats.readers.test_rasa_yaml import FILE as RASA
from tests.conll_ner.data.formats.readers.test_webanno import HEADER, LAYER
from tests.conll_ner.data.formats.support import OBJECTS, RESULT, SPANS, TEXT, prodigy, task
from tests.mutation_helpers import mutate, mutate_value

pytestmark = pytest.mark.stress
SECONDS = 60  # for --stress 1
COUNT = 1_000_000
TOKENS = [
    {"orth": word, "ner": label}
    for word, label in (("Ada", "U-PER"), ("left", "O"), ("Oslo", "U-LOC"), (".", "-"))
]
UBIAI = [{"text": TEXT[a:b], "start": a, "end": b, "entityLabel": c} for a, b, c in SPANS]
RESPONSES = {"responses": {"span": [{"value": OBJECTS, "status": "submitted"}]}}
JSON: dict[str, Any] = {
    "jsonl": {
        "text": TEXT,
        "mentions": [o | {"text": TEXT[o["start"] : o["end"]]} for o in OBJECTS],
    },
    "doccano": {"id": 1, "text": TEXT, "label": SPANS},
    "prodigy": prodigy(_input_hash=1, tokens=[{"text": word} for word in ("Ada", "left", "Oslo.")]),
    "labelstudio": task(RESULT),
    "labelstudio-min": {
        "id": 1,
        "text": TEXT,
        "annotation_id": 2,
        "label": [r["value"] for r in RESULT],
    },
    "argilla": {"id": "1", "fields": {"text": TEXT}} | RESPONSES,
    "tuples": [TEXT, {"entities": SPANS}],
    "ubiai": {"document": TEXT, "tokens": UBIAI},
    "huggingface": {"tokens": ["Ada", "left"], "ner_tags": ["B-PER", "O"], "document_id": 1},
    "gliner": {"tokenized_text": ["Ada", "left"], "ner": [[0, 0, "PER"]]},
    "dygie": {"sentences": [["Bo"], ["Ada", "left"]], "ner": [[], [[1, 1, "PER"]]]},
    "spert": {"tokens": ["Ada"], "entities": [{"type": "PER", "start": 0, "end": 1}]},
    "dataturks": {
        "content": TEXT,
        "annotation": [{"label": ["PER"], "points": [{"start": 0, "end": 2, "text": "Ada"}]}],
    },
    "cluener": {"text": TEXT, "label": {"PER": {"Ada": [[0, 2]]}}},
    "stockmark": {"text": TEXT, "entities": [{"name": "Ada", "span": [0, 3], "type": "PER"}]},
    "rasa": {
        "rasa_nlu_data": {
            "common_examples": [
                {"text": TEXT, "entities": [{"start": 0, "end": 3, "entity": "PER"}]}
            ]
        }
    },
    "lighttag": {
        "content": TEXT,
        "annotations": [{"start": 0, "end": 3, "tag": "PER", "value": "Ada"}],
    },
    "azure": {
        "assets": {
            "documents": [
                {
                    "location": "in.txt",
                    "entities": [{"labels": [{"category": "PER", "offset": 0, "length": 3}]}],
                }
            ]
        }
    },
    "spacy-json": {"paragraphs": [{"raw": TEXT, "sentences": [{"tokens": TOKENS}]}]},
}
WEBANNO = (
    HEADER + LAYER + "\n\n#Text=Ada Lin left.\n1-1\t0-3\tAda\t*[1]\tPER[1]\t\n"
    "1-2\t4-7\tLin\t*[1]\tPER[1]\t\n1-3\t8-12\tleft\t_\t_\t\n\n2-1\t14-18\tOslo\t_\tLOC\t\n"
)
GAP = "\t_" * 7
CONLLU = "# newdoc\n" + "".join(
    f"{i}\t{word}{GAP}\tname={label}\n"
    for i, (word, label) in enumerate((("Ada", "B-PER"), ("left", "O")), start=1)
)
CSV_LISTS = "tokens,tags\n\"['Ada', 'left']\",\"['B-PER', 'O']\"\n"
CSV = "Sentence #,Word,Tag\nSentence: 1,Ada,B-PER\n,left,O\nSentence: 2,Oslo,B-LOC\n"


@pytest.fixture
def seeds(tmp_path: Path) -> dict[str, tuple[str, bytes]]:
    """The name of a valid file of each format, and its bytes."""
    import pyarrow
    from pyarrow import parquet

    found = {name: ("in.jsonl", f"{json.dumps(r)}\n".encode() * 2) for name, r in JSON.items()}
    vocab = spacy.blank("en").vocab
    (tmp_path / "in.txt").write_text(TINY)
    docs = [make_doc(document, vocab) for document in read_corpus(tmp_path / "in.txt").documents]
    write_docs(docs, tmp_path / "in.spacy")
    row = {"text": TEXT, "tokens": ["Ada", "left"], "ner_tags": ["B-PER", "O"]}
    rows = pyarrow.Table.from_pylist([row])
    parquet.write_table(rows, tmp_path / "in.parquet")
    return found | {
        "array": ("in.json", json.dumps([JSON["labelstudio"]] * 2, indent=1).encode()),
        "columns": ("in.txt", TINY.encode()),
        "csv": ("in.csv", CSV.encode()),
        "csv-lists": ("in.csv", CSV_LISTS.encode() * 2),
        "rasa-yaml": ("in.yml", RASA.encode()),
        "piped": ("in.iob", b"Ada|NNP|B-PER left|VBD|O\nOslo|NNP|B-LOC\n"),
        "conllu": ("in.conllu", CONLLU.encode()),
        "spacy": ("in.spacy", (tmp_path / "in.spacy").read_bytes()),
        "parquet": ("in.parquet", (tmp_path / "in.parquet").read_bytes()),
        "webanno": ("in.tsv", WEBANNO.encode()),
        "brat": ("in.ann", b"T1\tPER 0 3\tAda\nT2\tLOC 9 11;11 13\tOs lo\nR1\tx Arg1:T1\n"),
    }


def read(path: Path, reading: Reading) -> Iterator[str]:
    """YIELDS (str): The labels of a file, and the list of what isn't used, as it is written."""
    with open_sources([path], reading) as (_, records):
        for item in check_labels(make_docs(records, reading), path):
            if isinstance(item, Doc):
                yield from (ent.label_ for ent in item.ents)
            else:
                json.loads(item.to_json().encode())
                assert not {"\n", "\r"} & set(item.reason), path.read_bytes()


def check(path: Path, read_all: Callable[[], object]) -> bool:
    """RETURNS (bool): Whether a file is refused. RAISES: Any error but one line."""
    try:
        read_all()
    except InputError as error:
        message = str(error).replace(str(path.parent), "")
        assert not {"\n", "\r"} & set(message), path.read_bytes()
        assert len(message) < 1000, path.read_bytes()
        return True
    except Exception as error:
        error.add_note(f"{path.name}: {path.read_bytes()!r}")
        raise
    return False


def test_mutated_files_of_all_formats(
    seeds: dict[str, tuple[str, bytes]],
    tmp_path: Path,
    stress: int,
    record: Callable[[str, str, str], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    rng = random.Random(stress)
    nlp = spacy.blank("en")
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "in.txt").write_text(TEXT)  # brat's
    counts = dict.fromkeys(seeds, 0)
    refused = 0
    deadline = time.monotonic() + SECONDS * stress
    while time.monotonic() < deadline and sum(counts.values()) < COUNT:
        with nlp.memory_zone():
            for name, (file, data) in seeds.items():
                path = folder / file
                if name in JSON and rng.random() < 0.7:
                    values = [mutate_value(JSON[name], rng), JSON[name]]
                    data = "".join(json.dumps(value) + "\n" for value in values).encode()
                    path.write_bytes(data)
                else:
                    path.write_bytes(mutate(data, rng))
                format_ = name if name in FORMATS and rng.random() < 0.5 else "auto"
                reading = Reading(nlp, format_, rng.choice(("strict", "expand", "contract")))

                def read_all(path: Path = path, reading: Reading = reading) -> None:
                    assert not any(map(label_problem, read(path, reading)))

                refused += check(path, read_all)
                counts[name] += 1
                (folder / "in.txt").write_bytes(mutate(TEXT.encode(), rng))
        capsys.readouterr()
    assert 0 < refused < sum(counts.values())
    result = f"{refused:,} refused with one line, others read; no other error"
    record(f"mutated files of {len(counts)} formats", f"{sum(counts.values()):,} files", result)


def test_mutated_files_of_texts(
    seeds: dict[str, tuple[str, bytes]],
    tmp_path: Path,
    stress: int,
    record: Callable[[str, str, str], None],
) -> None:
    rng = random.Random(stress)
    texts = {
        ".txt": (TEXT + "\n\nzwei\n").encode(),
        ".jsonl": b'{"text": "Ada", "id": 1e-400}\n{"text": "b", "x": [1, {"y": null}]}\n',
        ".csv": b'text,id\n"Ada ""Lin""",1\nb,2\n',
        ".tsv": "text\tid\nAda\t1\nb\t2\n".encode("utf-16"),
        ".parquet": seeds["parquet"][1],
    }
    assert texts.keys() < TEXTS.keys()
    count = refused = 0
    deadline = time.monotonic() + SECONDS * stress / 2
    while time.monotonic() < deadline and count < COUNT:
        for suffix, data in texts.items():
            path = tmp_path / f"text{suffix}"
            path.write_bytes(mutate(data, rng))

            def read_all(path: Path = path) -> None:
                for item in read_records(list_files(path, None), "text"):
                    assert isinstance(item, Annotated | Issue)
                    (item.text if isinstance(item, Annotated) else item.to_json()).encode()

            refused += check(path, read_all)
            count += 1
    assert 0 < refused < count
    result = f"{refused:,} refused with one line, others read; no other error"
    record(f"mutated files of texts, {len(texts)} formats", f"{count:,} files", result)
