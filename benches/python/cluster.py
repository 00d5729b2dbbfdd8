"""What a cluster would take: `python benches/python/cluster.py TEXT`; docs/internet-scale.md says how to read it.

Measures the parts of the work on a text of this machine, fits how distinct words grow with it, computes time, memory
and network for corpora and clusters of any size from that, and with `--check` holds the predictions to runs of the Ray
engine here. Rates are bytes a second of processor time: other load on the machine then matters little.
"""

import argparse
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import psutil

from bloomery import Tokenizer, WordCounts, _core
from bloomery.tokenizer.engine import Engine, Local
from bloomery.tokenizer.pieces import PIECE_BYTES
from bloomery.tokenizer.sizes import byte_size
from bloomery.tokenizer.work import Counting, Encoding

END = "<|endoftext|>"
FAN_IN, MOST_PIECES, MOST_TASKS, MOST_PARTS, FEW = 16, 4, 10_000, 256, 8  # of bloomery.cluster
KEPT = (2, 5, 10, 100)


@dataclass(frozen=True)
class Measured:
    """What was measured, for one processor."""

    count_rate: float
    """Bytes of text counted a second."""
    encode_rate: float
    """Bytes of text encoded a second."""
    add_rate: float
    """Words a second that two counts are added up with."""
    split_rate: float
    """Words a second that are put into parts."""
    learn_seconds: float
    """For a distinct word, learning the merges."""
    learn_base: float
    """Seconds of learning that do not depend on the words."""
    sent_bytes: float
    """Of a word in a part."""
    table_bytes: float
    """Of a word in the counting table of one process."""
    learn_bytes: float
    """Of a word while merges are learnt, beside the table: the bound that training asks for."""
    token_bytes: float
    """Bytes of text for an id."""
    heaps: tuple[float, float]
    """Distinct words are the first times bytes to the power of the second."""
    kept: dict[int, float]
    """The share of distinct words that occur so often at least."""
    growth: list[tuple[int, int]]
    """Bytes of text and distinct words, as measured."""

    def words(self, size: float) -> float:
        """Distinct words in so many bytes."""
        factor, power = self.heaps
        return factor * size**power


@dataclass(frozen=True)
class Node:
    """A node of the cluster to compute; the defaults are of a usual machine in a cloud."""

    processors: int = 64
    memory: float = 256e9
    network: float = 3.1e9
    """Bytes a second, in each direction."""
    storage: float = 1.5e9
    """Bytes a second from the object store or the shared file system."""
    task_seconds: float = 0.05
    """To begin and end a task."""


def stretch(path: Path, size: int) -> tuple[str, str, int, int, int, int]:
    """The beginning of a text, of about so many bytes, as the core reads it."""
    total = path.stat().st_size
    with path.open("rb") as file:
        file.seek(max(0, size - (1 << 20)))
        first, window = file.tell(), file.read(min(size, 1 << 20))
    cut = None if size >= total else _core.Cutter("gpt2", [END]).part_at(window, first == 0)
    return (str(path), str(path), 0, 0, total if cut is None else first + cut, total)


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Processor seconds, and the result."""
    start = time.process_time()
    result = work()
    return time.process_time() - start, result


def measure(text: Path, vocab_size: int) -> Measured:
    """Measures everything on a text and its beginnings."""
    total = text.stat().st_size
    sizes = [int(total / 2**power) for power in range(6, -1, -1)]
    counting = Counting("gpt2", (END,), "strict", "text", "text", 1, None, 1)
    growth, seconds, counts = [], [], []
    for size in sizes:
        taken, counted = timed(lambda size=size: counting.count([stretch(text, size)], 1))
        growth.append((size, len(counted)))
        seconds.append(taken)
        counts.append(counted)
    whole, half = counts[-1], counts[-2]
    # The later half: growth beyond the sample goes by its slope there.
    recent = growth[len(growth) // 2 :]
    power = math.log(recent[-1][1] / recent[0][1]) / math.log(recent[-1][0] / recent[0][0])
    split_seconds, parts = timed(lambda: whole.parts(4))
    add_seconds, _ = timed(lambda: counting.add_up([*parts, *half.parts(4)]))
    learnt = [timed(lambda c=c: Tokenizer.train_from_counts(WordCounts.of(c), vocab_size)) for c in (half, whole)]
    slope = max(0.0, (learnt[1][0] - learnt[0][0]) / (len(whole) - len(half)))
    tokenizer = learnt[1][1]
    encoding = Encoding(tokenizer, None, None, "strict", "text", "text", None, 1)
    with tempfile.TemporaryDirectory() as folder:
        sample = stretch(text, min(total, 200_000_000))
        encode_seconds, encoded = timed(lambda: encoding.encode([sample], Path(folder) / "ids.npy", 1))
    frequencies = [count for _, count in whole.items()]
    return Measured(
        count_rate=total / seconds[-1],
        encode_rate=encoded[2] / encode_seconds,
        add_rate=(len(whole) + len(half)) / add_seconds,
        split_rate=len(whole) / split_seconds,
        learn_seconds=slope,
        learn_base=max(0.0, learnt[1][0] - slope * len(whole)),
        sent_bytes=sum(array.nbytes for part in parts for array in part) / len(whole),
        table_bytes=_table_bytes(text),
        learn_bytes=whole.training_memory(vocab_size) / len(whole),
        token_bytes=encoded[2] / encoded[0],
        heaps=(recent[-1][1] / recent[-1][0] ** power, power),
        kept={least: sum(count >= least for count in frequencies) / len(frequencies) for least in KEPT},
        growth=growth,
    )


def _table_bytes(text: Path) -> float:
    """Memory of a word in a counting table, as the growth of a process that makes one of a text's words."""
    program = """
import sys
from cluster import END, Counting
from bloomery.tokenizer.peak import peak_memory
counting = Counting("gpt2", (END,), "strict", "text", "text", 1, None, 1)
words = counting.count([sys.argv[1]], 1)
before = peak_memory()
again = [words.merge(counting.add_up(())) for _ in range(2)]
print((peak_memory() - before) / 2 / len(words))
"""
    command = [sys.executable, "-c", program, str(text)]
    here = Path(__file__).parent
    return float(subprocess.run(command, check=True, capture_output=True, text=True, cwd=here).stdout)


@dataclass(frozen=True)
class Prediction:
    """What a job takes."""

    tasks: int
    count: float
    """Seconds from the first task to the last."""
    reduce: float
    """Seconds of adding up, and of the words' way to the driver."""
    learn: float
    """Seconds."""
    encode: float
    """Seconds."""
    words: float
    """Distinct."""
    sent: float
    """Bytes that go over the network while counting."""
    reducers: float
    """Bytes that the last additions hold on a node."""
    driver: float
    """Bytes that the process which learns the merges holds."""
    objects: int
    """In the cluster, of which the driver keeps the books."""


def predict(measured: Measured, size: float, nodes: int, node: Node, piece_bytes: float = PIECE_BYTES) -> Prediction:
    """Computes a job from what was measured; see the page in docs for the formulas."""
    pieces = math.ceil(size / piece_bytes)
    together = max(1, min(MOST_PIECES, pieces // (1 if nodes == 1 else 2 * nodes)))
    tasks = math.ceil(pieces / max(together, math.ceil(pieces / MOST_TASKS)))
    task = size / tasks
    parts = 1 if tasks <= FEW else min(max(1, nodes * node.processors), MOST_PARTS)
    read = min(node.processors * measured.count_rate, node.storage)
    # Counting is done by all processors, splitting by one.
    one = task / read + measured.words(task) / measured.split_rate + node.task_seconds
    count = math.ceil(tasks / nodes) * one
    added, sent, level, largest = 0.0, 0.0, float(tasks), task
    objects = tasks * (parts + 1)
    while level > 1:
        added += level * measured.words(largest)
        sent += level * measured.words(largest) * measured.sent_bytes
        level, largest = math.ceil(level / FAN_IN), min(size, largest * FAN_IN)
        objects += math.ceil(level) * parts
    words = measured.words(size)
    # Additions that run at a time, and then the driver's; a few counts are added up by the driver alone, all but the
    # last while others are made.
    hands = min(parts, nodes * node.processors)
    reduce = added / measured.add_rate / hands + sent / (nodes * node.network)
    gathered = words if tasks > FEW else measured.words(task)
    reduce = (reduce if tasks > FEW else 0) + gathered * (measured.sent_bytes / node.network + 1 / measured.add_rate)
    encodings = math.ceil(pieces / together)
    encode_one = size / encodings / min(node.processors * measured.encode_rate, node.storage) + node.task_seconds
    last = min(FAN_IN, tasks) * measured.words(size / min(FAN_IN, tasks)) * measured.sent_bytes
    return Prediction(
        tasks=tasks,
        count=count,
        reduce=reduce,
        learn=measured.learn_base + words * measured.learn_seconds,
        encode=math.ceil(encodings / nodes) * encode_one,
        words=words,
        sent=sent,
        reducers=(last + words * (measured.table_bytes + measured.sent_bytes)) / parts * math.ceil(hands / nodes),
        driver=words * (measured.table_bytes + measured.sent_bytes + measured.learn_bytes),
        objects=objects,
    )


def first_to_break(found: Prediction, measured: Measured, node: Node) -> str:
    """The limit that is passed by most, or none; and what helps."""
    shares = {
        "the driver's memory": found.driver / node.memory,
        "the adders' memory": found.reducers / node.memory,
        "the driver's books": found.objects / 10e6,
    }
    worst = max(shares, key=shares.__getitem__)
    if shares[worst] < 1:
        return f"nothing ({worst} is {shares[worst]:.0%} used)"
    if worst == "the driver's memory":
        # Words that occur at least k times become fewer as a power of k.
        power = -math.log(measured.kept[100]) / math.log(100)
        return f"{worst}, {shares[worst]:.1f} times: min_count {math.ceil(shares[worst] ** (1 / power))}"
    return f"{worst}, {shares[worst]:.1f} times"


def table(measured: Measured, sizes: Sequence[float], clusters: Sequence[int], node: Node) -> list[str]:
    """The predictions as Markdown."""
    lines = [
        "| text | nodes | count | add up | learn | encode | distinct words | network | adders | driver | breaks |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for size in sizes:
        for nodes in clusters:
            found = predict(measured, size, nodes, node)
            times = (found.count, found.reduce, found.learn, found.encode)
            memory = (found.sent, found.reducers, found.driver)
            cells = [f"{size / 1e12:g} TB", f"{nodes:,}", *map(duration, times), f"{found.words / 1e6:,.0f} M"]
            cells += [f"{amount / 1e9:,.1f} GB" for amount in memory]
            lines.append(f"| {' | '.join([*cells, first_to_break(found, measured, node)])} |")
    return lines


def duration(seconds: float) -> str:
    """Seconds, minutes, hours or days."""
    for limit, unit, name in ((60, 1, "s"), (3600, 60, "min"), (172_800, 3600, "h")):
        if seconds < limit:
            return f"{seconds / unit:.1f} {name}"
    return f"{seconds / 86_400:.1f} days"


def check(measured: Measured, text: Path, sizes: Sequence[int], vocab_size: int, rounds: int) -> list[str]:
    """Runs of the Ray engine here beside the local engine's and their predictions, as Markdown."""
    from bloomery.cluster import Ray  # noqa: PLC0415 - needs ray

    processors = len(os.sched_getaffinity(0))
    node = Node(processors=processors, storage=math.inf, network=math.inf)
    lines = [
        f"Medians of {rounds} rounds by turns, with the lowest and highest; processor seconds of all processes.",
        "",
        "| text | job | here | Ray | Ray / here | predicted | processors: here | Ray | Ray / here |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    with tempfile.TemporaryDirectory() as name, Ray() as engine:
        folder = Path(name)
        (folder / "warm.txt").write_text("the workers start", encoding="utf-8")
        WordCounts.from_files(folder / "warm.txt", engine=engine)
        for size in sizes:
            beginning = folder / f"{size}.txt"
            with text.open("rb") as source, beginning.open("wb") as target:
                target.write(source.read(stretch(text, size)[4]))
            counts = WordCounts.from_files(beginning, special_tokens=[END])
            tokenizer = Tokenizer.train_from_counts(counts, vocab_size)

            def count(chosen: Engine, text: Path = beginning, expected: WordCounts = counts) -> None:
                if len(WordCounts.from_files(text, special_tokens=[END], engine=chosen)) != len(expected):
                    raise AssertionError("the counts differ")

            tokenizer.save(folder / "tokenizer.json")

            def encode(chosen: Engine, text: Path = beginning) -> None:
                # Every run begins with a tokenizer that knows no word yet.
                Tokenizer.load(folder / "tokenizer.json").encode_files(text, folder / "tokens", engine=chosen)

            found = predict(measured, beginning.stat().st_size, 1, node)
            print(
                f"{size / 1e6:,.0f} MB: {len(counts):,} distinct words, {found.words:,.0f} predicted", file=sys.stderr
            )
            for job, work, seconds in (("count", count, found.count + found.reduce), ("encode", encode, found.encode)):
                here, there = [], []
                for turn in range(rounds):
                    # Who goes first has the colder machine: by turns.
                    for chosen, times in ((Local(), here), (engine, there))[:: 1 if turn % 2 else -1]:
                        times.append(both_clocks(lambda work=work, chosen=chosen: work(chosen)))
                        shutil.rmtree(folder / "tokens", ignore_errors=True)
                cells = [f"{size / 1e6:,.0f} MB", job]
                for clock in range(2):
                    local, ray = [time[clock] for time in here], [time[clock] for time in there]
                    cells += [spread(local), spread(ray), f"{median(ray) / median(local):.2f}"]
                    cells += [f"{seconds:.2f} s"] if clock == 0 else []
                lines.append(f"| {' | '.join(cells)} |")
            beginning.unlink()
    return lines


def both_clocks(work: Callable[[], None]) -> tuple[float, float]:
    """Seconds by the clock on the wall, and of processors, those of Ray's processes among them."""
    start, before = time.perf_counter(), processor_seconds()
    work()
    seconds, after = time.perf_counter() - start, processor_seconds()
    # Ray ends idle processes, with which all that they ever used would be taken away.
    return seconds, sum(used - before.get(process, 0.0) for process, used in after.items())


def processor_seconds() -> dict[int, float]:
    """Of this process and of all that it started, by their ids."""
    own = psutil.Process()
    seconds: dict[int, float] = {}
    for process in (own, *own.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            seconds[process.pid] = times.user + times.system
    return seconds


def spread(seconds: Sequence[float]) -> str:
    """A median, with the lowest and highest."""
    return f"{median(seconds):.2f} s ({min(seconds):.2f} to {max(seconds):.2f})"


def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="cluster.py", description=__doc__.partition("\n")[0])
    parser.add_argument("text", type=Path, nargs="?", help="text with documents that end at <|endoftext|>")
    parser.add_argument("--measured", type=Path, help="JSON of an earlier run to compute from, or to write")
    parser.add_argument("--vocab-size", type=int, default=32_000)
    parser.add_argument("--sizes", type=byte_size, nargs="+", default=[10**11, 10**13, 10**14], help="of the corpora")
    parser.add_argument("--nodes", type=int, nargs="+", default=[1, 10, 100, 1000])
    parser.add_argument("--check", type=byte_size, nargs="*", help="sizes to run here too")
    parser.add_argument("--rounds", type=int, default=5, help="of every run of --check")
    options = parser.parse_args(argv)
    if options.text is None and (options.measured is None or not options.measured.exists()):
        parser.error("give a text to measure on, or the measurements of an earlier run")
    if options.measured is not None and options.measured.exists():
        facts = json.loads(options.measured.read_text())
        facts["kept"] = {int(least): share for least, share in facts["kept"].items()}
        measured = Measured(**facts)
    else:
        measured = measure(options.text, options.vocab_size)
        if options.measured is not None:
            options.measured.write_text(json.dumps(asdict(measured), indent=1) + "\n")
    print(json.dumps(asdict(measured), indent=1))
    print("\n".join(table(measured, options.sizes, options.nodes, Node())))
    if options.check and options.text is not None:
        print("\n".join(check(measured, options.text, options.check, options.vocab_size, options.rounds)))


if __name__ == "__main__":
    main()
