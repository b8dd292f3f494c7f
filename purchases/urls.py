"""Addresses of purchases and price plans: plural noun, key, verb."""

from django.urls import path, register_converter

from purchases.views import crosscheck, drift, editor, live, pages, plans, pull, verbs


class Reference:
    """A number as people quote it, D-000042: one address per purchase, so only the canonical form."""

    regex = r"D-[0-9]{6,9}"

    def to_python(self, value):
        number = int(value[2:])
        if value != self.to_url(number):
            raise ValueError("A number longer than six digits has no leading zeros.")
        return number

    def to_url(self, value):
        return value if isinstance(value, str) else f"D-{value:06d}"


register_converter(Reference, "purchase")

app_name = "purchases"

urlpatterns = [
    path("purchases/", pages.index, name="list"),
    path("purchases/new/", editor.new, name="new"),
    path("purchases/new/start/", editor.start, name="start"),
    path("purchases/estimate/", editor.estimate, name="estimate"),
    path("purchases/<purchase:number>/", pages.detail, name="detail"),
    path("purchases/<purchase:number>/edit/", editor.edit, name="edit"),
    path("purchases/<purchase:number>/submit/", verbs.submit, name="submit"),
    path("purchases/<purchase:number>/recall/", verbs.recall, name="recall"),
    path("purchases/<purchase:number>/release/", verbs.release, name="release"),
    path("purchases/<purchase:number>/send-back/", verbs.send_back, name="send_back"),
    path("purchases/<purchase:number>/revise/", verbs.revise, name="revise"),
    path("purchases/<purchase:number>/clone/", verbs.clone, name="clone"),
    path("purchases/<purchase:number>/check/", crosscheck.check, name="check"),
    path("purchases/<purchase:number>/differences/<int:drift>/accept/", drift.accept, name="accept_theirs"),
    path("purchases/<purchase:number>/differences/<int:drift>/ignore/", drift.ignore, name="ignore_theirs"),
    # What one of these brings stands on this floor; the list of deliveries above it does not know of it.
    path("deliveries/pull/", pull.index, name="pull"),
    path("deliveries/pull/now/", pull.now, name="pull_now"),
    path("deliveries/pull/start-over/", pull.anew, name="pull_anew"),
    path("plans/", plans.index, name="plans"),
    path("plans/<path:togai_id>/", plans.detail, name="plan"),
    # Here and not among the accounts: it names features and plans, which accounts do not know.
    path("accounts/<path:togai_id>/live/", live.account_live, name="account_live"),
    path("accounts/<path:togai_id>/live/<slug:part>/", live.account_live_part, name="account_live_part"),
]
