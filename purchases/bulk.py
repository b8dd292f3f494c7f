"""What may be done to many deals at once, as far as purchases and proposals both take it; and releasing."""

from copy import copy

from accounts.bulk import Unchanged, change_of_owner
from audit.bulk import BulkAction
from audit.refusals import Invalid, NotAllowed, WrongStatus
from audit.roles import DECIDES, DRAFTS, Role, has_role
from purchases import drafts, figures, fresh, plan_moves, services
from purchases.models import PricePlan, Purchase
from purchases.services import refuse_own_work


class DealAction(BulkAction):
    """A change of many purchases, or of many proposals."""

    def __init__(self, model):
        self.model = model

    def load(self, keys, *, by):
        """The deals with their accounts and plans; rows of one plan share it, cards and all."""
        deals = list(self.model.objects.filter(pk__in=keys).select_related("account", "owner"))
        plans = PricePlan.objects.with_cards().in_bulk({deal.price_plan_id for deal in deals} - {None})
        for deal in deals:
            deal.price_plan = plans.get(deal.price_plan_id)
        return deals

    def note(self, row):
        account = str(row.account) if row.account else "no account yet"
        money = (
            f"{figures.amount(row.estimate, row.currency)} {row.currency}" if row.estimate is not None else ""
        )
        return " · ".join(part for part in (account, money or "value unknown", row.title) if part)


class ChangeOwner(DealAction):
    """Give deals to another owner; answers: `to`, a person."""

    title = "Change owner"
    roles = frozenset({Role.ADMINISTRATOR})

    def effect(self, row, *, by, at, to):
        return change_of_owner(row.owner, to)

    def apply(self, row, *, by, at, batch_id, to):
        drafts.hand_over(self.model, pk=row.pk, to=to, by=by, at=at, batch_id=batch_id)


class EditDrafts(DealAction):
    """One field of many drafts; answers: the field by its name."""

    roles = frozenset({Role.ADMINISTRATOR})
    field = ""

    def effect(self, row, *, by, at, **answers):
        value = answers[self.field]
        if not drafts.may_edit(row, by):
            raise NotAllowed("Only the owner or an administrator edits this draft.")
        if row.status != self.model.Status.DRAFT:
            raise WrongStatus(f"It is {row.get_status_display().lower()}; only a draft is edited.")
        self.judge(getattr(row, self.field), value)
        then = copy(row)
        setattr(then, self.field, value)
        # A draft may lack anything; what is refused is a change that makes one harder to submit.
        before = {problem.message for problem in drafts.problems(row, at=at, complete=True)}
        worse = [
            problem
            for problem in drafts.problems(then, at=at, complete=True)
            if problem.message not in before
        ]
        if worse:
            raise Invalid(worse)
        return self.words(row), self.words(then)

    def apply(self, row, *, by, at, batch_id, **answers):
        drafts.edit(
            self.model,
            pk=row.pk,
            by=by,
            at=at,
            fields={self.field: answers[self.field]},
            version=row.version,
            batch_id=batch_id,
        )

    def judge(self, now, then):
        """:raises Refusal: where the new value is no change, or not the change this action is for"""
        if now == then:
            raise Unchanged("It is like that already.")

    def words(self, row):
        """The field as a person reads it."""
        raise NotImplementedError


class ExtendValidity(EditDrafts):
    """Let drafts be valid for longer, never shorter; answers: `valid_until`, a day."""

    title = "Extend validity"
    field = "valid_until"

    def judge(self, now, then):
        if now is not None and then <= now:
            raise Unchanged(f"It is valid until {now:%-d %b %Y} already.")

    def words(self, row):
        return f"{row.valid_until:%-d %b %Y}" if row.valid_until else "not set"


class Submit(DealAction):
    """Ask finance about many drafts; only what the person drafted or owns."""

    title = "Submit"
    roles = DRAFTS

    def effect(self, row, *, by, at):
        if by.pk not in (row.owner_id, row.created_by_id):
            raise NotAllowed("Only its owner submits it.")
        if row.status != self.model.Status.DRAFT:
            raise WrongStatus(f"It is {row.get_status_display().lower()}.")
        found = drafts.problems(self.complete(row, at), at=at, complete=True)
        if found:
            raise Invalid(found)
        # Nobody looks at a hundred prices at once: such a draft is submitted from its own page (G-15).
        plan_moves.refuse_unseen(row, seen=None)
        return row.get_status_display(), self.model.Status.SUBMITTED.label

    def complete(self, row, at):
        """The draft as it would be submitted."""
        return row

    def apply(self, row, *, by, at, batch_id):
        services.submit(purchase_id=row.pk, by=by, at=at, version=row.version, batch_id=batch_id)


class Decision(DealAction):
    """A yes or no to many deals that wait for one; nobody decides their own (G-22)."""

    roles = DECIDES
    danger = True

    def load(self, keys, *, by):
        deals = super().load(keys, by=by)
        editors = self.model.editors.through.objects.filter(user=by)
        link = self.model.editors.field.m2m_column_name()
        edited = set(editors.filter(**{f"{link}__in": keys}).values_list(link, flat=True))
        for deal in deals:
            deal.edited_by_decider = deal.pk in edited
        return deals

    def judge(self, row, by):
        """:raises Refusal: what keeps this person from deciding this deal"""
        authors = (row.owner_id, row.created_by_id, row.last_edited_by_id, row.submitted_by_id)
        # Only what is theirs costs the service's question for every editor.
        if row.edited_by_decider or by.pk in authors or not has_role(by, *DECIDES):
            refuse_own_work(row, by)
        if row.status != self.model.Status.SUBMITTED:
            raise WrongStatus(f"It is {row.get_status_display().lower()}.")


class Release(Decision):
    """Let purchases go to Togai, where they move money at once."""

    title = "Release"
    needs_sign_in = True

    def effect(self, row, *, by, at, signed_in_at=None):
        self.judge(row, by)
        found = drafts.problems(row, at=at, complete=True)
        if found:
            raise Invalid(found)
        fresh.refuse_without(row, signed_in_at=signed_in_at, at=at)
        return row.get_status_display(), Purchase.Status.SENT.label

    def apply(self, row, *, by, at, batch_id, signed_in_at=None):
        services.release(
            purchase_id=row.pk,
            by=by,
            at=at,
            content_hash=row.content_hash,
            signed_in_at=signed_in_at,
            batch_id=batch_id,
        )


class SendBack(Decision):
    """Give purchases back to their authors; answers: `reason`."""

    title = "Send back"

    def effect(self, row, *, by, at, reason):
        self.judge(row, by)
        return row.get_status_display(), Purchase.Status.DRAFT.label

    def apply(self, row, *, by, at, batch_id, reason):
        services.send_back(purchase_id=row.pk, by=by, at=at, reason=reason, batch_id=batch_id)
