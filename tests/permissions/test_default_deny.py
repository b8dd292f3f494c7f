"""What nobody thought about is closed."""

import pytest
from django.http import HttpResponse
from django.urls import include, path
from django.views import View
from django.views.generic import TemplateView
from rest_framework.decorators import api_view
from rest_framework.response import Response
from rest_framework.routers import SimpleRouter
from rest_framework.views import APIView
from rest_framework.viewsets import ViewSet

from config.urls import urlpatterns

pytestmark = pytest.mark.django_db


def page(request):
    return HttpResponse("what only colleagues may read")


class Page(View):
    def get(self, request):
        return page(request)

    post = get


class Api(APIView):
    def get(self, request):
        return Response("what only colleagues may read")

    post = get


@api_view(["GET", "POST"])
def api(request):
    return Response("what only colleagues may read")


class ApiSet(ViewSet):
    def list(self, request):
        return Response("what only colleagues may read")

    create = list


router = SimpleRouter()
router.register("set", ApiSet, basename="set")


class Scratch:
    """The product's addresses and some that somebody added in a hurry."""

    urlpatterns = [
        path("scratch/function/", page),
        path("scratch/class/", Page.as_view()),
        path("scratch/template/", TemplateView.as_view(template_name="404.html")),
        path("api/scratch/class/", Api.as_view()),
        path("api/scratch/function/", api),
        path("api/scratch/", include(router.urls)),
        *urlpatterns,
    ]


PAGES = ["/scratch/function/", "/scratch/class/", "/scratch/template/"]
APIS = ["/api/scratch/class/", "/api/scratch/function/", "/api/scratch/set/"]


@pytest.fixture(autouse=True)
def scratch(settings):
    settings.ROOT_URLCONF = Scratch


@pytest.mark.parametrize("method", ["get", "post"])
@pytest.mark.parametrize("address", PAGES)
def test_a_page_without_any_decorator_sends_strangers_to_sign_in(address, method, world):
    """S-03: the middleware stands before every view; a token opens no page."""
    for caller in ("AN", "TK"):
        answer = getattr(world.callers[caller].client(), method)(address)
        assert (answer.status_code, answer["Location"]) == (302, f"/login/?next={address}")


@pytest.mark.parametrize("method", ["get", "post"])
@pytest.mark.parametrize("address", APIS)
def test_an_endpoint_without_any_permission_answers_401(address, method, world):
    """S-03: the middleware passes REST framework by, so its own default has to hold."""
    for options in ({}, {"HTTP_AUTHORIZATION": "Bearer desk_guessed"}, {"HTTP_AUTHORIZATION": "Basic eDp4"}):
        answer = getattr(world.callers["AN"].client(**options), method)(address)
        assert answer.status_code == 401
        assert b"colleagues" not in answer.content


@pytest.mark.parametrize("address", [*PAGES, *APIS])
def test_the_same_addresses_open_for_whoever_is_signed_in(address, world):
    """S-03: they are closed to strangers, not broken."""
    assert world.callers["SO"].client().get(address).status_code == 200
