"""What the sandbox says no with."""


class Refusal(Exception):
    """An answer other than success: a status and the contract's one-field body."""

    def __init__(self, status, message, headers=None):
        super().__init__(message)
        self.status = status
        # The contract allows 500 characters and nothing else in the body (togai.md section 2).
        self.message = message[:500]
        self.headers = headers or {}


def bad_request(message):
    """A 400 with the reason."""
    return Refusal(400, message)


def not_found(what, identifier):
    """A 404 naming what is missing."""
    return Refusal(404, f"{what} {identifier!r} does not exist.")
