"""``manage.py start``: the whole product on this machine, under one supervisor; what `make run` runs."""

import http.client
import logging
import os
import signal
import socket
import sys
import threading
import time
from functools import partial
from pathlib import Path

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import connections
from honcho.environ import parse_procfile
from honcho.manager import Manager
from honcho.printer import Printer
from honcho.process import Popen, Process

from accounts.models import Account
from proposals import demo
from proposals.models import Proposal
from togai.orphans import die_with_the_parent

HOST = "127.0.0.1"
# How long the first answer may take before we stop waiting to announce it.
PATIENCE_SECONDS = 60
# What is told at a terminal where LOG_LEVEL says nothing.
QUIET = "WARNING"
# As /proc/net/tcp writes it.
LISTENS = "0A"


class Command(BaseCommand):
    help = "Prepare the database, then run sandbox, worker and web server until Ctrl-C."
    # Below, after what can be said in one sentence.
    requires_system_checks = []

    def handle(self, **options):
        port = os.environ.get("PORT") or "8000"
        if not port.isdecimal() or not 0 < int(port) < 65534:
            raise CommandError("PORT has to be a number from 1 to 65533.")
        self.port = int(port)
        self.embedded = settings.TOGAI_BASE_URL == settings.SANDBOX_URL
        self._refuse_half_a_togai()
        self._refuse_a_busy_port()
        self.check()
        self._be_quiet()
        self._prepare()
        connections.close_all()
        self._run()

    def _be_quiet(self):
        """What the first start reads from Togai is no news at a terminal, unless somebody asked for it."""
        if not os.environ.get("LOG_LEVEL"):
            logging.getLogger("togai").setLevel(QUIET)

    def _refuse_half_a_togai(self):
        if "TOGAI_API_TOKEN" in os.environ and self.embedded:
            raise CommandError(
                "TOGAI_API_TOKEN is set but TOGAI_BASE_URL is not: set both for Togai, none for the sandbox."
            )
        if "TOGAI_API_TOKEN" not in os.environ and not self.embedded:
            raise CommandError("TOGAI_BASE_URL is set but TOGAI_API_TOKEN is not: Togai would refuse us.")

    def _refuse_a_busy_port(self):
        for port in [self.port, *([settings.SANDBOX_PORT, self._control_port] if self.embedded else [])]:
            if is_busy(port):
                raise CommandError(
                    f"Port {port} is busy; choose another, as in: make run PORT={self.port + 100}"
                    f"{held_by(port)}"
                )

    @property
    def _control_port(self):
        return settings.SANDBOX_PORT + 1

    def _prepare(self):
        call_command("migrate", verbosity=0)
        call_command("assets")
        self.passwords = {}
        try:
            if self.embedded and not Proposal.objects.exists():
                self.passwords = demo.people(known_passwords=True)
                call_command("demo")
            elif not self.embedded and not Account.objects.exists():
                self.passwords = demo.people(known_passwords=False)
                self._pull()
        except demo.NotHere as refused:
            raise CommandError(str(refused)) from refused

    def _pull(self):
        """Togai may be away on the first day; the product is there, and the next start pulls."""
        try:
            call_command("togai_pull", quiet=True)
        except CommandError as error:
            self.stderr.write(f"The catalogue is not complete. {error}")

    def _run(self):
        supervisor = Supervisor(
            ["sandbox", "worker", "web"] if self.embedded else ["worker", "web"],
            environment={
                "HOST": HOST,
                "PORT": str(self.port),
                "SANDBOX_PORT": str(settings.SANDBOX_PORT),
                "SANDBOX_CONTROL_PORT": str(self._control_port),
                "LOG_LEVEL": os.environ.get("LOG_LEVEL") or QUIET,
            },
            started=partial(self._announce, self._welcome()),
        )
        supervisor.loop()
        if supervisor.failed:
            raise CommandError(f"The {supervisor.failed} process ended by itself, so everything was stopped.")

    def _welcome(self):
        users = get_user_model().objects.in_bulk(
            [person.username for person in demo.SHOWN], field_name="username"
        )
        lines = ["", f"Deal Desk runs at http://{HOST}:{self.port}", ""]
        for person in demo.SHOWN:
            user = users.get(person.username)
            if user and user.is_active:
                lines.append(
                    f"  {person.role.label:<14}  {person.username:<5}  {self._password(person, user)}"
                )
        if self.embedded:
            desk = f"http://{HOST}:{self._control_port}"
            lines += ["", f"Togai is the sandbox on this machine; play Togai's side at {desk}"]
        else:
            lines += ["", f"Togai is {settings.TOGAI_BASE_URL}: what is approved here is real."]
        return "\n".join([*lines, "Ctrl-C stops everything and keeps the data.", ""])

    def _password(self, person, user):
        """The password of somebody of the demo, as far as anybody but them can know it."""
        known = self.passwords.get(person.username) or (person.password if self.embedded else "")
        return known if known and user.check_password(known) else "(the password it was given)"

    def _announce(self, welcome, supervisor):
        ends = time.monotonic() + PATIENCE_SECONDS
        while not answers(self.port):
            if supervisor.stopping or time.monotonic() > ends:
                return
            time.sleep(0.1)
        self.stdout.write(welcome)
        self.stdout.flush()


class Supervisor(Manager):
    """
    Runs processes of the Procfile until one ends or a signal comes, and then stops them all.

    The sandbox goes last, so that no call of the worker is cut off half-way.
    """

    def __init__(self, names, *, environment, started):
        super().__init__(printer=Quiet(sys.stdout))
        self._process_ctor = Child
        self._started = started
        self._told = set()
        # The process that ended without being asked.
        self.failed = None
        commands = parse_procfile((settings.BASE_DIR / "Procfile").read_text()).processes
        environment = os.environ | environment
        environment["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
        for name in names:
            self.add_process(name, commands[name], env=environment, cwd=str(settings.BASE_DIR))

    @property
    def stopping(self):
        return self._terminating

    def _start(self):
        # A closed terminal is a stop like any other.
        signal.signal(signal.SIGHUP, lambda *_: os.kill(os.getpid(), signal.SIGTERM))
        os.register_at_fork(after_in_child=die_with_the_parent)
        super()._start()
        # After the forks: a thread and a fork do not go together.
        threading.Thread(target=self._started, args=[self], daemon=True).start()

    def terminate(self):
        if not self._terminating:
            ended = [name for name, process in self._processes.items() if "returncode" in process]
            self.failed = ended[0] if ended else None
        super().terminate()

    def _killall(self, force=False):
        # In order is told below, round by round, once every process is known to have started.
        if force:
            super()._killall(force=True)

    def _all_stopped(self):
        if self._terminating:
            left = [name for name, process in self._processes.items() if "returncode" not in process]
            for name in set(left) - self._told:
                if name != "sandbox" or left == ["sandbox"]:
                    self._told.add(name)
                    self._procmgr.terminate(self._processes[name]["pid"])
        return super()._all_stopped()


class Child(Process):
    """A process that is asked to stop when the supervisor is killed."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self._child_ctor = partial(Popen, preexec_fn=partial(die_with_the_parent, signal.SIGTERM))


class Quiet(Printer):
    """Prints what goes wrong, not that processes start and stop."""

    def write(self, message):
        text = message.data.decode(errors="replace") if isinstance(message.data, bytes) else message.data
        if message.name != "system" and "sandbox ready at" not in text:
            super().write(message)


def is_busy(port):
    """Whether a port of this machine is taken."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return True
    return False


def held_by(port):
    """Which process listens at a port, in words; "" where this system, or the process, does not tell."""
    try:
        rows = [row.split() for row in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    except OSError:
        return ""
    sockets = {f"socket:[{row[9]}]" for row in rows if row[3] == LISTENS and row[1].endswith(f":{port:04X}")}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if sockets.isdisjoint(os.readlink(file) for file in (process / "fd").iterdir()):
                continue
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            # Somebody else's, or it has just ended.
            continue
        return f" (process {process.name} has it: {command.strip()[:120]})"
    return ""


def answers(port):
    """Whether a web server answers, whatever it says."""
    connection = http.client.HTTPConnection(HOST, port, timeout=5)
    try:
        connection.request("GET", "/healthz")
        connection.getresponse()
    except OSError:
        return False
    finally:
        connection.close()
    return True
