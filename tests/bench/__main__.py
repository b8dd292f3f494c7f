"""
What the list of proposals costs, beside Django's own admin on the same rows: `make bench`. After it, what the
estimate costs after a keystroke (`keystroke`).

Everything runs in one process through the real WSGI handler, in rounds: one round asks for every page once at
every size, in another order each time, and ratios are taken inside a round. So a busy machine blurs the
numbers and leaves the ratios alone. Environment: ROWS (sizes, "1000,100000"), ROUNDS (15).
"""

import io
import os
import sys
import time
from collections import namedtuple
from statistics import median

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
# A line for each of thousands of requests would bury the table.
os.environ["LOG_LEVEL"] = "WARNING"

# How much longer the largest size may take than the smallest (performance.md 10, L1 and L5).
MOST_GROWTH = 1.3
MOST_GROWTH_OF_SEARCH = 3
MOST_QUERIES = 8

Case = namedtuple("Case", "name who url stock most_growth")
CASES = [
    Case("first page", "finance", "/proposals/", "", MOST_GROWTH),
    Case("deep page", "finance", "/proposals/?after={deep}", "?p={last}", MOST_GROWTH),
    Case("drafts (8 %)", "finance", "/proposals/?status=DRAFT", "?status__exact=DRAFT", MOST_GROWTH),
    Case("SUCCESS (60 %)", "finance", "/proposals/?togai=SUCCESS", "?status__exact=APPROVED", MOST_GROWTH),
    Case("search", "finance", "/proposals/?q=robotics+4", "", MOST_GROWTH_OF_SEARCH),
    Case("first page", "rep", "/proposals/", "", MOST_GROWTH),
    Case("deep page", "rep", "/proposals/?after={deep}", "?p={last}", MOST_GROWTH),
    Case("approved (67 %)", "rep", "/proposals/?status=APPROVED", "?status__exact=APPROVED", MOST_GROWTH),
    Case("SUCCESS (60 %)", "rep", "/proposals/?togai=SUCCESS", "?status__exact=APPROVED", MOST_GROWTH),
]
STOCK = "/stock/proposals/proposal/"
USERNAMES = {"finance": "finance", "rep": "rep0"}


def say(line):
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


class Desk:
    """One size: its database, and somebody signed in for every role."""

    def __init__(self, rows):
        from django.contrib.auth.models import User

        from proposals.models import Proposal
        from tests.bench import seed

        self.rows = rows
        path, seconds = seed.database(rows)
        self.connection = seed.use(path)
        say(f"{rows:>8} proposals: {seed.checksum()}" + (f", seeded in {seconds:.1f} s" if seconds else ""))
        self.cookies, self.places = {}, {}
        for role, username in USERNAMES.items():
            user = User.objects.get(username=username)
            self.cookies[role] = signed_in(user)
            mine = Proposal.objects.visible_to(user).live().order_by("-pk").values_list("pk", flat=True)
            # Nine tenths down: as deep as anybody goes, with a full page still ahead.
            self.places[role] = {"deep": mine[int(mine.count() * 0.9) - 60], "last": rows // 50 - 1}

    def use(self):
        from django.db import connections

        connections["default"] = self.connection

    def url(self, case, *, stock):
        return (STOCK + case.stock if stock else case.url).format(**self.places[case.who])


def signed_in(user):
    from django.conf import settings
    from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
    from django.contrib.sessions.backends.db import SessionStore

    session = SessionStore()
    session[SESSION_KEY] = str(user.pk)
    session[BACKEND_SESSION_KEY] = settings.AUTHENTICATION_BACKENDS[0]
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    session.create()
    return f"{settings.SESSION_COOKIE_NAME}={session.session_key}"


def ask(application, url, cookie, *, body=None):
    """
    One request through the WSGI application: a GET, or a POST of a form with this body.

    :returns: the whole answer
    :raises SystemExit: when it is not a 200
    """
    path, _, query = url.partition("?")
    said = []
    environ = {
        "REQUEST_METHOD": "GET" if body is None else "POST",
        "CONTENT_TYPE": "" if body is None else "application/x-www-form-urlencoded",
        "CONTENT_LENGTH": str(len(body or b"")),
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": "127.0.0.1",
        "HTTP_COOKIE": cookie,
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body or b""),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": False,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    response = application(environ, lambda status, headers: said.append(status))
    answer = b"".join(response)
    response.close()
    if not said[0].startswith("200"):
        raise SystemExit(f"bench: {url} answered {said[0]}")
    return answer


def queries_of(application, url, cookie):
    """The statements of one request, in order."""
    from django.db import connection

    seen = []

    def note(execute, sql, params, many, context):
        seen.append(sql)
        return execute(sql, params, many, context)

    with connection.execute_wrapper(note):
        ask(application, url, cookie)
    return seen


def measure(application, desks, rounds):
    """Seconds by (case, rows, stock), one a round."""
    jobs = [(case, desk, stock) for case in CASES for desk in desks for stock in (False, True)]
    seconds = {(case, desk.rows, stock): [] for case, desk, stock in jobs}
    for turn in range(rounds):
        # Another order every round, so that nobody always comes after the slowest.
        start = turn * 7 % len(jobs)
        for case, desk, stock in jobs[start:] + jobs[:start]:
            desk.use()
            url, cookie = desk.url(case, stock=stock), desk.cookies[case.who]
            began = time.perf_counter()
            ask(application, url, cookie)
            seconds[case, desk.rows, stock].append(time.perf_counter() - began)
    return seconds


def report(seconds, queries, sizes):
    """Print the table; returns (goals, goals that were missed)."""
    small, large = sizes[0], sizes[-1]
    goals = short = 0
    say(
        f"\n{'page':<17}{'role':<9}{'rows':>8}{'queries':>9}{'ms':>9}{'growth':>8}{'goal':>6}"
        f"{'stock ms':>10}{'stock / ours':>14}"
    )
    for case in CASES:
        for rows in sizes:
            ours, stock = seconds[case, rows, False], seconds[case, rows, True]
            times = median(theirs / mine for theirs, mine in zip(stock, ours, strict=True))
            asked = len(queries[case, rows])
            line = f"{case.name:<17}{case.who:<9}{rows:>8}{asked:>9}{median(ours) * 1000:>9.1f}"
            growth, goal, missed = "", "", []
            if rows != small:
                ratio = median(a / b for a, b in zip(ours, seconds[case, small, False], strict=True))
                growth, goal = f"{ratio:.2f}", f"{case.most_growth:g}"
                goals += 1
                if ratio > case.most_growth:
                    missed.append("grows")
            if rows == large:
                goals += 2
                if asked > MOST_QUERIES:
                    missed.append(f"more than {MOST_QUERIES} queries")
                if queries[case, rows] != queries[case, small] and case.name != "search":
                    missed.append("other queries than at the smallest size")
            short += len(missed)
            tail = "  SHORT: " + ", ".join(missed) if missed else ""
            say(f"{line}{growth:>8}{goal:>6}{median(stock) * 1000:>10.1f}{times:>13.1f}x{tail}")
    return goals, short


def main():
    sizes = sorted(int(rows) for rows in os.environ.get("ROWS", "1000,100000").split(","))
    rounds = int(os.environ.get("ROUNDS", "15"))

    from django.conf import settings

    settings.ROOT_URLCONF = "tests.bench.stock"
    plain = {"BACKEND": "django.template.backends.django.DjangoTemplates", "NAME": "stock", "APP_DIRS": True}
    settings.TEMPLATES = [*settings.TEMPLATES, plain | {"OPTIONS": _without_ours(settings.TEMPLATES[0])}]
    django.setup()

    from django.contrib.auth.models import User
    from django.core.management import call_command

    from config.wsgi import application
    from tests.bench import keystroke

    call_command("assets")
    say(f"Django {django.get_version()}, Python {sys.version.split()[0]}, {rounds} rounds")
    desks = [Desk(rows) for rows in sizes]
    queries = {}
    for desk in desks:
        desk.use()
        for case in CASES:
            # The first request of each warms what is read once.
            ask(application, desk.url(case, stock=True), desk.cookies[case.who])
            ask(application, desk.url(case, stock=False), desk.cookies[case.who])
            queries[case, desk.rows] = queries_of(
                application, desk.url(case, stock=False), desk.cookies[case.who]
            )
    goals, short = report(measure(application, desks, rounds), queries, sizes)
    desks[0].use()
    user = User.objects.get(username=USERNAMES["rep"])
    more, missed = keystroke.report(application, ask, user, desks[0].cookies["rep"], say)
    goals, short = goals + more, short + missed
    say(f"\nbench: {goals} goals, {short} short")
    return 1 if short else 0


def _without_ours(engine):
    """The options of our engine without the shell's context, which the stock admin does not show."""
    processors = engine["OPTIONS"]["context_processors"]
    return {"context_processors": [name for name in processors if not name.startswith("config.")]}


if __name__ == "__main__":
    sys.exit(main())
