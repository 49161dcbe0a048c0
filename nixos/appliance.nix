# A machine that does nothing but serve keys: the server, the tuning, SSH by key, and a serial console.
{
  config,
  lib,
  modulesPath,
  pkgs,
  ...
}:
let
  settings = "/run/roster-first-boot/settings.env";
in
{
  imports = [ (modulesPath + "/profiles/qemu-guest.nix") ];

  services.roster.enable = true;
  roster.tuning = {
    enable = true;
    profile = lib.mkDefault "small";
  };

  boot.loader.systemd-boot.enable = lib.mkDefault true;
  boot.loader.timeout = lib.mkDefault 1;
  boot.growPartition = lib.mkDefault true;
  boot.kernelParams = [ "console=ttyS0" ];
  fileSystems."/" = lib.mkDefault {
    device = "/dev/disk/by-label/nixos";
    fsType = "ext4";
    autoResize = true;
  };
  fileSystems."/boot" = lib.mkDefault {
    device = "/dev/disk/by-label/ESP";
    fsType = "vfat";
  };

  # A machine without a person at it: it starts anew in place of waiting for one.
  systemd.enableEmergencyMode = false;
  boot.initrd.systemd.emergencyAccess = false;

  # SSH keys and settings from the cloud's metadata service, where there is one.
  systemd.services.roster-first-boot = {
    description = "SSH keys and settings of Roster from the metadata service";
    wantedBy = [ "multi-user.target" ];
    wants = [ "network-online.target" ];
    after = [ "network-online.target" ];
    before = [
      "roster.service"
      "sshd.service"
    ];
    path = [
      pkgs.curl
      pkgs.gawk
      pkgs.jq
      pkgs.openssh
    ];
    environment = {
      KEYS = "/root/.ssh/authorized_keys";
      SETTINGS = settings;
      CHECK = "${config.services.roster.package}/bin/roster";
    };
    serviceConfig = {
      Type = "oneshot";
      RemainAfterExit = true;
      RuntimeDirectory = "roster-first-boot";
      RuntimeDirectoryPreserve = true;
      ExecStart = "${pkgs.bash}/bin/bash ${./first-boot.sh}";
    };
  };
  # The file need not be there.
  services.roster.environmentFile = "-${settings}";

  networking.useDHCP = lib.mkDefault true;
  networking.firewall.enable = true;
  services.openssh = {
    enable = true;
    settings = {
      PasswordAuthentication = false;
      KbdInteractiveAuthentication = false;
      PermitRootLogin = "prohibit-password";
    };
  };
  users.mutableUsers = false;
  # Without a key there is no way in but the console; the image of a cloud gets its key when it is built.
  users.allowNoPasswordLogin = true;

  documentation.enable = false;
  system.stateVersion = "26.05";
}
