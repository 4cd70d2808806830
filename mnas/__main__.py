"""`python -m mnas`: the same command line as `mnas`."""

from mnas.cli import main

main()
