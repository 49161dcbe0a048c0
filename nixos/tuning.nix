# roster.tuning: the host as a profile of ../tuning wants it. Off by default, since it concerns everything on the host.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.roster.tuning;
  profiles = import ./profile.nix { inherit lib; };
  profile = profiles.load cfg.profile cfg.layout;
  inherit (profile.layout) housekeeping workers;
  overlap = lib.intersectLists (profiles.cpus housekeeping) (profiles.cpus workers);
  valid = profiles.isCpuList housekeeping && profiles.isCpuList workers;
  all = housekeeping == "all" || workers == "all";
  file = (pkgs.formats.toml { }).generate "roster-profile.toml" profile.document;
  cpuOption =
    what:
    lib.mkOption {
      type = lib.types.nullOr lib.types.str;
      default = null;
      example = "0-1";
      description = "The CPUs of ${what}, in place of those of the profile.";
    };
in
{
  options.roster.tuning = {
    enable = lib.mkEnableOption "tuning of the whole host for Roster";

    profile = lib.mkOption {
      type = lib.types.enum profiles.names;
      default = "generic";
      description = "The profile: a file of the folder tuning.";
    };

    layout = {
      housekeeping = cpuOption "the kernel, of interrupts and of other programs";
      workers = cpuOption "the workers";
    };
  };

  config = lib.mkIf cfg.enable {
    assertions = [
      {
        assertion = config.services.roster.enable;
        message = "roster.tuning is for hosts with services.roster.enable";
      }
      {
        assertion = valid;
        message = "roster.tuning.layout takes CPU lists such as 0-1,8: '${housekeeping}', '${workers}'";
      }
      {
        assertion = valid -> all || overlap == [ ];
        message = "roster.tuning.layout gives the CPUs ${
          toString (if valid && !all then overlap else [ ])
        } to housekeeping and to workers";
      }
      {
        assertion = all -> profile.kernelParams == [ ];
        message = "the profile ${cfg.profile} sets CPUs apart: its layout cannot be \"all\"";
      }
      {
        assertion = builtins.elem "irqbalance" profile.forbidden -> !config.services.irqbalance.enable;
        message = "the profile ${cfg.profile} places interrupts itself: services.irqbalance.enable must be off";
      }
    ];

    boot.kernelParams = profile.kernelParams;
    boot.kernel.sysctl = lib.mapAttrs (_: lib.mkDefault) profile.sysctl;
    services.roster.settings = lib.mapAttrs (_: lib.mkDefault) profile.settings;

    # What is no sysctl and no kernel parameter, and what these did not reach, is written by the program, which also records
    # the old values.
    environment.etc."roster/profile.toml".source = file;
    systemd.services.roster-tune = {
      wantedBy = [ "multi-user.target" ];
      environment.ROSTER_PROFILE = "/etc/roster/profile.toml";
      restartTriggers = [ file ];
    };
  };
}
