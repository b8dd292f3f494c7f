"""Accounts for programs."""

from django_filters import rest_framework as filters
from rest_framework import exceptions, mixins, serializers, viewsets

from accounts import search
from accounts.forms import LONGEST_SEARCH
from accounts.models import Account


class AccountAnswer(serializers.ModelSerializer):
    id = serializers.CharField(source="togai_id")
    owner = serializers.CharField(source="owner.username", default=None)

    class Meta:
        model = Account
        fields = [
            "id",
            "name",
            "customer_id",
            "customer_name",
            "currency",
            "status",
            "aliases",
            "tags",
            "net_term_days",
            "email",
            "owner",
            "version",
            "pulled_at",
        ]


class AccountFilter(filters.FilterSet):
    q = filters.CharFilter(method="find", label="Fragment of the id, name, customer or alias")
    owner = filters.CharFilter(field_name="owner__username")

    class Meta:
        model = Account
        fields = ["status", "currency", "customer_id"]

    def find(self, accounts, name, text):
        if len(text) > LONGEST_SEARCH:
            raise exceptions.ParseError(f"A search has at most {LONGEST_SEARCH} characters.")
        return search.matching(text, accounts)


class AccountViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet):
    """The accounts that the caller may see."""

    queryset = Account.objects.none()
    serializer_class = AccountAnswer
    filterset_class = AccountFilter
    lookup_field = "togai_id"
    lookup_value_regex = r"[^/]+"

    def get_queryset(self):
        return Account.objects.visible_to(self.request.user).select_related("owner")
