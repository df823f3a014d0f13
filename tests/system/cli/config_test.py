"""weftd's configuration and its tenants, and the service manager's side. Breaks when a wrong file is taken, when an error does not
say where, when who is not listed gets in, or when an activated socket is lost."""
import os
import socket
import subprocess
import sys
import unittest

import place

NOBODY = {"user": 65534, "group": 65534, "extra_groups": []}


class ConfigTest(place.PlaceTest):
    def write(self, text):
        path = self.root / "weft.yaml"
        path.write_text(text)
        return str(path)

    def check(self, text):
        return subprocess.run([self.weftd, "--config", self.write(text), "--check-config"], env=self.env, text=True,
                              capture_output=True, timeout=place.PATIENCE_S)

    def test_good(self):
        for text, count in (("", 0), ("# nothing\n", 0), ("tenants:\n", 0), ("tenants: {}\n", 0),
                            ("tenants:\n  a:\n    gpu: soft\n    memory: 1.5G\n  b: {gpu: 'soft=t4,soft', run: [0, '@0', root]}\n", 2)):
            result = self.check(text)
            self.assertEqual((result.returncode, result.stderr), (0, ""), text)
            self.assertIn(f": {count} tenants\n", result.stdout)

    def test_rules(self):
        for text, count in (("rules:\n", ""), ("rules: {}\n", ""), ("rules:\n  a:\n", ", 1 rules"),
                            ("rules:\n  a: {for: []}\n  b: {for: '@0', gpu: 'soft=smallx4,soft=t4', gpus: 2, tenants: 0, memory: 1G:2G, weight: 3,\n"
                             "    compute: 5%, priority: low, sm: 7%, kernel-timeout: 20ms}\n  c: {memory: 1T}\n", ", 3 rules")):
            result = self.check(text)
            self.assertEqual((result.returncode, result.stderr), (0, ""), text)
            self.assertIn(f": 0 tenants{count}\n", result.stdout)

    def test_bad(self):
        head = "tenants:\n  a:\n    gpu: soft\n"
        for text, line, words in (
                (head + "    memmory: 1G\n", 4, "tenants.a.memmory: unknown key"),
                ("tenant:\n  a: {}\n", 1, "unknown key"),
                ("operators: [root, nobody-of-that-name]\n", 1, "operators: \"nobody-of-that-name\": no such user"),
                (head + "\tmemory: 1G\n", 4, "a tab"),
                (head + "  \tmemory: 1G\n", 4, "a tab"),
                (head + "  a:\n    gpu: soft\n", 4, "\"a\" stands on line 2 already"),
                (head + "    memory: 1G\n    memory: 2G\n", 5, "\"memory\" stands on line 4 already"),
                (head + "    memory: 2GB\n", 4, "tenants.a.memory: \"2GB\""),
                (head + "    memory: [1, 2]\n", 4, "must be one value"),
                (head + "    memory: 5G\n", 2, "more than weft soft small has"),
                (head + "    weight: 10001\n", 4, "tenants.a.weight: \"10001\": a weight is from 1 to 10000"),
                (head + "    compute: 200%\n", 4, "from 1% to 100%"),
                (head + "    priority: urgent\n", 4, "critical, high, normal, low or idle"),
                (head + "    owner: nobody-of-that-name\n", 4, "no such user"),
                (head + "    run: ['@no-group-of-that-name']\n", 4, "no such group"),
                (head + "    run: {a: b}\n", 4, "must be a list"),
                ("tenants:\n  a:\n    gpu: soft=huge\n", 2, "no such profile"),
                ("tenants:\n  a:\n    gpu: softer\n", 3, "tenants.a.gpu: "),
                ("tenants:\n  'a b':\n    gpu: soft\n", 2, "letters, digits"),
                ("tenants:\n  " + "n" * 65 + ":\n    gpu: soft\n", 2, "letters, digits"),
                ("tenants: [a, b]\n", 1, "must be keys with values"),
                ("- a\n", 1, "must be keys with values"),
                ("rules: [a]\n", 1, "rules: must be keys with values"),
                ("rules:\n  a:\n    memmory: 1G\n", 3, "rules.a.memmory: unknown key; there are for, gpu"),
                ("rules:\n  a:\n    placement: pack\n", 3, "rules.a.placement: unknown key"),
                ("rules:\n  a:\n    memory: 1GB\n", 3, "rules.a.memory: \"1GB\""),
                ("rules:\n  a:\n    memory: 2G:1G\n", 3, "more than the ceiling"),
                ("rules:\n  a:\n    for: [nobody-of-that-name]\n", 3, "rules.a.for: \"nobody-of-that-name\": no such user"),
                ("rules:\n  a:\n    for: {b: c}\n", 3, "must be a list"),
                ("rules:\n  a:\n    tenants: some\n", 3, "rules.a.tenants: \"some\": write a whole number from 0 to 1024"),
                ("rules:\n  a:\n    gpu: [soft]\n", 3, "must be one value"),
                ("rules:\n  a:\n    gpu: softer\n", 3, "rules.a.gpu: "),
                ("rules:\n  a:\n    gpus: 0\n", 3, "from 1 to 16"),
                ("rules:\n  a: {gpu: soft=huge}\n", 2, "rules.a: gpu: no profile \"huge\""),
                ("rules:\n  a: {gpu: 'soft,77'}\n", 2, "has no GPU 77"),
                ("rules:\n  a: {gpu: 'tls://host'}\n", 2, "not supported yet"),
                ("rules:\n  a: {gpu: GPU-00000000-0000-0000-0000-00000000000f}\n", 2, "no device of that UUID"),
                ("rules:\n  a: {}\n  b: {for: root}\n", 3, "rules.b: stands behind a, which is for everybody"),
                ("rules:\n  a: {for: root}\n  a: {}\n", 3, "\"a\" stands on line 2 already"),
                ("rules:\n  'a b': {}\n", 2, "a rule's name has letters"),
                ("rules:\n" + "".join(f"  r{i}: {{for: root}}\n" for i in range(65)), 66, "more than 64 rules"),
                ("tenants:\n  a: {gpu: soft\n", 3, ""),
                ("tenants:\n  ? [x]\n  : y\n", 2, "a key must be a word")):
            result = self.check(text)
            self.assertEqual((result.returncode, result.stdout), (1, ""), text)
            self.assertIn(f"weft.yaml:{line}: ", result.stderr, text)
            self.assertIn(words, result.stderr, text)
            self.assertEqual(result.stderr.count("\n"), 1, result.stderr)

    def test_files_that_cannot_be_read(self):
        for path in ("/nonexistent", str(self.root)):
            result = subprocess.run([self.weftd, "--config", path, "--check-config"], env=self.env, text=True, capture_output=True)
            self.assertEqual(result.returncode, 1)
            self.assertIn(path, result.stderr)
        big = self.write("#" * (1 << 20))
        result = subprocess.run([self.weftd, "--config", big, "--check-config"], env=self.env, text=True, capture_output=True)
        self.assertEqual(result.returncode, 1)

    def test_the_users_own_file(self):
        folder = self.root / ".config" / "weft"
        folder.mkdir(parents=True)
        (folder / "weft.yaml").write_text("tenants:\n  a: {gpu: soft, memory: 1M}\n")
        result = subprocess.run([self.weftd, "--check-config"], env={**self.env, "HOME": str(self.root)}, text=True,
                                capture_output=True)
        if os.path.exists("/etc/weft/weft.yaml"):
            self.skipTest("this machine has a configuration of its own")
        self.assertEqual(result.stdout, f"{folder}/weft.yaml: 1 tenants\n")

    def serve(self, text, **options):
        folder = self.root / "node"
        daemon = subprocess.Popen([self.weftd, "--socket", str(folder), "--config", self.write(text)], env=self.env, **options)
        self.started.append(daemon)
        control = folder / "weftd.sock"
        place.until(lambda: daemon.poll() is not None or control.exists(), "weftd listens or ends")
        return daemon, {"WEFT_SOCKET": str(control)}

    def test_tenants_are_there_before_anybody_runs(self):
        daemon, env = self.serve("tenants:\n  a: {gpu: soft, memory: 1M}\n")
        result = self.call("run", "--tenant", "a", self.client, "open", "limit", env=env)
        self.assertEqual(result.stdout, f"open a devices 1\nlimit {1 << 20}\n")
        self.assertEqual(self.call("run", "--tenant", "a", "--memory", "2M", "true", env=env).returncode, 125)
        mounted = self.root / "node" / "mount" / "a" / "tenant.sock"
        inner = {**self.env, "WEFT_SOCKET": str(mounted)}
        result = subprocess.run([self.client, "open", "charge=1048576", "charge=1"], env=inner, text=True, capture_output=True)
        self.assertEqual(result.stdout, "open a devices 1\ncharge 1048576: ok\ncharge 1: refused\n")
        self.assertIn("a ", self.call("ps", env=env).stdout, "it outlives its programs")
        daemon.kill()
        daemon.wait()
        (self.root / "node" / "weftd.sock").unlink()
        self.serve("tenants:\n  a: {gpu: soft, memory: 1M}\n")
        result = subprocess.run([self.client, "open"], env=inner, text=True, capture_output=True)
        self.assertEqual(result.stdout, "open a devices 1\n", "the mounted folder has the next daemon's socket")

    @unittest.skipUnless(os.getuid() == 0, "only root can be two users")
    def test_access_lists(self):
        os.chmod(self.root, 0o755)
        text = ("tenants:\n  run: {gpu: soft, memory: 1M, run: [65534]}\n  change: {gpu: soft, memory: 1M, change: [65534]}\n"
                "  group: {gpu: soft, run: ['@65534']}\n  none: {gpu: soft}\n")
        daemon, env = self.serve(text)
        for name, may in (("run", True), ("change", False), ("group", True), ("none", False)):
            inner = {**self.env, "WEFT_SOCKET": str(self.root / "node" / "mount" / name / "tenant.sock")}
            result = subprocess.run([self.client, "open"], env=inner, text=True, capture_output=True, **NOBODY)
            self.assertEqual(f"open {name} devices 1\n" in result.stdout, may, (name, result.stdout))
            result = self.call("run", "--tenant", name, self.client, "open", env=env, **NOBODY)
            self.assertEqual(result.returncode == 0, may, (name, result.stderr))
            result = self.call("set", name, "--memory", "2M", env=env, **NOBODY)
            self.assertEqual(result.returncode == 0, name == "change", (name, result.stderr))

    def test_a_configuration_that_cannot_be_is_refused_at_the_start(self):
        daemon, _ = self.serve("tenants:\n  a: {gpu: soft=huge}\n", stderr=subprocess.PIPE)
        self.assertIn("weft.yaml:2: tenants.a: ", daemon.communicate(timeout=place.PATIENCE_S)[1].decode())
        self.assertEqual(daemon.returncode, 1)

    def activate(self, path, notify, prepare=""):
        """A service manager in one line: descriptor 3 listens, and the environment says so."""
        script = ("import os, socket, sys\n"
                  f"s = socket.socket({'socket.AF_UNIX' if path else 'socket.AF_INET'})\n"
                  f"s.bind({str(path)!r} if {bool(path)} else ('127.0.0.1', 0)); s.listen()\n"
                  "os.dup2(s.fileno(), 3); os.set_inheritable(3, True)\n"
                  f"os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='1', NOTIFY_SOCKET={str(notify)!r})\n"
                  f"{prepare}\n"
                  f"os.execv({self.weftd!r}, ['weftd'])\n")
        process = subprocess.Popen([sys.executable, "-c", script], env=self.env, stderr=subprocess.PIPE, text=True)
        self.started.append(process)
        return process

    def test_socket_activation(self):
        folder = self.root / "node"
        folder.mkdir()
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.settimeout(place.PATIENCE_S)
            manager.bind(str(self.root / "notify"))
            daemon = self.activate(folder / "weftd.sock", self.root / "notify")
            self.assertEqual(manager.recv(100), b"READY=1")
        env = {"WEFT_SOCKET": str(folder / "weftd.sock")}
        self.assertEqual(self.call("run", "--gpu", "soft", self.client, "open", env=env).returncode, 0)
        daemon.terminate()
        daemon.wait(place.PATIENCE_S)
        self.assertTrue((folder / "weftd.sock").exists(), "the socket is the manager's")

    def test_activation_by_what_is_no_socket_of_ours(self):
        for path, prepare, words in ((None, "", "one listening unix socket"), (self.root / "other.sock", "", "must be called"),
                                     (self.root / "x.sock", "os.environ['LISTEN_FDS'] = '2'", "2 sockets")):
            daemon = self.activate(path, "", prepare)
            self.assertIn(words, daemon.communicate(timeout=place.PATIENCE_S)[1])
            self.assertEqual(daemon.returncode, 1)


if __name__ == "__main__":
    place.main()
