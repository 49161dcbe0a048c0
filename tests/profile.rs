//! What stands in for rustc in optimised builds (`tuning/profile/rustc`) hands the profile over where it fits, and nothing elsewhere.

#![expect(clippy::unwrap_used, reason = "a test that cannot run a script fails")]

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

/// The arguments that a rustc of this version gets for those.
fn handed(version: &str, args: &[&str], profile: &str) -> String {
    let folder = std::env::temp_dir().join(format!("roster-profile-{}-{version}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let rustc = folder.join("rustc");
    let text = format!(
        "#!/bin/sh\nif [ \"$1\" = --version ]; then echo 'rustc {version} (abc 2026-01-01)'; else echo \"$*\"; fi\n"
    );
    // Written elsewhere and moved, because what another thread's child has open for writing cannot be run.
    std::fs::write(folder.join("new"), text).unwrap();
    std::fs::set_permissions(folder.join("new"), std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::rename(folder.join("new"), &rustc).unwrap();
    let wrapper = Path::new(env!("CARGO_MANIFEST_DIR")).join("tuning/profile/rustc");
    let output =
        Command::new("sh").arg(wrapper).arg(&rustc).args(args).env("ROSTER_PROFILE", profile).output().unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn optimised_builds_of_a_known_rustc_get_its_profile() {
    let optimised = ["--crate-name", "a", "-C", "opt-level=3", "src/a b.rs"];
    let profile = Path::new(env!("CARGO_MANIFEST_DIR")).join("tuning/profile/1.95.0.profdata");
    assert!(profile.is_file());
    let plain = optimised.join(" ");
    assert_eq!(handed("1.95.0", &optimised, ""), format!("{plain} -Cprofile-use={}", profile.display()));
    assert_eq!(handed("1.95.0", &optimised, "/x"), format!("{plain} -Cprofile-generate=/x"));
    assert_eq!(handed("1.95.0", &optimised, "off"), plain);
    assert_eq!(handed("1.90.0", &optimised, ""), plain);
    for other in [&["-vV"][..], &["-C", "opt-level=1"], &["--cfg", "fuzzing", "-C", "opt-level=3"]] {
        assert_eq!(handed("1.95.0", other, ""), other.join(" "));
    }
}
