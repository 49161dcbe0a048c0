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
  words = types.attrsOf scalar;
  unit = {
    wantedBy = texts;
    requiredBy = texts;
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
    serviceConfig = option words { };
    script = option types.str "";
  };
  file.options = {
    source = mkOption { type = types.path; };
  };
  fileSystem.options = {
    device = option (types.nullOr types.str) null;
    fsType = option types.str "auto";
    autoResize = off;
    neededForBoot = off;
    options = texts;
  };
in
{
  options = {
    assertions = option (types.listOf types.unspecified) [ ];
    boot = {
      growPartition = off;
      kernelParams = texts;
      kernel.sysctl = option (types.attrsOf (types.nullOr scalar)) { };
      loader.grub.enable = on;
      loader.systemd-boot.enable = off;
      loader.timeout = option (types.nullOr types.int) 5;
      initrd.supportedFilesystems = texts;
      initrd.systemd = {
        enable = off;
        emergencyAccess = option (types.oneOf [
          types.bool
          types.str
        ]) false;
        extraBin = option (types.attrsOf types.path) { };
        repart.enable = off;
      };
      uki.name = option types.str "nixos";
      uki.tries = option (types.nullOr types.int) null;
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
    services.openssh.hostKeys = option (types.listOf types.attrs) [ ];
    services.openssh.settings = option types.attrs { };
    system.activationScripts = option types.attrs { };
    system.boot.loader.ukiFile = mkOption { type = types.str; };
    system.build = option types.attrs { };
    system.image.id = option (types.nullOr types.str) null;
    system.image.version = option (types.nullOr types.str) null;
    system.stateVersion = option types.str lib.trivial.release;
    systemd = {
      enableEmergencyMode = on;
      package = option types.package pkgs.systemd;
      repart.partitions = option (types.attrsOf words) { };
      settings.Manager = option words { };
      sysupdate.enable = off;
      sysupdate.transfers = option (types.attrsOf (types.attrsOf words)) { };
      tmpfiles.rules = texts;
      packages = option (types.listOf types.package) [ ];
      services = option (types.attrsOf (types.submodule service)) { };
      sockets = option (types.attrsOf (types.submodule { options = unit; })) { };
    };
    users.allowNoPasswordLogin = off;
    users.mutableUsers = on;
  };

  # Everything that was configured, so that all of it is evaluated.
  config.system.build.toplevel = pkgs.runCommand "nixos-system-stand-in" {
    everything = builtins.toJSON (
      removeAttrs config [
        "image"
        "system"
      ]
    );
  } "mkdir $out";
  config.system.boot.loader.ukiFile =
    let
      inherit (config.boot.uki) name tries;
      counted = if tries == null then "" else "+${toString tries}";
    in
    "${name}_${config.system.image.version}${counted}.efi";
}
