"""Rasa's YAML: intents with examples, whose mentions are written in the text."""

from pathlib import Path

import pytest

from conll_ner.common.console import InputError
from tests.conll_ner.data.formats.support import MENTIONS, mentions, read, read_all

FILE = """\
version: "3.1"

nlu:
- intent: travel
  examples: |
    - [Ada](PER) left [Oslo](LOC).
    - [Ada]{"entity": "PER", "role": "who"} left [Oslo](LOC:oslo-no).
    - It is [sic] late (really).
- synonym: Oslo
  examples: |
    - capital of Norway
- intent: list
  examples:
  - text: |
      [Ada](PER) left [Oslo](LOC).
  - text: 7
"""


def test_examples_of_intents_are_read(tmp_path: Path) -> None:
    path = tmp_path / "nlu.yml"
    path.write_text(FILE)
    name, docs, (issue,) = read_all([path], strict=False)
    assert name == "rasa-yaml"
    assert [mentions(doc) for doc in docs] == [MENTIONS, MENTIONS, [], MENTIONS]
    assert {docs[i].text.strip() for i in (0, 1, 3)} == {"Ada left Oslo."}
    assert docs[2].text == "It is [sic] late (really)."
    assert (issue.record, issue.reason) == (f"{path}, list, example 2", "7 is no text")


def test_a_folder_of_them_is_read(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.yml").write_text(FILE.replace("Oslo", "Rome"))
    (tmp_path / "data" / "b.yaml").write_text(FILE)
    assert len(read_all([tmp_path / "data"], strict=False)[1]) == 7


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('"entity"', '"entitiy"', 'travel, example 2: .* has no "entity"'),
        ("- synonym", "\t- synonym", "Invalid YAML"),
        ("nlu:\n", "nlu:\nx: !!python/name:os.system\n", "Invalid YAML"),
        ("- intent", "  intent", "Invalid YAML"),
        ("- synonym", f"- {'[' * 5000}", "nlu.yml: "),
    ],
)
def test_bad_input_is_one_line(old: str, new: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "nlu.yml"
    path.write_text(FILE.replace(old, new, 1))
    with pytest.raises(InputError, match=words) as error:
        read(path)
    assert len(str(error.value).splitlines()) == 1
