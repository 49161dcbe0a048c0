# Images of an evaluated appliance: qcow2 for clouds that start by UEFI, raw for disks, ISO for trying it on bare metal.
# And the image with two places, with the folder of an update to its version.
{
  pkgs,
  appliance,
  applianceAb,
}:
let
  inherit (appliance) config;
  disk =
    format:
    import (pkgs.path + "/nixos/lib/make-disk-image.nix") {
      inherit config format pkgs;
      inherit (pkgs) lib;
      name = "roster-appliance";
      partitionTableType = "efi";
      diskSize = 4096;
    };
  iso = appliance.extendModules {
    modules = [
      (
        { lib, modulesPath, ... }:
        {
          imports = [ (modulesPath + "/installer/cd-dvd/iso-image.nix") ];
          isoImage.makeEfiBootable = true;
          isoImage.makeUsbBootable = true;
          boot.growPartition = lib.mkForce false;
          boot.loader.systemd-boot.enable = false;
        }
      )
    ];
  };
in
{
  image-qcow2 = disk "qcow2";
  image-raw = disk "raw";
  image-iso = iso.config.system.build.isoImage;
  image-ab = applianceAb.config.system.build.finalImage;
  update-ab = applianceAb.config.system.build.rosterUpdate;
}
