"""Running project.yml: which steps run again after a change, and the demo end to end."""

import hashlib
import json
import re
import shlex
import shutil
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import srsly
import weasel.cli.run
from weasel.cli.run import project_run
from weasel.util.config import load_project_config

from tests.conftest import CONLL2003, ROOT, SPLITS
from tests.project_helpers import ALL, copy_project, cut, run, steps

# --- Which steps run again, on stubs ---

VARIABLES = {"vars.corpus": "sample", "vars.run": "demo"}


class Stubs:
    """The project with every step replaced by a stub that reads its deps and writes its outputs.
    What runs again is decided by weasel itself, from the files' hashes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        shutil.copy(ROOT / "project.yml", folder)
        self.config = load_project_config(folder, overrides=VARIABLES)
        commands = self.config["commands"]
        self.steps = {step["name"]: step for step in commands if step["name"] in ALL}
        made = {path for step in self.steps.values() for path in step["outputs"]}
        corpus = {path for path in made if path == "assets/sample"}
        named = {path for step in self.steps.values() for path in step["deps"]}
        self.sources = sorted((named - made) | corpus)
        for path in self.sources:
            write(folder / path / "file" if path in corpus else folder / path, path)
        self.ran: list[str] = []

    def run_commands(self, commands: Sequence[str], **_: Any) -> None:
        """In place of weasel's: the outputs' content follows from what they are made of."""
        (step,) = (s for s in self.steps.values() if s["script"] == list(commands))
        self.ran.append(step["name"])
        for path in step["outputs"]:
            if step["name"] != "fetch" or not (self.folder / path).exists():
                inputs = [read(self.folder / dep) for dep in self.inputs(step, path)]
                target = self.folder / path
                write(target if target.suffix else target / "file", sha256_of(inputs))

    def inputs(self, step: dict[str, Any], output: str) -> list[str]:
        """RETURNS (list[str]): The deps that an output is made of: where a line of the script
        names it, those that the line names, and the version."""
        for line in step["script"]:
            if output in shlex.split(line):
                return [d for d in step["deps"] if d in line or d.startswith("scripts/")]
        return list(step["deps"])

    def run(self) -> list[str]:
        self.ran = []
        project_run(self.folder, "all", overrides=VARIABLES)
        return self.ran

    def expected(self, changed: str) -> list[str]:
        """RETURNS (list[str]): The steps that a changed file reaches, by the graph."""
        reached, ran = {changed}, []
        for name in ALL:
            step = self.steps[name]
            if reached & set(step["deps"]):
                ran.append(name)
                if name != "fetch":
                    made = step["outputs"]
                    reached |= {o for o in made if reached & set(self.inputs(step, o))}
            elif reached & set(step["outputs"]):  # weasel also compares outputs
                ran.append(name)
        return ran


def write(path: Path, text: str) -> None:
    path = path / "file" if path.is_dir() else path
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def read(path: Path) -> str:
    return (path / "file" if path.is_dir() else path).read_text(encoding="utf-8")


def sha256_of(texts: Sequence[str]) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()


@pytest.fixture(scope="module")
def stubs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stubs]:
    stubs = Stubs(tmp_path_factory.mktemp("stubs"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(weasel.cli.run, "run_commands", stubs.run_commands)
        # weasel reads project.yml again for every step; it doesn't change here.
        patch.setattr(weasel.cli.run, "load_project_config", lambda *_, **__: stubs.config)
        # The lock file as JSON, which is read a hundred times as fast as YAML.
        json_files = SimpleNamespace(read_yaml=srsly.read_json, write_yaml=srsly.write_json)
        patch.setattr(weasel.cli.run, "srsly", json_files)
        assert stubs.run() == ALL
        yield stubs


def test_project_second_run_skips_everything(stubs: Stubs) -> None:
    stubs.run()
    assert stubs.run() == []


@pytest.mark.parametrize(
    ("changed", "ran"),
    [
        ("scripts/token_ner/about.py", ALL),
        ("configs/token_ner.cfg", ["train", "evaluate", "package", "install"]),
        # fetch looks at a changed corpus again.
        ("assets/sample/file", ALL),
    ],
)
def test_project_change_runs_what_depends_on_it(stubs: Stubs, changed: str, ran: list[str]) -> None:
    write(stubs.folder / changed, f"{changed} changed {time.time_ns()}")
    assert stubs.run() == ran
    assert stubs.run() == []


def test_project_change_of_any_file_runs_what_depends_on_it(stubs: Stubs) -> None:
    """The version, the config and the corpus, one after the other."""
    assert len(stubs.sources) == 3
    for changed in stubs.sources:
        write(stubs.folder / changed, f"{changed} changed {time.time_ns()}")
        assert stubs.run() == stubs.expected(changed) != [], changed


# --- End to end ---


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo, run by the interpreter itself: every process imports what it needs."""
    folder = tmp_path_factory.mktemp("demo")
    copy_project(folder)
    result = run(folder, "demo")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "| demo | test |" in result.stdout
    # Last, the commands that show the report and serve the pipeline, to be copied.
    for name, step in (("Report", "report"), ("Service", "serve")):
        (line,) = (x for x in result.stdout.splitlines() if x.startswith(f"{name}: "))
        assert line.startswith(f"{name}: .venv/bin/python -m spacy project run {step} . --vars")
        assert "--vars.run demo" in line
    assert steps(result.stdout)[0] == ["demo", *ALL, "scores"]
    return folder


@pytest.mark.slow
def test_project_demo_finds_names(demo: Path) -> None:
    """On 600 invented sentences a pipeline learns something: far from 0, and not its own gold."""
    metrics = json.loads((demo / "metrics" / "demo.json").read_text())
    for split in ("dev", "test"):
        assert 0.4 < metrics["splits"][split]["conlleval"]["overall"]["f1"] < 1
    assert metrics["training"]["backbone"]["name"] == "minilm"
    assert len(metrics["corpus"]) == 3


@pytest.mark.slow
def test_project_demo_second_run_skips_everything(demo: Path, python: Path) -> None:
    result = run(demo, "demo", python=python)
    assert result.returncode == 0
    assert steps(result.stdout) == (["demo", "scores"], ALL)


@pytest.mark.slow
def test_project_demo_change_runs_what_depends_on_it(demo: Path, python: Path) -> None:
    """The one case that the stubs' tests above are checked against."""
    (demo / "metrics" / "demo" / "install.json").unlink()
    result = run(demo, "demo", python=python)
    assert result.returncode == 0, result.stdout + result.stderr
    assert [name for name in steps(result.stdout)[0] if name in ALL] == ["install"]


@pytest.mark.slow
def test_project_broken_corpus_stops_the_run(demo: Path, python: Path) -> None:
    path = demo / "assets" / "sample" / "train.txt"
    old = path.read_text("utf-8")
    lines = old.splitlines()
    path.write_text("\n".join(lines[: len(lines) // 2]).rstrip() + "\nhalf", encoding="utf-8")
    try:
        result = run(demo, "demo", python=python)
        assert result.returncode != 0
        assert re.search(r"train\.txt:\d+: 1 columns where the first row has 4", result.stderr)
    finally:
        path.write_text(old, encoding="utf-8")


@pytest.mark.slow
def test_project_clean_removes_what_was_made(python: Path, tmp_path: Path) -> None:
    copy_project(tmp_path)
    before = {path for path in tmp_path.rglob("*") if path.is_file()}
    for made in ("corpus/a", "training/b/c", "metrics/d", "packages/e", "assets/backbone/f"):
        (tmp_path / made).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / made).touch()
    assert run(tmp_path, "clean", python=python).returncode == 0
    after = {p for p in tmp_path.rglob("*") if p.is_file() and p.name != "project.lock"}
    assert after == before


@pytest.mark.slow
@pytest.mark.skipif(not CONLL2003.is_dir(), reason="CoNLL-2003 is not here")
def test_project_all_on_a_cut_of_conll2003(python: Path, tmp_path: Path) -> None:
    """The commands of `all`, the small backbone, a part of the real corpus."""
    copy_project(tmp_path)
    for split, documents in zip(SPLITS, (40, 10, 10), strict=True):
        cut(CONLL2003 / f"{split}.txt", tmp_path / "cut" / f"{split}.txt", documents)
    result = run(
        tmp_path,
        *("all", "."),
        *("--vars.corpus", "cut", "--vars.corpus_dir", "cut", "--vars.backbone", "minilm"),
        python=python,
        WEASEL_CONFIG_OVERRIDES="--vars.learn_rate 3e-4 --vars.epochs 3 --vars.device cpu",
    )
    assert result.returncode == 0, result.stdout + result.stderr
    metrics = json.loads((tmp_path / "metrics" / "token_ner.json").read_text())
    assert metrics["training"]["epochs"] == 3
    assert metrics["splits"]["dev"]["conlleval"]["overall"]["f1"] > 0.4
    wheel = "packages/token_ner/en_ner_cut_trf-0.1.0/dist/en_ner_cut_trf-0.1.0-py3-none-any.whl"
    assert (tmp_path / wheel).is_file()


@pytest.mark.slow
def test_project_all_without_hub_or_corpus_says_what_to_do(python: Path, tmp_path: Path) -> None:
    copy_project(tmp_path)
    result = run(tmp_path, "all", python=python, CONLL2003_DIR="")
    assert result.returncode != 0
    assert "No source has the corpus conll2003" in result.stderr
    assert "--vars.corpus_dir FOLDER, or set CONLL2003_DIR" in result.stderr
    assert "Traceback" not in result.stderr
