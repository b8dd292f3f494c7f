"""
What is too long for every merge and lived through each night: `make soak`.

    make soak                                         every part at its nightly size
    make soak SCHEDULES=500 SEED=17                   the schedules of seeds 17 to 516 alone
    make soak PARTS=kills SCHEDULES=100               another part, smaller
    CLAIM_RACE=4x300x1 make soak PARTS=races          a part that is a test, at a size of that test

Each part says what it lived, how fast, and how a part of it is lived again. The last line counts the lives of
the product's own code that were drawn from seeds, and what went wrong in any part: lost, duplicated, or wrong
in a way that nobody was told of. Exit code 1 when anything did. Parts that need PostgreSQL ask for it at
TEST_POSTGRES_URL, and are skipped aloud when no server answers there.
"""

import argparse
import multiprocessing
import os
import re
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

# What a broken invariant of reliability.md 3.4 means; any other break is one that nobody was told of.
MEANS = {"I1": "lost", "I2": "lost", "I5": "lost", "I3": "duplicated", "I4": "duplicated"}
INVARIANT = re.compile(r"\bI\d+(?=: )")
# After so many violations a part ends: more of them say nothing new.
MOST_VIOLATIONS = 20

# Lives drawn from seeds. `is_product`: of the product's own code; `is_alone`: nothing of a life outlasts it.
Seeds = namedtuple("Seeds", "id what nightly run of_a_chunk on_postgres is_product is_alone")
# A test at another size. `means`: what its failure is when it names no invariant.
Test = namedtuple("Test", "id what variable nightly command on_postgres means")


def main():
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__.split("\n\n")[0])
    parser.add_argument(
        "parts", nargs="*", metavar="part", help=f"of {', '.join(PARTS)}; all when none is named"
    )
    parser.add_argument(
        "--schedules", type=int, help="how many lives instead of the nightly number; alone: of `schedules`"
    )
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    asked = parser.parse_args()
    if unknown := set(asked.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    if asked.schedules is not None and asked.schedules < 1:
        parser.error("at least one life")
    os.environ.update(ENVIRONMENT)
    found = Counter()
    for name in asked.parts or (["schedules"] if asked.schedules else PARTS):
        part = PARTS[name]
        if part.on_postgres and not postgres_answers():
            say(f"!!! {name} ({part.id}): SKIPPED, no PostgreSQL answers at TEST_POSTGRES_URL")
        elif isinstance(part, Test):
            found += whole(name, part)
        else:
            found += seeds(name, part, asked)
    say(summary(found, asked.seed))
    sys.exit(1 if any(found[kind] for kind in ("lost", "duplicated", "undetected")) else 0)


def summary(found, seed):
    """The last line, for people and programs."""
    return (
        f"soak: {found['schedules']} schedules, {found['lost']} lost, {found['duplicated']} duplicated, "
        f"{found['undetected']} undetected (seed {seed})"
    )


def kind_of(violation, otherwise="undetected"):
    """Whether something was lost, duplicated or merely wrong, by the first invariant that a text names."""
    named = INVARIANT.search(violation)
    return MEANS.get(named[0], "undetected") if named else otherwise


def say(line):
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


# --- parts by seed ---


def seeds(name, part, asked):
    """Live a range of seeds, spread over processes. Returns what was found, counted."""
    number = asked.schedules or part.nightly
    last = asked.seed + number
    say(f"=== {name} ({part.id}): {part.what}, seeds {asked.seed} to {last - 1}, {asked.processes} processes")
    chunks = [
        (name, range(start, min(start + part.of_a_chunk, last)))
        for start in range(asked.seed, last, part.of_a_chunk)
    ]
    counted, found, violations, began = Counter(), Counter(), 0, time.monotonic()
    told = began
    # Each process begins anew: what it holds open is its own.
    context = multiprocessing.get_context("spawn")
    with context.Pool(min(asked.processes, len(chunks))) as pool:
        for happened, broken in pool.imap_unordered(lived, chunks):
            counted += happened
            for violation in broken:
                violations += 1
                found[kind_of(violation)] += 1
                say(violation)
                seed = violation.removeprefix("SEED=").split(":")[0]
                say(f"--- {name}: VIOLATED; again: {replay(name, seed)}")
            if violations and (not part.is_alone or violations >= MOST_VIOLATIONS):
                pool.terminate()
                break
            if time.monotonic() - told > 60:
                told = time.monotonic()
                say(f"    {counted['lived']:,} of {number:,} after {told - began:.0f} s")
    seconds = time.monotonic() - began
    happened = ", ".join(f"{what} {count:,}" for what, count in sorted(counted.items()) if what != "lived")
    say(f"    {happened}")
    say(
        f"--- {name}: {counted['lived']:,} lived in {seconds:.0f} s ({counted['lived'] / seconds:.1f}/s), "
        f"{violations} violations; any again: {replay(name, asked.seed)}"
    )
    if part.is_product:
        found["schedules"] = counted["lived"]
    return found


def replay(name, seed):
    return f"make soak PARTS={name} SEED={seed} SCHEDULES=1"


# What a process of the pool lives its seeds with: made at its first chunk, so that what fails there is heard.
_live = None


def lived(chunk):
    """What happened to these seeds, counted, and each violation as a text that begins with its seed."""
    global _live  # noqa: PLW0603  a process of a pool has nowhere else to keep it
    name, numbers = chunk
    part = PARTS[name]
    if _live is None:
        _live = part.run(f"soak_{os.getppid()}_{os.getpid()}")
    counted, broken = Counter(), []
    for seed in numbers:
        counted["lived"] += 1
        try:
            counted += _live(seed)
        except Exception as violation:
            text = f"{type(violation).__name__}: {violation}"
            broken.append(str(violation) if str(violation).startswith("SEED=") else f"SEED={seed}: {text}")
            if not part.is_alone or len(broken) >= MOST_VIOLATIONS:
                break
    return counted, broken


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
    """Run a test at its nightly size, or the one that its variable says. Returns what was found, counted."""
    size = os.environ.get(part.variable, part.nightly)
    say(f"=== {name} ({part.id}): {part.what}, {part.variable}={size}")
    env = os.environ | {part.variable: size}
    if part.on_postgres:
        env["DATABASE_URL"] = urlunsplit(urlsplit(_postgres())._replace(path=f"/soak_{os.getpid()}"))
    again = f"{part.variable}={size} make soak PARTS={name}"
    began, broken = time.monotonic(), ""
    command = [sys.executable, "-m", "pytest", "-q", *part.command.split()]
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True) as run:
        for line in run.stdout:
            say(line.rstrip("\n"))
            broken = broken or (line if INVARIANT.search(line) else "")
    if run.returncode:
        say(f"--- {name}: VIOLATED; again: {again}")
        return Counter({kind_of(broken, part.means): 1})
    say(f"--- {name}: {time.monotonic() - began:.0f} s, 0 violations; again: {again}")
    return Counter()


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
    "models": Seeds(
        "F-10", "random schedules of the state machine alone", 1_000_000, _models, 5_000, False, False, True
    ),
    "schedules": Seeds(
        "F-11", "random schedules of the real service code", 50_000, _schedules, 25, False, True, True
    ),
    # One database for all lives: what one of them breaks, the next ones find too.
    "kills": Seeds("F-12", "real processes, killed, on PostgreSQL", 1_600, _kills, 25, True, True, False),
    "pairs": Test(
        "F-13",
        "every two faults in a row",
        "DEPTH_TWO",
        "all",
        "-n 2 tests/crashes/test_depth_two.py",
        False,
        "undetected",
    ),
    "walks": Test(
        "F-15",
        "anything in any order beside a notebook, lives x steps",
        "WALKS",
        "2000x50",
        "tests/proposals/test_services_walk.py -k in_any_order",
        False,
        "undetected",
    ),
    "properties": Test(
        "G-02, G-05, G-14",
        "every property with fresh examples",
        "EXPLORE",
        "1",
        "-n 2 -m hypothesis tests",
        False,
        "undetected",
    ),
    "races": Test(
        "F-17",
        "processes x rows x rounds that claim the same rows",
        "CLAIM_RACE",
        "8x2000x5",
        "tests/togai/test_claim_race.py",
        True,
        "duplicated",
    ),
    "decisions": Test(
        "F-18",
        "4 people decide the same proposal, so many times",
        "DECISION_RACE",
        "1000",
        "tests/proposals/test_services_race.py -k decision",
        True,
        "duplicated",
    ),
    "outage": Test(
        "F-22", "a day without Togai, 5,000 rows", "SOAK", "1", "tests/faults/test_outage.py", False, "lost"
    ),
}

if __name__ == "__main__":
    main()
