"""Conversion of column files to DocBin and back."""

from pathlib import Path

import pytest
import typer
from spacy.tokens import Doc, DocBin
from spacy.vocab import Vocab
from typer.testing import CliRunner, Result

from conll_ner.data import convert
from conll_ner.data.columns import conll
from conll_ner.data.docs import make_doc, read_docs, to_document, write_docs
from tests.conftest import CONLL2003, SAMPLE, SPLITS, TINY

app = typer.Typer()
app.command()(convert.main)


def run(*args: object) -> Result:
    return CliRunner().invoke(app, [str(arg) for arg in args])


def test_convert_makes_one_doc_per_document(tiny_file: Path, tmp_path: Path, vocab: Vocab) -> None:
    assert run(tiny_file, tmp_path / "tiny.spacy").exit_code == 0
    first, second = read_docs(tmp_path / "tiny.spacy", vocab)
    assert [sent.text.split() for sent in first.sents] == [
        ["Ada", "Lindqvist", "left", "Varnholm", "."],
        ["The", "Norden", "Bank", "fell", "."],
    ]
    assert [(ent.start, ent.end, ent.label_) for ent in first.ents] == [
        (0, 2, "PER"),
        (3, 4, "LOC"),
        (6, 8, "ORG"),
    ]
    assert [token.tag_ for token in first][:3] == ["NNP", "NNP", "VBD"]
    assert list(first.user_data["chunks"])[:3] == ["B-NP", "I-NP", "B-VP"]
    assert first.has_unknown_spaces  # so that spaCy trains on these tokens and doesn't retokenize
    assert all(
        token.ent_iob_ == "O" for token in second[1:]
    )  # annotated as no mention, not as missing


def test_convert_reports_counts(tiny_file: Path, tmp_path: Path) -> None:
    tiny_file.write_text(TINY + "\n\n\n\nfine RB B-X O\n\n-DOCSTART- -X- O O\n-DOCSTART- -X- O O\n")
    printed = " ".join(run(tiny_file, tmp_path / "tiny.spacy").stdout.split())
    assert "2 documents, 4 sentences, 13 words, 2 LOC, 1 ORG, 1 PER (columns)" in printed
    assert "labels in IOB2" in printed
    assert "2 empty sentences skipped, 2 empty documents skipped" in printed


def test_convert_reports_missing_document_boundaries(tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("a O\n\nb O\n")
    printed = run(tmp_path / "in.txt", tmp_path / "out.spacy").stdout
    assert "each sentence became its own document" in " ".join(printed.split())


@pytest.mark.parametrize("split", SPLITS)
def test_convert_round_trip_of_sample(tmp_path: Path, split: str) -> None:
    check_round_trip(SAMPLE / f"{split}.txt", tmp_path)


@pytest.mark.slow
@pytest.mark.skipif(not CONLL2003.is_dir(), reason="CoNLL-2003 is not available")
@pytest.mark.parametrize("split", SPLITS)
def test_convert_round_trip_of_conll2003(tmp_path: Path, split: str) -> None:
    check_round_trip(CONLL2003 / f"{split}.txt", tmp_path)


def check_round_trip(path: Path, folder: Path) -> None:
    assert run(path, folder / "docs.spacy").exit_code == 0
    assert run(folder / "docs.spacy", folder / "back.txt").exit_code == 0
    assert (folder / "back.txt").read_bytes() == path.read_bytes()


def test_convert_is_deterministic(tmp_path: Path) -> None:
    for name in ("one", "two"):
        run(SAMPLE / "test.txt", tmp_path / f"{name}.spacy")
    assert (tmp_path / "one.spacy").read_bytes() == (tmp_path / "two.spacy").read_bytes()


def test_convert_keeps_lemmas(tmp_path: Path, vocab: Vocab) -> None:
    path = tmp_path / "in.txt"
    path.write_text("ging gehen VVFIN I-VC O\nHans Hans NE I-NC I-PER\n")
    (document,) = conll.read_corpus(path).documents
    write_docs([make_doc(document, vocab)], tmp_path / "out.spacy")
    (doc,) = read_docs(tmp_path / "out.spacy", vocab)
    assert [token.lemma_ for token in doc] == ["gehen", "Hans"]
    assert to_document(doc) == document


def test_convert_docs_without_annotation(vocab: Vocab) -> None:
    """A Doc without sentence starts, tags or chunks is one sentence with empty columns."""
    doc = Doc(vocab, words=["Ada", "left"], ents=["B-PER", "O"])
    assert conll.format_corpus([to_document(doc)], docstarts=False) == ("Ada _ _ B-PER\nleft _ _ O")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["missing.txt", "out.spacy"], "missing.txt: no such file"),
        (
            ["tiny.txt", "out.spacy", "--align", "loose"],
            "--align loose is not one of strict, expand",
        ),
        (["half.spacy", "out.txt"], "half.spacy: not a complete DocBin file"),
        (["tiny.txt", "out.spacy", "--scheme", "bio"], "--scheme bio is not one of auto, iob1"),
        (["tiny.txt", "out.spacy", "--scheme", "iobes"], "tiny.txt:5: O after I-PER"),
        (["broken.txt", "out.spacy"], "broken.txt:2: 1 columns where the first row has 2"),
        (["tiny.txt", "out.spacy", "--lang", "qq"], "language qq: [E048] Can't import language qq"),
        (["start.spacy", "out.txt"], "-DOCSTART- starts a document"),
        (["strings.spacy", "out.txt"], "strings.spacy: not a complete DocBin file"),
        (["tokens.spacy", "out.txt"], "tokens.spacy: not a complete DocBin file"),
    ],
)
def test_convert_bad_input_is_one_line_and_writes_nothing(
    tiny_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    run(tiny_file, "whole.spacy")
    Path("half.spacy").write_bytes(Path("whole.spacy").read_bytes()[:-40])
    Path("broken.txt").write_text("a O\nb\n")
    doc = Doc(Vocab(), words=["-DOCSTART-", "left"], ents=["B-PER", "O"])
    write_docs([doc], Path("start.spacy"))
    lacking = DocBin(docs=[doc])
    lacking.strings.clear()
    lacking.to_disk("strings.spacy")
    broken = DocBin(docs=[doc])
    broken.tokens[0][:] = 9
    broken.to_disk("tokens.spacy")
    Path("out.spacy").write_text("old")
    result = run(*arguments)
    assert result.exit_code == 1
    assert words in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert Path("out.spacy").read_text() == "old"
    assert not Path("out.txt").exists()
