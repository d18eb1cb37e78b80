"""Truecasing: what the tokenizer reads instead of the words of all-capital sentences."""

import pickle
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy
import pytest
import spacy
import srsly
from hypothesis import given
from hypothesis import strategies as st
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example
from spacy.vocab import Vocab

from tests.conftest import ROOT
from tests.token_ner.component_helpers import add_backbone
from tests.token_ner.support import uncased
from token_ner.training.augmentation import create_text_augmenter
from token_ner.truecasing import Truecaser, count_casings, find_changes, is_all_capitals

KEPT = ROOT / "tests" / "data" / "pipeline"
SENTENCES = [
    "The fall of the Norden Bank hurt NATO .",
    '" The Bank of Varnholm , not of the Norden , fell .',
    "VARNHOLM BANK FALLS",
    "so did the bank of varnholm .",
]
HEADLINE = ["NORDEN", "BANK", "1998-03-14", ":", "THE", "FALL", "OF", "AALTO-LINDE"]
TRUECASED = ["Norden", "Bank", "1998-03-14", ":", "the", "fall", "of", "Aalto-Linde"]
OTHERS = ["Ada", "left", "NATO", "."]


def make_doc(vocab: Vocab, *sentences: list[str], **settings: Any) -> Doc:
    starts: list[bool | int | None] = [i == 0 for words in sentences for i in range(len(words))]
    words = [word for words in sentences for word in words]
    return Doc(vocab, words=words, sent_starts=starts, **settings)


def make_gold(vocab: Vocab) -> Doc:
    sentences = [sentence.split() for sentence in SENTENCES]
    ents = ["O"] * sum(map(len, sentences))
    ents[4:6] = ["B-ORG", "I-ORG"]
    return make_doc(vocab, *sentences, ents=ents)


def initialized(backbone: Path, **settings: Any) -> Language:
    nlp = spacy.blank("en")
    add_backbone(nlp, backbone, **settings)
    nlp.add_pipe("token_ner")
    gold = make_gold(nlp.vocab)
    nlp.initialize(lambda: [Example(Doc(nlp.vocab, words=[t.text for t in gold]), gold)])
    return nlp


def backbone_of(nlp: Language) -> Any:
    """RETURNS (Model): The WindowedTransformer, shared or the recogniser's own."""
    models = [pipe.model for _, pipe in nlp.pipeline if hasattr(pipe, "model")]
    (found,) = (n for m in models for n in m.walk() if n.name == "windowed-transformer")
    return found


def read(nlp: Language, doc: Doc) -> tuple[list[int], numpy.ndarray]:
    """RETURNS (tuple): The wordpieces that the transformer reads, and its hidden states."""
    (data,) = backbone_of(nlp).predict([doc]).doc_data
    return data.wordpieces.input_ids[0].tolist(), data.model_output.last_hidden_state[0]


def is_truecased(nlp: Language) -> bool:
    """RETURNS (bool): Whether a headline is read like its truecased form, which differs."""
    shouted, cased = (read(nlp, make_doc(nlp.vocab, words)) for words in (HEADLINE, TRUECASED))
    return shouted[0] == cased[0] and numpy.array_equal(shouted[1], cased[1])


def test_casings_are_the_most_frequent_inside_mixed_sentences(vocab: Vocab) -> None:
    """Not of words that begin a sentence, after a quotation mark too, nor of sentences in one
    letter case: here these have BANK, varnholm and the only words of their kinds."""
    casings = count_casings([make_gold(vocab)])
    assert casings == {
        **{"fall": "fall", "of": "of", "the": "the", "norden": "Norden", "bank": "Bank"},
        **{"hurt": "hurt", "nato": "NATO", "varnholm": "Varnholm", "not": "not", "fell": "fell"},
    }


def test_casings_of_a_document_without_sentences(vocab: Vocab) -> None:
    """It is one sentence. Of equally frequent forms, lower case wins."""
    words = [
        "It",
        "rose",
        ".",
        "The",
        "bank",
        ",",
        "the",
        "Bank",
        ",",
        "THE",
        "Varnholm",
        "of",
        "old",
    ]
    assert count_casings([Doc(vocab, words=words)])["bank"] == "bank"
    assert count_casings([Doc(vocab, words=words)])["the"] == "the"
    assert count_casings([]) == {}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (HEADLINE, True),
        (["U.N.", "F-16", "."], True),
        (["ΑΘΗΝΑ", "ÄRZTE"], True),
        (["VARNHOLM", "1998-03-14"], False),  # one word with letters
        (["BANK", "OF", "McCOY"], False),
        (["BANK", "FALLs"], False),
        (["東京", "IBM", "NEC"], False),  # a script without case
        (["1", ":", "2"], False),
        ([], False),
    ],
)
def test_all_capital_sentences(words: list[str], expected: bool) -> None:
    assert is_all_capitals(words) is expected


def test_truecase_gives_unknown_words_and_the_first_one_a_capital(vocab: Vocab) -> None:
    truecaser = Truecaser()
    truecaser.collect([make_gold(vocab)])
    assert truecaser.truecase(HEADLINE) == TRUECASED
    assert truecaser.truecase(["'", "THE", "U.N.", "AND", "NATO"]) == [
        *("'", "The", "U.N.", "And", "NATO")
    ]


WORDS = st.text(st.sampled_from("aAßÄΣσ1.-'東ǅ") | st.characters(codec="utf-8"), min_size=1)


@given(
    docs=st.lists(st.lists(st.lists(WORDS | st.just("THE"), min_size=1, max_size=4), max_size=4)),
    known=st.booleans(),
)
def test_words_that_are_not_in_an_all_capital_sentence_never_change(
    docs: list[list[list[str]]], known: bool
) -> None:
    vocab = Vocab()
    truecaser = Truecaser()
    if known:
        truecaser.collect([make_gold(vocab)])
    changes = truecaser.find_changes(make_doc(vocab, *sentences) for sentences in docs)
    position = 0
    for words in [words for sentences in docs for words in sentences]:
        text = "".join(words)
        for i, word in enumerate(words, position):
            new = changes.pop(i, word)
            assert new.casefold() == word.casefold()
            if any(letter.islower() for letter in text) or not text.isupper():
                assert new == word
        position += len(words)
    assert not changes


def test_headlines_are_read_as_their_truecased_form(tiny_backbone: Path) -> None:
    """Beside sentences and documents with the same words as they are, in several windows; the
    document itself stays as it is."""
    nlp = initialized(tiny_backbone, window=40)
    rest = ["NORDEN", "fell", "NATO"]
    shouted, cased = (
        [make_doc(nlp.vocab, OTHERS, words, rest), Doc(nlp.vocab), Doc(nlp.vocab, words=words)]
        for words in (HEADLINE, TRUECASED)
    )
    before = [doc.to_bytes() for doc in shouted]
    found, expected = (backbone_of(nlp).predict(docs).doc_data for docs in (shouted, cased))
    for data, other in zip(found, expected, strict=True):
        for name in ("input_ids", "strings", "lengths"):
            assert numpy.array_equal(
                getattr(data.wordpieces, name), getattr(other.wordpieces, name)
            ), name
        assert numpy.array_equal(data.align.lengths, other.align.lengths)
        assert data.model_output.keys() == other.model_output.keys()
        for name, states in data.model_output.items():
            assert numpy.array_equal(states, other.model_output[name])
    assert [doc.to_bytes() for doc in shouted] == before


def test_a_text_has_the_mentions_of_its_truecased_form_at_its_own_offsets(pipeline: Path) -> None:
    nlp = spacy.load(pipeline, config={"components.transformer.model.truecase": None})
    backbone_of(nlp).attrs["truecaser"].collect([make_gold(nlp.vocab)])
    texts = ["NORDEN BANK HURT VARNHOLM", "Norden Bank hurt Varnholm"]
    docs = [nlp(text) for text in texts]
    found = [[(e.start_char, e.end_char, e.label_, e._.score) for e in doc.ents] for doc in docs]
    assert found[0] == found[1] != []
    assert docs[0].text == texts[0]


@pytest.mark.parametrize(
    ("kind", "setting", "expected"),
    [
        ("cased", None, True),
        ("cased", True, True),
        ("cased", False, False),
        ("uncased", None, False),
        ("uncased", True, True),
        ("roberta", None, True),
    ],
)
def test_truecase_is_the_default_where_the_tokenizer_keeps_case(
    kind: str, setting: bool | None, expected: bool, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """For an uncased tokenizer with its letter-case embedding, the truecased form differs too."""
    backbone = request.getfixturevalue("tiny_roberta" if kind == "roberta" else "tiny_backbone")
    if kind == "uncased":
        backbone = uncased(backbone, tmp_path / "uncased")
    nlp = initialized(backbone, truecase=setting)
    case_vectors = getattr(backbone_of(nlp).shims[0]._model, "case_embedding", None)
    assert (case_vectors is not None) == (kind == "uncased")
    if case_vectors is not None:
        case_vectors.weight.data.normal_()
    assert is_truecased(nlp) is expected
    assert bool(backbone_of(nlp).attrs["truecaser"].casings) is expected


def test_casings_are_saved_with_the_pipeline(tiny_backbone: Path, tmp_path: Path) -> None:
    nlp = initialized(tiny_backbone)
    casings = backbone_of(nlp).attrs["truecaser"].casings
    nlp.to_disk(tmp_path / "shared")
    from_bytes = spacy.blank("en")
    add_backbone(from_bytes, tiny_backbone)
    from_bytes.add_pipe("token_ner")
    own = spacy.load(tmp_path / "shared")
    own.replace_listeners("transformer", "token_ner", ["model.tok2vec"])
    own.remove_pipe("transformer")
    own.to_disk(tmp_path / "own")
    copies = [
        spacy.load(tmp_path / "shared"),
        from_bytes.from_bytes(nlp.to_bytes()),
        pickle.loads(pickle.dumps(nlp)),
        own,
        spacy.load(tmp_path / "own"),
    ]
    for copy in copies:
        assert backbone_of(copy).attrs["truecaser"].casings == casings
        assert is_truecased(copy)
    off = {"components.transformer.model.truecase": False}
    assert not is_truecased(spacy.load(tmp_path / "shared", config=off))


def test_a_recogniser_with_its_own_transformer_collects_casings(tiny_backbone: Path) -> None:
    own = {
        "@architectures": "conll_ner.FirstWordpieceTransformer.v1",
        "transformer": {
            "@architectures": "conll_ner.WindowedTransformer.v1",
            "name": str(tiny_backbone),
        },
    }
    model = {"@architectures": "conll_ner.TokenClassifier.v1", "tok2vec": own}
    nlp = spacy.blank("en")
    nlp.add_pipe("token_ner", config={"model": model})
    gold = make_gold(nlp.vocab)
    nlp.initialize(lambda: [Example(gold.copy(), gold)])
    assert is_truecased(nlp)


def test_a_pipeline_that_was_saved_without_casings_reads_words_as_they_are() -> None:
    """Whatever the setting, and after a further initialization, which keeps weights too."""
    for setting in (None, True):
        nlp = spacy.load(KEPT, config={"components.transformer.model.truecase": setting})
        doc = Doc(nlp.vocab, words=HEADLINE)
        tokenizer = backbone_of(nlp).shims[0]._hfmodel.tokenizer
        as_it_is = tokenizer(HEADLINE, is_split_into_words=True, add_special_tokens=False)
        assert read(nlp, doc)[0] == as_it_is["input_ids"]
        gold = make_gold(nlp.vocab)
        examples = [Example(gold.copy(), gold)]
        nlp.initialize(partial(iter, examples))
        assert read(nlp, doc)[0] == as_it_is["input_ids"]


def test_no_text_is_looked_at_where_truecasing_is_off(tiny_backbone: Path) -> None:
    def no_docs() -> Iterator[Doc]:
        raise AssertionError
        yield

    assert find_changes(backbone_of(initialized(tiny_backbone, truecase=False)), no_docs()) == {}


def test_saved_casings_of_another_type_are_refused(tiny_backbone: Path, tmp_path: Path) -> None:
    initialized(tiny_backbone).to_disk(tmp_path)
    path = tmp_path / "transformer" / "model"
    saved = srsly.msgpack_loads(path.read_bytes())
    for value in ({"bank": "Bank"}, ["Bank", 1]):
        saved["attrs"][0]["truecaser"] = srsly.msgpack_dumps(value)
        path.write_bytes(srsly.msgpack_dumps(saved))
        with pytest.raises(ValueError, match="the saved casings are not a list of words"):
            spacy.load(tmp_path)


def test_augmented_text_has_no_part_in_casings_and_is_truecased(tiny_backbone: Path) -> None:
    """In training, documents that are changed to upper case are read like headlines."""
    nlp = initialized(tiny_backbone)
    gold = make_gold(nlp.vocab)
    for share in ("lower", "upper"):
        augment = create_text_augmenter(**{share: 1.0})  # type: ignore[arg-type]
        (changed,) = augment(nlp, Example(gold.copy(), gold))
        assert count_casings([changed.reference]) == {}
        assert count_casings([gold, changed.reference]) == count_casings([gold])
    upper = changed.predicted
    cased = backbone_of(nlp).attrs["truecaser"].truecase([token.text for token in upper])
    pieces = [
        backbone_of(nlp).begin_update([doc])[0].doc_data[0].wordpieces.strings
        for doc in (upper, Doc(nlp.vocab, words=cased))
    ]
    assert pieces[0] == pieces[1]
    assert "".join(pieces[0][0]).replace("##", "").startswith("ThefalloftheNordenBankhurtNATO")
