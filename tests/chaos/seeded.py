"""The real command line with a fixed seed for the nights it opens, so that one night can be compared with another.

python -m tests.chaos.seeded 7 run --name n
"""

import secrets
import sys

from agent.cli import main

if __name__ == "__main__":
    seed = int(sys.argv.pop(1))
    secrets.randbits = lambda k: seed
    main()
