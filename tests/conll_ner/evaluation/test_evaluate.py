"""Evaluation: scores by hand, agreement of the three protocols, and the formats of gold files."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy
import pytest
import spacy
import typer
from hypothesis import given
from hypothesis import strategies as st
from spacy.language import Language
from spacy.tokens import Doc
from typer.testing import CliRunner, Result

from conll_ner.common.files import sha256
from conll_ner.common.pipelines import load_pipeline
from conll_ner.data.columns.conll import read_corpus
from conll_ner.data.docs import make_doc, read_docs, read_gold, write_docs
from conll_ner.evaluation import evaluate
from conll_ner.evaluation import seqeval_scores as scores
from conll_ner.huggingface.importing import import_checkpoint
from tests.conftest import ROOT, TINY
from tests.hf_helpers import make_checkpoint, pipe
from token_ner import Calibration

VOCAB = spacy.blank("en").vocab
app = typer.Typer()
app.command()(evaluate.main)


def run(*args: object) -> Result:
    return CliRunner().invoke(app, [str(arg) for arg in args])


def doc(labels: str) -> Doc:
    ents = labels.split()
    return Doc(VOCAB, words=["w"] * len(ents), ents=ents)


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    """A pipeline of patterns: it needs no training, and its scores are known."""
    nlp = spacy.blank("en")
    ruler = nlp.add_pipe("entity_ruler")
    patterns = [("PER", "Ada Lindqvist"), ("LOC", "Varnholm"), ("LOC", "Norden Bank")]
    ruler.add_patterns([{"label": a, "pattern": b} for a, b in patterns])  # type: ignore[attr-defined]
    nlp.to_disk(tmp_path / "rules")
    return tmp_path / "rules"


@pytest.mark.parametrize(
    ("gold", "predicted", "counts"),
    [  # correct, predicted, gold mentions
        ("B-A I-A O B-B", "B-A I-A O B-B", (2, 2, 2)),
        (
            "B-A I-A O B-B",
            "B-A O O B-B",
            (1, 2, 2),
        ),  # a boundary mistake counts as a false positive and a false negative
        ("B-A I-A O B-B", "B-B I-B O B-B", (1, 2, 2)),  # so does a wrong type
        ("B-A B-A O O", "B-A I-A O O", (0, 1, 2)),  # two adjacent mentions
        ("B-A I-A O O", "B-A I-B O O".replace("I-B", "B-B"), (0, 2, 1)),
        ("O O O O", "B-A O O O", (0, 1, 0)),
        ("B-A O O O", "O O O O", (0, 0, 1)),
    ],
)
def test_evaluate_counts_by_hand(gold: str, predicted: str, counts: tuple[int, ...]) -> None:
    correct, n_predicted, n_gold = counts
    precision = correct / n_predicted if n_predicted else 0.0
    recall = correct / n_gold if n_gold else 0.0
    f1 = 2 * precision * recall / (precision + recall) if correct else 0.0
    result = scores.score([doc(gold)], [doc(predicted)])
    for protocol in ("conlleval", "strict"):
        overall = result[protocol]["overall"]
        assert overall["precision"] == pytest.approx(precision)
        assert overall["recall"] == pytest.approx(recall)
        assert overall["f1"] == pytest.approx(f1)
        assert overall["support"] == n_gold
    pairs = list(zip(gold.split(), predicted.split(), strict=True))
    assert result["token_accuracy"] == pytest.approx(sum(a == b for a, b in pairs) / len(pairs))


def test_evaluate_scores_by_type() -> None:
    result = scores.score([doc("B-A O B-B B-B")], [doc("B-A B-A B-B O")])
    types = result["conlleval"]["types"]
    assert types["A"] == {"precision": 0.5, "recall": 1.0, "f1": pytest.approx(2 / 3), "support": 1}
    assert types["B"] == {"precision": 1.0, "recall": 0.5, "f1": pytest.approx(2 / 3), "support": 2}


@pytest.mark.parametrize("type_", ["-", "-x-", "a-b", "_", "micro avg", "$\\frac{$"])
def test_evaluate_keeps_the_names_of_types(type_: str) -> None:
    words = ["w"] * 3
    gold = Doc(VOCAB, words=words, ents=[f"B-{type_}", "O", "B-x"])
    predicted = Doc(VOCAB, words=words, ents=[f"B-{type_}", "O", "O"])
    for protocol in scores.PROTOCOLS:
        types = scores.score([gold], [predicted])[protocol]["types"]
        assert {name: (row["f1"], row["support"]) for name, row in types.items()} == {
            type_: (1, 1),
            "x": (0, 1),
        }


labels = st.lists(st.sampled_from(["O", "B-A", "I-A", "B-B", "I-B"]), min_size=1, max_size=12)


def repaired(tags: list[str]) -> str:
    """Make labels legal IOB2: an I- without a mention to continue becomes B-."""
    before = "O"
    out = []
    for tag in tags:
        if tag[0] == "I" and before[1:] != tag[1:]:
            tag = f"B{tag[1:]}"
        out.append(tag)
        before = tag
    return " ".join(out)


@given(st.lists(st.tuples(labels, labels), min_size=1, max_size=4))
def test_evaluate_protocols_agree_on_gold_tokens(
    pairs: list[tuple[list[str], list[str]]],
) -> None:
    """score raises an error if spaCy's scorer and seqeval disagree, in either mode."""
    gold = [doc(repaired(a[: len(b)])) for a, b in pairs]
    predicted = [doc(repaired(b[: len(a)])) for a, b in pairs]
    result = scores.score(gold, predicted)
    assert result["conlleval"]["overall"] == result["strict"]["overall"]


def test_evaluate_disagreement_with_spacy_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scores, "get_ner_prf", lambda _: {"ents_f": 0.5})
    with pytest.raises(RuntimeError, match=r"F1 is 1.0 by seqeval \(conlleval\) but 0.5 by spaCy"):
        scores.score([doc("B-A O")], [doc("B-A O")])


def test_evaluate_predicts_from_words_only(rules: Path) -> None:
    """The pipeline gets no gold annotation."""
    seen: list[Doc] = []

    @Language.component("test_evaluate_look")
    def look(doc: Doc) -> Doc:
        seen.append(doc.copy())
        return doc

    nlp = spacy.load(rules)
    nlp.add_pipe("test_evaluate_look", first=True)
    (gold,) = [Doc(nlp.vocab, words=["a", "b"], ents=["B-X", "O"], tags=["T", "T"])]
    scores.annotate_gold(nlp, [gold])
    assert [token.text for token in seen[0]] == ["a", "b"]
    assert not any(seen[0].has_annotation(name) for name in ("ENT_IOB", "TAG", "SENT_START"))


def test_evaluate_passes_gold_sentences_on_request(tiny_file: Path) -> None:
    nlp = spacy.blank("en")
    gold = read_gold(tiny_file, nlp.vocab)
    (first, second) = scores.annotate_gold(nlp, gold, gold_sentences=True)
    assert [len(sent) for sent in first.sents] == [5, 5]
    assert [len(sent) for sent in second.sents] == [2]
    without = [Doc(nlp.vocab, words=["a", "b"])]
    (doc,) = scores.annotate_gold(nlp, without, gold_sentences=True)
    assert not doc.has_annotation("SENT_START")


@pytest.mark.parametrize("ending", ["txt", "spacy"])
def test_evaluate_files_into_metrics(
    rules: Path, tiny_file: Path, tmp_path: Path, ending: str
) -> None:
    path = tmp_path / f"dev.{ending}"
    docs = [make_doc(document, VOCAB) for document in read_corpus(tiny_file).documents]
    write_docs(docs, path) if ending == "spacy" else path.write_text(TINY)
    record = tmp_path / "run.json"
    record.write_text('{"seed": 7}')
    output = tmp_path / "metrics" / "rules.json"
    train = tmp_path / "corpus" / "train.txt"
    train.parent.mkdir()
    shutil.copy(tiny_file, train)
    options = ("--output", output, "--corpus", train.parent, "--training-record", record)
    result = run(rules, path, *options, "--device", "cpu")
    assert result.exit_code == 0, result.output
    metrics = json.loads(output.read_text())
    dev = metrics["splits"]["dev"]
    # Correct: Ada Lindqvist and Varnholm in the first document. Norden Bank has the wrong type.
    assert dev["conlleval"]["overall"] == {
        "precision": pytest.approx(2 / 3),
        "recall": pytest.approx(2 / 4),
        "f1": pytest.approx(4 / 7),
        "support": 4,
    }
    assert (dev["documents"], dev["words"]) == (2, 12)
    assert dev["sha256"] == sha256(path)
    assert metrics["training"] == {"seed": 7}
    assert dev["by_document"] == [[2, 3, 3], [0, 0, 1]]
    assert dev["errors"] == {
        "type": 1,
        "boundary": 0,
        "type and boundary": 0,
        "missed": 1,
        "spurious": 0,
    }
    assert dev["f1_by"]["length"]["1"]["recall"] == 0.5
    assert dev["calibration"] is None  # rules give no confidence scores
    assert dev["wordpiece"] is None  # and have no wordpieces
    # The pipeline's tokenizer gives the gold tokens here. The rules are case-sensitive.
    assert dev["raw_text"] == pytest.approx(4 / 7)
    assert dev["lower_case"] == 0.0
    assert metrics["evaluation"]["gold_sentences"] is False
    assert str(train) in metrics["corpus"]
    assert {"spacy", "seqeval", "python"} <= metrics["evaluation"]["versions"].keys()
    printed = " ".join(result.stdout.split())
    assert "all (conlleval) 66.67 50.00 57.14 4" in printed
    assert "all (strict) 66.67 50.00 57.14 4" in printed
    assert "F1 on raw text 57.14, in lower case 0.00" in printed
    assert "mistakes by kind: 1 type, 0 boundary, 0 type and boundary, 1 missed" in printed


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere", "tiny.txt"], "nowhere is not a pipeline"),
        (["rules", "missing.spacy"], "missing.spacy: no such file; run the steps before"),
        (["rules", "half.spacy"], "half.spacy: not a complete DocBin file"),
        (["rules", "empty.spacy"], "empty.spacy contains no words"),
        (["rules", "none.spacy"], "none.spacy contains no mentions, so F1 is undefined; pass an"),
        (
            ["rules", "tiny.txt", "tiny.txt"],
            "two files have the same name, but scores are stored by name",
        ),
        (["rules", "tiny.txt", "--device", "x"], "--device x is not auto"),
        (
            ["rules", "tiny.txt", "--training-record", "no.json"],
            "no.json: no such file; pass the run.json of train",
        ),
        (
            ["rules", "tiny.txt", "--training-record", "tiny.txt"],
            "tiny.txt: not a JSON object; pass the run.json of train",
        ),
        (
            ["rules", "tiny.txt", "--training-record", "list.json"],
            "list.json: not a JSON object",
        ),
    ],
)
@pytest.mark.usefixtures("rules")
def test_evaluate_bad_input_is_one_line_and_writes_nothing(
    tiny_file: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    words: str,
) -> None:
    monkeypatch.chdir(tiny_file.parent)
    write_docs([], Path("empty.spacy"))
    write_docs([doc("O O")], Path("none.spacy"))
    Path("half.spacy").write_bytes(b"\x78\x9c\x00")
    Path("list.json").write_text("[]")
    result = run(*arguments, "--output", "out.json")
    assert result.exit_code == 1
    assert words in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not Path("out.json").exists()


def test_evaluate_warns_about_unknown_types(rules: Path, tiny_file: Path) -> None:
    result = run(rules, tiny_file)
    assert result.exit_code == 0, result.output
    printed = " ".join(result.output.split())
    assert f"{tiny_file}: the pipeline doesn't know ORG; all their mentions are missed" in printed
    nlp = spacy.load(rules)
    gold = read_gold(tiny_file, nlp.vocab)
    assert scores.unknown_types(nlp, gold) == ["ORG"]
    assert scores.unknown_types(spacy.blank("en"), gold) == []  # it lists no types


def test_evaluate_broken_weights_are_an_error(tiny_file: Path, tmp_path: Path) -> None:
    nlp = import_checkpoint(str(make_checkpoint(tmp_path / "checkpoint")))
    output = pipe(nlp, "token_ner").model.get_ref("output")
    output.set_param("b", output.get_param("b") * numpy.nan)
    nlp.to_disk(tmp_path / "broken")
    result = run(tmp_path / "broken", tiny_file, "--output", tmp_path / "out.json")
    assert result.exit_code == 1
    assert "token_ner: logits are not finite: the weights are broken" in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not (tmp_path / "out.json").exists()


def test_evaluate_writes_the_predicted_documents(rules: Path, tiny_file: Path) -> None:
    folder = tiny_file.parent / "docs"
    assert run(rules, tiny_file, "--predictions", folder).exit_code == 0
    first, second = read_docs(folder / "tiny.spacy", VOCAB)
    assert [(ent.text, ent.label_) for ent in first.ents] == [
        ("Ada Lindqvist", "PER"),
        ("Varnholm", "LOC"),
        ("Norden Bank", "LOC"),
    ]
    assert second.ents == ()


def test_evaluate_reads_column_files_and_docbin_alike(tiny_file: Path, tmp_path: Path) -> None:
    docs = [make_doc(document, VOCAB) for document in read_corpus(tiny_file).documents]
    write_docs(docs, tmp_path / "gold.spacy")
    nlp: Any = spacy.blank("en")
    from_columns = scores.iob2_labels(read_gold(tiny_file, nlp.vocab))
    assert scores.iob2_labels(list(read_docs(tmp_path / "gold.spacy", nlp.vocab))) == from_columns
    assert from_columns[1] == ["B-LOC", "O"]


def test_evaluate_gives_the_calibration_error_before_and_after(
    tiny_file: Path, tmp_path: Path
) -> None:
    """A pipeline with calibrated scores, and the same without."""
    nlp = load_pipeline(str(ROOT / "tests" / "data" / "pipeline"))
    results = []
    for name, calibration in (("plain", None), ("fitted", Calibration(0.5, 1.0).to_settings())):
        pipe(nlp, "token_ner").cfg["calibration"] = calibration
        nlp.to_disk(tmp_path / name)
        output = tmp_path / f"{name}.json"
        result = run(tmp_path / name, tiny_file, "--output", output, "--device", "cpu")
        results.append(json.loads(output.read_text())["splits"]["tiny"]["calibration"])
        assert ("before calibration" in " ".join(result.stdout.split())) is (name == "fitted")
    plain, fitted = results
    assert plain["uncalibrated"] is None
    for key in ("expected_calibration_error", "adaptive_calibration_error"):
        assert fitted["uncalibrated"][key] == pytest.approx(plain[key])
        assert fitted[key] != pytest.approx(plain[key])
    n = sum(row["mentions"] for row in fitted["types"].values())
    assert n == sum(row["mentions"] for row in fitted["reliability"])
