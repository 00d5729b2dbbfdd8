"""Sizes and durations as people read them."""

_MINUTE, _HOUR, _DAY = 60, 3600, 86400


def human_bytes(size: float, *, digits: int = 1) -> str:
    """A size in decimal units: `34.1 MB`."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.{digits}f} {unit}"
        size /= 1000
    return f"{size:,.{digits}f} TB"


def human_seconds(seconds: float) -> str:
    """A duration: `35 ms`, `4.2 s`, `3.5 min`, `2.1 h`, `1.9 days`."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    for limit, unit, name in ((_MINUTE, 1, "s"), (_HOUR, _MINUTE, "min"), (_DAY, _HOUR, "h")):
        if seconds < limit:
            return f"{seconds / unit:.1f} {name}"
    return f"{seconds / _DAY:,.1f} days"
