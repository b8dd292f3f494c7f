"""
The rows that the matrix asks about, and how each question is put: address, body, content type.

Every text that a person or Togai may choose is hostile (reliability.md 4.2, 48), so each page also shows
whether it keeps such text inert. Bodies are valid: an answer speaks of permission, not of typing.
"""

import json
from datetime import timedelta
from functools import cached_property
from uuid import uuid4

from django.contrib import admin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.auth import get_user_model
from django.contrib.contenttypes.models import ContentType
from django.db import connection
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django_q.models import Failure, Schedule
from knox.models import AuthToken

from accounts.models import Account, Customer, PullProgress, PullRun
from audit.models import Denial
from audit.roles import Role
from proposals import customer_links
from proposals import services as proposals
from proposals.models import Notice, Proposal
from purchases import deal_templates
from purchases import services as purchases
from purchases.models import Feature, Purchase
from tests.factories import PASSWORD, AccountFactory, PricePlanFactory, administrator
from tests.permissions import matrix
from tests.permissions.callers import signed_up
from tests.permissions.pages import Page
from togai.models import Delivery, DeliveryAttempt, Drift, Link, RemoteSnapshot, Resolution

HOSTILE = "\"'><script>alert(1)</script><img src=x onerror=alert(1)></title></textarea>{{7*7}}{% load x %}"
LINK = "javascript:alert(1)"
REASON = f"Not at this price. {HOSTILE}"
# What only the owner's rows hold; whoever may not see those rows meets none of it anywhere (S-07).
SECRET = "osprey"


class World:
    """
    One office with everybody and everything in it.

    :ivar callers: `Caller` by column
    :ivar deals: proposals and purchases by (kind, word, author's column)
    """

    def __init__(self):
        self.at = timezone.now()
        self.callers = signed_up()
        self.plan = PricePlanFactory(name=f"Plan {HOSTILE}"[:50], description=HOSTILE)
        self.accounts = {
            "SO": self._account("SO", SECRET, net_term_days=30),
            "SX": self._account("SX", "wren"),
        }
        self.deals, self.deliveries = {}, {}
        for author in ("SO", "FA"):
            self._propose(author)
            self._buy(author)
        self._propose_draft("SX", "wren")
        self.notices = self._tell()
        self._deliver()
        self.template = self._keep()
        self.differences = {}
        self._differ()
        self.links, self.tokens = {}, {}
        self._hand_out()
        self._run()
        self.token_of_rep = AuthToken.objects.filter(user=self.user("SO")).get()
        self._forms = {}

    def user(self, caller):
        return self.callers[caller].user

    # --- Putting a question ---

    def ask(self, cell, **options):
        """The answer to a cell, by a fresh client; `options` go to `django.test.Client`."""
        client = self.callers[cell.caller].client(**options)
        return send(client, cell.method, self.path(cell), self.body(cell))

    def path(self, cell):
        """The address of a cell's object."""
        if cell.name.startswith("/"):
            return self._path_without_name(cell)
        wanted = self._keys(cell)
        try:
            return reverse(cell.name, kwargs=wanted)
        except NoReverseMatch as error:
            raise LookupError(f"objects.py knows no object for {cell.name} “{cell.thing}”.") from error

    def body(self, cell):
        """What is posted: a dict for a form, text for JSON, None for nothing."""
        is_api = cell.name.startswith("api:")
        if cell.name == "admin:autocomplete":
            return {"app_label": "accounts", "model_name": "account", "field_name": "owner", "term": "K"}
        if cell.method == "GET":
            return {}
        given = self._given(cell)
        return json.dumps(given) if is_api else given

    def deal(self, cell):
        """The proposal or purchase that a cell is about: for FA one of FA's own, for all others the rep's."""
        kind = "purchase" if "purchase" in cell.name else "proposal"
        return self.deals[kind, cell.thing, "FA" if cell.caller == "FA" else "SO"]

    def form(self, path, *, reader, action=None):
        """What a browser of `reader` would post from the page at `path`; {} where they get no page."""
        key = path, reader, action
        if key not in self._forms:
            answer = self.callers[reader].client().get(path)
            form = Page(answer.content.decode()).form(action) if answer.status_code == 200 else None
            self._forms[key] = dict(form.data) if form else {}
        return dict(self._forms[key])

    # --- What stays as it is ---

    @cached_property
    def before(self):
        """Every row of every table before anything was asked, by table."""
        return contents()

    # --- Addresses ---

    def _keys(self, cell):
        name, route = cell.name, matrix.routes()[cell.name]
        if name.startswith("admin:"):
            return self._admin_keys(cell, route)
        if "notice>" in route:
            return {"notice": self.notices["FA" if cell.caller == "FA" else "SO"].pk}
        if "number>" in route:
            deal = self.deal(cell)
            keys = {"number": deal.reference}
            if "drift>" in route:
                keys["drift"] = self.differences[deal._meta.label, deal.pk].pk
            if "link>" in route:
                keys["link"] = self.links[deal.pk].pk
            return keys | ({"revision": deal.revision} if "revision>" in route else {})
        if "reference>" in route:
            return {"reference": self.deal(cell).reference}
        if "delivery_id" in route:
            return {"delivery_id": self.deliveries[cell.thing].pk}
        if "token>" in route:
            return {"token": self.tokens[cell.thing]}
        if "digest" in route:
            return {"digest": self.token_of_rep.digest}
        if "plan" in name:
            return {"togai_id": self.plan.togai_id} if "togai_id" in route else {}
        keys = {"togai_id": self.accounts["SO"].togai_id} if "togai_id" in route else {}
        return keys | ({"part": "wallet"} if "part>" in route else {})

    def _admin_keys(self, cell, route):
        if "content_type_id" in route:
            account = ContentType.objects.get_for_model(Account)
            return {"content_type_id": account.pk, "object_id": self.accounts["SO"].pk}
        if "app_label" in route:
            return {"app_label": "accounts"}
        if "object_id" in route:
            return {"object_id": str(self.admin_row(cell).pk)}
        return {"user_id": self.admin_row(cell).pk} if "user_id" in route else {}

    def admin_row(self, cell):
        """The row that a page of the administration is about: the rep's, or the first there is."""
        model = model_of(cell.name)
        if model in (Proposal, Purchase):
            return self.deal(cell)
        if model is Account:
            return self.accounts["SO"]
        if model is get_user_model():
            return self.user(cell.caller if cell.thing == "self" else "SO") or self.user("SO")
        if model is Delivery:
            return self.deliveries["unknown"]
        row = model._default_manager.order_by("pk").first()
        if row is None:
            raise LookupError(f"objects.py makes no {model._meta.verbose_name}, which {cell.name} shows.")
        return row

    def _path_without_name(self, cell):
        if "<path:object_id>" in cell.name:
            return cell.name.replace("<path:object_id>", str(self.admin_row(cell).pk))
        raise LookupError(f"objects.py knows no object for {cell.name}.")

    # --- Bodies ---

    def _given(self, cell):
        if cell.how == "empty":
            return {}
        if cell.name.startswith("admin:") or cell.name.startswith("/admin/"):
            return self._admin_given(cell)
        verb = cell.name.partition(":")[2] or cell.name
        make = getattr(self, f"_{verb.replace('-', '_')}_given", None)
        if make is not None:
            return make(cell)
        if cell.name.startswith("api:"):
            verb = verb.partition("-")[2]
        return self._deal_given(cell, verb.replace("-", "_"))

    def _deal_given(self, cell, verb):
        route = matrix.routes()[cell.name]
        if verb not in _VERBS or not ("number>" in route or "reference>" in route):
            return {}
        deal = self.deal(cell)
        old = cell.how == "stale"
        hash_ = {"content_hash": "0" * 64 if old else deal.content_hash}
        is_page = not cell.name.startswith("api:")
        seen = hash_ | ({"revision": deal.revision} if is_page and isinstance(deal, Proposal) else {})
        version = {"version": deal.version - 1 if old else deal.version}
        why = {"reason": REASON}
        if isinstance(deal, Proposal):
            why["reason_code"] = "other"
        return {
            "submit": version,
            "recall": why,
            "approve": seen,
            "decline": seen | why,
            "request_changes": seen | why,
            "release": hash_,
            "send_back": why,
            "revise": {},
            "detail": version | {"title": "A better title"},
        }[verb]

    def _edit_given(self, cell):
        if cell.name.startswith("accounts:"):
            given = self.form(self.path(cell), reader="AD", action="")
            version = int(given["version"]) - (cell.how == "stale")
            return given | {"name": "Osprey Holding", "version": version}
        deal = self.deal(cell)
        given = self.form(self.path(cell), reader="AD")
        version = deal.version - (cell.how == "stale")
        return given | {"do": "save", "title": "A better title", "version": version, "read": version}

    def _new_given(self, cell):
        mine = self.accounts["SX" if cell.caller in ("SX", "MX") else "SO"]
        given = self.form(f"{self.path(cell)}?account={mine.togai_id}", reader="AD")
        return given | {"do": "save", "title": "A first title"}

    def _start_given(self, cell):
        # The account is theirs everywhere: what is asked about is the deal.
        mine = self.accounts["SX" if cell.caller in ("SX", "MX") else "SO"]
        given = {"account": mine.togai_id, "form_token": str(uuid4())}
        source = f"template:{self.template.pk}" if cell.how == "template" else f"deal:{self.deal(cell).pk}"
        return given | {"from": source}

    def _save_as_template_given(self, cell):
        return {"name": f"Kept {HOSTILE}"[:80]}

    def _estimate_given(self, cell):
        kind = cell.name.partition(":")[0]
        return self.form(f"/{kind}/new/?account={self.accounts['SO'].togai_id}", reader="AD")

    def _notices_read_given(self, cell):
        return {"newest": max(notice.pk for notice in self.notices.values())}

    def _accept_theirs_given(self, cell):
        return {"reason": REASON}

    _ignore_theirs_given = _revise_theirs_given = _accept_theirs_given

    def _hand_over_given(self, cell):
        return {"to": self.user("SX").pk}

    def _proposal_list_given(self, cell):
        mine = self.accounts["SX" if cell.caller in ("SX", "MX") else "SO"]
        return {
            "account": mine.togai_id,
            "type": "ENTITLEMENT_GRANT",
            "price_plan": self.plan.togai_id,
            "quantity": 2,
            "title": "By a program",
        }

    _purchase_list_given = _proposal_list_given

    def _pause_given(self, cell):
        return {"reason": REASON[:300], "password": PASSWORD}

    _resume_given = _sign_restore_given = _pause_given

    def _abandon_given(self, cell):
        return {"reason": REASON[:300], "remote_id": "purchase.1"}

    _declare_absent_given = _link_given = _abandon_given

    def _confirm_given(self, cell):
        return {"resolution": self.resolution.pk + (cell.how == "stale")}

    _drop_given = _confirm_given

    def _make_link_given(self, cell):
        return {"days": 30}

    def _tokens_given(self, cell):
        return {"days": 1, "password": PASSWORD}

    def _login_given(self, cell):
        return {"username": self.user("SO").username, "password": PASSWORD}

    def _password_change_given(self, cell):
        new = "a longer horse, a better battery"
        return {"old_password": PASSWORD, "new_password1": new, "new_password2": new}

    def _admin_given(self, cell):
        page = cell.name.rpartition("_")[2]
        if page == "changelist":
            rows = {ACTION_CHECKBOX_NAME: [self.admin_row(cell).pk]}
            return rows | {"action": cell.how} if cell.how else {}
        if page == "delete":
            return {"post": "yes"}
        if page not in ("add", "change", "password"):
            return {}
        given = self.form(self.path(cell), reader="SU" if cell.caller == "SU" else "AD")
        if cell.how == "roles":
            given["roles"] = [Role.CFO.value]
        if cell.how == "stale":
            given["read_version"] = self.deal(cell).version - 1
        return given | _ANSWERS.get(cell.name, {})

    # --- Making the rows ---

    def _account(self, owner, word, **fields):
        return AccountFactory(
            togai_id=f"{word}.foods",
            name=f"{word.title()} Foods {HOSTILE}",
            customer_name=f"{word.title()} {HOSTILE}",
            aliases=[f"{word}-alias {HOSTILE}"],
            tags=[HOSTILE[:50], LINK],
            email=f"billing@{word}.example",
            address={"line1": HOSTILE, "country": "DE"},
            metadata={HOSTILE[:20]: LINK},
            owner=self.user(owner),
            **fields,
        )

    def _fields(self, word):
        account = self.accounts["SX" if word == "wren" else "SO"]
        return {
            "account": account,
            "type": "ENTITLEMENT_GRANT",
            "price_plan": self.plan,
            "quantity": 2,
            "title": f"{word.title()} {HOSTILE}"[:120],
            "internal_note": f"{word.title()} note {LINK} {HOSTILE}",
        }

    def _propose_draft(self, author, word):
        by, at = self.user(author), self.at
        fields = self._fields(word) | {"payment_mode": "PREPAID", "quantity": 1}
        draft = proposals.create(by=by, at=at, fields=fields)
        # Twice written, so that a page of its first version is an old one.
        return proposals.edit(proposal_id=draft.pk, by=by, at=at, fields={"quantity": 2}, version=1)

    def _propose(self, author):
        by, at, decider = self.user(author), self.at, self.user("FN")

        def draft():
            return self._propose_draft(author, SECRET)

        def submitted():
            return proposals.submit(proposal_id=draft().pk, by=by, at=at)

        def decided(verb, **why):
            waiting = submitted()
            return verb(proposal_id=waiting.pk, by=decider, at=at, content_hash=waiting.content_hash, **why)

        made = {
            "draft": draft(),
            "submitted": submitted(),
            "approved": decided(proposals.approve),
            "declined": decided(proposals.decline, reason_code="other", reason=REASON),
            "returned": decided(
                proposals.request_changes,
                reason_code="other",
                reason=REASON,
                line_notes=[("quantity", "Quantity", HOSTILE)],
            ),
            "refused": submitted(),
            "old": decided(proposals.decline, reason_code="other", reason=REASON),
        }
        refuse(made["refused"])
        proposals.revise(proposal_id=made["old"].pk, by=by, at=at)
        for word, proposal in made.items():
            self.deals["proposal", word, author] = Proposal.objects.get(pk=proposal.pk)

    def _buy(self, author):
        by, at = self.user(author), self.at

        def draft():
            made = purchases.create(by=by, at=at, fields=self._fields(SECRET) | {"quantity": 1})
            return purchases.edit(purchase_id=made.pk, by=by, at=at, fields={"quantity": 2}, version=1)

        def submitted():
            return purchases.submit(purchase_id=draft().pk, by=by, at=at)

        def sent():
            waiting = submitted()
            return purchases.release(
                purchase_id=waiting.pk, by=self.user("FN"), at=at, content_hash=waiting.content_hash
            )

        made = {"draft": draft(), "submitted": submitted(), "sent": sent(), "refused": sent()}
        refuse(made["refused"])
        for word, purchase in made.items():
            self.deals["purchase", word, author] = Purchase.objects.get(pk=purchase.pk)

    def _tell(self):
        """One notice for each person, about the newest proposal that they may see; by caller."""
        return {
            name: Notice.objects.create(
                person=caller.user,
                proposal=Proposal.objects.visible_to(caller.user).live().latest("pk"),
                kind=Notice.Kind.RECALLED,
                by=self.user("SO"),
                created_at=self.at,
            )
            for name, caller in self.callers.items()
            if caller.user and not caller.token
        }

    def _deliver(self):
        later = self.at + timedelta(hours=1)
        states = {
            "unknown": ("approved", {"state": "UNKNOWN"}),
            "held": ("declined", {"state": "HELD", "held_because": HOSTILE}),
            "waiting": ("submitted", {"state": "NOT_SENT"}),
            "stuck": ("returned", {"state": "NEEDS_HUMAN"}),
            "asked": ("old", {"state": "NEEDS_HUMAN"}),
        }
        for word, (deal, state) in states.items():
            creates = Delivery.objects.of(self.deals["proposal", deal, "SO"]).filter(
                kind=Delivery.Kind.CREATE_PROPOSAL
            )
            creates.update(next_at=later, last_message=HOSTILE, **state)
            self.deliveries[word] = creates.get()
        self.resolution = Resolution.objects.create(
            delivery=self.deliveries["asked"],
            verb=Resolution.Verb.ABANDON,
            reason=REASON,
            asked_by=administrator(first_name=HOSTILE[:100]),
            asked_at=self.at,
        )

    def _differ(self):
        """One difference at Togai each: of a returned proposal it is settled, of the others it is open."""
        for (kind, word, _), deal in self.deals.items():
            if (kind, word) not in _DIFFERING:
                continue
            settled = {"settled_at": self.at, "how": Drift.How.IGNORED, "reason": REASON}
            self.differences[deal._meta.label, deal.pk] = Drift.objects.create(
                subject_type=deal._meta.label,
                subject_id=str(deal.pk),
                field=f"fixedFeeRateCards:{HOSTILE}"[:200],
                ours=HOSTILE,
                theirs=LINK,
                first_seen_at=self.at,
                last_seen_at=self.at,
                **(settled if word == "returned" else {}),
            )
            if word != "returned":
                type(deal).objects.filter(pk=deal.pk).update(togai_problem=f"It differs. {HOSTILE}")

    def _hand_out(self):
        """Links for the customer: one that works to each approved proposal, and one that was revoked."""
        for author in ("FA", "SO"):
            approved = self.deals["proposal", "approved", author]
            make = {"proposal_id": approved.pk, "by": self.user(author), "at": self.at}
            self.links[approved.pk], self.tokens["open"] = customer_links.make(**make)
        revoked, self.tokens["ended"] = customer_links.make(**make)
        customer_links.revoke(link_id=revoked.pk, by=self.user("SO"), at=self.at)

    def _keep(self):
        """A template, which everybody who drafts may read: nothing of the owner's is in it but the terms."""
        return deal_templates.save_from(
            self.deals["proposal", "approved", "SO"],
            by=self.user("AD"),
            at=self.at,
            name=HOSTILE[:80],
            description=HOSTILE,
        )

    def _run(self):
        """What is left behind by the work in the background."""
        Feature.objects.create(
            togai_id="feature.calls", name=HOSTILE, display_name=HOSTILE, pulled_at=self.at
        )
        Customer.objects.create(togai_id="k-1", name=HOSTILE, pulled_at=self.at)
        PullProgress.objects.create(name="accounts", next_token=HOSTILE, read=7, saved_at=self.at)
        PullRun.objects.create(
            name=PullRun.Name.ACCOUNTS,
            state=PullRun.State.STOPPED,
            asked_by=self.user("SU"),
            asked_at=self.at,
            started_at=self.at,
            moved_at=self.at,
            ended_at=self.at,
            skipped=1,
            problems=[HOSTILE],
            why=HOSTILE[:300],
        )
        Link.objects.create(
            unreachable_since=self.at,
            failures=2,
            why=f"It said {HOSTILE}",
            paused_at=self.at,
            paused_by=self.user("SU"),
            paused_because=HOSTILE,
            look_only_since=self.at,
            look_only_because=HOSTILE,
        )
        approved = self.deals["proposal", "approved", "SO"]
        RemoteSnapshot.objects.create(
            remote_id=f"proposal.{SECRET}{HOSTILE}",
            kind=Delivery.Kind.CREATE_PROPOSAL,
            subject_type="proposals.Proposal",
            subject_id=str(approved.pk),
            status="ON_ICE",
            raw=json.dumps({"id": HOSTILE, "status": "ON_ICE"}),
            fetched_at=self.at,
            last_error=HOSTILE,
        )
        DeliveryAttempt.objects.create(
            delivery=self.deliveries["unknown"],
            number=1,
            purpose=DeliveryAttempt.Purpose.SEND,
            claim_token=uuid4(),
            started_at=self.at,
            finished_at=self.at,
            outcome="unknown",
            learned=HOSTILE,
            http_status=502,
            response=f"<html>{HOSTILE}",
            worker="one",
            release="test",
        )
        Denial.objects.create(
            at=self.at, actor=self.user("SO"), channel="web", method="GET", path=f"/{HOSTILE}", status=404
        )
        Schedule.objects.get_or_create(name="Work", defaults={"func": "togai.tasks.work"})
        Failure.objects.create(
            id=uuid4().hex,
            name=HOSTILE[:100],
            func="togai.tasks.work",
            started=self.at,
            # A worker that is silent for three minutes is a broken product, and the cells take longer.
            stopped=self.at + timedelta(hours=1),
            success=False,
            result=HOSTILE,
        )


# What is typed into a page of the administration, beside what it already says.
_ANSWERS = {
    "admin:auth_user_add": {
        "username": "new.colleague",
        "first_name": "New",
        "last_name": "Colleague",
        "email": "new@desk.example",
        "roles": [Role.REP.value],
        "own_password": PASSWORD,
    },
    "admin:auth_user_change": {"last_name": "Changed", "own_password": PASSWORD},
    "admin:auth_user_password": {"own_password": PASSWORD},
    "admin:accounts_team_add": {"name": "East"},
    "admin:accounts_team_change": {"name": "Far East"},
    "admin:proposals_reasoncode_add": {"code": "new", "label": "New", "position": 99, "for_decline": "on"},
    "admin:proposals_reasoncode_change": {"label": "Changed"},
    "admin:proposals_proposal_change": {"title": "A better title"},
    "admin:purchases_dealtemplate_change": {"name": "Changed"},
    "admin:purchases_purchase_change": {"title": "A better title"},
}
_DIFFERING = {
    ("proposal", "submitted"),
    ("proposal", "approved"),
    ("proposal", "declined"),
    ("proposal", "returned"),
    ("purchase", "sent"),
}
_VERBS = {
    "submit",
    "recall",
    "approve",
    "decline",
    "request_changes",
    "release",
    "send_back",
    "revise",
    "detail",
}


def send(client, method, path, body=None):
    """One request: a dict goes as a form (a query on GET and HEAD), text as JSON."""
    if method in ("GET", "HEAD"):
        return getattr(client, method.lower())(path, body or {})
    if method == "POST" and not isinstance(body, str):
        return client.post(path, body or {})
    return client.generic(method, path, body if isinstance(body, str) else "", "application/json")


def refuse(deal):
    """What remains when Togai has refused a deal's create, with a message of its own."""
    type(deal).objects.filter(pk=deal.pk).update(togai_refusal=f"Not like this. {HOSTILE}")
    Delivery.objects.of(deal).update(state=Delivery.State.REJECTED, last_message=HOSTILE)


def model_of(name):
    """The model of an admin page, from its name."""
    words = name.removeprefix("admin:").removeprefix("/admin/").replace("/", "_")
    for model in admin.site._registry:
        if words.startswith(f"{model._meta.app_label}_{model._meta.model_name}_"):
            return model
    raise LookupError(f"{name} is no page of a model.")


def contents(without=("django_session", "audit_denial")):
    """Every row of every table, to tell whether anything changed at all."""
    # SQLite's own index of the search follows the table of accounts.
    tables = [
        name
        for name in connection.introspection.table_names()
        if name not in without and not name.startswith("accounts_search")
    ]
    found = {}
    with connection.cursor() as cursor:
        for table in tables:
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")
            found[table] = sorted(map(repr, cursor.fetchall()))
    return found
