"""Convert gold documents between spaCy Docs, DocBin and column files."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from spacy.pipeline import Sentencizer
from spacy.tokens import Doc, DocBin, Span
from spacy.vocab import Vocab

from conll_ner.common.console import InputError
from conll_ner.common.files import atomic_write
from conll_ner.data.columns.conll import Document, Sentence, read_corpus
from conll_ner.data.columns.schemes import encode_iob2
from conll_ner.data.mentions import Mention, check_labels

# A Doc has no attribute for chunks (base phrases), so they are stored in its user data.
CHUNKS = "chunks"
LAYERS = ("pos", CHUNKS, "lemmas")  # of a Sentence
ATTRS = ("ORTH", "LEMMA", "TAG", "SENT_START", "ENT_IOB", "ENT_TYPE")


def make_doc(document: Document, vocab: Vocab) -> Doc:
    """RETURNS (Doc): Gold words with unknown spaces, sentence starts, POS in `tag_`, lemmas if
    there are any, mentions in `ents`, and chunk labels in `user_data["chunks"]`."""
    sentences = document.sentences
    return build_doc(
        vocab,
        [word for sentence in sentences for word in sentence.words],
        list_layers(sentences),
        sent_starts=[i == 0 for sentence in sentences for i in range(len(sentence.words))],
        ents=[label for sentence in sentences for label in spacy_labels(sentence)],
    )


def list_layers(sentences: Sequence[Sentence]) -> dict[str, list[str]]:
    """RETURNS (dict[str, list[str]]): What sentences have for each word beside its label."""
    return {name: [item for s in sentences for item in getattr(s, name)] for name in LAYERS}


def build_doc(
    vocab: Vocab, words: Sequence[str], layers: Mapping[str, Sequence[str]], **fields: Any
) -> Doc:
    """RETURNS (Doc): Words with unknown spaces.

    layers (Mapping[str, Sequence[str]]): A value for each word, by the names in LAYERS.
    fields: Further arguments of Doc.
    """
    lemmas = list(layers.get("lemmas", ()))
    return Doc(
        vocab,
        words=list(words),
        tags=list(layers["pos"]) if "pos" in layers else None,
        lemmas=lemmas if any(lemmas) else None,
        user_data={CHUNKS: list(layers["chunks"])} if "chunks" in layers else None,
        **fields,
    )


def spacy_labels(sentence: Sentence) -> list[str]:
    """RETURNS (list[str]): The labels of a sentence as Doc takes them: empty where unknown."""
    labels = encode_iob2(len(sentence.words), sentence.mentions)
    for i in sentence.unknown:
        labels[i] = ""
    return labels


def to_sentence(sent: Span, chunks: Sequence[str] | None = None) -> Sentence:
    """RETURNS (Sentence): The rows of a spaCy sentence.

    chunks (Sequence[str] | None): Of the document's words, if these are the words of a column file.
        Those of a text can be or contain whitespace, which separates columns: it is left out.
    """
    is_gold = chunks is not None
    words = [token for token in sent if is_gold or not token.is_space]
    index = {token.i: i for i, token in enumerate(words)}
    inside = [(ent, [index[token.i] for token in ent if token.i in index]) for ent in sent.ents]
    none = ["-X-"] * len(words)
    return Sentence(
        words=[token.text if is_gold else "_".join(token.text.split()) for token in words],
        pos=[token.tag_ for token in words] if is_gold else none,
        chunks=none if chunks is None else list(chunks[sent.start : sent.end]),
        lemmas=[token.lemma_ for token in words] if is_gold else [],
        mentions=[Mention(i[0], i[-1] + 1, ent.label_) for ent, i in inside if i],
        unknown=tuple(i for i, token in enumerate(words) if token.ent_iob == 0),
    )


def to_document(doc: Doc) -> Document:
    """RETURNS (Document): The rows of a document; the inverse of `make_doc` for its Docs, which are
    one sentence without sentence starts. A text is split into sentences by punctuation."""
    chunks = None
    if doc.has_unknown_spaces:
        chunks = doc.user_data.get(CHUNKS) or [""] * len(doc)
    elif not doc.has_annotation("SENT_START"):
        doc = Sentencizer()(doc.copy())
        for ent in doc.ents:
            for token in ent[1:]:
                token.is_sent_start = False
    sents = doc.sents if doc.has_annotation("SENT_START") else [doc[:]]
    sentences = [to_sentence(sent, chunks) for sent in sents]
    return Document([sentence for sentence in sentences if sentence.words])


def write_docs(docs: Iterable[Doc], path: Path, *, user_data: bool = True) -> None:
    with atomic_write(path) as temporary:
        DocBin(attrs=ATTRS, docs=docs, store_user_data=user_data).to_disk(temporary)


def read_docs(path: Path, vocab: Vocab) -> Iterator[Doc]:
    """YIELDS (Doc): The documents of a DocBin.
    RAISES (InputError): If the file isn't a complete DocBin."""
    try:
        for doc in DocBin(store_user_data=True).from_disk(path).get_docs(vocab):
            _ = doc.text, [ent.label_ for ent in doc.ents]  # fails if strings are missing
            yield doc
    except Exception as error:  # zlib, msgpack, a missing key or numpy: the file is broken
        raise InputError(f"{path}: not a complete DocBin file; convert it again") from error


def read_gold(path: Path, vocab: Vocab) -> list[Doc]:
    """RETURNS (list[Doc]): The documents of a .spacy or a column file.
    RAISES (InputError): If the file is missing, invalid or contains no words, or `check_labels`
        does."""
    if not path.is_file():
        raise InputError(f"{path}: no such file; run the steps before this one")
    if path.suffix == ".spacy":
        found = read_docs(path, vocab)
    else:
        found = (make_doc(document, vocab) for document in read_corpus(path).documents)
    docs = list(check_labels(found, path))
    if not any(len(doc) for doc in docs):
        raise InputError(f"{path} contains no words")
    return docs


def is_empty_split(path: Path) -> bool:
    """RETURNS (bool): Whether a .spacy file has no documents, as `convert` writes it for a split
    that a corpus doesn't have."""
    if path.suffix != ".spacy" or not path.is_file():
        return False
    return next(read_docs(path, Vocab()), None) is None
