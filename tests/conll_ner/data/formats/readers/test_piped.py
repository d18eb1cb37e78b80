"""spaCy's form of one sentence a line."""

from pathlib import Path

import pytest

from conll_ner.common.console import InputError
from tests.conll_ner.data.formats.support import MENTIONS, mentions, read


@pytest.mark.parametrize(
    "line", ["Ada|U-PER left|O Oslo|U-LOC", "Ada|NNP|B-PER left|VBD|O Oslo|NNP|B-LOC"]
)
def test_a_line_is_a_document(line: str, tmp_path: Path) -> None:
    path = tmp_path / "in.txt"
    path.write_text(f"{line}\n\na|b|DT|O won|VBD|O\n")
    name, docs, issues = read(path)
    assert name == "piped"
    assert [mentions(doc) for doc in docs] == [MENTIONS, []]
    assert [token.text for token in docs[1]] == ["a|b", "won"]
    assert issues == []


def test_a_line_that_is_wrong_is_listed(tmp_path: Path) -> None:
    path = tmp_path / "in.txt"
    path.write_text("Ada|B-PER left|O\nBo won|O\n")
    _, docs, (issue,) = read(path, strict=False)
    assert len(docs) == 1
    assert (issue.record, issue.reason) == (f"{path}:2", "'Bo' is no word|label")
    with pytest.raises(InputError, match=r"in\.txt:2: 'Bo' is no word"):
        read(path)


def test_an_illegal_label_is_named_by_its_line(tmp_path: Path) -> None:
    path = tmp_path / "in.txt"
    path.write_text("Ada|B-PER left|O\nOslo|O x|I-LOC\n")
    with pytest.raises(InputError, match=r"in\.txt:2, word 2: I-LOC after O is illegal"):
        read(path)
