"""The machine and the versions that a table was made with."""

import os
import platform
import re
from pathlib import Path
from typing import Any

from peers import PEERS, installed

_SIMD = ("avx512bw", "avx512vbmi", "avx2", "sse4_2", "asimd", "sve", "sve2")


def describe() -> dict[str, Any]:
    """CPU, cores, memory, system, Python, packages."""
    return {
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "simd": [name for name in _SIMD if name in _flags()],
        "memory_gb": _memory_gb(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}, {' '.join(platform.libc_ver())}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "packages": {module: installed(name) for name, (module, _) in PEERS.items()},
    }


def load_average() -> float | None:
    """How many processes wanted to run in the last minute: more than 1 before a comparison means a noisy machine."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None


def _cpuinfo() -> str:
    path = Path("/proc/cpuinfo")
    return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""


def _cpu() -> str:
    info = _cpuinfo()
    fields = {key: re.search(rf"^{key}\s*: (.*)$", info, re.MULTILINE) for key in ("model name", "cpu family", "model")}
    found = {key: match.group(1) for key, match in fields.items() if match}
    if "model name" not in found:
        return platform.processor() or platform.machine()
    return f"{found['model name']} (family {found.get('cpu family')}, model {found.get('model')})"


def _flags() -> set[str]:
    match = re.search(r"^(?:flags|Features)\s*: (.*)$", _cpuinfo(), re.MULTILINE)
    return set(match.group(1).split()) if match else set()


def _memory_gb() -> float | None:
    names = ("SC_PAGE_SIZE", "SC_PHYS_PAGES")
    if not all(name in os.sysconf_names for name in names):
        return None
    size, pages = (os.sysconf(name) for name in names)
    return round(size * pages / 1e9, 1)
