"""Paths of the project's folders."""

from pathlib import Path

SCRIPTS = Path(__file__).parents[1]
ROOT = SCRIPTS.parent
CONFIGS = ROOT / "configs"
