"""How the doors of every app answer alike."""

from django.http import HttpResponseRedirect


class SeeOther(HttpResponseRedirect):
    """The answer to a POST that was done: look there now (303)."""

    status_code = 303
