"""What a test asks about a page: its forms with what a browser would post, and everything wrong with it."""

import re
from collections import Counter
from dataclasses import dataclass, field
from html import unescape
from html.parser import HTMLParser

# Elements that load or send something to the address in the attribute.
LOADS = {
    ("script", "src"),
    ("link", "href"),
    ("img", "src"),
    ("img", "srcset"),
    ("use", "href"),
    ("iframe", "src"),
    ("object", "data"),
    ("embed", "src"),
    ("source", "src"),
    ("video", "src"),
    ("audio", "src"),
    ("form", "action"),
    ("button", "formaction"),
    ("input", "formaction"),
    ("a", "ping"),
    ("base", "href"),
}
NO_LABEL = {"hidden", "submit", "button", "reset", "image"}
NO_VALUE = {"submit", "button", "reset", "image", "file"}
VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
REFERENCES = ("for", "aria-describedby", "aria-controls", "aria-labelledby", "popovertarget", "list")
_FOREIGN = re.compile(r"\s*(?:[a-z][a-z0-9+.-]*:|[/\\]{2})", re.I)
_SCHEME = re.compile(r"[\s\x00-\x1f]*([a-z][a-z0-9+.-]*):", re.I)


@dataclass
class Form:
    """A form as a browser reads it."""

    action: str
    method: str
    data: dict = field(default_factory=dict)
    is_protected: bool = False

    def put(self, name, value):
        """Add what one control posts; a name that comes twice posts a list."""
        if name in self.data:
            earlier = self.data[name]
            value = [*(earlier if isinstance(earlier, list) else [earlier]), value]
        self.data[name] = value


class Page(HTMLParser):
    """
    A page as it left the server.

    :ivar forms: every `Form` on it
    :ivar faults: what S-10, S-11 or a reader of the page would refuse, in words
    :ivar words: all text that is shown
    """

    def __init__(self, html, *, part=False):
        super().__init__()
        self.part = part
        self.forms, self.faults = [], []
        self.ids, self.headings, self.titles, self.language = [], 0, [], None
        self.labels, self.controls, self.refers = set(), [], []
        self._open, self._select, self._form, self._inside = [], None, None, []
        self.texts, self.links = [], []
        self.feed(html)
        self.close()
        self._judge()

    @property
    def words(self):
        return " ".join(" ".join(self.texts).split())

    def form(self, action=None):
        """The form that posts to this address; without one the form of the page that posts the most."""
        posts = [form for form in self.forms if form.method == "post"]
        if action is not None:
            return next(form for form in posts if form.action == action)
        return max(posts, key=lambda form: len(form.data), default=None)

    # --- Reading ---

    def handle_starttag(self, tag, attrs):
        found = {name: value or "" for name, value in attrs}
        self._refuse(tag, found)
        if "id" in found:
            self.ids.append(found["id"])
        for name in REFERENCES:
            self.refers += [(f"{tag} {name}", one) for one in found.get(name, "").split()]
        if tag == "html":
            self.language = found.get("lang")
        elif tag == "h1":
            self.headings += 1
        elif tag == "label":
            self.labels.add(found.get("for", ""))
        elif tag == "form":
            self._form = Form(found.get("action", ""), found.get("method", "get").lower())
            self.forms.append(self._form)
        elif tag == "a" and "href" in found:
            self.links.append(found["href"])
        if tag in ("input", "select", "textarea", "button"):
            self._control(tag, found)
        elif tag == "option" and self._select is not None:
            self._select["options"].append((found.get("value"), "selected" in found))
        if tag not in VOID:
            self._open.append((tag, found))

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag):
        if tag == "form":
            self._form = None
        elif tag == "select" and self._select is not None:
            self._close_select()
        for place in range(len(self._open) - 1, -1, -1):
            if self._open[place][0] == tag:
                del self._open[place:]
                break

    def handle_data(self, data):
        tag = self._open[-1][0] if self._open else ""
        if tag == "title" and not any(name == "svg" for name, _ in self._open):
            self.titles.append(data.strip())
        elif tag == "script" and data.strip():
            self.faults.append(f"an inline script: {data.strip()[:60]}")
        elif tag == "textarea" and self._open[-1][1].get("name") and self._form is not None:
            name = self._open[-1][1]["name"]
            # A browser drops the first line end of a textarea.
            typed = self._form.data.get(name)
            self._form.data[name] = typed + data if typed else data.removeprefix("\n")
        if tag not in ("script", "style", "title"):
            self.texts.append(data)

    def _control(self, tag, found):
        kind = found.get("type", "text").lower() if tag == "input" else tag
        inside_label = any(name == "label" for name, _ in self._open)
        named = inside_label or found.get("aria-label", "").strip() or found.get("aria-labelledby")
        if tag != "button" and kind not in NO_LABEL and not named:
            self.controls.append((found.get("id", ""), f"{tag} {found.get('name', '')}"))
        name, owner = found.get("name"), self._form
        if "form" in found:
            # Attached to a form elsewhere on the page; nothing that a test posts needs those.
            owner = None
        if owner is None or not name or "disabled" in found:
            if tag == "select":
                self._select = {"name": None, "options": [], "many": False}
            return
        if name == "csrfmiddlewaretoken":
            owner.is_protected = bool(found.get("value"))
        elif tag == "select":
            self._select = {"name": name, "options": [], "many": "multiple" in found}
        elif tag == "textarea":
            owner.put(name, "")
        elif tag == "input" and kind in ("checkbox", "radio"):
            if "checked" in found:
                owner.put(name, found.get("value", "on"))
        elif tag == "input" and kind not in NO_VALUE:
            owner.put(name, found.get("value", ""))

    def _close_select(self):
        select, self._select = self._select, None
        if self._form is None or not select["name"]:
            return
        chosen = [value or "" for value, is_chosen in select["options"] if is_chosen]
        if select["many"]:
            for value in chosen:
                self._form.put(select["name"], value)
        elif select["options"]:
            self._form.put(select["name"], chosen[-1] if chosen else select["options"][0][0] or "")

    # --- Judging ---

    def _refuse(self, tag, found):
        for name, value in found.items():
            if name == "style":
                self.faults.append(f"a style attribute on {tag}: {value[:60]}")
            elif name.startswith(("on", "hx-on", "data-hx-on")):
                self.faults.append(f"a handler {name} on {tag}: {value[:60]}")
            elif name in ("href", "src", "action", "formaction", "hx-get", "hx-post"):
                scheme = _SCHEME.match(value)
                if scheme and scheme.group(1).lower() not in ("http", "https", "mailto"):
                    self.faults.append(f"the address {value[:60]} on {tag}")
            elif name in ("hx-vals", "data-hx-vals") and value.strip().startswith(("js:", "javascript:")):
                self.faults.append(f"script in {name} on {tag}")
            if ((tag, name) in LOADS or name in ("hx-get", "hx-post")) and _FOREIGN.match(value):
                self.faults.append(f"a foreign or absolute address {value[:60]} in {tag} {name}")
        if tag in ("style", "base", "iframe", "object", "embed"):
            self.faults.append(f"an element {tag}")
        if tag == "script" and "src" not in found:
            self.faults.append("a script without src")
        if tag == "meta" and found.get("http-equiv", "").lower() in ("refresh", "content-security-policy"):
            self.faults.append(f"meta {found['http-equiv']}")

    def _judge(self):
        twice = [name for name, times in Counter(self.ids).items() if times > 1]
        if twice:
            self.faults.append(f"ids that come twice: {twice}")
        for form in self.forms:
            if form.method == "post" and not form.is_protected:
                self.faults.append(f"a form to {form.action or 'the page itself'} without a CSRF token")
        for name, control in self.controls:
            if not name or name not in self.labels:
                self.faults.append(f"a control without a label: {control}")
        if self.part:
            return
        for where, name in self.refers:
            if name not in self.ids:
                self.faults.append(f"{where} points at #{name}, which is not on the page")
        if self.headings != 1:
            self.faults.append(f"{self.headings} h1 elements")
        if len(self.titles) != 1 or not self.titles[0]:
            self.faults.append(f"titles: {self.titles}")
        if not self.language:
            self.faults.append("no language")


def words_of(html):
    """The text of a page, or of a part of it, as one reads it: without markup, scripts and drawings."""
    text = re.sub(r"<(script|style|svg)\b.*?</\1>", " ", html, flags=re.S)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", text)).split())
