"""Text from a trained model.

>>> from bloomery.generate import Sampling, generate
>>> generate(model, tokenizer, "Once upon a time", 200, sampling=Sampling(temperature=0.8, top_p=0.95), seed=1)[0].text
"""

from bloomery.generate.generate import Completion, generate
from bloomery.generate.ids import generate_ids, stream_ids
from bloomery.generate.sampling import Sampling

__all__ = ["Completion", "Sampling", "generate", "generate_ids", "stream_ids"]
