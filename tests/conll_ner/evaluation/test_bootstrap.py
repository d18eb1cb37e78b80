"""Confidence intervals and the paired bootstrap, in cases with known results."""

import json
from pathlib import Path

import numpy
import pytest
import spacy
import typer
from hypothesis import given
from hypothesis import strategies as st
from spacy.tokens import Doc
from typer.testing import CliRunner

from conll_ner.common.console import InputError
from conll_ner.evaluation import compare
from conll_ner.evaluation.bootstrap import (
    count_by_document,
    f1_interval,
    f1_score,
    paired_bootstrap,
)

VOCAB = spacy.blank("en").vocab


def doc(labels: str) -> Doc:
    return Doc(VOCAB, words=["w"] * len(labels.split()), ents=labels.split())


def f1_of(rows: list[list[int]]) -> float:
    right, predicted, gold = zip(*rows, strict=True)
    return float(f1_score(right, predicted, gold))


def test_counts_by_hand() -> None:
    gold = [doc("B-A I-A O B-B"), doc("O"), doc("B-A O")]
    predicted = [doc("B-A I-A O B-A"), doc("B-A"), doc("O O")]
    assert count_by_document(gold, predicted) == [[1, 2, 2], [0, 1, 0], [0, 0, 1]]


def test_f1_by_hand() -> None:
    # 3 correct, 4 predicted and 6 gold mentions: precision 3/4, recall 1/2, F1 0.6.
    assert f1_score([1, 2], [2, 2], [3, 3]) == pytest.approx(0.6)
    assert f1_score([0], [0], [0]) == 0


def test_interval_of_two_documents_covers_their_four_samples() -> None:
    """One document is correct and one wrong. Of the four samples, F1 is 0 in one, 0.5 in two, 1 in
    one."""
    assert f1_interval([[1, 1, 1], [0, 1, 1]]) == [0.0, 1.0]
    assert f1_interval([[1, 1, 1], [1, 1, 1]]) == [1.0, 1.0]
    assert f1_interval([[1, 1, 1]]) is None


def test_interval_is_near_the_normal_approximation() -> None:
    """With one gold and one predicted mention per document, F1 is the share of correct documents.
    Its interval is about 1.96 standard errors on both sides."""
    random = numpy.random.default_rng(0)
    right = random.random(2000) < 0.8
    interval = f1_interval([[int(r), 1, 1] for r in right])
    assert interval is not None
    share = right.mean()
    error = 1.96 * (share * (1 - share) / 2000) ** 0.5
    assert interval == pytest.approx([share - error, share + error], abs=0.003)


def test_interval_has_the_nominal_coverage() -> None:
    random = numpy.random.default_rng(0)
    covered = 0
    for i in range(200):
        right = random.random(100) < 0.8
        interval = f1_interval([[int(r), 1, 1] for r in right], samples=300, seed=i)
        assert interval is not None
        covered += interval[0] <= 0.8 <= interval[1]
    assert 0.9 <= covered / 200 <= 0.99


counts = st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(0, 5)).map(
    lambda c: [min(c), c[1], c[2]]
)


@given(st.lists(counts, min_size=2, max_size=20))
def test_interval_is_in_range_and_repeatable(rows: list[list[int]]) -> None:
    interval = f1_interval(rows, samples=100)
    assert interval is not None
    low, high = interval
    assert 0 <= low <= high <= 1
    assert f1_interval(rows, samples=100) == interval


def test_compare_significant_and_insignificant_differences() -> None:
    random = numpy.random.default_rng(0)
    right = random.random(300) < 0.5
    base = [[int(r), 1, 1] for r in right]
    better = [[int(r or random.random() < 0.3), 1, 1] for r in right]
    clear = paired_bootstrap(better, base)
    assert clear.f1 == pytest.approx(f1_of(better) - right.mean())
    assert clear.p_value < 0.01
    assert 0 < clear.low < clear.f1 < clear.high
    back = paired_bootstrap(base, better)
    assert back.f1 == -clear.f1
    assert back.p_value < 0.01
    shuffled = [base[i] for i in random.permutation(300)]
    unclear = paired_bootstrap(base, [*shuffled[:-1], [1 - shuffled[-1][0], 1, 1]])
    assert unclear.p_value > 0.1
    assert unclear.low < 0 < unclear.high
    same = paired_bootstrap(base, base)
    assert (same.f1, same.p_value) == (0, 1)
    with pytest.raises(InputError, match="two or more documents from both, got 300 and 299"):
        paired_bootstrap(base, base[:-1])


def test_compare_p_value_by_hand() -> None:
    """Of two documents, the first pipeline is better on one. Its lead is 0, 1/2 or 1 in 1/4,
    1/2 and 1/4 of the samples, and never more than twice 1/2."""
    difference = paired_bootstrap([[1, 1, 1], [1, 1, 1]], [[0, 1, 1], [1, 1, 1]])
    assert (difference.f1, difference.low, difference.high) == (0.5, 0.0, 1.0)
    assert difference.p_value == 0


def test_compare_command(tmp_path: Path) -> None:
    app = typer.Typer()
    app.command()(compare.main)

    def write(name: str, rows: list[list[int]], sha256: str) -> str:
        f1 = float(f1_of(rows))

        def row(value: float) -> dict[str, float]:
            return {"precision": value, "recall": value, "f1": value}

        types = {"PER": row(f1)} | ({"LOC": row(0.25)} if name == "b" else {})
        conlleval = {"overall": row(f1), "types": types}
        scores = {"sha256": sha256, "conlleval": conlleval, "token_accuracy": 0.5}
        path = tmp_path / f"{name}.json"
        metrics = {"name": name, "training": {}, "splits": {"dev": scores | {"by_document": rows}}}
        path.write_text(json.dumps(metrics), encoding="utf-8")
        return str(path)

    a = write("a", [[1, 1, 1]] * 9 + [[0, 1, 1]], "x")
    b = write("b", [[1, 1, 1]] * 4 + [[0, 1, 1]] * 6, "x")
    other = write("other", [[1, 1, 1]] * 10, "y")
    single = write("single", [[1, 1, 1]], "x")
    result = CliRunner().invoke(app, [a, b])
    assert result.exit_code == 0
    assert "90.00" in result.stdout
    assert "+50.00" in result.stdout
    rows = [line.split() for line in result.stdout.splitlines()]
    assert ["PER", "90.00", "40.00", "+50.00"] in rows
    assert ["LOC", "0.00", "25.00", "-25.00"] in rows  # a new type
    (tmp_path / "bad.json").write_text("{}", encoding="utf-8")
    for second, message in [
        (other, "have no file in common; evaluate both on the same files"),
        (single, "expected two or more documents from both, got 10 and 1"),
        (str(tmp_path / "none.json"), "no such file"),
        (str(tmp_path / "bad.json"), "name: field required; run evaluate again"),
    ]:
        result = CliRunner().invoke(app, [a, second])
        assert result.exit_code == 1
        assert message in result.stderr
