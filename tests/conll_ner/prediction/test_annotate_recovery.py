"""Annotating Parquet: complete output or none, and resuming an interrupted run."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from conll_ner.prediction import annotate
from conll_ner.prediction.cluster import output as cluster_output
from conll_ner.prediction.cluster.partitions import Job, Partition
from tests.annotate_helpers import assert_same, in_this_process, predicted, read, run, write


@pytest.mark.usefixtures("no_cluster")
def test_annotate_resumes_an_interrupted_run(
    pipeline: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = source.with_name("out")
    written: list[str] = []

    def interrupted(job: Job, partitions: Sequence[Partition], *_: Any) -> Iterator[dict[str, Any]]:
        for counts in in_this_process(job, partitions):
            written.append(counts["name"])
            yield counts
            if len(written) == 2:
                raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(annotate, "annotate_partitions", interrupted)
        result = run(pipeline, source, output)
    assert result.exit_code == 130
    assert "continue with --resume" in result.stderr
    assert not output.exists()
    partial = source.with_name("out.partial")
    before = {name: (partial / name).stat().st_mtime_ns for name in written}

    result = run(pipeline, source, output, "--resume", "--labels", "PER")
    assert (
        "out.partial was made with another pipeline, other files or other options" in result.stderr
    )
    assert run(pipeline, source, output, "--resume").exit_code == 0
    assert {name: (output / name).stat().st_mtime_ns for name in written} == before
    assert_same(read(output), predicted(pipeline, source))
    assert all(path.suffix == ".parquet" for path in output.iterdir())


@pytest.mark.usefixtures("no_cluster")
def test_annotate_starts_over_without_resume(
    pipeline: Path, source: Path, sentences: list[str]
) -> None:
    partial = source.with_name("out.partial")
    write(partial / "of-another-run.parquet", ["Ada"])
    output = source.with_name("out")
    output.mkdir()  # an empty folder is allowed
    assert run(pipeline, source, output).exit_code == 0
    assert len(read(output)) == len(sentences)
    result = run(pipeline, source, output)
    assert result.exit_code == 1
    assert "out exists and isn't an empty folder" in result.stderr


@pytest.mark.usefixtures("no_cluster")
def test_annotate_on_an_object_store(
    pipeline: Path, source: Path, sentences: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Object stores can't rename folders, so _SUCCESS is written last."""
    monkeypatch.setattr(cluster_output, "OBJECT_STORES", {"local"})
    output = source.with_name("out")
    success = output / "_SUCCESS"
    finish = cluster_output.finish_output

    def interrupted(_: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(annotate, "finish_output", interrupted)
    run(pipeline, source.as_uri(), output.as_uri())
    assert len(read(output)) == len(sentences)
    assert not success.exists()
    monkeypatch.setattr(annotate, "finish_output", finish)
    assert (
        "exists and isn't an empty folder" in run(pipeline, source.as_uri(), output.as_uri()).stderr
    )
    assert run(pipeline, source.as_uri(), output.as_uri(), "--resume").exit_code == 0
    assert success.exists()
    names = {path.name for path in output.iterdir() if path.suffix != ".parquet"}
    assert names == {"_SUCCESS"}
    result = run(pipeline, source.as_uri(), output.as_uri(), "--resume")
    assert "exists and isn't an empty folder" in result.stderr


def test_check_rows_requires_every_partition_once_with_all_rows() -> None:
    partitions = [Partition("a", 0, 5, "a-0"), Partition("a", 5, 7, "a-1")]
    cluster_output.check_rows(partitions, Counter(["a-1", "a-0"]), 7)
    for names, rows, message in (
        (["a-0"], 7, r"missing partitions: \['a-1'\]"),
        (["a-0", "a-1"], 6, "6 of 7 rows"),
        (["a-0", "a-1", "a-1"], 9, r"9 of 7 rows .* repeated or unknown: \['a-1'\]"),
    ):
        with pytest.raises(RuntimeError, match=message):
            cluster_output.check_rows(partitions, Counter(names), rows)


def test_fingerprint_survives_json() -> None:
    job = Job("p", "cpu", 0.5, ["PER"], "text", "/in", "/out.partial", False)
    fingerprint = cluster_output.fingerprint_job(job, [Partition("a", 0, 5, "a-0")])
    assert json.loads(json.dumps(fingerprint)) == fingerprint
