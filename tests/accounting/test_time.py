"""Time to train, and the peaks of accelerators by their names."""

import pytest

from bloomery.accounting import HARDWARE, find_hardware, peak_flops, training_flops, training_seconds
from bloomery.config import TransformerConfig


def test_days_on_an_a100(xl: TransformerConfig) -> None:
    assert peak_flops("A100", "float32") == 19.5e12
    seconds = training_seconds(xl, steps=400_000, batch_size=1_024, peak_flops=19.5e12, mfu=0.5)
    assert round(seconds / 86_400) == 6_584


def test_hours_on_an_h100(narrow_xl: TransformerConfig) -> None:
    assert peak_flops("H100", "tf32") == 495e12
    seconds = training_seconds(narrow_xl, steps=400_000, batch_size=1_024, peak_flops=495e12, mfu=0.5)
    assert round(seconds / 3_600) == 4_850


def test_training_takes_three_forward_passes(xl: TransformerConfig) -> None:
    assert training_flops(xl, steps=7, batch_size=2) == 3 * 4_513_336_524_800 * 14
    assert training_flops(xl, steps=7, batch_size=2, causal=True) < training_flops(xl, steps=7, batch_size=2)


@pytest.mark.parametrize(
    ("device_name", "name"),
    (
        ("NVIDIA A100-SXM4-80GB", "A100"),
        ("NVIDIA A100-PCIE-40GB", "A100"),
        ("NVIDIA A10", "A10"),
        ("NVIDIA H100 80GB HBM3", "H100"),
        ("NVIDIA H100 PCIe", "H100 PCIe"),
        ("NVIDIA H100 NVL", "H100 NVL"),
        ("NVIDIA H200", "H200"),
        ("NVIDIA GH200 480GB", "GH200"),
        ("NVIDIA L4", "L4"),
        ("NVIDIA L40S", "L40S"),
        ("NVIDIA RTX A6000", "RTX A6000"),
        ("NVIDIA GeForce RTX 4090", "RTX 4090"),
        ("Tesla V100-SXM2-16GB", "V100"),
        ("Tesla V100-PCIE-32GB", "V100 PCIe"),
        ("AMD Instinct MI300X", "MI300X"),
        ("h100", "H100"),
    ),
)
def test_names_that_torch_gives(device_name: str, name: str) -> None:
    hardware = find_hardware(device_name)
    assert hardware is not None
    assert hardware.name == name


@pytest.mark.parametrize(
    "device_name",
    ("", "cpu", "NVIDIA A10G", "NVIDIA GeForce RTX 4090 Laptop GPU", "NVIDIA H100 80GB HBM3 MIG 1g.10gb", "H1000"),
)
def test_unknown_names_have_no_peak(device_name: str) -> None:
    assert peak_flops(device_name) is None


def test_peaks_are_dense_ones() -> None:
    assert peak_flops("NVIDIA H100 80GB HBM3") == peak_flops("NVIDIA H200") == 989e12
    assert peak_flops("A100") == 312e12
    assert peak_flops("T4") is None
    assert peak_flops("T4", "float16") == 65e12
    for hardware in HARDWARE:
        assert find_hardware(hardware.name) is hardware
        rates = [hardware.peak_flops(dtype) for dtype in ("float32", "tf32", "bfloat16")]
        known = [rate for rate in rates if rate is not None]
        assert known == sorted(known)
        assert hardware.source
