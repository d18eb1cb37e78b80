"""Labels of strangers, in every format: a wrong one is listed or named, and so are too many."""

import json
from pathlib import Path
from typing import Any

import pytest
import typer
from spacy.tokens import Doc
from spacy.vocab import Vocab
from typer.testing import CliRunner

from conll_ner.common.console import InputError
from conll_ner.data import convert
from conll_ner.data.docs import read_gold, write_docs
from conll_ner.data.mentions import MAX_LABELS
from tests.conll_ner.data.formats.support import TEXT, jsonl, labels, read

app = typer.Typer()
app.command()(convert.main)
WRONG = [
    ("\ud800", "the label contains the character U+D800"),
    ("PER\x1b[31m", "the label contains the character U+001B"),
    ("PER\nLOC", "the label contains the character U+000A"),
    ("\u202eREP", "the label contains the character U+202E"),
    ("  ", "without a label"),
    ("x" * 201, "the label has more than 200 characters"),
]


def one_span(label: str) -> list[tuple[str, Any]]:
    """RETURNS (list): A record of each JSON format with one mention, of "Ada"."""
    span = {"start": 0, "end": 3, "label": label}
    value = {"start": 0, "end": 3, "text": "Ada", "labels": [label]}
    result = {"value": value, "type": "labels", "from_name": "label", "to_name": "text"}
    response = {"value": [span], "status": "submitted"}
    ubiai = {"text": "Ada", "start": 0, "end": 3, "entityLabel": label}
    return [
        ("jsonl", {"text": TEXT, "spans": [span]}),
        ("doccano", {"text": TEXT, "label": [[0, 3, label]]}),
        ("prodigy", {"text": TEXT, "spans": [span], "answer": "accept"}),
        ("labelstudio", {"data": {"text": TEXT}, "annotations": [{"result": [result]}]}),
        ("argilla", {"fields": {"text": TEXT}, "responses": {"span": [response]}}),
        ("tuples", [TEXT, {"entities": [[0, 3, label]]}]),
        ("ubiai", {"document": TEXT, "tokens": [ubiai]}),
    ]


@pytest.mark.parametrize(("label", "problem"), WRONG)
def test_mentions_with_a_wrong_label_are_listed(label: str, problem: str, tmp_path: Path) -> None:
    for name, record in one_span(label):
        found, (doc,), issues = read(jsonl(tmp_path / f"{name}.jsonl", record), format=name)
        assert (found, labels(doc)) == (name, ["?", "O", "O", "O"])
        assert [issue.reason for issue in issues] == [problem]


@pytest.mark.parametrize(("label", "problem"), WRONG)
def test_wrong_labels_of_words_are_one_line(label: str, problem: str, tmp_path: Path) -> None:
    row = {"tokens": ["Ada", "left"], "ner_tags": [f"B-{label}", "O"]}
    tokens = [{"orth": "Ada", "ner": f"U-{label}"}, {"orth": "left", "ner": "O"}]
    document = {"paragraphs": [{"sentences": [{"tokens": tokens}]}]}
    for name, record in (("huggingface", row), ("spacy-json", document)):
        with pytest.raises(InputError, match=problem.replace("+", r"\+")) as error:
            read(jsonl(tmp_path / f"{name}.jsonl", record), format=name)
        assert len(str(error.value).splitlines()) == 1
        assert "word 1" in str(error.value)


def test_wrong_labels_of_a_docbin_are_one_line(tmp_path: Path) -> None:
    path = tmp_path / "in.spacy"
    write_docs([Doc(Vocab(), words=["Ada"], ents=["B-PER\x1b[2J"])], path)
    with pytest.raises(InputError, match=r"in.spacy, document 1: .* U\+001B: 'PER\\x1b\[2J'"):
        read_gold(path, Vocab())


def test_the_terminal_and_the_list_get_wrong_labels_as_escapes(tmp_path: Path) -> None:
    spans = [[0, 3, "\x1b[2J"], [9, 13, "\ud800"]]
    source = jsonl(tmp_path / "in.jsonl", {"text": TEXT, "label": spans})
    result = CliRunner().invoke(app, [str(source), str(tmp_path / "out.spacy")])
    assert result.exit_code == 0
    assert "\x1b[2J" not in result.output
    assert "\\x1b[2J" in result.output
    listed = (tmp_path / "out.spacy.issues.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["label"] for line in listed] == ["\x1b[2J", "\ud800"]


@pytest.mark.parametrize("suffix", ["jsonl", "txt", "spacy"])
def test_a_thousand_labels_are_read_and_more_are_one_line(suffix: str, tmp_path: Path) -> None:
    for count in (MAX_LABELS, MAX_LABELS + 1):
        path = tmp_path / f"{count}.{suffix}"
        if suffix == "jsonl":
            jsonl(path, *({"text": "Ada", "label": [[0, 3, f"L{i}"]]} for i in range(count)))
        elif suffix == "txt":
            path.write_text("".join(f"Ada B-L{i}\n" for i in range(count)))
        else:
            vocab = Vocab()
            ents = [f"B-L{i}" for i in range(count)]
            write_docs([Doc(vocab, words=["Ada"] * count, ents=ents)], path)
        if count == MAX_LABELS:
            _, docs, issues = read(path)
            assert len({ent.label_ for doc in docs for ent in doc.ents}) == count
            assert issues == []
        else:
            with pytest.raises(InputError, match="more than 1,000 different labels"):
                read(path)


def test_hyphens_dollars_and_letters_of_any_script_are_labels(tmp_path: Path) -> None:
    names = ["-", "$\\frac{$", "a-b", "-x-", "میراث\u200cفرهنگی", "O"]
    records = [{"text": "Ada", "label": [[0, 3, name]]} for name in names]
    _, docs, issues = read(jsonl(tmp_path / "in.jsonl", *records))
    assert [ent.label_ for doc in docs for ent in doc.ents] == names
    assert issues == []
