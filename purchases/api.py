"""Purchases and price plans for programs: the same services, the same refusals."""

from decimal import Decimal, InvalidOperation

from django.shortcuts import get_object_or_404
from django.utils import timezone
from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema, extend_schema_field
from knox.models import AuthToken
from rest_framework import exceptions, mixins, serializers, status, viewsets
from rest_framework.decorators import action
from rest_framework.response import Response

from accounts.models import Account
from audit.refusals import Invalid, NotAllowed
from audit.sign_in import signed_in_at
from purchases import overrides, services
from purchases import terms as domain
from purchases.models import PricePlan, Purchase
from purchases.money import number

REFERENCE = r"[A-Z]-[0-9]{6,9}"


# --- fields ---


@extend_schema_field({"type": "string"})
class Text(serializers.CharField):
    """Text that has to come as text: a number for an id is a mistake of the caller."""

    def to_internal_value(self, data):
        if not isinstance(data, str):
            raise serializers.ValidationError("Has to be text.")
        if "\x00" in data:
            raise serializers.ValidationError("Holds a character that no text has.")
        return super().to_internal_value(data)


@extend_schema_field({"type": "integer", "minimum": 1, "maximum": 2147483647})
class Whole(serializers.Field):
    """A whole number, as a JSON integer."""

    def to_internal_value(self, data):
        if isinstance(data, bool) or not isinstance(data, int) or not 1 <= data <= domain.MAX_QUANTITY:
            raise serializers.ValidationError("Has to be a whole number from 1 to 2147483647.")
        return data

    def to_representation(self, value):
        return value


@extend_schema_field({"type": "string", "format": "decimal", "nullable": True})
class Exact(serializers.Field):
    """A decimal, as text or as a JSON number; it leaves as text, digit for digit."""

    def to_internal_value(self, data):
        try:
            return number(data)
        except (ValueError, TypeError, InvalidOperation):
            raise serializers.ValidationError("Has to be a plain decimal such as 12.50.") from None

    def to_representation(self, value):
        return plain_decimal(value)


class Day(serializers.DateField):
    """A calendar day, YYYY-MM-DD."""

    def to_internal_value(self, data):
        if not isinstance(data, str):
            raise serializers.ValidationError("Has to be a day such as 2030-03-01.")
        return super().to_internal_value(data)


@extend_schema_field({"type": "object", "additionalProperties": {"type": "string"}})
class Quantities(serializers.Field):
    """Decimals by billable id."""

    def to_internal_value(self, data):
        if not isinstance(data, dict):
            raise serializers.ValidationError("Has to be an object of decimals by billable id.")
        try:
            return {name: plain_decimal(number(value)) for name, value in data.items()}
        except (ValueError, TypeError, InvalidOperation):
            raise serializers.ValidationError("Every quantity has to be a plain decimal.") from None

    def to_representation(self, value):
        return value


@extend_schema_field({"type": "object", "additionalProperties": {}})
class Override(serializers.Field):
    """An override in Togai's own shape: the complete list of each kind that it touches."""

    def to_internal_value(self, data):
        if not isinstance(data, dict):
            raise serializers.ValidationError("Has to be an object in Togai's shape of an override.")
        return data

    def get_attribute(self, instance):
        return instance

    def to_representation(self, deal):
        override = getattr(deal, self.source)
        if not override or deal.price_plan is None:
            return None
        return overrides.touched(deal.price_plan.details, override)


def plain_decimal(value):
    """A Decimal as plain text without exponent or trailing zeros; None stays None."""
    if value is None:
        return None
    text = format(Decimal(value), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


# --- price plans ---


class RateCardAnswer(serializers.Serializer):
    kind = serializers.CharField()
    billable_id = serializers.CharField()
    name = serializers.CharField()
    details = serializers.JSONField()


class PricePlanAnswer(serializers.ModelSerializer):
    id = serializers.CharField(source="togai_id")

    class Meta:
        model = PricePlan
        fields = [
            "id",
            "version",
            "name",
            "description",
            "type",
            "status",
            "currencies",
            "cycle",
            "is_latest",
            "pulled_at",
        ]


class PricePlanWithCards(PricePlanAnswer):
    rate_cards = RateCardAnswer(many=True)

    class Meta(PricePlanAnswer.Meta):
        fields = [*PricePlanAnswer.Meta.fields, "rate_cards"]


class PricePlanViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet):
    """The newest version of every plan in the catalogue."""

    queryset = PricePlan.objects.filter(is_latest=True)
    lookup_field = "togai_id"
    lookup_value_regex = r"[^/]+"
    filterset_fields = ["type", "status"]

    def get_queryset(self):
        return super().get_queryset().with_cards() if self.action == "retrieve" else super().get_queryset()

    def get_serializer_class(self):
        return PricePlanWithCards if self.action == "retrieve" else PricePlanAnswer


# --- deals ---


class DealAnswer(serializers.ModelSerializer):
    """What a program reads of a purchase or a proposal."""

    reference = serializers.CharField()
    account = serializers.CharField(source="account.togai_id", default=None)
    price_plan = serializers.CharField(source="price_plan.togai_id", default=None)
    price_plan_version = serializers.IntegerField(source="price_plan.version", default=None)
    purchase_plan_override = Override()
    association_override = Override()
    wallet_topup_amount = Exact()
    wallet_purchase_amount = Exact()
    estimate = Exact()
    list_price = Exact()
    togai_price = Exact()
    owner = serializers.CharField(source="owner.username")

    FIELDS = [
        "reference",
        "revision",
        "version",
        "status",
        "content_hash",
        "title",
        "internal_note",
        "owner",
        "account",
        "type",
        "price_plan",
        "price_plan_version",
        "quantity",
        "rate_card_quantities",
        "purchase_plan_override",
        "association_override",
        "wallet_topup_amount",
        "wallet_purchase_amount",
        "effective_from",
        "effective_until",
        "valid_until",
        "expected_volumes",
        "currency",
        "estimate",
        "estimate_per",
        "list_price",
        "togai_id",
        "togai_status",
        "togai_price",
        "togai_currency",
        "togai_invoice_id",
        "togai_comment",
        "togai_refusal",
        "togai_problem",
        "created_at",
        "updated_at",
        "submitted_at",
    ]


class PurchaseAnswer(DealAnswer):
    class Meta:
        model = Purchase
        fields = [*DealAnswer.FIELDS, "released_at"]


class StrictSerializer(serializers.Serializer):
    """Refuses what it does not know, by name (S-06)."""

    def to_internal_value(self, data):
        unknown = sorted(set(data) - set(self.fields))
        if unknown:
            raise serializers.ValidationError({name: ["Unknown field."] for name in unknown})
        return super().to_internal_value(data)


class DealFields(StrictSerializer):
    """What a program may write on a draft; a field that is null is cleared, one that is absent stays."""

    title = Text(required=False, allow_blank=True, max_length=120)
    internal_note = Text(required=False, allow_blank=True, max_length=4000)
    account = Text(required=False, allow_null=True, max_length=50)
    type = serializers.ChoiceField(
        required=False, allow_blank=True, choices=[(kind.value, kind.label) for kind in domain.PurchaseType]
    )
    price_plan = Text(required=False, allow_null=True, max_length=50)
    quantity = Whole(required=False, allow_null=True)
    rate_card_quantities = Quantities(required=False, allow_null=True)
    purchase_plan_override = Override(required=False, allow_null=True)
    association_override = Override(required=False, allow_null=True)
    wallet_topup_amount = Exact(required=False, allow_null=True)
    wallet_purchase_amount = Exact(required=False, allow_null=True)
    effective_from = Day(required=False, allow_null=True)
    effective_until = Day(required=False, allow_null=True)
    valid_until = Day(required=False, allow_null=True)
    expected_volumes = Quantities(required=False, allow_null=True)


class DealEdit(DealFields):
    version = Whole(help_text="The version that you read; an older one is refused with 409.")


class VersionQuestion(StrictSerializer):
    version = Whole(required=False)
    plan_version_seen = Whole(
        required=False,
        help_text="Where the answer was 409 `plan_moved`: the newer version of the plan that it names.",
    )


class HashQuestion(StrictSerializer):
    content_hash = Text(max_length=64, help_text="Of the content that you read.")


class ReasonQuestion(StrictSerializer):
    reason = Text(max_length=1000)


class DealFilter(filters.FilterSet):
    """Filters that an index serves."""

    account = filters.CharFilter(field_name="account__togai_id")
    price_plan = filters.CharFilter(field_name="price_plan__togai_id")
    owner = filters.CharFilter(field_name="owner__username")

    class Meta:
        fields = ["status", "type", "togai_status"]


class PurchaseFilter(DealFilter):
    class Meta(DealFilter.Meta):
        model = Purchase


def refuse_tokens(request):
    """
    Decisions are for people at a screen: no API token carries that right (reliability.md 4.1).

    :raises NotAllowed: the caller signed in with a token
    """
    if isinstance(request.auth, AuthToken):
        raise NotAllowed("An API token never decides. Sign in to decide.")


class DealViewSet(viewsets.GenericViewSet):
    """List, read and draft one kind of deal; subclasses name the model, the services and the verbs."""

    lookup_field = "reference"
    lookup_value_regex = REFERENCE
    model = None
    edit_serializer = DealEdit
    create_serializer = DealFields

    def get_queryset(self):
        return self.model.objects.visible_to(self.request.user).select_related(
            "account", "price_plan", "owner"
        )

    def get_object(self):
        prefix, _, digits = self.kwargs["reference"].partition("-")
        if prefix != self.prefix or digits != f"{int(digits):06d}":
            digits = "0"
        deals = self.get_queryset().prefetch_related("price_plan__rate_cards")
        return get_object_or_404(deals, number=int(digits))

    def list(self, request):
        page = self.paginate_queryset(
            self.filter_queryset(self.get_queryset()).prefetch_related("price_plan__rate_cards")
        )
        return self.get_paginated_response(self.get_serializer(page, many=True).data)

    def retrieve(self, request, reference):
        return Response(self.get_serializer(self.get_object()).data)

    def answer(self, deal, code=status.HTTP_200_OK):
        """The deal as it is now, read again with what its answer shows."""
        fresh = self.get_queryset().prefetch_related("price_plan__rate_cards").get(pk=deal.pk)
        return Response(self.get_serializer(fresh).data, status=code)

    def read(self, serializer):
        """The validated body of this request; the verbs that ask nothing may come without one."""
        if self.action == "create" and not self.request.META.get("CONTENT_LENGTH", "").strip("0"):
            raise exceptions.ParseError("The body has to be a JSON object.")
        question = serializer(data=self.request.data)
        question.is_valid(raise_exception=True)
        return question.validated_data

    def draft_fields(self, given, deal=None):
        """Turn ids and Togai-shaped overrides into model values for `drafts`."""
        fields = dict(given)
        user = self.request.user
        if fields.get("account") is not None:
            fields["account"] = self._row(Account.objects.visible_to(user), fields["account"], "account")
        plan = deal.price_plan if deal else None
        if "price_plan" in fields:
            if fields["price_plan"] is not None:
                # Writing the plan it already has keeps the version that the draft was written on.
                if plan is None or plan.togai_id != fields["price_plan"]:
                    plans = PricePlan.objects.filter(is_latest=True).with_cards()
                    plan = self._row(plans, fields["price_plan"], "price_plan")
                fields["price_plan"] = plan
            else:
                plan = None
        for name in ("purchase_plan_override", "association_override"):
            if fields.get(name):
                fields[name] = self._difference(plan, fields[name], name)
        return fields

    def _row(self, rows, togai_id, field):
        found = rows.filter(togai_id=togai_id).first()
        if found is None:
            raise Invalid([domain.Problem(field, f"There is no {field.replace('_', ' ')} “{togai_id}”.")])
        return found

    def _difference(self, plan, sent, field):
        if plan is None:
            raise Invalid([domain.Problem(field, "An override needs a price plan.")])
        try:
            return overrides.from_sent(plan.details, sent)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise Invalid(
                [domain.Problem(field, f"This is not an override in Togai's shape: {error}")]
            ) from None


class PurchaseViewSet(DealViewSet):
    """Direct purchases: drafted by sales, released by finance."""

    model = Purchase
    prefix = "D"
    queryset = Purchase.objects.none()
    serializer_class = PurchaseAnswer
    filterset_class = PurchaseFilter

    @extend_schema(request=DealFields, responses={201: PurchaseAnswer})
    def create(self, request):
        """Draft a purchase."""
        fields = self.draft_fields(self.read(DealFields))
        return self.answer(services.create(by=request.user, at=timezone.now(), fields=fields), 201)

    @extend_schema(request=DealEdit, responses=PurchaseAnswer)
    def partial_update(self, request, reference):
        """Change fields of a draft."""
        purchase = self.get_object()
        given = self.read(DealEdit)
        version = given.pop("version")
        fields = self.draft_fields(given, purchase)
        return self.answer(
            services.edit(
                purchase_id=purchase.pk, by=request.user, at=timezone.now(), fields=fields, version=version
            )
        )

    @extend_schema(request=VersionQuestion, responses={202: PurchaseAnswer})
    @action(detail=True, methods=["post"])
    def submit(self, request, reference):
        """Ask finance to release it."""
        purchase = self.get_object()
        given = self.read(VersionQuestion)
        done = services.submit(purchase_id=purchase.pk, by=request.user, at=timezone.now(), **given)
        return self.answer(done, 202)

    @extend_schema(request=ReasonQuestion, responses={202: PurchaseAnswer})
    @action(detail=True, methods=["post"])
    def recall(self, request, reference):
        """Take it back into the draft."""
        purchase = self.get_object()
        given = self.read(ReasonQuestion)
        return self.answer(
            services.recall(purchase_id=purchase.pk, by=request.user, at=timezone.now(), **given), 202
        )

    @extend_schema(request=HashQuestion, responses={202: PurchaseAnswer})
    @action(detail=True, methods=["post"])
    def release(self, request, reference):
        """Let it go to Togai (finance)."""
        purchase = self.get_object()
        refuse_tokens(request)
        given = self.read(HashQuestion)
        return self.answer(
            services.release(
                purchase_id=purchase.pk,
                by=request.user,
                at=timezone.now(),
                signed_in_at=signed_in_at(request),
                **given,
            ),
            202,
        )

    @extend_schema(request=ReasonQuestion, responses={202: PurchaseAnswer})
    @action(detail=True, methods=["post"], url_path="send-back")
    def send_back(self, request, reference):
        """Do not release it; it becomes a draft again (finance)."""
        purchase = self.get_object()
        refuse_tokens(request)
        given = self.read(ReasonQuestion)
        return self.answer(
            services.send_back(purchase_id=purchase.pk, by=request.user, at=timezone.now(), **given), 202
        )

    @extend_schema(request=None, responses={201: PurchaseAnswer})
    @action(detail=True, methods=["post"])
    def revise(self, request, reference):
        """Open a purchase that Togai refused for another try."""
        purchase = self.get_object()
        return self.answer(services.revise(purchase_id=purchase.pk, by=request.user, at=timezone.now()), 201)

    @extend_schema(request=None, responses={201: PurchaseAnswer})
    @action(detail=True, methods=["post"])
    def clone(self, request, reference):
        """Draft another one with its commercial fields."""
        purchase = self.get_object()
        return self.answer(services.clone(purchase_id=purchase.pk, by=request.user, at=timezone.now()), 201)
