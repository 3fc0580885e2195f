"""Be the `lean` program: call ``lean_main`` of the shared library named by WORKBENCH_LEAN_LIBRARY, in this process.

Started as ``python -I -S shim.py ARGUMENTS`` so that a worker starts in milliseconds; it imports nothing but the
standard library, on purpose. Lean calls ``exit`` itself in some paths and needs its libraries global, hence a process
of its own.
"""

import ctypes
import os
import sys


def main() -> None:
    library = ctypes.CDLL(os.environ["WORKBENCH_LEAN_LIBRARY"], mode=ctypes.RTLD_GLOBAL)
    arguments = [b"lean", *map(os.fsencode, sys.argv[1:])]
    argv = (ctypes.c_char_p * (len(arguments) + 1))(*arguments, None)
    code = library.lean_main(len(arguments), argv)
    ctypes.CDLL(None).fflush(None)  # _exit would lose what `lean --version` printed into a pipe
    os._exit(code)


if __name__ == "__main__":
    main()
