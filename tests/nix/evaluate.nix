# Evaluates the modules on a NixOS tree, or on the stand-in beside this file: what they make of good settings, and which mistakes they refuse.
#
#   nix-instantiate --eval --strict --json tests/nix/evaluate.nix --arg nixpkgs PATH -A attribute
{
  nixpkgs,
  version ? "1",
}:
let
  pkgs = import nixpkgs { system = "x86_64-linux"; };
  inherit (pkgs) lib;
  program = pkgs.runCommand "roster" { } "mkdir -p $out/bin";
  old = lib.versionOlder lib.trivial.release "22.05";
  modules = [
    (import ../../nixos/service.nix { packages.x86_64-linux.default = program; })
    ../../nixos/tuning.nix
  ]
  ++ lib.optional old ./shim.nix;
  evaluate = evaluateWith [ ];
  evaluateWith =
    more: settings:
    import (nixpkgs + "/nixos/lib/eval-config.nix") {
      system = "x86_64-linux";
      modules =
        modules
        ++ more
        ++ [
          ../../nixos/appliance.nix
          settings
        ];
    };
  failedOf =
    system: map (one: one.message) (builtins.filter (one: !one.assertion) system.config.assertions);
  failed = settings: failedOf (evaluate settings);
  large = settings: { roster.tuning.profile = "ent1-m"; } // settings;
  good = large {
    services.roster.requirePassFile = "/run/password";
    services.roster.openFirewall = true;
  };
  inherit (evaluate good) config;
  # What each mistake has to be told with.
  mistakes = {
    "readable by everybody" = {
      services.roster.settings.requirepass = "x";
    };
    "openFirewall needs" = {
      services.roster.openFirewall = true;
    };
    "systemd.sockets.roster" = {
      services.roster.socketActivation = true;
      services.roster.settings.port = 1;
    };
    "hosts with services.roster.enable" = {
      services.roster.enable = lib.mkForce false;
    };
    "gives the CPUs 2 to housekeeping and to workers" = {
      roster.tuning.profile = "ent1-m";
      roster.tuning.layout.housekeeping = "0-2";
    };
    "takes CPU lists" = {
      roster.tuning.profile = "ent1-m";
      roster.tuning.layout.housekeeping = "a";
    };
    "cannot be \"all\"" = {
      roster.tuning.profile = "ent1-m";
      roster.tuning.layout.workers = "all";
    };
    "irqbalance.enable must be off" = large { services.irqbalance.enable = true; };
  };
  isTold =
    evaluate: words: settings:
    let
      messages = failedOf (evaluate settings);
    in
    builtins.length messages == 1 && lib.hasInfix words (lib.head messages);
  # Settings that no assertion has to catch, because the options themselves refuse them.
  isRefused =
    settings: !(builtins.tryEval (evaluate settings).config.system.build.toplevel.drvPath).success;
  hasImages = builtins.pathExists (nixpkgs + "/nixos/modules/image/repart.nix");
  image = evaluateWith [ ../../nixos/image-ab.nix ];
  expect = name: ok: if ok then name else throw "tests/nix/evaluate.nix: ${name} does not hold";
in
{
  facts = [
    (expect "good settings are taken" (failed good == [ ]))
    (expect "kernel parameters come from the profile" (
      lib.all (one: builtins.elem one config.boot.kernelParams) [
        "isolcpus=managed_irq,domain,2-15"
        "nohz_full=2-15"
        "irqaffinity=0-1"
      ]
    ))
    (expect "sysctls come from the profile" (config.boot.kernel.sysctl."vm.swappiness" == "10"))
    (expect "settings come from the profile" (config.services.roster.settings == { workers = "2-15"; }))
    (expect "the port is open" (builtins.elem 6379 config.networking.firewall.allowedTCPPorts))
    (expect "the password is a credential" (
      config.systemd.services.roster.serviceConfig.LoadCredential == [
        ""
        "requirepass:/run/password"
      ]
    ))
    (expect "the server starts after what its settings come from" (
      builtins.elem "roster.service" config.systemd.services.roster-first-boot.before
    ))
    (expect "a misspelt option is refused" (isRefused {
      services.roster.enabled = true;
    }))
    (expect "a value of a wrong type is refused" (isRefused {
      services.roster.enable = "yes";
    }))
    (expect "a profile that there is not is refused" (isRefused {
      roster.tuning.profile = "tiny";
    }))
  ]
  ++ lib.mapAttrsToList (
    words: settings: expect "a mistake is told: ${words}" (isTold evaluate words settings)
  ) mistakes
  # A tree from before there were images of systemd-repart cannot take that part.
  ++ lib.optionals hasImages (
    import ./image.nix {
      inherit lib expect failedOf;
      isTold = isTold image;
      evaluate = image;
    }
  );
  system = config.system.build.toplevel.drvPath;

  # What a version of the image with two places tells systemd's programs, for tests/vm/update to try with the real ones.
  definitions =
    let
      inherit
        (image {
          system.image.version = version;
          roster.image.storeMegabytes = 512;
        })
        config
        ;
    in
    {
      image = lib.mapAttrs (_: one: one.repartConfig) config.image.repart.partitions;
      places = config.systemd.repart.partitions;
      inherit (config.systemd.sysupdate) transfers;
      kernel = config.system.boot.loader.ukiFile;
    };
}
