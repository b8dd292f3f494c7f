"""Many accounts at once: another owner here, tags and net terms at Togai."""

from datetime import timedelta
from uuid import uuid4

import pytest

from accounts import bulk, services
from accounts.models import Account
from audit import bulk as audit_bulk
from audit.models import Event
from tests.factories import NOON, AccountFactory, administrator, finance, rep
from togai import strict_json
from togai.models import Delivery

LATER = NOON + timedelta(hours=1)


def plan(action, *rows, by, **answers):
    return audit_bulk.plan(action, [row.pk for row in rows], by=by, at=LATER, answers=answers)


def carry_out(action, found, *, by, batch=None, **answers):
    chosen = [(one.key, one.version) for one in found.will]
    return audit_bulk.carry_out(action, chosen, by=by, at=LATER, batch_id=batch or uuid4(), answers=answers)


def sent(account):
    """What waits to be sent about an account, newest first."""
    waiting = Delivery.objects.of(account).filter(state=Delivery.State.NOT_SENT)
    return [strict_json.loads(bytes(delivery.body)) for delivery in waiting.order_by("-created_at")]


@pytest.mark.parametrize(
    ("tags", "how", "given", "after"),
    [
        ([], "add", ["a"], ["a"]),
        (["a"], "add", ["a", "b"], ["a", "b"]),
        (["a", "b"], "remove", ["a"], ["b"]),
        (["a"], "remove", ["c"], ["a"]),
        (["a", "b"], "replace", ["c"], ["c"]),
        (["b", "a"], "add", ["c"], ["b", "a", "c"]),
    ],
)
def test_tags_are_added_removed_and_replaced(tags, how, given, after):
    assert bulk.changed_tags(tags, how, given) == after


@pytest.mark.django_db
def test_accounts_get_another_owner_without_a_word_to_togai():
    ada, noah = administrator(), rep(first_name="Noah", last_name="Beck")
    nobodys, his = AccountFactory(), AccountFactory(owner=noah)
    action, batch = bulk.GiveAccounts(), uuid4()
    found = plan(action, nobodys, his, by=ada, to=noah)
    assert [(one.before, one.after) for one in found.will] == [("nobody", "Noah Beck")]
    assert [one.why for one in found.skipped] == ["Noah Beck owns it already."]
    assert carry_out(action, found, by=ada, batch=batch, to=noah).done == [nobodys.pk]
    nobodys.refresh_from_db()
    assert nobodys.owner == noah
    assert Event.objects.get(batch_id=batch).verb == "hand_over"
    assert not Delivery.objects.exists()


@pytest.mark.django_db
def test_net_terms_are_a_delivery_per_account_and_ours_change_when_togai_confirms():
    ada, rows = administrator(), [AccountFactory(), AccountFactory(net_term_days=14)]
    action, batch = bulk.SetNetTerms(), uuid4()
    found = plan(action, *rows, by=ada, net_term_days=30)
    assert [(one.before, one.after) for one in found.will] == [
        ("not set", "30 days"),
        ("14 days", "30 days"),
    ]
    carry_out(action, found, by=ada, batch=batch, net_term_days=30)
    assert [sent(row) for row in rows] == [[{"netTermDays": 30}]] * 2
    assert list(Account.objects.order_by("pk").values_list("net_term_days", flat=True)) == [None, 14]
    assert Event.objects.filter(batch_id=batch, verb="edit").count() == 2


@pytest.mark.django_db
def test_tags_start_from_what_waits_to_be_sent_so_that_no_bulk_change_undoes_another():
    ada, account = administrator(), AccountFactory(tags=["old"])
    action = bulk.SetTags()
    for tag in ("one", "two"):
        answers = {"how": bulk.ADD, "tags": [tag]}
        found = plan(action, account, by=ada, **answers)
        assert carry_out(action, found, by=ada, **answers).done == [account.pk]
    assert sent(account)[0] == {"tags": ["old", "one", "two"]}
    assert plan(action, account, by=ada, how=bulk.ADD, tags=["two"]).skipped[0].why == (
        "It is like that already."
    )


@pytest.mark.django_db
def test_an_account_whose_change_is_in_doubt_is_skipped():
    ada, account = administrator(), AccountFactory()
    services.edit(account_id=account.pk, by=ada, at=NOON, fields={"net_term_days": 7}, version=1)
    Delivery.objects.update(state=Delivery.State.UNKNOWN, sends=1)
    (skipped,) = plan(bulk.SetNetTerms(), account, by=ada, net_term_days=30).skipped
    assert "wait until Togai confirmed it" in skipped.why


@pytest.mark.django_db
def test_archived_accounts_are_skipped():
    archived = AccountFactory(status="ARCHIVED")
    (skipped,) = plan(bulk.SetNetTerms(), archived, by=administrator(), net_term_days=30).skipped
    assert skipped.why == "It is archived."


@pytest.mark.django_db
def test_tags_that_togai_would_refuse_are_skipped_in_its_words():
    account, answers = AccountFactory(), {"how": bulk.ADD, "tags": ["x" * 300]}
    (skipped,) = plan(bulk.SetTags(), account, by=administrator(), **answers).skipped
    assert "characters" in skipped.why


@pytest.mark.django_db
def test_an_account_that_moved_on_is_left_alone():
    """G-07 bulk: what Togai told us meanwhile is not overwritten unseen."""
    ada, account = administrator(), AccountFactory()
    found = plan(bulk.SetNetTerms(), account, by=ada, net_term_days=30)
    Account.objects.filter(pk=account.pk).update(version=2)
    outcome = carry_out(bulk.SetNetTerms(), found, by=ada, net_term_days=30)
    assert outcome.refused == [(account.pk, audit_bulk.MOVED_ON)]
    assert not Delivery.objects.exists()


@pytest.mark.django_db
def test_finance_changes_no_accounts_with_whatever_plan():
    omar, account = finance(), AccountFactory()
    outcome = audit_bulk.carry_out(
        bulk.SetNetTerms(),
        [(account.pk, 1)],
        by=omar,
        at=LATER,
        batch_id=uuid4(),
        answers={"net_term_days": 30},
    )
    assert (outcome.done, Delivery.objects.count()) == ([], 0)


@pytest.mark.django_db
def test_a_plan_for_accounts_asks_as_often_for_fifty_as_for_five(django_assert_num_queries):
    ada, rows = administrator(), [AccountFactory(owner=rep()) for _ in range(50)]
    for some in (rows[:5], rows):
        with django_assert_num_queries(2):
            plan(bulk.SetNetTerms(), *some, by=ada, net_term_days=30)
