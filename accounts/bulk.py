"""What may be done to many accounts at once: another owner, tags, net term days."""

from pydantic import ValidationError

from accounts import services
from accounts.models import Account
from accounts.outcome import asked_for
from audit.bulk import BulkAction
from audit.refusals import Invalid, Refusal, WrongStatus
from audit.roles import Role
from togai import wire
from togai.models import Delivery

ADD, REMOVE, REPLACE = "add", "remove", "replace"


class Unchanged(Refusal):
    """The row already is as it was meant to become."""


class AccountAction(BulkAction):
    """A change of many accounts; administrators alone make one."""

    model = Account
    roles = frozenset({Role.ADMINISTRATOR})

    def load(self, keys, *, by):
        return Account.objects.filter(pk__in=keys).select_related("owner")

    def note(self, row):
        return " · ".join(part for part in (row.togai_id, row.customer_name, row.currency) if part)


class GiveAccounts(AccountAction):
    """Give accounts to another owner; answers: `to`, a person."""

    title = "Change owner"

    def effect(self, row, *, by, at, to):
        return change_of_owner(row.owner, to)

    def apply(self, row, *, by, at, batch_id, to):
        services.hand_over(account_id=row.pk, to=to, by=by, at=at, batch_id=batch_id)


class EditAtTogai(AccountAction):
    """A change that Togai makes: it is sent as a delivery per account and shows when Togai confirmed it."""

    done = "On its way to Togai"

    def load(self, keys, *, by):
        """The accounts, each with the edit that Togai has not settled yet as `.pending`."""
        rows = list(super().load(keys, by=by))
        open_edits = Delivery.objects.filter(
            subject_type=Account._meta.label,
            subject_id__in=[str(row.pk) for row in rows],
            kind=Delivery.Kind.EDIT_ACCOUNT,
            state__in=Delivery.OPEN,
        ).order_by("-created_at", "-pk")
        pending = {delivery.subject_id: delivery for delivery in open_edits}
        for row in rows:
            row.pending = pending.get(str(row.pk))
        return rows

    def effect(self, row, *, by, at, **answers):
        fields = self.fields(self.expected(row), **answers)
        if row.status == Account.Status.ARCHIVED:
            raise WrongStatus("It is archived.")
        if row.pending is not None and not _still_here(row.pending):
            raise WrongStatus("An earlier change of it is on its way; wait until Togai confirmed it.")
        before = {name: self.expected(row)[name] for name in fields}
        if before == fields:
            raise Unchanged("It is like that already.")
        _refuse_what_togai_refuses(fields)
        return self.words(before), self.words(fields)

    def apply(self, row, *, by, at, batch_id, **answers):
        services.edit(
            account_id=row.pk,
            by=by,
            at=at,
            fields=self.fields(self.expected(row), **answers),
            version=row.version,
            batch_id=batch_id,
        )

    def expected(self, row):
        """The fields as they will be once Togai has what waits to be sent, so that no edit undoes another."""
        now = {"tags": row.tags, "net_term_days": row.net_term_days}
        return now | (asked_for(row.pending) if row.pending is not None else {})

    def fields(self, expected, **answers):
        """The fields to send, from what they will be and the answers."""
        raise NotImplementedError

    def words(self, fields):
        """The fields as a person reads them."""
        raise NotImplementedError


class SetTags(EditAtTogai):
    """Add, remove or replace tags; answers: `how`, and `tags`, a list of clean ones."""

    title = "Change tags"

    def fields(self, expected, *, how, tags):
        return {"tags": changed_tags(expected["tags"], how, tags)}

    def words(self, fields):
        return ", ".join(fields["tags"]) or "none"


class SetNetTerms(EditAtTogai):
    """Set the days until an invoice is due; answers: `net_term_days`."""

    title = "Set net term days"

    def fields(self, expected, *, net_term_days):
        return {"net_term_days": net_term_days}

    def words(self, fields):
        days = fields["net_term_days"]
        return "not set" if days is None else f"{days} days"


def change_of_owner(owner, to):
    """
    Who owns it now and then, as two names.

    :raises Unchanged: when that is the same person
    """
    if owner == to:
        raise Unchanged(f"{_name(to)} owns it already.")
    return _name(owner), _name(to)


def changed_tags(tags, how, given):
    """
    The tags after a change: those that stay in their order, then the new ones.

    :param how: "add", "remove" or "replace"
    """
    if how == REPLACE:
        return list(given)
    if how == REMOVE:
        return [tag for tag in tags if tag not in given]
    return [*tags, *(tag for tag in given if tag not in tags)]


def _name(person):
    return (person.get_full_name() or person.get_username()) if person else "nobody"


def _still_here(delivery):
    """Whether a change provably never left, so that the next one is sent in its place."""
    waits = delivery.state in (Delivery.State.NOT_SENT, Delivery.State.HELD)
    return waits and not delivery.sends and not delivery.ambiguous_attempts


def _refuse_what_togai_refuses(fields):
    """:raises Invalid: with what speaks against the values on the wire"""
    sent = {"netTermDays": fields.get("net_term_days"), "tags": fields.get("tags")}
    try:
        wire.UpdateAccount.model_validate({key: value for key, value in sent.items() if value is not None})
    except ValidationError as error:
        raise Invalid(
            [services.Problem(str(path[0]), sentence) for path, sentence in wire.problems(error)]
        ) from error
