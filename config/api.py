"""How every endpoint of /api/v1/ reads, pages and refuses."""

from django.core.exceptions import PermissionDenied
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from knox.auth import TokenAuthentication
from rest_framework import exceptions, renderers, status
from rest_framework.authentication import SessionAuthentication
from rest_framework.pagination import CursorPagination
from rest_framework.parsers import BaseParser
from rest_framework.response import Response

from audit.refusals import Invalid, Refusal
from togai import strict_json


class ApiToken(TokenAuthentication):
    """A personal token, stored as a hash, that expires and never decides anything (S-18)."""

    def authenticate_credentials(self, token):
        try:
            return super().authenticate_credentials(token)
        except ValueError:
            raise exceptions.AuthenticationFailed("This is not a token.") from None


class SignedIn(SessionAuthentication):
    """The session of somebody at the pages; answers 401 instead of 403 to strangers."""

    def authenticate_header(self, request):
        return "Session"


class ApiTokenScheme(OpenApiAuthenticationExtension):
    target_class = "config.api.ApiToken"
    name = "token"

    def get_security_definition(self, auto_schema):
        return {"type": "http", "scheme": "bearer"}


class SignedInScheme(OpenApiAuthenticationExtension):
    target_class = "config.api.SignedIn"
    name = "session"

    def get_security_definition(self, auto_schema):
        return {"type": "apiKey", "in": "cookie", "name": "sessionid"}


class ExactJSONRenderer(renderers.JSONRenderer):
    """JSON with every amount as the exact decimal string that the row holds."""

    charset = None


class StrictJSONParser(BaseParser):
    """Reads JSON through the one gate in front of everything that programs hand in (S-08)."""

    media_type = "application/json"

    def parse(self, stream, media_type=None, parser_context=None):
        try:
            body = strict_json.loads(stream.read(strict_json.MAX_BYTES + 1))
        except strict_json.JSONRefused as refused:
            raise exceptions.ParseError(str(refused)) from None
        if not isinstance(body, dict):
            raise exceptions.ParseError("The body has to be a JSON object.")
        return body


class KeyPagination(CursorPagination):
    """Pages by key, so that page one thousand costs what page one costs (performance.md 2)."""

    ordering = "-pk"
    page_size_query_param = "page_size"
    max_page_size = 200


def refusals_become_answers(exception, context):
    """Turn a service's refusal into its status and reason, and bad data into 422 (S-01)."""
    # REST framework's views read the settings that name this module.
    from rest_framework.views import exception_handler

    if isinstance(exception, Invalid):
        problems = [
            {"field": problem.field, "path": list(problem.path), "message": problem.message}
            for problem in exception.problems
        ]
        return Response({"code": exception.code, "detail": str(exception), "problems": problems}, status=422)
    if isinstance(exception, Refusal):
        return Response({"code": exception.code, "detail": str(exception)}, status=exception.http_status)
    if isinstance(exception, PermissionDenied):
        exception = exceptions.PermissionDenied(str(exception) or None)
    response = exception_handler(exception, context)
    if response is not None and isinstance(exception, exceptions.ValidationError):
        response.status_code = status.HTTP_422_UNPROCESSABLE_ENTITY
    return response
