"""A whole Deal Desk of real processes: sandbox, worker and web server, each as the Procfile starts it."""

import contextlib
import fcntl
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from honcho.environ import parse_procfile

from proposals.demo import PEOPLE
from togai.orphans import die_with_the_parent

ROOT = Path(__file__).parents[1]
COMMANDS = parse_procfile((ROOT / "Procfile").read_text()).processes
# The first of each role, by the word a journey says; "rep2" and "admin2" are the second ones.
WHO = {"manager": "lena", "finance": "omar", "cfo": "ines", "auditor": "theo"} | {
    "rep": "mia",
    "rep2": "noah",
    "admin": "ada",
    "admin2": "ruth",
}
PASSWORDS = {person.username: person.password for person in PEOPLE}
PATIENCE_SECONDS = 60


def environment():
    """What our processes see: this machine, and nothing of a developer's own settings."""
    ours = (
        "TOGAI_",
        "DJANGO_",
        "PYTEST_",
        "SANDBOX_",
        "DATABASE_URL",
        "PORT",
        "WORKERS",
        "VAR_DIR",
        "LOG_LEVEL",
    )
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)} | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "ENV_FILE": os.devnull,
        "SECRET_KEY": "for-journeys-only-" + "x" * 40,
        "DEBUG": "False",
        "HTTPS": "False",
        "ALLOWED_HOSTS": "127.0.0.1",
        "BUSINESS_TIME_ZONE": "Europe/Berlin",
    }


class Desk:
    """One running product on a database of its own; a context manager that starts and stops everything."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.port, self.sandbox_port, self.control_port = free_ports(3)
        self.url = f"http://127.0.0.1:{self.port}"
        self.sandbox_url = f"http://127.0.0.1:{self.sandbox_port}"
        self.control_url = f"http://127.0.0.1:{self.control_port}"
        self.database = self.folder / "desk.sqlite3"
        self.running = {}
        self.environment = environment() | {
            "DATABASE_URL": f"sqlite:///{self.database}",
            "TOGAI_BASE_URL": self.sandbox_url,
            "TOGAI_API_TOKEN": "sandbox-token",
            # Nobody waits minutes in a test for an outage to be noticed as over.
            "TOGAI_PROBE_SECONDS": "2",
            "TOGAI_LONGEST_PROBE_SECONDS": "2",
            "PORT": str(self.port),
            "SANDBOX_PORT": str(self.sandbox_port),
            "SANDBOX_CONTROL_PORT": str(self.control_port),
            "SANDBOX_STATE": str(self.folder / "sandbox.sqlite3"),
        }

    def __enter__(self):
        try:
            self.start_sandbox()
            self.start("worker")
            self.start_web()
        except BaseException:
            self.stop_all()
            raise
        return self

    def __exit__(self, *exception):
        self.stop_all()

    # --- people ---

    def sign_in(self, page, role):
        """Sign in as the person of a role ("rep", "finance", ...; see `WHO`) and arrive at the overview."""
        username = WHO[role]
        page.goto(f"{self.url}/login/")
        page.locator("[name=username]").fill(username)
        page.locator("[name=password]").fill(PASSWORDS[username])
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url(f"{self.url}/")

    # --- Togai's side ---

    def start_sandbox(self):
        """Start Togai, or let it come back with everything it knew."""
        self.start("sandbox")
        self.until(lambda: listens(self.control_port) and listens(self.sandbox_port))

    def stop_sandbox(self):
        """Take Togai away: connections are refused."""
        self.stop("sandbox")

    def control(self, path, **sent):
        """
        Call the sandbox's control server: POST when anything is sent, else GET; the JSON that it answers.
        """
        request = urllib.request.Request(
            self.control_url + path,
            data=json.dumps(sent).encode() if sent else None,
            method="POST" if sent else "GET",
        )
        with urllib.request.urlopen(request, timeout=30) as response:
            return json.load(response)

    # --- processes ---

    root = ROOT

    def command(self, name):
        """The command line of a process, for the shell, as the Procfile has it."""
        return COMMANDS[name]

    def start_web(self):
        self.start("web")
        self.until(lambda: listens(self.port))

    def start(self, name):
        """Start one process of the Procfile; its output goes to a log in the desk's folder."""
        with self.log(name).open("ab") as log:
            self.running[name] = subprocess.Popen(
                self.command(name),
                shell=True,
                cwd=ROOT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                # A test run that is killed leaves nothing behind.
                preexec_fn=die_with_the_parent,  # noqa: PLW1509  no other thread runs here
            )

    def stop(self, name, how=signal.SIGTERM):
        """Stop one process and all it started, the way a supervisor does."""
        process = self.running.pop(name)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, how)
        try:
            process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise AssertionError(f"The {name} process did not stop.\n{self.said(name)}") from None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)

    def kill(self, name):
        """Pull the plug of one process and all it started."""
        self.stop(name, signal.SIGKILL)

    def stop_all(self):
        for name in ("web", "worker", "sandbox"):
            if name in self.running:
                self.stop(name)

    # --- what happened ---

    def until(self, true):
        """
        What `true()` returns as soon as it is true.

        :raises AssertionError: it was not in time, or a process ended meanwhile; with what the processes said
        """
        ends = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < ends and all(process.poll() is None for process in self.running.values()):
            if answer := true():
                return answer
            time.sleep(0.02)
        said = "\n".join(f"--- {name}\n{self.said(name)}" for name in self.running)
        raise AssertionError(f"It never became true.\n{said}")

    def log(self, name):
        return self.folder / f"{name}.log"

    def said(self, name):
        """What a process wrote so far, its last lines."""
        log = self.log(name)
        return log.read_text(errors="replace")[-6000:] if log.exists() else ""

    def complaints(self):
        """Everything in the logs of web and worker that no healthy product writes."""
        bad = ("Traceback", "database is locked", "CRITICAL")
        return [
            f"{name}: {self.said(name)}"
            for name in ("web", "worker")
            if any(word in self.said(name) for word in bad)
        ]

    def rows(self, query, *values):
        """What the database holds now, as a list of tuples; reading only."""
        with contextlib.closing(sqlite3.connect(f"file:{self.database}?mode=ro", uri=True)) as connection:
            return connection.execute(query, values).fetchall()

    def manage(self, *arguments):
        """Run one management command on the desk's database and return what it printed."""
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise AssertionError(f"manage.py {' '.join(arguments)}\n{done.stdout}{done.stderr}")
        return done.stdout


def furnish(folder):
    """
    Make a desk's files once and for all tests of a run: migrated, people, catalogue, account owners.

    Safe to call from several test processes at once.
    """
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "done").exists():
            desk = Desk(folder)
            desk.manage("assets")
            desk.manage("migrate", "--verbosity", "0")
            desk.start_sandbox()
            try:
                desk.manage("demo", "--no-deals")
            finally:
                desk.stop_all()
            (folder / "done").touch()
    return folder


def open_desk(furnished, folder):
    """A desk, not started yet, with a copy of the furnished files."""
    for name in ("desk.sqlite3", "sandbox.sqlite3"):
        # Through SQLite itself: the copy has everything, whatever is still in a write-ahead log.
        with (
            contextlib.closing(sqlite3.connect(furnished / name)) as source,
            contextlib.closing(sqlite3.connect(folder / name)) as target,
        ):
            source.backup(target)
    return Desk(folder)


def free_ports(count):
    """Ports that nobody listens on now."""
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def listens(port):
    """Whether somebody listens on a port of this machine."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def chromium():
    """Where Chromium is, or None."""
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
