"""
What is too long for every merge and lived through each night: `make soak`.

    python -m tests.soak                                 every part at its nightly size
    python -m tests.soak schedules --number 500          one part, smaller
    python -m tests.soak schedules --first 17 --number 1 one seed again
    CLAIM_RACE=4x300x1 python -m tests.soak races        a part that is a test, at a size of that test

Each part says which seeds it lived, how many, how fast and how one of them is lived again. The first
violation ends the run with its seed and exit code 1. Parts that need PostgreSQL ask for it at
TEST_POSTGRES_URL, and are skipped aloud when no server answers there.
"""

import argparse
import multiprocessing
import os
import subprocess
import sys
import time
from collections import Counter, namedtuple
from urllib.parse import urlsplit, urlunsplit

# Nothing of the developer's own product is touched; the same place as in `make test`.
ENVIRONMENT = {
    "DJANGO_SETTINGS_MODULE": "config.settings",
    "ENV_FILE": "/dev/null",
    "SECRET_KEY": "only-for-checks",
    "DEBUG": "False",
    "HTTPS": "False",
    "ALLOWED_HOSTS": "127.0.0.1,localhost",
    "DATABASE_URL": "sqlite://:memory:",
    "TOGAI_BASE_URL": "http://127.0.0.1:8001",
    "TOGAI_API_TOKEN": "sandbox-token",
    "TOGAI_ENVIRONMENT": "dev",
    "BUSINESS_TIME_ZONE": "Europe/Berlin",
    "REPORTING_CURRENCY": "EUR",
    "LOG_LEVEL": "CRITICAL",
}
POSTGRES = "postgres://postgres@127.0.0.1:5432/postgres"

Part = namedtuple("Part", "id what nightly run of_a_chunk on_postgres")


def main():
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__.split("\n\n")[0])
    parser.add_argument(
        "parts", nargs="*", metavar="part", help=f"of {', '.join(PARTS)}; all when none is named"
    )
    parser.add_argument("--number", type=int, help="how many instead of the nightly number")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    asked = parser.parse_args()
    if unknown := set(asked.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    os.environ.update(ENVIRONMENT)
    for name in asked.parts or PARTS:
        part = PARTS[name]
        if part.on_postgres and not postgres_answers():
            say(f"!!! {name} ({part.id}): SKIPPED, no PostgreSQL answers at TEST_POSTGRES_URL")
            continue
        if part.run is None:
            whole(name, part)
        else:
            seeds(name, part, asked)


def say(line):
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


# --- parts by seed ---


def seeds(name, part, asked):
    """Live a range of seeds, spread over processes; exits with 1 at the first violation."""
    number = asked.number or part.nightly
    last = asked.first + number
    say(
        f"=== {name} ({part.id}): {part.what}, seeds {asked.first} to {last - 1}, {asked.processes} processes"
    )
    chunks = [
        (name, range(start, min(start + part.of_a_chunk, last)))
        for start in range(asked.first, last, part.of_a_chunk)
    ]
    counted, began, told = Counter(), time.monotonic(), time.monotonic()
    # Each process begins anew: what it holds open is its own.
    context = multiprocessing.get_context("spawn")
    with context.Pool(min(asked.processes, len(chunks))) as pool:
        for result in pool.imap_unordered(lived, chunks):
            if isinstance(result, str):
                say(result)
                seed = result.removeprefix("SEED=").split(":")[0]
                say(f"--- {name}: VIOLATED; again: {replay(name, seed)}")
                pool.terminate()
                sys.exit(1)
            counted += result
            if time.monotonic() - told > 60:
                told = time.monotonic()
                say(f"    {counted['lived']:,} of {number:,} after {told - began:.0f} s")
    seconds = time.monotonic() - began
    told = ", ".join(f"{what} {count:,}" for what, count in sorted(counted.items()) if what != "lived")
    say(f"    {told}")
    say(
        f"--- {name}: {counted['lived']:,} lived in {seconds:.0f} s ({counted['lived'] / seconds:.1f}/s), "
        f"0 violations; any again: {replay(name, asked.first)}"
    )


def replay(name, seed):
    return f"python -m tests.soak {name} --first {seed} --number 1"


# What a process of the pool lives its seeds with: made at its first chunk, so that what fails there is heard.
_live = None


def lived(chunk):
    """What happened to these seeds, counted; or the first violation, as text that begins with its seed."""
    global _live  # noqa: PLW0603  a process of a pool has nowhere else to keep it
    name, numbers = chunk
    if _live is None:
        _live = PARTS[name].run(f"soak_{os.getppid()}_{os.getpid()}")
    counted = Counter()
    for seed in numbers:
        try:
            counted += _live(seed)
        except Exception as violation:
            text = f"{type(violation).__name__}: {violation}"
            return str(violation) if str(violation).startswith("SEED=") else f"SEED={seed}: {text}"
        counted["lived"] += 1
    return counted


def _database(url):
    """A fresh test database for this process, gone when it ends."""
    from multiprocessing.util import Finalize

    import django

    os.environ["DATABASE_URL"] = url
    django.setup()
    from django.test.utils import setup_databases, setup_test_environment, teardown_databases

    setup_test_environment()
    made = setup_databases(verbosity=0, interactive=False)
    Finalize(None, teardown_databases, [made, 0], exitpriority=100)


def _models(name):
    """F-10: the state machine alone."""
    from tests.crashes.model import live

    return live


def _schedules(name):
    """F-11: the real service code on SQLite in memory."""
    _database("sqlite://:memory:")
    from tests.crashes.rig import Desk
    from tests.crashes.schedules import Schedule
    from tests.togai.fake_togai import Clock, FakeTogai

    clock = Clock()
    desk = Desk(FakeTogai(clock).__enter__(), clock)
    return lambda seed: Schedule(desk, seed).run()


def _kills(name):
    """F-12: real worker processes, real SIGKILL, PostgreSQL."""
    _database(urlunsplit(urlsplit(_postgres())._replace(path=f"/{name}")))
    from contextlib import ExitStack
    from multiprocessing.util import Finalize
    from tempfile import gettempdir

    from tests.crashes.killing import AheadClock, Place, killed_at_random
    from tests.crashes.served_togai import ServedTogai

    held = ExitStack()
    clock = AheadClock()
    place = Place(held.enter_context(ServedTogai(clock)), clock, gettempdir())
    held.enter_context(place.processes())
    Finalize(None, held.close, exitpriority=200)
    return lambda seed: killed_at_random(place, seed)


# --- parts that are tests at another size ---


def whole(name, part):
    """Run tests at their nightly size, or the one that their variable says; exits with 1 when one fails."""
    say(f"=== {name} ({part.id}): {part.what}")
    (variable, nightly), *command = part.nightly
    size = os.environ.get(variable, nightly)
    env = os.environ | {variable: size}
    if part.on_postgres:
        env["DATABASE_URL"] = urlunsplit(urlsplit(_postgres())._replace(path=f"/soak_{os.getpid()}"))
    again = f"{variable}={size} python -m pytest {' '.join(command)}"
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-m", "pytest", "-q", *command], env=env, check=False)
    if done.returncode:
        say(f"--- {name}: VIOLATED; again: {again}")
        sys.exit(1)
    say(f"--- {name}: {time.monotonic() - began:.0f} s, 0 violations; again: {again}")


def _postgres():
    return os.environ.get("TEST_POSTGRES_URL", POSTGRES)


def postgres_answers():
    import psycopg

    try:
        psycopg.connect(_postgres(), connect_timeout=5).close()
    except psycopg.Error:
        return False
    return True


PARTS = {
    "models": Part("F-10", "random schedules of the state machine alone", 1_000_000, _models, 5_000, False),
    "schedules": Part("F-11", "random schedules of the real service code", 50_000, _schedules, 25, False),
    "kills": Part("F-12", "real processes, killed, on PostgreSQL", 1_600, _kills, 25, True),
    "pairs": Part(
        "F-13",
        "every two faults in a row",
        [("DEPTH_TWO", "all"), "-n", "2", "tests/crashes/test_depth_two.py"],
        None,
        None,
        False,
    ),
    "races": Part(
        "F-17",
        "8 processes claim 2,000 rows, 5 times",
        [("CLAIM_RACE", "8x2000x5"), "tests/togai/test_claim_race.py"],
        None,
        None,
        True,
    ),
    "outage": Part(
        "F-22",
        "a day without Togai, 5,000 rows",
        [("SOAK", "1"), "tests/faults/test_outage.py"],
        None,
        None,
        False,
    ),
}

if __name__ == "__main__":
    main()
