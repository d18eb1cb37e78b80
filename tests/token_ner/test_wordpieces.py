"""Wordpieces of words, seen before or not, against the tokenizer's own."""

from pathlib import Path
from typing import Any

import numpy
import pytest
import transformers
from hypothesis import given
from hypothesis import strategies as st
from spacy.tokens import Doc
from spacy.vocab import Vocab
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

from token_ner import wordpieces as module
from token_ner.wordpieces import WordEncoder, letter_case, special_tokens

WORDS = st.text(
    st.sampled_from("abAÄß1.-▁ \n東😀") | st.characters(codec="utf-8"), min_size=1, max_size=8
)


def load_tokenizer(folder: Path) -> Any:
    return transformers.AutoTokenizer.from_pretrained(folder, add_prefix_space=True)


def make_unigram() -> Tokenizer:
    """RETURNS (Tokenizer): Built like XLM-RoBERTa's: SentencePiece's alphabet and prefix."""
    vocab = [("<unk>", 0.0), ("▁", -2.0), *((c, -3.0) for c in "abA1."), ("▁a", -2.5), ("ab", -2.0)]
    tokenizer = Tokenizer(models.Unigram(vocab, unk_id=0))
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="first")
    return tokenizer


@pytest.fixture(scope="module", params=["bert", "roberta", "unigram"])
def tokenizer(request: pytest.FixtureRequest) -> Any:
    if request.param == "unigram":
        return make_unigram()
    name = "tiny_backbone" if request.param == "bert" else "tiny_roberta"
    return load_tokenizer(request.getfixturevalue(name)).backend_tokenizer


@pytest.fixture
def bert(tiny_backbone: Path) -> Any:
    return load_tokenizer(tiny_backbone).backend_tokenizer


def test_letter_case() -> None:
    words = ["bank", "1996", ",", "Bank", "BANK", "U.N.", "F-16", "A", "McBank", "eBay"]
    assert [letter_case(word) for word in words] == [0, 0, 0, 1, 2, 2, 3, 3, 4, 4]
    words = ["straße", "Ärzte", "ΑΘΗΝΑ", "東京", "ǅ"]
    assert [letter_case(word) for word in words] == [0, 1, 2, 0, 4]


@given(batches=st.lists(st.lists(st.lists(WORDS, max_size=6), max_size=4), max_size=3))
def test_wordpieces_are_the_tokenizers_own(tokenizer: Any, batches: list[list[list[str]]]) -> None:
    """Words of earlier batches come from the cache."""
    vocab = Vocab()
    encoder = WordEncoder(tokenizer)
    for batch in batches:
        found = encoder.encode_docs([Doc(vocab, words=words) for words in batch], 100)
        for i, words in enumerate(batch):
            whole = tokenizer.encode(words, is_pretokenized=True, add_special_tokens=False)
            start, end = found.before[i : i + 2]
            assert found.ids[start:end].tolist() == whole.ids
            assert found.strings[start:end] == whole.tokens
            owners = [w for w in whole.word_ids if w is not None]
            lengths = found.lengths[found.words_before[i] : found.words_before[i + 1]]
            assert lengths.tolist() == numpy.bincount(owners, minlength=len(words)).tolist()
            assert found.cases[start:end].tolist() == [letter_case(words[w]) for w in owners]
        assert len(found.ids) == found.before[-1]


def test_a_word_longer_than_a_window_keeps_its_start(tiny_roberta: Path, vocab: Vocab) -> None:
    tokenizer = load_tokenizer(tiny_roberta)
    encoder = WordEncoder(tokenizer.backend_tokenizer)
    words = ["Ada", "b" * 10_000, "left"]
    for _ in range(2):
        found = encoder.encode_docs([Doc(vocab, words=words)], limit=5)
        whole = [tokenizer.tokenize(f" {word}") for word in words]
        assert len(whole[1]) > 5
        assert found.lengths.tolist() == [len(whole[0]), 5, len(whole[2])]
        assert found.strings == [*whole[0], *whole[1][:5], *whole[2]]
        assert tokenizer.convert_ids_to_tokens(found.ids.tolist()) == found.strings


def test_empty_documents_among_others(bert: Any, vocab: Vocab) -> None:
    docs = [Doc(vocab), Doc(vocab, words=["ab"]), Doc(vocab), Doc(vocab, words=[" "])]
    found = WordEncoder(bert).encode_docs(docs, 10)
    assert found.lengths.tolist() == [2, 0]
    assert found.words_before.tolist() == [0, 0, 1, 1, 2]
    assert found.before.tolist() == [0, 0, 2, 2, 2]


def test_the_limits_of_the_file_are_ignored(bert: Any, vocab: Vocab) -> None:
    """Many a tokenizer.json asks for truncation and padding, all-MiniLM's for 128 wordpieces."""
    docs = [Doc(vocab, words=["ab", "cd"] * 5), Doc(vocab, words=["a"])]
    expected = WordEncoder(bert).encode_docs(docs, 10).ids.tolist()
    bert.enable_truncation(2)
    bert.enable_padding(length=30)
    assert WordEncoder(bert).encode_docs(docs, 10).ids.tolist() == expected
    assert len(expected) == 21
    bert.enable_padding(length=30)
    assert special_tokens(bert) == ([2], [3])


def test_the_cache_is_bounded(bert: Any, vocab: Vocab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_CACHED", 10)
    encoder = WordEncoder(bert)
    for start in range(0, 100, 4):
        words = [f"w{i}" for i in range(start, start + 4)] + ["long" * 20]
        found = encoder.encode_docs([Doc(vocab, words=words)], 100)
        whole = bert.encode(words, is_pretokenized=True, add_special_tokens=False)
        assert found.ids.tolist() == whole.ids
        assert 4 <= len(encoder.cache) <= 10
    assert all(len(vocab.strings[key]) < 20 for key in encoder.cache)


def test_special_tokens(bert: Any, tiny_roberta: Path) -> None:
    assert special_tokens(bert) == ([2], [3])
    roberta = load_tokenizer(tiny_roberta)
    assert special_tokens(roberta.backend_tokenizer) == (
        [roberta.bos_token_id],
        [roberta.eos_token_id],
    )
