//! `MONITOR`: sees the commands of all clients.

use super::{Command, Context, Error, Flags, Group};
use crate::protocol::Args;
use crate::session::Mode;

/// The family's rows.
pub(super) const COMMANDS: &[Command] = &[Command::new("monitor", 1, monitor)
    .flags(Flags::ADMIN.and(Flags::NOSCRIPT).and(Flags::LOADING).and(Flags::STALE))
    .group(Group::Server)
    .complexity("")
    .doc("Shows the commands of all clients as they run.", "")];

fn monitor(cx: &mut Context<'_>, _: Args<'_>) -> Result<(), Error> {
    if cx.client.mode != Mode::Direct {
        return Err(Error::new("MONITOR isn't allowed for DENY BLOCKING client"));
    }
    // Whoever watches already gets no second reply, as in Redis.
    if !cx.client.is_monitor {
        cx.client.set_monitor(&cx.node.monitors, true);
        cx.reply.ok();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::command::testing::Rig;
    use crate::command::{Outcome, execute};
    use crate::protocol::Frame;

    /// What a client was sent, without the time of each line.
    fn seen(rig: &Rig) -> String {
        let mut out = Vec::new();
        rig.client.info.mailbox.collect(&mut out, usize::MAX);
        let text = String::from_utf8(out).expect("text");
        let lines = text.lines().map(|line| {
            let (time, rest) = line.split_once(' ').expect(line);
            let (seconds, micros) = time.strip_prefix('+').and_then(|time| time.split_once('.')).expect(line);
            assert!(seconds.parse::<u64>().is_ok_and(|at| at > 1_600_000_000) && micros.len() == 6, "{line}");
            rest.to_owned()
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn commands_are_shown_but_not_those_for_administrators() {
        let mut rig = Rig::new();
        rig.check(&[("MONITOR", "+OK"), ("MONITOR", "")]);
        let mut other = rig.connect_from("10.0.0.1:7");
        for request in [
            "SELECT 2",
            "SET k a\nb",
            "GET",
            "NONSENSE",
            "LPUSH k 1",
            "CONFIG GET port",
            "AUTH secret",
            "MULTI",
            "PING",
            "EXEC",
            "BLPOP none 0",
        ] {
            let frame: Frame = request.split(' ').collect();
            let outcome = execute(&rig.worker, &mut other, frame.args(), &mut Vec::new());
            assert!(matches!(outcome, Outcome::Done | Outcome::Waits), "{request}");
        }
        let expected = [
            r#""SELECT" "2""#,
            r#""SET" "k" "a\nb""#,
            r#""LPUSH" "k" "1""#,
            r#""AUTH" "(redacted)""#,
            r#""MULTI""#,
            r#""PING""#,
            r#""EXEC""#,
            r#""BLPOP" "none" "0""#,
        ];
        assert_eq!(seen(&rig), expected.map(|words| format!("[2 10.0.0.1:7] {words}")).join("\n"));
        rig.check(&[
            ("GET k", "-ERR Replica can't interact with the keyspace"),
            ("PING", "+PONG"),
            ("RESET", "+RESET"),
        ]);
        assert_eq!(seen(&rig), "[0 127.0.0.1:1] \"PING\"");
        assert!(!rig.worker.node.monitors.any());
        rig.check(&[("GET k", "$-1"), ("MULTI", "+OK"), ("MONITOR", "+QUEUED")]);
        assert_eq!(rig.run("EXEC"), "*1|-ERR MONITOR isn't allowed for DENY BLOCKING client");
    }
}
