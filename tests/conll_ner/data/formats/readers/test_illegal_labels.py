"""One illegal label leaves out its sentence; many of them are an error of the file: for all formats
with a label for each word."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conll_ner.common.console import InputError
from conll_ner.data.columns.decoding import decode_blocks
from conll_ner.data.columns.rows import Block
from conll_ner.data.columns.schemes import encode_iob2
from tests.conll_ner.data.formats.support import mentions, read, read_all
from tests.conll_ner.data.test_converting import docs, run

Sentences = Sequence[Sequence[str]]  # the labels of each
WORDS = ["Ada", "Lin", "left"]
GOOD = ["B-PER", "I-PER", "O"]


def columns(sentences: Sentences) -> str:
    lines = [[f"{w} {t}" for w, t in zip(WORDS, tags, strict=True)] for tags in sentences]
    return "\n\n".join(map("\n".join, lines)) + "\n"


def conllu(sentences: Sentences) -> str:
    def row(i: int, word: str, tag: str) -> str:
        return "\t".join([str(i), word, *["_"] * 7, f"name={tag}"])

    lines = [
        [row(i, w, t) for i, (w, t) in enumerate(zip(WORDS, tags, strict=True), start=1)]
        for tags in sentences
    ]
    return "\n\n".join(map("\n".join, lines)) + "\n"


def piped(sentences: Sentences) -> str:
    lines = (" ".join(map("|".join, zip(WORDS, tags, strict=True))) for tags in sentences)
    return "\n".join(lines) + "\n"


def huggingface(sentences: Sentences) -> str:
    return "".join(json.dumps({"tokens": WORDS, "ner_tags": tags}) + "\n" for tags in sentences)


@pytest.mark.parametrize(
    ("write", "name", "place"),
    [
        (columns, "in.txt", "in.txt:6"),
        (conllu, "in.conllu", "in.conllu:5, word 2"),
        (piped, "in.iob", "in.iob:2, word 2"),
        (huggingface, "in.jsonl", "in.jsonl:2, word 2"),
    ],
)
def test_a_sentence_with_an_illegal_label_is_an_issue(
    write: Callable[[Sentences], str], name: str, place: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_text(write([GOOD, ["O", "I-PER", "O"], GOOD]))
    _, found, (issue,) = read_all([path], strict=False)
    assert [mentions(doc) for doc in found] == [[("Ada Lin", "PER")]] * 2
    assert issue.record == str(tmp_path / place)
    assert issue.reason == (
        "I-PER after O is illegal in iob2; read the labels as conlleval does: convert --repair"
    )
    assert issue.unreadable
    with pytest.raises(InputError, match="I-PER after O is illegal"):
        read(path)  # --strict
    repaired = [mentions(doc) for doc in read(path, repair=True)[1]]
    assert repaired == [[("Ada Lin", "PER")], [("Lin", "PER")], [("Ada Lin", "PER")]]


@pytest.mark.parametrize(
    ("scheme", "sentences", "reason"),
    [
        ("auto", [GOOD, ["O", "Q-PER", "O"], GOOD], "label 'Q-PER' fits no scheme"),
        ("auto", [GOOD, ["O", "PER", "O"], GOOD], "label 'PER' fits no scheme"),
        ("iob2", [GOOD, ["O", "I-PER", "O"], GOOD], "I-PER after O is illegal in iob2"),
        ("iob1", [["I-A", "B-A", "O"], ["O", "B-A", "O"], ["I-A", "O", "O"]], "B-A after O"),
        ("auto", [["U-A", "O", "O"], ["O", "B-A", "O"], ["O", "L-A", "O"], ["U-A"] * 3] * 2, ""),
    ],
)
def test_labels_that_are_none_and_explicit_schemes(
    scheme: str, sentences: Sentences, reason: str, tmp_path: Path
) -> None:
    path = tmp_path / "in.txt"
    path.write_text(columns(sentences))
    if not reason:  # half of the sentences are illegal
        with pytest.raises(InputError, match=r"in\.txt:7: O after B-A is illegal in bilou; and"):
            read(path, scheme=scheme)
        return
    _, found, (issue,) = read_all([path], strict=False, scheme=scheme)
    assert len(found) == 2
    assert reason in issue.reason


def test_sentences_without_mentions_do_not_make_a_majority(tmp_path: Path) -> None:
    """Types without prefix: all mentions would be missing, and the rest would be gold."""
    path = tmp_path / "in.txt"
    path.write_text(columns([["O"] * 3] * 20 + [["PER", "PER", "O"]]))
    with pytest.raises(InputError, match=r"in\.txt:81: label 'PER' .*convert --scheme io"):
        read(path)


def test_a_small_file_in_another_spelling_is_read(tmp_path: Path) -> None:
    path = tmp_path / "in.txt"
    path.write_text("Ada PER-B\nleft O\n")
    assert mentions(read(path)[1][0]) == [("Ada", "PER")]


@given(
    lengths=st.lists(st.integers(1, 4), min_size=3, max_size=8),
    broken=st.integers(0, 7),
    label=st.sampled_from(["I-LOC", "Q", "S-PER X"]),
)
def test_the_other_sentences_stay_the_same(lengths: list[int], broken: int, label: str) -> None:
    """Whichever sentence gets an illegal label."""
    sentences = [encode_iob2(n + 1, [(0, n, "PER")]) for n in lengths]  # type: ignore[list-item]
    broken %= len(sentences)
    sentences[broken][-1] = label
    blocks = [Block(5 * i, [["w", t] for t in tags]) for i, tags in enumerate(sentences)]
    scheme, found, _ = decode_blocks(blocks, "auto", "in.txt", repair=False)
    assert scheme == "iob2"
    expected = [[(0, n, "PER")] if i != broken else [] for i, n in enumerate(lengths)]
    assert found == expected
    assert [bool(block.problem) for block in blocks] == [i == broken for i in range(len(blocks))]


def test_convert_reads_the_rest_and_exits_with_3(tmp_path: Path) -> None:
    source, target = tmp_path / "in.txt", tmp_path / "out.spacy"
    source.write_text(columns([GOOD, ["O", "I-PER", "O"], GOOD]))
    result = run(source, target)
    assert result.exit_code == 3
    assert len(docs(target)) == 2
    assert "in.txt:6" in (tmp_path / "out.spacy.issues.jsonl").read_text()
    target.unlink()
    assert run(source, target, "--strict").exit_code == 1
    assert not target.exists()
