//! Rules and what they allow, over a handful of commands.

#![allow(clippy::unwrap_used)]

use super::*;

const READ: u32 = 1;
const WRITE: u32 = 2;

const GET: usize = 0;
const SET: usize = 1;
const CONFIG_GET: usize = 3;
const CONFIG_SET: usize = 4;
const SELECT: usize = 5;

fn acl() -> Acl {
    let entry = |name, categories, subcommands, is_subcommand| Entry { name, categories, subcommands, is_subcommand };
    let entries = vec![
        entry("get", READ, 0..0, false),
        entry("set", WRITE, 0..0, false),
        entry("config", 0, 3..5, false),
        entry("config|get", READ, 0..0, true),
        entry("config|set", WRITE, 0..0, true),
        entry("select", 0, 0..0, false),
    ];
    Acl::new(Catalogue::new(entries, vec![("read", READ), ("write", WRITE)]), "")
}

/// A call of a command with keys and channels.
#[derive(Default)]
struct Words<'a> {
    command: usize,
    first: Option<&'a str>,
    keys: &'a [(&'a str, &'a str)],
    channels: &'a [(&'a str, bool)],
}

impl Call for Words<'_> {
    fn command(&self) -> usize {
        self.command
    }
    fn is_exempt(&self) -> bool {
        false
    }
    fn first_argument(&self) -> Option<&[u8]> {
        self.first.map(str::as_bytes)
    }
    fn each_key(&self, visit: &mut dyn FnMut(usize, &[u8], Needs)) {
        for (index, (key, needs)) in self.keys.iter().enumerate() {
            visit(index + 1, key.as_bytes(), Needs { read: needs.contains('r'), write: needs.contains('w') });
        }
    }
    fn each_channel(&self, visit: &mut dyn FnMut(usize, &[u8], bool)) {
        for (index, (channel, is_pattern)) in self.channels.iter().enumerate() {
            visit(index + 1, channel.as_bytes(), *is_pattern);
        }
    }
}

fn set(acl: &Acl, name: &str, rules: &str) -> Result<(), String> {
    let rules: Vec<&[u8]> = rules.split(' ').map(str::as_bytes).collect();
    acl.set_user(name.as_bytes(), &rules, false)
        .map_err(|mistake| String::from_utf8_lossy(&mistake.to_bytes()).into_owned())
}

fn line(acl: &Acl, name: &str) -> String {
    String::from_utf8(acl.find(name.as_bytes()).unwrap().line()).unwrap()
}

/// The outcome of a call by a user with these rules: nothing, or the reason and the argument.
fn check(rules: &str, call: &Words<'_>) -> Option<(&'static str, usize)> {
    let acl = acl();
    set(&acl, "u", rules).unwrap();
    let checked = acl.find(b"u").unwrap().check(call);
    checked.err().map(|denial| (denial.reason.text(), denial.argument))
}

#[test]
fn rules_are_kept_in_their_normal_form() {
    let acl = acl();
    for (rules, described) in [
        ("", "off sanitize-payload resetchannels -@all"),
        ("on nopass ~* &* +@all", "on nopass sanitize-payload ~* &* +@all"),
        ("reset ON skip-sanitize-payload", "on skip-sanitize-payload resetchannels -@all"),
        ("reset +GET -set +get", "off sanitize-payload resetchannels -@all -set +get"),
        ("reset +config|get +config", "off sanitize-payload resetchannels -@all +config"),
        ("reset +config -config|GET", "off sanitize-payload resetchannels -@all +config -config|get"),
        (
            "reset +@Read -@read +select|0 +select|1",
            "off sanitize-payload resetchannels -@all -@read +select|0 +select|1",
        ),
        ("-select", "off sanitize-payload resetchannels -@all -@read -select"),
        ("reset +get allcommands", "off sanitize-payload resetchannels +@all"),
        ("reset %R~a %w~a %rw~b %W~c ~a", "off sanitize-payload ~a ~b %W~c resetchannels -@all"),
        ("reset &a &b &a", "off sanitize-payload resetchannels &a &b -@all"),
        ("reset (~a +get) (%R~b", "!Unmatched parenthesis in acl selector starting at '(%R~b'."),
        (
            "reset (~a +get) (%R~b &c )",
            "off sanitize-payload resetchannels -@all (~a resetchannels -@all +get) (%R~b \
                                         resetchannels &c -@all)",
        ),
        ("clearselectors", "off sanitize-payload resetchannels -@all"),
    ] {
        match (set(&acl, "u", rules), described.strip_prefix('!')) {
            (Ok(()), None) => assert_eq!(line(&acl, "u"), format!("user u {described}"), "{rules}"),
            (Err(error), Some(expected)) => assert_eq!(error, expected, "{rules}"),
            (result, _) => panic!("{rules}: {result:?}"),
        }
    }
}

#[test]
fn a_line_makes_the_same_user_again() {
    let acl = acl();
    set(&acl, "u", "on >one >two %R~a ~b &c +@all -@read +config|get +select|0 (~* allchannels nocommands +set)")
        .unwrap();
    let written = line(&acl, "u");
    set(&acl, "u", &format!("reset {}", written.strip_prefix("user u ").unwrap())).unwrap();
    assert_eq!(line(&acl, "u"), written);
}

#[test]
fn wrong_rules_change_nothing_and_are_told_apart() {
    let acl = acl();
    set(&acl, "u", "on ~a").unwrap();
    let before = line(&acl, "u");
    for (rules, reason) in [
        ("+nosuch", "Unknown command or category name in ACL"),
        ("+@nosuch", "Unknown command or category name in ACL"),
        ("-select|0", "Unknown command or category name in ACL"),
        ("+config|nosuch", "Unknown command or category name in ACL"),
        ("+", "Unknown command or category name in ACL"),
        ("+select|", "Syntax error"),
        ("+config|get|x", "Allowing first-arg of a subcommand is not supported"),
        ("+select|\"0", "Syntax error"),
        ("nonsense", "Syntax error"),
        ("%~a", "Syntax error"),
        ("%", "Syntax error"),
        ("%RR~a", "Syntax error"),
        ("~a\tb", "Syntax error"),
        ("&a\tb", "Syntax error"),
        ("<none", "The password you are trying to remove from the user does not exist"),
        ("#abc", "The password hash must be exactly 64 characters and contain only lowercase hexadecimal characters"),
        ("(+get ~a\"b)", "Syntax error"),
    ] {
        let error = set(&acl, "u", &format!("off {rules}")).unwrap_err();
        assert_eq!(error, format!("Error in ACL SETUSER modifier '{rules}': {reason}"));
        assert_eq!(line(&acl, "u"), before);
    }
    assert!(
        set(&acl, "u", "~* ~a").unwrap_err().contains("'~a': Adding a pattern after the * pattern (or the 'allkeys'")
    );
    assert!(
        set(&acl, "u", "&* &a").unwrap_err().contains("'&a': Adding a pattern after the * pattern (or the 'allchan")
    );
    assert_eq!(set(&acl, "a b", "on").unwrap_err(), "Usernames can't contain spaces or null characters");
    assert!(acl.find(b"new").is_none() && set(&acl, "new", "nonsense").is_err() && acl.find(b"new").is_none());
}

#[test]
fn commands_are_allowed_by_name_category_and_first_argument() {
    let of = |rules, command, first| check(rules, &Words { command, first, ..Words::default() });
    let denied = Some(("command", 0));
    assert_eq!(of("+@all", SELECT, None), None);
    assert_eq!(of("+@all -@write", SET, None), denied);
    assert_eq!(of("+@all -@write", CONFIG_SET, None), denied);
    assert_eq!(of("+@all -@write", CONFIG_GET, None), None);
    assert_eq!(of("+config", CONFIG_SET, None), None);
    assert_eq!(of("+config -config|set", CONFIG_SET, None), denied);
    assert_eq!(of("+select|0", SELECT, Some("0")), None);
    assert_eq!(of("+select|0", SELECT, Some("1")), denied);
    assert_eq!(of("+select|0", SELECT, None), denied);
    assert_eq!(of("+select|0 -select", SELECT, Some("0")), denied);
    assert_eq!(of("+get", 1 << 40, None), denied);
}

#[test]
fn keys_are_allowed_by_what_is_done_to_them() {
    let of = |rules: &str, keys: &[(&str, &str)]| {
        check(&format!("+@all {rules}"), &Words { command: GET, keys, ..Words::default() })
    };
    for (rules, needs, allowed) in [
        ("~a*", "rw", true),
        ("%R~a*", "r", true),
        ("%R~a*", "w", false),
        ("%R~a*", "", true),
        ("%W~a*", "w", true),
        ("%W~a*", "r", false),
        ("%R~a* %W~a*", "rw", true),
        ("%R~a* %W~ab", "rw", false),
        ("allkeys", "rw", true),
        ("~b", "", false),
        ("", "r", false),
    ] {
        assert_eq!(of(rules, &[("ab", needs)]).is_none(), allowed, "{rules} {needs}");
    }
    assert_eq!(of("~a", &[("a", "r"), ("b", "r"), ("c", "r")]), Some(("key", 2)));
}

#[test]
fn channels_are_matched_and_patterns_of_channels_compared() {
    let of = |rules: &str, channels| check(&format!("+@all ~* {rules}"), &Words { channels, ..Words::default() });
    assert_eq!(of("&news.*", &[("news.a", false)]), None);
    assert_eq!(of("&news.*", &[("news.a", false), ("other", false)]), Some(("channel", 2)));
    assert_eq!(of("&news.*", &[("news.*", true)]), None);
    assert_eq!(of("&news.*", &[("news.a", true)]), Some(("channel", 1)));
    assert_eq!(of("", &[("a", false)]), Some(("channel", 1)));
    assert_eq!(of("allchannels", &[("*", true)]), None);
}

#[test]
fn what_one_selector_allows_as_a_whole_is_allowed() {
    let of = |command, keys| check("+get ~r* (+set ~w*)", &Words { command, keys, ..Words::default() });
    assert_eq!(of(GET, &[("r1", "r")]), None);
    assert_eq!(of(SET, &[("w1", "w")]), None);
    assert_eq!(of(GET, &[("w1", "r")]), Some(("key", 1)));
    assert_eq!(of(SET, &[("r1", "w")]), Some(("key", 1)));
    assert_eq!(of(SELECT, &[]), Some(("command", 0)));
    assert_eq!(of(GET, &[("r1", "r"), ("w1", "r")]), Some(("key", 2)));
}

#[test]
fn passwords_open_users_that_are_on() {
    let acl = acl();
    let opens = |password: &str| acl.credentials(b"u", password.as_bytes()).is_some();
    assert!(!opens("a"));
    set(&acl, "u", "on >a >b").unwrap();
    assert!(opens("a") && opens("b") && !opens("c") && !opens(""));
    set(&acl, "u", "<a").unwrap();
    assert!(!opens("a") && opens("b"));
    set(&acl, "u", "#ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad").unwrap();
    assert!(opens("abc"));
    set(&acl, "u", "!ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad").unwrap();
    assert!(!opens("abc"));
    set(&acl, "u", "nopass").unwrap();
    assert!(opens("anything"));
    set(&acl, "u", "off").unwrap();
    assert!(!opens("anything"));
    set(&acl, "u", "on resetpass").unwrap();
    assert!(!opens("") && !opens("b"));
}

#[test]
fn a_login_follows_its_user() {
    let acl = acl();
    let mut login = Login::new(&acl);
    assert!(login.is_free(&acl) && login.is_admitted());
    set(&acl, "u", "on >p ~* &* +@all").unwrap();
    assert!(!login.is_free(&acl) && login.refresh(&acl) && login.is_free(&acl));
    assert!(!login.authenticate(&acl, b"u", b"x") && login.authenticate(&acl, b"u", b"p") && login.is_free(&acl));
    set(&acl, "u", "-get").unwrap();
    assert!(!login.is_free(&acl) && login.refresh(&acl) && !login.is_free(&acl) && login.is_admitted());
    // Another user of the same name is another user.
    assert_eq!(acl.delete([&b"u"[..], b"default", b"nobody"].into_iter()).len(), 1);
    set(&acl, "u", "on nopass ~* &* +@all").unwrap();
    assert!(!login.refresh(&acl) && !login.is_admitted() && !login.is_free(&acl));
    assert_eq!(&*login.user().name, DEFAULT);
}

#[test]
fn the_default_user_has_the_password_of_the_setting() {
    let acl = acl();
    let early = Login::new(&acl);
    acl.adopt_password(|| "p".into());
    let mut late = Login::new(&acl);
    assert!(early.is_admitted() && !late.is_admitted() && !late.is_free(&acl));
    assert!(acl.credentials(DEFAULT, b"p").is_some() && acl.credentials(DEFAULT, b"x").is_none());
    // What ACL SETUSER did stays until the setting itself changes.
    set(&acl, "default", "nopass").unwrap();
    acl.adopt_password(|| "p".into());
    assert!(acl.default_user().has_no_password());
    assert!(late.refresh(&acl) && late.is_admitted() && late.is_free(&acl));
    acl.adopt_password(String::new);
    acl.adopt_password(|| "q".into());
    assert!(late.refresh(&acl) && !late.is_admitted() && !late.is_free(&acl));
    assert!(acl.lines_beside_requirepass().is_empty());
    set(&acl, "default", "-get").unwrap();
    set(&acl, "u", "").unwrap();
    assert_eq!(acl.lines_beside_requirepass().len(), 2);
}

#[test]
fn users_of_the_configuration_are_added() {
    let acl = acl();
    let lines = ["u on nopass +get".to_owned(), "default on >p -@all".to_owned()];
    acl.configure(&lines, false).unwrap();
    assert_eq!(line(&acl, "u"), "user u on nopass sanitize-payload resetchannels -@all +get");
    assert!(line(&acl, "default").ends_with("resetchannels -@all") && !acl.default_user().has_no_password());
    for (line, expected) in [
        ("v +nosuch", "the user 'v': Error in ACL SETUSER modifier '+nosuch': Unknown command or category name in ACL"),
        ("v on #secret", "a rule of the user 'v' is wrong: The password hash must be"),
    ] {
        let error = acl.configure(&[line.to_owned()], false).unwrap_err();
        assert!(error.starts_with(expected), "{error}");
    }
    let twice = ["v on".to_owned(), "v off".to_owned()];
    assert_eq!(acl.configure(&twice, false).unwrap_err(), "the user 'v' is defined twice");
}

#[test]
fn files_are_written_and_read() {
    let folder = std::env::temp_dir().join(format!("roster-acl-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("users.acl");
    let acl = acl();
    set(&acl, "u", "on >p ~a +get (~b +set)").unwrap();
    set(&acl, "gone", "").unwrap();
    let (u, gone) = (acl.find(b"u").unwrap().id, acl.find(b"gone").unwrap().id);
    acl.save(&file).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&file).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    let lines: Vec<String> = acl.users().iter().map(|user| String::from_utf8(user.line()).unwrap()).collect();
    assert_eq!(std::fs::read_to_string(&file).unwrap(), lines.join("\n") + "\n");
    set(&acl, "u", "reset").unwrap();
    assert_eq!(acl.load(&file, false).unwrap(), Vec::<u64>::new());
    assert_eq!(acl.users().iter().map(|user| String::from_utf8(user.line()).unwrap()).collect::<Vec<_>>(), lines);

    // A user that the file still has stays who it was; the default user comes back as `requirepass` has it.
    std::fs::write(&file, "\n user u on\r\n").unwrap();
    acl.adopt_password(|| "p".into());
    assert_eq!(acl.load(&file, false).unwrap(), [gone]);
    assert_eq!(acl.find(b"u").unwrap().id, u);
    assert!(acl.credentials(DEFAULT, b"p").is_some() && acl.default_user().is_unrestricted());

    let shown = file.display().to_string();
    let text = "user a on\nuser a off\n# x\nuser b +nosuch ~a\x0bb >x\nuser c (+get\nuser\n";
    std::fs::write(&file, text).unwrap();
    assert_eq!(
        acl.load(&file, false).unwrap_err(),
        format!(
            "WARNING: Duplicate user 'a' found on line 2. {shown}:3 should start with user keyword followed by the \
             username. {shown}:4: Error in applying operation '+nosuch': Unknown command or category name in ACL. \
             {shown}:4: Syntax error. {shown}:5: Unmatched parenthesis in selector definition.{shown}:6 should start \
             with user keyword followed by the username. WARNING: ACL errors detected, no change to the previously \
             active ACL rules was performed"
        )
    );
    assert_eq!(acl.users().len(), 2);
    std::fs::remove_dir_all(&folder).unwrap();
    let error = acl.load(&file, false).unwrap_err();
    assert_eq!(error, format!("Error loading ACLs, opening file '{shown}': No such file or directory"));
    assert!(acl.save(&file).is_err());
}
