"""The study `unicode`: characters and bytes, tried out rather than told."""

import code
import io
import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import redirect_stdout
from typing import Any

import numpy as np

from bloomery.experiments.study.corpora import prepare_all
from bloomery.experiments.study.desk import Desk, listed
from bloomery.report.figures import COLOURS, GREY, legend, new_figure
from bloomery.report.page import Figure, Listing, Page, Section, Table, Text

ENCODINGS = ("utf-8", "utf-16", "utf-32")

SENTENCES = {
    "English": "All human beings are born free and equal in dignity and rights.",
    "German": "Alle Menschen sind frei und gleich an Würde und Rechten geboren.",
    "Greek": "Όλοι οι άνθρωποι γεννιούνται ελεύθεροι και ίσοι στην αξιοπρέπεια και τα δικαιώματα.",
    "Russian": "Все люди рождаются свободными и равными в своем достоинстве и правах.",
    "Arabic": "يولد جميع الناس أحرارا متساوين في الكرامة والحقوق.",
    "Hindi": "सभी मनुष्यों को गौरव और अधिकारों के मामले में जन्मजात स्वतन्त्रता और समानता प्राप्त है।",
    "Thai": "มนุษย์ทั้งหลายเกิดมามีอิสระและเสมอภาคกันในเกียรติศักดิ์และสิทธิ",
    "Chinese": "人人生而自由,在尊严和权利上一律平等。",
    "Japanese": "すべての人間は、生まれながらにして自由であり、かつ、尊厳と権利とについて平等である。",
    "Korean": "모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다.",
    "emoji": "🙂👍🎉🚀🌍",
}
"""The first sentence of the Universal Declaration of Human Rights, and what is not in it."""

_NUL = (
    "chr(0)",
    "print(chr(0))",
    'repr("this is a test" + chr(0) + "string")',
    '"this is a test" + chr(0) + "string"',
    'print("this is a test" + chr(0) + "string")',
    'len("this is a test" + chr(0) + "string")',
)
_WRONG = (
    "def decode_byte_by_byte(encoded):",
    "    return ''.join(bytes([byte]).decode('utf-8') for byte in encoded)",
    "",
    "decode_byte_by_byte('hello'.encode('utf-8'))",
    "decode_byte_by_byte('é'.encode('utf-8'))",
)
# What is read of a corpus: enough for the shares to settle.
_READ_BYTES = 20_000_000
_DOCUMENTS = 200


def run(desk: Desk) -> Page:
    """Tries everything out and writes it up."""
    samples = {f"{each.name}": (each.head(_READ_BYTES), each.documents(_DOCUMENTS)) for each in prepare_all(desk)}
    texts = {name: text for name, (text, _) in samples.items()}
    results: dict[str, Any] = {
        "nul": transcript(_NUL),
        "wrong_decoder": transcript(_WRONG),
        "corpora": {name: measure_text(text) for name, text in texts.items()},
        "sentences": {name: measure_text(text) for name, text in SENTENCES.items()},
        "decoder": {
            "code_points_broken": count_broken_code_points(),
            "documents": {
                name: {"broken": sum(not is_read_byte_by_byte(text) for text in documents), "of": len(documents)}
                for name, (_, documents) in samples.items()
            },
        },
        "pairs": classify_pairs(),
    }
    read = [f"{name} ({found['characters']:,} characters)" for name, found in results["corpora"].items()]
    return Page(
        title="Unicode: characters, bytes, and why UTF-8",
        question="What is a character, what does it become in bytes, and which bytes should a tokenizer start from?",
        answer=answers(results),
        setting=[
            (
                "Every line of Python below was run when this page was made, and every number counted then: on "
                f"{listed(read)}, on one sentence in {len(SENTENCES) - 1} languages, on all Unicode code points and "
                "on all pairs of bytes."
            )
        ],
        sections=_sections(results),
        results=results,
        commands=[desk.command()],
    )


def answers(results: dict[str, Any]) -> list[str]:
    """The findings in sentences."""
    corpora, pairs = results["corpora"], results["pairs"]
    smallest = Counter(min(ENCODINGS, key=lambda encoding: found["bytes"][encoding]) for found in corpora.values())
    ratios = [
        f"{found['bytes']['utf-16'] / found['bytes']['utf-8']:.2f} and "
        f"{found['bytes']['utf-32'] / found['bytes']['utf-8']:.2f} times on {name}"
        for name, found in corpora.items()
    ]
    shorter = [
        name for name, found in results["sentences"].items() if found["bytes"]["utf-16"] < found["bytes"]["utf-8"]
    ]
    broken = [
        f"{found['broken']:,} of {found['of']:,} documents of {name}"
        for name, found in results["decoder"]["documents"].items()
    ]
    return [
        (
            "`chr(0)` is the null character: a real character, of length one. Its `repr` spells it `'\\x00'`, `print` "
            "hands it to the terminal, which shows nothing, and in a string it takes its place between the others."
        ),
        f"UTF-8 is the smallest of the three encodings on {smallest['utf-8']} of {len(corpora)} "
        f"{'corpus' if len(corpora) == 1 else 'corpora'}. UTF-16 and UTF-32 take {listed(ratios)} as much"
        + (
            f"; UTF-16 is shorter for a sentence in {listed(shorter)}, whose characters take three bytes in UTF-8."
            if shorter
            else "."
        ),
        "Much of the longer encodings is zeros: "
        + listed([f"{found['zeros']['utf-32']:.0%} of the UTF-32 bytes of {name}" for name, found in corpora.items()])
        + ". A tokenizer that starts from them would spend its first merges on gluing zeros to letters; in UTF-8, "
        "ASCII text is one byte a character, and no byte order is to be agreed on.",
        (
            "Decoding byte by byte works for the 128 ASCII characters and fails for the other "
            f"{results['decoder']['code_points_broken']:,} code points, because a byte of theirs is only a part. It "
            f"fails on {listed(broken)}."
        ),
        (
            f"Of all 65,536 pairs of bytes, {pairs['none']:,} ({pairs['none'] / 65_536:.0%}) decode to nothing: for "
            f"example `{pairs['example']}`, {pairs['why']}."
        ),
    ]


def transcript(lines: Sequence[str]) -> str:
    """What an interactive Python prints for these lines."""
    output = io.StringIO()
    console = code.InteractiveConsole()
    console.write = output.write  # pyright: ignore[reportAttributeAccessIssue] - where it prints tracebacks
    more = False
    # The console leaves tracebacks to a hook, where a library has set one.
    hook, sys.excepthook = sys.excepthook, sys.__excepthook__
    try:
        with redirect_stdout(output):
            for line in lines:
                output.write(f"{'...' if more else '>>>'} {line}".rstrip() + "\n")
                more = console.push(line)
    finally:
        sys.excepthook = hook
    return output.getvalue()


def measure_text(text: str) -> dict[str, Any]:
    """The text's length in characters, and in bytes by encoding, with the share of zero bytes."""
    # Without the byte order mark that `utf-16` and `utf-32` put in front of every string.
    encoded = {name: text.encode(name if name == "utf-8" else f"{name}-le") for name in ENCODINGS}
    return {
        "characters": len(text),
        "bytes": {name: len(data) for name, data in encoded.items()},
        "zeros": {name: data.count(0) / max(len(data), 1) for name, data in encoded.items()},
        "distinct_bytes": {name: len(set(data)) for name, data in encoded.items()},
    }


def is_read_byte_by_byte(text: str) -> bool:
    """Whether decoding each byte of its UTF-8 by itself gives the text back."""
    try:
        return "".join(bytes([byte]).decode() for byte in text.encode()) == text
    except UnicodeDecodeError:
        return False


def count_broken_code_points() -> int:
    """How many code points (surrogates aside, which are no characters) cannot be decoded byte by byte."""
    return sum(not is_read_byte_by_byte(chr(point)) for point in range(0x110000) if not 0xD800 <= point < 0xE000)


def classify_pairs() -> dict[str, Any]:
    """What each pair of bytes decodes to: two characters, one, or none and why not."""
    kinds = pair_kinds()
    found = Counter(kinds.ravel().tolist())
    reasons: Counter[str] = Counter()
    example = None
    for first, second in np.argwhere(kinds == 0).tolist():
        pair = bytes([first, second])
        try:
            pair.decode()
        except UnicodeDecodeError as error:
            reasons[error.reason] += 1
            if example is None and error.reason == "invalid continuation byte":
                example = pair, error
    if example is None:
        raise AssertionError("UTF-8 has pairs of an invalid continuation")
    pair, error = example
    why = f"where Python says: {error.reason} (a byte from `0xc2` on announces more, and they must be `0x80` to `0xbf`)"
    return {"two": found[2], "one": found[1], "none": found[0], "reasons": reasons, "example": repr(pair), "why": why}


def pair_kinds() -> np.ndarray[Any, np.dtype[np.int64]]:
    """By first and second byte, the number of characters that the two decode to; 0 where they do not."""
    kinds = np.zeros((256, 256), np.int64)
    for first in range(256):
        for second in range(256):
            try:
                kinds[first, second] = len(bytes([first, second]).decode())
            except UnicodeDecodeError:
                continue
    return kinds


def _sections(results: dict[str, Any]) -> list[Section]:
    pairs = results["pairs"]
    return [
        Section("The null character", [Listing(results["nul"])]),
        Section(
            "The three encodings on real text",
            [
                Table(
                    "corpora",
                    {
                        "corpus": "",
                        "characters": ",",
                        **{f"{name}, bytes": "," for name in ENCODINGS},
                        **{f"{name}, zero bytes": ".1%" for name in ENCODINGS},
                        "distinct bytes in utf-8": ",",
                    },
                    [
                        [
                            name,
                            found["characters"],
                            *found["bytes"].values(),
                            *found["zeros"].values(),
                            found["distinct_bytes"]["utf-8"],
                        ]
                        for name, found in results["corpora"].items()
                    ],
                    "Without byte order marks. The text is the beginning of each corpus.",
                ),
                _script_figure(results["sentences"]),
                Text(
                    "UTF-8 takes one byte for ASCII, two for most other alphabets, three for the scripts of South "
                    "and East Asia and four for emoji; UTF-16 two or four, UTF-32 always four. All three can say "
                    "every character, and so can a vocabulary that begins with the 256 bytes: there are no unknown "
                    "characters."
                ),
            ],
        ),
        Section(
            "A decoder that looks at one byte at a time",
            [
                Listing(results["wrong_decoder"]),
                Text(
                    "The bytes of one character belong together. A decoder must collect them first: of a stream of "
                    "tokens, too, since a token may end in the middle of a character."
                ),
            ],
        ),
        Section(
            "All pairs of bytes",
            [
                _pair_figure(),
                Table(
                    "pairs",
                    {"what two bytes are": "", "pairs": ",", "share": ".1%"},
                    [
                        [what, count, count / 65_536]
                        for what, count in (
                            ("two characters, both ASCII", pairs["two"]),
                            ("one character of two bytes", pairs["one"]),
                            *((f"nothing: {reason}", count) for reason, count in pairs["reasons"].items()),
                        )
                    ],
                ),
            ],
        ),
    ]


def _script_figure(sentences: dict[str, Any]) -> Figure:
    figure, (axes,) = new_figure(height=4.4)
    places = np.arange(len(sentences))
    for index, encoding in enumerate(ENCODINGS):
        heights = [found["bytes"][encoding] / found["characters"] for found in sentences.values()]
        axes.bar(places + 0.27 * (index - 1), heights, 0.25, color=COLOURS[index], label=encoding)
    axes.set_xticks(places, list(sentences), rotation=30, ha="right")
    axes.set_ylabel("bytes a character")
    axes.grid(axis="x", visible=False)
    legend(axes, ncols=3)
    axes.margins(y=0.15)
    return Figure("scripts", figure, "Bytes a character for one sentence in several languages, by encoding.")


def _pair_figure() -> Figure:
    figure, (axes,) = new_figure(width=6.2, height=6)
    kinds = pair_kinds()
    colours = np.array([(0.93, 0.94, 0.95), (0.84, 0.37, 0.0), (0.0, 0.45, 0.70)])
    axes.imshow(colours[kinds], origin="lower", interpolation="nearest")
    ticks = range(0, 256, 32)
    axes.set_xticks(ticks, [f"{tick:02x}" for tick in ticks])
    axes.set_yticks(ticks, [f"{tick:02x}" for tick in ticks])
    axes.set_xlabel("second byte")
    axes.set_ylabel("first byte")
    axes.grid(visible=False)
    for (row, column), words, colour in (((60, 60), "two characters", "white"), ((190, 100), "nothing", GREY)):
        axes.text(column, row, words, color=colour, ha="center", va="center")
    axes.annotate(
        "one character", (160, 210), (215, 150), color=COLOURS[1], arrowprops={"arrowstyle": "-", "color": GREY}
    )
    return Figure(
        "pairs", figure, "What two bytes decode to: two ASCII characters (blue), one character (orange), or nothing."
    )
