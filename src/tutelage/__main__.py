"""`python -m tutelage`: the command where it is not on the path."""

import sys

from tutelage.cli import main

if __name__ == "__main__":
    sys.exit(main())
