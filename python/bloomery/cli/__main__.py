"""`python -m bloomery.cli`, for a Python whose scripts are not on the path."""

import sys

from bloomery.cli import main

sys.exit(main())
