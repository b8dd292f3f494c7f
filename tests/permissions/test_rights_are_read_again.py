"""What is taken away is gone with the next request, also between a form and its press."""

from datetime import timedelta

import pytest
from django.conf import settings
from django.contrib.auth.models import Group
from django.contrib.sessions.models import Session
from django.test import Client
from knox.models import AuthToken

from accounts import services as accounts
from accounts.models import Account, Team
from audit import people
from audit.roles import Role
from proposals.models import Proposal
from purchases import drafts
from tests.factories import PASSWORD
from tests.permissions import matrix
from tests.permissions.objects import send
from tests.permissions.watching import watched

pytestmark = pytest.mark.django_db


def asked(world, name, thing, caller, method="POST"):
    return world.ask(matrix.Cell(name, method, thing, "", caller, ""))


def without(user, role):
    user.groups.remove(Group.objects.get(name=role.value))


def test_finance_who_loses_the_role_between_form_and_press_decides_nothing(world):
    """S-05: by session at the page, the API and the bulk action; the form was still there a moment ago."""
    assert asked(world, "proposals:decline", "submitted", "FN", "GET").status_code == 200
    client = world.callers["FN"].client()
    deal = world.deals["proposal", "submitted", "SO"]
    plan = client.post(
        "/admin/proposals/proposal/", {"action": "approve", "_selected_action": [deal.pk]}
    ).context["plan"]
    without(world.user("FN"), Role.FINANCE)
    assert asked(world, "proposals:decline", "submitted", "FN").status_code == 404
    assert asked(world, "proposals:approve", "submitted", "FN").status_code == 404
    assert asked(world, "api:proposal-approve", "submitted", "FN").status_code == 404
    assert asked(world, "purchases:release", "submitted", "FN").status_code == 404
    answer = client.post("/admin/proposals/proposal/", {"action": "approve", "plan": plan})
    assert answer.status_code == 403
    assert Proposal.objects.get(pk=deal.pk).status == Proposal.Status.SUBMITTED


def test_finance_who_keeps_another_role_still_loses_this_one(world):
    """S-05: as a rep they see nothing of others; as an auditor everything, and change nothing."""
    user = world.user("FN")
    user.groups.set(Group.objects.filter(name=Role.AUDITOR.value))
    assert asked(world, "proposals:detail", "submitted", "FN", "GET").status_code == 200
    assert asked(world, "proposals:approve", "submitted", "FN").status_code == 403
    assert asked(world, "purchases:release", "submitted", "FN").status_code == 403


@pytest.mark.parametrize("caller", ["SO", "TK"])
def test_a_rep_without_the_role_has_nothing_left(caller, world):
    """S-05: the own draft included, by session and by token."""
    assert asked(world, "api:proposal-detail", "draft", caller, "GET").status_code == 200
    without(world.user("SO"), Role.REP)
    for name, method in (
        ("api:proposal-detail", "GET"),
        ("api:proposal-detail", "PATCH"),
        ("api:proposal-submit", "POST"),
        ("api:purchase-submit", "POST"),
    ):
        assert asked(world, name, "draft", caller, method).status_code == 404
    client = world.callers[caller].client()
    assert send(client, "POST", "/api/v1/proposals/", '{"title": "Mine"}').status_code == 403
    assert asked(world, "api:proposal-list", "", caller, "GET").json()["results"] == []


def test_a_rep_without_the_role_does_not_submit_the_form_in_front_of_them(world):
    """S-05: between the confirmation and the press."""
    assert asked(world, "proposals:submit", "draft", "SO", "GET").status_code == 200
    without(world.user("SO"), Role.REP)
    assert asked(world, "proposals:submit", "draft", "SO").status_code == 404
    assert asked(world, "proposals:new", "", "SO").status_code == 403


@pytest.mark.parametrize("how", ["by the administration", "by hand"])
def test_a_disabled_person_is_out_with_the_next_request(how, world):
    """S-05: session and token, between form and press."""
    user = world.user("SO")
    assert asked(world, "proposals:edit", "draft", "SO", "GET").status_code == 200
    if how == "by hand":
        user.is_active = False
        user.save()
    else:
        people.change(user_id=user.pk, names={}, roles=None, active=False, by=world.user("AD"), at=world.at)
    answer = asked(world, "proposals:edit", "draft", "SO")
    assert (answer.status_code, answer["Location"].partition("?")[0]) == (302, "/login/")
    assert asked(world, "api:proposal-detail", "draft", "SO", "PATCH").status_code == 401
    assert asked(world, "api:proposal-detail", "draft", "TK", "PATCH").status_code == 401
    assert asked(world, "login", "", "AN").status_code == 200
    user.is_active = True
    user.save()


def test_what_the_administration_takes_away_ends_sessions_and_tokens(world):
    """S-05: not only the rights: nothing of it can be picked up later."""
    user = world.user("SO")
    people.change(user_id=user.pk, names={}, roles=[], active=None, by=world.user("AD"), at=world.at)
    assert not Session.objects.filter(pk=world.callers["SO"].session).exists()
    assert not AuthToken.objects.filter(user=user).exists()
    assert Session.objects.filter(pk=world.callers["SX"].session).exists()


@pytest.mark.parametrize(("caller", "method"), [("SO", "POST"), ("SO", "PATCH"), ("TK", "PATCH")])
def test_a_former_owner_does_not_see_the_draft_any_more(caller, method, world):
    """S-05: handed over between the form and its press; the new owner has it at once."""
    draft = world.deals["proposal", "draft", "SO"]
    name = "proposals:edit" if method == "POST" else "api:proposal-detail"
    assert asked(world, name, "draft", caller, "GET").status_code == 200
    drafts.hand_over(Proposal, pk=draft.pk, to=world.user("SX"), by=world.user("AD"), at=world.at)
    with watched() as watch:
        assert asked(world, name, "draft", caller, method).status_code == 404
    assert watch.statements == []
    assert asked(world, "proposals:edit", "draft", "SX", "GET").status_code == 200


def test_nobody_drafts_for_an_account_that_was_handed_over(world):
    """S-05: the account was theirs when the form was opened."""
    assert asked(world, "proposals:new", "", "SO", "GET").status_code == 200
    account = world.accounts["SO"]
    world.body(matrix.Cell("proposals:new", "POST", "", "", "SO", ""))
    accounts.hand_over(account_id=account.pk, to=world.user("SX"), by=world.user("AD"), at=world.at)
    drawn = Proposal.objects.count()
    assert asked(world, "proposals:new", "", "SO").status_code == 422
    assert asked(world, "api:proposal-list", "", "SO").status_code == 422
    assert asked(world, "api:proposal-list", "", "TK").status_code == 422
    assert Proposal.objects.count() == drawn
    assert not Account.objects.visible_to(world.user("SO")).exists()


def test_a_manager_who_no_longer_leads_the_team_sees_none_of_it(world):
    """S-05: also a rep who changes teams is seen by the new manager only."""
    assert asked(world, "proposals:recall", "submitted", "MG", "GET").status_code == 200
    Team.objects.get(managers=world.user("MG")).managers.clear()
    assert asked(world, "proposals:recall", "submitted", "MG").status_code == 404
    Team.objects.get(managers=world.user("MX")).members.add(world.user("SO"))
    assert asked(world, "proposals:detail", "submitted", "MX", "GET").status_code == 200


def test_a_new_role_counts_at_once_too(world):
    """S-05: nobody has to sign in again to be let in."""
    assert asked(world, "accounts:edit", "", "MX", "GET").status_code == 404
    world.user("MX").groups.add(Group.objects.get(name=Role.ADMINISTRATOR.value))
    assert asked(world, "accounts:edit", "", "MX", "GET").status_code == 200


def test_an_expired_or_revoked_token_opens_nothing(world):
    """S-05, S-18: with the next request."""
    assert asked(world, "api:proposal-list", "", "TK", "GET").status_code == 200
    tokens = AuthToken.objects.filter(user=world.user("SO"))
    tokens.update(expiry=world.at - timedelta(seconds=1))
    assert asked(world, "api:proposal-list", "", "TK", "GET").status_code == 401
    assert asked(world, "api:proposal-list", "", "TF", "GET").status_code == 200
    AuthToken.objects.filter(user=world.user("FN")).delete()
    assert asked(world, "api:proposal-list", "", "TF", "GET").status_code == 401


# --- Sessions (reliability.md 4.2, 61) ---------------------------------------------------------------------


def test_a_session_is_over_after_signing_out(world):
    """Reliability 4.2, 61: its id opens nothing any more."""
    client = world.callers["SO"].client()
    assert client.post("/logout/").status_code == 200
    again = world.callers["SO"].client().get("/proposals/")
    assert again["Location"] == "/login/?next=/proposals/"


def test_other_sessions_are_over_after_a_change_of_password(world):
    """Reliability 4.2, 61: the one that changed it goes on under a new id, a copy of the old one does not."""
    first, second = world.callers["SO"].client(), Client()
    second.force_login(world.user("SO"))
    changed = first.post("/password/", world.body(matrix.Cell("password_change", "POST", "", "", "SO", "")))
    assert changed.status_code == 302
    assert first.get("/proposals/").status_code == 200
    assert second.get("/proposals/").status_code == 302
    assert world.callers["SO"].client().get("/proposals/").status_code == 302


def test_a_session_id_from_before_is_not_kept_by_signing_in(world):
    """Reliability 4.2, 61: an id that somebody planted belongs to nobody afterwards."""
    client = Client()
    planted = client.session
    planted["planted"] = True
    planted.save()
    client.cookies[settings.SESSION_COOKIE_NAME] = planted.session_key
    answer = client.post("/login/", {"username": world.user("SO").username, "password": PASSWORD})
    assert answer.status_code == 302
    assert client.cookies[settings.SESSION_COOKIE_NAME].value != planted.session_key
    planter = Client()
    planter.cookies[settings.SESSION_COOKIE_NAME] = planted.session_key
    assert planter.get("/proposals/").status_code == 302


def test_the_administration_gives_a_new_password_and_ends_the_sessions(world):
    """Reliability 4.2, 61: for somebody whose password is known to others."""
    people.new_password(user_id=world.user("SO").pk, by=world.user("AD"), at=world.at)
    assert world.callers["SO"].client().get("/proposals/").status_code == 302
