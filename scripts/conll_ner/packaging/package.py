"""Package a trained pipeline as a wheel, with scores and sources in meta and model card."""

import re
from pathlib import Path
from typing import Annotated, Any

import typer
from packaging.version import InvalidVersion, Version

from conll_ner.common.command import Writes, command
from conll_ner.common.console import UNSAFE, InputError, msg, shorten
from conll_ner.common.files import atomic_write, read_json
from conll_ner.common.markdown import escape_markdown
from conll_ner.common.overwriting import check_outputs
from conll_ner.evaluation.promises import read_promises
from conll_ner.evaluation.runs import read_run
from conll_ner.evaluation.tables import add_layers, format_table
from conll_ner.huggingface.card import HUB
from conll_ner.packaging.wheel import build_wheel, has_token_ner

# In addition to what `spacy package` finds by itself (spaCy, and the packages of the functions in
# the config): the oldest torch that a wheel was tested with, and what `token_ner` imports.
REQUIREMENTS = ["torch>=2.13"]
CODE_REQUIREMENTS = ["spacy-transformers>=1.4,<2.1"]
SLIM_REQUIREMENTS = ["numpy>=2", "tokenizers>=0.20,<1", "onnxruntime>=1.20,<2"]
HINT = "run the steps before this one"
BACKBONES = {
    "minilm": ("sentence-transformers/all-MiniLM-L6-v2", "Apache-2.0"),
    "mpnet": ("sentence-transformers/all-mpnet-base-v2", "Apache-2.0"),
    "bert-base-cased": ("google-bert/bert-base-cased", "Apache-2.0"),
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
    corpus = corpus_folder(metrics) or "custom"
    words = re.findall("[a-z0-9]+", SHORT_NAMES.get(corpus, corpus).lower()) or ["custom"]
    kind = "slim" if "slim" in meta else "trf"
    return "_".join([meta["lang"], "ner", *words, kind])


def split_name(package: str, lang: str) -> str:
    """RETURNS (str): The package's name without its language, as spaCy's meta wants it.
    RAISES (InputError): If it isn't an importable name that starts with the language, or the
        language, from the pipeline's meta.json, is none."""
    if not re.fullmatch("[a-z]{2,8}", lang):
        raise InputError(f"the pipeline's language {shorten(repr(lang))} is none of spaCy's codes")
    if not re.fullmatch(rf"{lang}_[a-z0-9]+(_[a-z0-9]+)*", package):
        raise InputError(
            f"package name {package!r} must be {lang}_ and then lower-case words and digits "
            f"with single underscores, e.g. {lang}_ner_conll03_trf"
        )
    return package.removeprefix(f"{lang}_")


def normalize_version(version: str) -> str:
    """RETURNS (str): The version as wheels write it (PEP 440).
    RAISES (InputError): If it is none."""
    try:
        return str(Version(version))
    except InvalidVersion:
        quoted = shorten(repr(version))
        raise InputError(f"--version {quoted} is not a version such as 1.0.2 or 2.0b1") from None


def check_lines(meta: dict[str, Any]) -> None:
    """RAISES (InputError): If a text of a pipeline's meta that wheels state in a header isn't one
    line."""
    for name in ("description", "license", "author", "email", "url"):
        found = UNSAFE.search(str(meta.get(name) or ""))
        if found:
            code = f"U+{ord(found[0]):04X}"
            raise InputError(f"the package's {name} contains the character {code}; write one line")


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


def backbone_of(metrics: dict[str, Any]) -> tuple[str, str, str]:
    """RETURNS (tuple[str, str, str]): The backbone's name, URL and license, as far as known."""
    backbone = metrics["training"].get("backbone", {})
    name = backbone.get("name", "an unknown backbone")
    on_hub = name if backbone.get("source") == "hub" else ""
    hub_id, license = BACKBONES.get(name, (on_hub, "see its model card"))
    if name in BACKBONES:
        name = hub_id.partition("/")[2]
    return add_layers(name, backbone), f"{HUB}{hub_id}" if hub_id else "", license


def corpus_folder(metrics: dict[str, Any]) -> str | None:
    """RETURNS (str | None): The name of the folder that all of the corpus's files are in."""
    folders = {Path(path).parent.name for path in metrics["corpus"]}
    return folders.pop() if len(folders) == 1 else None


def corpus_of(metrics: dict[str, Any]) -> tuple[str, str, str]:
    """RETURNS (tuple[str, str, str]): The corpus's name, URL and license, as far as known."""
    name = corpus_folder(metrics) or "an unknown corpus"
    return CORPORA.get(name, (name, "", "see its own"))


def fill_meta(
    meta: dict[str, Any],
    metrics: dict[str, Any],
    name: str,
    version: str,
    requirements: list[str] = REQUIREMENTS,
    *,
    license: str | None = None,
    author: str | None = None,
    description: str | None = None,
) -> None:
    """Write name, version, license, sources and scores into a pipeline's meta.

    license (str | None): Of the package. None is the code's, MIT, if the corpus is one of CORPORA,
        else no license: whoever has the corpus knows what it allows.
    author (str | None): None is that of the pipeline, if it has one.
    description (str | None): None names types, backbone and corpus.
    RAISES (InputError): If the version is none, or a text isn't one line.
    """
    backbone, backbone_url, backbone_license = backbone_of(metrics)
    corpus, url, corpus_license = corpus_of(metrics)
    scores = performance(metrics)
    if license is None:
        license = "MIT" if corpus in {known for known, *_ in CORPORA.values()} else ""
    if description is None:
        types = ", ".join(sorted(scores["ents_per_type"]))
        description = f"Named entities ({types}): {backbone} fine-tuned on {corpus}."
    meta |= {
        "name": name,
        "version": normalize_version(version),
        "description": description,
        "author": meta.get("author", "") if author is None else author,
        "license": license,
        "notes": f"The code's license is MIT, the package's {license or 'not given'}. The weights "
        f"derive from {backbone} ({backbone_license}) and were trained on {corpus} "
        f"({corpus_license}).",
        "sources": [
            {"name": backbone, "url": backbone_url, "license": backbone_license, "author": ""},
            {"name": corpus, "url": url, "license": corpus_license, "author": ""},
        ],
        "performance": scores,
        "requirements": requirements,
    }
    check_lines(meta)


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
    # token_ner's mentions have scores; another recogniser's don't.
    example = "ent.text, ent.label_, ent.start_char, ent.end_char"
    if "token_ner" in meta["components"]:
        example += ", ent._.score"
    rows = {key: escape_markdown(value) for key, value in facts.items()}
    if "slim" in meta:
        rows |= slim_facts(meta["slim"])
    for kind, promise in read_promises(meta).items():
        rows[f"Promised {kind}"] = escape_markdown(promise.describe(kind))
    table = "\n".join(f"| {key} | {value} |" for key, value in rows.items())
    return f"""# {package}

{escape_markdown(meta["description"])}

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

{escape_markdown(meta["notes"])}
"""


def slim_facts(slim: dict[str, Any]) -> dict[str, str]:
    """RETURNS (dict[str, str]): What the model card says about a slim pipeline."""
    needs = ", ".join(["spaCy", *(re.split("[<>=]", r)[0] for r in SLIM_REQUIREMENTS)])
    precision, megabytes = (escape_markdown(slim[name]) for name in ("precision", "megabytes"))
    facts = {
        "Runs on": f"ONNX Runtime, on the CPU, with weights in {precision}",
        "Size of the model": f"{megabytes} MB",
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


@command
def main(
    pipeline: Annotated[Path, typer.Argument(help="Folder of a trained pipeline")],
    metrics_path: Annotated[Path, typer.Argument(help="Its metrics, by evaluate")],
    output: Annotated[
        Path, typer.Argument(help="Folder for the package's folder"), Writes("inside")
    ],
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
    metrics = read_run(metrics_path)
    meta = read_json(pipeline / "meta.json", HINT)
    if package == "auto":
        package = default_name(meta, metrics)
    fill_meta(
        meta,
        metrics,
        split_name(package, meta["lang"]),
        version,
        find_requirements(pipeline, meta),
        license=license,
        author=author,
        description=description,
    )
    made = output / f"{package}-{meta['version']}"
    check_outputs([pipeline, metrics_path], [made])
    output.mkdir(parents=True, exist_ok=True)
    with atomic_write(made) as temporary:
        build_wheel(pipeline, temporary.parent, meta, model_card(meta, metrics))
    wheel = next((made / "dist").glob("*.whl"))
    msg.good(f"{wheel}: {wheel.stat().st_size / 1e6:.1f} MB")
