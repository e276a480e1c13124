"""A fresh process that does what its first argument says."""

from __future__ import annotations

import os
import sys
import time


def main(arguments: list[str]) -> None:
    what, *more = arguments
    if what == "writes":
        for line in more:
            sys.stdout.write(line + "\n")
    elif what == "raises":
        sys.stdout.write("1\n")
        raise ValueError("the file is not there")
    elif what == "waits":
        sys.stdout.write(f"{os.getpid()}\n")
        sys.stdout.flush()
        time.sleep(600)
