"""Addresses of proposals and approvals: plural noun, key, verb."""

from django.urls import path, register_converter

from proposals.views import approvals, compare, crosscheck, drift, editor, notices, offers, pages, verbs


class Reference:
    """A number as people quote it, P-000123: one address per deal, so nothing but the canonical form."""

    regex = r"P-[0-9]{6,9}"

    def to_python(self, value):
        number = int(value[2:])
        if value != self.to_url(number):
            raise ValueError("A number longer than six digits has no leading zeros.")
        return number

    def to_url(self, value):
        return value if isinstance(value, str) else f"P-{value:06d}"


register_converter(Reference, "proposal")

app_name = "proposals"

urlpatterns = [
    path("proposals/", pages.index, name="list"),
    path("proposals/new/", editor.new, name="new"),
    path("proposals/new/start/", editor.start, name="start"),
    path("proposals/estimate/", editor.estimate, name="estimate"),
    path("proposals/<proposal:number>/", pages.detail, name="detail"),
    path("proposals/<proposal:number>/edit/", editor.edit, name="edit"),
    path("proposals/<proposal:number>/r<int:revision>/", pages.revision, name="revision"),
    path("proposals/<proposal:number>/compare/", compare.compare, name="compare"),
    path("proposals/<proposal:number>/submit/", verbs.submit, name="submit"),
    path("proposals/<proposal:number>/recall/", verbs.recall, name="recall"),
    path("proposals/<proposal:number>/revise/", verbs.revise, name="revise"),
    path("proposals/<proposal:number>/clone/", verbs.clone, name="clone"),
    path("proposals/<proposal:number>/save-as-template/", verbs.save_as_template, name="save_as_template"),
    path("proposals/<proposal:number>/approve/", verbs.approve, name="approve"),
    path("proposals/<proposal:number>/decline/", verbs.decline, name="decline"),
    path("proposals/<proposal:number>/request-changes/", verbs.request_changes, name="request_changes"),
    path("proposals/<proposal:number>/check/", crosscheck.check, name="check"),
    path("proposals/<proposal:number>/differences/<int:drift>/accept/", drift.accept, name="accept_theirs"),
    path("proposals/<proposal:number>/differences/<int:drift>/revise/", drift.revise, name="revise_theirs"),
    path("proposals/<proposal:number>/differences/<int:drift>/ignore/", drift.ignore, name="ignore_theirs"),
    path("proposals/<proposal:number>/r<int:revision>/pdf/", offers.pdf, name="pdf"),
    path("proposals/<proposal:number>/links/", offers.make_link, name="make_link"),
    path("proposals/<proposal:number>/links/<int:link>/revoke/", offers.revoke_link, name="revoke_link"),
    path("offers/<str:token>/", offers.customer_page, name="customer_page"),
    path("offers/<str:token>/pdf/", offers.customer_pdf, name="customer_pdf"),
    path("approvals/", approvals.inbox, name="approvals"),
    path("notices/", notices.index, name="notices"),
    path("notices/read/", notices.read_all, name="notices_read"),
    path("notices/<int:notice>/open/", notices.open_proposal, name="notice_open"),
    path("notices/<int:notice>/read/", notices.read, name="notice_read"),
]
