"""Binds each request to the record: its channel, id and address, and whether it was refused."""

from django.utils import timezone

from audit import services as audit
from audit.context import coming_from

CHANNELS = (("/api/", "api"), ("/admin/", "admin"))
# Not allowed, not theirs to see, too late.
REFUSED = (403, 404, 409)


def remember_the_request(get_response):
    """
    Give everything that this request records one request id (S-27), also sent back as X-Request-ID, and put
    on record what somebody signed in was refused (S-01).
    """

    def middleware(request):
        channel = next((name for prefix, name in CHANNELS if request.path.startswith(prefix)), "web")
        with coming_from(channel, address=request.META.get("REMOTE_ADDR", "")) as origin:
            request.origin = origin
            response = get_response(request)
            if response.status_code in REFUSED and request.user.is_authenticated:
                audit.record_denial(
                    by=request.user,
                    at=timezone.now(),
                    method=request.method,
                    path=_path(request),
                    status=response.status_code,
                )
            response["X-Request-ID"] = origin.request_id
            return response

    return middleware


def _path(request):
    """The path, without the token of a customer's link: the record is no place to keep a key."""
    token = request.resolver_match.kwargs.get("token") if request.resolver_match else None
    return request.path.replace(token, "***") if token else request.path
