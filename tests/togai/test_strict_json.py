import contextlib
import copy
import json
import pickle
from decimal import Decimal as D

import pytest
from hypothesis import given
from hypothesis import strategies as st

from togai.errors import Busy, ContractChanged, NotSent, Refused, Unconfirmed, cleaned
from togai.secret import Secret
from togai.strict_json import JSONRefused, dumps, loads, plain


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[" * 100_000, "Too large"),
        ("[" * 60_000, "Nested too deeply"),
        ("[" * 5_000 + "]" * 5_000, "Nested too deeply"),
        ('{"a":' * 21 + "1" + "}" * 21, "Nested too deeply"),
        ("[" * 21 + "]" * 21, "Nested too deeply"),
        ("9" * 5_000, "too large"),
        ("9007199254740993", "too large"),
        ("-9007199254740993", "too large"),
        ("1" + "0" * 17, "too large"),
        ("NaN", "NaN"),
        ("[Infinity]", "Infinity"),
        ('{"rate": -Infinity}', "-Infinity"),
        ("1e999", "too large"),
        ("1e99999999999999999999", "too large"),
        ("1e-999", "too small"),
        ("0." + "1" * 200, "too long"),
        (r'"\u0000"', "cannot be stored"),
        (r'{"a\u0000": 1}', "cannot be stored"),
        (r'["\ud800"]', "cannot be stored"),
        (r'{"\udfff": 1}', "cannot be stored"),
        ('"\ud800"', "cannot be stored"),
        ('{"status": "DECLINED", "status": "APPROVED"}', "appears twice"),
        (r'{"a": 1, "\u0061": 2}', "appears twice"),
        ('{"' + "k" * 201 + '": 1}', "key is too long"),
        (json.dumps([0] * 5_000), "Too many values"),
        (json.dumps({str(number): {} for number in range(5_000)}), "Too many values"),
        (b"\xff\xfe", "UTF-8"),
        (b'"\xed\xa0\x80"', "UTF-8"),
        (b'\xef\xbb\xbf{"a": 1}', "byte order mark"),
        ("", "Not valid JSON"),
        ("{", "Not valid JSON"),
        ("{'a': 1}", "Not valid JSON"),
        ('{"a": 1} x', "Not valid JSON"),
        ('"\x01"', "Not valid JSON"),
        ('"' + '\\"' * 30_000, "Not valid JSON"),
        ('"' * 65_537, "Too large (at most 64 KB)"),
        ("é" * 32_769, "Too large (at most 64 KB)"),
    ],
)
def test_hostile_json_is_refused_with_a_sentence_a_rep_understands(text, why):
    """S-08"""
    with pytest.raises(JSONRefused) as refusal:
        loads(text)
    assert why in str(refusal.value)
    assert str(refusal.value).endswith(".")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("[" * 20 + "]" * 20, eval("[" * 20 + "]" * 20)),
        ("9007199254740992", 2**53),
        ("-9007199254740992", -(2**53)),
        ('{"' + "k" * 200 + '": "v"}', {"k" * 200: "v"}),
        (json.dumps([0] * 4_999), [0] * 4_999),
        ('"' + "a" * 65_534 + '"', "a" * 65_534),
        (r'"\ud83d\ude00"', "\U0001f600"),
        (b'{"name": "M\xc3\xbcller"}', {"name": "Müller"}),
        ('"[[[[[[[[[[[[[[[[[[[[[[[["', "[" * 24),
        (r'"\"[[[[[[[[[[[[[[[[[[[[[[["', '"' + "[" * 23),
        ("null", None),
        ("[true, false, 1]", [True, False, 1]),
    ],
)
def test_json_at_each_limit_is_taken_in(text, value):
    """S-08"""
    assert loads(text) == value


def test_fractions_become_decimals_digit_by_digit():
    """R-16"""
    assert loads("[0.1, 8.50, 1.0, 1e2]") == [D("0.1"), D("8.50"), D("1.0"), D("1E+2")]
    assert all(isinstance(number, D) for number in loads("[0.1, 1.0, 1e2]"))
    assert isinstance(loads("1"), int)


def test_limits_can_be_widened_for_answers():
    """S-08"""
    deep = "[" * 64 + "]" * 64
    assert loads(deep, max_depth=64) == json.loads(deep)
    with pytest.raises(JSONRefused, match="at most 64 levels"):
        loads("[" + deep + "]", max_depth=64)


def test_evidence_keeps_unstorable_characters_in_a_visible_form():
    """R-20"""
    read = loads(r'{"comment": "a\u0000b", "\ud800": ["\udfff"], "ok": "\\u0000"}', escape_unstorable=True)
    assert read == {"comment": r"a\u0000b", r"\ud800": [r"\udfff"], "ok": r"\u0000"}
    with pytest.raises(JSONRefused, match="appears twice"):
        loads(r'{"\u0000": 1, "\\u0000": 2}', escape_unstorable=True)


@pytest.mark.parametrize(
    ("number", "text"),
    [
        ("1E+2", "100"),
        ("1.0", "1"),
        ("0.0000001", "0.0000001"),
        ("-0.00", "0"),
        ("-12.340", "-12.34"),
        ("0E+5", "0"),
        ("999999999999999", "999999999999999"),
        ("0.123456789012345", "0.123456789012345"),
    ],
)
def test_decimals_leave_as_plain_numbers(number, text):
    """R-16"""
    assert plain(D(number)) == text
    assert dumps({"rate": D(number)}) == b'{"rate":' + text.encode() + b"}"


@pytest.mark.parametrize(
    "value",
    [
        0.1,
        float("nan"),
        D("NaN"),
        D("Infinity"),
        D("-Infinity"),
        D("0.1234567890123456"),
        D("1234567890123456"),
        D("1E+40"),
        D("1E-40"),
        2**53 + 1,
        {1: "a"},
        {"a": "\x00"},
        {"\ud800": "a"},
        {"a": {1, 2}},
        b"bytes",
    ],
    ids=repr,
)
def test_what_would_not_arrive_unchanged_is_not_written(value):
    """R-16"""
    with pytest.raises(ValueError, match=r"\.$"):
        dumps([value])


def test_written_bytes_are_canonical():
    """R-14"""
    assert (
        dumps({"b": [D("2.50"), True, None], "a": {"ü": "é\n"}})
        == '{"a":{"ü":"é\\n"},"b":[2.5,true,null]}'.encode()
    )
    assert dumps({"a": 1, "b": 2}) == dumps({"b": 2, "a": 1})


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(2**53), 2**53)
        | st.decimals(min_value=-(10**9), max_value=10**9, places=5)
        | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=20),
        lambda inner: (
            st.lists(inner, max_size=4) | st.dictionaries(st.text('abcü"\\[{', max_size=5), inner, max_size=4)
        ),
        max_leaves=20,
    )
)
def test_what_is_written_reads_back_the_same(value):
    """R-16: a binary-double server reads the same numbers that a decimal one does."""
    written = dumps(value)
    assert loads(written) == value
    assert dumps(loads(written)) == written
    assert json.loads(written, parse_float=lambda text: D(repr(float(text)))) == value


@given(st.text(max_size=200) | st.binary(max_size=200))
def test_any_text_is_read_or_refused_and_nothing_else(text):
    """S-08"""
    with contextlib.suppress(JSONRefused):
        loads(text)


def test_a_secret_shows_itself_to_nobody_who_prints():
    """S-20"""
    secret = Secret("tk-canary-51")
    shown = [
        repr(secret),
        str(secret),
        f"{secret}",
        f"{secret:>5}",
        "token: " + str(secret),
        repr([secret]),
        repr({"t": secret}),
    ]
    assert all("canary" not in text and "***" in text for text in shown)
    assert b"canary" not in pickle.dumps(secret)
    assert str(pickle.loads(pickle.dumps(secret))) == "***"
    assert copy.deepcopy({"token": secret})["token"].reveal() == "tk-canary-51"
    assert not hasattr(secret, "__dict__")
    with pytest.raises(TypeError) as refusal:
        secret.__getstate__()
    assert "canary" not in str(refusal.value)


@pytest.mark.parametrize(
    "value",
    [
        "",
        " ",
        "canary\n",
        "\tcanary",
        "can ary",
        "canary\r\nX: y",
        "cänary",
        "canary\x00",
        "canary\x7f",
        "canary" * 700,
    ],
)
def test_a_secret_that_cannot_be_a_header_is_refused_without_being_shown(value):
    """S-20"""
    with pytest.raises(ValueError, match="The secret") as refusal:
        Secret(value)
    assert "nary" not in str(refusal.value)


def test_a_strangers_message_becomes_one_harmless_line():
    hostile = "no\r\nplan\x00 \u202egnp.exe\u202c \ud800<b>" + "x" * 900
    line = cleaned(hostile)
    assert line.startswith("no plan gnp.exe <b>xxx")
    assert len(line) == 500
    error = ContractChanged("It has no id.", reason="no_id", remote_message=hostile, raw="\x00" + "r" * 5_000)
    assert (str(error), len(error.remote_message), len(error.raw)) == ("It has no id.", 500, 2_048)
    assert "\x00" not in error.raw


def test_errors_say_what_to_do_next_by_their_class():
    assert issubclass(Busy, NotSent)
    assert issubclass(ContractChanged, Unconfirmed)
    assert not issubclass(Unconfirmed, NotSent)
    kept = pickle.loads(
        pickle.dumps(Refused("Not like this.", reason="content", status=400, remote_message="no"))
    )
    assert (str(kept), kept.reason, kept.status, kept.remote_message) == (
        "Not like this.",
        "content",
        400,
        "no",
    )
