"""Column files as public corpora have them, in invented twins: read rightly, or refused."""

from pathlib import Path

import pytest
import seqeval.metrics.sequence_labeling
from hypothesis import given
from hypothesis import strategies as st

from conll_ner.common.console import InputError
from conll_ner.data.columns.conll import Corpus, read_corpus
from conll_ner.data.columns.schemes import decode_mentions, find_illegal
from conll_ner.data.columns.selection import Columns
from tests.conll_ner.data.test_convert import run


def read(folder: Path, text: str, **options: object) -> Corpus:
    path = folder / "in.txt"
    path.write_text(text, encoding="utf-8")
    return read_corpus(path, **options)  # type: ignore[arg-type]


def mentions(corpus: Corpus) -> list[tuple[str, str]]:
    """RETURNS: Text and type of each mention."""
    return [
        (" ".join(sentence.words[start:end]), type_)
        for document in corpus.documents
        for sentence in document.sentences
        for start, end, type_ in sentence.mentions
    ]


GERMEVAL = """\
#\thttp://example.org/1 [2009-10-17]
1\tAda\tB-PER\tO
2\tleft\tO\tO
3\tNorden\tB-ORG\tB-LOC
4\tBank\tI-ORG\tO

#\thttp://example.org/2 [2009-10-17]
1\tVarnholm\tB-LOC\tO
2\t#\tO\tO
"""
STACKOVERFLOW = "the O the O\nlist B-Class list B-Code\nsorts O sorts O\n"
MULTICONER = "# id 5a1c\tdomain=en\nada _ _ B-PER\nleft _ _ O\n\n# id 77\tdomain=en\n# _ _ O\n"
CONLLU = "# sent_id = 1\n# text = Ada left\nAda\tPROPN\tB-PER\nleft\tVERB\tO\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (GERMEVAL, "column 1 counts the words; .* --word-column 2"),
        ("Ada B-PER O\nleft O O\nNorden B-ORG B-LOC\n", r"column holds labels \(2, 3\); .* 2$"),
        (STACKOVERFLOW, r"more than one column holds labels \(2, 4\)"),
        ("Ada B-PER x\nleft O y\n", "the last column holds no labels, but column 2 does"),
        ("WORT NE-NEU\nAda B-PER\nleft O\n", "in.txt:1: 'NE-NEU' is no label, and all others are"),
        ("Ada PER\nleft O\n", "--scheme io"),
    ],
)
def test_what_could_be_read_wrongly_is_refused(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(InputError, match=words) as error:
        read(tmp_path, text)
    assert len(str(error.value).splitlines()) == 1


def test_named_columns_are_read(tmp_path: Path) -> None:
    outer = read(tmp_path, GERMEVAL, columns=Columns(word=2, label=3))
    assert mentions(outer) == [("Ada", "PER"), ("Norden Bank", "ORG"), ("Varnholm", "LOC")]
    assert outer.documents[1].sentences[0].words == ["Varnholm", "#"]
    assert outer.comments == 2
    nested = read(tmp_path, GERMEVAL, columns=Columns(word=2, label=4))
    assert mentions(nested) == [("Norden", "LOC")]
    assert mentions(read(tmp_path, STACKOVERFLOW, columns=Columns(label=2))) == [("list", "Class")]


@pytest.mark.parametrize("columns", [Columns(label=5), Columns(word=0), Columns(word=4)])
def test_columns_that_do_not_exist_are_an_error(tmp_path: Path, columns: Columns) -> None:
    with pytest.raises(InputError, match=r"column (0|5): the file has 4|can't hold both"):
        read(tmp_path, GERMEVAL, columns=columns)


def test_chunks_are_no_second_column_of_labels(tmp_path: Path) -> None:
    corpus = read(tmp_path, "Ada NNP B-NP B-PER\nleft VBD B-VP O\n")
    assert mentions(corpus) == [("Ada", "PER")]
    assert corpus.documents[0].sentences[0].chunks == ["B-NP", "B-VP"]


def test_numbers_in_the_first_column_can_be_words(tmp_path: Path) -> None:
    assert mentions(read(tmp_path, "1 O\n2 O\nAda B-PER\n")) == [("Ada", "PER")]


@pytest.mark.parametrize(("text", "n"), [(MULTICONER, 2), (CONLLU, 2)])
def test_comments_are_skipped_and_a_hash_stays_a_word(tmp_path: Path, text: str, n: int) -> None:
    corpus = read(tmp_path, text)
    assert corpus.comments == n
    assert mentions(corpus) in ([("ada", "PER")], [("Ada", "PER")])
    last = corpus.documents[-1].sentences[-1].words
    assert last == (["#"] if text == MULTICONER else ["Ada", "left"])


def test_words_that_begin_with_a_hash_are_no_comments(tmp_path: Path) -> None:
    corpus = read(tmp_path, "# O\n#a=b O\n#Oslo B-LOC\n")
    assert corpus.documents[0].sentences[0].words == ["#", "#a=b", "#Oslo"]
    assert corpus.comments == 0


def test_ten_columns_are_read_and_eleven_refused(tmp_path: Path) -> None:
    assert mentions(read(tmp_path, f"Ada {'x ' * 8}B-PER\n")) == [("Ada", "PER")]
    with pytest.raises(InputError, match="11 columns, not 2 to 10"):
        read(tmp_path, f"Ada {'x ' * 9}B-PER\n")


def test_types_without_prefix_are_read_by_scheme_io(tmp_path: Path) -> None:
    corpus = read(tmp_path, "Ada PER\nLee PER\nleft O\nOslo LOC\n", scheme="io")
    assert mentions(corpus) == [("Ada Lee", "PER"), ("Oslo", "LOC")]


LABELS = st.lists(
    st.sampled_from(["O", *(f"{p}-{t}" for p in "BIES" for t in "XY")]), min_size=1, max_size=8
)


@given(labels=LABELS)
def test_repaired_labels_are_those_of_conlleval(labels: list[str]) -> None:
    """As seqeval's default mode, which imitates conlleval, reads them."""
    found = seqeval.metrics.sequence_labeling.get_entities(labels)
    expected = [(start, end + 1, type_) for type_, start, end in found]
    assert decode_mentions(labels, "iobes", repair=True) == expected


@given(labels=LABELS)
def test_legal_labels_are_not_repaired(labels: list[str]) -> None:
    if not find_illegal(labels, "iobes"):
        strict = decode_mentions(labels, "iobes")
        assert decode_mentions(labels, "iobes", repair=True) == strict


def test_repair_lists_what_it_changed(tmp_path: Path) -> None:
    path = tmp_path / "in.txt"
    path.write_text("Ada B-PER\nleft O\nOslo I-LOC\n\nand I-X\n\nAda B-PER\n\nAda B-PER\n")
    result = run(path, tmp_path / "out.spacy")
    assert result.exit_code == 1
    assert "convert --repair" in result.stderr
    result = run(path, tmp_path / "out.spacy", "--repair")
    assert result.exit_code == 0
    printed = " ".join((result.stdout + result.stderr).split())
    assert "2 illegal labels read as conlleval does: line 3: I-LOC; line 5: I-X" in printed


def test_a_file_without_mentions_is_a_warning(tmp_path: Path) -> None:
    path = tmp_path / "in.txt"
    path.write_text("Ada O\nleft O\n")
    result = run(path, tmp_path / "out.spacy")
    assert result.exit_code == 0
    assert "has no mention" in " ".join((result.stdout + result.stderr).split())
