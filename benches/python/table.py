"""The Markdown of a comparison's JSON."""

from collections.abc import Iterable, Sequence
from statistics import median
from typing import Any

_TITLES = {
    "train": "Train {vocab_size:,} tokens, end to end from the file",
    "count": "Count the words of the file",
    "encode": "Encode one document",
    "documents": "Encode many documents",
    "files": "Encode the file to `.npy` on disk",
    "string": "Encode one string of 100 bytes to a list",
    "string_array": "Encode one string of 100 bytes to an array",
    "decode": "Decode a list of ids to text",
    "decode_array": "Decode an array of ids to text",
    "decode_bytes": "Decode a list of ids to bytes",
    "decode_bytes_array": "Decode an array of ids to bytes",
    "load": "Load the vocabulary",
}
_LEGEND = """\
Every figure is a median, with the smallest and the largest in brackets; every round runs each peer once, in a fresh
process. Cold is the first call on the text in a process that has made a tiny call on another text; warm are later
calls on the same text. × says how many times bloomery is faster. CPU is user and system seconds of all threads in the
first call. Peak is the resident memory of the process during the first call, files that it maps included; start is
before that call (imports, vocabulary, text); anonymous is the peak without mapped files, as seen every 20 ms. All in
MB (10⁶ bytes).
"""
_RATES = {"bytes": ("MB/s", 1e6), "tokens": ("M tokens/s", 1e6)}


def markdown(result: dict[str, Any]) -> str:
    """The whole page."""
    return "\n".join([*_heading(result), *(line for section in _sections(result) for line in section)]) + "\n"


def _heading(result: dict[str, Any]) -> Iterable[str]:
    machine, text = result["machine"], result["text"]
    packages = [f"{name} {version}" for name, version in machine["packages"].items() if version]
    absent = [name for name, version in machine["packages"].items() if not version]
    before, after = map(_plain, result["load_average"])
    yield f"# {text['name']}, {text['bytes'] / 1e6:,.1f} MB, vocabulary {result['vocabulary']}\n"
    yield (
        f"{machine['cpu']}, {machine['cores']} cores, {', '.join(machine['simd']) or 'SIMD unknown'}; "
        f"{machine['memory_gb']} GB; {machine['system']}; {machine['python']}; {', '.join(packages)}"
        + (f". Not installed: {', '.join(absent)}" if absent else "")
        + f". Load average before and after: {before}, {after}.\n"
    )
    yield _LEGEND


def _sections(result: dict[str, Any]) -> Iterable[list[str]]:
    keys = dict.fromkeys((record["job"], record["threads"]) for record in result["records"])
    for job, threads in keys:
        records = [record for record in result["records"] if (record["job"], record["threads"]) == (job, threads)]
        done = [record for record in records if record["samples"]]
        title = _TITLES[job].format(vocab_size=result["vocab_size"])
        many = any(record["threads"] > 1 for record in result["records"] if record["job"] == job)
        suffix = f", {threads} thread{'s' if threads > 1 else ''}" if many or threads > 1 else ""
        yield [f"## {title}{suffix}\n", *_table(done, result), *_notes(records)]


def _table(records: Sequence[dict[str, Any]], result: dict[str, Any]) -> Iterable[str]:
    if not records:
        return
    kinds = [kind for kind in ("cold", "warm") if any(kind in record["samples"] for record in records)]
    unit = records[0]["unit"]
    reference = next((record for record in records if record["peer"] == "bloomery"), None)
    head = ["", "call"]
    for kind in kinds:
        name = kind if len(kinds) > 1 else "time"
        head += [name, *([_RATES[unit][0]] if unit in _RATES else []), "×"]
    head += ["CPU s", "peak", "start", "anonymous", "rounds", "result"] if "cold" in kinds else ["rounds", "result"]
    yield _row(head)
    yield _row(["---"] * len(head))
    for record in records:
        cells = [record["peer"], record["call"]]
        for kind in kinds:
            cells += _speed(record, reference, kind, unit)
        if "cold" in kinds:
            cells += [_number(median(s["user"] + s["system"] for s in record["samples"]["cold"])), *_memory(record)]
        yield _row([*cells, str(record["rounds"]) + _part(record, result), record["agrees"] or ""])
    yield ""


def _part(record: dict[str, Any], result: dict[str, Any]) -> str:
    """What a slow encoder got of the text."""
    if record["text"] == result["text"]["name"]:
        return ""
    size, unit = record["units"] / 1e6, {"bytes": "MB", "tokens": "M tokens"}[record["unit"]]
    return f", the first {size:,.1f} {unit}"


def _speed(record: dict[str, Any], reference: dict[str, Any] | None, kind: str, unit: str) -> list[str]:
    rates = [_RATES[unit][0]] if unit in _RATES else []
    if kind not in record["samples"]:
        return ["", *("" for _ in rates), ""]
    seconds = [sample["seconds"] for sample in record["samples"][kind]]
    cells = [_times(seconds)]
    if rates:
        cells.append(_number(record["units"] / median(seconds) / _RATES[unit][1]))
    if reference is None or kind not in reference["samples"]:
        return [*cells, ""]
    # Per byte or token: a slow peer may have had a beginning of the text only.
    ours = median(sample["seconds"] for sample in reference["samples"][kind]) / reference["units"]
    return [*cells, _number(median(seconds) / record["units"] / ours)]


def _memory(record: dict[str, Any]) -> list[str]:
    def megabytes(name: str) -> str:
        value = median(sample[name] for sample in record["memory"])
        return f"{value / 1e6:,.0f}" if value else ""

    return [megabytes(name) for name in ("peak_bytes", "before_bytes", "anonymous_bytes")]


def _notes(records: Sequence[dict[str, Any]]) -> Iterable[str]:
    reasons: dict[str, list[str]] = {}
    for record in records:
        if record["unable"]:
            reasons.setdefault(record["unable"], []).append(record["peer"])
    if reasons:
        left_out = [f"{', '.join(peers)} ({reason})" for reason, peers in reasons.items()]
        yield f"Left out: {'; '.join(left_out)}.\n"


def _times(seconds: Sequence[float]) -> str:
    """The median, with the smallest and the largest, all in a unit that suits the median."""
    middle = median(seconds)
    units = ((1e-3, 1e6, "µs"), (1.0, 1e3, "ms"), (float("inf"), 1.0, "s"))
    factor, unit = next((factor, unit) for limit, factor, unit in units if middle < limit)
    shown = [_number(value * factor) for value in (middle, min(seconds), max(seconds))]
    return f"{shown[0]} {unit} ({shown[1]}–{shown[2]})"


def _number(value: float) -> str:
    """Three significant digits or more."""
    digits = 0 if value >= 100 else 1 if value >= 10 else 2
    return f"{value:,.{digits}f}"


def _plain(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.1f}"


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
