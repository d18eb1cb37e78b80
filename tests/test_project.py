"""project.yml: every command whole, the chain of files unbroken, and the demo end to end."""

import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import srsly
import weasel.cli.run
from weasel.cli.document import project_document
from weasel.cli.run import project_run
from weasel.schemas import ProjectConfigSchema, validate
from weasel.util.config import load_project_config

from corpus import conll
from tests.conftest import CONLL2003, ROOT, SPLITS

COPIED = (
    "assets/sample",
    "configs",
    "scripts",
    "project.yml",
    "LICENSE",
    "requirements-minilm.txt",
)


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    config: dict[str, Any] = load_project_config(ROOT)
    return config


def command(project: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(c for c in project["commands"] if c["name"] == name)
    return found


def test_project_file_is_valid() -> None:
    assert validate(ProjectConfigSchema, srsly.read_yaml(ROOT / "project.yml")) == []


def test_project_commands_have_help(project: dict[str, Any]) -> None:
    assert all(len(command["help"]) > 10 for command in project["commands"])


@pytest.mark.parametrize("workflow", ["all", "all-hf"])
def test_project_chain_is_unbroken(project: dict[str, Any], workflow: str) -> None:
    """What a step reads is in the repository or an earlier step's output."""
    made: set[str] = set()
    for name in project["workflows"][workflow]:
        step = command(project, name)
        for dep in step["deps"]:
            assert dep in made or (ROOT / dep).is_file(), f"{name} reads {dep}"
        assert step["outputs"], f"{name} would never be skipped"
        made |= set(step["outputs"])


def test_project_deps_hold_every_config_and_file_named(project: dict[str, Any]) -> None:
    """A changed input must run the steps that read it again: none may be left out of deps.
    tests/test_deps.py does the same for scripts."""
    for step in project["commands"]:
        name = step["name"]
        known = {*step.get("deps", []), *step.get("outputs", [])}
        for line in step["script"] if known else []:
            for argument in shlex.split(line)[2:]:
                if argument.startswith(("assets/", "configs/", "corpus/", "training/", "metrics/")):
                    below = [path for path in known if path.startswith(f"{argument}/")]
                    assert argument in known or below, f"{name} names {argument}"


def test_project_variables_reach_the_commands() -> None:
    overrides = {
        "vars.backbone": "some/backbone",
        "vars.corpus_dir": "some folder",
        "vars.corpus": "mine",
        "vars.config": "other_config",
        "vars.device": "cpu",
        "vars.seed": 17,
        "vars.epochs": 5,
        "vars.package": "xx_my_model",
    }
    changed = load_project_config(ROOT, overrides=overrides)
    fetch, train = command(changed, "fetch"), command(changed, "train")
    assert shlex.split(fetch["script"][0])[-2:] == ["--source", "some folder"]
    assert shlex.split(fetch["script"][1])[3] == "some/backbone"
    line = train["script"][0]
    for part in (
        "configs/other_config.cfg training/other_config",
        "--device cpu",
        "--paths.train corpus/mine/train.spacy",
        "--system.seed 17",
        "--training.max_epochs 5",
    ):
        assert part in line
    assert "--package xx_my_model" in command(changed, "package")["script"][0]
    assert "metrics/other_config.json" in command(changed, "evaluate")["outputs"]


def test_project_readme_and_ci_run_the_same_tests() -> None:
    """CI runs the README's test command, to the letter."""
    readme = (ROOT / "README.md").read_text("utf-8")
    lines = [line for line in readme.splitlines() if line.startswith("python3 -m venv")]
    tests = [line for line in lines if line.endswith("-m pytest")]
    assert len(lines) == 2
    assert len(tests) == 1
    gate = (ROOT / ".ci" / "run").read_text("utf-8").splitlines()
    assert tests[0] in gate
    # The other command: its set-up is CI's too, but for the lock, which the tests' lock includes;
    # its end is the fixture `demo` here.
    (demo,) = set(lines) - set(tests)
    set_up = {step for line in gate for step in line.split(" && ")}
    lock = ".venv/bin/pip install -q --no-build-isolation -r requirements.txt"
    left = [step for step in demo.split(" && ") if step not in set_up]
    assert left == [lock, ".venv/bin/python -m spacy project run demo"]
    assert lock.replace(".txt", "-dev.txt") in set_up
    assert "-r requirements.txt" in (ROOT / "requirements-dev.txt").read_text("utf-8").splitlines()


def test_project_readme_is_short() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    by_hand = readme.partition("<!-- WEASEL: AUTO-GENERATED DOCS START")[0]
    assert len(by_hand.splitlines()) <= 130


def test_project_readme_documents_this_project(tmp_path: Path) -> None:
    """The README's block is what `spacy project document` writes."""
    readme = (ROOT / "README.md").read_text("utf-8")
    (tmp_path / "README.md").write_text(readme, encoding="utf-8")
    project_document(ROOT, tmp_path / "README.md", no_emoji=True)
    assert (tmp_path / "README.md").read_text("utf-8") == readme


# --- Which steps run again, on stubs ---

ALL = ["fetch", "convert", "train", "evaluate", "package", "install"]
VARIABLES = {"vars.corpus": "sample", "vars.run": "demo", "vars.package": "en_ner_sample_trf"}


class Stubs:
    """The project with every step replaced by a stub that reads its deps and writes its outputs.
    What runs again is decided by weasel itself, from the files' hashes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        shutil.copy(ROOT / "project.yml", folder)
        config = load_project_config(folder, overrides=VARIABLES)
        self.steps = {step["name"]: step for step in config["commands"] if step["name"] in ALL}
        made = {path for step in self.steps.values() for path in step["outputs"]}
        corpus = {path for path in made if path.startswith("assets/sample/")}
        named = {path for step in self.steps.values() for path in step["deps"]}
        self.sources = sorted((named - made) | corpus)
        for path in self.sources:
            write(folder / path, path)
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
        names it, those that the line names, and the scripts."""
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
        assert stubs.run() == ALL
        yield stubs


def test_project_second_run_skips_everything(stubs: Stubs) -> None:
    stubs.run()
    assert stubs.run() == []


@pytest.mark.parametrize(
    ("changed", "ran"),
    [
        ("scripts/install.py", ["install"]),
        ("scripts/evaluate.py", ["evaluate", "package", "install"]),
        ("scripts/package.py", ["package", "install"]),
        ("scripts/scoring/bootstrap.py", ["evaluate", "package", "install"]),
        ("scripts/token_ner/lattice.py", ["train", "evaluate", "package", "install"]),
        (
            "scripts/corpus/schemes.py",
            ["fetch", "convert", "train", "evaluate", "package", "install"],
        ),
        # fetch looks at a changed corpus again; train doesn't depend on the test file.
        ("assets/sample/test.txt", ["fetch", "convert", "evaluate", "package", "install"]),
        ("LICENSE", ["package", "install"]),
    ],
)
def test_project_change_runs_what_depends_on_it(stubs: Stubs, changed: str, ran: list[str]) -> None:
    write(stubs.folder / changed, f"{changed} changed {time.time_ns()}")
    assert stubs.run() == ran
    assert stubs.run() == []


@pytest.mark.slow
def test_project_change_of_any_file_runs_what_depends_on_it(stubs: Stubs) -> None:
    """Every script, config and file of the corpus, one after the other."""
    assert len(stubs.sources) > 40
    for changed in stubs.sources:
        write(stubs.folder / changed, f"{changed} changed {time.time_ns()}")
        assert stubs.run() == stubs.expected(changed) != [], changed


# --- End to end ---


def copy_project(folder: Path) -> None:
    """Copy what a clone has, and the embedded backbone's wheel if it is there."""
    for name in COPIED:
        source = ROOT / name
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if source.is_dir() else shutil.copy)(source, folder / name)
    wheels = ROOT / "assets" / "wheels"
    if wheels.is_dir():
        shutil.copytree(wheels, folder / "assets" / "wheels")


def run(
    folder: Path, *arguments: str, python: str | Path = sys.executable, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run a step or workflow as a user does, by the interpreter or by the fork server's client."""
    return subprocess.run(
        [str(python), "-m", "spacy", "project", "run", *arguments],
        cwd=folder,
        env=os.environ | {"HF_HUB_OFFLINE": "1", "PIP_NO_INDEX": "1"} | variables,
        capture_output=True,
        text=True,
    )


def steps(output: str) -> tuple[list[str], list[str]]:
    """The steps that ran and those that were skipped, read off what weasel prints."""
    named = re.findall(r"=+ (\w+) =+", output)
    skipped = re.findall(r"Skipping '(\w+)'", output)
    return [name for name in named if name not in skipped], skipped


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
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
def test_project_demo_second_run_skips_everything(demo: Path) -> None:
    result = run(demo, "demo")
    assert result.returncode == 0
    assert steps(result.stdout) == (["demo", "scores"], ALL)


@pytest.mark.slow
def test_project_demo_change_runs_what_depends_on_it(demo: Path) -> None:
    """The one case that the stubs' tests above are checked against."""
    path = demo / "scripts" / "install.py"
    path.write_text(f"{path.read_text('utf-8')}\n# changed\n", encoding="utf-8")
    result = run(demo, "demo")
    assert result.returncode == 0, result.stdout + result.stderr
    assert [name for name in steps(result.stdout)[0] if name in ALL] == ["install"]


@pytest.mark.slow
def test_project_broken_corpus_stops_the_run(demo: Path) -> None:
    path = demo / "assets" / "sample" / "train.txt"
    old = path.read_text("utf-8")
    lines = old.splitlines()
    path.write_text("\n".join(lines[: len(lines) // 2]).rstrip() + "\nhalf", encoding="utf-8")
    try:
        result = run(demo, "demo")
        assert result.returncode != 0
        assert re.search(r"train\.txt:\d+: 1 columns where the first row has 4", result.stderr)
    finally:
        path.write_text(old, encoding="utf-8")


@pytest.mark.slow
def test_project_clean_removes_what_was_made(tmp_path: Path) -> None:
    copy_project(tmp_path)
    before = {path for path in tmp_path.rglob("*") if path.is_file()}
    for made in ("corpus/a", "training/b/c", "metrics/d", "packages/e", "assets/backbone/f"):
        (tmp_path / made).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / made).touch()
    assert run(tmp_path, "clean").returncode == 0
    after = {p for p in tmp_path.rglob("*") if p.is_file() and p.name != "project.lock"}
    assert after == before


def cut(source: Path, target: Path, documents: int) -> None:
    corpus = conll.read_corpus(source)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(conll.format_corpus(corpus.documents[:documents]), encoding="utf-8")


@pytest.mark.slow
@pytest.mark.skipif(not CONLL2003.is_dir(), reason="CoNLL-2003 is not here")
def test_project_all_on_a_cut_of_conll2003(python: Path, tmp_path: Path) -> None:
    """The commands of `all`, the small backbone, a part of the real corpus."""
    copy_project(tmp_path)
    for split, documents in zip(SPLITS, (60, 15, 15), strict=True):
        cut(CONLL2003 / f"{split}.txt", tmp_path / "cut" / f"{split}.txt", documents)
    result = run(
        tmp_path,
        *("all", "."),
        *("--vars.corpus", "cut", "--vars.corpus_dir", "cut", "--vars.backbone", "minilm"),
        python=python,
        WEASEL_CONFIG_OVERRIDES="--vars.learn_rate 3e-4 --vars.epochs 5 --vars.device cpu",
    )
    assert result.returncode == 0, result.stdout + result.stderr
    metrics = json.loads((tmp_path / "metrics" / "token_ner.json").read_text())
    assert metrics["training"]["epochs"] == 5
    assert metrics["splits"]["dev"]["conlleval"]["overall"]["f1"] > 0.6
    wheel = "packages/en_ner_conll03_trf-0.1.0/dist/en_ner_conll03_trf-0.1.0-py3-none-any.whl"
    assert (tmp_path / wheel).is_file()


@pytest.mark.slow
def test_project_all_without_hub_or_corpus_says_what_to_do(tmp_path: Path) -> None:
    copy_project(tmp_path)
    result = run(tmp_path, "all", CONLL2003_DIR="")
    assert result.returncode != 0
    assert "No source has the corpus conll2003" in result.stderr
    assert "--vars.corpus_dir FOLDER, or set CONLL2003_DIR" in result.stderr
    assert "Traceback" not in result.stderr
