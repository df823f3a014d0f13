"""Faults that a person lets happen to a soft device. Breaks when a fault misses a context that it should end or ends another one,
when a running kernel does not notice, when it is not sticky, or when a counter or a refusal is wrong."""
import json

from rig import DEVICE_UNAVAILABLE, ECC, FAILED, ILLEGAL_ADDRESS, SUCCESS, Program, SoftTest, main


class InjectTest(SoftTest):
    def test_list_without_a_daemon(self):
        answer = json.loads(self.soft("list", "--json"))
        profiles = {profile["name"]: profile for profile in answer["profiles"]}
        self.assertEqual((answer["version"], answer["devices"]), (1, []))
        self.assertEqual(profiles["small"]["sm_count"], 8)
        self.assertEqual(profiles["a100-40g"]["compute_capability"], "8.0")
        kinds = {kind["name"]: kind for kind in profiles["h100-80g"]["mig"]}
        self.assertEqual((kinds["3g.40gb"]["id"], kinds["3g.40gb"]["sm_count"], kinds["3g.40gb"]["starts"]), (9, 60, [0, 4]))
        self.assertEqual(profiles["t4"]["mig"], [])
        self.assertIn("t4", self.soft())
        self.assertNotIn("DEVICE", self.soft())

    def test_ecc_ends_every_context_and_stays(self):
        left, right = Program(self, "--gpu", "soft"), Program(self, "--gpu", "soft")
        self.assertEqual(left.do("init", "make", "endless"), SUCCESS)
        self.assertEqual(right.do("init", "make", "quick"), SUCCESS)
        left.begin("sync")
        self.soft("inject", "small", "ecc")
        self.assertEqual(left.result("sync"), ECC)
        self.assertEqual([left.do("allocate"), left.do("quick"), right.do("allocate")], [ECC] * 3)
        device = self.device()
        self.assertEqual((device["state"], device["last_xid"], device["xid_count"]), ("healthy", 48, 1))
        self.assertEqual((device["ecc_volatile"], device["ecc_aggregate"]), (1, 1))
        self.assertEqual(left.do("destroy", "make", "quick"), SUCCESS)
        self.soft("clear", "small")
        device = self.device()
        self.assertEqual((device["ecc_volatile"], device["ecc_aggregate"]), (0, 1))
        self.assertEqual((right.do("allocate"), left.do("quick")), (ECC, SUCCESS))
        left.finish()
        self.assertEqual(left.told.count("Xid 48"), 1, left.told)

    def test_a_page_fault_ends_who_is_at_work(self):
        busy, idle = Program(self, "--gpu", "soft"), Program(self, "--gpu", "soft")
        self.assertEqual((busy.do("init", "make", "sleepy"), idle.do("init", "make", "quick")), (SUCCESS, SUCCESS))
        self.soft("inject", "soft=small", "xid", "31")
        self.assertEqual(busy.do("sync"), ILLEGAL_ADDRESS)
        self.assertEqual(idle.do("quick", "allocate"), SUCCESS)
        self.assertEqual(idle.do("endless"), SUCCESS)
        self.soft("inject", "soft", "xid", "13")
        self.assertEqual((idle.do("sync"), busy.do("allocate")), (FAILED, ILLEGAL_ADDRESS))

    def test_fallen_off_the_bus_until_cleared(self):
        running = Program(self, "--gpu", "soft")
        self.assertEqual(running.do("init", "make", "endless"), SUCCESS)
        running.begin("sync")
        self.soft("inject", "small", "fallen-off-the-bus")
        self.assertEqual(running.result("sync"), DEVICE_UNAVAILABLE)
        self.assertEqual([running.do("query"), running.do("allocate"), running.do("make")], [DEVICE_UNAVAILABLE] * 3)
        later = Program(self, "--gpu", "soft")
        self.assertEqual(later.do("init"), SUCCESS)
        self.assertEqual((later.do("query"), later.do("make")), (DEVICE_UNAVAILABLE, DEVICE_UNAVAILABLE))
        self.assertEqual(self.device()["state"], "lost")
        self.soft("clear", "small")
        self.assertEqual(self.device()["state"], "healthy")
        self.assertEqual((later.do("query"), later.do("make", "quick")), (SUCCESS, SUCCESS))
        self.assertEqual(running.do("allocate"), DEVICE_UNAVAILABLE)
        self.assertEqual(running.do("destroy", "make", "quick"), SUCCESS)

    def test_an_uncontained_error_needs_a_reset(self):
        program = Program(self, "--gpu", "soft")
        self.assertEqual(program.do("init", "make"), SUCCESS)
        self.soft("inject", "small", "xid", "95")
        self.assertEqual((program.do("allocate"), program.do("query")), (ECC, SUCCESS))
        self.assertEqual(program.do("destroy", "make"), DEVICE_UNAVAILABLE)
        self.assertEqual(self.device()["state"], "needs reset")
        self.soft("clear", "small")
        self.assertEqual(program.do("make", "quick"), SUCCESS)

    def test_one_tenant_or_process_alone(self):
        alice, bob = Program(self, "--gpu", "soft", "--tenant", "alice"), Program(self, "--gpu", "soft", "--tenant", "bob")
        for program in (alice, bob):
            self.assertEqual(program.do("init", "make", "endless"), SUCCESS)
        alice.begin("sync")
        self.soft("inject", "small", "xid", "94", "--tenant", "alice")
        self.assertEqual(alice.result("sync"), ECC)
        self.assertEqual(bob.do("allocate"), SUCCESS)
        self.soft("inject", "small", "xid", "13", "--pid", str(bob.pid(self)))
        self.assertEqual((bob.do("sync"), alice.do("allocate")), (FAILED, ECC))
        self.assertEqual(alice.do("destroy", "make", "quick"), SUCCESS)

    def test_what_is_only_logged_ends_nobody(self):
        program = Program(self, "--gpu", "soft")
        self.assertEqual(program.do("init", "make"), SUCCESS)
        self.soft("inject", "small", "xid", "63")
        self.assertEqual((self.device()["last_xid"], program.do("quick")), (63, SUCCESS))

    def test_the_second_of_a_profile_has_a_name(self):
        program = Program(self, "--gpu", "soft=smallx2")
        self.assertEqual(program.do("init", "make"), SUCCESS)
        self.soft("inject", "small:1", "ecc")
        self.assertEqual((self.device("small:1")["ecc_volatile"], self.device()["ecc_volatile"]), (1, 0))
        self.assertEqual(program.do("quick"), SUCCESS)
        self.soft("inject", self.device()["device"], "ecc")
        self.assertEqual(program.do("quick"), ECC)

    def refused(self, status, said, *words):
        result = self.weft("soft", *words)
        self.assertEqual((result.returncode, result.stdout), (status, ""), words)
        self.assertIn(said, result.stderr)
        self.assertEqual(result.stderr.count("\n"), 1)

    def test_refusals(self):
        self.refused(1, "no weftd runs", "inject", "small", "ecc")
        program = Program(self, "--gpu", "soft", "--tenant", "alice")
        self.assertEqual(program.do("init", "make"), SUCCESS)
        self.refused(1, '"t4" is in use', "inject", "t4", "ecc")
        self.refused(1, '"smal" is in use', "clear", "smal")
        self.refused(1, "no such process", "inject", "small", "ecc", "--tenant", "carol")
        self.refused(1, "no such process", "inject", "small", "ecc", "--pid", "1")
        self.refused(1, "as a whole", "inject", "small", "fallen-off-the-bus", "--tenant", "alice")
        self.refused(2, 'unknown kind "fire"', "inject", "small", "fire")
        self.refused(2, "xid 7: not known", "inject", "small", "xid", "7")
        self.refused(2, 'xid "x"', "inject", "small", "xid", "x")
        self.refused(2, "which kind", "inject", "small")
        self.refused(2, "which device", "inject")
        self.refused(2, "which device", "clear")
        self.refused(2, "alone", "clear", "small", "--tenant", "alice")
        self.refused(2, 'unexpected word "ecc"', "clear", "small", "ecc")
        self.refused(2, 'unknown word "break"', "break")
        self.assertEqual((self.device()["xid_count"], program.do("quick")), (0, SUCCESS))


main()
