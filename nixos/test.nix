# A machine in a virtual machine: it boots, serves, is as its profile wants it, comes back after it was killed, and ends when
# it is told to.
modules: {
  name = "roster";

  nodes.machine = {
    imports = modules;
    virtualisation.cores = 4;
    virtualisation.memorySize = 2048;
    services.roster.enable = true;
    services.roster.settings.workers = "1-3";
    services.roster.requirePassFile = "/etc/roster-password";
    environment.etc."roster-password".text = "open sesame";
    roster.tuning.enable = true;
    roster.tuning.profile = "ent1-m";
    roster.tuning.layout.housekeeping = "0";
    roster.tuning.layout.workers = "1-3";
  };

  testScript = ''
    machine.wait_for_unit("roster.service")
    machine.wait_for_open_port(6379)

    def ask(words):
        return machine.succeed(
            f"printf 'AUTH \"open sesame\"\\r\\n{words}\\r\\nQUIT\\r\\n' | timeout 10 bash -c 'exec 3<>/dev/tcp/127.0.0.1/6379; cat >&3; cat <&3'"
        )

    with subtest("it serves, and only with the password"):
        assert "NOAUTH" in machine.succeed(
            "printf 'PING\\r\\nQUIT\\r\\n' | timeout 10 bash -c 'exec 3<>/dev/tcp/127.0.0.1/6379; cat >&3; cat <&3'"
        )
        assert "+PONG" in ask("PING")

    with subtest("workers are on the isolated CPUs, and the doctor finds nothing that matters"):
        machine.wait_for_unit("roster-tune.service")
        assert machine.succeed("cat /sys/devices/system/cpu/isolated").strip() == "1-3"
        machine.succeed("grep -h -x 'Cpus_allowed_list:.*[123]' /proc/$(pidof roster)/task/*/status")
        print(machine.succeed("roster doctor --profile /etc/roster/profile.toml"))

    with subtest("it comes back after it was killed"):
        before = machine.succeed("pidof roster").strip()
        machine.succeed("kill -9 " + before)
        machine.wait_until_succeeds("systemctl is-active roster.service && test \"$(pidof roster)\" != " + before)
        machine.wait_for_open_port(6379)
        assert "+PONG" in ask("PING")

    with subtest("it ends when it is told to, and the tuning is taken back"):
        machine.succeed("systemctl stop roster.service roster-tune.service")
        machine.succeed("! test -e /var/lib/roster-tune/record.toml")
  '';
}
