{ lib, ... }:
{
  # Options that NixOS got after 20.09.
  options.services.openssh.settings = lib.mkOption { type = lib.types.attrs; default = { }; };
  options.boot.initrd.systemd.emergencyAccess = lib.mkOption { type = lib.types.bool; default = false; };
  options.users.allowNoPasswordLogin = lib.mkOption { type = lib.types.bool; default = false; };
  config.nixpkgs.overlays = [ (final: prev: { formats.toml = _: { type = with prev.lib.types; attrsOf (oneOf [ bool int float str (listOf unspecified) attrs ]); generate = name: value: final.runCommand name { value = builtins.toJSON value; passAsFile = [ "value" ]; } "cp $valuePath $out"; }; }) ];
  config.system.stateVersion = lib.mkForce "20.09";
  config.users.users.root.openssh.authorizedKeys.keys = [ "ssh-ed25519 AAAA test" ];
}
