"""
The people and deals that a first start shows: one sign-in per role, accounts with owners, deals in every
state.

Everything is made through the services, as if the people had done it over the last weeks.
"""

import secrets
from dataclasses import dataclass

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.db import transaction

from accounts import services as account_services
from accounts.models import Account, Team
from audit.roles import Role

User = get_user_model()


@dataclass(frozen=True)
class Person:
    """Somebody of the demo; the password is for a product on this machine alone and stands in the README."""

    username: str
    first_name: str
    last_name: str
    role: Role
    password: str


PEOPLE = (
    Person("mia", "Mia", "Ott", Role.REP, "quartz-harbour-2917"),
    Person("lena", "Lena", "Berg", Role.MANAGER, "copper-lantern-5308"),
    Person("omar", "Omar", "Silva", Role.FINANCE, "willow-ledger-7461"),
    Person("ines", "Inès", "Laurent", Role.CFO, "marble-compass-1183"),
    Person("ada", "Ada", "Novak", Role.ADMINISTRATOR, "velvet-anchor-6625"),
    Person("theo", "Theo", "Lind", Role.AUDITOR, "amber-archive-3940"),
    # A second rep: what one rep owns, the other does not see.
    Person("noah", "Noah", "Frei", Role.REP, "cedar-beacon-8052"),
    # A second administrator: two people may edit one draft at the same time.
    Person("ruth", "Ruth", "Amsel", Role.ADMINISTRATOR, "saffron-bridge-4471"),
)
# Whose sign-in a start prints: the first of each role.
SHOWN = PEOPLE[:6]


class NotHere(RuntimeError):
    """People with known passwords are only for a product on this machine alone."""


@transaction.atomic
def people(*, known_passwords):
    """
    Make whoever of the demo is missing, with roles and the team; nobody's password is ever changed.

    :param known_passwords: use the passwords above; else everybody new gets a random one
    :returns: {username: password} of the people made now
    :raises NotHere: known passwords were asked for where strangers can reach the product
    """
    if known_passwords and settings.HTTPS and not settings.DEBUG:
        raise NotHere("People with known passwords are only made for a product on this machine alone.")
    made = {}
    for person in PEOPLE:
        if User.objects.filter(username=person.username).exists():
            continue
        made[person.username] = person.password if known_passwords else secrets.token_urlsafe(12)
        user = User.objects.create_user(
            person.username,
            email=f"{person.username}@tidemark.example",
            password=made[person.username],
            first_name=person.first_name,
            last_name=person.last_name,
            is_staff=person.role == Role.ADMINISTRATOR,
        )
        user.groups.add(Group.objects.get(name=person.role.value))
    team, new = Team.objects.get_or_create(name="Field sales")
    if new:
        team.managers.set(User.objects.filter(username="lena"))
        team.members.set(User.objects.filter(username__in=["mia", "noah"]))
    return made


@transaction.atomic
def owners(*, at):
    """Give every account that nobody looks after to one of the reps, in turns; returns how many."""
    by = User.objects.get(username="ada")
    reps = [User.objects.get(username=name) for name in ("mia", "mia", "noah")]
    free = Account.objects.filter(owner=None).order_by("togai_id")
    for turn, account in enumerate(free):
        account_services.hand_over(account_id=account.pk, to=reps[turn % len(reps)], by=by, at=at)
    return len(free)


def deals(*, at):
    return 0
