"""The peak memory of this process."""

import sys
from pathlib import Path


def peak_memory() -> int | None:
    """The most memory, in bytes, that this process had resident at any time, or None where the system does not say.

    It includes the pages of mapped files that were in use, which the system can take back.
    """
    # On Linux `getrusage` also counts what the process was before it became this program: a copy of the one that
    # started it, however large that was.
    try:
        for line in Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    try:
        import resource  # noqa: PLC0415 - Unix only
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # In kibibytes, but on macOS in bytes.
    return peak if sys.platform == "darwin" else peak * 1024
