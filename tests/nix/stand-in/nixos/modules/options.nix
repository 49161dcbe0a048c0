# The options of NixOS that the modules here set or read, with the types and defaults that they have there.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption types;
  option = type: default: mkOption { inherit type default; };
  off = option types.bool false;
  on = option types.bool true;
  texts = option (types.listOf types.str) [ ];
  scalar = types.oneOf [
    types.bool
    types.int
    types.str
    (types.listOf types.str)
  ];
  unit = {
    wantedBy = texts;
    wants = texts;
    after = texts;
    before = texts;
    description = option types.str "";
    restartTriggers = option (types.listOf types.unspecified) [ ];
  };
  service.options = unit // {
    path = option (types.listOf types.package) [ ];
    environment = option (types.attrsOf (
      types.nullOr (
        types.oneOf [
          types.str
          types.path
        ]
      )
    )) { };
    serviceConfig = option (types.attrsOf scalar) { };
  };
  file.options = {
    source = mkOption { type = types.path; };
  };
  fileSystem.options = {
    device = option (types.nullOr types.str) null;
    fsType = option types.str "auto";
    autoResize = off;
  };
in
{
  options = {
    assertions = option (types.listOf types.unspecified) [ ];
    boot = {
      growPartition = off;
      kernelParams = texts;
      kernel.sysctl = option (types.attrsOf (types.nullOr scalar)) { };
      loader.systemd-boot.enable = off;
      loader.timeout = option (types.nullOr types.int) 5;
      initrd.systemd.emergencyAccess = option (types.oneOf [
        types.bool
        types.str
      ]) false;
    };
    documentation.enable = on;
    environment.etc = option (types.attrsOf (types.submodule file)) { };
    environment.systemPackages = option (types.listOf types.package) [ ];
    fileSystems = option (types.attrsOf (types.submodule fileSystem)) { };
    networking.firewall.allowedTCPPorts = option (types.listOf types.port) [ ];
    networking.firewall.enable = on;
    networking.useDHCP = on;
    services.irqbalance.enable = off;
    services.openssh.enable = off;
    services.openssh.settings = option types.attrs { };
    system.build.toplevel = mkOption { type = types.package; };
    system.stateVersion = option types.str lib.trivial.release;
    systemd = {
      enableEmergencyMode = on;
      packages = option (types.listOf types.package) [ ];
      services = option (types.attrsOf (types.submodule service)) { };
      sockets = option (types.attrsOf (types.submodule { options = unit; })) { };
    };
    users.allowNoPasswordLogin = off;
    users.mutableUsers = on;
  };

  # Everything that was configured, so that all of it is evaluated.
  config.system.build.toplevel = pkgs.runCommand "nixos-system-stand-in" {
    everything = builtins.toJSON (removeAttrs config [ "system" ]);
  } "mkdir $out";
}
