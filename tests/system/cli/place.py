"""A place of one's own for a test of the command: an installation, a folder for sockets, and a daemon that ends with the test.

Nothing here waits for a fixed time: `until` looks again and again, and gives up only after a time in which everything must have
happened on the slowest machine.
"""
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

BUILD = pathlib.Path(sys.argv[1]).resolve()
PATIENCE_S = 60


def until(condition, what):
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.01)
    raise AssertionError(f"{what}: not within {PATIENCE_S} s")


class PlaceTest(unittest.TestCase):
    def install_libraries(self):
        """The real ones, for programs that compute; without this the face is a library that does nothing."""
        for library in (BUILD / "lib").glob("*.so*"):
            if library.is_file():
                shutil.copy(library, self.library_dir / library.name)

    def setUp(self):
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="weft-"))
        self.started = []
        self.unread = {}
        # Last of all, and whatever becomes of the test: also where its set-up fails or its time is over.
        self.addCleanup(shutil.rmtree, self.root, ignore_errors=True)
        self.addCleanup(self.end_all)
        signal.signal(signal.SIGTERM, self.give_up)
        self.tmp = self.root / "tmp"
        self.prefix = self.root / "prefix"
        self.library_dir = self.prefix / "lib" / "weft"
        for folder in (self.tmp, self.prefix / "bin", self.library_dir):
            folder.mkdir(parents=True)
        for name in ("weft", "weftd"):
            shutil.copy(BUILD / name, self.prefix / "bin" / name)
        tests = BUILD / "tests" / "system" / "cli"
        shutil.copy(tests / "libno_face.so", self.library_dir / "libcuda.so.1")
        self.weft = str(self.prefix / "bin" / "weft")
        self.weftd = str(self.prefix / "bin" / "weftd")
        self.client = str(tests / "cli_client")
        self.dir = self.tmp / f"weft-{os.getuid()}"
        self.env = {key: value for key, value in os.environ.items()
                    if key not in ("XDG_RUNTIME_DIR", "WEFT_SOCKET", "LD_PRELOAD", "LD_LIBRARY_PATH", "WEFT_LOG")}
        self.env["TMPDIR"] = str(self.tmp)
        # What weft preloads comes before the sanitizer's runtime, which is harmless: it holds nothing.
        self.env["ASAN_OPTIONS"] = self.env.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"

    def give_up(self, *_):
        for process in self.started:
            process.kill()
        for lock in self.root.glob("**/weftd.lock"):
            pid = self.daemon_pid(lock.parent)
            if pid:
                os.kill(pid, signal.SIGKILL)
        shutil.rmtree(self.root, ignore_errors=True)
        os._exit(1)

    def end_all(self):
        for process in self.started:
            if process.poll() is None:
                process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream:
                    stream.close()
        pid = self.daemon_pid()
        if pid:
            os.kill(pid, signal.SIGTERM)
            until(lambda: not alive(pid), "weftd ends on SIGTERM")
        log = self.dir / "weftd.log"
        text = log.read_text() if log.exists() else ""
        self.assertNotIn("Sanitizer", text)
        self.assertNotIn("runtime error", text)

    def daemon_pid(self, folder=None):
        """The pid of the weftd that serves the folder now, 0 where none does."""
        lock = (folder or self.dir) / "weftd.lock"
        text = lock.read_text().strip() if lock.exists() else ""
        return int(text) if text and alive(int(text)) else 0

    def call(self, *words, env=None, **options):
        """Runs weft to its end."""
        options.setdefault("stdin", subprocess.DEVNULL)
        return subprocess.run([self.weft, *map(str, words)], env={**self.env, **(env or {})}, text=True,
                              capture_output=True, timeout=PATIENCE_S, **options)

    def begin(self, *words, env=None, **options):
        """Starts weft and returns at once; ended at the latest with the test."""
        process = subprocess.Popen([self.weft, *map(str, words)], env={**self.env, **(env or {})}, text=True,
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)
        self.started.append(process)
        return process

    def ps(self):
        result = self.call("ps", "--json")
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        return {tenant["name"]: tenant for tenant in json.loads(result.stdout)["tenants"]}

    def held(self, tenant):
        """Bytes that ps shows: of the tenant, and by pid."""
        entry = self.ps()[tenant]
        return (entry["devices"][0]["memory_used_bytes"],
                {process["pid"]: process["devices"][0]["memory_used_bytes"] for process in entry["processes"]})

    def wait_line(self, process, start):
        """The rest of the next line on stdout that starts so. Lines of others wait for whoever asks for them."""
        waiting = self.unread.setdefault(process.pid, [])
        for line in waiting:
            if line.startswith(start):
                waiting.remove(line)
                return line[len(start):].strip()
        for line in process.stdout:
            if line.startswith(start):
                return line[len(start):].strip()
            waiting.append(line)
        raise AssertionError(f"no line {start!r}; stderr: {process.stderr.read()}")

    def go_on(self, process):
        process.stdin.write("\n")
        process.stdin.flush()


def alive(pid):
    """Whether a process of that number runs; a zombie does not."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


def main():
    unittest.main(argv=sys.argv[:1], verbosity=2)
