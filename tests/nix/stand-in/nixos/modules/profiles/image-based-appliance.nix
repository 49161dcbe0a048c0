# The profile of systems that are updated as images, which NixOS cannot rebuild.
{ lib, ... }:
let
  on = lib.mkOption {
    type = lib.types.bool;
    default = true;
  };
in
{
  options.nix.enable = on;
  options.system.switch.enable = on;
  options.networking.useNetworkd = on;
  config = {
    nix.enable = false;
    system.switch.enable = false;
    users.mutableUsers = false;
    boot.initrd.systemd.enable = lib.mkDefault true;
  };
}
