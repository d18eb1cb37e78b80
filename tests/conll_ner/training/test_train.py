"""Training: whole epochs, timed log, reproducibility, atomic output."""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy
import pytest
import spacy
import torch
from spacy.training import Example
from spacy.util import load_config, registry
from spacy.vocab import Vocab

from conll_ner.common.console import InputError
from conll_ner.common.device import resolve_device
from conll_ner.common.files import atomic_write
from conll_ner.common.training_log import read_log
from conll_ner.data import docs
from conll_ner.evaluation.calibration_error import ScoredMentions
from conll_ner.training import calibrating, loop, planning, train
from conll_ner.training.calibrating import describe
from conll_ner.training.config import load_checked_config
from tests.conftest import ROOT, SAMPLE
from token_ner import TokenNER, text_key

SCORES = numpy.random.default_rng(0).beta(8, 1, 1000)
# Overconfident, and more so for every second mention, whose text training doesn't have.
GAPS = numpy.tile([0.1, 0.3], 500)
OVERCONFIDENT = ScoredMentions(
    SCORES, numpy.random.default_rng(1).random(1000) < SCORES - GAPS, ["Mali", "nowhere"] * 500
)
CONFIG = ROOT / "configs" / "transition_ner.cfg"
MLFLOW = "spacy.MLflowLogger.v2"


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory, tiny_backbone: Path) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("corpus")
    for split in ("train", "dev"):
        source = SAMPLE / f"{'test' if split == 'train' else 'valid'}.txt"
        docs.write_docs(docs.read_gold(source, Vocab()), folder / f"{split}.spacy")
    return {
        "paths.train": str(folder / "train.spacy"),
        "paths.dev": str(folder / "dev.spacy"),
        "paths.backbone": str(tiny_backbone),
    }


def arguments(overrides: dict[str, Any]) -> list[str]:
    return [part for key, value in overrides.items() for part in (f"--{key}", str(value))]


def run(output: Path, *options: object, config: Path = CONFIG) -> None:
    train.app([str(config), str(output), *map(str, options)], standalone_mode=False)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, paths: dict[str, str]) -> Path:
    output = tmp_path_factory.mktemp("training") / "tiny"
    run(output, "--device", "cpu", *arguments(paths), "--training.max_epochs", 2)
    return output


def test_train_writes_pipeline_log_and_record(trained: Path) -> None:
    nlp = spacy.load(trained / "model-best")
    assert nlp.pipe_names == ["transformer", "ner"]
    assert set(nlp.get_pipe("ner").labels) == {"PER", "LOC", "ORG", "MISC"}  # type: ignore[attr-defined]
    rows = read_log(trained / "log.jsonl")
    record = json.loads((trained / "run.json").read_text())
    assert rows[0].step == 1
    assert rows[-1].step == record["steps"]
    assert rows[-1].epoch <= 2
    seconds = [row.seconds for row in rows]
    assert seconds == sorted(seconds)
    assert seconds[-1] < record["seconds"]
    assert 0 < rows[-1].training_seconds < seconds[-1]
    assert record["seconds_per_epoch"] == pytest.approx(rows[-1].training_seconds / 2, abs=0.06)
    assert rows[-1].loss is not None and rows[0].loss is not None
    summed = rows[-1].loss * (rows[-1].step - rows[-2].step)
    assert 0 < summed < rows[0].loss * record["steps"]
    assert {"ents_p", "ents_r", "ents_f"} <= rows[-1].scores.keys()
    assert rows[-1].f1 == rows[-1].scores["ents_f"]
    assert record["backbone"]["name"] == "tiny"
    assert (record["config"], record["seed"]) == ("transition_ner", 0)
    assert record["overrides"]["training.max_epochs"] == 2
    assert not trained.with_name("tiny.partial").exists()


def test_train_saves_the_config_with_its_own_logger(trained: Path) -> None:
    config = load_config(trained / "model-best" / "config.cfg")
    assert config["training"]["logger"]["@loggers"] == "spacy.ConsoleLogger.v3"


@pytest.mark.slow
def test_train_with_the_same_seed_gives_the_same_result(
    trained: Path, tmp_path: Path, paths: dict[str, str]
) -> None:
    for name, seed in (("again", 0), ("other", 1)):
        options = ["--training.max_epochs", 2, "--system.seed", seed]
        run(tmp_path / name, "--device", "cpu", *arguments(paths), *options)

    def losses(folder: Path) -> list[float | None]:
        return [row.loss for row in read_log(folder / "log.jsonl")]

    def weights(folder: Path) -> bytes:
        return (folder / "model-best" / "ner" / "model").read_bytes()

    assert losses(tmp_path / "again") == losses(trained)
    assert weights(tmp_path / "again") == weights(trained)
    assert losses(tmp_path / "other") != losses(trained)


@pytest.mark.parametrize(("epochs", "frequency"), [(1, 200), (3, 200), (3, 2), (5, 1)])
def test_train_plan_evaluates_the_last_step(
    paths: dict[str, str], epochs: int, frequency: int
) -> None:
    numbers = {"training.max_epochs": epochs, "training.eval_frequency": frequency}
    config = load_config(CONFIG, overrides=paths | numbers, interpolate=False)
    per_epoch = planning.count_batches(config)
    planned = planning.plan_steps(config)["training"]
    assert planned["max_steps"] % planned["eval_frequency"] == 0
    assert planned["max_steps"] >= epochs  # at least one evaluation per epoch
    assert abs(planned["max_steps"] - epochs * per_epoch) <= planned["max_steps"] / 2
    assert planned["optimizer"]["learn_rate"]["total_steps"] == planned["max_steps"]
    assert config["training"]["max_epochs"] == epochs  # the argument is not modified


def test_train_plan_keeps_a_config_with_steps(paths: dict[str, str]) -> None:
    numbers = {"training.max_epochs": 0, "training.max_steps": 7}
    config = load_config(CONFIG, overrides=paths | numbers, interpolate=False)
    assert planning.plan_steps(config) == config


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--paths.train", "missing.spacy"], "--paths.train: missing.spacy doesn't exist; run the"),
        (["--device", "gpu"], "--device gpu is not auto, cpu or a GPU's number"),
        (["--device", "99"], "torch finds"),
    ],
)
def test_train_reports_invalid_input_in_one_line(
    tmp_path: Path,
    paths: dict[str, str],
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    words: str,
) -> None:
    with pytest.raises(SystemExit) as exit_:
        run(tmp_path / "out", *arguments(paths), *options)
    assert exit_.value.code == 1
    error = capsys.readouterr().err
    assert words in error
    assert len(error.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_train_takes_configs_with_optional_paths(tmp_path: Path, paths: dict[str, str]) -> None:
    """`spacy init config` writes `vectors = null`, which is allowed."""
    config = tmp_path / "own.cfg"
    text = CONFIG.read_text("utf-8").replace("backbone = null", "backbone = null\nvectors = null")
    config.write_text(text, encoding="utf-8")
    assert load_checked_config(config, paths)["paths"]["vectors"] is None
    with pytest.raises(InputError, match=r"paths\.vectors: missing doesn't exist"):
        load_checked_config(config, paths | {"paths.vectors": "missing"})


def test_train_requires_its_paths(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run(tmp_path / "out", "--device", "cpu")
    assert "paths.train is not set; give --paths.train PATH" in capsys.readouterr().err


def interrupt(*_: object, **__: object) -> None:
    raise RuntimeError("interrupted")


def test_train_keeps_the_previous_run_if_interrupted(
    trained: Path, paths: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (trained / "run.json").read_bytes()
    monkeypatch.setattr(loop, "train_pipeline", interrupt)
    with pytest.raises(RuntimeError, match="interrupted"):
        run(trained, "--device", "cpu", *arguments(paths))
    assert (trained / "run.json").read_bytes() == before
    assert (trained / "model-best").is_dir()


def test_train_that_was_killed_before_its_last_step_is_finished_by_the_next_run(
    paths: dict[str, str], trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The complete training is put into its place before the next one begins."""
    output, partial = tmp_path / "out", tmp_path / "out.partial"
    shutil.copytree(trained, partial)
    monkeypatch.setattr(loop, "train_pipeline", interrupt)
    with pytest.raises(RuntimeError, match="interrupted"):
        run(output, "--device", "cpu", *arguments(paths))
    assert (output / "run.json").read_bytes() == (trained / "run.json").read_bytes()
    assert (output / "model-best").is_dir()


def test_train_refuses_to_replace_files_of_others(paths: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("years of work")
    for output in (tmp_path / "out", tmp_path / "out" / "thesis.txt"):
        with pytest.raises(SystemExit):
            run(output, "--device", "cpu", *arguments(paths))
    assert (tmp_path / "out" / "thesis.txt").read_text() == "years of work"
    assert [path.name for path in tmp_path.glob("out*")] == ["out"]


@pytest.mark.parametrize("where", ["out", "out.partial"])
@pytest.mark.parametrize("name", ["paths.train", "paths.backbone"])
def test_train_refuses_an_output_that_holds_what_the_config_reads(
    name: str,
    where: str,
    paths: dict[str, str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """As learn-more would with the run that it starts from."""
    source = tmp_path / where / "input.spacy"
    with atomic_write(source.parent) as folder:
        copy = shutil.copytree if Path(paths[name]).is_dir() else shutil.copy
        folder.mkdir()
        copy(paths[name], folder / source.name)
    with pytest.raises(SystemExit):
        run(tmp_path / "out", "--device", "cpu", *arguments(paths | {name: str(source)}))
    assert f"{where} contains the input {source}; choose another output" in capsys.readouterr().err
    assert source.exists()


def test_train_reports_when_it_runs_on_the_cpu(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert resolve_device("auto") == -1
    printed = capsys.readouterr().out
    assert "No GPU found: running on the CPU" in printed
    assert len(printed.splitlines()) == 1


def test_train_gpu_without_cupy_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU that spaCy can't use is not silently ignored: training on the CPU takes hours."""
    from conll_ner.common import device

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(device, "has_cupy", lambda _: False)
    with pytest.raises(InputError, match="pip install cupy-cuda"):
        resolve_device("auto")


@pytest.mark.slow
def test_train_token_ner_with_its_config(paths: dict[str, str], tmp_path: Path) -> None:
    """The default config with sentences, windows, head. The same seed gives the same scores."""
    config = ROOT / "configs" / "token_ner.cfg"
    scores = []
    for name in ("one", "two"):
        options = ["--device", "cpu", *arguments(paths), "--training.max_epochs", 2]
        run(tmp_path / name, *options, config=config)
        nlp = spacy.load(tmp_path / name / "model-best")
        assert nlp.pipe_names == ["sentencizer", "transformer", "token_ner"]
        doc = nlp("Ada Lindqvist left. She went to Varnholm.")
        assert len(list(doc.sents)) == 2
        assert all(0 <= ent._.score <= 1 for ent in doc.ents)
        scores.append(json.loads((tmp_path / name / "run.json").read_text())["best_dev_f"])
    assert scores[0] == scores[1]


@pytest.mark.slow
def test_train_draws_augmentation_again_in_every_epoch(
    paths: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every update's documents are recorded: half of each epoch is in lower case, and not the same
    half. The saved config has epochs that plain `spacy train` reads in the usual way."""
    seen: list[str] = []
    update = TokenNER.update

    def record(self: TokenNER, examples: list[Example], **settings: Any) -> Any:
        seen.extend(eg.reference.text for eg in examples)
        return update(self, examples, **settings)

    monkeypatch.setattr(TokenNER, "update", record)
    config = ROOT / "configs" / "token_ner.cfg"
    shares = {"lower": 0.5, "upper": 0, "typos": 0, "no_final_punctuation": 0, "raw": 0}
    options: dict[str, Any] = {
        f"corpora.train.augmenter.{name}": share for name, share in shares.items()
    }
    options |= {"training.max_epochs": 2}
    run(tmp_path / "out", "--device", "cpu", *arguments(paths | options), config=config)
    n = len(list(docs.read_docs(Path(paths["paths.train"]), spacy.blank("en").vocab)))
    epochs = [sorted(seen[:n], key=str.lower), sorted(seen[n : 2 * n], key=str.lower)]
    assert [text.lower() for text in epochs[0]] == [text.lower() for text in epochs[1]]
    lower = [[text.islower() for text in epoch] for epoch in epochs]
    assert lower[0] != lower[1]
    assert all(0 < sum(epoch) < n for epoch in lower)
    saved = load_config(tmp_path / "out" / "model-best" / "config.cfg")
    assert saved["training"]["max_epochs"] == 0


@pytest.mark.slow
def test_train_calibrates_the_best_pipeline_on_dev(
    paths: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tiny pipeline finds few mentions, so its scores are replaced by overconfident ones."""
    monkeypatch.setattr(calibrating, "scored_mentions", lambda *_: OVERCONFIDENT)
    config = ROOT / "configs" / "token_ner.cfg"
    options: dict[str, Any] = {
        "training.max_epochs": 1,
        "components.transformer.model.window": "null",
    }
    run(tmp_path / "out", "--device", "cpu", *arguments(paths | options), config=config)
    record = json.loads((tmp_path / "out" / "run.json").read_text())["calibration"]
    head = spacy.load(tmp_path / "out" / "model-best").get_pipe("token_ner")
    assert describe(head.calibration) == pytest.approx(record["fitted"])  # type: ignore[attr-defined]
    assert record["fitted"]["unseen"] < -0.5
    train_docs = docs.read_docs(Path(paths["paths.train"]), spacy.blank("en").vocab)
    texts = {text_key(ent.text) for doc in train_docs for ent in doc.ents}
    assert head.calibration.seen == texts  # type: ignore[attr-defined]
    before, after = record["expected calibration error"]
    assert after < before == pytest.approx(0.2, abs=0.05)
    last = spacy.load(tmp_path / "out" / "model-last").get_pipe("token_ner")
    assert last.calibration is None  # type: ignore[attr-defined]


def test_train_another_logger_has_its_own_settings(
    paths: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    @registry.loggers("tests.Tracker.v1")
    def make_tracker(project: str) -> Any:
        return lambda *_: project

    overrides = paths | {
        "training.logger.@loggers": "tests.Tracker.v1",
        "training.logger.project": "ner",
    }
    config = load_checked_config(CONFIG, overrides)
    assert config["training"]["logger"] == {"@loggers": "tests.Tracker.v1", "project": "ner"}
    kept = load_checked_config(CONFIG, paths | {"training.logger.progress_bar": "train"})
    assert kept["training"]["logger"]["@loggers"] == "spacy.ConsoleLogger.v3"
    assert kept["training"]["logger"]["console_output"] is True
    monkeypatch.setitem(sys.modules, "mlflow", None)  # as if it were not installed
    with pytest.raises(InputError, match=r"spacy.MLflowLogger.v2: The 'mlflow' library could not"):
        load_checked_config(CONFIG, paths | {"training.logger.@loggers": MLFLOW})
