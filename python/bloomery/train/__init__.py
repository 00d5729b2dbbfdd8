"""Training: runs described by a TOML file, killed and resumed at will. Needs the extra `train` (torch)."""

from bloomery.train.benchmark import Kernel, StepBenchmark, benchmark_step
from bloomery.train.checkpoint import Checkpoints, load_checkpoint, save_checkpoint
from bloomery.train.config import RunConfig, parse_overrides
from bloomery.train.metrics import read_metrics
from bloomery.train.run import load_model, save_model
from bloomery.train.start import load_config, train
from bloomery.train.trainer import Result, Trainer, Watcher

__all__ = [
    "Checkpoints",
    "Kernel",
    "Result",
    "RunConfig",
    "StepBenchmark",
    "Trainer",
    "Watcher",
    "benchmark_step",
    "load_checkpoint",
    "load_config",
    "load_model",
    "parse_overrides",
    "read_metrics",
    "save_checkpoint",
    "save_model",
    "train",
]
