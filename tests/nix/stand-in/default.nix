# Stands where nixpkgs stands, for evaluating the modules where there is no checkout of it: the packages that they name are
# empty. It builds nothing.
{ system }:
let
  lib = import ./lib.nix;
  runCommand =
    name: environment: script:
    derivation (
      environment
      // {
        inherit name system;
        builder = "/bin/sh";
        args = [
          "-c"
          script
        ];
      }
    );
  empty = name: runCommand name { } "mkdir $out";
  platform = {
    inherit system;
    efiArch = "x64";
  };
  tomlValue = lib.types.oneOf [
    lib.types.bool
    lib.types.int
    lib.types.float
    lib.types.str
    (lib.types.listOf lib.types.unspecified)
    (lib.types.attrsOf lib.types.unspecified)
  ];
in
{
  inherit lib runCommand;
  stdenv = {
    buildPlatform = platform;
    hostPlatform = platform;
  };
  formats.toml = _: {
    type = lib.types.attrsOf tomlValue;
    generate = name: value: runCommand name { value = builtins.toJSON value; } "echo \"$value\" >$out";
  };
  writeText = name: text: runCommand name { inherit text; } "echo \"$text\" >$out";
}
// lib.listToAttrs (
  map (name: lib.nameValuePair name (empty name)) [
    "bash"
    "coreutils"
    "curl"
    "e2fsprogs"
    "gawk"
    "jq"
    "openssh"
    "systemd"
    "util-linux"
  ]
)
