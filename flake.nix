{
  description = "Roster: a Redis replacement on io_uring";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-26.05";

  outputs =
    { self, nixpkgs }:
    let
      inherit (nixpkgs) lib;
      systems = [
        "x86_64-linux"
        "aarch64-linux"
      ];
      forEach = make: lib.genAttrs systems (system: make system nixpkgs.legacyPackages.${system});
      modules = [ self.nixosModules.default ];
    in
    {
      packages = forEach (
        system: pkgs:
        {
          default = pkgs.callPackage ./nixos/package.nix { };
        }
        // lib.optionalAttrs (system == "x86_64-linux") (
          import ./nixos/images.nix {
            inherit pkgs;
            appliance = self.nixosConfigurations.appliance;
            applianceAb = self.nixosConfigurations.appliance-ab;
          }
        )
      );

      apps = forEach (
        system: _: {
          default = {
            type = "app";
            program = "${self.packages.${system}.default}/bin/roster";
            meta.description = "Serve keys on 127.0.0.1:6379";
          };
        }
      );

      devShells = forEach (
        system: pkgs: {
          default = pkgs.mkShell {
            inputsFrom = [ self.packages.${system}.default ];
            packages = [
              pkgs.clippy
              pkgs.rustfmt
              pkgs.redis
              pkgs.strace
            ];
          };
        }
      );

      overlays.default = final: _: { roster = final.callPackage ./nixos/package.nix { }; };

      formatter = forEach (_: pkgs: pkgs.nixfmt);

      nixosModules.default.imports = [
        (import ./nixos/service.nix self)
        ./nixos/tuning.nix
      ];

      nixosConfigurations.appliance = lib.nixosSystem {
        system = "x86_64-linux";
        modules = modules ++ [ ./nixos/appliance.nix ];
      };

      nixosConfigurations.appliance-ab = lib.nixosSystem {
        system = "x86_64-linux";
        modules = modules ++ [
          ./nixos/appliance.nix
          ./nixos/image-ab.nix
        ];
      };

      checks = forEach (
        system: pkgs:
        {
          package = self.packages.${system}.default;
        }
        // lib.optionalAttrs (system == "x86_64-linux") {
          appliance = self.nixosConfigurations.appliance.config.system.build.toplevel;
          vm = pkgs.testers.runNixOSTest (import ./nixos/test.nix modules);
          vm-ab = pkgs.testers.runNixOSTest (import ./nixos/test-ab.nix modules);
        }
      );
    };
}
