"""The command teach: a teacher's annotations as training data."""

import json
from pathlib import Path

import numpy
import pytest
import spacy
import typer
from sacremoses import MosesTokenizer
from spacy.vocab import Vocab
from typer.testing import CliRunner

from conll_ner.common.pipelines import load_pipeline
from conll_ner.data.docs import read_docs, read_gold, write_docs
from conll_ner.training import teach, train
from tests.conftest import ROOT, SAMPLE
from token_ner import TokenNER
from token_ner.lattice import log_softmax
from token_ner.training.soft_labels import get_soft_labels

app = typer.Typer()
app.command()(teach.main)
TEACHER = ROOT / "tests" / "data" / "pipeline"
TEXTS = ["Ada Lindqvist left Varnholm. She went home.", "", "Norden grew\n\nby 3 percent."] * 4


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    path = tmp_path / "texts.jsonl"
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in TEXTS), encoding="utf-8")
    return path


def run(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, [*map(str, arguments), "--device", "cpu"])
    return result.exit_code, result.stderr if result.exit_code else result.stdout


def test_teach_stores_the_teachers_mentions_and_distributions(texts: Path, tmp_path: Path) -> None:
    code, printed = run(TEACHER, texts, tmp_path / "taught.spacy", "--moses", 0)
    assert code == 0
    nlp = load_pipeline(str(TEACHER))
    head: TokenNER = nlp.get_pipe("token_ner")  # type: ignore[assignment]
    docs = list(read_docs(tmp_path / "taught.spacy", nlp.vocab))
    assert sorted(doc.text for doc in docs) == sorted(text for text in TEXTS if text)
    assert f"{len(docs)} documents, {sum(map(len, docs))} words" in " ".join(printed.split())
    for doc in docs:
        expected = nlp(doc.text)
        assert [token.text for token in doc] == [token.text for token in expected]
        mentions = [(ent.start, ent.end, ent.label_) for ent in expected.ents]
        assert [(ent.start, ent.end, ent.label_) for ent in doc.ents] == mentions
        soft = get_soft_labels(doc)
        assert soft is not None
        assert list(soft.labels) == head.word_labels
        logits = numpy.asarray(head.model.predict([expected])[0])
        numpy.testing.assert_allclose(soft.probabilities, numpy.exp(log_softmax(logits)), atol=5e-3)


def test_teach_splits_a_share_of_the_texts_by_moses_rules(tmp_path: Path) -> None:
    text = "A U.S.-based firm can't pay 5%."
    (tmp_path / "texts.txt").write_text(f"{text}\n" * 40, encoding="utf-8")
    nlp = load_pipeline(str(TEACHER))
    moses = MosesTokenizer(nlp.lang).tokenize(text, escape=False)
    own = [token.text for token in nlp.make_doc(text)]
    assert moses != own
    for share, low, high in ((0, 0, 0), (0.5, 8, 32), (1, 40, 40)):
        output = tmp_path / "taught.spacy"
        assert run(TEACHER, tmp_path / "texts.txt", output, "--moses", share)[0] == 0
        found = [[t.text for t in doc] for doc in read_docs(output, spacy.blank("en").vocab)]
        assert all(words in (moses, own) for words in found)
        assert low <= sum(words == moses for words in found) <= high
        assert all(get_soft_labels(doc) for doc in read_docs(output, spacy.blank("en").vocab))


def test_teach_stores_the_mean_of_several_teachers(texts: Path, tmp_path: Path) -> None:
    nlp = load_pipeline(str(TEACHER))
    output = nlp.get_pipe("token_ner").model.get_ref("output")  # type: ignore[attr-defined]
    output.set_param("b", numpy.linspace(-2, 2, output.get_dim("nO"), dtype="float32"))
    nlp.to_disk(tmp_path / "other")
    taught = [tmp_path / f"{name}.spacy" for name in ("one", "other", "both")]
    run(TEACHER, texts, taught[0], "--moses", 0)
    run(tmp_path / "other", texts, taught[1], "--moses", 0)
    assert run(TEACHER, texts, taught[2], "--moses", 0, "--also", tmp_path / "other")[0] == 0
    vocab = spacy.blank("en").vocab
    for one, other, both in zip(*(read_docs(path, vocab) for path in taught), strict=True):
        soft = [get_soft_labels(doc) for doc in (one, other, both)]
        first, second, mean = (each.probabilities.astype("float32") for each in soft if each)
        assert abs(first - second).max() > 0.1
        numpy.testing.assert_allclose(mean, (first + second) / 2, atol=2e-3)
        assert [t.text for t in both] == [t.text for t in one]
        assert [str(ent) for ent in both.ents] == [str(ent) for ent in one.ents]


def test_teach_stops_after_enough_words(texts: Path, tmp_path: Path) -> None:
    run(TEACHER, texts, tmp_path / "taught.spacy", "--words", 20)
    docs = list(read_docs(tmp_path / "taught.spacy", spacy.blank("en").vocab))
    assert 20 <= sum(map(len, docs)) < 20 + max(map(len, docs))


def test_teach_lists_rejected_records(texts: Path, tmp_path: Path) -> None:
    output, listed = tmp_path / "taught.spacy", tmp_path / "taught.spacy.rejects.jsonl"
    good = texts.read_text(encoding="utf-8")
    texts.write_text('not JSON\n{"body": "Ada"}\n{"text": 3}\n' + good, encoding="utf-8")
    code, printed = run(TEACHER, texts, output)
    assert code == 0  # training can go on with the other records
    assert "3 records rejected; the reasons are in" in " ".join(printed.split())
    rejects = [json.loads(line) for line in listed.read_text(encoding="utf-8").splitlines()]
    assert [reject["record"][-2:] for reject in rejects] == [":1", ":2", ":3"]
    assert 'no field "text"' in rejects[1]["reason"]
    docs = list(read_docs(output, spacy.blank("en").vocab))
    assert len(docs) == sum(bool(text) for text in TEXTS)

    texts.write_text(good, encoding="utf-8")
    assert run(TEACHER, texts, output)[0] == 0
    assert not listed.exists()

    texts.write_text('{"body": "Ada"}\n', encoding="utf-8")
    code, error = run(TEACHER, texts, output)
    assert code == 1
    assert 'contains no texts; the first is invalid: no field "text"' in " ".join(error.split())


def test_teach_bad_input_is_one_line_and_writes_nothing(texts: Path, tmp_path: Path) -> None:
    (tmp_path / "empty.txt").touch()
    spacy.blank("en").to_disk(tmp_path / "blank")
    other = load_pipeline(str(TEACHER))
    head: TokenNER = other.get_pipe("token_ner")  # type: ignore[assignment]
    head.cfg["labels"] = [f"{label}-2" for label in head.labels]
    head.set_columns()
    other.to_disk(tmp_path / "other")
    output = tmp_path / "taught.spacy"
    cases: list[tuple[list[object], str]] = [
        (["", texts, output], "name a teacher and its texts"),
        ([TEACHER, "", output], "name a teacher and its texts"),
        (["nowhere", texts, output], "nowhere is not a pipeline"),
        ([tmp_path / "blank", texts, output], "0 token_ner components"),
        ([TEACHER, tmp_path / "none.txt", output], "no such file or folder"),
        ([TEACHER, tmp_path / "empty.txt", output], "contains no texts"),
        ([TEACHER, texts, output, "--also", "nowhere"], "nowhere is not a pipeline"),
        ([TEACHER, texts, output, "--also", tmp_path / "other"], "other has other labels than"),
        ([TEACHER, texts, tmp_path / "taught.jsonl"], "must end in .spacy"),
    ]
    for arguments, words in cases:
        code, error = run(*arguments)
        assert code == 1
        assert words in error
        assert len(error.splitlines()) == 1
    assert not output.exists()


@pytest.mark.slow
def test_training_learns_from_the_teacher(texts: Path, tmp_path: Path, tiny_backbone: Path) -> None:
    """Documents of both files are in training, and the loss is finite."""
    run(TEACHER, texts, tmp_path / "taught.spacy")
    for split in ("train", "valid"):
        write_docs(read_gold(SAMPLE / f"{split}.txt", Vocab()), tmp_path / f"{split}.spacy")
    losses = {}
    for name, taught in (("with", tmp_path / "taught.spacy"), ("without", "null")):
        arguments = ["--device", "cpu", "--paths.taught", str(taught), "--training.max_epochs", "1"]
        arguments += ["--paths.train", str(tmp_path / "train.spacy"), "--corpora.train.limit", "8"]
        arguments += ["--paths.dev", str(tmp_path / "valid.spacy")]
        arguments += ["--paths.backbone", str(tiny_backbone)]
        config = str(ROOT / "configs" / "token_ner.cfg")
        train.app([config, str(tmp_path / name), *arguments], standalone_mode=False)
        losses[name] = json.loads((tmp_path / name / "run.json").read_text())
        log = (tmp_path / name / "log.jsonl").read_text().splitlines()
        assert all(numpy.isfinite(json.loads(line)["loss"]) for line in log)
    assert losses["with"]["overrides"]["paths.taught"] == str(tmp_path / "taught.spacy")
