"""What `bloomery account` prints for people: a table a subject, a column a model."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain

from bloomery.accounting import ADAMW_FLOPS_PER_PARAMETER, Account, shares
from bloomery.cli.output import print_table
from bloomery.units import human_bytes, human_seconds

_HOUR, _DAY = 3600, 86_400
# Names of parts that are not merely their keys with spaces.
_LABELS = {
    "qk_norm": "QK-norm",
    "feed_forward": "feed-forward",
    "rms_norms": "RMSNorms",
    "qkv_projections": "QKV projections",
    "queries_keys": "queries · keys",
    "feed_forward_w1": "feed-forward W1",
    "silu": "SiLU",
    "feed_forward_w3": "feed-forward W3",
    "feed_forward_w2": "feed-forward W2",
    "final_rms_norm": "final RMSNorm",
    "cross_entropy": "cross-entropy",
}

Row = tuple[str, Callable[[Account], str]]


def print_accounts(accounts: Sequence[Account], accelerators: str) -> None:
    """Prints every table; `accelerators` says what the training runs on."""
    given = accounts[0].assumptions
    attention = f"attention's products counted {'half, as causal' if given.causal else 'whole'}"
    _print_rows("model", accounts, _MODEL)
    print()
    load: Row = (f"to load, {given.dtype}", lambda account: _size(account.load_bytes))
    _print_parts("parameters", accounts, lambda account: account.parameters, "{:,}".format, [load])
    for account in accounts:
        print(f"\nforward pass of one sequence by {account.name}, {attention}:")
        _print_matmuls(account)
    print()
    _print_parts("FLOPs of a forward pass", accounts, lambda account: account.flops, flops)
    types = given.dtype if given.activation_dtype == given.dtype else f"{given.dtype}, {given.activation_dtype}"
    print()
    _print_rows(f"memory of training, AdamW ({types})", accounts, _memory_rows(accounts))
    print(
        f"\ntime to train: {given.steps:,} steps of {given.batch_size:,} sequences at {100 * given.mfu:.3g}% MFU of "
        f"{given.peak_flops / 1e12:,g} TFLOP/s ({accelerators}); {attention}"
    )
    _print_rows("training", accounts, _TRAINING)


def flops(number: float) -> str:
    """A number of FLOPs: `4.513e12`."""
    mantissa, _, exponent = f"{number:.3e}".partition("e")
    return f"{mantissa}e{int(exponent)}"


def _size(size: float) -> str:
    return human_bytes(size, digits=2)


def _label(key: str) -> str:
    return _LABELS.get(key, key.replace("_", " "))


def _duration(seconds: float) -> str:
    if seconds < _DAY:
        return human_seconds(seconds)
    days = seconds / _DAY
    return f"{days:,.{0 if days >= 1000 else 1}f} days ({seconds / _HOUR:,.0f} hours)"


def _switches(account: Account) -> str:
    config = account.config
    norm = f"{config.norm_position}-norm" if config.norm == "rms" else "no norm"
    position = "RoPE" if config.position == "rope" else "no position"
    return ", ".join(
        [norm, position, *["tied"] * config.tie_embeddings, *["QK-norm"] * config.qk_norm],
    )


_MODEL: list[Row] = [
    ("vocabulary", lambda account: f"{account.config.vocab_size:,}"),
    ("context length", lambda account: f"{account.config.context_length:,}"),
    ("d_model", lambda account: f"{account.config.d_model:,}"),
    ("layers", lambda account: f"{account.config.num_layers:,}"),
    ("heads", lambda account: f"{account.config.num_heads:,} of {account.config.d_head:,}"),
    ("d_ff", lambda account: f"{account.config.d_ff:,} ({account.config.feed_forward})"),
    ("switches", _switches),
]

_TRAINING: list[Row] = [
    ("FLOPs a token, forward and backward", lambda account: flops(account.training_flops_per_token)),
    ("FLOPs", lambda account: flops(account.training_flops)),
    ("time", lambda account: _duration(account.training_seconds)),
]


def _memory_rows(accounts: Sequence[Account]) -> list[Row]:
    def activation(key: str) -> Row:
        return f"  {_label(key)}", lambda account: _size(account.memory.activations[key])

    return [
        ("parameters", lambda account: _size(account.memory.parameters)),
        ("gradients", lambda account: _size(account.memory.gradients)),
        ("AdamW's moments", lambda account: _size(account.memory.optimizer_state)),
        ("activations of a sequence", lambda account: _size(account.memory.per_sequence)),
        *[
            activation(key)
            for key in accounts[0].memory.activations
            if any(account.memory.activations[key] for account in accounts)
        ],
        ("a·batch + b", lambda account: f"{_size(account.memory.per_sequence)}·batch + {_size(account.memory.fixed)}"),
        (f"largest batch in {human_bytes(accounts[0].assumptions.memory)}", _largest_batch),
        (
            f"FLOPs of an AdamW step, {ADAMW_FLOPS_PER_PARAMETER} a parameter",
            lambda account: flops(account.adamw_step_flops),
        ),
    ]


def _largest_batch(account: Account) -> str:
    if account.memory.fixed > account.assumptions.memory:
        return "0: b alone is more"
    return f"{account.largest_batch:,}"


def _print_rows(title: str, accounts: Sequence[Account], rows: Sequence[Row]) -> None:
    header = (title, *(account.name for account in accounts))
    table = [(f"  {label}", *(value(account) for account in accounts)) for label, value in rows]
    print_table([header, *table], numbers_from=1)


def _print_parts(
    title: str,
    accounts: Sequence[Account],
    parts_of: Callable[[Account], Mapping[str, int]],
    spell: Callable[[int], str],
    more: Sequence[Row] = (),
) -> None:
    """Prints the parts of a whole with their shares, the total, and more; parts that no model has are left out."""
    columns = [parts_of(account) for account in accounts]

    def row(label: str, cells: Iterable[tuple[str, str]]) -> list[str]:
        return [label, *chain.from_iterable(cells)]

    present = [key for key in columns[0] if any(column[key] for column in columns)]
    table = [row(title, ((account.name, "share") for account in accounts))]
    table += [
        row(f"  {_label(key)}", ((spell(column[key]), f"{shares(column)[key]:.1%}") for column in columns))
        for key in present
    ]
    table.append(row("  total", ((spell(sum(column.values())), "") for column in columns)))
    table += [row(f"  {label}", ((value(account), "") for account in accounts)) for label, value in more]
    print_table(table, numbers_from=1)


def _print_matmuls(account: Account) -> None:
    products = account.matmuls
    total = sum(product.flops for product in products)
    rows = [("  m×n · n×p", "m", "n", "p", "times", "FLOPs", "share")]
    rows += [
        (
            f"  {product.name}",
            *(f"{number:,}" for number in (product.m, product.n, product.p, product.count)),
            flops(product.flops),
            f"{product.flops / total:.1%}",
        )
        for product in products
    ]
    print_table(rows, numbers_from=1)
