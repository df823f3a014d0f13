"""Tenants by command. Breaks when one of them ends with its processes, is lost with a weftd, is there twice, can be made, changed or removed
by somebody who may not, or leaves a socket, a folder or a record behind."""
import json
import os
import pathlib
import signal
import socket
import subprocess
import unittest

import place

MIB = 1 << 20
NOBODY = {"user": 65534, "group": 65534, "extra_groups": []}


class ManageTest(place.PlaceTest):
    def setUp(self):
        super().setUp()
        self.folder = self.root / "node"
        self.control = self.folder / "weftd.sock"
        self.configuration = self.root / "weft.yaml"
        self.configuration.write_text("operators: [65533]\n")
        self.daemon = None
        self.start_daemon()
        self.env["WEFT_SOCKET"] = str(self.control)
        os.chmod(self.root, 0o755)

    def is_served(self):
        with socket.socket(socket.AF_UNIX) as asked:
            return asked.connect_ex(str(self.control)) == 0

    def start_daemon(self):
        self.daemon = subprocess.Popen([self.weftd, "--socket", str(self.folder), "--config", str(self.configuration)], env=self.env)
        self.started.append(self.daemon)
        place.until(self.is_served, "weftd listens")

    def restart(self, how=signal.SIGKILL):
        self.daemon.send_signal(how)
        self.daemon.wait(place.PATIENCE_S)
        self.start_daemon()

    def tenants(self):
        result = self.call("tenant", "list", "--json")
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        return {tenant["name"]: tenant for tenant in json.loads(result.stdout)["tenants"]}

    def add(self, *words, **options):
        result = self.call("tenant", "add", *words, **options)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        return result.stdout.strip()

    def refused(self, text, *words, status=1, **options):
        result = self.call(*words, **options)
        self.assertEqual((result.returncode, result.stdout), (status, ""), words)
        self.assertIn(text, result.stderr)
        self.assertEqual(result.stderr.count("\n"), 1)

    def client_at(self, path, *steps, **options):
        return subprocess.run([self.client, "open", *steps], env={**self.env, "WEFT_SOCKET": str(path)}, text=True,
                              capture_output=True, timeout=place.PATIENCE_S, **options).stdout

    def begin_client(self, path, *steps):
        process = subprocess.Popen([self.client, "open", *steps], env={**self.env, "WEFT_SOCKET": str(path)}, text=True,
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.started.append(process)
        return process

    def test_its_life(self):
        path = self.add("alice", "--gpu", "soft", "--memory", "1M", "--weight", "300")
        self.assertEqual(path, str(self.folder / "mount" / "alice" / "tenant.sock"))
        self.assertEqual(self.client_at(path, "limit", "charge=5"), f"open alice devices 1\nlimit {MIB}\ncharge 5: ok\n")
        entry = self.tenants()["alice"]
        self.assertEqual((entry["origin"], entry["owner"], entry["weight"], entry["mount_socket"], entry["processes"]),
                         ("command", os.getuid(), 300, path, []))
        self.assertEqual(self.call("run", "--tenant", "alice", self.client, "open").stdout, "open alice devices 1\n")
        self.assertEqual(self.call("set", "alice", "--memory", "2M").returncode, 0)
        for how in (signal.SIGKILL, signal.SIGTERM):
            self.restart(how)
            entry = self.tenants()["alice"]
            self.assertEqual((entry["origin"], entry["weight"], entry["devices"][0]["memory_limit_bytes"]), ("command", 300, 2 * MIB))
            self.assertEqual(self.client_at(path, "limit"), f"open alice devices 1\nlimit {2 * MIB}\n")
        self.assertIn("alice ", self.call("tenant").stdout)
        self.assertEqual(self.call("tenant", "remove", "alice").returncode, 0)
        self.assertEqual(self.tenants(), {})
        self.nothing_is_left()

    def nothing_is_left(self):
        self.assertFalse((self.folder / "mount").exists())
        for name in ("tenants", "state"):
            self.assertEqual(list((self.folder / name).iterdir()), [])

    def test_what_cannot_be(self):
        self.add("alice", "--gpu", "soft")
        self.refused("there is a tenant alice already", "tenant", "add", "alice", "--gpu", "soft")
        self.refused("there is no tenant bob", "tenant", "remove", "bob")
        self.refused("no tenant bob", "set", "bob", "--memory", "1M")
        self.refused("more than weft soft small has", "tenant", "add", "b", "--gpu", "soft", "--memory", "5G")
        self.refused("letters, digits", "tenant", "add", "a/b", "--gpu", "soft")
        self.refused("no such profile", "tenant", "add", "b", "--gpu", "soft=huge")
        for words, text in ((["add"], "which tenant?"), (["remove"], "which tenant?"), (["add", "a", "b"], "unexpected word"),
                            (["add", "b", "--weight", "0"], "--weight"), (["add", "b", "--compute", "101%"], "--compute"),
                            (["add", "b", "--owner", "nobody-of-that-name"], "no such user"), (["grow"], "unknown word"),
                            (["add", "b", "--allow-run", "root,,root"], "--allow-run"), (["add", "x" * 65], "at most 64"),
                            (["add", "b", "--allow-change", "@no-group-of-that-name"], "no such group")):
            self.refused(text, "tenant", *words, status=2)
        self.assertEqual(list(self.tenants()), ["alice"])
        for words in ("add c --gpu soft", "remove alice"):
            result = self.call("run", "--tenant", "alice", "sh", "-c", f"{self.weft} tenant {words}")
            self.assertEqual(result.returncode, 1)
            self.assertIn("inside a tenant", result.stderr)

    def test_removal_with_processes(self):
        path = self.add("alice", "--gpu", "soft")
        inside = self.begin_client(path, "charge=7", "wait")
        self.wait_line(inside, "waiting")
        run = self.begin("run", "--tenant", "alice", self.client, "open", "wait")
        self.wait_line(run, "waiting")
        neighbour = self.begin("run", "--gpu", "soft", "--tenant", "bob", self.client, "open", "charge=3", "wait")
        other = int(self.wait_line(neighbour, "waiting"))
        self.refused("has 2 processes", "tenant", "remove", "alice")
        result = self.call("tenant", "remove", "--force", "alice")
        self.assertEqual(result.returncode, 0)
        self.assertIn("processes of alice are ended", result.stderr)
        self.assertEqual(inside.wait(place.PATIENCE_S), -signal.SIGKILL)
        self.assertEqual(run.wait(place.PATIENCE_S), 128 + signal.SIGKILL)
        self.assertEqual(list(self.tenants()), ["bob"])
        self.assertEqual(self.held("bob"), (3, {other: 3}))
        self.add("alice", "--gpu", "soft")
        self.assertEqual(self.held("alice"), (0, {}))

    def test_a_tenant_of_a_run_can_be_removed_too(self):
        run = self.begin("run", "--gpu", "soft", "--tenant", "bob", self.client, "open", "wait")
        self.wait_line(run, "waiting")
        self.refused("processes", "tenant", "remove", "bob")
        self.assertEqual(self.call("tenant", "remove", "bob", "--force").returncode, 0)
        self.assertEqual(run.wait(place.PATIENCE_S), 128 + signal.SIGKILL)
        self.nothing_is_left()

    def test_a_private_daemon_serves_it(self):
        del self.env["WEFT_SOCKET"]
        self.assertEqual(self.call("tenant", "list").returncode, 0)
        self.assertFalse((self.dir / "weftd.sock").exists(), "listing starts none")
        path = self.add("alice", "--gpu", "soft", "--memory", "1M")
        self.assertEqual(self.client_at(path, "limit"), f"open alice devices 1\nlimit {MIB}\n")
        self.assertEqual(self.call("tenant", "remove", "alice").returncode, 0)

    @unittest.skipUnless(os.getuid() == 0, "only root can be two users")
    def test_who_may(self):
        operator = {"user": 65533, "group": 65533, "extra_groups": []}
        self.refused("may not add tenants", "tenant", "add", "mine", "--gpu", "soft", **NOBODY)
        path = self.add("alice", "--gpu", "soft", "--owner", "65534", **operator)
        self.assertEqual(self.tenants()["alice"]["owner"], 65534)
        self.assertEqual(self.client_at(path, **NOBODY), "open alice devices 1\n")
        self.assertIn("not allowed", self.client_at(path, **operator))
        self.refused("belongs to uid 65534", "set", "alice", "--memory", "1M", user=65532, group=65532, extra_groups=[])
        self.refused("belongs to uid 65534", "tenant", "remove", "alice", user=65532, group=65532, extra_groups=[])
        self.assertEqual(self.call("set", "alice", "--memory", "1M", **operator).returncode, 0)
        self.assertEqual(self.call("set", "alice", "--allow-run", "65532", **NOBODY).returncode, 0)
        self.restart()
        self.assertEqual(self.tenants()["alice"]["run"], {"uids": [65532], "gids": []})
        self.assertEqual(self.client_at(path, user=65532, group=65532, extra_groups=[]), "open alice devices 1\n")
        self.assertEqual(self.call("tenant", "remove", "alice", **NOBODY).returncode, 0)
        self.nothing_is_left()

    @unittest.skipUnless(os.getuid() == 0, "only root can be two users")
    def test_access_of_a_runs_tenant(self):
        run = self.begin("run", "--gpu", "soft", "--tenant", "bob", "--allow-run", "65534", self.client, "open", "wait")
        self.wait_line(run, "waiting")
        self.assertEqual(self.call("run", "--tenant", "bob", self.client, "open", **NOBODY).stdout, "open bob devices 1\n")
        self.refused("belongs to uid 0", "set", "bob", "--memory", "1M", **NOBODY)
        self.assertEqual(self.call("set", "bob", "--allow-change", "65534", "--allow-run", "").returncode, 0)
        self.assertEqual(self.call("set", "bob", "--memory", "1M", **NOBODY).returncode, 0)
        self.refused("say who else", "set", "bob", "--allow-run", "65534", **NOBODY)
        self.refused("belongs to uid 0", "run", "--tenant", "bob", "true", status=125, **NOBODY)
        self.refused("who may use it", "run", "--tenant", "bob", "--allow-run", "65534", "true", status=125)


if __name__ == "__main__":
    place.main()
