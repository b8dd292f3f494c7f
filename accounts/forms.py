"""What people type about accounts: filters of the list, an edit, a new owner."""

from django import forms
from django.contrib.auth import get_user_model

from accounts.models import Account, Team
from accounts.services import LONGEST_NET_TERM
from audit.roles import DRAFTS, SEES_EVERYTHING, Role, has_role

LONGEST_SEARCH = 200
# A list of people stays a list; an office with more of them needs a search here.
MOST_PEOPLE = 300


class FilterForm(forms.Form):
    """The filters of the list of accounts as read from the address; only known values pass."""

    q = forms.CharField(label="Search", required=False, max_length=LONGEST_SEARCH)
    status = forms.ChoiceField(
        label="Status", required=False, choices=[("", "Every status"), *Account.Status.choices]
    )
    currency = forms.RegexField(label="Currency", regex=r"^[A-Za-z]{3}$", required=False)
    owner = forms.ChoiceField(label="Owner", required=False)

    def __init__(self, *args, user, **kwargs):
        super().__init__(*args, **kwargs)
        people = people_seen_by(user)
        self.sees_several = bool(people)
        self.fields["owner"].choices = [
            ("", "Every owner"),
            ("me", "Me"),
            *([("nobody", "Nobody")] if has_role(user, *SEES_EVERYTHING) else []),
            *((str(person.pk), name_of(person)) for person in people),
        ]

    def clean_currency(self):
        return self.cleaned_data["currency"].upper()


class EditForm(forms.Form):
    """The fields of an account that are edited here and sent to Togai."""

    name = forms.CharField(min_length=3, max_length=255)
    email = forms.EmailField(label="E-mail for invoices", required=False, max_length=320)
    net_term_days = forms.IntegerField(
        label="Net term", required=False, min_value=0, max_value=LONGEST_NET_TERM
    )
    tags = forms.CharField(
        required=False, max_length=2000, help_text="Separated by commas. Togai keeps them in lower case."
    )
    version = forms.IntegerField(widget=forms.HiddenInput)

    @classmethod
    def initial_of(cls, account, waiting):
        """What the form first shows: the account, with a change that waits to be sent already in it."""
        values = {name: getattr(account, name) for name in ("name", "email", "net_term_days", "tags")}
        values |= waiting
        return values | {"tags": ", ".join(values["tags"]), "version": account.version}

    def clean_tags(self):
        return [tag.strip() for tag in self.cleaned_data["tags"].split(",") if tag.strip()]

    def fields_for_service(self):
        """The cleaned fields by the names that `services.edit` takes."""
        return {name: self.cleaned_data[name] for name in ("name", "email", "net_term_days", "tags")}

    def take_problems(self, problems):
        """Show a refusal's problems at their fields."""
        for problem in problems:
            field = problem.field if problem.field in self.fields else None
            self.add_error(field, problem.message)


class OwnerForm(forms.Form):
    """Who looks after an account."""

    to = forms.ModelChoiceField(
        label="Owner", queryset=get_user_model().objects.none(), required=False, empty_label="Nobody"
    )

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.fields["to"].queryset = people_who_draft()
        self.fields["to"].label_from_instance = name_of


def name_of(person):
    """A person's name, or the sign-in name where none is known."""
    return person.get_full_name() or person.get_username()


def people_who_draft():
    """The active people who may own accounts and deals, by name."""
    names = [role.value for role in DRAFTS]
    people = get_user_model().objects.filter(is_active=True, groups__name__in=names).distinct()
    return people.order_by("first_name", "last_name", "pk")


def people_seen_by(user):
    """The other people whose accounts and deals somebody may see and filter by; at most 300."""
    if has_role(user, *SEES_EVERYTHING):
        people = people_who_draft()
    elif has_role(user, Role.MANAGER):
        people = get_user_model().objects.filter(teams__in=Team.objects.filter(managers=user))
        people = people.filter(is_active=True).distinct().order_by("first_name", "last_name", "pk")
    else:
        return []
    return list(people.exclude(pk=user.pk).only("username", "first_name", "last_name")[:MOST_PEOPLE])
