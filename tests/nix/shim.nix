# What the modules use and a NixOS before 22.05 has not got. Only for evaluating them on an old tree.
{ lib, ... }:
{
  options = {
    services.openssh.settings = lib.mkOption {
      type = lib.types.attrs;
      default = { };
    };
    boot.initrd.systemd.emergencyAccess = lib.mkOption {
      type = lib.types.bool;
      default = false;
    };
    users.allowNoPasswordLogin = lib.mkOption {
      type = lib.types.bool;
      default = false;
    };
  };
  config = {
    system.stateVersion = lib.mkForce "20.09";
    users.users.root.openssh.authorizedKeys.keys = [ "ssh-ed25519 AAAA nobody" ];
    nixpkgs.overlays = [
      (final: prev: {
        formats.toml = _: {
          type = prev.lib.types.attrsOf prev.lib.types.unspecified;
          generate =
            name: value:
            final.runCommand name {
              value = builtins.toJSON value;
              passAsFile = [ "value" ];
            } "cp $valuePath $out";
        };
      })
    ];
  };
}
