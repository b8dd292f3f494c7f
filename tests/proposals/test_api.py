"""Programs get the same services and the same refusals as people."""

import json

import pytest
from knox.models import AuthToken
from rest_framework.test import APIClient

from audit.models import Event
from proposals.models import Proposal
from purchases.models import Purchase
from tests.factories import (
    AccountFactory,
    PricePlanFactory,
    draft,
    finance,
    rep,
    submitted,
    submitted_purchase,
)
from togai.models import Delivery

pytestmark = pytest.mark.django_db

PROPOSALS = "/api/v1/proposals/"


class Program:
    """A caller that sends raw JSON, as a person at the keyboard or with a token."""

    def __init__(self, user, *, token=False):
        self.client = APIClient()
        if token:
            self.client.credentials(HTTP_AUTHORIZATION=f"Bearer {AuthToken.objects.create(user)[1]}")
        else:
            self.client.force_login(user)

    def send(self, method, path, body=None, content_type="application/json"):
        data = body if isinstance(body, str | bytes) else json.dumps(body if body is not None else {})
        return getattr(self.client, method)(path, data=data, content_type=content_type)

    def post(self, path, body=None, **options):
        return self.send("post", path, body, **options)

    def patch(self, path, body):
        return self.send("patch", path, body)

    def get(self, path):
        return self.client.get(path)


@pytest.fixture
def author():
    return rep()


@pytest.fixture
def program(author):
    return Program(author)


def grant(account, **fields):
    plan = PricePlanFactory()
    return {
        "account": account.togai_id,
        "type": "ENTITLEMENT_GRANT",
        "price_plan": plan.togai_id,
        "payment_mode": "PREPAID",
        "quantity": 2,
    } | fields


def test_a_program_drafts_submits_and_reads_a_proposal(program, author):
    """A whole deal by token: the create is queued exactly as from the page."""
    program = Program(author, token=True)
    created = program.post(PROPOSALS, grant(AccountFactory(owner=author), title="Two seats"))
    assert created.status_code == 201
    assert created.json()["estimate"] == "1850"
    reference = created.json()["reference"]
    done = program.post(f"{PROPOSALS}{reference}/submit/", {"version": 1})
    assert (done.status_code, done.json()["status"]) == (202, "SUBMITTED")
    assert Delivery.objects.get().kind == Delivery.Kind.CREATE_PROPOSAL
    assert Event.objects.get(verb="submit").channel == "api"
    assert program.get(f"{PROPOSALS}{reference}/").json()["decisions"] == []


def test_an_override_is_written_and_read_in_togais_shape(program, author):
    """G-02: the complete list of a kind goes in and comes out; what is stored is the difference."""
    fee = {
        "id": "addon.onboarding",
        "displayName": "Onboarding",
        "type": "ONE_TIME",
        "enableProration": False,
        "invoiceTiming": "IN_ADVANCE",
        "rateValues": [{"currency": "EUR", "rate": 700}, {"currency": "USD", "rate": 800}],
    }
    body = grant(AccountFactory(owner=author), purchase_plan_override={"fixedFeeRateCards": [fee]})
    answer = program.post(PROPOSALS, body)
    assert answer.status_code == 201, answer.content
    assert Proposal.objects.get().purchase_plan_override == {
        "fixedFeeRateCards": {"addon.onboarding": {"rateValues": {"EUR": {"rate": "700"}}}}
    }
    shown = answer.json()["purchase_plan_override"]["fixedFeeRateCards"][0]["rateValues"]
    assert {row["currency"]: row["rate"] for row in shown} == {"EUR": "700", "USD": "800"}


def test_an_edit_of_an_old_version_is_refused_and_changes_nothing(program, author):
    """G-07: no silent overwrite through the API."""
    proposal = draft(by=author)
    first = program.patch(f"{PROPOSALS}{proposal.reference}/", {"version": 1, "title": "First"})
    second = program.patch(f"{PROPOSALS}{proposal.reference}/", {"version": 1, "title": "Second"})
    assert (first.status_code, second.status_code) == (200, 409)
    assert second.json()["code"] == "stale"
    assert Proposal.objects.get().title == "First"


def test_what_a_caller_may_not_see_does_not_exist(program):
    """G-62, S-01: someone else's deal is 404 on every verb."""
    path = f"{PROPOSALS}{draft().reference}/"
    assert program.get(path).status_code == 404
    for verb in ("submit", "recall", "approve", "decline", "request-changes", "revise"):
        assert program.post(f"{path}{verb}/").status_code == 404
    assert program.get(PROPOSALS).json()["results"] == []


def test_finance_decides_with_the_content_it_read(author):
    """R-23: a stale hash is 409; the right one approves once."""
    proposal = submitted(by=author)
    decider = Program(finance())
    path = f"{PROPOSALS}{proposal.reference}/approve/"
    assert decider.post(path, {"content_hash": "0" * 64}).status_code == 409
    assert decider.post(path, {"content_hash": proposal.content_hash}).status_code == 202
    assert decider.post(path, {"content_hash": proposal.content_hash}).status_code == 409
    assert Delivery.objects.filter(kind=Delivery.Kind.DECIDE).count() == 1


def test_the_author_is_refused_by_the_api_too():
    """G-22: four eyes on every channel."""
    author = finance()
    proposal = submitted(by=author)
    answer = Program(author).post(
        f"{PROPOSALS}{proposal.reference}/approve/", {"content_hash": proposal.content_hash}
    )
    assert (answer.status_code, answer.json()["code"]) == (403, "own_work")


def test_no_token_ever_decides(author):
    """S-18: a token of finance drafts, but its decisions are refused."""
    proposal = submitted(by=author)
    token = Program(finance(), token=True)
    answer = token.post(f"{PROPOSALS}{proposal.reference}/approve/", {"content_hash": proposal.content_hash})
    assert answer.status_code == 403
    purchase = submitted_purchase(by=author)
    answer = token.post(
        f"/api/v1/purchases/{purchase.reference}/release/", {"content_hash": purchase.content_hash}
    )
    assert answer.status_code == 403
    assert Purchase.objects.get().status == Purchase.Status.SUBMITTED


def test_a_decline_needs_a_code_and_a_reason(author):
    """G-27: by the API as by the page, with the field that lacks named."""
    proposal = submitted(by=author)
    decider = Program(finance())
    path = f"{PROPOSALS}{proposal.reference}/decline/"
    body = {"content_hash": proposal.content_hash, "reason_code": "nonsense", "reason": "short"}
    answer = decider.post(path, body)
    assert answer.status_code == 422
    assert {problem["field"] for problem in answer.json()["problems"]} == {"reason_code", "reason"}
    body |= {"reason_code": "term", "reason": "Twelve months at the most."}
    assert decider.post(path, body).json()["status"] == "DECLINED"


@pytest.mark.parametrize(
    "name",
    ["status", "owner", "decided_by", "togai_id", "content_hash", "number", "is_live", "idempotency_key"],
)
def test_fields_that_services_own_cannot_be_written(program, author, name):
    """S-06: an unknown or owned field is named and nothing changes."""
    proposal = draft(by=author)
    answer = program.patch(f"{PROPOSALS}{proposal.reference}/", {"version": 1, name: "x"})
    assert (answer.status_code, answer.json()) == (422, {name: ["Unknown field."]})
    assert Proposal.objects.get().version == 1


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("[" * 100_000, 400),
        ('{"title": "a", "title": "b"}', 400),
        ('{"quantity": NaN}', 400),
        ('{"quantity": ' + "9" * 5000 + "}", 400),
        ('{"title": "\\ud800"}', 400),
        ('{"title": "\\u0000"}', 400),
        ('["a", "b"]', 400),
        ("", 400),
        (b"\xff\xfe{}", 400),
        ('{"title": 123}', 422),
        ('{"quantity": true}', 422),
        ('{"quantity": 1.0}', 422),
        ('{"quantity": 2147483648}', 422),
        ('{"quantity": "٣"}', 422),
        ('{"quantity": 0}', 422),
        ('{"wallet_topup_amount": "1e3"}', 422),
        ('{"wallet_topup_amount": "1,5"}', 422),
        ('{"valid_until": "2030-02-30"}', 422),
        ('{"type": "GIFT"}', 422),
        ('{"price_plan": "pp.nowhere"}', 422),
        ('{"account": "../x"}', 422),
    ],
)
def test_hostile_bodies_are_refused_and_store_nothing(program, body, code):
    """S-08: one strict gate in front of every JSON; bad data is 422 with its field, never a crash."""
    answer = program.post(PROPOSALS, body)
    assert answer.status_code == code, answer.content
    assert not Proposal.objects.exists()


def test_other_content_types_are_refused(program):
    """S-08: the routes take JSON alone."""
    for content_type in ("text/plain", "application/xml", "multipart/form-data; boundary=x"):
        assert program.post(PROPOSALS, "{}", content_type=content_type).status_code == 415


def test_strangers_get_401(client):
    """S-01, S-03: default deny holds for the API although the login middleware passes it by."""
    assert client.get(PROPOSALS).status_code == 401
    assert client.get("/api/schema/").status_code == 401
    assert client.get(PROPOSALS, HTTP_AUTHORIZATION="Bearer nonsense").status_code == 401
    assert client.get(PROPOSALS, HTTP_AUTHORIZATION="Bearer \xff\xfe").status_code == 401


def test_a_disabled_person_is_out_with_the_next_request(author):
    """S-05: sessions and tokens stop at once."""
    by_session, by_token = Program(author), Program(author, token=True)
    assert by_token.get(PROPOSALS).status_code == 200
    author.is_active = False
    author.save()
    assert by_session.get(PROPOSALS).status_code == 401
    assert by_token.get(PROPOSALS).status_code == 401


def test_lists_cost_the_same_for_five_rows_and_for_fifty(program, author, django_assert_max_num_queries):
    """L4: the number of queries does not grow with the page."""
    account, plan = AccountFactory(owner=author), PricePlanFactory()
    for _ in range(5):
        draft(by=author, account=account, price_plan=plan)
    with django_assert_max_num_queries(8) as few:
        assert len(program.get(PROPOSALS).json()["results"]) == 5
    for _ in range(45):
        draft(by=author, account=account, price_plan=plan)
    with django_assert_max_num_queries(len(few)) as many:
        assert len(program.get(PROPOSALS).json()["results"]) == 50
    assert not any("COUNT(" in query["sql"] or "OFFSET" in query["sql"] for query in many.captured_queries)


def test_filters_narrow_the_list(program, author):
    """Every filter in the schema works."""
    wanted, other = draft(by=author, title="Wanted"), submitted(by=author)
    found = program.get(f"{PROPOSALS}?status=DRAFT&account={wanted.account.togai_id}").json()["results"]
    assert [row["reference"] for row in found] == [wanted.reference]
    found = program.get(f"{PROPOSALS}?status=SUBMITTED").json()["results"]
    assert [row["reference"] for row in found] == [other.reference]


def test_a_revision_keeps_the_reference(program, author):
    """G-35: the number stays, the revision counts up, the old one stays readable."""
    proposal = submitted(by=author)
    path = f"{PROPOSALS}{proposal.reference}/"
    program.post(f"{path}recall/", {"reason_code": "other", "reason": "Customer wants less."})
    assert program.post(f"{path}revise/").json()["revision"] == 2
    revisions = program.get(f"{path}revisions/").json()
    assert [(row["revision"], row["status"]) for row in revisions] == [(2, "DRAFT"), (1, "RECALLED")]


def test_purchases_go_the_same_way(program, author):
    """A purchase by program: drafted, submitted, released by finance, queued once."""
    body = grant(AccountFactory(owner=author))
    del body["payment_mode"]
    reference = program.post("/api/v1/purchases/", body).json()["reference"]
    program.post(f"/api/v1/purchases/{reference}/submit/")
    purchase = Purchase.objects.get()
    answer = Program(finance()).post(
        f"/api/v1/purchases/{reference}/release/", {"content_hash": purchase.content_hash}
    )
    assert (answer.status_code, answer.json()["status"]) == (202, "SENT")
    assert Delivery.objects.get().kind == Delivery.Kind.CREATE_PURCHASE


def test_accounts_and_plans_are_listed_and_read(program, author):
    """The catalogue and one's own accounts."""
    mine, plan = AccountFactory(owner=author, name="Kestrel Foods"), PricePlanFactory()
    AccountFactory(name="Kestrel Bank")
    assert [row["id"] for row in program.get("/api/v1/accounts/?q=estre").json()["results"]] == [
        mine.togai_id
    ]
    assert program.get(f"/api/v1/accounts/{mine.togai_id}/").json()["name"] == "Kestrel Foods"
    cards = program.get(f"/api/v1/plans/{plan.togai_id}/").json()["rate_cards"]
    assert {card["kind"] for card in cards} == {"billingEntitlementRateCards", "fixedFeeRateCards"}


def test_the_schema_describes_every_path(client, author):
    """OpenAPI 3, generated without a warning."""
    client.force_login(author)
    schema = client.get("/api/schema/", HTTP_ACCEPT="application/vnd.oai.openapi+json").json()
    assert schema["openapi"].startswith("3.")
    assert "/api/v1/proposals/{reference}/approve/" in schema["paths"]


def test_the_docs_page_loads_nothing_from_elsewhere(client, author):
    """S-11: served from our own files under the same policy."""
    client.force_login(author)
    page = client.get("/api/docs/").content.decode()
    assert "https://" not in page
    assert "<script>" not in page
