"""CoNLL-U with labels in MISC, as NorNE has it."""

from pathlib import Path

import pytest

from conll_ner.common.console import InputError
from tests.conll_ner.data.formats.support import mentions, read


def row(number: str, word: str, misc: str) -> str:
    return "\t".join([number, word, *["_"] * 7, misc])


SENTENCE = "\n".join(
    [
        "# sent_id = 1",
        row("1", "Ada", "name=B-PER"),
        row("2", "Lin", "name=I-PER|SpaceAfter=No"),
        row("3-4", "didn't", "_"),
        row("3", "did", "name=O"),
        row("4", "n't", "_"),
        row("4.1", "leave", "_"),
    ]
)


@pytest.mark.parametrize(("documents", "expected"), [("", 3), ("# newdoc id = a\n", 2)])
def test_words_and_documents_are_read(documents: str, expected: int, tmp_path: Path) -> None:
    path = tmp_path / "in.conllu"
    path.write_text(f"{documents}{SENTENCE}\n\n{SENTENCE}\n\n{documents}{SENTENCE}\n")
    name, docs, issues = read(path)
    assert name == "conllu"
    assert len(docs) == expected
    assert [token.text for token in docs[0]][:4] == ["Ada", "Lin", "did", "n't"]
    assert sum(len(list(doc.sents)) for doc in docs) == 3
    assert [m for doc in docs for m in mentions(doc)] == [("Ada Lin", "PER")] * 3
    assert issues == []


def test_a_sentence_without_words_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "in.conllu"
    path.write_text(f"{row('1.1', 'Ada', 'name=B-PER')}\n\n{SENTENCE}\n")
    assert [mentions(doc) for doc in read(path)[1]] == [[("Ada Lin", "PER")]]


def test_a_row_of_other_columns_is_named(tmp_path: Path) -> None:
    path = tmp_path / "in.conllu"
    path.write_text(f"{SENTENCE}\n5\tx\n")
    with pytest.raises(InputError, match=r"in\.conllu:8: 2 columns, not 10"):
        read(path)


def test_without_labels_there_is_advice_that_is_true(tmp_path: Path) -> None:
    path = tmp_path / "in.conllu"
    path.write_text("\n".join([row("1", "Ada", "SpaceAfter=No"), row("2", "left", "_")]) + "\n")
    with pytest.raises(InputError, match="column 1 counts the words"):
        read(path)
