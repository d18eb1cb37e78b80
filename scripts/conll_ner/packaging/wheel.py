"""Build the wheel of a packaged pipeline: its data by `spacy package`, and the code beside it."""

import shutil
import subprocess
import sys
import tempfile
from importlib import import_module
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import srsly
from spacy.cli.package import package as spacy_package
from spacy.util import load_config

import token_ner  # `spacy package` looks up the functions of the config
from conll_ner.common.console import DISTRIBUTION

CODE = "token_ner"
TORCH_HALF = ("torch_model",)  # of the code; not in slim wheels
# In place of spaCy's, which names one package and copies meta.json.
SETUP = """\
import json
from pathlib import Path

from setuptools import find_packages, setup

meta = json.loads(Path("meta.json").read_text("utf-8"))
name = f"{meta['lang']}_{meta['name']}"
setup(
    name=name,
    version=meta["version"],
    description=meta.get("description"),
    long_description=Path("README.md").read_text("utf-8"),
    long_description_content_type="text/markdown",
    author=meta.get("author"),
    author_email=meta.get("email"),
    url=meta.get("url"),
    license=meta.get("license"),
    packages=find_packages(),
    package_data={name: ["meta.json", f"{name}-{meta['version']}/**/*"]},
    install_requires=meta["requirements"],
    entry_points={"spacy_models": [f"{name} = {name}"]},
)
"""


def build_wheel(pipeline: Path, folder: Path, meta: dict[str, Any], card: str) -> Path:
    """Run `spacy package` on a copy of the pipeline that holds `meta` and `card`. A pipeline with
    `token_ner` gets its code.

    RETURNS (Path): The package's folder, made inside `folder`; the wheel is in its dist/.
    RAISES (RuntimeError): If the build fails.
    """
    import_module("build")  # where it is missing, before anything is written
    with tempfile.TemporaryDirectory() as temporary:
        copy = Path(temporary) / "pipeline"
        shutil.copytree(pipeline, copy)
        srsly.write_json(copy / "meta.json", meta)
        (copy / "README.md").write_text(card, encoding="utf-8")
        (copy / "LICENSE").write_text(read_license(), encoding="utf-8")
        spacy_package(copy, folder, create_sdist=False, require_parent=True)
    made = folder / f"{meta['lang']}_{meta['name']}-{meta['version']}"
    if has_token_ner(pipeline):
        add_code(made, made / f"{meta['lang']}_{meta['name']}")
    # Without isolation: an isolated build would download its tools.
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", str(made)]
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} failed:\n{result.stdout}{result.stderr}")
    shutil.rmtree(made / "build", ignore_errors=True)
    return made


def has_token_ner(pipeline: Path) -> bool:
    """RETURNS (bool): Whether a component of the saved pipeline is a `token_ner`."""
    components = load_config(pipeline / "config.cfg")["components"].values()
    return any(component.get("factory") == "token_ner" for component in components)


def add_code(made: Path, package: Path) -> None:
    """Copy `token_ner` into a package that `spacy package` made, which can't copy packages itself.

    made (Path): The folder of setup.py.
    package (Path): The package in it.
    """
    meta = srsly.read_json(made / "meta.json")
    left_out = TORCH_HALF if "slim" in meta else ()
    shutil.copytree(
        Path(token_ner.__file__).parent,
        package / CODE,
        ignore=shutil.ignore_patterns("__pycache__", *left_out),
    )
    init = package / "__init__.py"
    init.write_text(f"from . import {CODE}\n{init.read_text('utf-8')}", encoding="utf-8")
    (made / "setup.py").write_text(SETUP, encoding="utf-8")
    # Wheels carry the code instead.
    meta["requirements"] = [r for r in meta["requirements"] if not r.startswith(DISTRIBUTION)]
    for folder in (made, package, package / made.name):
        srsly.write_json(folder / "meta.json", meta)


def read_license() -> str:
    """RETURNS (str): The license of this project's code."""
    # An editable install leaves a second record, without the license, beside the source.
    texts = (found.read_text("licenses/LICENSE") for found in distributions(name=DISTRIBUTION))
    return next(filter(None, texts))
