"""
Who people are: the six roles of design.md 4, as Django groups made by a migration.

The record names the role a person held when acting, so the roles live on its floor and every app above reads
them here.
"""

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.db import models


class Role(models.TextChoices):
    REP = "Sales reps", "Sales rep"
    MANAGER = "Sales managers", "Sales manager"
    FINANCE = "Finance", "Finance"
    CFO = "CFO", "CFO"
    ADMINISTRATOR = "Administrators", "Administrator"
    AUDITOR = "Auditors", "Auditor"


# Roles that read every account, proposal and purchase.
SEES_EVERYTHING = frozenset({Role.FINANCE, Role.CFO, Role.ADMINISTRATOR, Role.AUDITOR})
# Roles that may write drafts.
DRAFTS = frozenset({Role.REP, Role.MANAGER, Role.FINANCE, Role.CFO, Role.ADMINISTRATOR})
# Roles whose yes or no counts; a superuser who holds none of them decides nothing (S-04).
DECIDES = frozenset({Role.FINANCE, Role.CFO})


def roles_of(user):
    """
    The set of `Role`s a person holds now; empty for an anonymous or disabled one.

    Read once per loaded user, so that a page asks the database once and a removed role is gone with the next
    request (S-05). A superuser counts as an administrator: every door is open, every domain rule still holds.
    """
    if not getattr(user, "is_active", False) or user.pk is None:
        return frozenset()
    held = getattr(user, "_roles", None)
    if held is None:
        held = _remember(user, Group.objects.filter(user=user).values_list("name", flat=True))
    return held


def _remember(user, names):
    names = set(names)
    held = {role for role in Role if role.value in names}
    if user.is_superuser:
        held.add(Role.ADMINISTRATOR)
    user._roles = frozenset(held)
    return user._roles


def has_role(user, *roles):
    """Whether a person holds at least one of the roles."""
    return not roles_of(user).isdisjoint(roles)


def holders(*roles, among=None):
    """
    The active people who hold at least one of the roles, with all their roles read, in two queries.

    :param among: keys of the only people in question; None for everybody
    """
    held = models.Q(groups__name__in=[role.value for role in roles])
    if Role.ADMINISTRATOR in roles:
        held |= models.Q(is_superuser=True)
    people = get_user_model().objects.filter(held, is_active=True)
    if among is not None:
        people = people.filter(pk__in=among)
    found = list(people.distinct().order_by("pk").prefetch_related("groups"))
    for person in found:
        _remember(person, [group.name for group in person.groups.all()])
    return found


def role_names(user):
    """The held roles in words, in the order of design.md, e.g. "Finance, CFO"; "" when none."""
    held = roles_of(user)
    return ", ".join(role.label for role in Role if role in held)
