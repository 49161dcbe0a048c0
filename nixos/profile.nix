# Reads a tuning profile of ../tuning: the same rows that `roster doctor` checks, in the parts that NixOS needs.
{ lib }:
let
  folder = ../tuning;
  names = map (lib.removeSuffix ".toml") (
    builtins.filter (lib.hasSuffix ".toml") (builtins.attrNames (builtins.readDir folder))
  );
  read = name: builtins.fromTOML (builtins.readFile (folder + "/${name}.toml"));

  # The rows of a profile: those of the profiles that it includes come first, and its own take the place of theirs.
  rowsOf =
    profile:
    let
      own = profile.knob or [ ];
      isOwn = row: builtins.any (other: other.name == row.name) own;
      included = lib.concatMap (name: rowsOf (read name)) (profile.includes or [ ]);
    in
    builtins.filter (row: !isOwn row) included ++ own;

  # A CPU list of the kernel (0-1,8) as numbers.
  cpus =
    text:
    lib.concatMap (
      part:
      let
        ends = map lib.toInt (lib.splitString "-" part);
      in
      lib.range (lib.head ends) (lib.last ends)
    ) (lib.splitString "," text);
in
{
  inherit names cpus;

  isCpuList =
    text: text == "all" || builtins.match "[0-9]+(-[0-9]+)?(,[0-9]+(-[0-9]+)?)*" text != null;

  # The profile of this name with another layout, where one is given.
  load =
    name: layout:
    let
      profile = read name;
      final = profile.layout // lib.filterAttrs (_: value: value != null) layout;
      # A parameter is only made where the layout sets CPUs apart, so "all" never gets here.
      fill =
        builtins.replaceStrings
          [ "{housekeeping}" "{workers}" ]
          [ final.housekeeping final.workers ];
      rows = rowsOf profile;
      with' = key: builtins.filter (row: row ? ${key}) rows;
    in
    {
      inherit rows;
      layout = final;
      settings = lib.mapAttrs (_: value: if builtins.isString value then fill value else value) (
        profile.settings or { }
      );
      kernelParams = map (row: fill row.boot) (with' "boot");
      sysctl = builtins.listToAttrs (
        map (row: lib.nameValuePair row.sysctl row.set) (builtins.filter (row: row ? set) (with' "sysctl"))
      );
      forbidden = map (row: row.no-process) (with' "no-process");
      # The whole profile in one file for the program.
      document = {
        inherit (profile) name summary;
        layout = final;
        knob = rows;
      };
    };
}
