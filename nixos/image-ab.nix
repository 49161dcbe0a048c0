# The appliance as an image that is updated as a whole: a read-only, verified store in one of two places, a kernel image for
# each in the boot partition, and the server's data in a partition that grows with the disk. An update is written to the
# place that is not in use; a version that does not prove itself in three boots gives way to the one before.
#
# The layout of the disk: boot partition, hashes and store of version A, the same of version B, data. The image has only the
# first three; the others are made when it is booted first, by systemd-repart.
{
  config,
  lib,
  modulesPath,
  pkgs,
  ...
}:
let
  cfg = config.roster.image;
  inherit (config.system.image) id version;
  inherit (config.image.repart.verityStore) partitionIds;
  inherit (config.image.repart) imageFileBasename;
  inherit (pkgs.stdenv.hostPlatform) efiArch;
  manifest = (lib.importTOML ../Cargo.toml).package;
  settings = config.services.roster.settings;

  # The kinds of the two partitions of a version, which systemd finds at boot by the hash in the kernel's command line.
  kinds = {
    x64 = {
      store = "usr-x86-64";
      verity = "usr-x86-64-verity";
    };
    aa64 = {
      store = "usr-arm64";
      verity = "usr-arm64-verity";
    };
  };
  kind = kinds.${efiArch};
  sized = megabytes: {
    SizeMinBytes = "${toString megabytes}M";
    SizeMaxBytes = "${toString megabytes}M";
  };
  # Hashes take 32 bytes for each block of 4096, and a little more for those of the hashes.
  storeSize = sized cfg.storeMegabytes;
  veritySize = sized (cfg.storeMegabytes / 128 + 16);
  empty =
    type: size:
    size
    // {
      Type = type;
      Label = "_empty";
      ReadOnly = true;
    };

  isRemote = cfg.updates.url != null;
  # What is written where. Both partitions of a version get the UUIDs that the hash says, which the files have in their names.
  transfer = pattern: target: {
    Transfer = {
      ProtectVersion = "%A";
    }
    // lib.optionalAttrs isRemote { Verify = true; };
    Source = {
      Type = if isRemote then "url-file" else "regular-file";
      Path = if isRemote then cfg.updates.url else cfg.updates.folder;
      MatchPattern = [ pattern ];
    };
    Target = {
      InstancesMax = 2;
    }
    // target;
  };
  partition = name: {
    Type = "partition";
    Path = "/run/roster-disk";
    MatchPattern = [ "${name}_@v" ];
    MatchPartitionType = kind.${name};
    ReadOnly = true;
  };

  # Where the server answers on this machine, unless the cloud's settings say another port.
  address =
    let
      first = lib.removePrefix "-" (lib.head (settings.bind or [ "127.0.0.1" ]));
    in
    if
      builtins.elem first [
        "*"
        "0.0.0.0"
      ]
    then
      "127.0.0.1"
    else
      first;
in
{
  imports = [
    (modulesPath + "/image/repart.nix")
    (modulesPath + "/profiles/image-based-appliance.nix")
  ];

  options.roster.image = {
    storeMegabytes = lib.mkOption {
      type = lib.types.int;
      default = 2048;
      description = "Size of each of the two places of the store. Updates have to fit, so it stays over the life of a machine.";
    };
    updates = {
      folder = lib.mkOption {
        type = lib.types.str;
        default = "/var/lib/roster-updates";
        description = "Where updates are taken from as long as there is no address.";
      };
      url = lib.mkOption {
        type = lib.types.nullOr lib.types.str;
        default = null;
        example = "https://updates.example.org/roster/";
        description = "The address of a folder of updates with SHA256SUMS and its signature SHA256SUMS.gpg.";
      };
      keyring = lib.mkOption {
        type = lib.types.nullOr lib.types.path;
        default = null;
        description = "The public keys, as gpg exports them, one of which has to have signed an update from an address.";
      };
    };
  };

  config = {
    assertions = [
      {
        assertion = builtins.match "[0-9A-Za-z.~^-]{1,28}" version != null;
        message = "system.image.version has to fit a partition's name and is not to have _ or +: '${version}'";
      }
      {
        assertion = isRemote -> cfg.updates.keyring != null;
        message = "roster.image.updates.url needs roster.image.updates.keyring, or anybody on the way could send an update";
      }
      {
        assertion = cfg.storeMegabytes >= 512;
        message = "roster.image.storeMegabytes has to be 512 at least, for a system to fit";
      }
    ];

    system.image.id = "roster";
    system.image.version = lib.mkDefault manifest.version;
    boot.uki.name = id;
    boot.uki.tries = 3;

    image.repart = {
      verityStore.enable = true;
      split = true;
      compression.enable = true;
      # The systemd-import of systemd 257 does not know zstd, and writes it as it comes.
      compression.algorithm = "xz";
      partitions = {
        ${partitionIds.esp} = {
          contents = {
            "/EFI/BOOT/BOOT${lib.toUpper efiArch}.EFI".source =
              "${config.systemd.package}/lib/systemd/boot/efi/systemd-boot${efiArch}.efi";
            "/loader/loader.conf".source = pkgs.writeText "loader.conf" ''
              timeout 1
              editor no
            '';
          };
          repartConfig = sized 512 // {
            Type = "esp";
            Format = "vfat";
            Label = "esp";
            SplitName = "-";
          };
        };
        ${partitionIds.store-verity}.repartConfig = veritySize // {
          Label = "verity_${version}";
          SplitName = "verity_%U";
          ReadOnly = true;
        };
        ${partitionIds.store}.repartConfig = storeSize // {
          Label = "store_${version}";
          SplitName = "store_%U";
          ReadOnly = true;
        };
      };
    };

    # What a release consists of: a folder to sign, and to put on a server or on the machine.
    system.build.rosterUpdate = pkgs.runCommand "roster-update-${version}" { } ''
      mkdir $out
      cd ${config.system.build.finalImage}
      cp ${imageFileBasename}.store_*.raw* ${imageFileBasename}.verity_*.raw* $out/
      cp ${config.system.build.uki}/${config.system.boot.loader.ukiFile} $out/${id}_${version}.efi
      cd $out
      sha256sum * > SHA256SUMS
    '';

    systemd.sysupdate = {
      enable = true;
      # The kernel image comes last: without it a version is not booted.
      transfers = {
        "10-verity" = transfer "${id}_@v.verity_@u.raw.xz" (partition "verity");
        "20-store" = transfer "${id}_@v.store_@u.raw.xz" (partition "store");
        "30-kernel" = transfer "${id}_@v.efi" {
          Type = "regular-file";
          Path = "/EFI/Linux";
          PathRelativeTo = "boot";
          MatchPattern = [
            "${id}_@v+@l-@d.efi"
            "${id}_@v+@l.efi"
            "${id}_@v.efi"
          ];
          Mode = "0444";
          TriesLeft = 3;
          TriesDone = 0;
        };
      };
    };
    environment.etc = lib.mkIf (cfg.updates.keyring != null) {
      "systemd/import-pubring.gpg".source = cfg.updates.keyring;
    };
    systemd.tmpfiles.rules = [ "d ${cfg.updates.folder} 0700 root root -" ];

    # Rows for what the image has come first, in the order of its partitions, so that they are taken for the same.
    systemd.repart.partitions = {
      "00-esp" = sized 512 // {
        Type = "esp";
      };
      "10-verity-a" = veritySize // {
        Type = kind.verity;
      };
      "20-store-a" = storeSize // {
        Type = kind.store;
      };
      "30-verity-b" = empty kind.verity veritySize;
      "40-store-b" = empty kind.store storeSize;
      "50-data" = {
        Type = "linux-generic";
        Label = "data";
        Format = "ext4";
        SizeMinBytes = "1G";
      };
    };
    boot.initrd.systemd.repart.enable = true;
    boot.initrd.systemd.extraBin."mkfs.ext4" = "${pkgs.e2fsprogs}/bin/mkfs.ext4";
    boot.initrd.supportedFilesystems = [
      "erofs"
      "ext4"
    ];

    boot.growPartition = false;
    boot.loader.systemd-boot.enable = false;
    boot.loader.grub.enable = false;
    fileSystems = import ./mounts.nix;
    # There is no writable /usr to put env into, and the root is new at each boot: what identifies the machine is with its data.
    system.activationScripts.usrbinenv = lib.mkForce "";
    services.openssh.hostKeys = [
      {
        type = "ed25519";
        path = "/var/lib/ssh/ssh_host_ed25519_key";
      }
    ];

    # A boot that comes to a stop has to become the next try: a panic and a stop in the initial file system start the
    # machine anew, and so does the watchdog of the hardware, where there is one.
    boot.kernelParams = [
      "panic=10"
      "boot.panic_on_fail"
    ];
    systemd.settings.Manager.RuntimeWatchdogSec = "30s";

    # systemd-sysupdate looks for the disk by the root, which is none here.
    systemd.services.roster-disk = {
      description = "The disk of this machine, for its updates";
      wantedBy = [ "multi-user.target" ];
      before = [
        "systemd-sysupdate.service"
        "systemd-sysupdate-update.service"
      ];
      path = [
        pkgs.coreutils
        pkgs.util-linux
      ];
      serviceConfig = {
        Type = "oneshot";
        RemainAfterExit = true;
      };
      script = ''
        disk=$(lsblk --noheadings --nodeps --output PKNAME "$(realpath /dev/disk/by-partlabel/data)")
        ln -sfn "/dev/$disk" /run/roster-disk
      '';
    };

    # A boot is good when this says so: only then does systemd-bless-boot end the counting of tries.
    systemd.services.roster-health = {
      description = "Whether this version of the appliance serves";
      requiredBy = [ "boot-complete.target" ];
      before = [ "boot-complete.target" ];
      wants = [
        "roster.service"
        "roster-tune.service"
      ];
      after = [
        "roster.service"
        "roster-tune.service"
        "roster-first-boot.service"
      ];
      path = [
        pkgs.coreutils
        config.systemd.package
      ];
      environment = {
        ADDRESS = address;
        PORT = toString (settings.port or 6379);
        PROGRAM = "${config.services.roster.package}/bin/roster";
        STATUS = "${config.systemd.package}/lib/systemd/systemd-bless-boot status";
      };
      serviceConfig = {
        Type = "oneshot";
        RemainAfterExit = true;
        TimeoutStartSec = "15min";
        EnvironmentFile = config.services.roster.environmentFile;
        ExecStart = "${pkgs.bash}/bin/bash ${./health.sh}";
      };
    };
  };
}
