"""A value that refuses to be printed."""

from typing import NoReturn, Self

MASK = "***"
SIZE_LIMIT = 4096


class Secret:
    """
    A token that shows itself only to ``reveal()``; printed, formatted or pickled it is ``***``.

    :raises ValueError: if the value is empty, has white space, is not plain ASCII or is over 4 KB. The
        message never holds the value, unlike that of the HTTP library, which prints a bad header whole.
    """

    __slots__ = ("__value",)

    def __init__(self, value: str) -> None:
        if not value:
            raise ValueError("The secret is empty.")
        if len(value) > SIZE_LIMIT:
            raise ValueError(f"The secret is longer than {SIZE_LIMIT} characters.")
        if not all("!" <= letter <= "~" for letter in value):
            raise ValueError("The secret holds white space or characters outside plain ASCII.")
        self.__value = value

    def reveal(self) -> str:
        """The value itself. Call it where it is put on the wire and keep it in no variable."""
        return self.__value

    def __repr__(self) -> str:
        return MASK

    def __str__(self) -> str:
        return MASK

    def __format__(self, spec: str) -> str:
        return format(MASK, spec)

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __reduce__(self) -> "tuple[type[Secret], tuple[str]]":
        return Secret, (MASK,)

    def __getstate__(self) -> NoReturn:
        raise TypeError("A secret has no state to show.")
