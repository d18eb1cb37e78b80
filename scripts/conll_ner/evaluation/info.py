"""Say what is installed, and what a pipeline is: for a bug report, and to look a pipeline up."""

import json
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import token_ner
from conll_ner.common.command import command
from conll_ner.common.console import DISTRIBUTION, msg, printable, requirements_of
from conll_ner.common.device import resolve_device
from conll_ner.common.machine import describe_hardware, package_versions
from conll_ner.common.options import Device, Pipeline
from conll_ner.common.pipelines import describe_runtime, find_heads, load_on_device
from conll_ner.evaluation.promises import read_promises

# What an extra is for. Those of CUDA are for `--device 0`.
EXTRAS = {
    "slim": "slim pipelines",
    "train": "pipelines of torch; train, teach, learn-more, curve, slim, package, hf-…",
    "serve": "serve",
    "parquet": "convert and predict with Parquet files",
    "cluster": "annotate",
    "presidio": "mentions for Presidio",
    "benchmark": "benchmark, benchmark-serve",
    "cuda12": "a GPU with CUDA 12",
    "cuda13": "a GPU with CUDA 13",
}


@command
def main(
    pipeline: Pipeline = "",
    device: Device = "auto",
) -> None:
    """Print versions, the device, what isn't installed for which command, and, of a pipeline, its
    labels, precision, calibration, promises and scores. Paste it into a bug report."""
    gpu = resolve_device(device)
    print_table("Installed", describe_installation(gpu))
    if pipeline:
        print_table(pipeline, describe_pipeline(pipeline, str(gpu) if gpu >= 0 else "cpu"))


def print_table(title: str, rows: dict[str, str]) -> None:
    msg.divider(title)
    width = max(map(len, rows)) + 1
    for name, value in rows.items():
        print(f"{name + ':':<{width}} {printable(value)}")


def describe_installation(gpu: int) -> dict[str, str]:
    """RETURNS (dict[str, str]): Versions, device, and for each extra that isn't complete what it is
    for, and how to install it."""
    versions = {DISTRIBUTION: version(DISTRIBUTION), "token_ner": token_ner.__version__}
    rows = versions | package_versions() | {"device": describe_hardware(gpu)}
    missing = {extra: names for extra in EXTRAS if (names := missing_packages(extra))}
    for extra, names in missing.items():
        remedy = f'pip install "{DISTRIBUTION}[{extra}]"'
        rows[f"no [{extra}]"] = f"{', '.join(names)}, for {EXTRAS[extra]}: {remedy}"
    return rows


def missing_packages(extra: str) -> list[str]:
    """RETURNS (list[str]): The packages of an extra that aren't installed, or not as new as it
    needs."""
    found = []
    for requirement in requirements_of(extra):
        try:
            installed = version(requirement.name)
        except PackageNotFoundError:
            installed = ""
        if not installed or not requirement.specifier.contains(installed, prereleases=True):
            found.append(requirement.name)
    return found


def describe_pipeline(pipeline: str, device: str) -> dict[str, str]:
    """RETURNS (dict[str, str]): What a pipeline is, and how it scores.
    RAISES (InputError): If it isn't one."""
    nlp, _ = load_on_device(pipeline, device)
    meta = nlp.meta
    rows = {
        "name": f"{meta['lang']}_{meta['name']} {meta['version']}, spaCy {meta['spacy_version']}",
        "components": ", ".join(nlp.pipe_names),
    }
    if runtime := describe_runtime(nlp):
        rows["runtime"] = f"{runtime['runtime']}, {runtime['precision']}"
    for name, head in find_heads(nlp).items():
        rows |= {f"{name}.{key}": value for key, value in describe_head(head).items()}
    rows |= {
        f"{kind} promise": promise.describe(kind) for kind, promise in read_promises(meta).items()
    }
    scores = [
        f"{key} {value:.4g}"
        for key, value in meta.get("performance", {}).items()
        if isinstance(value, float) and not key.endswith("_loss")
    ]
    if scores:
        rows["scores"] = ", ".join(scores)
    return rows


def describe_head(head: token_ner.TokenNER) -> dict[str, str]:
    fitted = head.calibration
    calibration = "none: run spacy ner calibrate"
    if fitted is not None:
        seen = f", {fitted.unseen:.3g} for texts other than {len(fitted.seen):,}"
        calibration = f"slope {fitted.slope:.3g}, intercept {fitted.intercept:.3g}{seen}"
    values: dict[str, Any] = {"threshold": head.threshold, "candidates": head.candidates}
    return {
        "labels": ", ".join(head.labels),
        "scheme": head.cfg["scheme"],
        **{key: json.dumps(value) for key, value in values.items()},
        "calibration": calibration,
    }
