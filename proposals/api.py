"""Proposals for programs: the same services, the same refusals."""

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.response import Response

from audit.sign_in import signed_in_at
from proposals import services
from proposals.models import Decision, Proposal
from purchases import terms as domain
from purchases.api import (
    DealAnswer,
    DealEdit,
    DealFields,
    DealFilter,
    DealViewSet,
    HashQuestion,
    StrictSerializer,
    Text,
    VersionQuestion,
    refuse_tokens,
)


class DecisionAnswer(serializers.ModelSerializer):
    by = serializers.CharField(source="by.username")

    class Meta:
        model = Decision
        fields = ["verb", "by", "at", "reason_code", "reason", "content_hash"]


class ProposalAnswer(DealAnswer):
    class Meta:
        model = Proposal
        fields = [*DealAnswer.FIELDS, "payment_mode", "is_live", "decided_at", "togai_responded_at"]


class ProposalWithDecisions(ProposalAnswer):
    decisions = DecisionAnswer(many=True)

    class Meta(ProposalAnswer.Meta):
        fields = [*ProposalAnswer.Meta.fields, "decisions"]


class _PaymentMode(StrictSerializer):
    payment_mode = serializers.ChoiceField(
        required=False, allow_blank=True, choices=[(mode.value, mode.label) for mode in domain.PaymentMode]
    )


class ProposalFields(DealFields, _PaymentMode):
    """What a program may write on a proposal draft."""


class ProposalEdit(DealEdit, _PaymentMode):
    """The same, with the version that was read."""


class CodedReason(StrictSerializer):
    reason_code = Text(max_length=40)
    reason = Text(max_length=1000)


class Refusing(CodedReason, HashQuestion):
    """Why, and the content that was read."""


class LineNoteFields(StrictSerializer):
    line = Text(max_length=120)
    label = Text(max_length=255)
    text = Text(max_length=500)


class SayingNo(Refusing):
    """With notes on single lines of the terms, which the author finds there when revising."""

    line_notes = LineNoteFields(many=True, required=False, max_length=50)


class ProposalFilter(DealFilter):
    class Meta(DealFilter.Meta):
        model = Proposal
        fields = [*DealFilter.Meta.fields, "payment_mode"]


class ProposalViewSet(DealViewSet):
    """Proposals, by their newest revision: drafted by sales, decided by finance."""

    model = Proposal
    prefix = "P"
    queryset = Proposal.objects.none()
    serializer_class = ProposalAnswer
    filterset_class = ProposalFilter

    def get_queryset(self):
        return super().get_queryset().live()

    @extend_schema(responses=ProposalWithDecisions)
    def retrieve(self, request, reference):
        """Read one proposal with its decisions."""
        return Response(ProposalWithDecisions(self.get_object()).data)

    @extend_schema(responses=ProposalWithDecisions(many=True), filters=False)
    @action(detail=True, pagination_class=None)
    def revisions(self, request, reference):
        """Every revision of the deal, newest first."""
        revisions = (
            Proposal.objects.visible_to(request.user)
            .filter(number=self.get_object().number)
            .select_related("account", "price_plan", "owner")
            .prefetch_related("price_plan__rate_cards", "decisions__by")
            .order_by("-revision")
        )
        return Response(ProposalWithDecisions(revisions, many=True).data)

    @extend_schema(request=ProposalFields, responses={201: ProposalAnswer})
    def create(self, request):
        """Draft a proposal."""
        fields = self.draft_fields(self.read(ProposalFields))
        return self.answer(services.create(by=request.user, at=timezone.now(), fields=fields), 201)

    @extend_schema(request=ProposalEdit, responses=ProposalAnswer)
    def partial_update(self, request, reference):
        """Change fields of a draft."""
        proposal = self.get_object()
        given = self.read(ProposalEdit)
        version = given.pop("version")
        return self._do(services.edit, proposal, fields=self.draft_fields(given, proposal), version=version)

    @extend_schema(request=VersionQuestion, responses={202: ProposalAnswer})
    @action(detail=True, methods=["post"])
    def submit(self, request, reference):
        """Submit it for approval."""
        return self._do(services.submit, self.get_object(), code=202, **self.read(VersionQuestion))

    @extend_schema(request=CodedReason, responses={202: ProposalAnswer})
    @action(detail=True, methods=["post"])
    def recall(self, request, reference):
        """Take it back before it is decided."""
        return self._do(services.recall, self.get_object(), code=202, **self.read(CodedReason))

    @extend_schema(request=HashQuestion, responses={202: ProposalAnswer})
    @action(detail=True, methods=["post"])
    def approve(self, request, reference):
        """Approve it (finance)."""
        return self._decide(services.approve, HashQuestion, signed_in_at=signed_in_at(self.request))

    @extend_schema(request=SayingNo, responses={202: ProposalAnswer})
    @action(detail=True, methods=["post"])
    def decline(self, request, reference):
        """Decline it (finance)."""
        return self._decide(services.decline, SayingNo)

    @extend_schema(request=SayingNo, responses={202: ProposalAnswer})
    @action(detail=True, methods=["post"], url_path="request-changes")
    def request_changes(self, request, reference):
        """Give it back with notes (finance)."""
        return self._decide(services.request_changes, SayingNo)

    @extend_schema(request=None, responses={201: ProposalAnswer})
    @action(detail=True, methods=["post"])
    def revise(self, request, reference):
        """Open the next revision as a draft."""
        return self._do(services.revise, self.get_object(), code=201)

    @extend_schema(request=None, responses={201: ProposalAnswer})
    @action(detail=True, methods=["post"])
    def clone(self, request, reference):
        """Draft another one with its commercial fields."""
        return self._do(services.clone, self.get_object(), code=201)

    def _decide(self, verb, question, **proof):
        proposal = self.get_object()
        refuse_tokens(self.request)
        given = self.read(question)
        if "line_notes" in given:
            given["line_notes"] = [
                (note["line"], note["label"], note["text"]) for note in given["line_notes"]
            ]
        return self._do(verb, proposal, code=202, **given, **proof)

    def _do(self, verb, proposal, *, code=200, **given):
        done = verb(proposal_id=proposal.pk, by=self.request.user, at=timezone.now(), **given)
        return self.answer(done, code)
