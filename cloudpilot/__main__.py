"""The console script: puts the application's folders first on this process's path and runs it.

In a wheel they lie in `cloudpilot/_app`, so that no other package's `tools` or `agent` is
overwritten; in a checkout beside this package.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path


def main() -> int:
    """Run the application's own `main`."""
    package = Path(__file__).resolve().parent
    shipped = package / "_app"
    sys.path.insert(0, str(shipped if shipped.is_dir() else package.parent))
    code: int = import_module("main").main()
    return code


if __name__ == "__main__":
    sys.exit(main())
