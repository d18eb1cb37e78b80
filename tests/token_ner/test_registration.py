"""Several copies of the code in one process, and the installed one: one rule for all of them."""

import json
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
import spacy
from spacy.tokens import Span
from spacy.util import registry

from conll_ner.common.console import InputError
from conll_ner.packaging import check_wheel as install
from conll_ner.packaging import package
from conll_ner.packaging.wheel import build_wheel
from tests.conftest import ROOT
from tests.token_ner.support import link_packages, run_cases
from token_ner import __version__, span_score
from token_ner.registration import architectures, register_score
from token_ner.span_scores import refuse_score

PIPELINE = ROOT / "tests" / "data" / "pipeline"
# Loads pipelines in order, each with its mentions, and says whose code each part of it is.
LOAD = """
import json, spacy
rows = []
for name in arguments:
    nlp = spacy.load(name)
    component, transformer = nlp.get_pipe("token_ner"), nlp.get_pipe("transformer")
    functions = [layer._func for layer in [*transformer.model.walk(), *component.model.walk()]]
    modules = {function.__module__ for function in functions if "token_ner" in function.__module__}
    modules |= {type(component).__module__, type(transformer.model.shims[0]).__module__}
    copies = sorted({module.partition("token_ner")[0] for module in modules})
    doc = nlp("Ada Lindqvist left Varnholm.")
    rows.append([name, copies, [[e.text, e._.score] for e in doc.ents]])
print(json.dumps(rows))
"""
ADD = """
import json, spacy
from spacy.util import load_config, load_model_from_config
nlp = spacy.blank("en")
nlp.add_pipe("token_ner")
config = load_config(arguments[0], overrides={"paths.backbone": "x"}, interpolate=True)
import token_ner
print(json.dumps([load_model_from_config(config).pipe_names, token_ner.__file__]))
"""


def make_package(folder: Path, name: str, version: str | None) -> None:
    """Make a model wheel of a pipeline and unpack it in a folder, as pip does. `version`
    is that of the code in it."""
    meta = json.loads((PIPELINE / "meta.json").read_text(encoding="utf-8"))
    meta |= {"name": name, "requirements": package.CODE_REQUIREMENTS}
    built = build_wheel(PIPELINE, folder / "build", meta, "# card")
    with zipfile.ZipFile(next((built / "dist").glob("*.whl"))) as wheel:
        wheel.extractall(folder / "site")
    about = folder / "site" / f"xx_{name}" / "token_ner" / "about.py"
    if version:
        about.write_text(f'__version__ = "{version}"\n', encoding="utf-8")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Model wheels with older and newer code, unpacked."""
    folder = tmp_path_factory.mktemp("copies")
    (folder / "build").mkdir()
    for name, version in (("older", "0.8.9"), ("same", None), ("newer", "99.0")):
        make_package(folder, name, version)
    return folder / "site"


@pytest.fixture(scope="module")
def project_wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `pip install .` builds."""
    folder = tmp_path_factory.mktemp("project")
    source = folder / "source"
    for name in ("scripts/token_ner", "pyproject.toml", "README.md", "LICENSE"):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, source / name)
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "-o", str(folder)]
    subprocess.run([*command, str(source)], check=True, capture_output=True)
    return next(folder.glob("*.whl"))


def case(code: str, arguments: list[str], *path: Path) -> dict[str, Any]:
    return {"code": code, "arguments": arguments, "path": [str(folder) for folder in path]}


def rows(output: str) -> list[Any]:
    return [json.loads(line) for line in output.splitlines() if line.startswith("[")]


@pytest.mark.slow
def test_registration_newest_of_several_copies_serves_whole_pipelines(
    site: Path, tmp_path: Path
) -> None:
    """In whatever order they are loaded, no pipeline mixes two copies."""
    old, new, same = "xx_older", "xx_newer", "xx_same"
    orders = [[old, new, old], [new, old], [same, old, new]]
    cases = [case(LOAD, order, site) for order in orders]
    result = run_cases(cases, tmp_path, installed=False)
    assert result.returncode == 0, result.stderr
    loaded = rows(result.stdout)
    copies = [[copy for _, copy, _ in order] for order in loaded]
    assert copies == [
        [["xx_older."], ["xx_newer."], ["xx_newer."]],
        [["xx_newer."], ["xx_newer."]],
        [["xx_same."], ["xx_same."], ["xx_newer."]],
    ]
    mentions = [found for order in loaded for _, _, found in order]
    assert len(mentions[0]) > 2
    assert all(found == mentions[0] for found in mentions)


@pytest.mark.slow
def test_registration_installed_package_serves_wheels_that_are_no_newer(
    site: Path, project_wheel: Path, tmp_path: Path
) -> None:
    """In a new venv: the factory without --code, a model wheel beside it, and a newer one."""
    python = str(install.make_venv(tmp_path / "venv"))
    pip = [python, "-m", "pip", "install", "--no-index", "--no-deps", "--quiet"]
    install.run_apart([*pip, str(project_wheel)], tmp_path)
    config = str(ROOT / "configs" / "token_ner.cfg")
    program = f"arguments = {[config]!r}\n{ADD}"
    (pipes, file) = rows(install.run_apart([python, "-I", "-c", program], tmp_path))[0]
    assert pipes == ["sentencizer", "transformer", "token_ner"]
    assert str(tmp_path / "venv") in file
    path = f"import sys; sys.path.append({str(site)!r})\n"
    program = f"{path}arguments = ['xx_same', 'xx_older']\n{LOAD}"
    (loaded,) = rows(install.run_apart([python, "-I", "-c", program], tmp_path))
    assert [copies for _, copies, _ in loaded] == [[""], [""]]
    assert all(len(found) > 2 for _, _, found in loaded)
    with pytest.raises(InputError) as error:
        program = f"{path}arguments = ['xx_newer']\n{LOAD}"
        install.run_apart([python, "-I", "-c", program], tmp_path)
    assert f"needs conll-ner 99.0 or newer, but {__version__} is installed" in str(error.value)


def test_registration_entry_points_are_what_is_registered() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    groups = project["entry-points"]
    named = groups["spacy_architectures"]
    assert named.keys() == architectures().keys()
    for name, build in architectures().items():
        assert EntryPoint(name, named[name], "spacy_architectures").load() is build
    for kind in ("augmenters", "readers"):
        ((name, value),) = groups[f"spacy_{kind}"].items()
        function = EntryPoint(name, value, f"spacy_{kind}").load()
        assert registry.get(kind, name) is function
    assert groups["spacy_factories"] == {"token_ner": "token_ner.factory:make_token_ner"}


WITHOUT_TORCH = """
import sys
sys.path[:0] = sys.argv[1:]
import importlib.util
assert not any(map(importlib.util.find_spec, ("torch", "transformers", "spacy_transformers")))
import token_ner.training.augmentation, token_ner.component, token_ner.lattice, token_ner.windows
import spacy
from spacy.tokens import Span
assert spacy.blank("en").has_factory("token_ner")
assert Span.has_extension("score")
"""
TORCH_HALF = ("torch", "functorch", "transformers", "spacy_transformers")


def test_registration_half_of_the_package_does_without_torch(tmp_path: Path) -> None:
    """In an environment where torch, transformers and spacy-transformers are not installed."""
    packages = link_packages(tmp_path / "installed", TORCH_HALF)
    result = subprocess.run(
        [sys.executable, "-I", "-S", "-c", WITHOUT_TORCH, str(packages), str(ROOT / "scripts")],
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr


# --- An app with `Span._.score` of its own ---

EARLIER = """
import sys
from spacy.tokens import Span
Span.set_extension("score", default="the app's")
sys.path.insert(0, sys.argv[1])
import spacy, token_ner
nlp = spacy.load(sys.argv[2])
for _ in range(2):
    (ent, *_) = nlp("Ada Lindqvist left Varnholm.").ents
assert ent._.score == "the app's"
assert 0 <= token_ner.span_score(ent) <= 1
"""
WARNING = "`score` is not token_ner's; rename that extension, or call token_ner.span_score"


@pytest.mark.slow
def test_registration_score_of_an_app_from_before() -> None:
    """It stays, and one warning says so."""
    command = [sys.executable, "-c", EARLIER, str(ROOT / "scripts"), str(PIPELINE)]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert result.stderr.count(WARNING) == 1, result.stderr


@pytest.fixture
def own_score() -> Iterator[None]:
    yield
    Span.set_extension("score", getter=span_score, setter=refuse_score, force=True)


@pytest.mark.usefixtures("own_score")
def test_registration_score_of_an_app_from_later() -> None:
    """spaCy refuses it, unless it is forced; then the next document and the next load warn."""
    nlp = spacy.load(PIPELINE)
    with pytest.raises(ValueError, match="E090"):
        Span.set_extension("score", default="the app's")
    Span.set_extension("score", default="the app's", force=True)
    with pytest.warns(UserWarning, match=WARNING):
        (ent, *_) = nlp("Ada Lindqvist left Varnholm.").ents
    assert ent._.score == "the app's"
    assert span_score(ent) is not None
    with pytest.warns(UserWarning, match=WARNING):
        spacy.load(PIPELINE)
    register_score()
    assert ent._.score == "the app's"


@pytest.mark.usefixtures("own_score")
def test_registration_score_of_an_app_with_a_function_of_the_same_name() -> None:
    def app_score(span: Span) -> str:
        return span.text

    app_score.__name__ = span_score.__name__
    Span.set_extension("score", getter=app_score, force=True)
    register_score()
    assert Span.get_extension("score")[2] is app_score
