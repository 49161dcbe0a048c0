# The image with two places in a virtual machine: an update to the next version keeps the data, and one to a version that
# does not serve is taken back by the boot loader.
modules:
{ hostPkgs, lib, ... }:
let
  version = number: more: {
    imports =
      modules
      ++ [
        ./appliance.nix
        ./image-ab.nix
      ]
      ++ more;
    system.image.version = number;
    virtualisation = {
      directBoot.enable = false;
      mountHostNixStore = false;
      useEFIBoot = true;
      memorySize = 2048;
      cores = 2;
      # The module of virtual machines has mounts of its own, and puts these in the place of the image's.
      fileSystems = lib.mapAttrs (_: lib.mkForce) (import ./mounts.nix);
    };
    # Nobody in a virtual machine of a test waits for an address.
    systemd.network.wait-online.enable = false;
    services.roster.settings.appendonly = true;
    services.roster.settings.appendfsync = "always";
  };
in
{
  name = "roster-image-ab";

  nodes = {
    machine = version "1" [ ];
    next = version "2" [ ];
    broken = version "3" [
      (
        { lib, pkgs, ... }:
        {
          systemd.services.roster.serviceConfig.ExecStart = lib.mkForce [
            ""
            "${pkgs.coreutils}/bin/false"
          ];
        }
      )
    ];
  };

  testScript =
    { nodes, ... }:
    let
      inherit (nodes.machine) image system virtualisation;
      update = node: node.system.build.rosterUpdate;
    in
    ''
      import os
      import subprocess
      import tempfile

      folder = tempfile.TemporaryDirectory()
      disk, updates = f"{folder.name}/disk", f"{folder.name}/updates"
      image = tempfile.NamedTemporaryFile()
      subprocess.run("${hostPkgs.xz}/bin/xz -dc ${system.build.finalImage}/${image.repart.imageFile} >" + image.name, shell=True, check=True)
      subprocess.run(["${virtualisation.qemu.package}/bin/qemu-img", "create", "-f", "qcow2", "-F", "raw", "-b", image.name, disk, "12G"], check=True)
      os.environ["NIX_DISK_IMAGE"] = disk

      def send(words):
          return f"printf '{words}\\r\\nQUIT\\r\\n' | timeout 10 bash -c 'exec 3<>/dev/tcp/127.0.0.1/6379; cat >&3; cat <&3'"

      def version():
          return machine.succeed(". /etc/os-release; echo $IMAGE_VERSION").strip()

      def entries():
          return machine.succeed("ls /boot/EFI/Linux").split()

      def take(paths):
          machine.succeed("rm -rf /var/lib/roster-updates/*")
          for path in paths:
              machine.copy_from_host(path, "/var/lib/roster-updates/")
          machine.succeed("mv /var/lib/roster-updates/*/* /var/lib/roster-updates/")
          machine.succeed("${nodes.machine.systemd.package}/lib/systemd/systemd-sysupdate update")

      machine.start(allow_reboot=True)
      machine.wait_for_unit("systemd-bless-boot.service")

      with subtest("the first version is good, and its store is read-only and verified"):
          assert version() == "1"
          assert entries() == ["roster_1.efi"], entries()
          assert "/dev/mapper/usr" in machine.succeed("df --output=source /nix/store")
          machine.fail("touch /nix/store/x")
          assert "+OK" in machine.succeed(send("SET kept one"))

      with subtest("the next version is booted on trial and found good"):
          take(["${update nodes.next}"])
          assert "roster_2+3-0.efi" in entries(), entries()
          machine.reboot()
          machine.wait_for_unit("systemd-bless-boot.service")
          assert version() == "2"
          assert sorted(entries()) == ["roster_1.efi", "roster_2.efi"], entries()
          assert "one" in machine.succeed(send("GET kept"))

      with subtest("a version that does not serve is tried three times and left"):
          take(["${update nodes.broken}"])
          assert "roster_3+3-0.efi" in entries(), entries()
          machine.reboot()
          machine.wait_until_succeeds("test -e /boot/EFI/Linux/roster_3+0-3.efi && systemctl is-active roster.service", timeout=1800)
          assert version() == "2"
          assert "one" in machine.succeed(send("GET kept"))
    '';
}
