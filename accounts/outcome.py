"""What Togai says about an account, written into the columns that are Togai's."""

from accounts.models import Account, search_text_of
from audit import services as audit
from togai import strict_json, subjects
from togai.errors import ContractChanged

# Our column for each key that an edit of an account may send.
COLUMNS = {"name": "name", "netTermDays": "net_term_days", "tags": "tags", "primaryEmail": "email"}

_LARGEST = 2**31 - 1


# What a whole record leaves out is empty at Togai; a name, an id and a currency are never empty there.
_EMPTY = {"aliases": [], "tags": [], "net_term_days": None, "email": "", "address": {}, "metadata": {}}


def facts_of(remote, *, whole=True):
    """
    The columns that Togai's record of an account fills.

    :param remote: a `wire.RemoteAccount`
    :param whole: whether what the record leaves out is empty at Togai, or just not said
    :raises ContractChanged: for a value that no column holds
    """
    said = {
        "togai_account_id": remote.togai_account_id,
        "name": remote.name,
        "customer_id": remote.customer_id,
        "currency": remote.invoice_currency,
        "status": remote.status,
        "aliases": None if remote.aliases is None else list(remote.aliases),
        "tags": None if remote.tags is None else list(remote.tags),
        "net_term_days": remote.net_term_days,
        "email": remote.primary_email,
        "address": remote.address,
        "metadata": remote.metadata,
    }
    facts = {name: value for name, value in said.items() if value is not None}
    for name, value in facts.items():
        longest = Account._meta.get_field(name).max_length
        if longest and len(value) > longest:
            raise ContractChanged(f"The account's {name} is longer than {longest} characters.", reason=name)
    if not 0 <= facts.get("net_term_days", 0) <= _LARGEST:
        raise ContractChanged("The account's net term is not a number of days.", reason="net_term_days")
    return _EMPTY | facts if whole else facts


def take_over(account, facts, *, at, verb, batch_id=None):
    """
    Set columns of an account to what Togai says, unsaved, and put on record what moved.

    :param account: locked, in the transaction that will save it
    :returns: the names of the columns that moved, `version` and `search_text` among them; [] when none did
    """
    moved = {name: value for name, value in facts.items() if getattr(account, name) != value}
    account.pulled_at = at
    if not moved:
        return []
    before = {name: getattr(account, name) for name in moved}
    for name, value in moved.items():
        setattr(account, name, value)
    account.search_text = search_text_of(account)
    # A form that was opened on the old facts is refused.
    account.version += 1
    audit.record(account, verb, by=None, at=at, before=before, after=moved, batch_id=batch_id)
    return [*moved, "version", "search_text"]


def asked_for(delivery):
    """The columns that a delivery of an edit would change, as the values it sends."""
    sent = strict_json.loads(bytes(delivery.body))
    return {COLUMNS[key]: value for key, value in sent.items() if key in COLUMNS}


class AccountListener:
    """Follows the edits of accounts; see `togai.subjects.Listener`."""

    def confirmed(self, delivery, remote, *, at):
        try:
            said = facts_of(remote, whole=False)
        except ContractChanged:
            # The change itself is confirmed; the next pull reports what is odd about the rest.
            said = {}
        self._take_over(delivery.subject_id, asked_for(delivery) | said, at=at, verb="edit_confirmed")

    def rejected(self, delivery, *, message, at):
        account = self._locked(delivery.subject_id)
        audit.record(account, "refused_by_togai", by=None, at=at, after={"message": message})

    def stuck(self, delivery, *, message, at):
        account = self._locked(delivery.subject_id)
        audit.record(account, "needs_a_person", by=None, at=at, after={"message": message})

    def seen(self, subject_id, remote, *, at):
        self._take_over(subject_id, facts_of(remote), at=at, verb="pull")

    def stale(self, delivery, *, at):
        """An edit of an account is meant until the next one, which replaces it."""
        return ""

    def _take_over(self, subject_id, facts, *, at, verb):
        account = self._locked(subject_id)
        moved = take_over(account, facts, at=at, verb=verb)
        account.save(update_fields=[*moved, "pulled_at"])

    def _locked(self, subject_id):
        return Account.objects.select_for_update().get(pk=subject_id)


def listen():
    """Have the deliveries of accounts reported here."""
    subjects.register(Account._meta.label, AccountListener())
