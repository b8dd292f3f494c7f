"""Binds each request to the record: its channel, id and address."""

from audit.context import coming_from

CHANNELS = (("/api/", "api"), ("/admin/", "admin"))


def remember_the_request(get_response):
    """Give everything that this request records one request id (S-27), also sent back as X-Request-ID."""

    def middleware(request):
        channel = next((name for prefix, name in CHANNELS if request.path.startswith(prefix)), "web")
        with coming_from(channel, address=request.META.get("REMOTE_ADDR", "")) as origin:
            request.origin = origin
            response = get_response(request)
            response["X-Request-ID"] = origin.request_id
            return response

    return middleware
