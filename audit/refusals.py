"""
The ways in which a service says no. Every door turns them into its own kind of answer (S-01).

They live on the lowest floor because services of every app raise them and one handler reads them all.
"""


class Refusal(Exception):
    """A rule says no; `str()` is the reason in words the person understands. Nothing was changed."""

    http_status = 409
    code = "refused"


class WrongStatus(Refusal):
    """Right person, wrong moment: the row is in a state that does not allow this."""

    code = "wrong_status"


class Stale(Refusal):
    """Somebody changed the row since this person read it."""

    code = "stale"


class NotAllowed(Refusal):
    """This person's roles do not include this verb."""

    http_status = 403
    code = "not_allowed"


class OwnWork(NotAllowed):
    """Four eyes: nobody decides what they wrote, edited or submitted (G-22)."""

    code = "own_work"


class SignInAgain(NotAllowed):
    """Theirs to decide, but so much hangs on it that the password has to be typed just before (P-21)."""

    code = "sign_in_again"


class Invalid(Refusal):
    """
    The content does not hold; `.problems` is a list of objects with `.field`, `.message` and `.path`.
    """

    http_status = 422
    code = "invalid"

    def __init__(self, problems):
        self.problems = list(problems)
        super().__init__(" ".join(problem.message for problem in self.problems))
