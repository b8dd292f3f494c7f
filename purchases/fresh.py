"""
Which deals nobody lets go without having typed their password just now (R-22, P-21).

It holds for every yes: an approval at any step, and a release. A no moves no money and can be followed by
another revision, so nothing keeps finance from saying it at once.
"""

from datetime import timedelta

from django.conf import settings

from audit.refusals import SignInAgain


def needed(deal):
    """Why this deal needs a fresh sign-in, in a sentence; "" where it needs none. Unknown is over (P-08)."""
    limit = f"{settings.FRESH_SIGN_IN_OVER:,} {settings.REPORTING_CURRENCY}"
    if deal.estimate is None or deal.estimate_per == "cycle" or not deal.currency:
        # What a cycle costs says nothing about how many there will be.
        return "A decision on a deal whose whole value is not known needs a fresh sign-in."
    if deal.estimate <= 0:
        return "A decision on a free deal needs a fresh sign-in."
    if deal.currency != settings.REPORTING_CURRENCY:
        return f"A decision in {deal.currency}, which is not compared with {limit}, needs a fresh sign-in."
    if deal.estimate > settings.FRESH_SIGN_IN_OVER:
        return f"A decision above {limit} needs a fresh sign-in."
    return ""


def is_fresh(signed_in_at, *, at):
    """Whether a sign-in is recent enough; one that is yet to come is a clock gone wrong, not a proof."""
    if signed_in_at is None:
        return False
    return abs(at - signed_in_at) <= timedelta(minutes=settings.FRESH_SIGN_IN_MINUTES)


def refuse_without(deal, *, signed_in_at, at):
    """
    Refuse to let a deal go on a sign-in that is too old for it.

    :param signed_in_at: when the person last typed their password, or None
    :raises SignInAgain: the deal needs a fresh sign-in, and there is none
    """
    why = needed(deal)
    if why and not is_fresh(signed_in_at, at=at):
        raise SignInAgain(why)
