"""
Links with which a customer reads an approved offer: made, ended, opened (G-39, P-30).

The address holds a random token of 192 bits, and only its SHA-256 is stored. Nobody guesses it, and whoever
reads the database or a backup cannot open a link with what they find. A signature would add nothing: every
opening asks the row anyway, since a link can be revoked, and a new SECRET_KEY would end all links at once.
"""

import hashlib
import secrets
from datetime import timedelta

from django.db import transaction
from django.db.models import F

from accounts.models import Team
from audit import services as audit
from audit.refusals import Invalid, NotAllowed, WrongStatus
from audit.roles import DECIDES, DRAFTS, Role, has_role
from proposals import offer
from proposals.models import CustomerLink, Proposal
from purchases import drafts
from purchases import terms as domain

TOKEN_BYTES = 24
MOST_DAYS = DEFAULT_DAYS = 30
# More people than these read no offer; somebody who needs more has lost count.
MOST_OPEN = 10


class Ended(Exception):
    """No offer is behind this address (any more); why is nobody's business who only has the address."""


@transaction.atomic
def make(*, proposal_id, by, at, days=DEFAULT_DAYS):
    """
    Make a link to an approved revision.

    :param days: until it ends, at most thirty
    :returns: the `CustomerLink` and its token, which is nowhere else
    :raises NotAllowed: neither owner, manager nor finance
    :raises WrongStatus: the revision is not approved, or has as many open links as it may
    :raises Invalid: it would last longer than thirty days, or no time
    """
    proposal = drafts.locked(Proposal, proposal_id)
    if not may_make(proposal, by):
        raise NotAllowed("Its owner, their manager or finance gives an offer to the customer.")
    if not offer.is_handed_out(proposal):
        raise WrongStatus("A customer reads nothing but an approved revision.")
    if not 1 <= days <= MOST_DAYS:
        raise Invalid([domain.Problem("days", f"A link lasts 1 to {MOST_DAYS} days.")])
    if CustomerLink.objects.filter(proposal=proposal).open(at).count() >= MOST_OPEN:
        raise WrongStatus(f"It has {MOST_OPEN} links that work. Revoke one of them first.")
    token = secrets.token_urlsafe(TOKEN_BYTES)
    link = CustomerLink.objects.create(
        proposal=proposal,
        digest=digest_of(token),
        created_by=by,
        created_at=at,
        expires_at=at + timedelta(days=days),
    )
    day = drafts.business_day(link.expires_at)
    audit.record(
        proposal,
        "make_link",
        by=by,
        at=at,
        after={"link": link.pk, "expires": link.expires_at, "message": f"It works until {day:%-d %b %Y}."},
    )
    return link, token


@transaction.atomic
def revoke(*, link_id, by, at):
    """
    End a link at once. Ending one that is over already changes nothing.

    :raises NotAllowed: neither owner, manager, finance nor an administrator
    """
    proposal = drafts.locked(
        Proposal, CustomerLink.objects.values_list("proposal_id", flat=True).get(pk=link_id)
    )
    if not may_revoke(proposal, by):
        raise NotAllowed("Its owner, their manager, finance or an administrator revokes a link.")
    link = CustomerLink.objects.select_related("created_by").get(pk=link_id)
    if not link.is_open(at):
        return link
    link.revoked_by, link.revoked_at = by, at
    link.save(update_fields=["revoked_by", "revoked_at"])
    made = drafts.business_day(link.created_at)
    audit.record(
        proposal,
        "revoke_link",
        by=by,
        at=at,
        after={"link": link.pk, "message": f"The link of {made:%-d %b %Y}, opened {_times(link.views)}."},
    )
    return link


def read(*, token, at, counts=True):
    """
    The proposal that somebody with this token may read, with account, plan and rate cards loaded.

    A customer's look is counted, and the first of each day goes on record: all of them would bury the record
    of a deal under a link that a mailbox opens once a minute.

    :param counts: whether it is a customer who looks; a colleague's look is neither counted nor recorded
    :raises Ended: unknown, over, revoked, or the revision is not one for customers any more
    """
    # Outside a transaction: a guess waits for nobody and locks nothing.
    link = CustomerLink.objects.filter(digest=digest_of(token)).first()
    if link is None or not link.is_open(at):
        raise Ended
    proposal = (
        Proposal.objects.select_related("account", "price_plan")
        .prefetch_related("price_plan__rate_cards")
        .get(pk=link.proposal_id)
    )
    if not offer.is_handed_out(proposal):
        raise Ended
    if counts:
        _count(link, at=at)
    return proposal


def digest_of(token):
    """What is stored of a token."""
    return hashlib.sha256(token.encode()).hexdigest()


def may_make(proposal, user):
    """Whether a person who sees the proposal may give it to the customer: owner, their manager, finance."""
    if has_role(user, *DECIDES) or (user.pk == proposal.owner_id and has_role(user, *DRAFTS)):
        return True
    manages = Team.objects.filter(managers=user, members=proposal.owner_id)
    return has_role(user, Role.MANAGER) and manages.exists()


def may_revoke(proposal, user):
    """Whether a person who sees the proposal may end its links; closing a door is an administrator's too."""
    return has_role(user, Role.ADMINISTRATOR) or may_make(proposal, user)


def links_of(proposal):
    """The links of a revision, newest first, with who made and who revoked them; one query."""
    links = CustomerLink.objects.filter(proposal=proposal)
    return list(links.select_related("created_by", "revoked_by").order_by("-pk")[: 3 * MOST_OPEN])


@transaction.atomic
def _count(link, *, at):
    today = drafts.business_day(at)
    first = link.last_viewed_at is None or drafts.business_day(link.last_viewed_at) < today
    if first:
        proposal = drafts.locked(Proposal, link.proposal_id)
        # Two mailboxes may open it at once; under the lock only one of them was first.
        link.refresh_from_db(fields=["last_viewed_at"])
        first = link.last_viewed_at is None or drafts.business_day(link.last_viewed_at) < today
    CustomerLink.objects.filter(pk=link.pk).update(views=F("views") + 1, last_viewed_at=at)
    if first:
        audit.record(
            proposal,
            "customer_viewed",
            by=None,
            at=at,
            after={"link": link.pk, "message": "Further looks of the day are counted at the link."},
        )


def _times(views):
    return "once" if views == 1 else f"{views:,} times"
