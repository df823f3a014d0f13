"""Faults kept apart. Breaks when a fault of one context ends another one too, of the same process, the same tenant or a
neighbour; when a neighbour's results are wrong meanwhile; or when the audit has not exactly one line for each context that ended."""
import json
import os

from rig import ECC, FAILED, ILLEGAL_ADDRESS, SUCCESS, TIMEOUT, Program, SoftTest, main, until

# What is injected into one process, and what its context gets.
INJECTED = {"8": TIMEOUT, "13": FAILED, "31": ILLEGAL_ADDRESS, "32": FAILED, "43": FAILED, "45": FAILED, "48": ECC, "94": ECC, "109": TIMEOUT}


class IsolateTest(SoftTest):
    def setUp(self):
        super().setUp()
        self.bob = Program(self, "--gpu", "soft", "--tenant", "bob")
        self.assertEqual(self.bob.do("init", "make", "squares"), SUCCESS)
        self.alice = Program(self, "--gpu", "soft", "--tenant", "alice")
        self.assertEqual(self.alice.do("init", "make", "squares"), SUCCESS)
        self.other = Program(self, "--gpu", "soft", "--tenant", "alice")
        self.assertEqual(self.other.do("init", "make", "squares"), SUCCESS)

    def audit(self, event="context-ended"):
        path = self.tmp / f"weft-{os.getuid()}" / "state" / "faults.jsonl"
        lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        return [line for line in lines if line["event"] == event]

    def await_audit(self):
        """What was audited once a line is there: weftd hears of a fault beside the program that meets it."""
        until(self.audit, "the audit has a line")
        return self.audit()

    def expect_one(self, error, kind, xid=None):
        """Only alice's context has ended, and the audit says so."""
        for _ in range(3):
            self.assertEqual((self.bob.do("squares"), self.other.do("squares")), (SUCCESS, SUCCESS))
        self.assertEqual((self.alice.do("allocate"), self.alice.do("quick")), (error, error))
        pid = self.alice.pid(self)
        self.assertEqual(self.alice.do("destroy", "make", "squares"), SUCCESS)
        self.alice.finish()
        self.assertEqual((self.bob.do("squares"), self.other.do("squares")), (SUCCESS, SUCCESS))
        lines = self.await_audit()
        self.assertEqual(len(lines), 1, lines)
        expected = {"kind": kind, "error": error, "xid": xid, "tenant": "alice", "uid": os.getuid(), "pid": pid, "device": "soft=small"}
        self.assertEqual({key: lines[0][key] for key in expected}, expected)
        self.assertRegex(lines[0]["time"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
        self.assertIn(lines[0]["text"], self.alice.told)
        self.assertEqual((self.bob.told, self.other.told), ("", ""))

    def test_an_illegal_address(self):
        self.assertEqual(self.alice.do("wild"), ILLEGAL_ADDRESS)
        self.expect_one(ILLEGAL_ADDRESS, "illegal-address")

    def test_an_endless_kernel(self):
        self.assertEqual(self.weft("set", "alice", "--kernel-timeout", "200us").returncode, 0)
        self.assertEqual(self.alice.do("endless"), SUCCESS)
        self.alice.begin("sync")
        self.assertEqual((self.bob.do("squares"), self.other.do("squares")), (SUCCESS, SUCCESS))
        self.assertEqual(self.alice.result("sync"), TIMEOUT)
        self.expect_one(TIMEOUT, "timeout")

    def test_another_context_of_the_process(self):
        self.assertEqual(self.alice.do("second", "squares", "wild"), ILLEGAL_ADDRESS)
        self.assertEqual((self.alice.do("back"), self.alice.do("squares"), self.alice.do("back")), (SUCCESS,) * 3)
        self.expect_one(ILLEGAL_ADDRESS, "illegal-address")

    def test_who_is_at_work_alone(self):
        self.assertEqual(self.alice.do("endless"), SUCCESS)
        self.alice.begin("sync")
        self.soft("inject", "small", "xid", "94")
        self.assertEqual(self.alice.result("sync"), ECC)
        self.expect_one(ECC, "ecc", 94)

    def test_a_tenant_that_is_named(self):
        self.soft("inject", "small", "ecc", "--tenant", "bob")
        self.assertEqual((self.bob.do("allocate"), self.alice.do("squares"), self.other.do("squares")), (ECC, SUCCESS, SUCCESS))
        self.assertEqual([line["tenant"] for line in self.await_audit()], ["bob"])
        injected = self.audit("injected")
        self.assertEqual([(line["xid"], line["tenant"], line["by_uid"]) for line in injected], [(48, "bob", os.getuid())])


def injected(xid, error):
    def test(self):
        self.assertEqual(self.alice.do("endless"), SUCCESS)
        self.alice.begin("sync")
        self.soft("inject", "small", "xid", xid, "--pid", str(self.alice.pid(self)))
        self.assertEqual(self.alice.result("sync"), error)
        self.expect_one(error, {TIMEOUT: "timeout", ECC: "ecc", ILLEGAL_ADDRESS: "illegal-address", FAILED: "failure"}[error], int(xid))
    return test


for number, result in INJECTED.items():
    setattr(IsolateTest, f"test_xid_{number}", injected(number, result))
main()
