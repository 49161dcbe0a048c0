# Built from the lock file; the tests that need a network of clients run in CI instead.
{ lib, rustPlatform }:
let
  manifest = (lib.importTOML ../Cargo.toml).package;
in
rustPlatform.buildRustPackage {
  pname = manifest.name;
  inherit (manifest) version;
  src = lib.fileset.toSource {
    root = ../.;
    fileset = lib.fileset.unions [
      ../Cargo.toml
      ../Cargo.lock
      ../.cargo
      ../src
      ../tuning
      ../docs
      ../benches
      ../tests
    ];
  };
  cargoLock.lockFile = ../Cargo.lock;
  cargoTestFlags = [ "--lib" ];
  meta = {
    inherit (manifest) description;
    license = with lib.licenses; [
      mit
      asl20
    ];
    mainProgram = "roster";
    platforms = lib.platforms.linux;
  };
}
