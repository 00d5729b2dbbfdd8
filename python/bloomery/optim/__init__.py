"""Optimizers, learning rate schedules and gradient clipping, written out."""

from bloomery.optim.adamw import AdamW
from bloomery.optim.clip import clip_gradients
from bloomery.optim.combined import Combined
from bloomery.optim.muon import Muon
from bloomery.optim.schedule import cosine_schedule, wsd_schedule
from bloomery.optim.sgd import SGD

__all__ = ["SGD", "AdamW", "Combined", "Muon", "clip_gradients", "cosine_schedule", "wsd_schedule"]
