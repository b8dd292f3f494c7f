"""No address without a decision on who may use it."""

import pytest
from django.test import override_settings
from django.urls import get_resolver, include, path

from tests.permissions import matrix


def test_every_address_is_in_the_matrix():
    """S-02: the resolver walked, admin and API included; a new URL needs a decision first."""
    missing = set(matrix.routes()) - set(matrix.entries())
    assert not missing, f"Not in docs/permissions.toml: {sorted(missing)}"


def test_every_entry_of_the_matrix_exists():
    """S-02: what is gone from the product is gone from the matrix."""
    gone = set(matrix.entries()) - set(matrix.routes())
    assert not gone, f"Only in docs/permissions.toml: {sorted(gone)}"


@pytest.mark.parametrize("name", matrix.entries(), ids=str)
def test_every_address_is_asked_to_read_and_to_write(name):
    """S-02: GET and POST for all, every other method too for programs."""
    wanted = {"GET", "POST", "PUT", "PATCH", "DELETE"} if name.startswith("api:") else {"GET", "POST"}
    assert wanted <= matrix.entries()[name].methods()


def test_the_walk_sees_what_hides_in_included_urlconfs():
    """S-02: a check that overlooks a nested or nameless pattern would prove nothing."""

    class Inner:
        app_name = "inner"
        urlpatterns = [path("named/", print, name="named"), path("nameless/", print)]

    class Outer:
        urlpatterns = [path("a/", include((Inner.urlpatterns, "inner"), namespace="b"))]

    with override_settings(ROOT_URLCONF=Outer):
        found = matrix.addresses(get_resolver())
    assert found == {"b:named": "a/named/", "/a/nameless/": "a/nameless/"}
