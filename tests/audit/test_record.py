"""What is on record stays on record, and every change of state is there."""

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction

from audit import services as audit
from audit.context import coming_from
from audit.models import AppendOnly, Event
from proposals import services
from tests.factories import NOON, draft, finance, rep, submitted
from tests.tampering import triggers_off

pytestmark = pytest.mark.django_db


def test_each_change_of_state_leaves_one_event_in_its_own_transaction():
    """S-27: who, in which role, when, through which door, before and after."""
    author = rep()
    with coming_from("web", request_id="r-1", address="127.0.0.1"):
        proposal = draft(by=author)
        services.submit(proposal_id=proposal.pk, by=author, at=NOON)
    created, sent = Event.objects.about(proposal)
    assert (created.verb, sent.verb) == ("create", "submit")
    assert (sent.actor, sent.actor_roles, sent.channel, sent.request_id) == (
        author,
        "Sales rep",
        "web",
        "r-1",
    )
    assert (sent.before["status"], sent.after["status"]) == ("DRAFT", "SUBMITTED")


def test_a_refused_verb_leaves_no_event():
    """S-27: the record and the change are one transaction."""
    proposal = submitted()
    before = Event.objects.count()
    with pytest.raises(services.NotAllowed):
        services.approve(
            proposal_id=proposal.pk, by=proposal.created_by, at=NOON, content_hash=proposal.content_hash
        )
    assert Event.objects.count() == before


@pytest.mark.django_db(transaction=True)
def test_nothing_is_recorded_outside_a_transaction():
    """S-27: a record could otherwise outlive the change it speaks of."""
    person = rep()
    with pytest.raises(RuntimeError):
        audit.record(person, "wave", by=person, at=NOON)


def test_events_are_neither_changed_nor_deleted():
    """S-28: the model refuses on every path that Python has."""
    submitted()
    event = Event.objects.first()
    with pytest.raises(AppendOnly):
        event.save()
    with pytest.raises(AppendOnly):
        event.delete()
    with pytest.raises(AppendOnly):
        Event.objects.all().delete()
    with pytest.raises(AppendOnly):
        Event.objects.update(reason="")


@pytest.mark.parametrize(
    ("tamper", "why"),
    [
        ("UPDATE audit_event SET reason = 'never' WHERE id = %s", "its content was changed"),
        ("UPDATE audit_event SET verb = 'recall' WHERE id = %s", "its content was changed"),
        ("DELETE FROM audit_event WHERE id = %s", "is missing"),
    ],
)
def test_tampering_is_found(tamper, why):
    """S-29: an edit or a removal by SQL breaks the chain, and the command says where."""
    proposal = submitted()
    services.approve(proposal_id=proposal.pk, by=finance(), at=NOON, content_hash=proposal.content_hash)
    call_command("audit_verify")
    victim = Event.objects.about(proposal)[1]
    with triggers_off(), connection.cursor() as cursor:
        cursor.execute(tamper, [victim.pk])
    with pytest.raises(CommandError, match=why):
        call_command("audit_verify")


def test_a_chain_has_each_number_once():
    """S-29: two writers cannot both be number two."""
    from django.db import IntegrityError

    proposal = draft()
    event = Event.objects.about(proposal).get()
    event.pk = None
    with pytest.raises(IntegrityError), transaction.atomic():
        event.save(force_insert=True)
