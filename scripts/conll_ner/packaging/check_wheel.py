"""Test the wheel as users install it: in a new venv, without network, hub or project."""

import json
import os
import subprocess
import sysconfig
import tempfile
import venv
from pathlib import Path
from typing import Annotated, Any

import typer

from conll_ner.common.command import READS, WRITES, command
from conll_ner.common.console import InputError, msg
from conll_ner.common.files import sha256, write_json
from conll_ner.common.pipelines import load_pipeline

TEXTS = (
    "My name is Sylvain and I work at Hugging Face in Brooklyn.",
    "VIENNA - Austria 's Ilka Brandt beat Jo Mensah of Ghana 6-3 7-5 at the Danube Open .",
    "",
)
# What runs in the new venv. A socket that leaves the machine is an error there.
PROGRAM = """
import json, socket, sys, time
def refuse(*args, **kwargs):
    raise OSError("the network is closed for this check")
socket.socket.connect = socket.getaddrinfo = refuse
start = time.perf_counter()
import spacy
imported = time.perf_counter()
nlp = spacy.load(sys.argv[1])
loaded = time.perf_counter()
ents = [[(e.text, e.label_, e.start_char, e.end_char,
          e._.score if e.has_extension("score") else None) for e in nlp(text).ents]
        for text in json.loads(sys.argv[2])]
print(json.dumps({"meta": nlp.meta, "import_seconds": imported - start,
                  "load_seconds": loaded - imported, "ents": ents}))
"""


def make_venv(folder: Path) -> Path:
    """Create a venv that finds this one's packages (spaCy, torch) but nothing of the project.

    RETURNS (Path): Its Python.
    """
    # Without pip: the new venv imports this one's, through the links below. The pip bundled with
    # Python (and in 3.11 its setuptools) would take precedence over this venv's versions.
    venv.create(folder)
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    scheme = {"base": str(folder), "platbase": str(folder)}
    site_packages = Path(sysconfig.get_path("purelib", "venv", scheme))
    for place in {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}:
        for path in Path(place).iterdir():
            # Its entry points would serve the wheel's pipeline instead of the wheel's own code.
            if "conll_ner" not in path.name and path.name != "token_ner":
                (site_packages / path.name).symlink_to(path)
    return python


def run_apart(command: list[str], folder: Path) -> str:
    """Run a command outside the project, without its environment, in offline mode.

    RETURNS (str): What it printed.
    RAISES (InputError): If it fails, with its last line.
    """
    hidden = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    environment |= {"HF_HUB_OFFLINE": "1", "PIP_NO_INDEX": "1"}
    result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    if result.returncode != 0:
        lines = [line.strip() for line in (result.stdout + result.stderr).splitlines()]
        # pip's own reasons, else the last line of a traceback.
        errors = [line for line in lines if " depends on " in line or line.startswith("ERROR")]
        raise InputError(f"{' '.join(command[1:4])} … failed: {' / '.join(errors or lines[-1:])}")
    return result.stdout


def install_and_load(wheel: Path) -> dict[str, Any]:
    """Install a wheel in a new venv and load it there.

    RETURNS (dict[str, Any]): The pipeline's meta, the seconds that importing spaCy and loading
        the pipeline took, and the mentions in TEXTS.
    RAISES (InputError): If pip finds a requirement not met, or the pipeline doesn't load.
    """
    package = wheel.name.partition("-")[0]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        python = str(make_venv(folder / "venv"))
        # Not --no-deps: pip checks the wheel's requirements against what it finds.
        run_apart([python, "-m", "pip", "install", "--no-index", str(wheel.resolve())], folder)
        output = run_apart([python, "-I", "-c", PROGRAM, package, json.dumps(TEXTS)], folder)
    found: dict[str, Any] = json.loads(output.splitlines()[-1])
    return found


def expected_ents(pipeline: str) -> list[list[list[Any]]]:
    """RETURNS (list): The mentions in TEXTS, with scores if it gives any, by the pipeline that
    the wheel was made of."""
    nlp = load_pipeline(pipeline)
    has_scores = nlp.has_pipe("token_ner")
    return [
        [
            [e.text, e.label_, e.start_char, e.end_char, e._.score if has_scores else None]
            for e in nlp(text).ents
        ]
        for text in TEXTS
    ]


def format_mention(ent: list[Any]) -> str:
    text, label, _, _, score = ent
    return f"{text} ({label})" if score is None else f"{text} ({label} {score:.3f})"


@command
def main(
    folder: Annotated[Path, typer.Argument(help="The package's folder, or the one around it")],
    pipeline: Annotated[str, typer.Argument(help="The pipeline that it was built from"), READS],
    output: Annotated[Path, typer.Argument(help="JSON file for the result"), WRITES],
) -> None:
    """Install a wheel in a new venv without network, load it, and compare its mentions and
    their scores."""
    wheels = sorted(folder.glob("**/dist/*.whl"), key=lambda path: path.stat().st_mtime)
    if not wheels:
        raise InputError(f"{folder} contains no dist/*.whl; run package first")
    wheel = wheels[-1]
    found = install_and_load(wheel)
    if found["ents"] != expected_ents(pipeline):
        raise InputError(
            f"{wheel} finds other mentions or scores than {pipeline}; package it again"
        )
    record = {
        "wheel": wheel.name,
        "sha256": sha256(wheel),
        "megabytes": round(wheel.stat().st_size / 1e6, 1),
        "import_seconds": round(found["import_seconds"], 2),
        "load_seconds": round(found["load_seconds"], 2),
    }
    write_json(output, record)
    for text, ents in zip(TEXTS, found["ents"], strict=True):
        if text:
            mentions = ", ".join(map(format_mention, ents)) or "no mention"
            msg.text(text)
            msg.text(f"-> {mentions}")
    msg.good(f"{wheel.name}: installed and loaded in {record['load_seconds']} s, offline")
