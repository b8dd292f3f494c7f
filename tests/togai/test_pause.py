"""The global pause, and the signature after a restore: who, why, and that nothing is lost meanwhile."""

from datetime import timedelta

import pytest
from django.contrib.auth.hashers import make_password

from audit.models import Event
from audit.refusals import Invalid, NotAllowed, WrongStatus
from audit.roles import Role
from tests.factories import NOON, PASSWORD, administrator, person, submitted
from togai import console, services
from togai.models import Delivery, Link

pytestmark = pytest.mark.django_db

WHY = "The rates are being corrected."
LATER = NOON + timedelta(hours=1)
LIST = "/deliveries/"
OTHERS = [role for role in Role if role != Role.ADMINISTRATOR]


def restored():
    """The row as a restore leaves it."""
    return Link.objects.create(look_only_since=NOON, look_only_because="A backup was put back.")


def ask(verb, by, **why):
    return getattr(services, verb)(by=by, at=LATER, **why)


# The verbs


def test_a_pause_is_a_row_that_says_who_when_and_why():
    """G-52: it survives restarts because it is a row, made before the first call to Togai or after."""
    admin = administrator()
    services.pause(by=admin, at=NOON, reason=f"  {WHY}  ")
    link = Link.load()
    assert (link.paused_at, link.paused_by, link.paused_because) == (NOON, admin, WHY)
    assert not link.may_send
    event = Event.objects.about(link).get()
    assert (event.verb, event.actor, event.at, event.reason) == ("pause", admin, NOON, WHY)


def test_resuming_lets_everything_go_on():
    """G-52"""
    admin, other = administrator(), administrator()
    services.pause(by=admin, at=NOON, reason=WHY)
    services.resume(by=other, at=LATER)
    link = Link.load()
    assert (link.paused_at, link.paused_by, link.paused_because) == (None, None, "")
    assert link.may_send
    event = Event.objects.about(link).latest("seq")
    assert (event.verb, event.actor, event.before["paused_because"]) == ("resume", other, WHY)


def test_a_signature_ends_the_look_only_time():
    """R-21: until a person has signed, a restored database only reads."""
    restored()
    admin = administrator()
    services.sign_restore(by=admin, at=LATER, reason=WHY)
    link = Link.load()
    assert (link.look_only_since, link.look_only_because) == (None, "")
    assert link.may_send
    event = Event.objects.about(link).get()
    assert (event.verb, event.actor, event.reason) == ("sign_restore", admin, WHY)
    assert event.before["because"] == "A backup was put back."


def test_a_signature_does_not_end_a_pause():
    """G-52: two reasons not to send are two."""
    restored()
    admin = administrator()
    services.pause(by=admin, at=NOON, reason=WHY)
    services.sign_restore(by=admin, at=LATER, reason=WHY)
    assert not Link.load().may_send


@pytest.mark.parametrize("role", OTHERS)
def test_only_administrators_stop_and_start(role):
    """S-04: refused by the service itself."""
    restored()
    somebody = person(role)
    for verb, why in (("pause", {"reason": WHY}), ("resume", {}), ("sign_restore", {"reason": WHY})):
        with pytest.raises(NotAllowed):
            ask(verb, somebody, **why)
    link = Link.load()
    assert (link.paused_at, link.look_only_since) == (None, NOON)
    assert not Event.objects.about(link).exists()


def test_what_stands_already_is_refused():
    """S-01: the right person at the wrong time."""
    admin = administrator()
    with pytest.raises(WrongStatus, match="not paused"):
        services.resume(by=admin, at=NOON)
    with pytest.raises(WrongStatus, match="No restore"):
        services.sign_restore(by=admin, at=NOON, reason=WHY)
    services.pause(by=admin, at=NOON, reason=WHY)
    with pytest.raises(WrongStatus, match="already"):
        services.pause(by=admin, at=LATER, reason="Another good reason.")
    link = Link.load()
    assert (link.paused_at, link.paused_because) == (NOON, WHY)
    assert Event.objects.about(link).count() == 1


@pytest.mark.parametrize("reason", ["", None, "too short", "         x          ", "x" * 301])
def test_a_pause_and_a_signature_need_a_reason(reason):
    """S-27: why."""
    restored()
    admin = administrator()
    for verb in ("pause", "sign_restore"):
        with pytest.raises(Invalid):
            ask(verb, admin, reason=reason)
    assert Link.load().paused_at is None
    assert not Event.objects.exists()


# The pages


@pytest.mark.parametrize("role", OTHERS)
def test_the_questions_are_for_administrators(client, role):
    """S-01: 403 for a function one lacks, to read and to press."""
    restored()
    client.force_login(person(role))
    for verb in ("pause", "resume", "sign-restore"):
        assert client.get(f"{LIST}{verb}/").status_code == 403
        given = {"reason": WHY, "password": PASSWORD}
        assert client.post(f"{LIST}{verb}/", given).status_code == 403
    assert Link.load().paused_at is None


def test_an_administrator_pauses_and_resumes_with_their_password(client):
    """G-52: asked, confirmed with one's own password, shown to all, undone the same way."""
    admin = administrator(first_name="Ada", password=make_password(PASSWORD))
    client.force_login(admin)
    assert "Pause sending" in client.get(LIST).content.decode()
    assert client.get(f"{LIST}pause/").status_code == 200
    answer = client.post(f"{LIST}pause/", {"reason": WHY, "password": PASSWORD})
    assert (answer.status_code, answer.url) == (303, LIST)
    page = client.get(LIST)
    assert page.context["notices"][0].title == "Sending is paused."
    text = page.content.decode()
    assert WHY in text
    assert "Ada" in text
    assert "Resume sending" in text
    assert "Pause sending" not in text
    assert client.get(f"{LIST}pause/").status_code == 409
    answer = client.post(f"{LIST}resume/", {"password": PASSWORD})
    assert answer.status_code == 303
    assert Link.load().may_send
    assert client.get(f"{LIST}resume/").status_code == 409


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"reason": WHY, "password": "not mine at all"}, "password"),
        ({"reason": WHY}, "password"),
        ({"reason": "short", "password": PASSWORD}, "reason"),
        ({"password": PASSWORD}, "reason"),
    ],
)
def test_without_the_password_or_a_reason_nothing_stops(client, given, field):
    """S-01: bad data is 422, and nothing was changed."""
    admin = administrator(password=make_password(PASSWORD))
    client.force_login(admin)
    answer = client.post(f"{LIST}pause/", given)
    assert answer.status_code == 422
    assert field in answer.context["form"].errors
    assert PASSWORD not in answer.content.decode()
    assert Link.load().paused_at is None


def test_an_administrator_signs_after_a_restore(client):
    """R-21"""
    restored()
    admin = administrator(password=make_password(PASSWORD))
    client.force_login(admin)
    text = client.get(LIST).content.decode()
    assert "Look only" in text
    assert "A backup was put back." in text
    answer = client.post(f"{LIST}sign-restore/", {"reason": WHY, "password": PASSWORD})
    assert answer.status_code == 303
    assert Link.load().may_send


# What the head of the console says


def test_the_line_is_told_in_words():
    """G-52"""
    link = Link()
    assert console.line_in_a_word(link, at=NOON) == ("Open", "good")
    link.unreachable_since, link.why = NOON, "Togai cannot be reached."
    assert console.line_in_a_word(link, at=NOON)[0] == "No answer"
    (notice,) = console.notices(link, at=NOON)
    assert "Togai cannot be reached." in notice.text
    link.closed_until = LATER
    assert console.line_in_a_word(link, at=NOON)[0] == "Resting"
    assert console.line_in_a_word(link, at=LATER)[0] == "No answer"
    assert [notice.tone for notice in console.notices(link, at=NOON)] == ["warn", "warn"]
    link.look_only_since = NOON
    assert console.line_in_a_word(link, at=NOON)[0] == "Look only"
    link.paused_at, link.paused_because = NOON, WHY
    assert console.line_in_a_word(link, at=NOON)[0] == "Paused"
    assert [notice.verb for notice in console.notices(link, at=NOON)] == ["resume", "sign_restore", "", ""]


def test_the_figures_count_what_is_under_way_and_how_long():
    """G-52: queue depth and oldest age."""
    assert console.line_and_figures()[1].oldest_at is None
    for hours in range(3):
        submitted(at=NOON + timedelta(hours=hours))
    first, second, third = Delivery.objects.order_by("created_at")
    Delivery.objects.filter(pk=first.pk).update(state="CONFIRMED")
    Delivery.objects.filter(pk=third.pk).update(state="NEEDS_HUMAN")
    found = console.line_and_figures()[1]
    assert (found.waiting, found.stuck, found.oldest_at) == ("1", "1", second.created_at)


def test_counting_stops_at_a_thousand(monkeypatch):
    """L1: a queue of a million costs what one of a thousand costs."""
    monkeypatch.setattr(console, "MOST_COUNTED", 2)
    for _ in range(4):
        submitted()
    assert console.line_and_figures()[1].counts[Delivery.State.NOT_SENT] == 3
    assert console.line_and_figures()[1].waiting == "2+"
