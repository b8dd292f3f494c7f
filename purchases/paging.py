"""Lists of purchases and proposals page as every list does; see `audit.paging`."""

from audit.paging import PAGE_SIZE, Page, page_of

__all__ = ["PAGE_SIZE", "Page", "page_of"]
