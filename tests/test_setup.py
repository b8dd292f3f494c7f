"""Setting up: one command from nothing to a product, the second time in seconds, and a clean end."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from django.contrib.auth import get_user_model
from django.core.management import CommandError, call_command

from config.management.commands.start import answers
from proposals import demo
from tests.desk import PATIENCE_SECONDS, ROOT, Desk, environment, free_ports, listens
from togai.orphans import die_with_the_parent

User = get_user_model()
READY = "Ctrl-C stops everything"


class Start:
    """One `manage.py start` in a folder of its own."""

    def __init__(self, folder, **settings):
        # The sandbox takes the two ports after ours.
        self.port = next(port for port in free_ports(20) if not listens(port + 1) and not listens(port + 2))
        self.folder = Path(folder)
        self.environment = environment() | {"PORT": str(self.port), "VAR_DIR": str(folder)} | settings
        self.output = self.folder / "start.log"

    def __enter__(self):
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", "start"],
                cwd=ROOT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                preexec_fn=die_with_the_parent,  # noqa: PLW1509  no other thread runs here
            )
        return self

    def __exit__(self, *exception):
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(PATIENCE_SECONDS)

    def said(self):
        return self.output.read_text()

    def until_ready(self):
        ends = time.monotonic() + 2 * PATIENCE_SECONDS
        while READY not in self.said():
            assert self.process.poll() is None, self.said()
            assert time.monotonic() < ends, self.said()
            time.sleep(0.05)
        return self.said()

    def family(self):
        """Every process below, by id."""
        found, todo = [], [self.process.pid]
        while todo:
            pid = todo.pop()
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
            found += children
            todo += children
        return found

    def ends(self, how=signal.SIGINT):
        """Stop it with a signal; its exit status, once nothing of it is left."""
        family = self.family()
        self.process.send_signal(how)
        status = self.process.wait(PATIENCE_SECONDS)
        ends = time.monotonic() + PATIENCE_SECONDS
        while left := [pid for pid in family if Path(f"/proc/{pid}/exe").exists()]:
            assert time.monotonic() < ends, f"{left} are left"
            time.sleep(0.02)
        return status

    def rows(self, query):
        return Desk.rows(self, query)

    database = property(lambda self: self.folder / "dealdesk.sqlite3")


@pytest.mark.process
def test_one_command_starts_everything_and_the_second_start_keeps_the_data(tmp_path):
    with Start(tmp_path) as first:
        said = first.until_ready()
        lines = said.strip().splitlines()
        assert lines[0] == f"Deal Desk runs at http://127.0.0.1:{first.port}"
        for person in demo.SHOWN:
            assert re.search(rf"^  {person.role.label} +{person.username} +{person.password}$", said, re.M)
        assert {person.role for person in demo.SHOWN} == set(demo.Role)
        with urllib.request.urlopen(f"http://127.0.0.1:{first.port}/login/", timeout=30) as page:
            assert page.status == 200
        deals = first.rows("select count(*), count(distinct status) from proposals_proposal")
        assert deals[0][0] > 10
        assert deals[0][1] > 5
        assert first.ends() == 0
        # Nothing but the welcome: no noise before it, no complaint after it.
        assert first.said().strip().splitlines() == lines
    second = Start(tmp_path)
    second.environment["PORT"] = str(first.port)
    with second:
        assert second.until_ready() == said
        assert second.rows("select count(*), count(distinct status) from proposals_proposal") == deals
        # A closed terminal is a stop like any other.
        assert second.ends(signal.SIGHUP) == 0


@pytest.mark.process
def test_with_a_togai_of_ones_own_nothing_is_invented(tmp_path):
    theirs = Desk(tmp_path)
    theirs.start_sandbox()
    try:
        own = {"TOGAI_BASE_URL": theirs.sandbox_url, "TOGAI_API_TOKEN": "sandbox-token"}
        with Start(tmp_path, DATABASE_URL=f"sqlite:///{tmp_path / 'dealdesk.sqlite3'}", **own) as start:
            said = start.until_ready()
            assert not listens(start.port + 1)
            assert start.rows("select count(*) from proposals_proposal") == [(0,)]
            assert start.rows("select count(*) > 10 from accounts_account") == [(1,)]
            for person in demo.SHOWN:
                assert re.search(rf"^  {person.role.label} +{person.username} +\S{{16}}$", said, re.M)
                assert person.password not in said
            # Not even a killed supervisor leaves anything behind.
            start.ends(signal.SIGKILL)
    finally:
        theirs.stop_all()


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"TOGAI_API_TOKEN": "abc"}, "TOGAI_API_TOKEN is set but TOGAI_BASE_URL is not"),
        ({"TOGAI_BASE_URL": "https://api.togai.com"}, "TOGAI_BASE_URL is set but TOGAI_API_TOKEN is not"),
        ({"PORT": "eight thousand"}, "PORT is not a whole number."),
        ({"PORT": "80000"}, "PORT has to be a number"),
        ({"TOGAI_DEADLINE": "soon"}, "TOGAI_DEADLINE is not a number."),
        ({"DATABASE_URL": "mysql://desk@db/desk"}, "DATABASE_URL starts with"),
        ({"SECRET_KEY": ""}, "SECRET_KEY is not set"),
        ({"BUSINESS_TIME_ZONE": "Mars"}, "BUSINESS_TIME_ZONE is not a time zone"),
    ],
)
def test_a_wrong_setting_stops_the_start_with_one_sentence(tmp_path, settings, sentence):
    with Start(tmp_path, **settings) as start:
        assert start.process.wait(PATIENCE_SECONDS) == 1
        assert sentence in start.said()
        assert len(start.said().splitlines()) == 1


def test_a_busy_port_is_said_in_one_sentence(tmp_path):
    start = Start(tmp_path)
    with socket.create_server(("127.0.0.1", start.port)), start:
        assert start.process.wait(PATIENCE_SECONDS) == 1
    assert start.said().startswith(f"CommandError: Port {start.port} is busy; choose another")
    if sys.platform == "linux":
        assert f"(process {os.getpid()} has it: " in start.said()
    assert len(start.said().splitlines()) == 1


@pytest.mark.process
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere no child hears of it")
def test_a_killed_web_server_leaves_no_child_that_holds_the_port(tmp_path):
    """After a `kill -9` of the server its child would go on serving, and no start would get the port."""
    desk = Desk(tmp_path)
    desk.start_web()
    try:
        desk.until(lambda: answers(desk.port))
        server = desk.running.pop("web")
        server.kill()
        server.wait()
        desk.until(lambda: not listens(desk.port))
    finally:
        desk.stop_all()


@pytest.mark.django_db
def test_known_passwords_are_only_for_this_machine(settings):
    settings.HTTPS, settings.DEBUG = True, False
    with pytest.raises(demo.NotHere):
        demo.people(known_passwords=True)
    with pytest.raises(CommandError):
        call_command("demo", no_deals=True)
    assert not User.objects.exists()


@pytest.mark.django_db
def test_the_demo_never_sets_a_password_back():
    assert set(demo.people(known_passwords=True)) == {person.username for person in demo.PEOPLE}
    mia = User.objects.get(username="mia")
    mia.set_password("only mia knows this one")
    mia.save()
    assert demo.people(known_passwords=True) == {}
    mia.refresh_from_db()
    assert mia.check_password("only mia knows this one")


@pytest.mark.django_db
def test_people_of_a_real_togai_get_passwords_that_stand_nowhere():
    made = demo.people(known_passwords=False)
    assert len(set(made.values())) == len(demo.PEOPLE)
    for person in demo.PEOPLE:
        assert made[person.username] != person.password
        assert User.objects.get(username=person.username).check_password(made[person.username])


def test_make_writes_the_settings_once_and_for_nobody_else(tmp_path):
    """A fresh clone has no SECRET_KEY; what somebody wrote later is never overwritten."""
    for name in ("Makefile", ".env.example"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "python").symlink_to(sys.executable)
    written = [_make_env(tmp_path), _make_env(tmp_path)]
    assert written[0] == written[1]
    assert re.search(r"^SECRET_KEY=\S{60,}$", written[0], re.M)
    assert re.search(r"^HTTPS=False$", written[0], re.M)
    assert (tmp_path / ".env").stat().st_mode & 0o077 == 0


def _make_env(folder):
    subprocess.run(["make", ".env"], cwd=folder, check=True, capture_output=True)
    return (folder / ".env").read_text()
