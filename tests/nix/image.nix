# What the image with two places comes to, and which mistakes it refuses: part of evaluate.nix.
{
  lib,
  evaluate,
  expect,
  failedOf,
  isTold,
}:
let
  good = evaluate { system.image.version = "1.2"; };
  inherit (good) config;
  remote = evaluate {
    roster.image.updates.url = "https://updates.example.org/";
    roster.image.updates.keyring = "/etc/keys.gpg";
  };
  inherit (config.image.repart) partitions;
  inherit (config.image.repart.verityStore) partitionIds;
  places = config.systemd.repart.partitions;
  inherit (config.systemd.sysupdate) transfers;
  health = config.systemd.services.roster-health;
  of = name: partitions.${partitionIds.${name}}.repartConfig;
  sameSize =
    one: other: one.SizeMinBytes == other.SizeMinBytes && one.SizeMaxBytes == other.SizeMaxBytes;
  mistakes = {
    "is not to have _ or +" = {
      system.image.version = "1_2";
    };
    "has to fit a partition's name" = {
      system.image.version = "1.2.3-twenty-nine-characters0";
    };
    "needs roster.image.updates.keyring" = {
      roster.image.updates.url = "https://updates.example.org/";
    };
    "has to be 512 at least" = {
      roster.image.storeMegabytes = 256;
    };
  };
in
[
  (expect "an image with two places is taken" (failedOf good == [ ] && failedOf remote == [ ]))
  (expect "its store is verified and read-only" (
    config.image.repart.verityStore.enable
    && (of "store").Verity == "data"
    && (of "store").Format == "erofs"
    && (of "store-verity").Verity == "hash"
  ))
  (expect "its partitions are named by the version" (
    (of "store").Label == "store_1.2" && (of "store-verity").Label == "verity_1.2"
  ))
  (expect "both places are as large as what the image brings" (
    sameSize (of "store") places."20-store-a"
    && sameSize (of "store") places."40-store-b"
    && sameSize (of "store-verity") places."10-verity-a"
    && sameSize (of "store-verity") places."30-verity-b"
    && sameSize (of "esp") places."00-esp"
  ))
  (expect "the second place is empty at first" (
    places."30-verity-b".Label == "_empty" && places."40-store-b".Label == "_empty"
  ))
  (expect "the data has what is left of the disk" (!places."50-data" ? SizeMaxBytes))
  # NixOS makes a list of each setting of a transfer.
  (expect "a version is booted on trial" (
    config.system.boot.loader.ukiFile == "roster_1.2+3.efi"
    && toString transfers."30-kernel".Target.TriesLeft == "3"
  ))
  (expect "the kernel image is written last, and the running version never" (
    lib.last (builtins.attrNames transfers) == "30-kernel"
    && lib.all (one: toString one.Transfer.ProtectVersion == "%A") (builtins.attrValues transfers)
  ))
  (expect "the names of an update say which UUID its partitions get" (
    lib.all (name: lib.hasInfix "_@u." (lib.head transfers.${name}.Source.MatchPattern)) [
      "10-verity"
      "20-store"
    ]
    && lib.hasInfix "%U" (of "store").SplitName
  ))
  (expect "an update from an address has to be signed" (
    toString remote.config.systemd.sysupdate.transfers."20-store".Transfer.Verify == "1"
    && remote.config.environment.etc ? "systemd/import-pubring.gpg"
  ))
  (expect "a boot is good when the server is" (
    health.requiredBy == [ "boot-complete.target" ]
    && health.before == [ "boot-complete.target" ]
    && builtins.elem "roster.service" health.after
    && health.environment.PORT == "6379"
  ))
  (expect "the health is asked where the server listens" (
    (evaluate {
      services.roster.settings.bind = [ "-10.0.0.1" ];
      services.roster.settings.port = 7000;
    }).config.systemd.services.roster-health.environment.ADDRESS == "10.0.0.1"
  ))
  (expect "all of it evaluates" (
    lib.all builtins.isString [
      config.system.build.toplevel.drvPath
      config.system.build.finalImage.drvPath
      config.system.build.rosterUpdate.drvPath
    ]
  ))
  (expect "a misspelt setting of a partition is refused" (
    !(builtins.tryEval
      (evaluate { image.repart.partitions."20-store".repart.Label = "x"; })
      .config.system.build.finalImage.drvPath
    ).success
  ))
]
++ lib.mapAttrsToList (
  words: settings: expect "a mistake is told: ${words}" (isTold words settings)
) mistakes
