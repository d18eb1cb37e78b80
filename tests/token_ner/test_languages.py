"""Languages: their own tokenizers, and raw text for those without spaces."""

import pickle
from pathlib import Path

import pytest
import spacy
from spacy.language import Language
from spacy.tokens import Doc

from token_ner import detokenize
from token_ner.tokenizer import LinearTokenizer


def blank(lang: str) -> Language:
    return spacy.blank(
        lang, config={"nlp": {"tokenizer": {"@tokenizers": "conll_ner.Tokenizer.v1"}}}
    )


@pytest.mark.parametrize("lang", ["en", "de", "es", "ar", "xx"])
def test_languages_with_spaces_have_the_linear_tokenizer(lang: str) -> None:
    nlp = blank(lang)
    assert isinstance(nlp.tokenizer, LinearTokenizer)
    text = "Ada Lindqvist (1998) ذهب أحمد, Köln."
    assert [t.text for t in nlp(text)] == [t.text for t in spacy.blank(lang)(text)]


def test_chinese_has_its_own_tokenizer(tmp_path: Path) -> None:
    nlp = blank("zh")
    words = [token.text for token in nlp("李明去上海。")]
    assert words == list("李明去上海。")
    nlp.to_disk(tmp_path)
    assert [token.text for token in spacy.load(tmp_path)("李明去上海。")] == words
    copied = pickle.loads(pickle.dumps(nlp))
    assert [token.text for token in copied("李明去上海。")] == words


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "sudachipy", None)
    with pytest.raises(ImportError, match="sudachipy"):
        blank("ja")


@pytest.mark.parametrize(
    ("lang", "words", "text"),
    [
        ("zh", "李 明 在 上 海 2 0 0 3 年 学 N B A 。", "李明在上海2003年学NBA。"),
        ("zh", "李明 在 Fudan University 学习 。", "李明在Fudan University学习。"),
        ("ja", "田中 さん は 東京 に 行っ た 。", "田中さんは東京に行った。"),
        ("th", "สวัสดี ครับ", "สวัสดีครับ"),
        ("ko", "김 씨는 서울에 간다 .", "김 씨는 서울에 간다."),
        ("es", "¿ Dónde está Madrid ?", "¿Dónde está Madrid?"),
        ("ar", "ذهب أحمد إلى القاهرة .", "ذهب أحمد إلى القاهرة."),
    ],
)
def test_raw_text_has_the_spaces_of_the_language(lang: str, words: str, text: str) -> None:
    doc = Doc(spacy.blank("xx").vocab, words=words.split())
    assert detokenize(doc, lang).text.rstrip() == text
