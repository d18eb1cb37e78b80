"""The frontier: what is measured, the table, the chart, and that nothing is measured twice."""

import json
import shutil
import subprocess
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest
import spacy
from typer.testing import CliRunner, Result

from conll_ner.benchmarking import benchmark, frontier
from conll_ner.benchmarking.frontier_chart import best_points, draw_frontier, format_frontier
from conll_ner.benchmarking.frontier_systems import measure
from conll_ner.common.console import InputError
from conll_ner.data.docs import read_gold, write_docs
from conll_ner.evaluation.seqeval_scores import annotate_gold, score
from tests.conftest import ROOT, SAMPLE
from tests.hf_helpers import make_checkpoint

ROUND = {
    "first_text_seconds": 1.5,
    "first_text_memory_mb": 200,
    "peak_memory_mb": 300,
    "megabytes": 17.0,
    "words_per_second": {"16": 900, "128": 700},
}


@pytest.fixture
def gold(tmp_path: Path) -> Path:
    docs = read_gold(SAMPLE / "valid.txt", spacy.blank("en").vocab)[:3]
    write_docs(docs, tmp_path / "gold.spacy")
    return tmp_path / "gold.spacy"


def run(*arguments: object) -> Result:
    return CliRunner().invoke(benchmark.app, ["frontier", *map(str, arguments)])


def row(f1: float, speed: int) -> dict[str, Any]:
    return frontier.summarize(f1, [ROUND | {"words_per_second": {"16": speed}}])


def test_a_pipeline_is_measured(pipeline: Path, gold: Path, tmp_path: Path) -> None:
    found = measure("token_ner", pipeline, gold, tmp_path, 3, time.time())
    assert found["words_per_second"].keys() == {"16", "128"}
    size = sum(path.stat().st_size for path in pipeline.rglob("*") if path.is_file())
    assert found["megabytes"] == round(size / 1e6, 1)
    assert 0 < found["first_text_memory_mb"] <= found["peak_memory_mb"]
    assert 0 < found["first_text_seconds"] < 60


def test_f1_is_seqevals(pipeline: Path, gold: Path, tmp_path: Path) -> None:
    nlp = spacy.load(pipeline)
    docs = read_gold(gold, nlp.vocab)
    expected = score(docs, annotate_gold(nlp, docs))["conlleval"]["overall"]["f1"]
    found = measure("token_ner", pipeline, gold, tmp_path, 0, time.time())
    assert found["f1"] == pytest.approx(expected) != 0


def test_a_checkpoint_is_measured_sentence_by_sentence(gold: Path, tmp_path: Path) -> None:
    checkpoint = make_checkpoint(tmp_path / "checkpoint")
    kind = "transformers float32"
    found = measure(kind, checkpoint, gold, tmp_path, 1, time.time())
    assert found["words_per_second"].keys() == {"1", "8", "32"}
    assert 0 <= measure(kind, checkpoint, gold, tmp_path, 0, time.time())["f1"] < 1


def test_a_system_is_called_by_what_was_trained(
    pipeline: Path, slim_pipeline: Path, tmp_path: Path
) -> None:
    other = spacy.blank("en")
    other.add_pipe("ner")
    (tmp_path / "run").mkdir()
    other.to_disk(tmp_path / "run" / "model-best")
    shutil.copytree(slim_pipeline, tmp_path / "run" / "slim")
    shutil.copytree(pipeline, tmp_path / "alone" / "mine")
    backbone = {"name": "minilm", "layers": 3}
    record = {"backbone": backbone, "data_sha256": {"taught": "0"}}
    (tmp_path / "run" / "run.json").write_text(json.dumps(record))
    folders = [tmp_path / name for name in ("run/slim", "run/model-best", "alone/mine")]
    assert [system.name for system in frontier.find_systems(folders)] == [
        "minilm, first 3 layers, taught: token_ner slim",
        "minilm, first 3 layers, taught: spaCy's ner",
        "alone/mine: token_ner",
    ]
    shutil.copytree(tmp_path / "run", tmp_path / "again")
    names = [s.name for s in frontier.find_systems([*folders, tmp_path / "again" / "slim"])]
    assert [names[0], names[3]] == [
        f"minilm, first 3 layers, taught ({run}/slim): token_ner slim" for run in ("run", "again")
    ]
    assert names[1] == "minilm, first 3 layers, taught: spaCy's ner"


def test_the_summary_is_of_the_fastest_batch_size() -> None:
    rounds = [ROUND | {"words_per_second": {"16": s, "128": 700}} for s in (900, 1000, 100)]
    found = frontier.summarize(0.9, rounds)
    assert (found["words_per_second"], found["rounds"]) == (900, [900, 1000, 100])
    assert (found["batch_size"], found["first_text_seconds"]) == (16, 1.5)


def test_the_table_begins_with_the_most_accurate() -> None:
    table = format_frontier({"small|er": row(0.885, 9000), "base": row(0.9242, 500)})
    lines = table.splitlines()
    assert lines[2] == "| base | 92.42 | 500 | 500 to 500 | 17.0 | 200 | 300 | 1.5 |"
    assert lines[3].startswith(r"| small\|er | 88.50 | 9,000 |")


def test_the_line_joins_what_nothing_beats() -> None:
    points = [(100.0, 92.0), (50.0, 91.0), (900.0, 88.0), (900.0, 85.0), (400.0, 90.0)]
    assert best_points(points) == [(900.0, 88.0), (400.0, 90.0), (100.0, 92.0)]


def test_the_chart_names_all_systems_and_is_the_same_each_time(tmp_path: Path) -> None:
    rows = {
        "a": row(0.885, 9000) | {"model": "<small> $x$", "kind": "token_ner slim"},
        "b": row(0.9242, 500) | {"model": "base", "kind": "token_ner"},
        "c": row(0.9242, 300) | {"model": "base", "kind": "Optimum int8"},
    }
    for name in ("a.svg", "b.svg"):
        draw_frontier(rows, tmp_path / name)
    drawn = (tmp_path / "a.svg").read_bytes()
    assert drawn == (tmp_path / "b.svg").read_bytes()
    texts = [element.text for element in ElementTree.fromstring(drawn).iter()]
    assert {"<small> $x$", "words per second", "token_ner slim", "Optimum int8"} <= {*texts}
    assert "base" not in texts  # named at the slim pipeline only
    assert not any("mathdefault" in (text or "") for text in texts)


def test_bad_input_is_one_line(pipeline: Path, gold: Path, tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    twin = shutil.copytree(pipeline, tmp_path / "b" / pipeline.parent.name / pipeline.name)
    for arguments, words in (
        ((tmp_path / "no.spacy", tmp_path / "out", pipeline), "no such file"),
        ((gold, tmp_path / "out", tmp_path / "x"), "is neither a pipeline nor a checkpoint"),
        ((gold, tmp_path / "out", pipeline, twin), "is not the only"),
        ((gold, pipeline, pipeline), str(pipeline)),
    ):
        result = run(*arguments)
        assert result.exit_code == 1
        assert words in result.stderr
        assert len(result.stderr.splitlines()) == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_systems_are_measured_once(
    slim_pipeline: Path, gold: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = shutil.copytree(slim_pipeline, tmp_path / "mine" / "model-best")
    arguments = [gold, tmp_path / "out", mine, "--rounds", 1, "--documents", 2]
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    found = json.loads((tmp_path / "out" / "frontier.json").read_text())
    assert list(found["systems"]) == ["mine/model-best: token_ner slim"]
    assert (tmp_path / "out" / "frontier.md").read_text() in result.stdout
    assert (tmp_path / "out" / "frontier.svg").is_file()
    with monkeypatch.context() as patch:
        patch.setattr(subprocess, "run", None)
        assert run(*arguments).exit_code == 0
        again = json.loads((tmp_path / "out" / "frontier.json").read_text())
        assert again["systems"] == found["systems"]
        (mine / "meta.json").write_text((mine / "meta.json").read_text() + "\n")
        with pytest.raises(TypeError):  # it is measured again
            frontier.measure_systems(
                frontier.find_systems([mine]), gold, tmp_path / "out", rounds=1, documents=2
            )
    shutil.rmtree(mine / "token_ner")
    with pytest.raises(InputError, match=r"mine/model-best: token_ner slim failed; see .*1-0\.log"):
        frontier.measure_systems(
            frontier.find_systems([mine]), gold, tmp_path / "out", rounds=1, documents=2
        )


def test_the_published_frontier_is_its_record(tmp_path: Path) -> None:
    """docs/benchmark.md has the table, and README the chart, of docs/results/frontier."""
    folder = ROOT / "docs" / "results" / "frontier"
    systems = json.loads((folder / "frontier.json").read_text(encoding="utf-8"))["systems"]
    page = (ROOT / "docs" / "benchmark.md").read_text(encoding="utf-8")
    assert format_frontier(systems) in page
    draw_frontier(systems, tmp_path / "frontier.svg")
    assert (tmp_path / "frontier.svg").read_bytes() == (folder / "frontier.svg").read_bytes()
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "(docs/results/frontier/frontier.svg)" in readme
