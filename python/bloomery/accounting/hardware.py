"""Peak matrix-multiply rates of accelerators: dense, as their makers publish them.

Data sheets often print the rates with 2:4 sparsity, which are twice as high; those for graphics cards are the ones that
accumulate in float32, as training does.
"""

import re
from dataclasses import dataclass

_TERA = 1e12

_NVIDIA = "https://www.nvidia.com/en-us/data-center"


@dataclass(frozen=True)
class Hardware:
    """One accelerator's dense peaks, in TFLOP/s; `None` where it has no units for the precision."""

    name: str
    float32: float
    """On the general units."""
    tf32: float | None
    """float32 inputs, rounded for the matrix units."""
    bfloat16: float | None
    float16: float | None
    source: str

    def peak_flops(self, dtype: str) -> float | None:
        """FLOP/s in `float32`, `tf32`, `bfloat16` or `float16`."""
        peak = {"float32": self.float32, "tf32": self.tf32, "bfloat16": self.bfloat16, "float16": self.float16}[dtype]
        return None if peak is None else peak * _TERA


HARDWARE = (
    Hardware("V100", 15.7, None, None, 125, f"{_NVIDIA}/v100 (SXM2)"),
    Hardware("V100 PCIe", 14, None, None, 112, f"{_NVIDIA}/v100"),
    Hardware("T4", 8.1, None, None, 65, f"{_NVIDIA}/tesla-t4"),
    Hardware("A100", 19.5, 156, 312, 312, f"{_NVIDIA}/a100"),
    Hardware("A10", 31.2, 62.5, 125, 125, f"{_NVIDIA}/products/a10-gpu"),
    Hardware("A40", 37.4, 74.8, 149.7, 149.7, f"{_NVIDIA}/a40"),
    Hardware("RTX A6000", 38.7, 77.4, 154.8, 154.8, "NVIDIA Ampere GA102 GPU Architecture white paper"),
    Hardware("RTX 3090", 35.6, 35.6, 71, 71, "NVIDIA Ampere GA102 GPU Architecture white paper"),
    Hardware("L4", 30.3, 60, 121, 121, f"{_NVIDIA}/l4"),
    Hardware("L40S", 91.6, 183, 362, 362, f"{_NVIDIA}/l40s"),
    Hardware("RTX 4090", 82.6, 82.6, 165.2, 165.2, "NVIDIA Ada GPU Architecture white paper"),
    Hardware("RTX 5090", 104.8, 104.8, 209.5, 209.5, "NVIDIA RTX Blackwell GPU Architecture white paper"),
    Hardware("H100", 67, 495, 989, 989, f"{_NVIDIA}/h100 (SXM)"),
    Hardware("H100 PCIe", 51, 378, 756, 756, "NVIDIA H100 Tensor Core GPU data sheet"),
    Hardware("H100 NVL", 60, 417.5, 835.5, 835.5, f"{_NVIDIA}/h100"),
    Hardware("H200", 67, 495, 989, 989, f"{_NVIDIA}/h200 (SXM)"),
    Hardware("H200 NVL", 60, 417.5, 835.5, 835.5, f"{_NVIDIA}/h200"),
    Hardware("GH200", 67, 495, 989, 989, f"{_NVIDIA}/grace-hopper-superchip"),
    Hardware("B200", 75, 1125, 2250, 2250, f"{_NVIDIA}/hgx (an eighth of the HGX B200)"),
    Hardware("GB200", 80, 1250, 2500, 2500, f"{_NVIDIA}/gb200-nvl72 (a seventy-second of it)"),
    Hardware("MI300X", 163.4, 653.7, 1307.4, 1307.4, "AMD Instinct MI300X data sheet"),
)

# Words that make another product, or a slice of one, of a name that is in the table.
_OTHER = {"laptop", "mobile", "mig", "ti", "super", "d", "max", "q"}


def find_hardware(device_name: str) -> Hardware | None:
    """The accelerator meant by a name such as `NVIDIA H100 80GB HBM3` (from torch) or `h100`; `None` if unknown."""
    words = set(re.findall(r"[a-z0-9]+", device_name.lower()))
    if words & _OTHER:
        return None
    fitting = [hardware for hardware in HARDWARE if set(hardware.name.lower().split()) <= words]
    return max(fitting, key=lambda hardware: len(hardware.name), default=None)


def peak_flops(device_name: str, dtype: str = "bfloat16") -> float | None:
    """The dense peak in FLOP/s of the accelerator with this name, or `None` if it, or its rate, is not known.

    `device_name` may be what `torch.cuda.get_device_name()` says, `dtype` what `Hardware.peak_flops` takes.
    """
    hardware = find_hardware(device_name)
    return None if hardware is None else hardware.peak_flops(dtype)
