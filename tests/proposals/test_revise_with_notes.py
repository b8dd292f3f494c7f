"""G-35, G-26, G-27: a revision opens where finance had something to say."""

import re

import pytest

from audit.refusals import Invalid
from proposals import services
from proposals.models import LineNote, Proposal, ReasonCode
from purchases import services as purchase_services
from tests import factories as f
from tests.purchases.browserless import open_page

pytestmark = pytest.mark.django_db

CALLS = "billingEntitlementRateCards/feature.calls"
FEE = "fixedFeeRateCards/addon.onboarding"
FEE_RATE = f"o/{FEE}/rateValues/EUR/rate"
WHY = {"reason_code": "other", "reason": "Not below the list."}
NOTES = [
    ("terms", "The terms as a whole", "Shorter, please."),
    ("fixedFeeRateCards:addon.onboarding", "Onboarding (fixed fees)", "At least 700."),
    ("fixedFeeRateCards:addon.gone", "Training (fixed fees)", "Leave it out."),
]


@pytest.fixture
def rep(client):
    rep = f.rep()
    client.force_login(rep)
    return rep


@pytest.fixture
def boss():
    return f.finance(first_name="Fin", last_name="Ance")


def answered(proposal, verb, boss, notes=NOTES):
    """The next revision of a proposal that finance did not approve."""
    say_no = getattr(services, verb)
    say_no(
        proposal_id=proposal.pk,
        by=boss,
        at=f.NOON,
        content_hash=proposal.content_hash,
        line_notes=notes,
        **WHY,
    )
    return services.revise(proposal_id=proposal.pk, by=proposal.owner, at=f.NOON)


def editor(client, deal):
    return open_page(client, f"{deal.get_absolute_url()}edit/")


@pytest.mark.parametrize(
    ("verb", "words"), [("decline", "declined"), ("request_changes", "asked for changes")]
)
def test_the_next_revision_opens_with_the_reason_and_the_notes_at_their_lines(client, rep, boss, verb, words):
    """G-35, G-26, G-27"""
    page = editor(client, answered(f.submitted(by=rep), verb, boss))
    assert f"Revision 1: Fin Ance {words}" in page.html
    assert "Not below the list." in page.html
    # The card is open, the note stands in it, and the head links to it.
    assert FEE_RATE in page.typed
    card = page.html[page.html.index(f'id="card_{FEE}"') :]
    assert "Finance wrote" in card[:2500]
    assert f'<a href="#card_{FEE}">Onboarding (fixed fees)</a>: At least 700.' in page.html


def test_the_first_line_with_a_note_has_the_focus(client, rep, boss):
    """G-35: without JavaScript, too."""
    page = editor(client, answered(f.submitted(by=rep), "decline", boss))
    (focused,) = re.findall(r"<input[^>]*autofocus[^>]*>", page.html)
    assert f'id="id_o/{FEE}/' in focused


def test_a_revision_that_somebody_works_on_keeps_its_notes_and_not_the_focus(client, rep, boss):
    draft = answered(f.submitted(by=rep), "decline", boss)
    services.edit(proposal_id=draft.pk, by=rep, at=f.NOON, fields={"title": "Better"}, version=1)
    page = editor(client, draft)
    assert "At least 700." in page.html
    assert "autofocus" not in page.html


def test_a_note_on_a_line_that_is_gone_stands_at_the_head(client, rep, boss):
    """G-35: so do notes on the whole."""
    page = editor(client, answered(f.submitted(by=rep), "decline", boss))
    assert "<strong>Training (fixed fees)</strong>: Leave it out." in page.html
    assert "<strong>The terms as a whole</strong>: Shorter, please." in page.html


def test_a_note_on_a_field_links_to_it(client, rep, boss):
    """G-35: a program may pin a note to a field."""
    note = [("quantity", "Quantity", "Fewer.")]
    page = editor(client, answered(f.submitted(by=rep), "decline", boss, note))
    assert '<a href="#id_quantity">Quantity</a>: Fewer.' in page.html


def test_notes_stay_when_the_page_is_drawn_again(client, rep, boss):
    page = editor(client, answered(f.submitted(by=rep), "decline", boss)).press(f"open:{CALLS}")
    assert "Finance wrote" in page.html
    assert FEE_RATE in page.typed


def test_looking_at_a_note_on_a_card_that_was_taken_out_does_not_put_it_back(client, rep, boss):
    out = {"fixedFeeRateCards": {"addon.onboarding": None}}
    setup = f.ONBOARDING | {"id": "addon.setup", "displayName": "Setup"}
    cards = [("fixedFeeRateCards", card["id"], card) for card in (f.ONBOARDING, setup)]
    plan = f.PricePlanFactory(cards=cards)
    draft = answered(f.submitted(by=rep, price_plan=plan, purchase_plan_override=out), "decline", boss)
    page = editor(client, draft)
    assert "At least 700." in page.html
    page.press("save")
    draft.refresh_from_db()
    assert draft.purchase_plan_override == out


def test_a_hostile_note_is_only_text(client, rep, boss):
    """S-11"""
    hostile = [(NOTES[1][0], "<b>x</b>", "<script>alert(1)</script>")]
    page = editor(client, answered(f.submitted(by=rep), "decline", boss, hostile))
    assert "<script>alert" not in page.html
    assert "<b>x</b>" not in page.html


def test_a_first_draft_and_a_recalled_one_have_nothing_said(client, rep):
    """G-35: what the rep said when recalling is no word of finance's."""
    assert 'id="said"' not in editor(client, f.draft(by=rep)).html
    old = f.submitted(by=rep)
    code = ReasonCode.objects.filter(for_recall=True).first()
    services.recall(proposal_id=old.pk, by=rep, at=f.NOON, reason_code=code.pk, reason="Typed it wrong.")
    draft = services.revise(proposal_id=old.pk, by=rep, at=f.NOON)
    assert 'id="said"' not in editor(client, draft).html


def test_a_purchase_that_was_sent_back_opens_with_the_reason(client, rep, boss):
    purchase = f.submitted_purchase(by=rep)
    purchase_services.send_back(purchase_id=purchase.pk, by=boss, at=f.NOON, reason="The wrong account.")
    page = editor(client, purchase)
    assert "Fin Ance sent it back" in page.html
    assert "The wrong account." in page.html


# --- Declining with notes ---


def test_finance_declines_line_by_line(client, rep, boss):
    """G-27: the page of the verb asks for notes as the one for changes does."""
    proposal = f.submitted(by=rep)
    client.force_login(boss)
    page = open_page(client, f"{proposal.get_absolute_url()}decline/")
    field = re.search(r'for="id_(note_\d+)">Onboarding \(fixed fees\)', page.html)[1]
    answer = client.post(
        f"{proposal.get_absolute_url()}decline/", page.typed | WHY | {field: "At least 700."}
    )
    assert answer.status_code == 303
    note = LineNote.objects.get()
    assert (note.decision.verb, note.line, note.text) == ("decline", NOTES[1][0], "At least 700.")
    assert "At least 700." in client.get(proposal.get_absolute_url()).content.decode()


def test_a_program_of_finance_declines_with_notes(client, rep, boss):
    """G-27"""
    proposal = f.submitted(by=rep)
    client.force_login(boss)
    note = {"line": NOTES[1][0], "label": NOTES[1][1], "text": NOTES[1][2]}
    body = WHY | {"content_hash": proposal.content_hash, "line_notes": [note]}
    url = f"/api/v1/proposals/{proposal.reference}/decline/"
    assert client.post(url, body, content_type="application/json").status_code == 202
    assert LineNote.objects.get().decision.verb == "decline"


def test_a_refused_decline_keeps_no_notes(rep, boss):
    """G-27"""
    proposal = f.submitted(by=rep)
    with pytest.raises(Invalid):
        services.decline(
            proposal_id=proposal.pk,
            by=boss,
            at=f.NOON,
            content_hash=proposal.content_hash,
            reason_code="other",
            reason="",
            line_notes=NOTES,
        )
    assert (LineNote.objects.count(), Proposal.objects.get().status) == (0, "SUBMITTED")
