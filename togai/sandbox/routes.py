"""Which method and path lead to which operation, and what all operations share. They are in ``calls``."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import parse_qsl, unquote

from togai.sandbox import exact_json, paging
from togai.sandbox.lifecycle import LifeCycle
from togai.sandbox.refusals import Refusal, bad_request, not_found
from togai.sandbox.state import State
from togai.sandbox.switches import Switches


@dataclass(frozen=True)
class Request:
    """One request as it was read from the socket."""

    method: str
    target: str
    body: bytes = b""

    @property
    def path(self):
        """The path alone, still percent-encoded."""
        return self.target.split("?", 1)[0]

    @property
    def query(self):
        """The query parameters; of a repeated one the last counts."""
        _, _, text = self.target.partition("?")
        return dict(parse_qsl(text, keep_blank_values=True))

    def json(self):
        """The parsed body.

        :raises Refusal: 400 when it is not JSON
        """
        try:
            return exact_json.loads(self.body)
        except exact_json.NotJSON as error:
            raise bad_request(str(error)) from error


@dataclass(frozen=True)
class World:
    """What a call may touch, and the moment it happens."""

    state: State
    switches: Switches
    life: LifeCycle
    now: datetime
    # A duplicating fault runs a create a second time, past the key.
    ignore_keys: bool = False


@dataclass(frozen=True)
class Route:
    """One operation: the status of success, its query parameters, and its function."""

    method: str
    template: tuple
    call: Callable
    status: int
    query: frozenset


ROUTES = []


def route(method, path, *, status=200, query=""):
    """Register the decorated function as an operation; ``query`` names its parameters."""
    template = tuple(path[1:].split("/"))

    def register(call):
        ROUTES.append(Route(method, template, call, status, frozenset(query.split())))
        return call

    return register


def answer(world, request):
    """Find the operation and run it; returns (status, JSON body).

    :raises Refusal: for everything that is not a success
    """
    found, arguments = _find(request)
    unknown = sorted(set(request.query) - found.query)
    if unknown:
        raise bad_request(f"{unknown[0][:50]}: is not a query parameter of this call.")
    longest = 512 if found.template[0] == "purchase_proposals" else 50
    for argument in arguments:
        if not 1 <= len(argument) <= longest:
            raise bad_request(f"An id in the path must have 1 to {longest} characters.")
    return found.status, found.call(world, request, *arguments)


def _find(request):
    # Split before decoding: an encoded slash belongs to an id.
    segments = [unquote(segment) for segment in request.path[1:].split("/")]
    here = [
        (known, arguments)
        for known in ROUTES
        if (arguments := _matched(known.template, segments)) is not None
    ]
    for known, arguments in here:
        if known.method == request.method:
            return known, arguments
    if here:
        allowed = ", ".join(sorted({known.method for known, _ in here}))
        raise Refusal(405, f"{request.method} is not allowed here.", {"Allow": allowed})
    raise Refusal(404, f"No operation {request.method} {request.path[:200]}.")


def _matched(template, segments):
    """What stands in the places of the template, or None when the path is another one."""
    if len(template) != len(segments):
        return None
    arguments = []
    for part, segment in zip(template, segments, strict=True):
        if part.startswith("{"):
            arguments.append(segment)
        elif part != segment:
            return None
    return arguments


def account_of(world, account_id):
    """The account of a path.

    :raises Refusal: 404
    """
    record = world.state.get("account", account_id)
    if record is None:
        raise not_found("Account", account_id)
    return record


def listed(world, request, kind, *, owner=None, filters=None, default=20, most=100, show=None):
    """One page of records of a kind, in the order of the state.

    :param show: function from a record to its row; without it the row is the record's body
    """
    page = paging.asked_for(request, filters=filters or {}, default=default, most=most)
    found = world.state.select(kind, owner=owner, where=page.filters, after=page.after, limit=page.size)
    answered = page_of(world, page, found, [show(record) if show else record.body for record in found])
    if most == 100 and not request.path.startswith("/v2/"):
        answered["context"] = {"pageSize": page.size, "sortOrder": "DESC"}
    return answered


def page_of(world, page, found, rows):
    """The answer that carries these rows, with the token for what comes after the last record found."""
    last = found[-1] if found else None
    return {"data": rows, "nextToken": paging.next_token(page, last, len(found), world.switches)}


def filters_of(request, names, allowed=None):
    """Filters present in the query as body keys; ``allowed`` lists the combinations that are legal.

    :raises Refusal: 400 for a combination that is not
    """
    used = {key: request.query[name] for name, key in names.items() if name in request.query}
    if allowed is not None and used and set(used) not in allowed:
        raise bad_request(f"These filters cannot be combined: {', '.join(sorted(used))}.")
    return used
