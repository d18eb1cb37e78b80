"""Detection of formats by content."""

from pathlib import Path

import pytest

from conll_ner.common.console import InputError
from conll_ner.data.formats.reading import COLUMNS, detect


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[]", "in.json has no records"),
        ("[\n", "in.json:1: not JSON"),
        ("", "in.json is empty"),
        ('[{"x": 1}]', "in.json is JSON, but of no known format"),
    ],
)
def test_json_without_records_is_named(text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "in.json"
    path.write_text(text)
    with pytest.raises(InputError, match=words) as error:
        detect(path)
    assert len(str(error.value).splitlines()) == 1


def test_a_column_file_can_begin_with_a_bracket(tmp_path: Path) -> None:
    path = tmp_path / "in.txt"
    path.write_text("[ O\nAda B-PER\n")
    assert detect(path) == COLUMNS


def test_a_folder_without_annotations_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="contains no file that ends in"):
        detect(tmp_path)
