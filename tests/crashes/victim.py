"""
Real processes that work and are killed: `python -m tests.crashes.victim`.

Reads one order per line (JSON) from standard input, lives it in a forked process of its own, and answers in
one line how that process ended. An order: `do`, a list of verbs with their arguments; `offset`, seconds by
which its clock is ahead; `kill` and `nth`, the checkpoint whose n-th pass is its death; `cut`, after which
part of the next body that it sends it dies instead; `name` of the worker.
"""

import json
import os
import signal
import sys
import time
import traceback
from datetime import timedelta

import django


def main():
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    for line in sys.stdin:
        order = json.loads(line)
        pid = os.fork()
        if pid == 0:
            os._exit(_lived(order))
        _, status = os.waitpid(pid, 0)
        sys.stdout.write(json.dumps({"signal": status & 127, "code": status >> 8}) + "\n")
        sys.stdout.flush()


def _lived(order):
    try:
        live(order)
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def live(order):
    """Do what an order says, until its end or death."""
    from django.utils import timezone

    from togai import checkpoints
    from togai.worker import Worker

    def now():
        return timezone.now() + timedelta(seconds=order["offset"])

    if order.get("kill"):
        checkpoints.listen(_killer(order["kill"], order.get("nth", 1)))
    if order.get("cut") is not None:
        _die_while_sending(order["cut"])
    for verb, *given in order["do"]:
        if verb == "work":
            Worker(clock=now, monotonic=time.monotonic, name=order["name"]).work()
        else:
            VERBS[verb](*given, at=now())


def _killer(name, nth):
    left = [nth]

    def passes(passed):
        if passed == name:
            left[0] -= 1
            if left[0] == 0:
                _die()

    return passes


def _die():
    os.kill(os.getpid(), signal.SIGKILL)


def _die_while_sending(part):
    from togai import gateway

    send = gateway._WatchedHTTP.send

    def sends(self, data):
        # Headers hold the blank line that ends them; a body comes by itself, as it is JSON.
        if data[:1] == b"{":
            send(self, data[: int(len(data) * part)])
            _die()
        send(self, data)

    gateway._WatchedHTTP.send = sends


def _submit(pk, by, *, at):
    from proposals import services

    services.submit(proposal_id=pk, by=_person(by), at=at)


def _decide(pk, by, direction, *, at):
    from proposals import services
    from proposals.models import Proposal

    proposal = Proposal.objects.get(pk=pk)
    given = {"proposal_id": pk, "by": _person(by), "at": at, "content_hash": proposal.content_hash}
    if direction == "APPROVE":
        services.approve(**given, signed_in_at=at)
    else:
        services.decline(**given, reason_code="other", reason="Too many calls at this price.")


def _release(pk, by, *, at):
    from purchases import services
    from purchases.models import Purchase

    purchase = Purchase.objects.get(pk=pk)
    services.release(
        purchase_id=pk, by=_person(by), at=at, content_hash=purchase.content_hash, signed_in_at=at
    )


def _person(pk):
    from django.contrib.auth import get_user_model

    return get_user_model().objects.get(pk=pk)


VERBS = {"submit": _submit, "decide": _decide, "release": _release}

if __name__ == "__main__":
    main()
