"""Who has to approve a submitted proposal, and who may give which yes (design.md 4)."""

from dataclasses import dataclass

from audit.roles import Role, has_role


@dataclass(frozen=True)
class Stage:
    """One yes that is needed: the role that gives it and, in words, why."""

    role: Role
    because: str


# Who may give the yes of a stage besides the role itself: the CFO stands above finance (reliability.md 4.1).
STANDS_IN = {Role.FINANCE: (Role.FINANCE, Role.CFO)}


def stages(proposal):
    """The stages of a proposal in their order; every proposal needs finance (P-02)."""
    return [Stage(Role.FINANCE, "Every proposal needs finance.")]


def may_take(step, user):
    """Whether a person's roles let them decide this step; four eyes are checked apart."""
    role = Role(step.role)
    return has_role(user, *STANDS_IN.get(role, (role,)))
