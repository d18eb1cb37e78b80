"""Kills at random moments: nothing is lost or changed, and the next run cleans up.

`pytest -n 0 -m stress --stress 5` kills five times as often as `--stress 1`, and prints the table
of docs/reliability.md.
"""

import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from spacy.vocab import Vocab

from conll_ner.common.files import sha256
from conll_ner.data.docs import read_gold, write_docs
from tests.conftest import ROOT, SAMPLE
from tests.stress_helpers import complete, kill_often

pytestmark = pytest.mark.stress
Record = Callable[[str, str, str], None]
NER = ("-m", "spacy", "ner")
FINE = "nothing lost or changed, nothing left over"


def contents(path: Path) -> dict[str, str]:
    """RETURNS (dict[str, str]): The hash of each file, of a file or folder. Without that of the
    sentencizer, which saves a set: in another order in each process."""
    files = [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]
    files = [file for file in files if file.name != "sentencizer.json"]
    return {str(file.relative_to(path.parent)): sha256(file) for file in files}


def all_or_nothing(output: Path, neighbour: Path) -> Callable[[], None]:
    """RETURNS (Callable): Checks that an output is absent or as after the first complete run, and
    that a file beside it stays."""
    neighbour.write_text("somebody's work", encoding="utf-8")
    expected: dict[str, str] = {}

    def check() -> None:
        assert neighbour.read_text(encoding="utf-8") == "somebody's work"
        if not output.exists():
            assert expected, "the first run wrote nothing"
            return
        found = contents(output)
        if not expected:
            expected.update(found)
        assert found == expected

    return check


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def test_kills_of_convert(python: Path, folder: Path, stress: int, record: Record) -> None:
    output = folder / "train.spacy"
    command = [*NER, "convert", SAMPLE / "train.txt", output]
    check = all_or_nothing(output, folder / "notes.txt")
    kills = kill_often(python, command, folder, 8 * stress, check)
    record("convert", f"{kills} kills", FINE)


def test_kills_of_fetch(python: Path, folder: Path, stress: int, record: Record) -> None:
    output = folder / "sample"
    command = [*NER, "fetch", "corpus", "mine", output, "--source", SAMPLE]
    check = all_or_nothing(output, folder / "notes.txt")
    kills = kill_often(python, command, folder, 6 * stress, check)
    record("fetch", f"{kills} kills", FINE)


def test_kills_of_export_and_import(
    python: Path, folder: Path, pipeline: Path, stress: int, record: Record
) -> None:
    checkpoint = folder / "checkpoint"
    command = [*NER, "hf-export", pipeline, checkpoint]
    check = all_or_nothing(checkpoint, folder / "notes.txt")
    kills = kill_often(python, command, folder, 4 * stress, check)
    record("hf-export", f"{kills} kills", FINE)
    command = [*NER, "hf-import", checkpoint, folder / "pipeline"]
    check = all_or_nothing(folder / "pipeline", folder / "notes.txt")
    kills = kill_often(python, command, folder, 4 * stress, check)
    record("hf-import", f"{kills} kills", FINE)


@pytest.mark.parametrize("processes", [1, 2])
def test_kills_of_predict(
    python: Path,
    folder: Path,
    pipeline: Path,
    sentences: list[str],
    stress: int,
    record: Record,
    processes: int,
) -> None:
    """Resumed runs write the same bytes."""
    source = folder.parent / "in.txt"
    source.write_text("\n".join(sentences * 30), encoding="utf-8")
    output = folder / "out.jsonl"
    options = ["-o", output, "--processes", processes, "--device", "cpu"]
    command = [*NER, "predict", pipeline, source, *options]
    check = all_or_nothing(output, folder / "notes.txt")
    kills = kill_often(python, command, folder, 8 * stress, check, resume=["--resume"])
    record(f"predict, processes: {processes}", f"{kills} kills", FINE)


def test_kills_of_evaluate(
    python: Path, folder: Path, pipeline: Path, stress: int, record: Record
) -> None:
    """The metrics contain times, so complete JSON is all that is checked."""
    output = folder / "metrics.json"
    command = [*NER, "evaluate", pipeline, SAMPLE / "valid.txt", "--output", output]

    def check() -> None:
        assert json.loads(output.read_text(encoding="utf-8"))["splits"].keys() == {"valid"}

    kills = kill_often(python, command, folder, 4 * stress, check)
    record("evaluate", f"{kills} kills", FINE)


def test_kills_of_package(
    python: Path, folder: Path, pipeline: Path, stress: int, record: Record
) -> None:
    """A wheel contains times, so complete archives with the same names are all that is checked."""
    metrics = folder.parent / "metrics.json"
    evaluate = [*NER, "evaluate", pipeline, SAMPLE / "valid.txt", "--output", metrics]
    complete(python, evaluate, folder.parent / "evaluate.log")
    output = folder / "packages"
    command = [*NER, "package", pipeline, metrics, output, "--package", "en_ner_stress"]
    expected: set[str] = set()

    def check() -> None:
        for made in output.glob("en_*"):
            (wheel,) = (made / "dist").glob("*.whl")
            with zipfile.ZipFile(wheel) as archive:
                assert archive.testzip() is None
                expected.update(expected or archive.namelist())
                assert set(archive.namelist()) == expected
        assert expected

    output.mkdir()
    kills = kill_often(python, command, output, 2 * stress, check)
    record("package", f"{kills} kills", FINE)


def test_kills_of_slim(
    python: Path, folder: Path, pipeline: Path, stress: int, record: Record
) -> None:
    output = folder / "slim"
    command = [*NER, "slim", pipeline, output]
    check = all_or_nothing(output, folder / "notes.txt")
    kills = kill_often(python, command, folder, 4 * stress, check)
    record("slim", f"{kills} kills", FINE)


@pytest.fixture
def settings(tmp_path: Path, tiny_backbone: Path) -> list[object]:
    """A training of two epochs with several evaluations."""
    corpus = tmp_path / "valid.spacy"
    write_docs(read_gold(SAMPLE / "valid.txt", Vocab()), corpus)
    return [
        *("--device", "cpu", "--paths.train", corpus, "--paths.dev", corpus),
        *("--paths.backbone", tiny_backbone, "--training.eval_frequency", 3),
        *("--training.max_epochs", 2),
    ]


def test_kills_of_curve(
    python: Path, folder: Path, settings: list[object], stress: int, record: Record
) -> None:
    """The training or evaluation that it has started ends with it, and the next run continues it:
    the pipelines of all parts are as without a kill."""
    output, parts = folder / "curve.json", folder / "parts"
    command = [*NER, "curve", ROOT / "configs" / "token_ner.cfg", parts, output, *settings]
    command += ["--shares", "50,100"]
    expected: list[object] = []

    def check() -> None:
        if (parts / "100.json").is_file():
            rows = [row | {"seconds": 0} for row in json.loads(output.read_text("utf-8"))]
            weights = [contents(parts / f"{n}/model-best") for n in (50, 100)]
            found = [rows, weights]
            expected.extend([] if expected else found)
            assert found == expected
            shutil.rmtree(parts)  # the next run starts over
            parts.mkdir()

    kills = kill_often(python, command, folder, 4 * stress, check)
    record("curve", f"{kills} kills", "pipelines and scores as without a kill")


def test_kills_of_train(
    python: Path, folder: Path, settings: list[object], stress: int, record: Record
) -> None:
    """Every run continues the one before; in the end, weights are those of an uninterrupted one."""
    output = folder / "run"
    command = [*NER, "train", ROOT / "configs" / "token_ner.cfg", output, *settings]
    expected: dict[str, str] = {}

    def check() -> None:
        if output.is_dir():  # otherwise the kill came between two renames
            names = ("model-best", "model-last")
            found = {k: v for n in names for k, v in contents(output / n).items()}
            expected.update(expected or found)
            assert found == expected

    kills = kill_often(python, command, folder, 4 * stress, check)
    record("train", f"{kills} kills", FINE)
