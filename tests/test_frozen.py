"""What is approved, sent or on record stays as it is, whichever way somebody goes about changing it."""

import hashlib
import json
import uuid
from collections import namedtuple
from datetime import date, timedelta
from decimal import Decimal

import pytest
from django.core.management import call_command
from django.db import IntegrityError, connection, migrations, models, transaction
from django.db.migrations.loader import MigrationLoader

from accounts.models import Account
from audit import triggers
from audit.models import Denial, Event
from proposals import customer_links, services
from proposals.models import CustomerLink, Decision, Proposal
from purchases import drafts
from purchases import services as purchase_services
from purchases.models import PricePlan, Purchase
from tests.factories import (
    NOON,
    AccountFactory,
    PricePlanFactory,
    draft,
    finance,
    rep,
    submitted,
    submitted_purchase,
)
from tests.tampering import triggers_off
from tests.togai.fake_togai import Clock, FakeTogai
from togai import wording
from togai.models import Delivery, DeliveryAttempt
from togai.worker import Worker

pytestmark = pytest.mark.django_db

# A value that differs from any that a factory writes, by the class of the field.
OTHER = {
    models.BigAutoField: lambda: 987_654,
    models.UUIDField: uuid.uuid4,
    models.CharField: lambda: "other",
    models.TextField: lambda: "something else",
    models.IntegerField: lambda: 77,
    models.PositiveIntegerField: lambda: 77,
    models.PositiveSmallIntegerField: lambda: 7,
    models.DecimalField: lambda: Decimal("77.125"),
    models.DateField: lambda: date(2031, 7, 7),
    models.DateTimeField: lambda: NOON + timedelta(days=7),
    models.JSONField: lambda: {"other": [1, "two"]},
    models.BinaryField: lambda: b'{"other":true}',
}
# Where a check constraint or the width of the column would speak before the trigger is asked.
OTHER_OF = {"direction": lambda: "APPROVE", "type": lambda: "WALLET_TOPUP", "purpose": lambda: "LOOK"}

Case = namedtuple("Case", "model field state")


def cases():
    """Every frozen field of every table, in the states in which it is frozen."""
    for rule in triggers.declared():
        if rule.verb != "update" or rule.name in ("released", "submitted", "revision", "finished", "order"):
            continue
        names = rule.fields or [field.name for field in rule.model._meta.concrete_fields]
        for name in names:
            for state in STATES.get(rule.model, [""]):
                yield Case(rule.model, name, state)
    for state in ("SUBMITTED", "SENT"):
        yield Case(Purchase, "revision", state)
    yield Case(Delivery, "depends_on", "")
    for field in DeliveryAttempt._meta.concrete_fields:
        yield Case(DeliveryAttempt, field.name, "finished")


STATES = {
    Proposal: ["SUBMITTED", "APPROVED", "DECLINED"],
    Purchase: ["SUBMITTED", "SENT"],
}


def row_of(model, state=""):
    """A row of a model in a frozen state, made by the product's own verbs."""
    if model is Proposal:
        return proposal_in(state or "SUBMITTED")
    if model is Purchase:
        purchase = submitted_purchase()
        return released(purchase) if state == "SENT" else purchase
    if model is Decision:
        return proposal_in("DECLINED").decisions.get()
    if model is Event:
        return Event.objects.about(submitted())[0]
    if model is Denial:
        return Denial.objects.create(
            at=NOON, actor=rep(), channel="web", method="POST", path="/approvals/", status=403
        )
    if model is CustomerLink:
        return customer_links.make(proposal_id=proposal_in("APPROVED").pk, by=finance(), at=NOON)[0]
    delivery = Delivery.objects.of(submitted()).get()
    if model is Delivery:
        Delivery.objects.filter(pk=delivery.pk).update(sends=1)
        delivery.refresh_from_db()
        return delivery
    attempt = DeliveryAttempt.objects.create(
        delivery=delivery,
        number=1,
        purpose="SEND",
        claim_token=uuid.uuid4(),
        started_at=NOON,
        finished_at=NOON if state == "finished" else None,
        worker="w",
        release="dev",
    )
    attempt.refresh_from_db()
    return attempt


def proposal_in(state):
    proposal = submitted()
    content_hash = proposal.content_hash
    if state == "APPROVED":
        services.approve(proposal_id=proposal.pk, by=finance(), at=NOON, content_hash=content_hash)
    elif state == "DECLINED":
        services.decline(
            proposal_id=proposal.pk,
            by=finance(),
            at=NOON,
            content_hash=content_hash,
            reason_code="price-too-low",
            reason="Far too much of a discount.",
        )
    return Proposal.objects.get(pk=proposal.pk)


def released(purchase):
    purchase_services.release(
        purchase_id=purchase.pk, by=finance(), at=NOON, content_hash=purchase.content_hash
    )
    return Purchase.objects.get(pk=purchase.pk)


def other_value(field):
    if field.is_relation:
        others = {Account: AccountFactory, PricePlan: PricePlanFactory}
        if field.related_model in others:
            return others[field.related_model]().pk
        if field.related_model is Delivery:
            return Delivery.objects.of(submitted()).get().pk
        if field.related_model is Proposal:
            return draft().pk
        if field.name == "step":
            return submitted().steps.get().pk
        return "other" if field.name == "reason_code" else rep().pk
    return (OTHER_OF.get(field.name) or OTHER[type(field)])()


def stored(row):
    """The row as the database has it, in its own form."""
    with connection.cursor() as cursor:
        key = row._meta.pk.get_db_prep_value(row.pk, connection)
        cursor.execute(f"SELECT * FROM {row._meta.db_table} WHERE id = %s", [key])
        return cursor.fetchall()


def by_save(row, field, value):
    setattr(row, field.attname, value)
    # As a shell would: the record's own `save` refuses before the database is asked.
    row.save_base(force_update=True, update_fields=[field.attname])


def by_update(row, field, value):
    models.QuerySet(row.__class__).filter(pk=row.pk).update(**{field.attname: value})


def by_bulk_update(row, field, value):
    setattr(row, field.attname, value)
    models.QuerySet(row.__class__).bulk_update([row], [field.name])


def by_sql(row, field, value):
    value = field.get_db_prep_save(value, connection)
    key = row._meta.pk.get_db_prep_value(row.pk, connection)
    with connection.cursor() as cursor:
        cursor.execute(
            f'UPDATE {row._meta.db_table} SET "{field.column}" = %s WHERE id = %s',
            [value, key],
        )


def by_sql_or_replace(row, field, value):
    value = field.get_db_prep_save(value, connection)
    key = row._meta.pk.get_db_prep_value(row.pk, connection)
    with connection.cursor() as cursor:
        cursor.execute(
            f'UPDATE OR REPLACE {row._meta.db_table} SET "{field.column}" = %s WHERE id = %s', [value, key]
        )


@pytest.mark.parametrize("case", list(cases()), ids=lambda case: "-".join([case.model.__name__, *case[1:]]))
def test_a_frozen_field_is_not_changed(case):
    """G-36, S-28, R-14: not by the ORM, not in bulk and not by SQL; each try leaves the row as it was."""
    row = row_of(case.model, case.state)
    field = case.model._meta.get_field(case.field)
    value = other_value(field)
    before = stored(row)
    ways = [by_update, by_sql]
    if not field.primary_key:
        ways += [by_save, by_bulk_update]
    if connection.vendor == "sqlite":
        ways.append(by_sql_or_replace)
    for way in ways:
        with pytest.raises(IntegrityError) as refused, transaction.atomic():
            way(case.model._base_manager.get(pk=row.pk), field, value)
        assert str(refused.value).splitlines()[0] in {
            rule.saying for rule in triggers.declared() if rule.model is case.model
        }, way
    assert stored(row) == before


@pytest.mark.parametrize(
    ("model", "state"),
    [
        *((Proposal, state) for state in STATES[Proposal]),
        *((Purchase, state) for state in STATES[Purchase]),
        (Decision, ""),
        (Event, ""),
        (Denial, ""),
        (Delivery, ""),
        (DeliveryAttempt, ""),
        (DeliveryAttempt, "finished"),
    ],
)
def test_a_frozen_row_is_not_deleted(model, state):
    """G-36, S-28: not by a queryset, not by SQL, not by truncating and not by replacing it."""
    row = row_of(model, state)
    key = row._meta.pk.get_db_prep_value(row.pk, connection)
    table = model._meta.db_table
    before = stored(row)
    tries = [(f"DELETE FROM {table} WHERE id = %s", [key])]
    if connection.vendor == "postgresql":
        tries.append((f"TRUNCATE {table} CASCADE", []))
        # No foreign key may still wait for its check.
        connection.check_constraints()
    else:
        columns = ", ".join(f'"{field.column}"' for field in model._meta.concrete_fields)
        tries.append(
            (f"INSERT OR REPLACE INTO {table} ({columns}) SELECT {columns} FROM {table} WHERE id = %s", [key])
        )
    for statement, values in tries:
        with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement, values)
    with pytest.raises(IntegrityError), transaction.atomic():
        models.QuerySet(model).filter(pk=row.pk)._raw_delete("default")
    assert stored(row) == before


# --- the ways that stay open ---


def test_a_draft_is_changed_and_deleted():
    """G-01, G-36: only what has left the draft is frozen."""
    for deal in (draft(), purchase_services.create(by=rep(), at=NOON, fields={})):
        type(deal).objects.filter(pk=deal.pk).update(valid_until=date(2031, 1, 1), content_hash="")
        deal.editors.clear()
        assert type(deal).objects.filter(pk=deal.pk).delete()[0]


def test_what_is_not_content_goes_on_changing():
    """G-36: Togai's columns, the owner and our own status move on a frozen deal, also with a whole `save`."""
    for deal in (proposal_in("APPROVED"), row_of(Purchase, "SENT")):
        deal.togai_id, deal.togai_status, deal.owner = "remote.1", "PENDING", rep()
        deal.save()
        deal.refresh_from_db()
        assert deal.togai_status == "PENDING"


def test_a_deal_of_every_kind_of_value_is_saved_whole_as_it_is():
    """G-36: what is read and written back counts as unchanged, down to amounts and overrides."""
    proposal = submitted(
        type="ASSOCIATION",
        quantity=None,
        price_plan=PricePlanFactory(recurring=True),
        effective_from=NOON.date() + timedelta(days=60),
        association_override={
            "fixedFeeRateCards": {"addon.platform": {"rateValues": {"EUR": {"rate": "450.50"}}}}
        },
        expected_volumes={"um.messages": "12000.50"},
    )
    wallet = submitted(
        type="WALLET_TOPUP",
        quantity=None,
        price_plan=None,
        wallet_topup_amount=Decimal("1000.05"),
        wallet_purchase_amount=Decimal("900.5"),
    )
    assert proposal.association_override
    assert proposal.expected_volumes
    for deal in (proposal, wallet):
        Proposal.objects.get(pk=deal.pk).save()
        names = drafts.fields_of(Proposal)
        assert Proposal.objects.bulk_update([Proposal.objects.get(pk=deal.pk)], names) == 1


def test_a_purchase_goes_back_into_the_draft_only_on_the_ways_there_are():
    """G-36: recalled, or refused by Togai; then it is written again. A released one stays released."""
    waiting = submitted_purchase()
    purchase_services.recall(
        purchase_id=waiting.pk, by=waiting.created_by, at=NOON, reason="The customer changed it."
    )
    waiting.refresh_from_db()
    purchase_services.edit(
        purchase_id=waiting.pk, by=waiting.owner, at=NOON, fields={"quantity": 9}, version=waiting.version
    )

    sent = row_of(Purchase, "SENT")
    for status in ("DRAFT", "SUBMITTED"):
        with pytest.raises(IntegrityError, match="only when Togai refused it"), transaction.atomic():
            Purchase.objects.filter(pk=sent.pk).update(status=status, released_by=None)
    Purchase.objects.filter(pk=sent.pk).update(togai_refusal="quantity: too many")
    with pytest.raises(IntegrityError, match="by one"), transaction.atomic():
        Purchase.objects.filter(pk=sent.pk).update(status="DRAFT", revision=5)
    revised = purchase_services.revise(purchase_id=sent.pk, by=sent.owner, at=NOON)
    assert (revised.status, revised.revision) == ("DRAFT", 2)


@pytest.mark.parametrize("state", STATES[Proposal])
def test_a_submitted_proposal_never_becomes_a_draft_again(state):
    """G-34, G-36: else its content could be changed on the way."""
    proposal = proposal_in(state)
    with pytest.raises(IntegrityError, match="never becomes a draft"), transaction.atomic():
        Proposal.objects.filter(pk=proposal.pk).update(status="DRAFT")


def test_a_delivery_may_wait_for_another_one_until_it_is_sent():
    """R-02: what was to follow a create declared absent follows the new one."""
    proposal = proposal_in("APPROVED")
    decide = Delivery.objects.of(proposal).get(kind="DECIDE")
    other = Delivery.objects.of(submitted()).get()
    Delivery.objects.filter(pk=decide.pk).update(depends_on=other)
    Delivery.objects.filter(pk=decide.pk).update(sends=1)
    with pytest.raises(IntegrityError, match="what it waited for"), transaction.atomic():
        Delivery.objects.filter(pk=decide.pk).update(depends_on=None)


def test_an_attempt_is_completed_once():
    """S-28, W5: begun before the call, completed after it, and evidence from then on."""
    attempt = row_of(DeliveryAttempt)
    attempt.finished_at, attempt.outcome = NOON, "done"
    attempt.save()
    attempt.outcome = "refused"
    with pytest.raises(IntegrityError, match="as it was learned"), transaction.atomic():
        attempt.save()


# --- which fields, and whether the triggers are there ---


@pytest.mark.parametrize("model", [Proposal, Purchase])
def test_all_that_enters_the_content_hash_is_frozen(model):
    """G-36: a new commercial field is frozen with the next migrate, or this fails."""
    with triggers_off():
        assert trigger_texts(model) == {}
    text = trigger_texts(model)[f"frozen_{model._meta.db_table}_update"]
    names = [field.name for field in model._meta.concrete_fields if field.name in drafts.COMMERCIAL_FIELDS]
    assert set(names) == set(drafts.fields_of(model)) - set(drafts.DESK_FIELDS)
    for name in (*names, "content_hash", "number", "created_by", "id"):
        assert f'NEW."{model._meta.get_field(name).column}"' in text


def trigger_texts(model):
    """What the triggers of a table say, by name, as the database shows them."""
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute(
                "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = %s",
                [model._meta.db_table],
            )
        else:
            cursor.execute(
                "SELECT tgname, prosrc FROM pg_trigger JOIN pg_proc ON pg_proc.oid = tgfoid "
                "WHERE NOT tgisinternal AND tgrelid = %s::regclass",
                [model._meta.db_table],
            )
        return dict(cursor.fetchall())


def test_every_frozen_model_has_all_its_triggers_after_a_migrate():
    """G-36, S-28: also when one is gone, has been rewritten or was left over."""
    before = {rule.model: trigger_texts(rule.model) for rule in triggers.declared()}
    assert {name for texts in before.values() for name in texts} >= {
        rule.trigger for rule in triggers.declared()
    }
    names = ["frozen_audit_event_update", "frozen_audit_event_delete", "frozen_audit_event_extra"]
    connection.check_constraints()
    with connection.cursor() as cursor:
        for statement in TAMPERED[connection.vendor]:
            cursor.execute(statement)
    assert trigger_texts(Event) != before[Event]
    assert names[2] in trigger_texts(Event)
    call_command("migrate", verbosity=0)
    assert {rule.model: trigger_texts(rule.model) for rule in triggers.declared()} == before


TAMPERED = {
    "sqlite": [
        "DROP TRIGGER frozen_audit_event_update",
        "DROP TRIGGER frozen_audit_event_delete",
        "CREATE TRIGGER frozen_audit_event_delete BEFORE DELETE ON audit_event BEGIN SELECT 1; END",
        "CREATE TRIGGER frozen_audit_event_extra BEFORE INSERT ON audit_event BEGIN SELECT 1; END",
    ],
    "postgresql": [
        "DROP TRIGGER frozen_audit_event_update ON audit_event",
        "CREATE OR REPLACE FUNCTION frozen_audit_event_delete() RETURNS trigger LANGUAGE plpgsql "
        "AS 'BEGIN RETURN OLD; END'",
        "CREATE FUNCTION frozen_audit_event_extra() RETURNS trigger LANGUAGE plpgsql "
        "AS 'BEGIN RETURN NEW; END'",
        "CREATE TRIGGER frozen_audit_event_extra BEFORE INSERT ON audit_event "
        "FOR EACH ROW EXECUTE FUNCTION frozen_audit_event_extra()",
    ],
}


def test_a_trigger_that_was_switched_off_is_switched_on_again():
    """S-28: PostgreSQL can keep a trigger and not ask it."""
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has no such switch.")
    row = row_of(Event)
    connection.check_constraints()
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE audit_event DISABLE TRIGGER USER")
    by_update(row, Event._meta.get_field("reason"), "never")
    connection.check_constraints()
    triggers.install()
    with pytest.raises(IntegrityError), transaction.atomic():
        by_update(row, Event._meta.get_field("reason"), "never at all")


@pytest.mark.django_db(transaction=True)
def test_a_later_migration_of_a_frozen_table_keeps_it_frozen():
    """G-36: SQLite rebuilds the table for it and loses the triggers; PostgreSQL alters a column in a rule."""
    shape = MigrationLoader(connection).project_state()
    wider = migrations.AlterField("proposal", "content_hash", models.CharField(max_length=80, blank=True))
    after = shape.clone()
    wider.state_forwards("proposals", after)
    for step, old, new in (
        (wider.database_forwards, shape, after),
        (wider.database_backwards, after, shape),
    ):
        with connection.schema_editor() as editor:
            step("proposals", editor, old, new)
        if connection.vendor == "sqlite":
            assert trigger_texts(Proposal) == {}
        call_command("migrate", verbosity=0)
        proposal = submitted()
        with pytest.raises(IntegrityError), transaction.atomic():
            Proposal.objects.filter(pk=proposal.pk).update(content_hash="other")


# --- the same bytes, from the approval to the wire ---


def test_what_is_sent_is_what_was_shown_and_what_was_stored():
    """G-51, I7, R-14: the preview, the row, its hash and the request on the wire are one content."""
    clock = Clock()
    delivery = Delivery.objects.of(submitted()).get()
    stored_body, preview = bytes(delivery.body), wording.on_the_wire(delivery)
    with FakeTogai(clock) as togai:
        Worker(togai.gateway(), clock=clock, monotonic=clock.monotonic, name="test").work()
        ((method, path, sent),) = togai.writes
    assert sent == stored_body
    assert hashlib.sha256(sent).hexdigest() == delivery.body_sha256
    assert (method, f"/{path}") == (preview.method, preview.path)
    # The preview only breaks the lines: every value and every digit is the one that was sent.
    assert without_blanks(preview.body) == without_blanks(sent.decode())
    delivery.refresh_from_db()
    assert (bytes(delivery.body), wording.on_the_wire(delivery)) == (sent, preview)


def without_blanks(text):
    """JSON text without what stands between its tokens; numbers keep their digits."""
    return json.dumps(json.loads(text, parse_float=str, parse_int=str), ensure_ascii=False)
