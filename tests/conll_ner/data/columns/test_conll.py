"""Column files: all supported formats, and error messages for invalid files."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from seqeval import scheme as seqeval_scheme

from conll_ner.common.console import InputError
from conll_ner.data.columns import conll, rows, schemes
from conll_ner.data.mentions import Mention
from tests.conftest import CONLL2003, SAMPLE, SPLITS, TINY

SEQEVAL_SCHEMES = {
    "iob1": seqeval_scheme.IOB1,
    "iob2": seqeval_scheme.IOB2,
    "bilou": seqeval_scheme.BILOU,
    "iobes": seqeval_scheme.IOBES,
}


def write(folder: Path, text: str | bytes) -> Path:
    path = folder / "in.txt"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def read_mentions(path: Path, scheme: str = "auto") -> list[list[Mention]]:
    corpus = conll.read_corpus(path, scheme)
    return [s.mentions for document in corpus.documents for s in document.sentences]


def labelled(labels: str) -> str:
    """A one-sentence file with these labels, which are separated by spaces."""
    return "\n".join(f"w{i} {label}" for i, label in enumerate(labels.split()))


# --- Schemes ---


@pytest.mark.parametrize(
    ("scheme", "labels"),
    [
        ("iob1", "O I-A I-A B-A O I-B I-A"),
        ("iob2", "O B-A I-A B-A O B-B B-A"),
        ("bilou", "O B-A L-A U-A O U-B U-A"),
        ("iobes", "O B-A E-A S-A O S-B S-A"),
        ("bmes", "O B-A E-A S-A O S-B S-A B-C M-C E-C"),
    ],
)
def test_conll_detects_each_scheme(tmp_path: Path, scheme: str, labels: str) -> None:
    path = write(tmp_path, labelled(labels))
    assert conll.read_corpus(path).scheme == scheme
    expected = [[(1, 3, "A"), (3, 4, "A"), (5, 6, "B"), (6, 7, "A")]]
    if scheme == "bmes":  # without an M, it is IOBES
        expected[0].append((7, 10, "C"))
    assert read_mentions(path) == expected
    assert read_mentions(path, scheme) == expected


@st.composite
def mentions_and_length(draw: st.DrawFn) -> tuple[list[Mention], int]:
    mentions, position = [], 0
    for _ in range(draw(st.integers(0, 5))):
        start = position + draw(st.integers(0, 2))
        position = start + draw(st.integers(1, 4))
        mentions.append(Mention(start, position, draw(st.sampled_from(["A", "B-x", "B"]))))
    return mentions, position + draw(st.integers(0, 2))


def encode(mentions: list[Mention], length: int, scheme: str) -> list[str]:
    """Encode mentions by the definitions of the schemes: the reference for decoding."""
    labels = ["O"] * length
    letters = {"bilou": "BILU", "iobes": "BIES", "bmes": "BMES"}.get(scheme, "BIIB")
    for i, (start, end, type_) in enumerate(mentions):
        for j in range(start, end):
            first, last = j == start, j == end - 1
            letter = letters[3 if first and last else 0 if first else 2 if last else 1]
            if scheme == "iob1" and first:
                before = mentions[i - 1] if i else None
                touches = before and before.end == start and before.label == type_
                letter = "B" if touches else "I"
            labels[j] = f"{letter}-{type_}"
    return labels


@pytest.mark.parametrize("scheme", [name for name in schemes.SCHEMES if name != "io"])
@given(drawn=mentions_and_length())
def test_conll_decode_inverts_encode(scheme: str, drawn: tuple[list[Mention], int]) -> None:
    mentions, length = drawn
    assert schemes.decode_mentions(encode(mentions, length, scheme), scheme) == mentions


@given(drawn=mentions_and_length())
def test_conll_encode_iob2_matches_the_definition(drawn: tuple[list[Mention], int]) -> None:
    mentions, length = drawn
    assert schemes.encode_iob2(length, mentions) == encode(mentions, length, "iob2")


@pytest.mark.parametrize("scheme", list(SEQEVAL_SCHEMES))
@given(st.lists(st.sampled_from(["O", *(f"{p}-{t}" for p in "BILUES" for t in "XY")]), max_size=6))
def test_conll_decode_agrees_with_seqeval(scheme: str, labels: list[str]) -> None:
    """For legal labels, seqeval's strict mode finds the same mentions."""
    try:
        mentions = schemes.decode_mentions(labels, scheme)
    except schemes.LabelError:
        return
    entities = seqeval_scheme.Entities([labels], SEQEVAL_SCHEMES[scheme]).entities[0]
    assert [(e.start, e.end, e.tag) for e in entities] == mentions


@pytest.mark.parametrize(
    ("scheme", "labels", "line", "words"),
    [
        ("iob2", "O I-A", 2, "I-A after O is illegal in iob2"),
        ("iob2", "B-A I-B", 2, "I-B after B-A is illegal in iob2"),
        ("iob2", "I-A", 1, "I-A after the sentence start is illegal in iob2"),
        ("iob2", "U-A", 1, "U-A after the sentence start is illegal in iob2"),
        ("iob1", "O B-A", 2, "B-A after O is illegal in iob1"),
        ("bilou", "B-A O", 2, "O after B-A is illegal in bilou"),
        ("bilou", "U-A I-A", 2, "I-A after U-A is illegal in bilou"),
        ("bilou", "O B-A", 2, "mention not closed at B-A, illegal in bilou"),
        ("iobes", "B-A L-A", 2, "L-A after B-A is illegal in iobes"),
        ("iobes", "E-A", 1, "E-A after the sentence start is illegal in iobes"),
        ("auto", "O A-PER", 2, "label 'A-PER' fits no scheme"),
        ("auto", "O B-", 2, "label 'B-' fits no scheme"),
        ("auto", "o", 1, "label 'o' fits no scheme"),
        ("auto", "B-A I-A\n\nI-B B-B", None, "illegal in iob1"),
        (
            "auto",
            "U-A S-A",
            2,
            "S-A after U-A is illegal in bilou; and",
        ),
    ],
)
def test_conll_label_errors_name_file_line_and_label(
    tmp_path: Path, scheme: str, labels: str, line: int | None, words: str
) -> None:
    path = write(tmp_path, "\n\n".join(map(labelled, labels.split("\n\n"))))
    with pytest.raises(InputError) as error:
        conll.read_corpus(path, scheme)
    assert words in str(error.value)
    assert "\n" not in str(error.value)
    assert str(error.value).startswith(f"{path}:{line or ''}")


def test_conll_mixed_iob1_and_iob2_names_both_lines(tmp_path: Path) -> None:
    path = write(tmp_path, labelled("B-A O I-A"))
    with pytest.raises(InputError) as error:
        conll.read_corpus(path)
    assert str(error.value) == (
        f"{path}:3: I-A after O is illegal in iob2; and "
        f"{path}:1: B-A after the sentence start is illegal in iob1; "
        "use one scheme per file, or read the labels as conlleval does: convert --repair"
    )


# --- Formats ---


@pytest.mark.parametrize(
    "row",
    ["Ada B-PER", "Ada NNP B-PER", "Ada NNP B-NP B-PER", "Ada Ada NNP B-NP B-PER"],
)
@pytest.mark.parametrize("separator", [" ", "   ", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", ""])
@pytest.mark.parametrize("bom", ["", "\ufeff"])
def test_conll_reads_columns_separators_line_endings_and_bom(
    tmp_path: Path, row: str, separator: str, end: str, bom: str
) -> None:
    path = write(tmp_path, bom + row.replace(" ", separator) + end)
    (document,) = conll.read_corpus(path).documents
    (sentence,) = document.sentences
    assert sentence.words == ["Ada"]
    assert sentence.mentions == [(0, 1, "PER")]
    assert sentence.pos == (["NNP"] if "NNP" in row else [""])
    assert sentence.chunks == (["B-NP"] if "B-NP" in row else [""])
    assert sentence.lemmas == (["Ada"] if row.startswith("Ada Ada") else [""])


@pytest.mark.parametrize(
    "line",
    [
        "-DOCSTART- -X- -X- O",
        "-DOCSTART- -X- O O",
        "-DOCSTART-",
        "-DOCSTART-\t(7)",
        " -DOCSTART- O",
    ],
)
def test_conll_reads_all_forms_of_document_start(tmp_path: Path, line: str) -> None:
    path = write(tmp_path, TINY.replace("-DOCSTART- -X- -X- O", line))
    corpus = conll.read_corpus(path)
    assert [len(document.sentences) for document in corpus.documents] == [2, 1]


def test_conll_document_start_needs_no_blank_line(tmp_path: Path) -> None:
    path = write(tmp_path, "a O\n-DOCSTART- O\nb O\n-DOCSTART- O\n\nc O\n")
    words = [d.sentences[0].words for d in conll.read_corpus(path).documents]
    assert words == [["a"], ["b"], ["c"]]


def test_conll_without_document_starts_each_sentence_is_a_document(tmp_path: Path) -> None:
    corpus = conll.read_corpus(write(tmp_path, "a O\nb O\n\nc O"))
    assert not corpus.has_docstarts
    assert [d.sentences[0].words for d in corpus.documents] == [["a", "b"], ["c"]]


def test_conll_counts_skipped_blocks(tmp_path: Path) -> None:
    path = write(tmp_path, "\n-DOCSTART- O\n\n-DOCSTART- O\n\na O\n\n\n\nb O\n\n\n\n")
    corpus = conll.read_corpus(path)
    assert corpus.empty_documents == 1
    assert corpus.empty_sentences == 2  # blank lines at the end don't count
    assert conll.count(corpus.documents) == {"documents": 1, "sentences": 2, "words": 2}


def test_conll_other_whitespace_belongs_to_the_word(tmp_path: Path) -> None:
    words = ["1\u00a0000", "a\u2028b", "x\x85y", "\u3000"]
    path = write(tmp_path, "\n".join(f"{word} O" for word in words))
    (document,) = conll.read_corpus(path).documents
    assert document.sentences[0].words == words


def test_conll_words_may_contain_spaces_between_tabs(tmp_path: Path) -> None:
    path = write(tmp_path, "New York\tB-LOC\n")
    (document,) = conll.read_corpus(path).documents
    assert document.sentences[0].words == ["New York"]
    with pytest.raises(InputError, match=r"can't write .*: a value contains whitespace"):
        conll.format_corpus([document])


def test_conll_very_long_word(tmp_path: Path) -> None:
    word = "x" * 100_000
    path = write(tmp_path, f"{word} B-PER")
    (document,) = conll.read_corpus(path).documents
    assert document.sentences[0].words == [word]


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("a O\nb\n", 2, "1 columns where the first row has 2: 'b'"),
        ("a\n", 1, "1 columns, not 2 to 10 with the label last"),
        ("a b c d e f g h i j k\n", 1, "11 columns, not 2 to 10"),
        ("a O\n\nb NNP O\n", 3, "3 columns where the first row has 2: 'b NNP O'"),
        ("\tNNP\tO\n", None, "contains no words"),
        ("a NN O\nb\tNN\t\n", 2, "2 columns where the first row has 3"),
        (b"a O\n\xe9t\xe9 O\n", 2, "byte 0xe9 is not UTF-8; --encoding cp1252 reads it"),
        ("", None, "contains no sentences"),
        ("-DOCSTART- -X- O O\n\n", None, "contains no sentences"),
    ],
)
def test_conll_row_errors_name_file_and_line(
    tmp_path: Path, text: str | bytes, line: int | None, words: str
) -> None:
    path = write(tmp_path, text)
    with pytest.raises(InputError) as error:
        conll.read_corpus(path)
    place = f"{path}:{line}: " if line else f"{path} "
    assert str(error.value).startswith(place)
    assert words in str(error.value)


# --- Round trip ---


def test_conll_format_is_canonical(tiny_file: Path) -> None:
    assert conll.format_corpus(conll.read_corpus(tiny_file).documents) == TINY


def test_conll_format_marks_missing_columns(tmp_path: Path) -> None:
    path = write(tmp_path, "Ada I-PER\r\nLee I-PER")
    text = conll.format_corpus(conll.read_corpus(path).documents, docstarts=False)
    assert text == "Ada _ _ B-PER\nLee _ _ I-PER"
    again = conll.read_corpus(write(tmp_path, text))
    assert again.documents[0].sentences[0].pos == ["", ""]


@given(
    st.lists(
        st.lists(
            st.text(
                st.characters(exclude_characters=" \t\r\n", exclude_categories=["Cs"]), min_size=1
            ).filter(lambda word: not word.startswith(("-DOCSTART-", "\ufeff"))),
            min_size=1,
            max_size=4,
        ),
        min_size=1,
        max_size=4,
    )
)
def test_conll_keeps_all_words(sentences: list[list[str]]) -> None:
    text = "\n\n".join("\n".join(f"{word} O" for word in words) for words in sentences)
    documents = rows.split_lines(text, "text").documents
    assert [[row[0] for row in b.rows] for d in documents for b in d] == sentences


@pytest.mark.parametrize("split", SPLITS)
def test_conll_sample_corpus_is_canonical(split: str) -> None:
    path = SAMPLE / f"{split}.txt"
    assert conll.format_corpus(conll.read_corpus(path).documents) == path.read_text("utf-8")


def test_conll_sample_corpus_is_large_and_varied_enough() -> None:
    least = {"train": 300, "valid": 60, "test": 60}
    for split, sentences in least.items():
        counts = conll.count(conll.read_corpus(SAMPLE / f"{split}.txt").documents)
        assert counts["sentences"] >= sentences
        assert counts["sentences"] >= 5 * counts["documents"]
        assert min(counts[type_] for type_ in ("PER", "LOC", "ORG", "MISC")) >= 30


def test_conll_sample_corpus_matches_its_readme() -> None:
    readme = (SAMPLE / "README.md").read_text("utf-8")
    for split in SPLITS:
        counts = conll.count(conll.read_corpus(SAMPLE / f"{split}.txt").documents)
        order = ("documents", "sentences", "words", "PER", "LOC", "ORG", "MISC")
        row = " | ".join(f"{counts[what]:,}" for what in order)
        assert f"| {split}.txt | {row} |" in readme


@pytest.mark.slow
@pytest.mark.skipif(not CONLL2003.is_dir(), reason="CoNLL-2003 is not available")
def test_conll_sample_corpus_contains_no_sentence_of_conll2003() -> None:
    """No whole sentence, and none of 12 words or more as part of a longer one."""

    def sentences(folder: Path) -> set[str]:
        return {
            " ".join(sentence.words)
            for split in SPLITS
            for document in conll.read_corpus(folder / f"{split}.txt").documents
            for sentence in document.sentences
            if len(sentence.words) > 2  # skip datelines and single names
        }

    ours, theirs = sentences(SAMPLE), sentences(CONLL2003)
    assert not ours & theirs
    text = "\n".join(ours)
    assert [part for part in theirs if part.count(" ") > 10 and part in text] == []
