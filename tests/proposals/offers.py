"""Approved deals for tests of what the customer gets, and the text of a PDF."""

import re
import zlib

from proposals import services
from proposals.models import Proposal
from tests.factories import NOON, draft, finance, submitted


def approved(*, by=None, at=NOON, **fields):
    """A proposal that finance has approved, with what an offer reads of it."""
    proposal = submitted(by=by, at=at, **fields)
    services.approve(
        proposal_id=proposal.pk,
        by=finance(),
        at=at,
        content_hash=proposal.content_hash,
        signed_in_at=at,
    )
    return loaded(proposal)


def drafted(**fields):
    """A draft, with what an offer reads of it."""
    return loaded(draft(**fields))


def loaded(proposal):
    rows = Proposal.objects.select_related("account", "price_plan")
    return rows.prefetch_related("price_plan__rate_cards").get(pk=proposal.pk)


# --- Reading a PDF ---

_HEAD = re.compile(rb"(?<![0-9])(\d+) 0 obj\s")
_LENGTH = re.compile(rb"/Length (\d+)")
_REFERENCE = rb"/%s (\d+) 0 R"
_SHOWN = re.compile(rb"/([\w+-]+) [\d.]+ Tf|\[((?:<[0-9a-fA-F]*>|[^\]])*)\] ?TJ|<([0-9a-fA-F]*)> ?Tj")


def pdf_text(content):
    """
    All text of a PDF of WeasyPrint's, pages and margins, read back from the glyphs that it draws, and all
    text beside the pages: titles, authors, dates.
    """
    objects = dict(_objects(content))
    objects |= dict(_packed(objects))
    maps = {name: _unicode_map(objects, number) for name, number in _fonts(objects)}
    drawn = [_drawn(stream, maps) for _, stream in objects.values() if stream and b" Tf" in stream]
    beside = _literals(b" ".join(said for said, _ in objects.values()))
    xmp = b" ".join(stream for said, stream in objects.values() if b"/Metadata" in said and stream)
    return "\n".join([*drawn, beside, xmp.decode("utf-8", "replace")])


def _objects(content):
    """(number, (dictionary, stream or None)) of what stands in the file itself."""
    place = 0
    while head := _HEAD.search(content, place):
        place = content.index(b"endobj", head.end())
        begins = re.compile(rb"stream\r?\n").search(content, head.end(), place)
        said, stream = content[head.end() : place], None
        if begins:
            said = content[head.end() : begins.start()]
            place = begins.end() + int(_LENGTH.search(said)[1])
            stream = content[begins.end() : place]
            stream = zlib.decompress(stream) if b"/FlateDecode" in said else stream
        yield int(head[1]), (said, stream)


def _packed(objects):
    """Objects that are packed into streams of objects."""
    for said, stream in objects.values():
        if b"/ObjStm" not in said:
            continue
        first = int(re.search(rb"/First (\d+)", said)[1])
        numbers = [int(word) for word in stream[:first].split()]
        places = [*numbers[1::2], len(stream) - first]
        for number, start, end in zip(numbers[::2], places, places[1:], strict=False):
            yield number, (stream[first + start : first + end], None)


def _fonts(objects):
    named = rb"/([\w+-]+) (\d+) 0 R"
    for said, _ in objects.values():
        for fonts in re.findall(rb"/Font ?<<(.*?)>>", said, re.S):
            yield from ((name, int(number)) for name, number in re.findall(named, fonts))
        for fonts in re.findall(_REFERENCE % b"Font", said):
            inner = objects.get(int(fonts), (b"", None))[0]
            yield from ((name, int(number)) for name, number in re.findall(named, inner))


def _unicode_map(objects, number):
    """Glyph to text of a font."""
    found = re.search(_REFERENCE % b"ToUnicode", objects.get(number, (b"", None))[0])
    if not found:
        return {}
    pairs = re.findall(rb"<([0-9a-fA-F]+)> ?<([0-9a-fA-F]+)>\s", objects[int(found[1])][1])
    return {int(glyph, 16): bytes.fromhex(text.decode()).decode("utf-16-be") for glyph, text in pairs}


def _drawn(stream, maps):
    words, font = [], {}
    for name, several, one in _SHOWN.findall(stream):
        if name:
            font = maps.get(name, {})
            continue
        glyphs = b"".join(re.findall(rb"<([0-9a-fA-F]*)>", several)) or one
        codes = [int(glyphs[place : place + 4], 16) for place in range(0, len(glyphs), 4)]
        words.append("".join(font.get(code, "�") for code in codes))
    return " ".join(words)


def _literals(content):
    """The strings outside of pages."""
    found = []
    for text, digits in re.findall(rb"\(((?:\\.|[^\\)])*)\)|<([0-9A-Fa-f]+)>", content):
        raw = bytes.fromhex(digits.decode()) if len(digits) % 2 == 0 and digits else text
        wide = raw.startswith(b"\xfe\xff")
        found.append(raw[2:].decode("utf-16-be", "replace") if wide else raw.decode("latin-1"))
    return " ".join(found)
