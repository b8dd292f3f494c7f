"""The vendor's printed samples, as parsed JSON with exact numbers."""

from pathlib import Path

import pytest

from togai import strict_json

SAMPLES = Path(__file__).parent.parent / "samples"


@pytest.fixture
def samples():
    """Read a sample by its file name."""
    return lambda name: strict_json.loads((SAMPLES / name).read_text())
