"""Makes the builders of tests/formats importable here, so that this folder can be run on its own."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "formats"))
