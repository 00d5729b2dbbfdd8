"""Pictures from run folders. Needs the extra `train` (matplotlib)."""

from bloomery.report.curves import draw_curves

__all__ = ["draw_curves"]
