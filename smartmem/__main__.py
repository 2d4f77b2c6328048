"""`python -m smartmem`: the command line."""

import sys

from smartmem.cli.main import main

sys.exit(main())
