"""The command review: the least certain texts, in the form of an annotation tool."""

import json
import math
from pathlib import Path

import numpy
import pytest
import typer
from typer.testing import CliRunner

from conll_ner.common.pipelines import find_heads, load_pipeline
from conll_ner.data.docs import write_docs
from conll_ner.prediction import review
from token_ner import list_candidates
from token_ner.lattice import log_softmax
from token_ner.paths import Paths, find_best_mentions

app = typer.Typer()
app.command()(review.main)


def run(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, [*map(str, arguments), "--device", "cpu"])
    return result.exit_code, result.stderr if result.exit_code else result.stdout


@pytest.fixture
def texts(tmp_path: Path, sentences: list[str]) -> Path:
    path = tmp_path / "texts.txt"
    path.write_text("\n".join([*sentences[:30], "", sentences[0]]), encoding="utf-8")
    return path


def test_the_least_certain_texts_come_first(
    texts: Path, pipeline: Path, sentences: list[str], tmp_path: Path
) -> None:
    code, printed = run(pipeline, texts, tmp_path / "out.json", "--documents", 5)
    assert code == 0
    assert "5 of 30 texts" in " ".join(printed.split())
    tasks = json.loads((tmp_path / "out.json").read_text())
    nlp = load_pipeline(str(pipeline))
    (head,) = find_heads(nlp).values()
    expected = []
    for text in sentences[:30]:
        doc = nlp(text)
        words = log_softmax(numpy.asarray(head.model.predict([doc])[0], dtype="float64"))
        # The sequence's probability, from those of its mentions where these are independent of it.
        chain = numpy.concatenate([words, head.lattice.separator])
        assert len(find_best_mentions(Paths(head.lattice, chain)).starts) == len(doc.ents)
        expected.append((-head.log_probability(doc, words) / len(doc), text))
    chosen = [task["data"]["text"] for task in tasks]
    assert chosen == [text for _, text in sorted(expected, reverse=True)[:5]]
    found = [item["value"]["text"] for item in tasks[0]["predictions"][0]["result"]]
    assert found == [ent.text for ent in nlp(chosen[0]).ents]
    assert all(0 <= item["score"] <= 1 for item in tasks[0]["predictions"][0]["result"])


def test_texts_with_many_doubtful_spans_come_first(
    texts: Path, pipeline: Path, sentences: list[str], tmp_path: Path
) -> None:
    out = tmp_path / "out.jsonl"
    code, _ = run(pipeline, texts, out, "--documents", 5, "--by", "candidates")
    assert code == 0
    nlp = load_pipeline(str(pipeline))
    (head,) = find_heads(nlp).values()
    head.candidates = 0.001
    expected = []
    for i, text in enumerate(sentences[:30]):
        doc = nlp(text)
        doubtful = [score for _, score in list_candidates(doc) if 0.2 <= score <= 0.8]
        expected.append((-len(doubtful) / (len(doc) + 50), i, text))
    written = [json.loads(line) for line in out.read_text().splitlines()]
    assert [row["text"] for row in written] == [text for *_, text in sorted(expected)[:5]]
    assert any(row["mentions"] for row in written)


def test_a_text_without_mentions_is_a_prediction(pipeline: Path, tmp_path: Path) -> None:
    """For Label Studio, an annotation would be somebody's word that it has none."""
    (tmp_path / "texts.txt").write_text("and\n", encoding="utf-8")
    nlp = load_pipeline(str(pipeline))
    (head,) = find_heads(nlp).values()
    head.threshold = 1.0
    nlp.to_disk(tmp_path / "strict")
    assert run(tmp_path / "strict", tmp_path / "texts.txt", tmp_path / "out.json")[0] == 0
    (task,) = json.loads((tmp_path / "out.json").read_text())
    assert task == {"data": {"text": "and"}, "predictions": [{"result": []}]}


@pytest.mark.parametrize("to", ["prodigy", "doccano", "jsonl"])
def test_other_tools(to: str, texts: Path, pipeline: Path, tmp_path: Path) -> None:
    code, _ = run(pipeline, texts, tmp_path / "out.jsonl", "--documents", 3, "--to", to)
    assert code == 0
    assert len((tmp_path / "out.jsonl").read_text().splitlines()) == 3


def test_annotated_texts_are_left_out(
    texts: Path, pipeline: Path, sentences: list[str], tmp_path: Path
) -> None:
    nlp = load_pipeline(str(pipeline))
    gold = [nlp.make_doc(text) for text in sentences[:28]]
    write_docs(gold, tmp_path / "gold.spacy")
    out = tmp_path / "out.jsonl"
    code, _ = run(pipeline, texts, out, "--annotated", tmp_path / "gold.spacy")
    assert code == 0
    written = {json.loads(line)["text"] for line in out.read_text().splitlines()}
    assert written == set(sentences[28:30])


@pytest.mark.parametrize(
    ("text", "options", "words"),
    [
        ("", [], "contains no new texts"),
        ("Ada left.", ["--to", "docanno"], "--to docanno is not one of auto"),
    ],
)
def test_bad_input_is_one_line(
    text: str, options: list[str], words: str, pipeline: Path, tmp_path: Path
) -> None:
    (tmp_path / "in.txt").write_text(text)
    code, printed = run(pipeline, tmp_path / "in.txt", tmp_path / "out.jsonl", *options)
    assert code == 1
    assert words in printed
    assert len(printed.splitlines()) == 1
    assert not (tmp_path / "out.jsonl").exists()


def test_log_probability_of_one_word(pipeline: Path) -> None:
    """Of one word, the sequence's probability is that of its label among the legal ones."""
    nlp = load_pipeline(str(pipeline))
    (head,) = find_heads(nlp).values()
    doc = nlp("Oslo")
    logits = numpy.arange(len(head.word_labels), dtype="float32")[None]
    legal = [i for i, label in enumerate(head.word_labels) if label[0] in "OBU"]
    weights = numpy.exp(logits[0, legal].astype("float64"))
    assert head.log_probability(doc, logits) == pytest.approx(
        math.log(weights.max() / weights.sum())
    )
    assert head.log_probability(nlp(""), logits[:0]) == 0
