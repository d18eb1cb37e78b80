"""Convert gold documents between spaCy Docs, DocBin and column files."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import spacy
from spacy.pipeline import Sentencizer
from spacy.tokens import Doc, DocBin, Span
from spacy.vocab import Vocab

from conll_ner.common.console import InputError, first_line, msg, shorten
from conll_ner.common.files import atomic_write
from conll_ner.data.columns.conll import Document, Sentence, count, format_corpus, read_corpus
from conll_ner.data.columns.schemes import encode_iob2
from conll_ner.data.columns.selection import DEFAULT, Columns
from conll_ner.data.mentions import Mention

# A Doc has no attribute for chunks (base phrases), so they are stored in its user data.
CHUNKS = "chunks"
SHOWN = 5  # repaired labels that are printed
ATTRS = ("ORTH", "LEMMA", "TAG", "SENT_START", "ENT_IOB", "ENT_TYPE")


def make_doc(document: Document, vocab: Vocab) -> Doc:
    """RETURNS (Doc): Gold words with unknown spaces, sentence starts, POS in `tag_`, lemmas if
    there are any, mentions in `ents`, and chunk labels in `user_data["chunks"]`."""
    sentences = document.sentences
    lemmas = [lemma for sentence in sentences for lemma in sentence.lemmas]
    return Doc(
        vocab,
        words=[word for sentence in sentences for word in sentence.words],
        tags=[tag for sentence in sentences for tag in sentence.pos],
        lemmas=lemmas if any(lemmas) else None,
        sent_starts=[i == 0 for sentence in sentences for i in range(len(sentence.words))],
        ents=[label for sentence in sentences for label in spacy_labels(sentence)],
        user_data={CHUNKS: [chunk for sentence in sentences for chunk in sentence.chunks]},
    )


def spacy_labels(sentence: Sentence) -> list[str]:
    """RETURNS (list[str]): The labels of a sentence as Doc takes them: empty where unknown."""
    labels = encode_iob2(len(sentence.words), sentence.mentions)
    for i in sentence.unknown:
        labels[i] = ""
    return labels


def read_sentence(sent: Span, chunks: list[str]) -> Sentence:
    return Sentence(
        words=[token.text for token in sent],
        pos=[token.tag_ for token in sent],
        chunks=chunks[sent.start : sent.end],
        lemmas=[token.lemma_ for token in sent],
        mentions=[
            Mention(ent.start - sent.start, ent.end - sent.start, ent.label_) for ent in sent.ents
        ],
        unknown=tuple(i for i, token in enumerate(sent) if token.ent_iob == 0),
    )


def read_document(doc: Doc) -> Document:
    """Inverse of `make_doc`. A Doc without sentence starts is one sentence."""
    chunks = list(doc.user_data.get(CHUNKS) or [""] * len(doc))
    sents = doc.sents if doc.has_annotation("SENT_START") else [doc[:]]
    return Document([read_sentence(sent, chunks) for sent in sents])


def to_sentence(sent: Span) -> Sentence:
    """RETURNS (Sentence): A spaCy sentence, without whitespace tokens: whitespace separates the
    columns of the file."""
    words = [token for token in sent if not token.is_space]
    index = {token.i: i for i, token in enumerate(words)}
    none = ["-X-"] * len(words)
    mentions = []
    for ent in sent.ents:
        inside = [index[token.i] for token in ent if token.i in index]
        if inside:
            mentions.append(Mention(inside[0], inside[-1] + 1, ent.label_))
    # spaCy's words can contain whitespace, such as U+00A0.
    return Sentence(["_".join(token.text.split()) for token in words], none, none, [], mentions)


def to_document(doc: Doc) -> Document:
    """RETURNS (Document): The rows of a document. Those of a text are split into sentences by
    punctuation, and whitespace, which separates columns, is left out."""
    if doc.has_unknown_spaces:
        return read_document(doc)
    if not doc.has_annotation("SENT_START"):
        doc = Sentencizer()(doc.copy())
        for ent in doc.ents:
            for token in ent[1:]:
                token.is_sent_start = False
    sentences = []
    for sent in doc.sents:
        words = [token for token in sent if not token.is_space]
        unknown = tuple(i for i, token in enumerate(words) if token.ent_iob == 0)
        if words:
            sentences.append(replace(to_sentence(sent), unknown=unknown))
    return Document(sentences)


def write_docs(docs: Iterable[Doc], path: Path, *, user_data: bool = True) -> None:
    with atomic_write(path) as temporary:
        DocBin(attrs=ATTRS, docs=docs, store_user_data=user_data).to_disk(temporary)


def read_docs(path: Path, vocab: Vocab) -> Iterator[Doc]:
    """YIELDS (Doc): The documents of a DocBin.
    RAISES (InputError): If the file isn't a complete DocBin."""
    try:
        yield from DocBin(store_user_data=True).from_disk(path).get_docs(vocab)
    except Exception as error:  # zlib, msgpack, a missing key or numpy: the file is broken
        raise InputError(f"{path}: not a complete DocBin file; convert it again") from error


def read_gold(path: Path, vocab: Vocab) -> list[Doc]:
    """RETURNS (list[Doc]): The documents of a .spacy or a column file.
    RAISES (InputError): If the file is missing, invalid or contains no words."""
    if not path.is_file():
        raise InputError(f"{path}: no such file; run the steps before this one")
    if path.suffix == ".spacy":
        docs = list(read_docs(path, vocab))
    else:
        docs = [make_doc(document, vocab) for document in read_corpus(path).documents]
    if not any(len(doc) for doc in docs):
        raise InputError(f"{path} contains no words")
    return docs


def is_empty_split(path: Path) -> bool:
    """RETURNS (bool): Whether a .spacy file has no documents, as `convert` writes it for a split
    that a corpus doesn't have."""
    if path.suffix != ".spacy" or not path.is_file():
        return False
    return next(read_docs(path, Vocab()), None) is None


def convert_to_docs(
    source: Path,
    target: Path,
    scheme: str,
    lang: str,
    columns: Columns = DEFAULT,
    *,
    repair: bool = False,
    encoding: str | None = None,
) -> None:
    """Convert a column file to DocBin, and print what was read, skipped and repaired. The last
    arguments are those of `read_corpus`."""
    try:
        vocab = spacy.blank(lang).vocab
    except ImportError as error:
        raise InputError(f"--lang {lang}: {first_line(error)}") from None
    corpus = read_corpus(source, scheme, columns, repair=repair, encoding=encoding)
    write_docs([make_doc(document, vocab) for document in corpus.documents], target)
    counts = count(corpus.documents)
    numbers = ", ".join(f"{number:,} {shorten(name)}" for name, number in counts.items())
    msg.good(f"{target}: {numbers} ({corpus.scheme.upper()})")
    without_mentions = sum(
        not any(s.mentions for s in document.sentences) for document in corpus.documents
    )
    notes = {
        "documents without mentions kept": without_mentions if corpus.has_docstarts else 0,
        "empty sentences skipped": corpus.empty_sentences,
        "empty documents skipped": corpus.empty_documents,
        "comments skipped": corpus.comments,
        "words without a label": sum(len(s.unknown) for d in corpus.documents for s in d.sentences),
    }
    if any(notes.values()):
        msg.info(", ".join(f"{number:,} {name}" for name, number in notes.items() if number))
    if not any(s.mentions for document in corpus.documents for s in document.sentences):
        msg.warn(f"{source} has no mention; is another column that of the labels? --label-column")
    if corpus.repaired:
        first = "; ".join(corpus.repaired[:SHOWN])
        msg.warn(f"{len(corpus.repaired):,} illegal labels read as conlleval does: {first}")
    if not corpus.has_docstarts:
        msg.info(f"{source} has no -DOCSTART- line: each sentence became its own document")


def convert_to_columns(source: Path, target: Path, scheme: str = "iob2") -> None:
    """Convert DocBin to a column file in a label scheme."""
    try:
        documents = [read_document(doc) for doc in read_docs(source, spacy.blank("xx").vocab)]
        text = format_corpus(documents, scheme=scheme)
    except InputError:
        raise
    except (KeyError, TypeError, ValueError) as error:  # strings or chunks are missing
        raise InputError(f"{source}: not a complete DocBin file; convert it again") from error
    with atomic_write(target) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")
    msg.good(f"{target}: {len(documents):,} documents")
