"""Errors of column files: readable for lines of any length, and for words that aren't words."""

from pathlib import Path

import pytest

from conll_ner.common.console import InputError
from conll_ner.data.columns.conll import Document, Sentence, format_corpus, read_corpus

LONG = "x" * 134_000
LABEL = "x" * 150  # longer than what a message quotes, and as long as a label can be


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"{LONG}\n", "in.txt:1: 1 columns, not 2 to 10 with the label last: 'xxx"),
        (f"a O\n{LONG}\n", "in.txt:2: 1 columns where the first row has 2: 'xxx"),
        (f"a {LONG}\n", "in.txt:1: label 'xxx"),
        (f"a B-{LABEL}\nb I-{LABEL}y\n", "in.txt:2: I-xxx"),
        (f"a U-{LABEL}\nb S-{LABEL}\n", "in.txt:2: S-xxx"),
        (f"a B-{LABEL}\nb L-{LABEL}\n\nc B-{LABEL}\n", "in.txt:4: mention not closed at B-xxx"),
        (f"a B-{LABEL}\nb O\nc I-{LABEL}\n", "in.txt:3: I-xxx"),
        (f"a B-{LONG}\n", "in.txt:1: the label has more than 200 characters: 'B-xxx"),
    ],
)
def test_errors_quote_the_start_of_a_long_line(text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "in.txt"
    path.write_text(text)
    with pytest.raises(InputError) as error:
        read_corpus(path)
    assert words in str(error.value)
    assert "…" in str(error.value)
    assert len(str(error.value)) < 800
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("word", "words"),
    [
        ("-DOCSTART-", "can't write ['-DOCSTART-', '_', '_', 'O'] as columns: -DOCSTART- starts a"),
        ("-DOCSTART-s", "-DOCSTART- starts a document"),
        (f"-DOCSTART-{LONG}", "-DOCSTART- starts a document"),
        (f"{LONG} {LONG}", "as columns: a value contains whitespace"),
    ],
)
def test_words_that_would_be_read_differently_are_not_written(word: str, words: str) -> None:
    document = Document([Sentence([word], [""], [""], [""], [])])
    with pytest.raises(InputError) as error:
        format_corpus([document])
    assert words in str(error.value)
    assert len(str(error.value)) < 300


def test_other_words_with_a_document_start_are_written(tmp_path: Path) -> None:
    document = Document([Sentence(["a-DOCSTART-", "-docstart-"], ["", ""], ["", ""], ["", ""], [])])
    path = tmp_path / "in.txt"
    path.write_text(format_corpus([document]))
    assert read_corpus(path).documents == [document]


def test_utf16_is_named_in_the_remedy(tmp_path: Path) -> None:
    path = tmp_path / "in.txt"
    path.write_bytes("Ada O\n".encode("utf-16"))
    with pytest.raises(InputError, match=r"is not UTF-8; --encoding utf-16 reads it"):
        read_corpus(path)
