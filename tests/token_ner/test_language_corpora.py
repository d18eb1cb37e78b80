"""Small invented corpora of seven languages: learned from column files, found in raw text."""

from pathlib import Path
from typing import Any

import pytest
import spacy
from spacy.language import Language
from spacy.training import Example
from thinc.api import Adam, fix_random_seed

from conll_ner.common.console import InputError
from conll_ner.common.languages import blank_pipeline
from conll_ner.data.columns.conll import read_corpus
from conll_ner.data.docs import make_doc
from conll_ner.evaluation.perturbations import f1_on_gold_tokens
from conll_ner.evaluation.raw_text_scores import annotate_raw, score_raw
from conll_ner.evaluation.seqeval_scores import annotate_gold
from tests.hf_helpers import save_bert
from tests.token_ner.component_helpers import add_backbone

# Words and labels; MasakhaNER's form, and MSRA's with a label per character.
CORPORA = {
    "de": "Ada B-PER\nLindqvist I-PER\nverließ O\nKöln B-LOC\n. O\n\n"
    "Die O\nNordbank B-ORG\nist O\nin O\nOslo B-LOC\n, O\nnicht O\nin O\nBonn B-LOC\n. O",
    "es": "¿ O\nDónde O\nestá O\nInés B-PER\nPeña I-PER\n? O\n\n"
    "El O\nBanco B-ORG\nde I-ORG\nLugo I-ORG\ncerró O\nen O\nMálaga B-LOC\n. O",
    "zh": "李 B-PER\n明 I-PER\n去 O\n上 B-LOC\n海 I-LOC\n。 O\n\n"
    "北 B-ORG\n方 I-ORG\n银 I-ORG\n行 I-ORG\n在 O\n2 O\n0 O\n0 O\n3 O\n年 O\n关 O\n了 O\n。 O",
    "ar": "ذهب O\nأحمد B-PER\nعلي I-PER\nإلى O\nالقاهرة B-LOC\n. O\n\n"
    "أغلق O\nبنك B-ORG\nالشمال I-ORG\nفي O\nعمان B-LOC\n. O",
    "ja": "太郎 B-PER\nは O\n東京 B-LOC\nに O\n住ん O\nで O\nい O\nます O\n。 O\n\n"
    "東京 B-ORG\n銀行 I-ORG\nは O\n大阪 B-LOC\nの O\n会社 O\nです O\n。 O",
    "th": "สม B-PER\nชาย I-PER\nอยู่ O\nที่ O\nกรุงเทพ B-LOC\n\n"
    "ธนาคาร B-ORG\nกรุงไทย I-ORG\nอยู่ O\nที่ O\nเชียงใหม่ B-LOC",
    "ko": "철수 B-PER\n는 O\n서울 B-LOC\n에 O\n산다 O\n. O\n\n"
    "한국 B-ORG\n은행 I-ORG\n은 O\n부산 B-LOC\n에 O\n있 O\n다 O\n. O",
}
# What the tokenizers need; skipped without.
PACKAGES = {"ja": "sudachipy", "th": "pythainlp", "ko": "natto"}


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A multilingual two-layer BERT with random weights and a vocabulary of characters."""
    folder = tmp_path_factory.mktemp("multilingual")
    letters = sorted({letter for text in CORPORA.values() for letter in text if letter.strip()})
    save_bert(folder, letters, strip_accents=False)
    return folder


def make_pipeline(lang: str, backbone: Path, tokenizer: str = "conll_ner.Tokenizer.v1") -> Language:
    nlp = spacy.blank(lang, config={"nlp": {"tokenizer": {"@tokenizers": tokenizer}}})
    nlp.add_pipe("sentencizer")
    add_backbone(nlp, backbone, window=64)
    nlp.add_pipe("token_ner")
    return nlp


def learn(nlp: Language, lang: str, path: Path) -> list[Any]:
    """RETURNS (list[Doc]): The gold documents, after updates on them."""
    path.write_text(CORPORA[lang], encoding="utf-8")
    gold = [make_doc(document, nlp.vocab) for document in read_corpus(path).documents]
    examples = [Example(spacy.tokens.Doc(nlp.vocab, words=[t.text for t in d]), d) for d in gold]
    fix_random_seed(0)
    nlp.initialize(lambda: examples)
    optimizer = Adam(0.005, use_averages=False, L2=0.0)
    for _ in range(80):
        nlp.update(examples, sgd=optimizer)
    return gold


def find_library(lang: str) -> None:
    """Skip without mecab-ko, which natto-py doesn't install."""
    try:
        blank_pipeline(lang)
    except InputError as error:
        if lang != "ko":
            raise
        pytest.skip(str(error))


@pytest.mark.filterwarnings("ignore:Dictionary.create:DeprecationWarning")  # spaCy's, for ja
@pytest.mark.parametrize("lang", CORPORA)
def test_gold_words_and_raw_text_read_the_same(lang: str, backbone: Path, tmp_path: Path) -> None:
    if lang in PACKAGES:
        pytest.importorskip(PACKAGES[lang])
        find_library(lang)
    nlp = make_pipeline(lang, backbone)
    gold = learn(nlp, lang, tmp_path / "in.txt")
    assert f1_on_gold_tokens(gold, annotate_gold(nlp, gold)) == 1.0
    assert score_raw(*annotate_raw(nlp, gold)) == {"f1": 1.0, "unreachable": 0.0}
    nlp.to_disk(tmp_path / "model")
    loaded = spacy.load(tmp_path / "model")
    assert score_raw(*annotate_raw(loaded, gold))["f1"] == 1.0


def test_chinese_needs_its_own_tokenizer(backbone: Path, tmp_path: Path) -> None:
    nlp = make_pipeline("zh", backbone, "spacy.Tokenizer.v1")
    gold = learn(nlp, "zh", tmp_path / "in.txt")
    assert f1_on_gold_tokens(gold, annotate_gold(nlp, gold)) == 1.0
    assert score_raw(*annotate_raw(nlp, gold))["f1"] == 0.0
