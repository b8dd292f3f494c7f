"""Everybody who may knock, as the columns of docs/permissions.toml, signed in for real."""

from dataclasses import dataclass
from functools import cache

from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.test import Client
from django.test.client import ClientHandler
from knox.models import AuthToken

from accounts.models import Team
from audit.roles import Role
from tests.factories import PASSWORD, finance, person, rep

# What a person may call themselves; it has to stay text wherever it is shown (reliability.md 4.2, 48).
HOSTILE_NAME = "Kim\"'><img src=x onerror=alert(1)>"


@dataclass
class Caller:
    """
    One column of the matrix.

    :ivar user: the person, None for the anonymous one
    :ivar session: the key of a session, "" for programs and strangers
    :ivar token: an API token, "" for people
    """

    name: str
    user: object = None
    session: str = ""
    token: str = ""

    def client(self, **options):
        """A fresh browser or program of this caller; nothing is shared between two of them."""
        if self.token:
            options["HTTP_AUTHORIZATION"] = f"Bearer {self.token}"
        client = Client(**options)
        client.handler = _handler(client.handler.enforce_csrf_checks)
        if self.session:
            client.cookies[settings.SESSION_COOKIE_NAME] = self.session
        return client


@cache
def _handler(enforce_csrf_checks):
    # Loading the middleware takes four times as long as a page does.
    return ClientHandler(enforce_csrf_checks)


def signed_up():
    """The callers by column. SO is in the team of MG, SX in the team of MX."""
    password = make_password(PASSWORD)

    def make(maker, *roles, **fields):
        return maker(*roles, password=password, first_name=HOSTILE_NAME, **fields)

    people = {
        "SO": make(rep),
        "SX": make(rep),
        "MG": make(person, Role.MANAGER),
        "MX": make(person, Role.MANAGER),
        "FN": make(finance),
        "FA": make(finance),
        "CF": make(person, Role.CFO),
        "AD": make(person, Role.ADMINISTRATOR, is_staff=True),
        "AU": make(person, Role.AUDITOR),
        "SU": make(person, is_superuser=True, is_staff=True),
    }
    for name, manager, member in (("North", "MG", "SO"), ("South", "MX", "SX")):
        team = Team.objects.create(name=f"{name} <b onclick=alert(1)>")
        team.managers.add(people[manager])
        team.members.add(people[member])
    callers = {"AN": Caller("AN")}
    for name, user in people.items():
        callers[name] = Caller(name, user, session=session_of(user))
    for name, owner in (("TK", "SO"), ("TF", "FN")):
        callers[name] = Caller(name, people[owner], token=AuthToken.objects.create(people[owner])[1])
    return callers


def session_of(user):
    """The key of a new session of somebody."""
    client = Client()
    client.force_login(user)
    return client.cookies[settings.SESSION_COOKIE_NAME].value
