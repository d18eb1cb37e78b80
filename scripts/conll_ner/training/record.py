"""The record of a training run, run.json: everything needed to reproduce it."""

from pathlib import Path
from typing import Any

from confection import Config

import token_ner
from conll_ner.common.console import msg
from conll_ner.common.files import (
    finish_replacement,
    read_json,
    replace_folder,
    sha256,
    write_json,
)
from conll_ner.common.machine import describe_hardware, package_versions
from conll_ner.common.overwriting import check_replaceable
from conll_ner.training.state import STATE

RECORD = "run.json"


def finish_earlier(partial: Path, output: Path) -> bool:
    """Put an earlier training that was killed after its record, before the rename, into its place.

    RETURNS (bool): Whether there was one.
    RAISES (InputError): If `output` must not be replaced.
    """
    is_complete = (partial / RECORD).is_file()
    if is_complete:
        replace_folder(partial, output)
    finish_replacement(output)
    check_replaceable(output)
    return is_complete


def write_record(run: dict[str, Any], partial: Path) -> None:
    """Write the record, at once: `finish_earlier` takes it as the mark of a complete training."""
    write_json(partial / RECORD, run)


def finish_training(run: dict[str, Any], partial: Path, output: Path) -> None:
    """Write the record, drop the state, and put the folder in place of `output`."""
    write_record(run, partial)
    (partial / STATE).unlink()
    replace_folder(partial, output)


def describe_training(
    config_path: Path, config: Config, overrides: dict[str, Any], gpu: int
) -> dict[str, Any]:
    """RETURNS (dict[str, Any]): Config, overrides, seed, backbone, data, hardware and versions."""
    resolved = config.interpolate()
    name = resolved["paths"]["backbone"]
    backbone = Path(name) / "source.json"
    return {
        "config": config_path.stem,
        "config_sha256": sha256(config_path),
        "overrides": overrides,
        "seed": resolved["training"]["seed"],
        "backbone": read_json(backbone, "fetch the backbone again")
        if backbone.is_file()
        else {"name": name},
        "data_sha256": hash_data(config),
        "hardware": describe_hardware(gpu),
        "versions": package_versions() | {"token_ner": token_ner.__version__},
    }


def hash_data(config: Config) -> dict[str, str]:
    """RETURNS (dict[str, str]): The hashes of the files in [paths], by name."""
    paths = config.interpolate()["paths"].items()
    return {name: sha256(Path(path)) for name, path in paths if path and Path(path).is_file()}


def forget_changed(run: dict[str, Any], config: Config) -> None:
    """Remove the hashes of files that changed during the training, with a warning: dev is read at
    each evaluation, so that nobody knows what the scores are of."""
    now = hash_data(config)
    kept = {name: value for name, value in run["data_sha256"].items() if now.get(name) == value}
    for name in run["data_sha256"].keys() - kept.keys():
        msg.warn(f"--paths.{name} changed during the training: train again for scores to trust")
    run["data_sha256"] = kept
