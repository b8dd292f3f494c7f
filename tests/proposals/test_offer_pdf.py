"""The PDF: what the customer gets of an approved revision, an internal draft of any other."""

import sys
from datetime import timedelta

import pytest
from django.utils import timezone

from audit.roles import Role
from proposals import customer_links, offer, offer_pdf
from proposals.models import Proposal
from tests.factories import NOON, ONBOARDING, PricePlanFactory, draft, person, rep, submitted
from tests.permissions.pages import Page
from tests.proposals.offers import approved, pdf_text
from tests.proposals.test_offer import html_of

pytestmark = pytest.mark.django_db


def download(client, proposal, status=200):
    answer = client.get(f"/proposals/{proposal.reference}/r{proposal.revision}/pdf/")
    assert answer.status_code == status
    return answer


def test_an_approved_revision_is_downloaded_as_the_customer_gets_it(client):
    """G-39: no watermark, a name to file it under, in nobody's cache."""
    by = rep()
    client.force_login(by)
    answer = download(client, proposal := approved(by=by))
    assert answer["Content-Type"] == "application/pdf"
    assert answer["Content-Disposition"] == f'attachment; filename="{proposal.reference}-r1.pdf"'
    assert "no-store" in answer["Cache-Control"]
    text = pdf_text(answer.content)
    assert f"Offer {proposal.reference} r1" in text
    assert "Page 1 of 1" in text
    assert "Internal draft" not in text


@pytest.mark.parametrize("make", [draft, submitted], ids=["draft", "submitted"])
def test_anything_else_is_an_internal_draft(make, client):
    """G-39, P-30: watermarked on every page, said in words, and in the name of the file."""
    by = rep()
    client.force_login(by)
    answer = download(client, proposal := make(by=by))
    assert answer["Content-Disposition"] == (
        f'attachment; filename="{proposal.reference}-r1-internal-draft.pdf"'
    )
    text = pdf_text(answer.content)
    assert "Not approved, and not for the customer." in text
    assert text.count("Internal draft") >= 3


def test_what_togai_refused_after_its_approval_is_no_offer(client):
    """G-39: nothing exists there, so nobody may be promised it."""
    by = rep()
    client.force_login(by)
    proposal = approved(by=by)
    Proposal.objects.filter(pk=proposal.pk).update(togai_refusal="Not like this.")
    assert "Internal draft" in pdf_text(download(client, proposal).content)


def test_an_older_revision_has_a_pdf_of_its_own_and_a_strangers_deal_has_none(client):
    """S-01: read where the proposal may be read, by whoever may read it."""
    proposal = approved()
    client.force_login(person(Role.AUDITOR))
    download(client, proposal)
    assert client.get(f"/proposals/{proposal.reference}/r2/pdf/").status_code == 404
    client.force_login(rep())
    download(client, proposal, status=404)


def test_the_same_offer_is_the_same_file():
    """G-39: byte for byte, whenever it is made; the days in it are the deal's own."""
    html = html_of(approved(), on_paper=True)
    assert offer_pdf.pdf(html) == offer_pdf.pdf(html)
    assert "2030-01-10" in pdf_text(offer_pdf.pdf(html))


def test_a_long_offer_goes_over_several_pages_with_their_numbers():
    """G-39: the watermark on each of them, too."""
    fees = [
        ("fixedFeeRateCards", f"addon.{n}", ONBOARDING | {"id": f"addon.{n}", "displayName": f"Service {n}"})
        for n in range(45)
    ]
    proposal = approved(price_plan=PricePlanFactory(cards=fees))
    text = pdf_text(offer_pdf.pdf(html_of(proposal, on_paper=True)))
    assert "Page 2 of 3" in text or "Page 2 of 2" in text
    assert all(f"Service {n}" in text for n in range(45))


def test_an_endless_offer_is_refused_before_anybody_waits_for_it(client, monkeypatch):
    """G-39: with words that say what to do instead."""
    monkeypatch.setattr(offer_pdf, "LONGEST_HTML", 1000)
    by = rep()
    client.force_login(by)
    answer = download(client, approved(by=by), status=503)
    assert "too long for a PDF" in answer.content.decode()


class WithoutPango:
    """Finds WeasyPrint as a machine does that lacks the library below it."""

    def find_spec(self, name, path=None, target=None):
        if name == "weasyprint":
            raise OSError("cannot load library 'libpango-1.0-0': not found\n  and more")


def test_a_machine_without_pango_says_so_to_the_person_and_to_the_operator(client, monkeypatch, caplog):
    """G-39: one sentence each and no stack trace; everything else goes on."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "weasyprint"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [WithoutPango(), *sys.meta_path])
    by = rep()
    client.force_login(by)
    answer = download(client, approved(by=by), status=503)
    assert "No PDF can be made at the moment" in answer.content.decode()
    (line,) = [line for line in caplog.records if line.getMessage() == "pdf.unavailable"]
    assert line.why == "cannot load library 'libpango-1.0-0': not found"
    assert line.exc_info is None


def test_a_customer_is_told_that_the_page_shows_the_same(client, monkeypatch):
    """G-39: without a word about our machines, and with the way back."""
    proposal = approved(at=timezone.now())
    _, token = customer_links.make(proposal_id=proposal.pk, by=proposal.owner, at=timezone.now())
    monkeypatch.setattr(sys, "meta_path", [WithoutPango(), *sys.meta_path])
    for name in [name for name in sys.modules if name.partition(".")[0] == "weasyprint"]:
        monkeypatch.delitem(sys.modules, name)
    answer = client.get(f"/offers/{token}/pdf/")
    assert answer.status_code == 503
    page = Page(answer.content.decode())
    assert (page.faults, page.links) == ([], ["../"])
    assert "Pango" not in page.words
    assert answer["Referrer-Policy"] == "no-referrer"


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "http://127.0.0.1:9/x.png",
        "https://elsewhere.example/x.css",
        "data:text/css,a{}",
        "https://deal-desk.invalid/etc/passwd",
        "https://deal-desk.invalid/static/../config/settings.py",
        "https://deal-desk.invalid/static/%2e%2e/config/settings.py",
        "https://deal-desk.invalid/static//etc/passwd",
        "https://deal-desk.invalid/static/css/nothing.css",
        "https://elsewhere.example/static/css/offer.css",
    ],
)
def test_nothing_but_our_static_files_gets_into_a_pdf(url):
    """S-21: whatever address stands in what somebody wrote."""
    offer_pdf._weasyprint()
    with pytest.raises(ValueError, match="Only our own static files"):
        offer_pdf._fetcher().fetch(url)


def test_our_own_style_does():
    """The refusals above are not for want of anything to serve."""
    offer_pdf._weasyprint()
    found = offer_pdf._fetcher().fetch("https://deal-desk.invalid/static/css/offer.css")
    assert found.content_type == "text/css"
    assert b"@page" in found.read()


def test_the_day_on_an_offer_is_that_of_its_approval_where_the_office_is():
    """G-39: not of the download."""
    late = NOON + timedelta(hours=11, minutes=30)
    assert offer.of(approved(at=late)).dated.isoformat() == "2030-01-11"
