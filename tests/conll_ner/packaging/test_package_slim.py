"""The slim wheel: what is in it, what it needs, and that it loads where torch is not installed."""

import json
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path
from typing import Any

import pytest
import spacy

from conll_ner.packaging import check_wheel as install
from conll_ner.packaging import package, wheel
from tests.conftest import ROOT
from tests.token_ner.support import run_cases
from tests.token_ner.test_registration import TORCH_HALF, case, make_package, rows

CODE = ROOT / "scripts" / "token_ner"
NAME = "en_ner_tiny_slim"
PRF = {"precision": 0.5, "recall": 0.5, "f1": 0.5}
METRICS: dict[str, Any] = {
    "name": "tiny-slim",
    "training": {},
    "corpus": {"assets/mine/train.txt": ""},
    "splits": {
        "test": {
            "conlleval": {"overall": PRF, "types": {"PER": PRF}},
            "token_accuracy": 0.5,
            "f1_by": {},
            "calibration": None,
            "raw_text": None,
            "lower_case": None,
        }
    },
}
LOAD = """
import json, sys
sys.path[:0] = sys.argv[1:3]
import spacy
nlp = spacy.load(sys.argv[3])
print(json.dumps([[[e.text, e.label_, e.start_char, e.end_char, e._.score] for e in nlp(text).ents]
                  for text in json.loads(sys.argv[4])]))
assert not {"torch", "transformers", "spacy_transformers"} & set(sys.modules)
"""


@pytest.fixture(scope="module")
def folder(slim_pipeline: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """RETURNS (Path): The package's folder."""
    folder = tmp_path_factory.mktemp("slim")
    (folder / "metrics.json").write_text(json.dumps(METRICS), encoding="utf-8")
    made = folder / "packages"
    given = {"license": "CC-BY-4.0", "author": "Ada Lindqvist", "description": "Names in minutes."}
    package.main(slim_pipeline, folder / "metrics.json", made, NAME, "1.0", **given)
    return made / f"{NAME}-1.0"


def wheel_of(folder: Path) -> Path:
    return next((folder / "dist").glob("*.whl"))


@pytest.mark.slow
def test_slim_wheel_holds_the_half_that_needs_no_torch(folder: Path) -> None:
    with zipfile.ZipFile(wheel_of(folder)) as archive:
        names = {n.rpartition("/")[2] for n in archive.namelist() if f"{NAME}/token_ner/" in n}
        metadata = archive.read(f"{NAME}-1.0.dist-info/METADATA").decode()
    assert names == {
        path.name for path in CODE.rglob("*.py") if path.parent.name not in wheel.TORCH_HALF
    }
    needs = {
        line.partition(": ")[2].partition("<")[0].partition(">")[0]
        for line in metadata.splitlines()
        if line.startswith("Requires-Dist: ")
    }
    assert needs == {"spacy", "numpy", "tokenizers", "onnxruntime"}
    assert "License: CC-BY-4.0" in metadata
    assert "Author: Ada Lindqvist" in metadata
    assert "Summary: Names in minutes." in metadata


@pytest.mark.slow
def test_slim_wheel_has_a_model_card(folder: Path) -> None:
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert "Names in minutes." in card
    assert "| Runs on | ONNX Runtime, on the CPU, with weights in float32 |" in card
    assert "| Needs | spaCy, numpy, tokenizers, onnxruntime; not torch, transformers or" in card
    assert "| Size of the model | 0." in card
    assert "| Not in it | training, GPUs, and the transformer's output" in card


@pytest.fixture(scope="module")
def paths(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The wheel, and an environment where torch, transformers, spacy-transformers and pyarrow are
    not installed."""
    site, others = (tmp_path_factory.mktemp(name) for name in ("site", "others"))
    with zipfile.ZipFile(wheel_of(folder)) as archive:
        archive.extractall(site)
    for path in Path(sysconfig.get_path("purelib")).iterdir():
        if not path.name.startswith((*TORCH_HALF, "pyarrow")) and "conll_ner" not in path.name:
            (others / path.name).symlink_to(path)
    return [str(site), str(others)]


@pytest.mark.slow
def test_slim_wheel_loads_without_torch(paths: list[str], slim_pipeline: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-I", "-S", "-c", LOAD, *paths, NAME, json.dumps(install.TEXTS)],
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    found = [ent for ents in json.loads(result.stdout) for ent in ents]
    expected = [ent for ents in install.expected_ents(str(slim_pipeline)) for ent in ents]
    assert [ent[:4] for ent in found] == [ent[:4] for ent in expected] != []
    assert [ent[4] for ent in found] == pytest.approx([ent[4] for ent in expected], abs=1e-6)


def fill(corpus: str, **given: Any) -> dict[str, Any]:
    meta: dict[str, Any] = {}
    metrics = METRICS | {"corpus": {f"assets/{corpus}/train.txt": ""}}
    package.fill_meta(meta, metrics, "ner", "1", [], **given)
    return meta


def test_package_license_of_an_unknown_corpus_is_not_invented() -> None:
    assert fill("mine")["license"] == ""
    assert "The code's license is MIT, the package's not given." in fill("mine")["notes"]
    assert fill("sample")["license"] == fill("conll2003")["license"] == "MIT"
    given = fill("mine", license="CC-BY-4.0")
    assert given["license"] == "CC-BY-4.0"
    assert "The code's license is MIT, the package's CC-BY-4.0." in given["notes"]


def test_package_description_can_be_given() -> None:
    assert fill("mine", description="Names.")["description"] == "Names."
    assert fill("mine")["description"].startswith("Named entities (PER): an unknown backbone")


def test_package_slim_facts_name_the_loss(slim_pipeline: Path) -> None:
    slim = spacy.load(slim_pipeline).meta["slim"]
    assert "F1 on dev" not in package.slim_facts(slim)
    facts = package.slim_facts(slim | {"dev": {"f1_torch": 0.9332, "f1": 0.9322}})
    assert facts["F1 on dev"] == "93.22; 93.32 with torch in float32"


# --- Beside a wheel that needs torch ---

BESIDE = """
import json, spacy
text = "Ada Lindqvist left Varnholm."
found = [[[e.text for e in spacy.load(name)(text).ents]] for name in arguments]
from spacy.util import registry
print(json.dumps([found, registry.factories.get("token_ner").__module__]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("newer", ["slim", "full", None])
def test_slim_wheel_and_full_wheel_in_one_process(
    folder: Path, tmp_path: Path, newer: str | None
) -> None:
    """In either order, whichever has the newer code: both predict, and the newest component serves
    both. A slim wheel has no architectures for the full one, which brings its own."""
    (tmp_path / "build").mkdir()
    make_package(tmp_path, "full", "99.0" if newer == "full" else None)
    with zipfile.ZipFile(wheel_of(folder)) as archive:
        archive.extractall(tmp_path / "site")
    if newer == "slim":
        about = tmp_path / "site" / NAME / "token_ner" / "about.py"
        about.write_text('__version__ = "99.0"\n', encoding="utf-8")
    orders = [[NAME, "xx_full", NAME], ["xx_full", NAME, "xx_full"]]
    cases = [case(BESIDE, order, tmp_path / "site") for order in orders]
    result = run_cases(cases, tmp_path, installed=False)
    assert result.returncode == 0, result.stderr
    ((a, first), (b, second)) = rows(result.stdout)
    assert a[0] == a[2] == b[1] != b[0] == b[2] == a[1]
    expected = {"slim": [f"{NAME}."] * 2, "full": ["xx_full."] * 2, None: [f"{NAME}.", "xx_full."]}
    assert [m.partition("token_ner")[0] for m in (first, second)] == expected[newer]
