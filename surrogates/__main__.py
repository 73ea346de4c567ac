"""``python -m archcast`` is ``archcast``."""

import sys

from archcast.cli import main

sys.exit(main())
