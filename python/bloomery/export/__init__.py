"""Models in the formats of others.

>>> from bloomery.export import export_hf, import_hf
>>> export_hf(model, tokenizer, "exported")
>>> model, tokenizer = import_hf("exported")
"""

from bloomery.export.hf import export_hf, import_hf

__all__ = ["export_hf", "import_hf"]
