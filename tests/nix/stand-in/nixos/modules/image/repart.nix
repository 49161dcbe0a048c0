# The options of images that systemd-repart makes, as NixOS declares them, and what the image of a verified store comes to.
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
  cfg = config.image.repart;
  partition.options = {
    storePaths = option (types.listOf types.path) [ ];
    contents = option (types.attrsOf (
      types.submodule {
        options.source = mkOption { type = types.path; };
      }
    )) { };
    repartConfig = mkOption {
      type = types.attrsOf (
        types.oneOf [
          types.str
          types.int
          types.bool
        ]
      );
    };
  };
  made = name: pkgs.runCommand name { partitions = builtins.toJSON cfg.partitions; } "mkdir $out";
in
{
  options.image.repart = {
    imageFileBasename = mkOption { type = types.str; };
    compression.enable = off;
    compression.algorithm = option (types.enum [
      "zstd"
      "xz"
    ]) "zstd";
    split = off;
    partitions = option (types.attrsOf (types.submodule partition)) { };
    verityStore = {
      enable = off;
      partitionIds.esp = option types.str "00-esp";
      partitionIds.store = option types.str "20-store";
      partitionIds.store-verity = option types.str "10-store-verity";
    };
  };
  config = {
    image.repart.imageFileBasename = "${config.system.image.id}_${config.system.image.version}";
    image.repart.partitions = lib.mkIf cfg.verityStore.enable {
      ${cfg.verityStore.partitionIds.store-verity}.repartConfig = {
        Type = "usr-x86-64-verity";
        Verity = "hash";
        VerityMatchKey = "store";
      };
      ${cfg.verityStore.partitionIds.store} = {
        storePaths = [ config.system.build.toplevel ];
        repartConfig = {
          Type = "usr-x86-64";
          Verity = "data";
          VerityMatchKey = "store";
          Format = "erofs";
        };
      };
    };
    system.build.finalImage = made "image";
    system.build.uki = made "uki";
  };
}
