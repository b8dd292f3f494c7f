"""
Settling what differs between a proposal and Togai's record of it: accept theirs, revise, ignore (G-50).

Approved terms are never rewritten, and a decision that was made at Togai never becomes a decision of
somebody here (R-06).
"""

from django.db import transaction

from audit.refusals import NotAllowed, Refusal, WrongStatus
from proposals import notices, services
from proposals.models import Proposal
from proposals.outcome import EXPECTED, end_as
from purchases import drafts, settling
from togai.models import Drift

Status = Proposal.Status
How = Drift.How

_APPROVED_THERE = EXPECTED[Status.APPROVED] - {"PROPOSAL_ACTIVE"}


@transaction.atomic
def accept(*, drift_id, by, at, reason):
    """
    Take note that Togai's value is the one that holds there.

    A proposal that waits here and is over there ends as recalled: nobody here has declined it. Everything
    else stays as it is.

    :returns: the proposal
    :raises NotAllowed: neither finance, CFO nor administrator; OwnWork: a decider's own deal
    :raises WrongStatus: it is settled already, is not our record, or would stand for an approval
    :raises Invalid: no usable reason
    """
    proposal, row = settling.begin(Proposal, drift_id)
    settling.refuse_others(proposal, by)
    refuse_to_accept(proposal, row)
    ends = _over_there(proposal, row)
    settling.close(proposal, row, how=How.ACCEPTED, by=by, at=at, reason=reason)
    if ends:
        notices.recalled(proposal, by=by, at=at)
        end_as(proposal, Status.RECALLED, "recall", by=by, at=at, reason=f"{ends}: {reason.strip()}")
    return proposal


@transaction.atomic
def ignore(*, drift_id, by, at, reason):
    """Settle a difference that does not matter; see `settling.ignore`."""
    return settling.ignore(Proposal, drift_id=drift_id, by=by, at=at, reason=reason)


@transaction.atomic
def revise(*, drift_id, by, at, reason, reason_code=""):
    """
    Answer a difference with the next revision; what still waits is recalled first, and Togai hears DECLINE.

    :param reason_code: why it is recalled; needed only where `recalls_first`
    :returns: the new draft
    :raises NotAllowed: neither owner, creator nor administrator
    :raises WrongStatus: its life cycle allows no revision now
    :raises Invalid: no usable reason
    """
    proposal, row = settling.begin(Proposal, drift_id)
    refuse_to_revise(proposal, row, by)
    settling.close(proposal, row, how=How.REVISED, by=by, at=at, reason=reason)
    ends = _over_there(proposal, row)
    if ends:
        notices.recalled(proposal, by=by, at=at)
        end_as(proposal, Status.RECALLED, "recall", by=by, at=at, reason=f"{ends}: {reason.strip()}")
    elif proposal.is_waiting:
        services.recall(proposal_id=proposal.pk, by=by, at=at, reason_code=reason_code, reason=reason)
    new = services.revise(proposal_id=proposal.pk, by=by, at=at)
    for other in settling.open_rows(proposal):
        settling.close(proposal, other, how=How.REVISED, by=by, at=at, reason=reason)
    return new


def refuse_to_accept(proposal, row):
    """
    :raises WrongStatus: Togai says what only an approval here can make ours, or it is not our record
    """
    settling.refuse_identity(row)
    if row.field == "status" and _is_approved_there_alone(proposal):
        raise WrongStatus(
            "Somebody approved it at Togai. That does not count as an approval here: "
            "read it and approve it, or ignore the difference with a reason."
        )


def refuse_to_revise(proposal, row, by):
    """
    :raises NotAllowed: neither owner, creator nor administrator
    :raises WrongStatus: its life cycle allows no revision now, or it is not our record
    """
    if not drafts.may_edit(proposal, by):
        raise NotAllowed("Only its owner revises a proposal.")
    settling.refuse_identity(row)
    if not (proposal.is_live and (proposal.is_waiting or proposal.is_revisable)):
        words = "superseded" if not proposal.is_live else proposal.get_status_display().lower()
        raise WrongStatus(f"This revision is {words} and cannot be revised.")
    if _is_approved_there_alone(proposal):
        raise WrongStatus("It is approved at Togai, which cannot be taken back from here.")


def recalls_first(proposal, row):
    """Whether revising means to recall it first, with a reason that reports count."""
    return proposal.is_waiting and not _over_there(proposal, row)


def offers(proposal, rows, user):
    """
    What a page offers a person for each open difference: {row's key: names of verbs}. It decides nothing.

    :param rows: the open rows of the proposal, loaded
    """
    found = settling.offers(proposal, rows, user)
    for row in rows:
        verbs = set(found[row.pk])
        if _refuses(refuse_to_accept, proposal, row):
            verbs.discard("accept")
        if not _refuses(refuse_to_revise, proposal, row, user):
            verbs.add("revise")
        found[row.pk] = frozenset(verbs)
    return found


def _refuses(check, *asked):
    try:
        check(*asked)
    except Refusal:
        return True
    return False


def _over_there(proposal, row):
    """Why a waiting proposal has nothing left at Togai that could be decided, in words; "" otherwise."""
    if not proposal.is_waiting:
        return ""
    if row.field == settling.GONE.field:
        return "Gone at Togai"
    return "Declined at Togai" if proposal.togai_status == "PROPOSAL_DECLINED" else ""


def _is_approved_there_alone(proposal):
    return proposal.is_waiting and proposal.togai_status in _APPROVED_THERE
