"""The page where a proposal is drafted; `purchases.views.editor` draws it for both kinds of deal."""

from proposals import reading, services
from proposals.forms import ProposalForm
from proposals.models import Proposal
from purchases import deal_templates
from purchases.views import editor

PROPOSALS = editor.Desk(
    model=Proposal,
    deals=lambda user: Proposal.objects.visible_to(user).live(),
    form=ProposalForm,
    namespace="proposals",
    word="proposal",
    create=services.create,
    edit=lambda pk, **change: services.edit(proposal_id=pk, **change),
    submit=lambda pk, **verb: services.submit(proposal_id=pk, **verb),
    clone=lambda pk, **given: services.clone(proposal_id=pk, **given),
    start=lambda pk, **given: deal_templates.start(Proposal, template_id=pk, sequence="proposal", **given),
    said=reading.said_before,
    template="proposals/editor.html",
    submit_label="Save and submit",
    submitted="{} is submitted for approval.",
    list_label="Proposals",
)


def new(request):
    """Draft a proposal; see `editor.new`."""
    return editor.new(request, PROPOSALS)


def start(request):
    """Open a draft with terms from before; see `editor.start`."""
    return editor.start(request, PROPOSALS)


def edit(request, number):
    """Go on with a draft; see `editor.edit`."""
    return editor.edit(request, number, PROPOSALS)


def estimate(request):
    """What the typed proposal would cost; see `editor.estimate`."""
    return editor.estimate(request, PROPOSALS)
