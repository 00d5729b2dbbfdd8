"""Sizes of memory as people write them."""

import operator
import re

from bloomery.errors import ArgumentError


def byte_size(size: str | int, name: str = "size") -> int:
    """A size such as ``"16MB"``, ``"1.5 GB"``, ``"512MiB"`` or ``300_000`` in bytes.

    Units are decimal (``kB`` is 1,000 bytes); ``KiB`` and the like are binary.

    Args:
        size: The size.
        name: What an error calls it.

    Raises:
        ArgumentError: It is not a size, or not above zero.
        TypeError: It is neither a string nor a whole number.
    """
    if isinstance(size, str):
        match = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?(?:e[0-9]{1,2})?)\s*(?:([kmgtp])(i?))?b?\s*", size, re.IGNORECASE)
        if match is None:
            raise ArgumentError(f"{name} {size!r} is not a size: write it as 16MB, 1.5GB, 512MiB or a number of bytes")
        factor = (1024 if match[3] else 1000) ** " kmgtp".index((match[2] or " ").lower())
        number = round(float(match[1]) * factor)
    else:
        number = operator.index(size)
    if number <= 0:
        raise ArgumentError(f"{name} must be above zero, not {size!r}")
    return number
