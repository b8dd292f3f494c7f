"""
The verbs of the people who work here: invite, change, give and take roles, disable, set a new password.

Administrators alone, never about their own roles, and everything on record. What is taken away is gone with
the person's next request: their sessions and tokens end with it (S-05).
"""

import secrets

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.contrib.sessions.models import Session
from django.db import transaction
from knox.models import AuthToken

from audit import services as audit
from audit.refusals import NotAllowed
from audit.roles import Role, has_role

NAMES = ("first_name", "last_name", "email")


@transaction.atomic
def invite(*, username, names, roles, by, at):
    """
    Let somebody in, with roles and a first password that nobody stored.

    :param names: any of first_name, last_name and email
    :param roles: `Role`s
    :returns: the person and the password, which is shown this once
    :raises NotAllowed: not an administrator
    """
    _refuse_others(by)
    password = _password()
    person = get_user_model()(username=username, date_joined=at, **_only_names(names))
    person.set_password(password)
    person.save(force_insert=True)
    _give(person, roles)
    after = {"username": username, **_only_names(names), "roles": _words(roles)}
    audit.record(person, "invite", by=by, at=at, after=after)
    return person, password


@transaction.atomic
def change(*, user_id, names, roles, active, by, at):
    """
    Change who somebody is here: their name, their roles, whether they may sign in.

    :param roles: all the roles they are to hold; None leaves them as they are, as does `active` None
    :raises NotAllowed: not an administrator, or about their own roles or their own way in
    """
    _refuse_others(by)
    person = get_user_model().objects.select_for_update().get(pk=user_id)
    held = set(roles_held(person))
    wanted = held if roles is None else set(roles)
    active = person.is_active if active is None else active
    if person.pk == by.pk and (wanted != held or active != person.is_active):
        raise NotAllowed("Nobody changes their own roles; ask another administrator.")
    _rename(person, _only_names(names), by=by, at=at)
    if wanted != held:
        _give(person, wanted)
        before, after = {"roles": _words(held)}, {"roles": _words(wanted)}
        audit.record(person, "change_roles", by=by, at=at, before=before, after=after)
    if active != person.is_active:
        person.is_active = active
        person.save(update_fields=["is_active"])
        verb = "enable" if active else "disable"
        audit.record(person, verb, by=by, at=at, before={"active": not active}, after={"active": active})
    if held - wanted or not active:
        _end_everything(person, by=by, at=at)
    return person


@transaction.atomic
def new_password(*, user_id, by, at):
    """
    Give somebody a new password, for when theirs is lost; their sessions end.

    :returns: the person and the password, which is shown this once
    :raises NotAllowed: not an administrator, or their own, which they change under their name
    """
    _refuse_others(by)
    person = get_user_model().objects.select_for_update().get(pk=user_id)
    if person.pk == by.pk:
        raise NotAllowed("Change your own password under your name.")
    password = _password()
    person.set_password(password)
    person.save(update_fields=["password"])
    _end_sessions(person)
    audit.record(person, "new_password", by=by, at=at)
    return person, password


@transaction.atomic
def revoke(*, token, by, at):
    """
    End somebody's API token at once.

    :raises NotAllowed: not an administrator
    """
    _refuse_others(by)
    audit.record(token.user, "revoke_token", by=by, at=at, before={"starts": token.token_key})
    token.delete()


def _refuse_others(by):
    if not has_role(by, Role.ADMINISTRATOR):
        raise NotAllowed("Only an administrator changes who works here.")


def _only_names(names):
    return {name: names[name] for name in NAMES if name in names}


def roles_held(person):
    """The roles that somebody was given, in the order of design.md; also of somebody who is disabled."""
    names = set(person.groups.values_list("name", flat=True))
    return [role for role in Role if role.value in names]


def _words(roles):
    return [role.label for role in Role if role in roles]


def _give(person, roles):
    """Set the roles; a group that is no role of ours stays."""
    ours = Group.objects.filter(name__in=Role.values)
    person.groups.remove(*ours)
    person.groups.add(*ours.filter(name__in=[role.value for role in roles]))


def _rename(person, names, *, by, at):
    changed = {name: value for name, value in names.items() if getattr(person, name) != value}
    if not changed:
        return
    before = {name: getattr(person, name) for name in changed}
    for name, value in changed.items():
        setattr(person, name, value)
    person.save(update_fields=list(changed))
    audit.record(person, "edit", by=by, at=at, before=before, after=changed)


def _end_everything(person, *, by, at):
    _end_sessions(person)
    for token in AuthToken.objects.filter(user=person):
        revoke(token=token, by=by, at=at)


def _end_sessions(person):
    # No column of a session says whose it is; there are about as many as people who are signed in.
    for session in Session.objects.iterator():
        if session.get_decoded().get("_auth_user_id") == str(person.pk):
            session.delete()


def _password():
    """Twenty characters that nobody can guess; longer than any rule asks for."""
    return secrets.token_urlsafe(15)
