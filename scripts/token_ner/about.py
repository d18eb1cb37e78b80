"""The version of this code. pyproject.toml and the copies in model wheels take it from here."""

__version__ = "0.10.0"
