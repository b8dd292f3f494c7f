"""The sandbox as tests use it: a real process on free ports with a state file of its own.

from tests.togai.sandbox_fixture import sandbox, sandbox_process  # noqa: F401

@pytest.mark.process
def test_something(sandbox):
    sandbox.control("/switches", down=True)
"""

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOKEN = "token-of-the-tests"


class RunningSandbox:
    """Where a running sandbox listens, and its control server as a method."""

    token = TOKEN

    def __init__(self, process, base_url, control_url, state_file):
        self.process = process
        self.base_url = base_url
        self.control_url = control_url
        self.state_file = state_file

    def control(self, path, **sent):
        """Call the control server: POST when anything is sent or the path is a verb, else GET.

        :raises AssertionError: when it does not answer 200
        """
        verb = bool(sent) or path in {"/reset"}
        request = urllib.request.Request(
            self.control_url + path,
            data=json.dumps(sent).encode() if verb else None,
            method="POST" if verb else "GET",
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{path}: {error.code} {error.read().decode()}") from error

    def ledger(self):
        """Every request that the API side read, oldest first."""
        return self.control("/ledger")["requests"]


@contextmanager
def running_sandbox(state_file, *flags):
    """Start ``manage.py togai_sandbox`` and stop it at the end; ``flags`` are added to its command line."""
    command = [sys.executable, "manage.py", "togai_sandbox", "--port", "0", "--control-port", "0"]
    command += ["--state", str(state_file), "--token", TOKEN, *flags]
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**os.environ}
    )
    try:
        line = process.stdout.readline()
        if "ready at" not in line:
            raise RuntimeError("The sandbox did not start: " + line + process.stdout.read())
        _, _, places = line.partition("ready at ")
        base_url, _, control = places.strip().partition(" ")
        yield RunningSandbox(process, base_url, control.removeprefix("(control ").rstrip(")"), state_file)
    finally:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


@pytest.fixture(scope="module")
def sandbox_process(tmp_path_factory):
    """One process for the tests of a module."""
    with running_sandbox(tmp_path_factory.mktemp("sandbox") / "state.sqlite3") as running:
        yield running


@pytest.fixture
def sandbox(sandbox_process):
    """The module's sandbox as good as new: first catalogue, no delays between steps, no rate limit."""
    sandbox_process.control("/reset")
    sandbox_process.control("/switches", step_delay_ms=0, rate_limit=False)
    return sandbox_process
