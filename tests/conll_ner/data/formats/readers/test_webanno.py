"""INCEpTION's WebAnno TSV 3.3."""

from pathlib import Path

import pytest

from conll_ner.common.console import InputError
from tests.conll_ner.data.formats.support import labels, mentions, read

HEADER = "#FORMAT=WebAnno TSV 3.3\n"
LAYER = "#T_SP=de.tudarmstadt.ukp.dkpro.core.api.ner.type.NamedEntity|identifier|value\n"


def tsv(path: Path, rows: str, layers: str = LAYER) -> Path:
    file = path / "in.tsv"
    file.write_text(HEADER + layers + "\n\n" + rows, encoding="utf-8")
    return file


def test_words_sentences_and_mentions_are_read(tmp_path: Path) -> None:
    rows = (
        "#Text=Ada Lin left.\n1-1\t0-3\tAda\t*[1]\tPER[1]\t\n1-2\t4-7\tLin\t*[1]\tPER[1]\t\n"
        "1-3\t8-12\tleft\t_\t_\t\n1-4\t12-13\t.\t_\t_\t\n\n"
        "#Text=Oslo\n2-1\t14-18\tOslo\t_\tLOC\t\n"
    )
    name, (doc,), issues = read(tsv(tmp_path, rows))
    assert name == "webanno"
    assert doc.text == "Ada Lin left. Oslo"
    assert mentions(doc) == [("Ada Lin", "PER"), ("Oslo", "LOC")]
    assert [token.text for token in doc if token.is_sent_start] == ["Ada", "Oslo"]
    assert issues == []


def test_offsets_are_utf16(tmp_path: Path) -> None:
    rows = "1-1\t0-2\t😀\t_\t_\t\n1-2\t3-6\tAda\t_\tPER\t\n"
    rows += "1-3\t7-9\t😀\t_\t_\t\n1-4\t10-14\tOslo\t_\tLOC\t\n"
    _, (doc,), _ = read(tsv(tmp_path, rows))
    assert doc.text == "😀 Ada 😀 Oslo"
    assert mentions(doc) == [("Ada", "PER"), ("Oslo", "LOC")]


def test_of_stacked_mentions_the_longest_is_kept(tmp_path: Path) -> None:
    rows = "1-1\t0-3\tAda\t*[1]|*[2]\tPER[1]|ORG[2]\t\n1-2\t4-7\tLin\t*[2]\tORG[2]\t\n"
    _, (doc,), issues = read(tsv(tmp_path, rows))
    assert mentions(doc) == [("Ada Lin", "ORG")]
    assert [issue.reason for issue in issues] == ["overlaps with ORG: Ada Lin"]


def test_mentions_without_a_value_are_listed(tmp_path: Path) -> None:
    _, (doc,), issues = read(tsv(tmp_path, "1-1\t0-3\tAda\t*\t*\t\n1-2\t4-8\tleft\t_\t_\t\n"))
    assert labels(doc) == ["?", "O"]
    assert [(issue.reason, issue.text) for issue in issues] == [("without a value", "Ada")]


def test_a_mention_of_a_part_of_a_word_is_listed(tmp_path: Path) -> None:
    rows = "1-1\t0-8\tOslobook\t_\t_\t\n1-1.1\t0-4\tOslo\t_\tLOC\t\n1-2\t9-13\tleft\t_\t_\t\n"
    _, (doc,), issues = read(tsv(tmp_path, rows))
    assert labels(doc) == ["?", "O"]
    assert [(i.reason, i.text) for i in issues] == [("its edges are within words", "Oslo")]


def test_special_characters_are_escaped(tmp_path: Path) -> None:
    rows = "1-1\t0-3\tA\\_B\t_\tX\\[1\\]\\|Y\t\n1-2\t4-6\t\\->\t_\t_\t\n"
    rows += "1-3\t7-10\tx\\fy\t_\t\\*\t\n"
    _, (doc,), issues = read(tsv(tmp_path, rows))
    assert [token.text for token in doc] == ["A_B", "->", "x\fy"]
    assert mentions(doc) == [("A_B", "X[1]|Y"), ("x\fy", "*")]
    assert issues == []


def test_other_layers_are_passed_over(tmp_path: Path) -> None:
    layers = (
        "#T_SP=webanno.custom.Pos|tag\n"
        + LAYER
        + "#T_RL=webanno.custom.Rel|label|BT_webanno.custom.Pos\n"
    )
    rows = "1-1\t0-3\tAda\tNNP\t*\tPER\t_\t_\t\n"
    _, (doc,), _ = read(tsv(tmp_path, rows, layers))
    assert mentions(doc) == [("Ada", "PER")]


POS = "#T_SP=de.tudarmstadt.ukp.dkpro.core.api.lexmorph.type.pos.POS|coarseValue|PosValue\n"
CUSTOM = "#T_SP=webanno.custom.Sure|certainty|kind\n"


def test_other_layers_are_read_by_name_only(tmp_path: Path) -> None:
    path = tsv(tmp_path, "1-1\t0-3\tAda\tNOUN\tNNP\tunsure\tPER\t\n", POS + CUSTOM)
    for options, words in (
        ({}, r"no layer NamedEntity, but POS \(coarseValue\), .* Sure \(kind\); .*--layer"),
        ({"layer": "Sure"}, r"name a feature of Sure with --feature: Sure \(certainty\), Sure \(k"),
        ({"layer": "Sure", "feature": "x"}, "name a feature of Sure"),
    ):
        with pytest.raises(InputError, match=words):
            read(path, **options)
    _, (doc,), _ = read(path, layer="webanno.custom.Sure", feature="kind")
    assert mentions(doc) == [("Ada", "PER")]
    _, (doc,), _ = read(path, layer="NamedEntity")
    assert labels(doc) == ["O"]


def test_a_layer_of_one_feature_is_read_by_its_name(tmp_path: Path) -> None:
    rows = "1-1\t0-3\tAda\tPER\t\n"
    _, (doc,), _ = read(tsv(tmp_path, rows, "#T_SP=webanno.custom.Mine|kind\n"), layer="Mine")
    assert mentions(doc) == [("Ada", "PER")]


def test_a_document_without_spans_has_no_mentions(tmp_path: Path) -> None:
    _, (doc,), issues = read(tsv(tmp_path, "1-1\t0-3\tAda\t\n", ""))
    assert (labels(doc), issues) == (["O"], [])


@pytest.mark.parametrize(
    ("rows", "layers", "words"),
    [
        (
            "1-1\t0-3\tAda\tPER\tx\t\n",
            "#T_SP=a.A|x\n#T_SP=b.B|y\n",
            "no layer NamedEntity, but A (x), B (y); name one with --layer",
        ),
        ("1-1\t0-3\tAda\n", LAYER, "in.tsv:5: no word: '1-1"),
        ("1-1\tx\tAda\t_\t_\t\n", LAYER, "in.tsv:5: no word: '1-1"),
        ("1-1\t0-9\tAda\t_\t_\t\n", LAYER, "in.tsv:5: 'Ada' doesn't fit its offsets 0-9"),
        (
            "1-1\t0-3\tAda\t_\t_\t\n1-2\t2-5\tLin\t_\t_\t\n",
            LAYER,
            "in.tsv:6: 'Lin' doesn't fit its offsets 2-5",
        ),
    ],
)
def test_a_broken_file_is_one_line(rows: str, layers: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        read(tsv(tmp_path, rows, layers))
    assert words in str(error.value)


@pytest.mark.parametrize("zeros", [6, 9, 18, 5000])
def test_offsets_beyond_the_file_are_one_line(zeros: int, tmp_path: Path) -> None:
    """Text between words becomes as many spaces: 10**9 of them took seconds and gigabytes."""
    start = "1" + "0" * zeros
    row = f"1-1\t{start}-{start[:-1]}3\tAda\t_\tPER\t\n"
    with pytest.raises(InputError, match=r"in.tsv:5: ('Ada' doesn't fit its offsets|no word)") as e:
        read(tsv(tmp_path, row))
    assert len(str(e.value)) < 300


def test_gaps_of_blank_lines_are_kept(tmp_path: Path) -> None:
    _, (doc,), _ = read(tsv(tmp_path, "1-1\t0-3\tAda\t_\tPER\t\n\n2-1\t90-94\tleft\t_\t_\t\n"))
    assert doc.text == "Ada" + " " * 87 + "left"
