"""The record of a training run, run.json: everything needed to reproduce it."""

import json
from pathlib import Path
from typing import Any

from confection import Config

from common.files import (
    check_replaceable,
    finish_replacement,
    fresh_folder,
    replace_folder,
    sha256,
)
from common.machine import describe_hardware, package_versions


def prepare_partial(partial: Path, output: Path) -> None:
    """Create the folder that a training writes to before it becomes `output`. An earlier training
    that was killed after its record, before the rename, is put into its place first.

    RAISES (InputError): If one of the two must not be replaced.
    """
    if (partial / "run.json").is_file():
        replace_folder(partial, output)
    finish_replacement(output)
    check_replaceable(output)
    fresh_folder(partial)


def describe_training(
    config_path: Path, config: Config, overrides: dict[str, Any], gpu: int
) -> dict[str, Any]:
    """RETURNS (dict[str, Any]): Config, overrides, seed, backbone, hardware and versions."""
    resolved = config.interpolate()
    backbone = Path(resolved["paths"]["backbone"]) / "source.json"
    return {
        "config": config_path.stem,
        "config_sha256": sha256(config_path),
        "overrides": overrides,
        "seed": resolved["training"]["seed"],
        "backbone": json.loads(backbone.read_text(encoding="utf-8")) if backbone.is_file() else {},
        "hardware": describe_hardware(gpu),
        "versions": package_versions(),
    }
