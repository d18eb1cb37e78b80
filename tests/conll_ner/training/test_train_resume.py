"""A training that was interrupted goes on, and ends as if nothing had happened."""

import json
import time
from collections.abc import Callable
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

CONFIGS = [ROOT / "configs" / name for name in ("token_ner.cfg", "transition_ner.cfg")]
OPTIONS = [
    *("--device", "cpu", "--training.max_epochs", 2),
    *("--training.batcher.size", 100, "--training.eval_frequency", 2),
]


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory, tiny_backbone: Path) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("corpus")
    gold = read_gold(SAMPLE / "valid.txt", spacy.blank("en").vocab)
    for name, docs in (("train", gold[:8]), ("dev", gold[8:11])):
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


@pytest.fixture(scope="module", params=CONFIGS, ids=lambda path: path.stem)
def config(request: pytest.FixtureRequest) -> Path:
    return Path(request.param)


@pytest.fixture(scope="module")
def whole(config: Path, paths: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training that nothing interrupted."""
    output = tmp_path_factory.mktemp("whole") / config.stem
    run(output, *OPTIONS, *arguments(paths), config=config)
    assert len(read_log(output / "log.jsonl")) >= 4
    return output


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def interrupt_at(
    monkeypatch: pytest.MonkeyPatch, name: str, number: int, *, after: bool = False
) -> None:
    """Raise KeyboardInterrupt before or after the `number`-th call of a function of loop.py."""
    original: Callable[..., Any] = getattr(loop, name)
    calls = 0

    def call(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == number and not after:
            raise KeyboardInterrupt
        result = original(*arguments, **options)
        if calls == number:
            raise KeyboardInterrupt
        return result

    monkeypatch.setattr(loop, name, call)


@pytest.mark.parametrize(
    ("name", "number", "after"),
    [
        ("save_state", 2, True),
        ("save_state", 3, False),  # the pipelines and the log are newer than the state
        pytest.param("save_state", 1, True, marks=pytest.mark.slow),
        pytest.param("save_pipeline", 3, False, marks=pytest.mark.slow),
    ],
)
def test_interrupted_training_ends_with_the_same_weights(
    config: Path,
    whole: Path,
    paths: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
    number: int,
    after: bool,
) -> None:
    output = tmp_path / "out"
    with monkeypatch.context() as patch:
        interrupt_at(patch, name, number, after=after)
        with pytest.raises(SystemExit) as exit_:
            run(output, *OPTIONS, *arguments(paths), config=config)
    assert exit_.value.code == 130
    error = capsys.readouterr().err
    assert f"Interrupted. Run the same command to continue from {output}.partial" in error
    assert not output.exists()
    run(output, *OPTIONS, *arguments(paths), config=config)
    assert f"Continuing {output}.partial after step" in " ".join(capsys.readouterr().out.split())
    check_equal(output, whole)
    record = json.loads((output / "run.json").read_text())
    assert (
        record["resumed_after_step"] == read_log(whole / "log.jsonl")[number - 1 - (not after)].step
    )


@pytest.mark.slow
def test_training_can_be_resumed_several_times(
    config: Path,
    whole: Path,
    paths: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    output = tmp_path / "out"
    for resume in ([], ["--resume"], []):
        with monkeypatch.context() as patch:
            interrupt_at(patch, "save_state", 1, after=True)
            with pytest.raises(SystemExit):
                run(output, *OPTIONS, *resume, *arguments(paths), config=config)
    run(output, *OPTIONS, "--resume", *arguments(paths), config=config)
    check_equal(output, whole)


def test_training_that_was_interrupted_after_its_last_step_is_only_calibrated(
    config: Path,
    whole: Path,
    paths: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    output = tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr(train, "calibrate_on_dev", interrupt)
        with pytest.raises(SystemExit):
            run(output, *OPTIONS, *arguments(paths), config=config)
    run(output, *OPTIONS, "--resume", *arguments(paths), config=config)
    check_equal(output, whole)


def test_complete_training_that_was_not_renamed_is_only_renamed(
    whole: Path,
    config: Path,
    paths: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import shutil

    shutil.copytree(whole, tmp_path / "out.partial")
    monkeypatch.setattr(train, "run_training", pytest.fail)
    run(tmp_path / "out", *OPTIONS, "--resume", *arguments(paths), config=config)
    assert files(tmp_path / "out") == files(whole)


@pytest.mark.slow
def test_resume_without_an_interrupted_training_trains_from_the_beginning(
    whole: Path, config: Path, paths: dict[str, str], tmp_path: Path
) -> None:
    run(tmp_path / "out", *OPTIONS, "--resume", *arguments(paths), config=config)
    check_equal(tmp_path / "out", whole)


def test_resume_with_other_settings_or_data_is_an_error_and_keeps_the_state(
    paths: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    output, partial = tmp_path / "out", tmp_path / "out.partial"
    with monkeypatch.context() as patch:
        interrupt_at(patch, "save_state", 1, after=True)
        with pytest.raises(SystemExit):
            run(output, *OPTIONS, *arguments(paths))
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
            run(output, *OPTIONS, "--resume", *options, **keywords)
        assert exit_.value.code == 1
        error = capsys.readouterr().err
        assert words in error
        assert "omit --resume to start over" in error
        assert len(error.splitlines()) == 1
    assert (partial / STATE).read_bytes() == before


@pytest.mark.parametrize("options", [["--system.seed", 1], ["--no-resume"]])
def test_another_training_and_no_resume_start_over(
    paths: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[Any]
) -> None:
    output = tmp_path / "out"
    with monkeypatch.context() as patch:
        interrupt_at(patch, "save_state", 1, after=True)
        with pytest.raises(SystemExit):
            run(output, *OPTIONS, *arguments(paths))
    run(output, *OPTIONS, *arguments(paths), *options)
    assert json.loads((output / "run.json").read_text())["resumed_after_step"] is None


def test_logger_of_the_config_is_used_beside_the_training_log(
    paths: dict[str, str], tmp_path: Path
) -> None:
    """Such as a tracker. It sees every step, as in `spacy train`."""
    seen: list[dict[str, Any] | None] = []
    ended: list[bool] = []

    @registry.loggers("tests.tracker.v1")
    def tracker(project: str) -> Any:
        assert project == "ner"

        def setup(nlp: Language, *_: object) -> Any:
            assert nlp.pipe_names == ["transformer", "ner"]
            return seen.append, lambda: ended.append(True)

        return setup

    text = (ROOT / "configs" / "transition_ner.cfg").read_text(encoding="utf-8")
    before, after = text.split("[training.logger]\n")
    rest = after[after.index("\n[") :]
    config = tmp_path / "own.cfg"
    section = '[training.logger]\n@loggers = "tests.tracker.v1"\nproject = "ner"\n'
    config.write_text(before + section + rest, encoding="utf-8")
    run(tmp_path / "out", *OPTIONS, *arguments(paths), config=config)
    rows = read_log(tmp_path / "out" / "log.jsonl")
    evaluated = [info for info in seen if info is not None]
    assert [info["step"] + 1 for info in evaluated] == [row.step for row in rows]
    assert len(seen) == rows[-1].step
    assert ended == [True]


@pytest.mark.slow
def test_training_that_was_killed_is_resumed(
    python: Path, paths: dict[str, str], config: Path, whole: Path, tmp_path: Path
) -> None:
    """SIGKILL at three moments, each in a new process."""
    output = tmp_path / "out"
    options = [*OPTIONS, "--resume", *arguments(paths)]
    command = [ROOT / "scripts" / "train", config, output, *options]
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
