"""Pipelines by hub id: which names are ids, and which configs are refused."""

import shutil
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from conll_ner.common import hub
from conll_ner.common.console import InputError
from conll_ner.common.pipelines import load_pipeline
from conll_ner.prediction.parts import fingerprint_run, pipeline_folder
from tests.conftest import ROOT
from tests.hub_helpers import FakeHub, connect, fake_hub

KEPT = ROOT / "tests" / "data" / "pipeline"
CODE = "raise SystemExit('code of a stranger')\n"


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    """A hub with the pipeline ada/tiny."""
    monkeypatch.chdir(tmp_path)
    with fake_hub() as server:
        connect(server.url, tmp_path / "cache", monkeypatch)
        server.repos["ada/tiny"] = {
            path.relative_to(KEPT).as_posix(): path.read_bytes()
            for path in KEPT.rglob("*")
            if path.is_file()
        }
        yield server


@pytest.mark.parametrize(
    "name", ["ada/tiny", "ada-l/en_ner.v1", "spacy/en_core_web_sm", "training/model-best"]
)
def test_hub_id_is_owner_and_name(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert hub.is_hub_id(name)


@pytest.mark.parametrize(
    "name",
    ["en_ner_x", "./tiny", "../tiny", "/a/b", "/tiny", "~/tiny", "a/b/c", "a//b", "a/", "a b/c"],
)
def test_hub_other_names_are_no_ids(name: str) -> None:
    assert not hub.is_hub_id(name)


def test_hub_a_path_stays_local(served: FakeHub, tmp_path: Path) -> None:
    """Also one with a mistake in it: the first folder exists."""
    (tmp_path / "ada").mkdir()
    for error in ("ada/tiny is not a pipeline", "ada/tiny is not a pipeline"):
        with pytest.raises(InputError, match=error):
            load_pipeline("ada/tiny")
    shutil.copytree(KEPT, tmp_path / "ada" / "tiny")
    load_pipeline("ada/tiny")
    assert served.requests == []


def test_hub_code_and_wheels_are_not_downloaded(served: FakeHub) -> None:
    served.repos["ada/tiny"] |= {"x.py": CODE.encode(), "a/__init__.py": b"", "x-1.whl": b"x"}
    folder = hub.download_pipeline("ada/tiny")
    assert not [path for path in folder.rglob("*") if path.suffix in (".py", ".whl")]
    load_pipeline("ada/tiny")


def test_hub_a_new_commit_is_another_run(served: FakeHub) -> None:
    """So that predict --resume doesn't join parts of two pipelines."""
    before = fingerprint_run("ada/tiny", [], {})
    assert fingerprint_run("ada/tiny", [], {}) == before
    served.repos["ada/tiny"]["meta.json"] += b"\n"
    assert fingerprint_run("ada/tiny", [], {}) != before


def test_hub_without_a_network_takes_the_cache(
    served: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = pipeline_folder("ada/tiny")
    before = len(served.requests)
    connect("http://127.0.0.1:9", tmp_path / "cache", monkeypatch)
    assert pipeline_folder("ada/tiny") == folder
    with pytest.raises(InputError, match=r"ada/new is no folder, .*127.0.0.1:9 can't be reached"):
        load_pipeline("ada/new")
    assert len(served.requests) == before


def test_hub_errors_are_one_line(served: FakeHub) -> None:
    served.repos["ada/data"] = {"train.parquet": b"x"}
    served.repos["ada/broken"] = {"config.cfg": b"[nlp", "meta.json": b"{}"}
    for name, message in {
        "ada/none": "no folder, and not had from the hub: it doesn't exist, or HF_TOKEN",
        "ada/data": "ada/data on the hub is not a pipeline: it has no config.cfg",
        "ada/broken": "not a config",
        "ada/ti--ny": "no folder, and not had from the hub: Cannot have -- or ..",
    }.items():
        with pytest.raises(InputError) as error:
            load_pipeline(name)
        assert message in str(error.value)
        assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        (
            "conll_ner.WindowedTransformer.v1",
            "spacy-transformers.TransformerModel.v3",
            "spacy-transformers.TransformerModel.v3",
        ),
        ("conll_ner.TokenClassifier.v1", "other.Head.v1", "other.Head.v1"),
        ("conll_ner.TokenClassifier.v1", "${vars.head}", "other.Head.v2"),
        ('factory = "sentencizer"', 'source = "en_core_web_sm"', "sentencizer of another pipeline"),
        ('factory = "sentencizer"', 'factory = "llm"', "llm"),
        ('lang = "xx"', 'lang = "xx"\nx = [{"@misc": "other.run.v1"}]', "other.run.v1"),
    ],
)
def test_hub_a_config_that_could_run_code_is_refused(
    served: FakeHub, old: str, new: str, named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only by hub id: a folder is loaded as spaCy does, whoever trusts its author."""
    foreign = EntryPoint("llm", "spacy_llm.pipeline:make_llm", "spacy_factories")
    own = EntryPoint("token_ner", "token_ner.factory:make_token_ner", "spacy_factories")
    monkeypatch.setattr(hub, "entry_points", lambda **_: [foreign, own])
    files = served.repos["ada/tiny"]
    config = files["config.cfg"].decode()
    assert old in config
    config = config.replace(old, new) + '\n[vars]\nhead = "other.Head.v2"\n'
    files["config.cfg"] = config.encode()
    with pytest.raises(InputError) as error:
        load_pipeline("ada/tiny")
    message = str(error.value)
    assert f"ada/tiny on the hub uses {named}, which could run code of its author" in message
    assert Path(message.rpartition(": ")[2], "config.cfg").is_file()


@pytest.mark.parametrize("name", ["token_ner", "spancat", "transition_ner"])
def test_hub_configs_of_the_project(name: str) -> None:
    """All but the one whose transformer is another package's."""
    path = ROOT / "configs" / f"{name}.cfg"
    if name != "transition_ner":
        hub.check_config(path, name)
        return
    with pytest.raises(InputError, match=r"spacy-transformers\.TransformerModel"):
        hub.check_config(path, name)
