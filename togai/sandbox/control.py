"""The control server: a page for a tester and the same as JSON for tests. It never asks for a token."""

from html import escape
from urllib.parse import parse_qs, parse_qsl

from pydantic import ValidationError

from togai.sandbox import exact_json
from togai.sandbox.lifecycle import ACTIVE, UNDER_WAY
from togai.sandbox.moments import write_moment
from togai.sandbox.refusals import Refusal, bad_request, not_found
from togai.sandbox.server import Handler

ACTIONS = ("approve", "decline", "expire", "pay", "fail")
FAULTS = ("failing", "lossy", "refuse", "duplicating", "late")
SHOWN_LEDGER = 40


class ControlHandler(Handler):
    """Pages and verbs under one origin that only this machine reaches."""

    def do_GET(self):
        """The page, or one of the readings."""
        self._guarded(
            {
                "/": self._page,
                "/switches": lambda: self._json(_switches(self.server.sandbox)),
                "/ledger": self._ledger,
                "/clock": lambda: self._json(_clock(self.server.sandbox)),
            }
        )

    def do_POST(self):
        """One of the verbs; a form is sent back to the page, a program gets JSON."""
        self._guarded(
            {
                "/switches": lambda: self._did(set_switches),
                "/console": lambda: self._did(act),
                "/clock": lambda: self._did(move_clock),
                "/reset": lambda: self._did(reset),
            }
        )

    def _guarded(self, doors):
        try:
            self._refuse_strangers()
            door = doors.get(self.path.partition("?")[0])
            if door is None:
                raise Refusal(404, f"Nothing at {self.command} {self.path[:200]}.")
            door()
        except Refusal as refusal:
            self.send_json(refusal.status, {"message": refusal.message}, refusal.headers)

    def _refuse_strangers(self):
        """A page on another site must not press our buttons through the tester's browser."""
        port = self.server.server_address[1]
        ours = {f"127.0.0.1:{port}", f"localhost:{port}"}
        if self.headers.get("Host") not in ours:
            raise Refusal(403, "Call this server as 127.0.0.1 or localhost.")
        origin = self.headers.get("Origin")
        if origin is not None and origin.removeprefix("http://") not in ours:
            raise Refusal(403, "Only pages of this server may do that.")

    def _did(self, verb):
        body = self.read_body()
        if body is None:
            return
        # curl and urllib label everything a form; the first character tells better.
        is_form = "form-urlencoded" in self.headers.get("Content-Type", "") and body[:1] != b"{"
        sent = dict(parse_qsl(body.decode("utf-8", "replace"))) if is_form else _object(body)
        answered = verb(self.server.sandbox, sent)
        if is_form:
            self.send_json(303, answered, {"Location": "/"})
        else:
            self._json(answered)

    def _json(self, body):
        self.send_json(200, body)

    def _ledger(self):
        query = parse_qs(self.path.partition("?")[2])
        after = query.get("after", ["0"])[0]
        if not (after.isascii() and after.isdigit()):
            raise bad_request("after: must be the number of an entry.")
        self._json({"requests": self.server.sandbox.ledger(after=int(after))})

    def _page(self):
        headers = {
            "Content-Security-Policy": "default-src 'none'; form-action 'self'; frame-ancestors 'none'"
        }
        page = _html(self.server.sandbox).encode()
        self.send_bytes(200, page, "text/html; charset=utf-8", headers)


def _object(body):
    try:
        sent = exact_json.loads(body) if body else {}
    except exact_json.NotJSON as error:
        raise bad_request(str(error)) from error
    if not isinstance(sent, dict):
        raise bad_request("Send a JSON object.")
    return sent


# Verbs: each takes the sandbox and what was sent, and returns JSON.


def set_switches(sandbox, sent):
    """Set the switches named; a form's fault fields become one fault rule.

    :raises Refusal: 400 naming the switch that is wrong
    """
    if sent.get("fault") in FAULTS:
        sent = _fault_from_form(sent)
    try:
        sandbox.set_switches(sent)
    except ValidationError as error:
        first = error.errors()[0]
        raise bad_request(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    return _switches(sandbox)


def _fault_from_form(sent):
    wanted = (
        {"status", "times", "method", "path"} if sent["fault"] == "failing" else {"times", "method", "path"}
    )
    return {sent["fault"]: {key: value for key, value in sent.items() if key in wanted and value}}


def act(sandbox, sent):
    """Do what a tester does in Togai's console: approve, decline, expire, pay or fail one thing.

    :raises Refusal: 400 or 404 when it cannot be done
    """
    action, identifier = sent.get("action"), str(sent.get("id", ""))
    if action not in ACTIONS:
        raise bad_request(f"action: must be one of {', '.join(ACTIONS)}.")
    with sandbox.state.changes():
        sandbox.catch_up()
        now = sandbox.clock.now()
        if action == "pay":
            order = _order(sandbox.state, identifier)
            sandbox.life.pay(order, now)
            return order.body
        record = sandbox.state.get("purchase", identifier)
        if record is None:
            raise not_found("Purchase or proposal", identifier)
        if action == "fail":
            sandbox.life.fail(record, now)
        elif not record.inner["proposal"]:
            raise bad_request(f"{identifier} is a purchase; only a proposal can be decided.")
        elif action == "expire":
            sandbox.life.expire(record, now)
        else:
            sandbox.life.decide(record, action.upper(), now)
        return record.body


def _order(state, identifier):
    """An invoice by its own id or by that of its purchase."""
    purchase = state.get("purchase", identifier)
    if purchase is not None:
        identifier = purchase.body.get("invoiceId", identifier)
    order = state.get("invoice", identifier)
    if order is None:
        raise not_found("Order", identifier)
    return order


def move_clock(sandbox, sent):
    """Advance the clock by ``advance_seconds``.

    :raises Refusal: 400 when that is not a number
    """
    try:
        seconds = float(sent.get("advance_seconds"))
        if not abs(seconds) < 10**9:
            raise ValueError(seconds)
    except (TypeError, ValueError) as error:
        raise bad_request("advance_seconds: must be a number of seconds.") from error
    sandbox.advance_clock(seconds)
    return _clock(sandbox)


def reset(sandbox, _):
    """Back to the first catalogue, real time and no faults."""
    sandbox.reset()
    return {"reset": True}


def _switches(sandbox):
    return exact_json.loads(sandbox.switches.model_dump_json(exclude_none=True))


def _clock(sandbox):
    return {"now": write_moment(sandbox.clock.now()), "offset_seconds": str(sandbox.clock.offset_seconds)}


# The page: plain tables and forms, nothing that needs a style or a script.


def _html(sandbox):
    with sandbox.state.changes():
        sandbox.catch_up()
        deals = sandbox.state.select("purchase")
        orders = sandbox.state.select("invoice", where={"status": "DUE"})
    parts = [
        "<!doctype html><html lang=en><head><meta charset=utf-8><title>Togai sandbox</title></head><body>",
        "<h1>Togai sandbox</h1>",
        f"<p>It is {escape(write_moment(sandbox.clock.now()))} here."
        f" The API listens for the token you started it with.</p>",
        "<h2>Proposals that wait for a decision</h2>",
        _table(
            ("Id", "Account", "Type", "Payment", "Price", "Expires", ""),
            [
                (
                    *_cells(deal.body, "id", "accountId", "type", "paymentMode"),
                    _money(deal.body),
                    escape(deal.body.get("expiryDate", "never")),
                    _buttons(deal.id, "approve", "decline", "expire"),
                )
                for deal in deals
                if deal.body["status"] == ACTIVE
            ],
        ),
        "<h2>Unpaid invoices and orders</h2>",
        _table(
            ("Id", "Owner", "Class", "Total", ""),
            [
                (
                    *_cells(order.body, "id", "ownerId", "invoiceClass", "totalAmount"),
                    _buttons(order.id, "pay"),
                )
                for order in orders
            ],
        ),
        "<h2>Under way</h2>",
        _table(
            ("Id", "Account", "Type", "Status", "Comment", ""),
            [
                (
                    *_cells(deal.body, "id", "accountId", "type", "status", "comment"),
                    _buttons(deal.id, "fail"),
                )
                for deal in deals
                if deal.body["status"] in UNDER_WAY
            ],
        ),
        "<h2>Misbehave</h2>",
        _fault_form(),
        _table(
            ("Switch", "Now", ""), [_switch_row(name, value) for name, value in _switches(sandbox).items()]
        ),
        "<h2>Clock</h2>",
        _form(
            "/clock", "<label>Advance by seconds <input name=advance_seconds value=3600></label>", "Advance"
        ),
        "<h2>Last requests</h2>",
        _table(
            ("Number", "At", "Method", "Path", "Status", "Applied"),
            [
                tuple(
                    escape(str(entry.get(key, "")))
                    for key in ("number", "at", "method", "path", "status", "applied")
                )
                for entry in reversed(sandbox.ledger()[-SHOWN_LEDGER:])
            ],
        ),
        "<h2>Start over</h2>",
        _form("/reset", "<p>Forgets everything that happened since the first start.</p>", "Reset"),
        "</body></html>",
    ]
    return "\n".join(parts)


def _table(heads, rows):
    if not rows:
        return "<p>None.</p>"
    head = "".join(f"<th scope=col>{escape(text)}</th>" for text in heads)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table border=1><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _cells(body, *keys):
    return [escape(str(body.get(key, ""))) for key in keys]


def _money(body):
    if "price" not in body:
        return ""
    return escape(f"{body['price']} {body.get('invoiceCurrency', '')}")


def _form(action, fields, label):
    return f'<form method=post action="{action}">{fields}<button>{escape(label)}</button></form>'


def _buttons(identifier, *actions):
    hidden = f'<input type=hidden name=id value="{escape(identifier)}">'
    choices = "".join(
        f'<button name=action value="{action}">{action.capitalize()}</button>' for action in actions
    )
    return f"<form method=post action=/console>{hidden}{choices}</form>"


def _fault_form():
    faults = "".join(f"<option>{fault}</option>" for fault in FAULTS)
    fields = (
        f"<label>Fault <select name=fault>{faults}</select></label> "
        "<label>Status (failing) <input name=status value=503 size=4></label> "
        "<label>Times (empty: always) <input name=times value=1 size=4></label> "
        "<label>Method <input name=method size=6></label> "
        "<label>Path begins <input name=path></label> "
    )
    return _form("/switches", fields, "Set")


def _switch_row(name, value):
    label = escape(name)
    if isinstance(value, list):
        text = escape(exact_json.dumps(value)) if value else "off"
        return (label, text, _form("/switches", f"<input type=hidden name={label} value=false>", "Clear"))
    if isinstance(value, bool):
        turned = "false" if value else "true"
        field = f"<input type=hidden name={label} value={turned}>"
        return (
            label,
            "on" if value else "off",
            _form("/switches", field, "Turn off" if value else "Turn on"),
        )
    field = f'<input name={label} value="{escape(str(value))}" aria-label={label}>'
    return (label, escape(str(value)), _form("/switches", field, "Set"))
