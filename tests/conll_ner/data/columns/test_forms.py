"""Invented twins of the forms of public column files, each as its own corpus has it."""

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conll_ner.common.console import InputError
from conll_ner.data.columns.conll import Corpus, format_corpus, read_corpus
from conll_ner.data.columns.schemes import SCHEMES, decode_mentions, encode_mentions
from conll_ner.data.columns.selection import Columns
from conll_ner.data.mentions import Mention

PER_LOC = [("Ada Lin", "PER"), ("Oslo", "LOC")]
FORMS: dict[str, tuple[str, Columns | str | None]] = {
    "WikiNEuRal": ("0\tAda\tB-PER\n1\tLin\tI-PER\n2\tleft\tO\n3\tOslo\tB-LOC\n", Columns(word=2)),
    "Few-NERD": ("Ada\tperson-actor\nLin\tperson-actor\nleft\tO\nOslo\tlocation-GPE\n", "io"),
    "WNUT-17": ("Ada\tB-PER\nLin\tI-PER\nleft\tO\nOslo\tB-LOC\n\t\n", None),
    "MIT restaurant": ("B-PER\tAda\nI-PER\tLin\nO\tleft\nB-LOC\tOslo\n", Columns(2, 1)),
    "JNLPBA": (
        "-DOCSTART-\t-X-\t-X-\tO\n\nAda\tNN\tO\tB-PER\nLin\tNN\tO\tI-PER\nOslo\tNN\tO\tB-LOC\n",
        None,
    ),
    "BC5CDR": ("Ada\t-\t-\tB-PER\nLin\t-\t-\tI-PER\nOslo\t-\t-\tB-LOC\n", None),
    "NCBI": ("Ada B-PER\nLin I-PER\n, O\nOslo B-LOC\n", None),
    "CrossNER": ("Ada\tB-PER\nLin\tI-PER\nOslo\tB-LOC\n\n\n", None),
    "LeNER-Br": ("Ada B-PER\nLin I-PER\n§ O\nOslo B-LOC\n", None),
    "MSRA": ("Ada\tB-PER\nLin\tE-PER\n去\tO\nOslo\tS-LOC\n", None),
    "Resume": ("Ada B-PER\nx M-PER\nLin E-PER\nOslo S-LOC\n", None),
    "Weibo": ("Ada0\tB-PER\nLin1\tI-PER\n，0\tO\nOslo0\tB-LOC\n", None),
    "Turku": ("Ada\tB-PER\nLin\tI-PER\n.\tO\nOslo\tB-LOC\n", None),
    "German LER": ("Ada B-PER\r\nLin I-PER\r\n. O\r\nOslo B-LOC\r\n", None),
    "WikiGold": ("Ada I-PER\nLin I-PER\n. O\nOslo I-LOC\n", None),
    "MultiCoNER": ("# id 1\tdomain=en\nAda _ _ B-PER\nLin _ _ I-PER\nOslo _ _ B-LOC\n", None),
    "UNER": (
        "# text = Ada\n1\tAda\tB-PER\t-\t-\n2\tLin\tI-PER\t-\t-\n3\tOslo\tB-LOC\t-\t-\n",
        Columns(2, 3),
    ),
    "HIPE": (
        "TOKEN\tNE-COARSE-LIT\tNE-FINE-LIT\tMISC\n# hipe2022:date = 1900\n"
        "Ada\tB-PER\tB-pers.ind\t_\nLin\tI-PER\tI-pers.ind\t_\nOslo\tB-LOC\tO\tNoSpaceAfter\n",
        None,
    ),
    "CoNLL-2002": ("Ada NP B-PER\nLin NP I-PER\n. Fp O\nOslo NC B-LOC\n", None),
}


def parse(folder: Path, text: str, how: Columns | str | None, name: str = "in.txt") -> Corpus:
    path = folder / name
    path.write_bytes(text.encode())
    columns = how if isinstance(how, Columns) else Columns()
    return read_corpus(path, how if isinstance(how, str) else "auto", columns)


def found(corpus: Corpus) -> list[tuple[str, str]]:
    return [
        (" ".join(sentence.words[start:end]), type_)
        for document in corpus.documents
        for sentence in document.sentences
        for start, end, type_ in sentence.mentions
    ]


@pytest.mark.parametrize("form", FORMS)
def test_forms_of_public_corpora_are_read(form: str, tmp_path: Path) -> None:
    mentions = found(parse(tmp_path, *FORMS[form]))
    if form == "Few-NERD":
        assert mentions == [("Ada Lin", "person-actor"), ("Oslo", "location-GPE")]
    elif form in ("Weibo", "Resume"):
        assert [type_ for _, type_ in mentions] == ["PER", "LOC"]
    else:
        assert mentions == PER_LOC


KAGGLE = (
    "Sentence #,Word,POS,Tag\n"
    'Sentence: 1,Ada,NNP,B-per\n,Lin,NNP,I-per\n,",",",",O\n,"""",``,O\n'
    "Sentence: 2,Oslo,NNP,B-geo\n"
)


def test_kaggles_csv_is_read(tmp_path: Path) -> None:
    corpus = parse(tmp_path, KAGGLE, None, "ner_dataset.csv")
    words = [sentence.words for document in corpus.documents for sentence in document.sentences]
    assert words == [["Ada", "Lin", ",", '"'], ["Oslo"]]
    assert found(corpus) == [("Ada Lin", "per"), ("Oslo", "geo")]


def test_sentences_of_csv_can_be_named_in_every_row(tmp_path: Path) -> None:
    text = ",sentence_id,words,labels\n0,7,Ada,B-PER\n1,7,Lin,I-PER\n2,8,Oslo,B-LOC\n"
    corpus = parse(tmp_path, text, None, "in.csv")
    assert [s.words for d in corpus.documents for s in d.sentences] == [["Ada", "Lin"], ["Oslo"]]
    assert found(corpus) == PER_LOC


def test_other_whitespace_in_csv_belongs_to_the_word(tmp_path: Path) -> None:
    corpus = parse(tmp_path, "word,tag\n Ada , B-PER\n\u00a0,O\n", None, "in.csv")
    assert corpus.documents[0].sentences[0].words == ["Ada", "\u00a0"]


def test_csv_with_named_columns_can_have_many(tmp_path: Path) -> None:
    others = ",".join(f"x{i}" for i in range(20))
    text = f"{others},word,tag\n{others},Ada,B-PER\n"
    assert found(parse(tmp_path, text, None, "in.csv")) == [("Ada", "PER")]
    with pytest.raises(InputError, match=r"in\.csv:1: 22 columns, not 2 to 10"):
        parse(tmp_path, text.replace("word", "y"), None, "in.csv")


def test_csv_without_names_is_read_by_numbers(tmp_path: Path) -> None:
    corpus = parse(tmp_path, "x,Ada,B-PER\ny,Lin,I-PER\n\nz,Oslo,B-LOC\n", Columns(2, 3), "in.csv")
    assert found(corpus) == PER_LOC


def test_csv_in_another_encoding(tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    path.write_bytes("word,tag\nZoë,B-PER\n".encode("cp1252"))
    with pytest.raises(InputError, match=r"in\.csv:2: byte 0xeb is not UTF-8; --encoding cp1252"):
        read_corpus(path)
    assert found(read_corpus(path, encoding="cp1252")) == [("Zoë", "PER")]
    with pytest.raises(InputError, match="--encoding latin-99: no such encoding"):
        read_corpus(path, encoding="latin-99")


def test_blank_lines_of_csv_end_sentences(tmp_path: Path) -> None:
    corpus = parse(tmp_path, "token,ner\nAda,B-PER\n\nOslo,B-LOC\n", None, "in.csv")
    assert len(corpus.documents) == 2


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('word,tag\n"Ada,B-PER\nOslo,O\n', "in.csv:"),
        ("word,tag\nAda,B-PER,x\n", "in.csv:2: 3 columns where the first row has 2"),
        ("word,tag\n,B-PER\n", "in.csv contains no words"),
        ("word,tag\n", "in.csv has no rows but the names of its columns"),
        ("word\nAda\n", "in.csv:1: 1 columns, not 2 to 10"),
        ("", "in.csv contains no sentences"),
        ("Ada,B-PER\n", "in.csv:1: this row doesn't name the columns"),
    ],
)
def test_broken_csv_is_one_line(text: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        parse(tmp_path, text, None, "in.csv")
    assert words in str(error.value)
    assert len(str(error.value).splitlines()) == 1


def test_columns_can_be_named(tmp_path: Path) -> None:
    text = "TOKEN\tNE-COARSE-LIT\tNE-FINE-LIT\nAda\tB-PER\tB-pers.ind\n"
    assert found(parse(tmp_path, text, Columns(label="ne-fine-lit"))) == [("Ada", "pers.ind")]
    with pytest.raises(InputError, match="--label-column POS: the file has 3 columns named token,"):
        parse(tmp_path, text, Columns(label="POS"))


def test_a_word_in_the_first_row_is_no_name(tmp_path: Path) -> None:
    corpus = parse(tmp_path, "token O\nAda B-PER\n", None)
    assert corpus.documents[0].sentences[0].words == ["token", "Ada"]


def test_unknown_labels_stay_unknown(tmp_path: Path) -> None:
    text = "Ada _ _ B-PER\nleft _ _ -\nOslo _ _ O"
    corpus = parse(tmp_path, text, None)
    (sentence,) = corpus.documents[0].sentences
    assert sentence.unknown == (1,)
    assert format_corpus(corpus.documents, docstarts=False) == text


@pytest.mark.parametrize("name", ["utf-16-le", "utf-16-be"])
def test_utf16_without_a_byte_order_mark_is_named(name: str, tmp_path: Path) -> None:
    path = tmp_path / "in.txt"
    path.write_bytes("Ada B-PER\nleft O\n".encode(name))
    with pytest.raises(InputError, match=rf"in\.txt:1: NUL .* --encoding {name}$"):
        read_corpus(path)
    assert found(read_corpus(path, encoding=name)) == [("Ada", "PER")]


@pytest.mark.parametrize("type_", ["O", "-"])
def test_io_refuses_types_that_would_be_lost(type_: str) -> None:
    with pytest.raises(InputError, match="IO can't write the type"):
        encode_mentions(1, [Mention(0, 1, type_)], "io")


@st.composite
def sentences(draw: st.DrawFn) -> tuple[int, list[Mention]]:
    mentions, end = [], 0
    for gap, length, type_ in draw(
        st.lists(
            st.tuples(st.integers(0, 2), st.integers(1, 3), st.sampled_from(["A", "B-C"])),
            max_size=4,
        )
    ):
        mentions.append(Mention(end + gap, end + gap + length, type_))
        end += gap + length
    return end + draw(st.integers(0, 2)), mentions


@pytest.mark.parametrize("scheme", SCHEMES)
@given(sentence=sentences())
def test_every_scheme_is_read_as_it_is_written(
    scheme: str, sentence: tuple[int, list[Mention]]
) -> None:
    length, mentions = sentence
    adjacent = any(a.end == b.start and a.label == b.label for a, b in pairwise(mentions))
    if scheme == "io" and adjacent:
        with pytest.raises(InputError, match="IO can't separate"):
            encode_mentions(length, mentions, scheme)
        return
    assert decode_mentions(encode_mentions(length, mentions, scheme), scheme) == mentions


@pytest.mark.parametrize("prefix", ["pt:", "zh-min-nan:"])
def test_wikianns_prefixes_are_no_part_of_the_words(prefix: str, tmp_path: Path) -> None:
    text = f"{prefix}Ada\tB-PER\n{prefix}Lin\tI-PER\n{prefix}:\tO\n\n{prefix}Oslo\tB-LOC\n"
    corpus = parse(tmp_path, text, None)
    assert [s.words for d in corpus.documents for s in d.sentences] == [
        ["Ada", "Lin", ":"],
        ["Oslo"],
    ]
    assert found(corpus) == PER_LOC


def test_words_of_which_only_some_have_a_prefix_are_kept(tmp_path: Path) -> None:
    corpus = parse(tmp_path, "re:Ada O\nre: O\nOslo B-LOC\n", None)
    assert corpus.documents[0].sentences[0].words == ["re:Ada", "re:", "Oslo"]


def test_blank_words_are_spaces_between_characters(tmp_path: Path) -> None:
    """As in KLUE-NER."""
    text = "## id\tAda Lin\nA\tB-PER\n \tI-PER\nL\tI-PER\n \tO\nO\tB-LOC\n"
    corpus = parse(tmp_path, text, None)
    (sentence,) = corpus.documents[0].sentences
    assert sentence.words == ["A", "L", "O"]
    assert found(corpus) == [("A L", "PER"), ("O", "LOC")]
    assert corpus.blank_words == 2


@pytest.mark.parametrize(
    "spelling", ["b-PER", "PER-B", "B_PER", "b_PER"], ids=["lower", "after", "underscore", "both"]
)
def test_other_spellings_of_prefixes_are_read(spelling: str, tmp_path: Path) -> None:
    def spell(prefix: str, type_: str) -> str:
        prefix = prefix.lower() if "b" in spelling else prefix
        parts = (type_, prefix) if spelling.endswith("B") else (prefix, type_)
        return ("_" if "_" in spelling else "-").join(parts)

    outside = "o" if "b" in spelling else "O"
    text = f"Ada {spell('B', 'PER')}\nLin {spell('I', 'PER')}\nleft {outside}\n"
    assert found(parse(tmp_path, f"{text}Oslo {spell('B', 'LOC')}\n", None)) == PER_LOC


@pytest.mark.parametrize("scheme", ["auto", "io"])
@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("B-PER Ada\nO left\nB-LOC Oslo\n", "--word-column 2 --label-column 1"),
        ("Ada\tname=B-PER\nleft\tSpaceAfter=No\n", "these are features"),
        ("word,tag\nAda left,\"['B-PER', 'O']\"\n", "a cell holds a list"),
        ("Ada NNP\nleft VBD\nOslo NNP\n", "the column holds no labels"),
    ],
)
def test_what_is_no_type_is_not_read_by_scheme_io(
    text: str, advice: str, scheme: str, tmp_path: Path
) -> None:
    name = "in.csv" if text.startswith("word,") else "in.txt"
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=advice) as error:
        read_corpus(tmp_path / name, scheme)
    assert "--scheme io" not in str(error.value)
    assert len(str(error.value).splitlines()) == 1


def test_labels_with_prefixes_are_no_types(tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("Ada B-PER\nleft O\n")
    with pytest.raises(InputError, match="leave out --scheme io"):
        read_corpus(tmp_path / "in.txt", "io")


def test_labels_before_words_are_read_by_number(tmp_path: Path) -> None:
    text = "B-PER Ada\nI-PER Lin\nO left\nB-LOC Oslo\n"
    assert found(parse(tmp_path, text, Columns(2, 1))) == PER_LOC


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_csv_can_have_other_delimiters(delimiter: str, tmp_path: Path) -> None:
    text = "word,tag\nAda,B-PER\nLin,I-PER\n\nOslo,B-LOC\n".replace(",", delimiter)
    assert found(parse(tmp_path, text, None, "in.csv")) == PER_LOC
