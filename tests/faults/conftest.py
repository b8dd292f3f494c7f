"""One rig for a module, one story for a test."""

import random
import zlib

import pytest

from tests.faults.rig import Rig
from togai.worker import Worker


@pytest.fixture(scope="module")
def shared_rig():
    with Rig() as rig:
        yield rig


@pytest.fixture
def rig(shared_rig, clock, settings, monkeypatch, request):
    """The scripted Togai, well; a failure prints the seed and everything that happened (F-03)."""
    settings.TOGAI_REQUESTS_PER_SECOND = 10_000
    seed = zlib.crc32(request.node.name.encode())
    random.seed(seed)
    shared_rig.begin(clock)
    shared_rig.roads(monkeypatch)
    yield shared_rig
    shared_rig.heal()
    print(f"seed {seed}\n{shared_rig.story()}")  # noqa: T201  shown with a failure alone


@pytest.fixture
def worker(rig, clock):
    return Worker(rig.gateway(), clock=clock, monotonic=clock.monotonic, name="test")
