# What is mounted where on the image with two places: beside the store only the data outlives a boot.
{
  "/" = {
    fsType = "tmpfs";
    options = [ "mode=0755" ];
  };
  "/nix/store" = {
    device = "/usr/nix/store";
    fsType = "none";
    options = [ "bind" ];
  };
  "/var" = {
    device = "/dev/disk/by-partlabel/data";
    fsType = "ext4";
    autoResize = true;
    neededForBoot = true;
  };
  "/boot" = {
    device = "/dev/disk/by-partlabel/esp";
    fsType = "vfat";
    options = [ "umask=0077" ];
  };
}
