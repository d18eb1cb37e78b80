"""spaCy's languages, and what they need."""

import pytest
import spacy

from conll_ner.common.console import InputError
from conll_ner.common.languages import blank_pipeline
from token_ner.tokenizer import LinearTokenizer


def test_a_language_has_its_tokenizer() -> None:
    assert [token.text for token in blank_pipeline("zh")("李明。")] == ["李", "明", "。"]


def test_tokenization_takes_linear_time() -> None:
    """As that of the recogniser; spaCy's own tokenizer is quadratic in such runs."""
    assert isinstance(blank_pipeline("en").tokenizer, LinearTokenizer)


def test_an_unknown_language_is_one_line() -> None:
    with pytest.raises(InputError, match="language qq: "):
        blank_pipeline("qq")


def test_a_library_that_is_loaded_at_the_first_text_is_missed_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class MeCabError(Exception):
        """As natto's, for Korean: not an ImportError."""

    def call(_: str) -> None:
        raise MeCabError("libmecab could not be found")

    monkeypatch.setattr(spacy, "blank", lambda *_, **__: call)
    with pytest.raises(InputError, match="language ko: libmecab could not be found"):
        blank_pipeline("ko")
