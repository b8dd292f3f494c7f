"""
What holds for every page: impossible text stays out, private pages are not stored, refusals have a page.
"""

import logging
import time
from urllib.parse import unquote_to_bytes

from django.conf import settings
from django.http import HttpResponseBadRequest
from django.shortcuts import render
from django.utils import timezone
from django.utils.functional import LazyObject

from audit.refusals import Refusal

access = logging.getLogger("access")


def each_request_is_one_line(get_response):
    """Log every request once: who asked for which address, what they got and how long it took (S-30)."""

    def middleware(request):
        began = time.monotonic()
        response = get_response(request)
        facts = {
            "method": request.method,
            # Without the query: what people search for is theirs.
            "path": request.path,
            "status": response.status_code,
            "ms": round((time.monotonic() - began) * 1000),
            "user_id": _user_id(request),
            "origin": getattr(request, "origin", None),
        }
        access.info("request.finished", extra=facts)
        return response

    return middleware


def _user_id(request):
    """Who asked, as far as that came up; a line of the log is no reason to ask the database."""
    user = request.__dict__.get("user")
    # The API puts the person of a token there; else it is a promise, kept once somebody needed the person.
    if isinstance(user, LazyObject):
        user = request.__dict__.get("_cached_user")
    return getattr(user, "pk", None)


def refuse_impossible_text(get_response):
    """Answer 400 to a NUL or broken UTF-8 in path or query: no row holds it and PostgreSQL fails on it."""

    def middleware(request):
        # Django has decoded the path already, and left broken bytes of it percent-encoded.
        for part in (request.path_info.encode(), _query(request)):
            try:
                text = part.decode()
            except UnicodeDecodeError:
                return HttpResponseBadRequest("The address holds bytes that are not text.", "text/plain")
            if "\x00" in text:
                return HttpResponseBadRequest("The address holds a character that no text has.", "text/plain")
        return get_response(request)

    return middleware


def _query(request):
    return unquote_to_bytes(request.META.get("QUERY_STRING", "").replace("+", " "))


def pages_are_not_stored(get_response):
    """Keep answers out of every cache, the browser's own included (S-10), unless a view says otherwise."""

    def middleware(request):
        response = get_response(request)
        response.setdefault("Cache-Control", "no-store, private")
        response.setdefault("Cross-Origin-Resource-Policy", "same-origin")
        response.setdefault("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
        return response

    return middleware


def refusals_become_pages(get_response):
    """
    Times show in the business zone, and a refusal that no view caught still becomes a page with its reason.
    """

    def middleware(request):
        with timezone.override(settings.BUSINESS_TIME_ZONE):
            response = get_response(request)
            if response.status_code == 405 and request.method == "GET" and not response.content:
                # Whoever signs in again after pressing a button is sent to the button's address.
                page = render(
                    request, "405.html", {"back": request.path.rstrip("/").rpartition("/")[0] + "/"}
                )
                response.content = page.content
                response["Content-Type"] = page["Content-Type"]
            return response

    def process_exception(request, exception):
        if isinstance(exception, Refusal) and not request.path.startswith("/api/"):
            return render(request, "refused.html", {"refusal": exception}, status=exception.http_status)
        return None

    middleware.process_exception = process_exception
    return middleware
