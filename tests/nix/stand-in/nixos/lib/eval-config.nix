# Evaluates modules as NixOS does, among the declarations of the options that they use.
{ system, modules }:
let
  pkgs = import ../.. { inherit system; };
in
pkgs.lib.evalModules {
  modules = [ ../modules/options.nix ] ++ modules;
  specialArgs = {
    inherit pkgs;
    modulesPath = ../modules;
  };
}
