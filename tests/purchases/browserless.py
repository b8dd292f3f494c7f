"""A browser without JavaScript: reads the form of a page, types into it and presses its buttons."""

from html.parser import HTMLParser

from zeal import zeal_ignore

TWO_VERBS = [
    {"model": "proposals.Proposal", "field": "get()"},
    {"model": "purchases.Purchase", "field": "get()"},
]


class Page(HTMLParser):
    """
    One page with one POST form that matters, the last one on it.

    :ivar typed: what the form would send, by name; change it to type
    :ivar buttons: the values of its buttons named `do`
    """

    def __init__(self, client, response):
        super().__init__()
        self.client, self.response = client, response
        self.status = response.status_code
        self.html = response.content.decode()
        self.typed, self.buttons, self.errors, self.types = {}, [], {}, {}
        self.action = ""
        self._select = self._textarea = self._error = None
        self._depth = 0
        self.feed(self.html)

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        if tag == "form" and found.get("method") == "post" and "logout" not in found.get("action", ""):
            self.action, self.typed, self.buttons, self.types = found.get("action", ""), {}, [], {}
        elif tag == "input":
            self._input(found)
        elif tag == "select":
            self._select = found["name"]
            self.types[self._select] = "select"
        elif tag == "option" and self._select:
            if "selected" in found or self._select not in self.typed:
                self.typed[self._select] = found.get("value", "")
        elif tag == "textarea":
            self._textarea = found["name"]
            self.types[self._textarea] = "textarea"
            self.typed[self._textarea] = ""
        elif tag == "button" and found.get("name") == "do":
            self.buttons.append(found["value"])
        elif tag == "div":
            if found.get("id", "").endswith("_error"):
                self._error, self._depth = found["id"], 0
                self.errors[self._error] = ""
            elif self._error:
                self._depth += 1

    def _input(self, found):
        name, kind = found.get("name"), found.get("type", "text")
        if not name or "disabled" in found:
            return
        self.types.setdefault(name, kind)
        if kind in ("radio", "checkbox") and "checked" not in found:
            return
        self.typed[name] = found.get("value", "")

    def handle_data(self, data):
        if self._textarea:
            self.typed[self._textarea] += data
        if self._error:
            self.errors[self._error] += data

    def handle_endtag(self, tag):
        if tag == "select":
            self._select = None
        elif tag == "textarea":
            # A browser drops the first line break of a textarea and sends the others as CR LF.
            text = self.typed[self._textarea].removeprefix("\n")
            self.typed[self._textarea] = text.replace("\r\n", "\n").replace("\n", "\r\n")
            self._textarea = None
        elif tag == "div" and self._error:
            if self._depth == 0:
                self._error = None
            self._depth -= 1

    def error_at(self, name):
        """What stands below the field of this name, or ""."""
        return self.errors.get(f"id_{name}_error", "").strip()

    def type(self, **typed):
        """Type into the fields; names with slashes go through `typed` itself."""
        self.typed |= typed
        return self

    def press(self, button, **extra):
        """Press the button whose `do` this is, and open the page that answers."""
        assert button in self.buttons, (button, self.buttons)
        fields = {name: value for name, value in self.typed.items() if name != "q" or value}
        # Saving and submitting are two verbs on one row, which zeal takes for a query in a loop.
        with zeal_ignore(TWO_VERBS):
            response = self.client.post(self.action, fields | {"do": button}, **extra)
        return Page(self.client, response) if response.status_code not in (301, 302, 303) else response


def open_page(client, url, **extra):
    """The page at an address."""
    return Page(client, client.get(url, **extra))
