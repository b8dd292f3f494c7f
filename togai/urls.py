"""Addresses of deliveries."""

from django.urls import path

from togai import views
from togai.models import Resolution

Verb = Resolution.Verb

app_name = "togai"

urlpatterns = [
    path("deliveries/", views.delivery_list, name="list"),
    path("deliveries/pause/", views.pause, name="pause"),
    path("deliveries/resume/", views.resume, name="resume"),
    path("deliveries/sign-restore/", views.sign_restore, name="sign_restore"),
    path("deliveries/<uuid:delivery_id>/", views.delivery_detail, name="delivery"),
    path("deliveries/<uuid:delivery_id>/look-now/", views.look_now, name="look_now"),
    path("deliveries/<uuid:delivery_id>/release/", views.release, name="release"),
    path("deliveries/<uuid:delivery_id>/link/", views.ask, {"verb": Verb.LINK}, name="link"),
    path(
        "deliveries/<uuid:delivery_id>/declare-absent/",
        views.ask,
        {"verb": Verb.DECLARE_ABSENT},
        name="declare_absent",
    ),
    path("deliveries/<uuid:delivery_id>/abandon/", views.ask, {"verb": Verb.ABANDON}, name="abandon"),
    path("deliveries/<uuid:delivery_id>/resolution/", views.resolution, name="resolution"),
    path("deliveries/<uuid:delivery_id>/resolution/confirm/", views.confirm, name="confirm"),
    path("deliveries/<uuid:delivery_id>/resolution/drop/", views.drop, name="drop"),
]
