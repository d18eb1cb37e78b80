"""The record of a training run, run.json: everything needed to reproduce it."""

import json
from pathlib import Path
from typing import Any

from confection import Config

from common.files import sha256
from common.machine import describe_hardware, package_versions


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
