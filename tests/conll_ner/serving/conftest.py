"""The fixtures of the service's tests."""

from tests.serve_helpers import nlp, slow  # noqa: F401
