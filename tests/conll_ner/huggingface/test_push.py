"""Upload to the hub, and the pipeline that comes back; on a server that speaks its calls."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import spacy
import typer
from huggingface_hub import ModelCard
from spacy.language import Language
from spacy.schemas import ModelMetaSchema, validate
from typer.testing import CliRunner, Result

from conll_ner.common.pipelines import load_pipeline
from conll_ner.huggingface import push
from conll_ner.huggingface.card import hub_metadata
from conll_ner.huggingface.push import upload_files
from conll_ner.packaging import package
from tests.conftest import ROOT
from tests.hub_helpers import READ_TOKEN, TOKEN, FakeHub, connect, fake_hub

KEPT = ROOT / "tests" / "data" / "pipeline"
TEXT = "Ada Lindqvist left Varnholm for the Norden Bank."
PRF = {"precision": 0.5, "recall": 0.25, "f1": 1 / 3}
METRICS: dict[str, Any] = {
    "name": "rules",
    "training": {"backbone": {"name": "minilm"}, "config": "rules"},
    "corpus": {"assets/sample/train.txt": ""},
    "splits": {
        name: {
            "conlleval": {"overall": PRF | {"f1": f1}, "types": {"PER": PRF}},
            "token_accuracy": 0.5,
            "f1_by": {},
            "calibration": None,
            "raw_text": None,
            "lower_case": None,
        }
        for name, f1 in (("dev", 0.75), ("test", 1 / 3))
    },
}


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    with fake_hub() as server:
        connect(server.url, tmp_path / "cache", monkeypatch)
        yield server


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of a pipeline of rules, with the metrics above."""
    folder = tmp_path_factory.mktemp("wheel")
    nlp = spacy.blank("en")
    ruler: Any = nlp.add_pipe("entity_ruler")
    ruler.add_patterns([{"label": "PER", "pattern": "Ada Lindqvist"}])
    nlp.to_disk(folder / "model")
    (folder / "metrics.json").write_text(json.dumps(METRICS), encoding="utf-8")
    package.main(folder / "model", folder / "metrics.json", folder / "made", "en_ner_rules", "1.0")
    return next(folder.glob("made/*/dist/*.whl"))


def run(*arguments: object) -> Result:
    app = typer.Typer(add_completion=False)
    app.command()(push.main)
    return CliRunner().invoke(app, [str(each) for each in arguments])


def mentions(nlp: Language) -> list[tuple[Any, ...]]:
    return [(e.text, e.label_, e._.score) for e in nlp(TEXT).ents]


def test_push_folder_comes_back_the_same(hub: FakeHub) -> None:
    result = run(KEPT, "ada/tiny")
    assert result.exit_code == 0, result.stderr
    assert f"{hub.url}/ada/tiny/commit/" in result.stdout
    assert len(hub.commits) == 1
    assert mentions(load_pipeline("ada/tiny")) == mentions(load_pipeline(str(KEPT))) != []
    files = hub.repos["ada/tiny"]
    for path in KEPT.rglob("*"):
        if path.is_file():
            assert files[path.relative_to(KEPT).as_posix()] == path.read_bytes()
    card = files["README.md"].decode()
    assert "| **Name** | `xx_pipeline` |" in card
    assert "spacy ner predict ada/tiny texts.jsonl" in card


def test_push_wheel_is_beside_its_pipeline_and_card(hub: FakeHub, wheel: Path) -> None:
    assert run(wheel, "ada/rules", "--private").exit_code == 0
    files = hub.repos["ada/rules"]
    assert hub.private["ada/rules"]
    assert files[wheel.name] == wheel.read_bytes()
    assert [(e.text, e.label_) for e in load_pipeline("ada/rules")(TEXT).ents] == [
        ("Ada Lindqvist", "PER")
    ]
    card = ModelCard(files["README.md"].decode())
    assert card.text.strip().startswith("# en_ner_rules\n")  # the one in the wheel
    assert f"pip install {hub.url}/ada/rules/resolve/main/{wheel.name}\n" in card.text
    assert "| rules | test | 50.00 | 25.00 | 33.33 |" in card.text
    data: Any = card.data
    assert data.base_model == "sentence-transformers/all-MiniLM-L6-v2"
    assert (data.language, data.license) == ("en", "mit")
    scores = {(e.dataset_split, e.metric_type): e.metric_value for e in data.eval_results}
    assert scores == pytest.approx(
        {
            ("dev", "precision"): 0.5,
            ("dev", "recall"): 0.25,
            ("dev", "f1"): 0.75,
            ("test", "precision"): 0.5,
            ("test", "recall"): 0.25,
            ("test", "f1"): 1 / 3,
        }
    )


def test_push_replaces_the_pipeline_in_one_commit(hub: FakeHub, wheel: Path) -> None:
    hub.repos["ada/rules"] = {".gitattributes": b"x"}
    assert run(KEPT, "ada/rules").exit_code == 0
    assert run(wheel, "ada/rules").exit_code == 0
    assert len(hub.commits) == 2
    files = hub.repos["ada/rules"]
    assert "transformer/model" not in files
    assert files[".gitattributes"] == b"x"
    assert load_pipeline("ada/rules").pipe_names == ["entity_ruler"]


def test_push_keeps_a_repository_of_something_else(hub: FakeHub) -> None:
    hub.repos["ada/other"] = {"model.safetensors": b"x", "README.md": b"y"}
    result = run(KEPT, "ada/other")
    assert result.exit_code == 1
    assert "it has other files than a pipeline's: model.safetensors" in result.stderr
    assert hub.commits == []


@pytest.mark.parametrize("options", [[], ["--dry-run"]])
def test_push_without_a_token_or_on_request_only_prints(
    hub: FakeHub, wheel: Path, options: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if not options:
        monkeypatch.delenv("HF_TOKEN")
    result = run(wheel, "ada/rules", *options)
    assert result.exit_code == 0
    assert "model-index:" in result.stdout
    for name in (wheel.name, "README.md", "entity_ruler/patterns.jsonl"):
        assert f"MB  {name}\n" in result.stdout
    assert "Nothing is uploaded to ada/rules: set HF_TOKEN" in " ".join(result.stdout.split())
    assert hub.requests == []


@pytest.mark.parametrize(
    ("source", "repo", "token", "message"),
    [
        (KEPT, "ada/tiny", READ_TOKEN, "ada/tiny is not uploaded: HF_TOKEN has no permission"),
        (KEPT, "ada/tiny", "hf_wrong", "it doesn't exist, or HF_TOKEN is missing or wrong"),
        (KEPT, "tiny", TOKEN, "tiny is not OWNER/NAME: the owner is missing"),
        (KEPT, "a b/tiny", TOKEN, "a b/tiny is not OWNER/NAME: Repo id must use alphanumeric"),
        (KEPT, "ada/tiny/x", TOKEN, "ada/tiny/x is not OWNER/NAME: Repo id must be in the form"),
        (KEPT.parent, "ada/tiny", TOKEN, f"{KEPT.parent} is not a pipeline: pass a wheel of"),
        (ROOT / "README.md", "ada/tiny", TOKEN, "README.md is not a pipeline: pass a wheel of"),
        (ROOT / "no.whl", "ada/tiny", TOKEN, "no.whl is not a pipeline: pass a wheel of"),
    ],
)
def test_push_errors_are_one_line(
    hub: FakeHub,
    source: Path,
    repo: str,
    token: str,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HF_TOKEN", token)
    result = run(source, repo)
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert message in line
    assert hub.commits == []


def test_push_without_a_network_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect("http://127.0.0.1:9", tmp_path, monkeypatch)
    result = run(KEPT, "ada/tiny")
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert line == "Error: ada/tiny is not uploaded: http://127.0.0.1:9 can't be reached"


# What spacy-huggingface-hub 0.0.10 makes of the wheel's meta.json.
SPACY_HUB: dict[str, Any] = {
    "tags": ["spacy"],
    "language": ["en"],
    "license": "mit",
    "name": "en_ner_rules",
    "task": "token-classification",
    "metrics": {"NER Precision": 0.5, "NER Recall": 0.25, "NER F Score": 0.3333333333},
}


def test_push_metadata_have_all_of_spacy_huggingface_hub(wheel: Path) -> None:
    """And the meta.json is what spaCy allows."""
    with upload_files(wheel, "ada/rules") as folder:
        meta = json.loads((folder / "meta.json").read_text())
        made = ModelCard.load(folder / "README.md").data.to_dict()
    assert validate(ModelMetaSchema, meta) == []
    assert set(SPACY_HUB["tags"]) <= set(made["tags"])
    assert [made["language"]] == SPACY_HUB["language"]
    assert made["license"] == SPACY_HUB["license"]
    (index,) = made["model-index"]
    assert index["name"] == SPACY_HUB["name"]
    test = index["results"][-1]  # meta's ents_p, ents_r and ents_f are those of the last split
    assert test["task"]["type"] == SPACY_HUB["task"]
    assert {m["name"]: m["value"] for m in test["metrics"]} == SPACY_HUB["metrics"]
    assert test["dataset"]["name"] == "the project's sample corpus"
    assert test["dataset"]["split"] == "test"


def test_push_metadata_of_a_trained_folder_are_spacys_own() -> None:
    """Which it measures on the dev corpus; another language, no license, no backbone."""
    meta = {"lang": "xx", "name": "x", "performance": {"ents_p": 0.5, "ents_r": 1, "ents_f": 0.6}}
    made = hub_metadata(meta).to_dict()
    (result,) = made["model-index"][0]["results"]
    assert [m["value"] for m in result["metrics"]] == [0.5, 1, 0.6]
    assert result["dataset"] == {"type": "unknown", "name": "unknown", "split": "dev"}
    assert made["language"] == "multilingual"
    assert not {"license", "base_model"} & made.keys()
    for unscored in ({}, {"ents_f": None, "ents_p": None, "ents_r": None}):
        assert "model-index" not in hub_metadata(meta | {"performance": unscored}).to_dict()


@pytest.mark.slow
def test_push_and_predict_by_the_environment(hub: FakeHub, tmp_path: Path) -> None:
    """As a user runs them: the endpoint, the token and the cache by environment variables."""
    settings = {"HF_ENDPOINT": hub.url, "HF_HUB_OFFLINE": "0", "HF_HOME": str(tmp_path / "home")}
    (tmp_path / "texts.jsonl").write_text(json.dumps({"text": TEXT}) + "\n")
    for name, arguments in {
        "push": [str(KEPT), "ada/tiny"],
        "predict": ["ada/tiny", "texts.jsonl", "-o", "out.jsonl", "--device", "cpu"],
    }.items():
        command = [sys.executable, "-m", "spacy", "ner", name, *arguments]
        environment = os.environ | settings | {"HF_TOKEN": TOKEN}
        subprocess.run(command, cwd=tmp_path, env=environment, check=True)
    found = json.loads((tmp_path / "out.jsonl").read_text())["mentions"]
    expected = mentions(load_pipeline(str(KEPT)))
    assert [(m["text"], m["label"], m["score"]) for m in found] == expected
