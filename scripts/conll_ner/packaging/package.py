"""Package a trained pipeline as a wheel, with scores and sources in meta and model card."""

import json
import re
import shutil
import subprocess
import sys
import tempfile
from importlib.metadata import distribution
from pathlib import Path
from typing import Annotated, Any

import srsly
import typer
from spacy.cli.package import package as spacy_package
from spacy.util import load_config

import token_ner  # `spacy package` looks up the functions of the config
from conll_ner.common.console import InputError, exit_on_input_error, msg
from conll_ner.common.files import atomic_write
from conll_ner.evaluation.tables import format_table

# In addition to what `spacy package` finds by itself (spaCy, and the packages of the functions in
# the config): the oldest torch that a wheel was tested with, and what `token_ner` imports.
REQUIREMENTS = ["torch>=2.13"]
CODE = "token_ner"
CODE_REQUIREMENTS = ["spacy-transformers>=1.4,<2.1"]
SLIM_REQUIREMENTS = ["numpy>=2", "tokenizers>=0.20,<1", "onnxruntime>=1.20,<2"]
TORCH_HALF = ("torch_model",)  # of the code; not in slim wheels
DISTRIBUTION = "conll-ner"  # this project, if installed; wheels carry the code instead
BACKBONES = {
    "minilm": ("all-MiniLM-L6-v2", "Apache-2.0"),
    "mpnet": ("all-mpnet-base-v2", "Apache-2.0"),
    "bert-base-cased": ("bert-base-cased", "Apache-2.0"),
}
CORPORA = {
    "conll2003": (
        "CoNLL-2003",
        "https://aclanthology.org/W03-0419",
        "Reuters text, for research: not to be redistributed, and not in this package",
    ),
    "sample": ("the project's sample corpus (invented text)", "", "MIT"),
}
SHORT_NAMES = {"conll2003": "conll03"}  # of corpora, in names of packages


def default_name(meta: dict[str, Any], metrics: dict[str, Any]) -> str:
    """RETURNS (str): LANG_ner_CORPUS_trf, or _slim, from the folder of the corpus: spaCy uses _trf
    for pipelines that need torch."""
    folders = {Path(path).parent.name for path in metrics["corpus"]}
    corpus = folders.pop() if len(folders) == 1 else "custom"
    words = re.findall("[a-z0-9]+", SHORT_NAMES.get(corpus, corpus).lower()) or ["custom"]
    kind = "slim" if "slim" in meta else "trf"
    return "_".join([meta["lang"], "ner", *words, kind])


def split_name(package: str, lang: str) -> str:
    """RETURNS (str): The package's name without its language, as spaCy's meta wants it.
    RAISES (InputError): If it isn't an importable name that starts with the language."""
    if not re.fullmatch(rf"{lang}_[a-z0-9]+(_[a-z0-9]+)*", package):
        raise InputError(
            f"package name {package!r} must be {lang}_ and then lower-case words and digits "
            f"with single underscores, e.g. {lang}_ner_conll03_trf"
        )
    return package.removeprefix(f"{lang}_")


def read_json(path: Path) -> dict[str, Any]:
    """RAISES (InputError): If the file isn't there or isn't JSON."""
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: {error}; run the steps before this one") from None
    return content


def performance(metrics: dict[str, Any]) -> dict[str, Any]:
    """RETURNS (dict[str, Any]): The test scores (the last split's) under spaCy's names, and
    each split's overall scores under its own."""
    splits = {name: scores["conlleval"] for name, scores in metrics["splits"].items()}
    last = list(splits.values())[-1]

    def prf(row: dict[str, float]) -> dict[str, float]:
        return {"p": row["precision"], "r": row["recall"], "f": row["f1"]}

    named = {f"ents_{key}": value for key, value in prf(last["overall"]).items()}
    per_type = {name: prf(row) for name, row in last["types"].items()}
    by_split = {name: prf(scores["overall"]) for name, scores in splits.items()}
    return named | {"ents_per_type": per_type} | by_split


def backbone_of(metrics: dict[str, Any]) -> tuple[str, str]:
    """RETURNS (tuple[str, str]): The backbone's name and its license, as far as known."""
    name = metrics["training"].get("backbone", {}).get("name", "an unknown backbone")
    return BACKBONES.get(name, (name, "see its model card"))


def corpus_of(metrics: dict[str, Any]) -> tuple[str, str, str]:
    """RETURNS (tuple[str, str, str]): The corpus's name, URL and license, as far as known."""
    folders = {Path(path).parent.name for path in metrics["corpus"]}
    name = folders.pop() if len(folders) == 1 else "an unknown corpus"
    return CORPORA.get(name, (name, "", "see its own"))


def fill_meta(
    meta: dict[str, Any],
    metrics: dict[str, Any],
    name: str,
    version: str,
    requirements: list[str] = REQUIREMENTS,
    *,
    license: str | None = None,
    description: str | None = None,
) -> None:
    """Write name, version, license, sources and scores into a pipeline's meta.

    license (str | None): Of the package. None is the code's, MIT, if the corpus is one of CORPORA,
        else no license: whoever has the corpus knows what it allows.
    description (str | None): None names types, backbone and corpus.
    """
    backbone, backbone_license = backbone_of(metrics)
    corpus, url, corpus_license = corpus_of(metrics)
    scores = performance(metrics)
    if license is None:
        license = "MIT" if corpus in {known for known, *_ in CORPORA.values()} else ""
    if description is None:
        types = ", ".join(sorted(scores["ents_per_type"]))
        description = f"Named entities ({types}): {backbone} fine-tuned on {corpus}."
    meta |= {
        "name": name,
        "version": version,
        "description": description,
        "license": license,
        "notes": f"The code's license is MIT, the package's {license or 'not given'}. The weights "
        f"derive from {backbone} ({backbone_license}) and were trained on {corpus} "
        f"({corpus_license}).",
        "sources": [
            {"name": backbone, "url": "", "license": backbone_license, "author": ""},
            {"name": corpus, "url": url, "license": corpus_license, "author": ""},
        ],
        "performance": scores,
        "requirements": requirements,
    }


def model_card(meta: dict[str, Any], metrics: dict[str, Any]) -> str:
    """RETURNS (str): The wheel's README, in Markdown."""
    training = metrics["training"]
    package = f"{meta['lang']}_{meta['name']}"
    facts = {
        "Version": meta["version"],
        "Pipeline": ", ".join(meta["components"]),
        "Labels": ", ".join(sorted(meta["performance"]["ents_per_type"])),
        "Config": training.get("config", "unknown"),
        "Seed": training.get("seed", "unknown"),
        "Trained on": training.get("hardware", "unknown"),
        "Sources": "; ".join(f"{s['name']} ({s['license']})" for s in meta["sources"]),
    }
    if "slim" in meta:
        facts |= slim_facts(meta["slim"])
    # token_ner's mentions have scores; another recogniser's don't.
    example = "ent.text, ent.label_, ent.start_char, ent.end_char"
    if "token_ner" in meta["components"]:
        example += ", ent._.score"
    table = "\n".join(f"| {key} | {value} |" for key, value in facts.items())
    return f"""# {package}

{meta["description"]}

```python
import spacy

nlp = spacy.load("{package}")
doc = nlp("My name is Sylvain and I work at Hugging Face in Brooklyn.")
print([({example}) for ent in doc.ents])
```

| | |
| --- | --- |
{table}

## Scores

Exact mentions on gold tokens, in percent, by seqeval in its default mode (conlleval's protocol).

{format_table([metrics])}

## License

{meta["notes"]}
"""


def slim_facts(slim: dict[str, Any]) -> dict[str, str]:
    """RETURNS (dict[str, str]): What the model card says about a slim pipeline."""
    needs = ", ".join(["spaCy", *(re.split("[<>=]", r)[0] for r in SLIM_REQUIREMENTS)])
    facts = {
        "Runs on": f"ONNX Runtime, on the CPU, with weights in {slim['precision']}",
        "Size of the model": f"{slim['megabytes']} MB",
        "Needs": f"{needs}; not torch, transformers or spacy-transformers",
        "Not in it": "training, GPUs, and the transformer's output (`doc._.trf_data`)",
    }
    if "dev" in slim:
        torch_f1, f1 = (100 * slim["dev"][key] for key in ("f1_torch", "f1"))
        facts["F1 on dev"] = f"{f1:.2f}; {torch_f1:.2f} with torch in float32"
    return facts


def find_requirements(pipeline: Path, meta: dict[str, Any]) -> list[str]:
    """RETURNS (list[str]): What a pipeline needs, without what `spacy package` finds."""
    if "slim" in meta:
        return SLIM_REQUIREMENTS
    return REQUIREMENTS + (CODE_REQUIREMENTS if has_token_ner(pipeline) else [])


def has_token_ner(pipeline: Path) -> bool:
    """RETURNS (bool): Whether a component of the saved pipeline is a `token_ner`."""
    components = load_config(pipeline / "config.cfg")["components"].values()
    return any(component.get("factory") == "token_ner" for component in components)


def add_code(made: Path, package: str) -> None:
    """Copy `token_ner` into a package that `spacy package` made, which can't copy folders itself.

    made (Path): The folder of setup.py.
    """
    folder = Path(token_ner.__file__).parent
    target = made / package / CODE
    meta = read_json(made / "meta.json")
    left_out = TORCH_HALF if "slim" in meta else ()
    shutil.copytree(folder, target, ignore=shutil.ignore_patterns("__pycache__", *left_out))
    replace_once(
        made / package / "__init__.py", "\n__version__", f"from . import {CODE}\n\n__version__"
    )
    replace_once(made / "setup.py", "[model_name]", f'[model_name, model_name + ".{CODE}"]')
    meta["requirements"] = [r for r in meta["requirements"] if not r.startswith(DISTRIBUTION)]
    srsly.write_json(made / "meta.json", meta)


def read_license() -> str:
    """RETURNS (str): The license of this project's code."""
    text = distribution(DISTRIBUTION).read_text("licenses/LICENSE")
    assert text is not None  # pyproject.toml has it
    return text


def replace_once(path: Path, old: str, new: str) -> None:
    """RAISES (RuntimeError): If the text isn't there exactly once, as after a change in spaCy."""
    text = path.read_text(encoding="utf-8")
    if text.count(old) != 1:
        raise RuntimeError(f"{path}: found {text.count(old)} times instead of once: {old!r}")
    path.write_text(text.replace(old, new), encoding="utf-8")


def build_wheel(pipeline: Path, folder: Path, meta: dict[str, Any], card: str) -> Path:
    """Run `spacy package` on a copy of the pipeline that holds `meta` and `card`. A pipeline with
    `token_ner` gets its code.

    RETURNS (Path): The package's folder, made inside `folder`; the wheel is in its dist/.
    RAISES (RuntimeError): If the build fails.
    """
    with tempfile.TemporaryDirectory() as temporary:
        copy = Path(temporary) / "pipeline"
        shutil.copytree(pipeline, copy)
        srsly.write_json(copy / "meta.json", meta)
        (copy / "README.md").write_text(card, encoding="utf-8")
        (copy / "LICENSE").write_text(read_license(), encoding="utf-8")
        spacy_package(copy, folder, create_sdist=False, require_parent=True)
    made = folder / f"{meta['lang']}_{meta['name']}-{meta['version']}"
    if has_token_ner(pipeline):
        add_code(made, f"{meta['lang']}_{meta['name']}")
    # Without isolation: an isolated build would download its tools.
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", str(made)]
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} failed:\n{result.stdout}{result.stderr}")
    shutil.rmtree(made / "build", ignore_errors=True)
    return made


def main(
    pipeline: Annotated[Path, typer.Argument(help="Folder of a trained pipeline")],
    metrics_path: Annotated[Path, typer.Argument(help="Its metrics, by evaluate")],
    output: Annotated[Path, typer.Argument(help="Folder for the package's folder")],
    package: Annotated[
        str, typer.Option(help="Name, language first; auto: LANG_ner_CORPUS_trf or _slim")
    ] = "auto",
    version: Annotated[str, typer.Option()] = "0.1.0",
    license: Annotated[
        str | None,
        typer.Option(
            help="License of the package, e.g. CC-BY-4.0",
            show_default="MIT for the corpora of the project, else none",
        ),
    ] = None,
    author: Annotated[str | None, typer.Option(help="Who made the package")] = None,
    description: Annotated[
        str | None, typer.Option(help="One sentence", show_default="types, backbone and corpus")
    ] = None,
) -> None:
    """Package a pipeline as a wheel: OUTPUT/PACKAGE-VERSION/dist/*.whl."""
    with exit_on_input_error():
        metrics = read_json(metrics_path)
        meta = read_json(pipeline / "meta.json")
        if package == "auto":
            package = default_name(meta, metrics)
        fill_meta(
            meta,
            metrics,
            split_name(package, meta["lang"]),
            version,
            find_requirements(pipeline, meta),
            license=license,
            description=description,
        )
        if author is not None:
            meta["author"] = author
        output.mkdir(parents=True, exist_ok=True)
        with atomic_write(output / f"{package}-{version}") as temporary:
            build_wheel(pipeline, temporary.parent, meta, model_card(meta, metrics))
    wheel = next((output / f"{package}-{version}" / "dist").glob("*.whl"))
    msg.good(f"{wheel}: {wheel.stat().st_size / 1e6:.1f} MB")
