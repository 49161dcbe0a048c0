# services.roster: one server, its unit that of systemd/roster.service.
flake:
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.services.roster;
  toml = pkgs.formats.toml { };
in
{
  options.services.roster = {
    enable = lib.mkEnableOption "Roster, a server of keys that speaks the Redis protocol";

    package = lib.mkOption {
      type = lib.types.package;
      default = flake.packages.${pkgs.stdenv.hostPlatform.system}.default;
      defaultText = lib.literalMD "the flake's package";
      description = "The package to run.";
    };

    settings = lib.mkOption {
      inherit (toml) type;
      default = { };
      example = {
        port = 6380;
        workers = 4;
      };
      description = "Settings by their names in docs/configuration.md; those not set keep their defaults.";
    };

    openFirewall = lib.mkOption {
      type = lib.types.bool;
      default = false;
      description = "Whether to open the port in the firewall. The server then needs a password and a bind address.";
    };
  };

  config = lib.mkIf cfg.enable {
    environment.etc."roster/roster.toml".source = toml.generate "roster.toml" cfg.settings;
    systemd.packages = [ (pkgs.runCommand "roster-unit" { } ''
      mkdir -p $out/lib/systemd/system
      substitute ${../systemd/roster.service} $out/lib/systemd/system/roster.service \
        --replace-fail /usr/bin/roster ${lib.getExe cfg.package}
    '') ];
    systemd.services.roster = {
      wantedBy = [ "multi-user.target" ];
      restartTriggers = [ config.environment.etc."roster/roster.toml".source ];
    };
    networking.firewall.allowedTCPPorts = lib.mkIf cfg.openFirewall [ (cfg.settings.port or 6379) ];
  };
}
