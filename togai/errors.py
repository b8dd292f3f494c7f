"""What can go wrong when talking to Togai, named by what the caller may do next."""

import unicodedata

MESSAGE_LIMIT = 500
RAW_LIMIT = 2048


def cleaned(text: str, limit: int = MESSAGE_LIMIT) -> str:
    """
    One line of a stranger's text, safe to store and show: no control, invisible or unpaired characters.

    :param limit: longest result, in characters
    """
    # Unicode puts controls, invisible marks, halves of pairs and unassigned characters into categories C*.
    taken = text[: limit * 8]
    visible = (" " if unicodedata.category(letter)[0] == "C" else letter for letter in taken)
    return " ".join("".join(visible).split())[:limit]


class TogaiError(Exception):
    """
    A call that did not give what was asked; the class says what to do next.

    The message is a sentence for people. ``reason`` is a short word for programs ("timeout", "tls",
    "other_account"), ``status`` the HTTP status if one was read, ``remote_message`` Togai's own words in one
    clean line of at most 500 characters, ``raw`` the first 2 KB of the answer. None ever holds the token.
    """

    def __init__(
        self,
        message: str = "",
        *,
        reason: str = "",
        status: int | None = None,
        remote_message: str = "",
        raw: str = "",
    ) -> None:
        super().__init__(message or reason)
        self.reason = reason
        self.status = status
        self.remote_message = cleaned(remote_message)
        self.raw = raw.replace("\x00", "\\u0000")[:RAW_LIMIT]


class NotSent(TogaiError):
    """Provably nothing happened at Togai. Try again later; no doubt remains."""


class Busy(NotSent):
    """Togai asks for a pause (429): ``retry_after`` seconds if it named them (1 to 3600), else None."""

    def __init__(
        self,
        message: str = "",
        *,
        retry_after: float | None = None,
        reason: str = "throttled",
        status: int | None = None,
        remote_message: str = "",
        raw: str = "",
    ) -> None:
        super().__init__(message, reason=reason, status=status, remote_message=remote_message, raw=raw)
        self.retry_after = retry_after


class SignInRefused(NotSent):
    """The token was not accepted (401). Stop all traffic: five of these may lock our address out."""


class Forbidden(NotSent):
    """The token may not do this (403). Hold the work and tell a person."""


class Refused(TogaiError):
    """Togai says no to the content (400, 422). Show its message; the same bytes will be refused again."""


class Missing(TogaiError):
    """What the path names is not there (404), or the whole path is gone (410)."""


class Unconfirmed(TogaiError):
    """Nobody knows whether it happened. Look at Togai's state before sending anything again."""


class Clash(Unconfirmed):
    """Togai has something that is in the way, perhaps our own earlier attempt (409). Look now."""


class ContractChanged(Unconfirmed):
    """
    Togai answered well and we cannot read it, or it speaks of something other than what was asked.

    ``unreadable`` holds one such error per record that a finished list had to leave out.
    """

    unreadable: "tuple[ContractChanged, ...]" = ()
