"""Ray itself. Its types are incomplete, so that it counts as untyped here, once for all that use it."""

from typing import Any

import ray as _ray
import ray.util as _util

ray: Any = _ray
util: Any = _util
