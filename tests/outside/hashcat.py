#!/usr/bin/env python3
"""hashcat.py WEFT MODE: hashcat finds a known password on the soft GPU, with kernels that NVRTC compiles.

MODE is hashcat's number of a kind of hash. Hash and words are made here. Breaks when hashcat's kernels compute something
wrong on the soft GPU (it tests itself first), a driver call that it makes is refused, or a launch that it finds possible
is not. Skipped where hashcat or NVRTC is missing.
"""
import ctypes
import hashlib
import hmac
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

SKIPPED = 77
PASSWORD = "password1"
WORDS = ["password0", "not this one", PASSWORD, "password2", "a last word"]
NVRTC = ("libnvrtc.so", "libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so.11.2")
NVRTC_FOLDERS = ("/usr/local/cuda/lib64", "/usr/local/cuda-13.0/lib64")


def wpa_line(password):
    """What hcxtools would write for a PMKID of a network that this password opens."""
    network, access_point, station = b"weftnet", bytes.fromhex("020000000001"), bytes.fromhex("020000000002")
    key = hashlib.pbkdf2_hmac("sha1", password.encode(), network, 4096, 32)
    pmkid = hmac.new(key, b"PMK Name" + access_point + station, hashlib.sha1).digest()[:16]
    return f"WPA*01*{pmkid.hex()}*{access_point.hex()}*{station.hex()}*{network.hex()}***"


# Of each kind: a hash, and what keeps hashcat from trying sizes for a card's thousands of lanes.
HASHES = {
    "0": (lambda: hashlib.md5(PASSWORD.encode()).hexdigest(), []),
    "1400": (lambda: hashlib.sha256(PASSWORD.encode()).hexdigest(), []),
    "22000": (lambda: wpa_line(PASSWORD), ["-n", "1", "-u", "1024", "-T", "32"]),
}


def nvrtc_folder():
    """The folder to add to LD_LIBRARY_PATH, "" where the loader finds NVRTC by itself, None where there is none."""
    for name in NVRTC:
        try:
            ctypes.CDLL(name)
            return ""
        except OSError:
            pass
    return next((folder for folder in NVRTC_FOLDERS if list(pathlib.Path(folder).glob("libnvrtc.so*"))), None)


def missing():
    if not shutil.which("hashcat"):
        return "needs hashcat"
    return None if nvrtc_folder() is not None else "needs NVRTC, of a CUDA toolkit"


def crack(weft, mode, folder):
    """What hashcat found, and all that was said."""
    line, options = HASHES[mode]
    (folder / "hash").write_text(line() + "\n")
    (folder / "words").write_text("\n".join(WORDS) + "\n")
    environment = dict(os.environ, HOME=str(folder), XDG_DATA_HOME=str(folder), XDG_CACHE_HOME=str(folder))
    if nvrtc_folder():
        environment["LD_LIBRARY_PATH"] = ":".join(filter(None, [nvrtc_folder(), environment.get("LD_LIBRARY_PATH")]))
    # --force: hashcat warns about a GPU without a known speed and stops.
    command = [weft, "run", "--gpu", "soft", "--", "hashcat", "--force", "--backend-ignore-opencl", "--potfile-disable",
               "--quiet", "-a", "0", "-m", mode, *options, "--outfile", str(folder / "found"), str(folder / "hash"),
               str(folder / "words")]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, errors="replace")
    found = (folder / "found").read_text() if (folder / "found").exists() else ""
    return run.returncode, found, re.sub(r"\n{2,}", "\n", run.stdout + run.stderr)


def main(weft, mode):
    reason = missing()
    if reason:
        print(reason)
        return SKIPPED
    with tempfile.TemporaryDirectory() as name:
        status, found, said = crack(weft, mode, pathlib.Path(name))
    print(said.strip()[-4000:])
    print(f"status {status}, found: {found.strip()}")
    return 0 if status == 0 and found.strip().endswith(":" + PASSWORD) else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
