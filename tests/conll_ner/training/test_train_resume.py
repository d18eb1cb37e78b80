"""A training that was interrupted goes on, and ends as if nothing had happened."""

import json
import shutil
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import spacy
from spacy.language import Language
from spacy.util import registry

from conll_ner.common.training_log import read_log
from conll_ner.data.docs import read_gold, write_docs
from conll_ner.training import loop, train
from conll_ner.training.state import STATE
from tests.conftest import ROOT, SAMPLE
from tests.conll_ner.training.test_train import arguments, run
from tests.stress_helpers import Process, complete

pytestmark = pytest.mark.slow
CONFIGS = [ROOT / "configs" / name for name in ("token_ner.cfg", "transition_ner.cfg")]
OPTIONS = [
    *("--device", "cpu", "--training.max_epochs", 2),
    *("--training.batcher.size", 100, "--training.eval_frequency", 2),
]


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory, tiny_backbone: Path) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("corpus")
    gold = read_gold(SAMPLE / "valid.txt", spacy.blank("en").vocab)
    for name, docs in (("train", gold[:5]), ("dev", gold[5:6])):
        write_docs(docs, folder / f"{name}.spacy")
    return {
        "paths.train": str(folder / "train.spacy"),
        "paths.dev": str(folder / "dev.spacy"),
        "paths.backbone": str(tiny_backbone),
    }


def files(folder: Path) -> dict[str, bytes]:
    """RETURNS (dict[str, bytes]): The contents of both pipelines, weights included. The scores by
    type in meta.json have another order in each process."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        if path.name != "meta.json"
        else json.dumps(json.loads(path.read_bytes()), sort_keys=True).encode()
        for name in ("model-best", "model-last")
        for path in sorted((folder / name).rglob("*"))
        # The sentencizer saves a set, in another order in each process.
        if path.is_file() and path.name != "sentencizer.json"
    }


def check_equal(resumed: Path, whole: Path) -> None:
    assert not list(resumed.parent.glob(f"*{resumed.name}.*"))  # no partial, no lock
    assert not (resumed / STATE).exists()
    found, expected = files(resumed), files(whole)
    assert found.keys() == expected.keys()
    assert [name for name in found if found[name] != expected[name]] == []
    rows, expected_rows = read_log(resumed / "log.jsonl"), read_log(whole / "log.jsonl")
    assert [(row.step, row.epoch, row.loss, row.f1) for row in rows] == [
        (row.step, row.epoch, row.loss, row.f1) for row in expected_rows
    ]
    assert [row.seconds for row in rows] == sorted(row.seconds for row in rows)


class Logger:
    """Around the configs' logger. It interrupts the training at one of its calls: at an evaluation,
    when the pipelines are newer than the state, at the first update after one, or at the end.
    Evaluations are counted from 1 in each run."""

    interruption: tuple[str, int] | None = None

    def set_up(self, original: Callable[..., Any], nlp: Language, *streams: object) -> Any:
        self.pipes = nlp.pipe_names
        self.steps: list[dict[str, Any] | None] = []
        log, finalize = original(nlp, *streams)

        def log_step(info: dict[str, Any] | None) -> None:
            log(info)
            self.steps.append(info)
            self.interrupt("evaluation" if info else "update")

        def end() -> None:
            finalize()
            self.interrupt("end")

        return log_step, end

    def interrupt(self, event: str) -> None:
        if (event, len(self.evaluated())) == self.interruption:
            self.interruption = None
            raise KeyboardInterrupt

    def evaluated(self) -> list[int]:
        return [info["step"] + 1 for info in self.steps if info is not None]


@pytest.fixture(scope="module", autouse=True)
def logger() -> Iterator[Logger]:
    name = "spacy.ConsoleLogger.v3"
    original, logger = registry.get("loggers", name), Logger()

    def make(progress_bar: str, console_output: bool, output_file: None) -> Any:
        return partial(logger.set_up, original(progress_bar, console_output, output_file))

    registry.loggers.register(name, func=make)
    yield logger
    registry.loggers.register(name, func=original)


@pytest.fixture(scope="module", params=CONFIGS, ids=lambda path: path.stem)
def config(request: pytest.FixtureRequest) -> Path:
    return Path(request.param)


@pytest.fixture(scope="module")
def whole(
    config: Path, paths: dict[str, str], logger: Logger, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A training that nothing interrupted."""
    output = tmp_path_factory.mktemp("whole") / config.stem
    run(output, *OPTIONS, *arguments(paths), config=config)
    rows = read_log(output / "log.jsonl")
    assert len(rows) >= 4
    assert logger.pipes == spacy.load(output / "model-best").pipe_names
    assert logger.evaluated() == [row.step for row in rows]
    assert len(logger.steps) == rows[-1].step
    return output


def interrupt(logger: Logger, event: str, number: int, *options: Any, **keywords: Any) -> None:
    logger.interruption = (event, number)
    with pytest.raises(SystemExit) as exit_:
        run(*options, **keywords)
    assert exit_.value.code == 130


@pytest.mark.parametrize(
    ("event", "number", "evaluations"),
    [
        ("update", 2, 2),
        ("evaluation", 3, 2),
        pytest.param("update", 1, 1, marks=pytest.mark.slow),
    ],
)
def test_interrupted_training_ends_with_the_same_weights(
    config: Path,
    whole: Path,
    paths: dict[str, str],
    logger: Logger,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    event: str,
    number: int,
    evaluations: int,
) -> None:
    output = tmp_path / "out"
    interrupt(logger, event, number, output, *OPTIONS, *arguments(paths), config=config)
    error = capsys.readouterr().err
    assert f"Interrupted. Run the same command to continue from {output}.partial" in error
    assert not output.exists()
    run(output, *OPTIONS, *arguments(paths), config=config)
    assert f"Continuing {output}.partial after step" in " ".join(capsys.readouterr().out.split())
    check_equal(output, whole)
    steps = [row.step for row in read_log(whole / "log.jsonl")]
    assert logger.evaluated() == steps[evaluations:]
    record = json.loads((output / "run.json").read_text())
    assert record["resumed_after_step"] == steps[evaluations - 1]


def test_training_that_was_interrupted_after_its_last_step_is_only_calibrated(
    config: Path, whole: Path, paths: dict[str, str], logger: Logger, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    number = len(read_log(whole / "log.jsonl"))
    interrupt(logger, "end", number, output, *OPTIONS, *arguments(paths), config=config)
    run(output, *OPTIONS, "--resume", *arguments(paths), config=config)
    assert logger.steps == []
    check_equal(output, whole)


def test_complete_training_that_was_not_renamed_is_only_renamed(
    whole: Path, config: Path, paths: dict[str, str], tmp_path: Path
) -> None:
    shutil.copytree(whole, tmp_path / "out.partial")
    before = (whole / "run.json").read_bytes()
    run(tmp_path / "out", *OPTIONS, "--resume", *arguments(paths), config=config)
    assert (tmp_path / "out" / "run.json").read_bytes() == before  # with the seconds of training
    assert files(tmp_path / "out") == files(whole)


@pytest.fixture(scope="module")
def interrupted(
    paths: dict[str, str], logger: Logger, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The OUTPUT.partial of a training that was interrupted after its first evaluation."""
    output = tmp_path_factory.mktemp("interrupted") / "out"
    interrupt(logger, "update", 1, output, *OPTIONS, *arguments(paths))
    return output.with_name("out.partial")


def test_resume_with_other_settings_or_data_is_an_error_and_keeps_the_state(
    paths: dict[str, str], interrupted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    partial = shutil.copytree(interrupted, tmp_path / "out.partial")
    before = (partial / STATE).read_bytes()
    assert len(before) > 10_000
    own = tmp_path / "own.cfg"
    own.write_text((ROOT / "configs/transition_ner.cfg").read_text() + "\n# changed\n")
    other = paths | {"paths.dev": paths["paths.train"]}
    cases: list[tuple[list[Any], dict[str, Any], str]] = [
        ([*arguments(paths), "--system.seed", 1], {}, "another overrides, seed"),
        (arguments(paths), {"config": own}, "another config, config_sha256"),
        (arguments(other), {}, "another overrides, data_sha256"),
    ]
    capsys.readouterr()
    for options, keywords, words in cases:
        with pytest.raises(SystemExit) as exit_:
            run(tmp_path / "out", *OPTIONS, "--resume", *options, **keywords)
        assert exit_.value.code == 1
        error = capsys.readouterr().err
        assert words in error
        assert "omit --resume to start over" in error
        assert len(error.splitlines()) == 1
    assert (partial / STATE).read_bytes() == before


@pytest.mark.parametrize("options", [["--system.seed", 1], ["--no-resume"]])
def test_another_training_and_no_resume_start_over(
    paths: dict[str, str], interrupted: Path, tmp_path: Path, options: list[Any]
) -> None:
    shutil.copytree(interrupted, tmp_path / "out.partial")
    run(tmp_path / "out", *OPTIONS, *arguments(paths), *options)
    assert json.loads((tmp_path / "out" / "run.json").read_text())["resumed_after_step"] is None


def test_data_that_change_during_the_training_are_a_warning(
    paths: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Which evaluation read which file isn't known, so run.json names neither."""
    dev = Path(shutil.copy(paths["paths.dev"], tmp_path / "dev.spacy"))

    def change(*args: Any) -> dict[str, Any]:
        found = loop.run_training(*args)
        shutil.copy(paths["paths.train"], dev)
        return found

    monkeypatch.setattr(train, "run_training", change)
    options = [*arguments(paths | {"paths.dev": str(dev)}), "--training.max_epochs", 1]
    run(tmp_path / "out", "--device", "cpu", *options)
    printed = " ".join(capsys.readouterr().out.split())
    assert "--paths.dev changed during the training: train again" in printed
    record = json.loads((tmp_path / "out" / "run.json").read_text())
    assert record["data_sha256"].keys() == {"train"}


@pytest.mark.slow
def test_training_that_was_killed_is_resumed(
    python: Path, paths: dict[str, str], config: Path, whole: Path, tmp_path: Path
) -> None:
    """SIGKILL at three moments, each in a new process. The first one has nothing to resume."""
    output = tmp_path / "out"
    options = [*OPTIONS, "--resume", *arguments(paths)]
    command = ["-m", "spacy", "ner", "train", config, output, *options]
    log = tmp_path / "out.partial" / "log.jsonl"

    def count_rows() -> int:
        try:
            return len(log.read_bytes().splitlines())
        except FileNotFoundError:
            return 0

    for _ in range(3):
        before = count_rows()
        process = Process(python, command, tmp_path / "killed.log")
        deadline = time.monotonic() + 120
        while count_rows() <= before and time.monotonic() < deadline:
            time.sleep(0.01)
        process.kill()
        assert count_rows() > before
    complete(python, command, tmp_path / "complete.log")
    check_equal(output, whole)
