#!/usr/bin/env python3
"""fault.py WEFT PROGRAM: what a person reads after a kernel faulted. Breaks when the message loses the kernel, the PTX
line, the thread or the address."""
import re
import subprocess
import sys

WANTED = {
    "address": ["kernel address", "line 8", r"thread \(0,0,0\) of block \([01],0,0\)", "address 0x123456000"],
    "freed": ["kernel address", "line 8", "address 0x"],
    "alignment": ["kernel address", "line 8", "misaligned", "address 0x"],
    "unsupported": ["kernel tensor", "ptx:10: tcgen05.wait::ld.sync.aligned is not supported"],
    "trap": ["kernel stop", "line 14", "trap"],
}


def main(weft, program):
    failed = 0
    for kind, parts in WANTED.items():
        run = subprocess.run([weft, "run", "--gpu", "soft", "--", program, kind], capture_output=True, text=True)
        missing = [part for part in parts if not re.search(part, run.stderr)]
        # Of an unsupported kernel each of the two modules that hold it tells once.
        if run.stderr.count("weft:") != (2 if kind == "unsupported" else 1):
            missing.append("one message alone")
        if run.returncode or missing:
            print(f"{kind}: status {run.returncode}, missing {missing} in: {run.stderr}")
            failed = 1
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2]))
