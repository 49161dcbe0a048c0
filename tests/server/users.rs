//! Users over sockets: who is let in, who is sent away, and who waits for it.

use std::time::{Duration, Instant};

use crate::support::{Reply, on_each_driver};

#[test]
fn a_wrong_password_is_answered_late_and_only_its_client_waits() {
    let flags = ["--requirepass", "secret", "--auth-failure-delay", "700", "--workers", "1"];
    on_each_driver(&flags, |server| {
        let (mut guesser, mut other) = (server.client(), server.client());
        assert_eq!(other.say("AUTH secret"), Reply::ok());
        let start = Instant::now();
        // The reply before it waits as well: both came at once.
        guesser.raw(b"AUTH secret\r\nAUTH wrong\r\nGET k\r\n");
        (0..20).for_each(|_| assert_eq!(other.say("GET k"), Reply::Null));
        assert!(start.elapsed() < Duration::from_millis(600), "others waited {:?}", start.elapsed());
        assert_eq!(guesser.reply(), Reply::ok());
        assert!(start.elapsed() >= Duration::from_millis(700), "it waited {:?} only", start.elapsed());
        assert!(guesser.reply().error_text().starts_with("WRONGPASS"));
        assert_eq!(guesser.reply(), Reply::Null);
    });
}

#[test]
fn a_deleted_user_s_connections_end() {
    on_each_driver(&["--user", "alice on >pw +get ~a*"], |server| {
        let (mut admin, mut alice) = (server.client(), server.client());
        assert_eq!(alice.say("AUTH alice pw"), Reply::ok());
        assert_eq!(alice.say("GET a"), Reply::Null);
        assert_eq!(alice.say("GET b").error_text(), "NOPERM No permissions to access a key");
        assert_eq!(admin.say("ACL SETUSER alice +set"), Reply::ok());
        assert_eq!(alice.say("SET a 1"), Reply::ok());
        assert_eq!(admin.say("ACL DELUSER alice"), Reply::Integer(1));
        assert_eq!(alice.rest(), b"");
        assert_eq!(admin.say("PING"), Reply::Simple("PONG".into()));
    });
}
