"""Ray itself. Its types are incomplete, so that it counts as untyped here, once for all that use it."""

from typing import Any

import ray as _ray
import ray.util as _util
from ray.experimental import internal_kv as _key_value

ray: Any = _ray
util: Any = _util
_store: Any = _key_value
mark: Any = _store._internal_kv_put  # noqa: SLF001 - Ray has no public name for its store of keys and values
is_marked: Any = _store._internal_kv_exists  # noqa: SLF001 - as above
