"""G-06, G-07: what is typed saves itself, through the same services, and never over somebody else's work."""

import re
import uuid

import pytest

from audit.models import Denial, Event
from audit.roles import Role
from proposals import services
from proposals.models import Proposal
from purchases import drafts
from purchases.models import Purchase
from tests import factories as f
from tests.purchases.browserless import open_page
from togai.models import Delivery

pytestmark = pytest.mark.django_db

CALLS = "billingEntitlementRateCards/feature.calls"
RATE_1 = f"o/{CALLS}/rateValues/EUR/slabRates/1/rate"
FEE = "fixedFeeRateCards/addon.onboarding"
FEE_RATE = f"o/{FEE}/rateValues/EUR/rate"
LOWER_FEE = {"fixedFeeRateCards": {"addon.onboarding": {"rateValues": {"EUR": {"rate": "700"}}}}}
BOTH = pytest.mark.parametrize("desk", ["proposals", "purchases"])


@pytest.fixture
def rep(client):
    rep = f.rep(first_name="Mia", last_name="Ott")
    client.force_login(rep)
    return rep


@pytest.fixture
def draft(rep):
    return f.draft(by=rep, title="First")


class Typing:
    """A page that saves itself, as static/js/autosave.js does."""

    def __init__(self, client, url):
        self.page = open_page(client, url)
        self.client, self.typed, self.url = client, self.page.typed, self.page.action

    def type(self, **typed):
        self.typed |= typed
        return self

    def send(self):
        """Post what is typed; the answer may get lost on its way back."""
        self.typed["turn"] = str(int(self.typed["turn"]) + 1)
        fields = {name: text for name, text in self.typed.items() if name != "q"}
        return self.client.post(self.url, fields | {"do": "autosave"})

    def rest(self):
        """Pause long enough: the page saves and reads the answer."""
        answer = self.send()
        html = answer.content.decode()
        self.state = re.search(r'data-autosaved="(\w+)"', html)[1]
        self.words = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", html)).strip()
        if version := re.search(r'data-version="(\d+)"', html):
            self.typed.pop("form_token", None)
            self.typed["version"] = version[1]
            self.url = re.search(r'data-url="([^"]+)"', html)[1]
        self.status = answer.status_code
        return self


def new(client, desk, account):
    return Typing(client, f"/{desk}/new/?account={account.togai_id}")


def at(client, deal):
    return Typing(
        client, f"/{'proposals' if isinstance(deal, Proposal) else 'purchases'}/{deal.reference}/edit/"
    )


def after(deal):
    deal.refresh_from_db()
    return deal


def a_draft(desk, **fields):
    return f.draft(**fields) if desk == "proposals" else f.purchase_draft(**fields)


# --- What is saved ---


@BOTH
def test_a_pause_saves_what_was_typed_and_says_when(client, rep, desk):
    """G-06"""
    deal = a_draft(desk, by=rep)
    page = at(client, deal).type(title="Half a sen", quantity="7").rest()
    assert (page.status, page.state) == (200, "saved")
    assert re.fullmatch(r"Saved \d\d:\d\d:\d\d", page.words)
    assert (after(deal).title, deal.quantity, deal.version) == ("Half a sen", 7, 2)
    assert (page.typed["version"], Delivery.objects.count()) == ("2", 0)


@BOTH
def test_a_new_deal_becomes_one_draft_and_the_page_goes_on_with_it(client, rep, desk):
    """G-06: the first pause drafts it, the next ones edit it."""
    model = Proposal if desk == "proposals" else Purchase
    page = new(client, desk, f.AccountFactory(owner=rep)).type(title="One").rest()
    deal = model.objects.get()
    assert page.url == f"/{desk}/{deal.reference}/edit/"
    page.type(title="One two").rest()
    page.type(title="One two three").rest()
    assert (model.objects.get().title, model.objects.get().version) == ("One two three", 3)


@BOTH
def test_a_page_with_nothing_but_an_account_drafts_nothing(client, rep, desk):
    """G-06: looking at a new page leaves no litter."""
    page = new(client, desk, f.AccountFactory(owner=rep)).rest()
    assert (page.status, page.state) == (200, "blank")
    assert Proposal.objects.count() + Purchase.objects.count() == 0


def test_a_draft_whose_first_answer_got_lost_is_not_drafted_twice(client, rep):
    """G-06: the page sends its token again, and its later words win."""
    page = new(client, "proposals", f.AccountFactory(owner=rep)).type(title="One")
    page.send()
    page.type(title="One two").send()
    page.type(title="One two three").rest()
    assert (Proposal.objects.get().title, page.state) == ("One two three", "saved")


def test_prices_save_themselves(client, draft):
    """G-06, G-02"""
    page = at(client, draft)
    page.page = page.page.press(f"open:{FEE}")
    page.typed = page.page.typed
    page.typed |= {FEE_RATE: "700", "page": str(uuid.uuid4())}
    page.rest()
    assert (page.state, after(draft).purchase_plan_override) == ("saved", LOWER_FEE)


def test_the_button_saves_after_the_page_has_saved_itself(client, draft):
    """G-06: no conflict with oneself."""
    page = at(client, draft).type(title="Second").rest()
    answer = client.post(page.url, page.typed | {"do": "save", "title": "Third", "turn": "2"})
    assert (answer.status_code, after(draft).title) == (302, "Third")


# --- What cannot be saved yet ---


@BOTH
def test_what_can_be_read_is_saved_and_what_cannot_is_named_and_stays_as_it_was(client, rep, desk):
    """G-06: nothing else than what was typed is stored."""
    deal = a_draft(desk, by=rep)
    page = at(client, deal).type(quantity="1.", title="Better").rest()
    assert (page.status, page.state) == (200, "saved")
    assert page.words.endswith("but not yet: Quantity cannot be read or does not hold")
    assert (after(deal).title, deal.quantity) == ("Better", 2)
    page.type(quantity="12").rest()
    assert (after(deal).quantity, page.words.count("not yet")) == (12, 0)


def test_one_price_that_cannot_be_read_keeps_its_card_as_it_was_and_lets_the_others_through(client, rep):
    """G-06"""
    draft = f.draft(by=rep, purchase_plan_override=LOWER_FEE)
    page = at(client, draft)
    page.page = page.page.press(f"open:{CALLS}")
    page.typed = page.page.typed | {RATE_1: "0.1", FEE_RATE: "65o", "page": str(uuid.uuid4())}
    page.rest()
    assert "not yet" in page.words
    assert after(draft).purchase_plan_override == LOWER_FEE | {
        "billingEntitlementRateCards": {
            "feature.calls": {"rateValues": {"EUR": {"slabRates": {"1": {"rate": "0.1"}}}}}
        }
    }


def test_an_entry_of_several_that_cannot_be_read_stays_as_it_was(client, rep):
    """G-06"""
    draft = f.draft(
        by=rep, quantity=None, rate_card_quantities={"feature.calls": "2", "addon.onboarding": "1"}
    )
    page = at(client, draft)
    page.typed |= {"q/feature.calls": "two", "q/addon.onboarding": "3"}
    page.rest()
    assert after(draft).rate_card_quantities == {"feature.calls": "2", "addon.onboarding": "3"}


def test_what_the_rules_refuse_together_stays_as_it_was(client, draft):
    """G-06: one quantity for all and one for each card exclude each other; the rest is saved."""
    page = at(client, draft).type(title="Better")
    page.typed["q/feature.calls"] = "3"
    page.rest()
    assert "not yet" in page.words
    assert (after(draft).title, draft.quantity, draft.rate_card_quantities) == ("Better", 2, None)


def test_a_plan_that_is_none_leaves_only_the_words_for_colleagues(client, draft):
    """G-06"""
    page = at(client, draft).type(price_plan="999999", quantity="9", title="Better").rest()
    assert "not yet: Price plan" in page.words
    assert (after(draft).title, draft.quantity) == ("Better", 2)


def test_a_forged_field_saves_nothing(client, draft):
    """S-06"""
    page = at(client, draft).type(status="APPROVED", title="Better").rest()
    assert (page.status, page.state, after(draft).title) == (422, "left", "First")


def test_many_things_that_cannot_be_read_are_counted(client, draft):
    """G-06"""
    page = at(client, draft).type(quantity="x", valid_until="soon")
    page.typed["q/feature.calls"] = "x"
    page.rest()
    assert re.search(r"not yet: \d things cannot be read or do not hold \(.*Quantity", page.words)


# --- The record ---


def test_each_save_that_changes_something_is_one_event_and_one_that_does_not_is_none(client, draft):
    """G-06, P-24: the record is as many pauses long as there was something new to save."""
    page = at(client, draft)
    for title in ("A", "A", "Ab", "Ab", "Abc"):
        page.type(title=title).rest()
    edits = Event.objects.about(draft).filter(verb="edit").order_by("seq")
    assert [event.after["title"] for event in edits] == ["A", "Ab", "Abc"]
    assert {event.after["page"] for event in edits} == {page.typed["page"]}


# --- Two people, two pages, two answers out of order ---


def saved_by(other, draft, **fields):
    draft.refresh_from_db()
    return services.edit(proposal_id=draft.pk, by=other, at=f.NOON, fields=fields, version=draft.version)


def test_what_somebody_else_saved_is_not_overwritten_and_the_way_on_is_shown(client, draft):
    """G-07: through autosave, too; the button in the answer opens the three versions."""
    ada = f.administrator(first_name="Ada", last_name="Min")
    page = at(client, draft).type(title="Mine")
    saved_by(ada, draft, title="Theirs")
    page.rest()
    assert (page.status, page.state, after(draft).title) == (409, "conflict", "Theirs")
    assert page.words.startswith("Not saved: Ada Min saved it, 10 Jan 2030")
    assert Denial.objects.get().status == 409
    three = client.post(page.url, page.typed | {"do": "save"})
    assert three.status_code == 409
    assert "When you opened it" in three.content.decode()


def test_somebody_elses_save_between_two_of_mine_is_seen(client, draft):
    """G-07"""
    page = at(client, draft).type(title="Mine").rest()
    saved_by(f.administrator(), draft, internal_note="Theirs")
    page.type(title="Mine again").rest()
    assert (page.status, after(draft).title) == (409, "Mine")


def test_my_own_second_page_is_somebody_else(client, draft):
    """G-07: the same person in another tab has read something else."""
    first, second = at(client, draft), at(client, draft)
    first.type(title="From the first").rest()
    second.type(title="From the second").rest()
    assert (second.status, after(draft).title) == (409, "From the first")


def test_an_answer_that_got_lost_is_no_conflict(client, draft):
    """G-06: offline for a moment, the page does not know that it has saved."""
    page = at(client, draft).type(title="One")
    page.send()
    page.type(title="One two").rest()
    assert (page.state, after(draft).title, draft.version) == ("saved", "One two", 3)


def test_a_save_that_arrives_late_overwrites_nothing(client, draft):
    """G-07: the older words of the same page come after the newer ones."""
    page = at(client, draft).type(title="Old words")
    late = dict(page.typed) | {"do": "autosave", "turn": "1"}
    page.typed["turn"] = "1"
    page.type(title="New words").rest()
    assert client.post(page.url, late).status_code == 409
    assert after(draft).title == "New words"


# --- Rights and ends ---


def test_a_draft_that_was_submitted_meanwhile_says_so(client, draft):
    page = at(client, draft).type(title="Mine")
    services.submit(proposal_id=draft.pk, by=draft.owner, at=f.NOON)
    page.rest()
    assert (page.status, page.state) == (409, "refused")
    assert "is submitted and can no longer be edited" in page.words


def test_a_new_deal_that_was_submitted_meanwhile_says_so(client, rep):
    page = new(client, "proposals", f.AccountFactory(owner=rep)).type(title="One")
    page.send()
    whole = {"type": "ENTITLEMENT_GRANT", "price_plan": f.PricePlanFactory(), "quantity": 2}
    deal = saved_by(rep, Proposal.objects.get(), payment_mode="PREPAID", **whole)
    services.submit(proposal_id=deal.pk, by=rep, at=f.NOON)
    page.type(title="One two").rest()
    assert (page.status, page.state, Proposal.objects.get().title) == (409, "refused", "One")


def test_a_draft_that_was_handed_over_is_gone(client, draft):
    """S-07"""
    page = at(client, draft).type(title="Mine")
    drafts.hand_over(Proposal, pk=draft.pk, to=f.rep(), by=f.administrator(), at=f.NOON)
    assert page.send().status_code == 404
    assert after(draft).title == "First"


def test_who_reads_and_does_not_draft_saves_nothing(client, draft, rep):
    """G-62"""
    page = at(client, draft).type(title="Mine")
    client.force_login(f.person(Role.AUDITOR))
    assert page.rest().status == 403
    assert (page.state, after(draft).title) == ("refused", "First")


def test_a_stranger_is_sent_to_sign_in(client, draft):
    """The page takes a redirect for the end of the sign-in."""
    page = at(client, draft).type(title="Mine")
    client.logout()
    assert page.send().status_code == 302
    assert after(draft).title == "First"


def test_what_happened_tells_the_saves_of_one_page_as_one(client, draft):
    """G-06: from what it was before the first to what it was after the last."""
    page = at(client, draft)
    for title in ("A", "Ab", "Abc"):
        page.type(title=title).rest()
    at(client, draft).type(title="Another day").rest()
    html = client.get(draft.get_absolute_url()).content.decode()
    assert html.count("changed the draft") == 2
    assert "title: First → Abc" in html
    assert "title: Abc → Another day" in html
