"""Changing an account: sent to Togai as a delivery, shown here once confirmed."""

import json

import pytest
import responses

from accounts import services
from accounts.models import Account
from accounts.search import matching
from audit.models import Event
from audit.refusals import Invalid, NotAllowed, Stale, WrongStatus
from audit.roles import Role
from tests.factories import NOON, AccountFactory, administrator, person, rep
from togai import wire
from togai.gateway import Gateway
from togai.models import Delivery
from togai.secret import Secret
from togai.worker import Worker

pytestmark = pytest.mark.django_db

BASE = "https://togai.test"


@pytest.fixture
def admin():
    return administrator()


@pytest.fixture
def account():
    return AccountFactory(
        togai_id="harbor", name="Harbor", net_term_days=30, tags=["eu"], email="a@harbor.example"
    )


@pytest.fixture
def worker():
    gateway = Gateway(base_url=BASE, token=Secret("canary-of-account-edits"))
    return Worker(gateway, clock=lambda: NOON, name="test")


def edit(account, by, **fields):
    return services.edit(account_id=account.pk, by=by, at=NOON, fields=fields, version=account.version)


def shown(account, **fields):
    """The account as Togai answers it."""
    record = {
        "id": account.togai_id,
        "togaiAccountId": "account.x",
        "togaiCustomerId": "customer.x",
        "customerId": "harbor",
        "name": account.name,
        "status": "ACTIVE",
        "invoiceCurrency": "EUR",
        "netTermDays": account.net_term_days,
        "primaryEmail": account.email,
        "tags": account.tags,
    }
    return record | fields


def nothing_happened(account):
    fresh = Account.objects.get(pk=account.pk)
    return (
        fresh.version == account.version
        and fresh.name == account.name
        and not Delivery.objects.exists()
        and not Event.objects.exists()
    )


def test_only_what_changed_is_sent_and_the_account_waits_for_togai(account, admin):
    """R-01, R-03: one row, its frozen bytes and the record in one transaction."""
    edit(
        account,
        admin,
        name="Harbor Robotics",
        net_term_days=30,
        tags=["EU ", "eu", "Key"],
        email=account.email,
    )
    delivery = Delivery.objects.get()
    assert json.loads(bytes(delivery.body)) == {"name": "Harbor Robotics", "tags": ["eu", "key"]}
    assert (delivery.kind, delivery.account_id, delivery.revision) == ("EDIT_ACCOUNT", "harbor", 2)
    account.refresh_from_db()
    assert (account.name, account.tags, account.version) == ("Harbor", ["eu"], 2)
    event = Event.objects.about(account).get()
    assert (event.verb, event.actor) == ("edit", admin)
    assert event.before == {"name": "Harbor", "tags": ["eu"]}
    assert event.after == {"name": "Harbor Robotics", "tags": ["eu", "key"], "version": 2}


@responses.activate
def test_a_confirmed_change_shows_here(account, admin, worker):
    edit(account, admin, name="Harbor Robotics")
    sent = responses.patch(
        f"{BASE}/accounts/harbor", json=shown(account, name="Harbor Robotics", tags=["new"])
    )
    worker.work()
    account.refresh_from_db()
    assert sent.call_count == 1
    assert (account.name, account.tags, account.pulled_at) == ("Harbor Robotics", ["new"], NOON)
    assert services.pending(account) is None
    assert list(matching("robotics")) == [account]
    assert Event.objects.about(account).last().verb == "edit_confirmed"


@responses.activate
def test_an_answer_that_leaves_fields_out_clears_none_of_them(account, admin, worker):
    edit(account, admin, net_term_days=45)
    responses.patch(f"{BASE}/accounts/harbor", json={"id": "harbor"})
    worker.work()
    account.refresh_from_db()
    assert (account.net_term_days, account.name, account.tags) == (45, "Harbor", ["eu"])


@responses.activate
def test_a_refused_change_leaves_the_account_and_says_why(account, admin, worker):
    edit(account, admin, name="Harbor Robotics")
    responses.patch(f"{BASE}/accounts/harbor", json={"message": "Name is taken"}, status=400)
    worker.work()
    account.refresh_from_db()
    assert account.name == "Harbor"
    assert services.pending(account) is None
    event = Event.objects.about(account).last()
    assert (event.verb, event.actor) == ("refused_by_togai", None)
    assert "Name is taken" in event.after["message"]


def test_a_listener_survives_a_record_that_no_column_holds(account, admin, worker):
    """The change itself is confirmed; what is odd about the rest must not stop the worker."""
    edit(account, admin, net_term_days=45)
    with responses.RequestsMock() as togai:
        togai.patch(f"{BASE}/accounts/harbor", json=shown(account, name="x" * 256, netTermDays=45))
        worker.work()
    account.refresh_from_db()
    assert (account.net_term_days, account.name) == (45, "Harbor")
    assert Delivery.objects.get().state == "CONFIRMED"


def test_a_later_edit_takes_the_unsent_one_with_it(account, admin):
    first = edit(account, admin, name="Harbor Robotics")
    second = edit(first, admin, net_term_days=60)
    withdrawn, waiting = Delivery.objects.order_by("revision")
    assert (withdrawn.state, withdrawn.last_error) == ("REJECTED", "withdrawn")
    assert json.loads(bytes(waiting.body)) == {"name": "Harbor Robotics", "netTermDays": 60}
    assert (second.version, waiting.revision) == (3, 3)


def test_going_back_to_what_togai_has_takes_the_unsent_change_back(account, admin):
    first = edit(account, admin, name="Harbor Robotics")
    edit(first, admin, name="Harbor")
    assert Delivery.objects.get().last_error == "withdrawn"


def test_an_edit_waits_while_an_earlier_one_may_have_arrived(account, admin):
    """R-05: nothing overtakes a change that is in doubt."""
    first = edit(account, admin, name="Harbor Robotics")
    Delivery.objects.update(state="UNKNOWN", sends=1, ambiguous_attempts=1)
    with pytest.raises(WrongStatus):
        edit(first, admin, name="Harbor Boats")
    assert Delivery.objects.count() == 1
    assert Event.objects.count() == 1


def test_an_edit_that_changes_nothing_sends_nothing(account, admin):
    edit(account, admin, name=" Harbor ", net_term_days=30, tags=["EU"])
    assert nothing_happened(account)


def test_an_edit_of_what_has_moved_on_is_refused(account, admin):
    """G-07: no silent overwrite."""
    Account.objects.filter(pk=account.pk).update(version=2)
    with pytest.raises(Stale):
        edit(account, admin, name="Harbor Robotics")
    assert not Delivery.objects.exists()


@pytest.mark.parametrize(
    "roles", [[Role.REP], [Role.MANAGER], [Role.FINANCE], [Role.CFO], [Role.AUDITOR], []]
)
def test_only_administrators_change_accounts(account, roles):
    """S-04: the rule is the service's, so every door keeps it."""
    somebody = person(*roles)
    with pytest.raises(NotAllowed):
        edit(account, somebody, name="Harbor Robotics")
    with pytest.raises(NotAllowed):
        services.hand_over(account_id=account.pk, to=rep(), by=somebody, at=NOON)
    assert nothing_happened(account)


def test_an_archived_account_is_not_edited(account, admin):
    Account.objects.filter(pk=account.pk).update(status="ARCHIVED")
    with pytest.raises(WrongStatus):
        edit(account, admin, name="Harbor Robotics")


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"name": "ab"}, "name"),
        ({"name": ""}, "name"),
        ({"net_term_days": -1}, "net_term_days"),
        ({"net_term_days": 366}, "net_term_days"),
        ({"net_term_days": None}, "net_term_days"),
        ({"email": ""}, "email"),
        ({"email": "not an address"}, "email"),
        ({"tags": ["x" * 51]}, "tags"),
        ({"tags": [""]}, "tags"),
        ({"currency": "USD"}, "currency"),
        ({"owner": 1}, "owner"),
    ],
)
def test_what_togai_would_refuse_is_refused_at_its_field(account, admin, fields, field):
    with pytest.raises(Invalid) as refused:
        edit(account, admin, **fields)
    assert [problem.field for problem in refused.value.problems] == [field]
    assert nothing_happened(account)


def test_an_account_goes_to_another_owner_and_togai_is_not_told(account, admin):
    owner = rep()
    services.hand_over(account_id=account.pk, to=owner, by=admin, at=NOON)
    account.refresh_from_db()
    assert account.owner == owner
    assert not Delivery.objects.exists()
    event = Event.objects.about(account).get()
    assert (event.verb, event.after["owner"]) == ("hand_over", owner.get_full_name())
    services.hand_over(account_id=account.pk, to=owner, by=admin, at=NOON)
    assert Event.objects.count() == 1
    services.hand_over(account_id=account.pk, to=None, by=admin, at=NOON)
    account.refresh_from_db()
    assert account.owner is None


@pytest.mark.parametrize("to", ["auditor", "disabled"])
def test_nobody_gets_accounts_who_does_not_draft(account, admin, to):
    somebody = person(Role.AUDITOR) if to == "auditor" else rep(is_active=False)
    with pytest.raises(NotAllowed):
        services.hand_over(account_id=account.pk, to=somebody, by=admin, at=NOON)
    assert nothing_happened(account)


def test_a_look_recognises_a_change_that_arrived(account, admin, worker):
    """R-05: an edit in doubt is settled by reading the account."""
    edit(account, admin, tags=["eu", "key"])
    remote = wire.RemoteAccount.read(shown(account, tags=["KEY", "eu"]))
    assert remote.shows(bytes(Delivery.objects.get().body))
