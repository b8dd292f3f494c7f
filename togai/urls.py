"""Addresses of deliveries."""

from django.urls import path

from togai import views

app_name = "togai"

urlpatterns = [
    path("deliveries/", views.delivery_list, name="list"),
    path("deliveries/<uuid:delivery_id>/", views.delivery_detail, name="delivery"),
    path("deliveries/<uuid:delivery_id>/look-now/", views.look_now, name="look_now"),
    path("deliveries/<uuid:delivery_id>/release/", views.release, name="release"),
]
