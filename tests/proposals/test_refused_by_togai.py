"""Whatever Togai refuses a proposal with, its author reads it: never a blank, and a way on."""

import ast
import html
import json
import re
from copy import deepcopy
from decimal import Decimal
from pathlib import Path

import pytest

import togai.sandbox
from proposals.models import Proposal
from tests.factories import submitted
from togai.sandbox import contract, exact_json
from togai.sandbox.contract import judging
from togai.sandbox.refusals import Refusal

pytestmark = [pytest.mark.django_db, pytest.mark.one_database]

SANDBOX = Path(togai.sandbox.__file__).parent
SAMPLE = Path(__file__).parents[1] / "samples" / "create_proposal.request.json"
# Where a create is judged, and what else stands there: these functions serve other calls.
JUDGES = ("rules.py", "calls/purchases.py", "contract/judging.py", "moments.py")
JUDGES += tuple(f"contract/{name}.py" for name in ("values", "cards", "overrides", "purchases"))
PLACE = "purchasePlanOverride.fixedFeeRateCards[0].id"


def written_in(name):
    """What a file of the sandbox refuses with, its variable parts filled in."""
    for node in ast.walk(ast.parse((SANDBOX / name).read_text(), name)):
        match node:
            case ast.Call(func=ast.Name(id="bad_request" | "ValueError" as said), args=[text, *_]):
                words = filled(text)
                if words:
                    yield words if said == "bad_request" else f"{PLACE}: {words}"


def filled(text):
    match text:
        case ast.Constant(value=str(words)):
            return words
        case ast.JoinedStr(values=parts):
            return "".join(part.value if isinstance(part, ast.Constant) else "it's <here>" for part in parts)
    return ""


def broken(value):
    """The same value in the ways in which a body goes wrong, one at a time."""
    if isinstance(value, dict):
        yield {**value, "unheardOf": 1}
        for key, inner in value.items():
            yield {name: one for name, one in value.items() if name != key}
            for other in (None, True, "", "x" * 300, -1, Decimal("1.5"), 10**16, [], {}):
                yield {**value, key: other}
            for worse in broken(inner):
                yield {**value, key: worse}
    if isinstance(value, list):
        for index, inner in enumerate(value):
            yield [*value, deepcopy(inner)]
            for worse in broken(inner):
                yield [*value[:index], worse, *value[index + 1 :]]


def judged():
    """What the contract itself says to each of them; one message of every kind, whatever the place."""
    by_words = {}
    for body in broken(exact_json.loads(SAMPLE.read_bytes())):
        try:
            judging.check(contract.CreateProposal, body)
        except Refusal as refusal:
            by_words.setdefault(re.sub(r"\S+: ", "", refusal.message), refusal.message)
    return by_words.values()


MESSAGES = sorted(
    {words for name in JUDGES for words in written_in(name)}
    | {f"{PLACE}: {words}" for words in judging.PLAIN_WORDS.values()}
    | set(judged())
)


def refused(togai, worker, status, text):
    proposal = submitted()
    togai.next_answers = [(status, text)]
    worker.work()
    return Proposal.objects.get(pk=proposal.pk)


def banner(client, proposal):
    client.force_login(proposal.owner)
    page = client.get(proposal.get_absolute_url()).content.decode()
    found = re.search(r'<div class="note note--bad" role="alert"><div>(.*?)</div></div>', page, flags=re.S)
    words = html.unescape(re.sub(r"<[^>]+>", " ", found[1]))
    assert "Togai refused this proposal" in words
    assert f"/proposals/{proposal.reference}/revise/" in page
    return " ".join(words.split())


def test_the_messages_are_all_of_the_sandboxs():
    """G-05: of rules, contract and single values; and a check that joins them is looked at by itself."""
    for words in ("expiryDate: must be in the future.", f"{PLACE}: PACKAGE needs slabConfig.packageSize"):
        assert words in MESSAGES
    assert any(words.startswith("effectiveFrom: clashes with schedule") for words in MESSAGES)
    assert any("unknown key" in words for words in judged())
    assert len(MESSAGES) > 60


@pytest.mark.parametrize("message", MESSAGES, ids=lambda words: re.sub(r"[^\w]+", "-", words)[:60])
def test_every_refusal_of_a_create_stands_in_the_banner(togai, worker, client, message):
    """G-05: with the place that it names, as text, and with the way to the next revision."""
    status = 400 if len(message) % 2 else 422
    proposal = refused(togai, worker, status, json.dumps({"message": message}))
    assert proposal.togai_refusal == " ".join(message.split())
    assert proposal.togai_refusal in banner(client, proposal)


@pytest.mark.parametrize("status", [400, 422])
@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        '{"message": ""}',
        '{"message": " \\u0007 \\u200b "}',
        '{"message": {"a": 1}}',
        "<html>Bad</html>",
    ],
    ids=["nothing", "no message", "empty", "invisible", "no text", "a page of a proxy"],
)
def test_a_refusal_without_words_is_never_blank(togai, worker, client, status, text):
    """G-05: then the banner says that Togai did not say why."""
    said = banner(client, refused(togai, worker, status, text))
    assert "Togai refused this without saying why." in said
