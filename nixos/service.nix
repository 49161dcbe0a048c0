# services.roster: one server, its unit that of systemd/roster.service. It changes nothing else of the host.
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
  program = "${cfg.package}/bin/roster";
  draft = toml.generate "roster.toml" cfg.settings;

  # The program itself says whether the settings are right, while the system is built and not when it starts.
  checked = pkgs.runCommand "roster.toml" { } ''
    ${program} check-config --config ${draft} > /dev/null
    cp ${draft} $out
  '';
  runsHere = pkgs.stdenv.buildPlatform == pkgs.stdenv.hostPlatform;

  units = pkgs.runCommand "roster-units" { } ''
    mkdir -p $out/lib/systemd/system
    for unit in roster.service roster-tune.service roster.socket; do
      sed 's#/usr/bin/roster#${program}#' ${../systemd}/$unit > $out/lib/systemd/system/$unit
    done
  '';
in
{
  options.services.roster = {
    enable = lib.mkEnableOption "Roster, a server of keys that speaks the Redis protocol";

    package = lib.mkOption {
      type = lib.types.package;
      default = flake.packages.${pkgs.stdenv.hostPlatform.system}.default;
      defaultText = "the flake's package";
      description = "The package to run.";
    };

    settings = lib.mkOption {
      inherit (toml) type;
      default = { };
      example = {
        port = 6380;
        workers = 4;
      };
      description = ''
        Settings by their names in docs/configuration.md; those not set keep their defaults. They are checked by the program
        when the system is built. They end up in the world-readable store: no password belongs here.
      '';
    };

    requirePassFile = lib.mkOption {
      type = lib.types.nullOr lib.types.str;
      default = null;
      example = "/run/keys/roster-password";
      description = "Path of a file with the password, which the service manager hands to the server as a credential.";
    };

    environmentFile = lib.mkOption {
      type = lib.types.nullOr lib.types.str;
      default = null;
      example = "/run/keys/roster.env";
      description = "Path of a file of further settings as variables, such as ROSTER_MAXCLIENTS=100.";
    };

    socketActivation = lib.mkOption {
      type = lib.types.bool;
      default = false;
      description = "Whether systemd listens in the server's place, so that no client is refused while it starts anew.";
    };

    openFirewall = lib.mkOption {
      type = lib.types.bool;
      default = false;
      description = "Whether to open the port in the firewall. The server then needs a password and a bind address.";
    };
  };

  config = lib.mkIf cfg.enable {
    assertions = [
      {
        assertion = !(cfg.settings ? requirepass);
        message = "services.roster.settings.requirepass would be readable by everybody in the store: use requirePassFile";
      }
      {
        assertion = !(cfg.openFirewall && cfg.requirePassFile == null);
        message = "services.roster.openFirewall needs services.roster.requirePassFile";
      }
      {
        assertion =
          !(
            cfg.socketActivation && (cfg.settings ? bind || cfg.settings ? port || cfg.settings ? unixsocket)
          );
        message = "with services.roster.socketActivation the addresses are those of systemd.sockets.roster";
      }
    ];

    environment.etc."roster/roster.toml".source = if runsHere then checked else draft;
    environment.systemPackages = [ cfg.package ];
    systemd.packages = [ units ];
    systemd.services.roster = {
      wantedBy = [ "multi-user.target" ];
      restartTriggers = [ config.environment.etc."roster/roster.toml".source ];
      serviceConfig =
        lib.optionalAttrs (cfg.requirePassFile != null) {
          LoadCredential = [
            ""
            "requirepass:${cfg.requirePassFile}"
          ];
        }
        // lib.optionalAttrs (cfg.environmentFile != null) { EnvironmentFile = cfg.environmentFile; };
    };
    systemd.sockets = lib.mkIf cfg.socketActivation { roster.wantedBy = [ "sockets.target" ]; };
    networking.firewall.allowedTCPPorts = lib.mkIf cfg.openFirewall (
      lib.filter (port: port != 0) [
        (cfg.settings.port or 6379)
        (cfg.settings.tls-port or 0)
      ]
    );
  };
}
