"""The ways out: one module a protocol, all with the contract of `base`."""

import sys
from typing import Any

# httpx loads its own command line wherever rich is installed, and rich and pygments with it: four megabytes
# that no sidecar needs. None says that there is none (docs of `import`); httpx then goes without.
_modules: dict[str, Any] = sys.modules
_modules.setdefault("httpx._main", None)
