"""Pages of a list: size, token, and the odd last page (togai.md 2.2)."""

import base64
import binascii
import json
from dataclasses import dataclass
from hashlib import sha256

from togai.sandbox.refusals import bad_request


@dataclass(frozen=True)
class Page:
    """What one page asks for: its list, size and filters, and where the page before it ended."""

    of: str
    size: int
    filters: dict
    after: tuple | None
    token: str | None


def asked_for(request, *, filters, default, most):
    """Read nextToken and pageSize; a token carries the size and filters of the first request.

    :param filters: filters read from this request's query, used when there is no token
    """
    of = sha256(request.path.encode()).hexdigest()[:8]
    token = request.query.get("nextToken")
    if token is not None:
        return _from_token(token, of)
    return Page(of, _size(request.query.get("pageSize"), default, most), filters, None, None)


def next_token(page, last, count, switches):
    """The token after a page of ``count`` records ending with the record ``last``, or None.

    A full page always carries one, so a list whose length is a multiple of the page size ends with an
    empty page, as documented.
    """
    if not count or (count < page.size and not switches.extra_empty_page):
        return None
    if switches.repeat_token and page.token is not None:
        return page.token
    payload = {"of": page.of, "size": page.size, "filters": page.filters, "after": [last.sort, last.id]}
    return base64.urlsafe_b64encode(json.dumps(payload, separators=(",", ":")).encode()).decode()


def _from_token(token, of):
    try:
        payload = json.loads(base64.urlsafe_b64decode(token.encode()))
        sort, identifier = payload["after"]
        if payload["of"] != of or not all(
            (isinstance(sort, int), isinstance(identifier, str), isinstance(payload["filters"], dict))
        ):
            raise ValueError(token)
        return Page(of, int(payload["size"]), payload["filters"], (sort, identifier), token)
    except (ValueError, TypeError, KeyError, binascii.Error, RecursionError) as error:
        raise bad_request("nextToken: is not a token of this list.") from error


def _size(text, default, most):
    if text is None:
        return default
    # The vendor's client types pageSize as a number and may write 20.0.
    whole, _, fraction = text.partition(".")
    if not (whole.isascii() and whole.isdigit() and len(whole) < 6 and not fraction.strip("0")):
        raise bad_request("pageSize: must be an integer.")
    if not 1 <= int(whole) <= most:
        raise bad_request(f"pageSize: must be from 1 to {most}.")
    return int(whole)
