"""
An offer as a PDF, made while somebody waits for it: about a quarter of a second.

WeasyPrint is imported here, inside the function: it needs Pango from the system's packages, and a machine
without it still serves everything else. Nothing is fetched from anywhere but our own static files, whatever
stands in a name.
"""

import logging
from pathlib import Path
from urllib.parse import unquote, urlsplit

from django.conf import settings
from django.contrib.staticfiles import finders
from django.contrib.staticfiles.storage import staticfiles_storage
from django.core.exceptions import SuspiciousOperation

from audit.refusals import Refusal

log = logging.getLogger(__name__)

# A page of text is 5 KB. Whoever offers more than this wants another kind of document, and somebody waits
# while it is made.
LONGEST_HTML = 400_000
# Relative addresses begin here: a host that no network has.
HOST = "deal-desk.invalid"


class NoPDF(Refusal):
    """The PDF cannot be made: on this machine, or of this offer."""

    http_status = 503
    code = "no_pdf"


def pdf(html):
    """
    The PDF of a page, as bytes; the same page gives the same bytes.

    :raises NoPDF: the machine lacks what it takes, or the page is too long
    """
    if len(html) > LONGEST_HTML:
        raise NoPDF(
            "This offer is too long for a PDF. The page of the link shows all of it, and can be printed."
        )
    weasyprint = _weasyprint()
    page = weasyprint.HTML(string=html, base_url=f"https://{HOST}/", url_fetcher=_fetcher())
    return page.write_pdf(pdf_variant="pdf/ua-1")


def _weasyprint():
    try:
        import weasyprint
    except (OSError, ImportError) as missing:
        # Its own message names the library that lacks.
        log.warning("pdf.unavailable", extra={"why": str(missing).split("\n")[0][:300]})
        raise NoPDF(
            "No PDF can be made at the moment: the server lacks a part that it takes (Pango). "
            "Whoever runs Deal Desk finds what to install in the handbook, under “No PDF can be made”."
        ) from None
    return weasyprint


def _fetcher():
    from weasyprint.urls import URLFetcher, URLFetcherResponse

    class StaticFiles(URLFetcher):
        """Serves our own static files and refuses every other address."""

        def fetch(self, url, headers=None):
            path = _static_file(url)
            if path is None:
                raise ValueError("Only our own static files may stand in a PDF.")
            kind = {".css": "text/css", ".svg": "image/svg+xml", ".png": "image/png"}.get(path.suffix)
            return URLFetcherResponse(url, path.read_bytes(), {"Content-Type": kind or "text/plain"})

    return StaticFiles()


def _static_file(url):
    """The file behind the address of one of our static files; None for any other address."""
    parts = urlsplit(url)
    prefix = settings.STATIC_URL if settings.STATIC_URL.startswith("/") else f"/{settings.STATIC_URL}"
    path = unquote(parts.path)
    if (parts.scheme, parts.netloc) != ("https", HOST) or not path.startswith(prefix):
        return None
    name = path.removeprefix(prefix)
    try:
        # Where the files are collected, their names carry a hash that the sources do not know.
        if found := finders.find(name):
            return Path(found)
        return Path(staticfiles_storage.path(name)) if staticfiles_storage.exists(name) else None
    except (SuspiciousOperation, ValueError):
        # Django refuses what climbs out of the folder.
        return None
