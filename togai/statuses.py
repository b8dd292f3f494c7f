"""What Togai's statuses are called here; the code is kept as Togai wrote it (togai.md 5.1)."""

LABELS = {
    "PROPOSAL_ACTIVE": "Proposal active",
    "PROPOSAL_APPROVED": "Proposal approved",
    "PROPOSAL_DECLINED": "Proposal declined",
    "PROPOSAL_EXPIRED": "Proposal expired",
    "PENDING": "Pending",
    "IN_PROGRESS": "In progress",
    "SUCCESS": "Success",
    "FAILURE": "Failure",
}


def label(code):
    """
    The words for a status of Togai's; a status we do not know keeps its own word, never taken for another.
    """
    return LABELS.get(code, code)
