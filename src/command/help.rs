//! `HELP` of every container: what its rows say.

use super::{Command, Context, Error, Flags, Group};
use crate::protocol::Args;

/// The row of a container's `HELP`. `since` is the version that first had it.
pub(super) const fn row(group: Group, since: &'static str) -> Command {
    Command::new("help", 2, help)
        .flags(Flags::LOADING.and(Flags::STALE))
        .group(group)
        .since(since)
        .doc("Returns helpful text about the different subcommands.", "")
}

/// Replies a header, and two lines for each subcommand, as Redis does: how it is called, and what it is for.
fn help(cx: &mut Context<'_>, _: Args<'_>) -> Result<(), Error> {
    let container = cx.command.container().unwrap_or(cx.command);
    let mut subcommands: Vec<_> = container.subcommands().map(|handle| handle.command()).collect();
    // HELP itself comes last, with a line of its own.
    subcommands.retain(|row| row.name != "help");
    subcommands.sort_by_key(|row| row.name);
    cx.reply.array(3 + 2 * subcommands.len());
    let name = container.command().name.to_uppercase();
    cx.reply.simple(&format!("{name} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"));
    for row in subcommands {
        cx.reply.simple(&usage(row));
        cx.reply.simple(&format!("    {}", row.summary));
    }
    cx.reply.simple("HELP");
    cx.reply.simple("    Print this help.");
    Ok(())
}

/// How a subcommand is called: `ENCODING <key>`. Names stand in angle brackets, without their types; choices that the
/// notation puts there stand in parentheses.
fn usage(row: &Command) -> String {
    let mut text = row.name.to_uppercase();
    if !row.syntax.is_empty() {
        text.push(' ');
    }
    let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | ':');
    let mut rest = row.syntax;
    while let Some(first) = rest.chars().next() {
        let end = if is_word(first) { rest.find(|c| !is_word(c)).unwrap_or(rest.len()) } else { first.len_utf8() };
        let (word, behind) = rest.split_at(end);
        rest = behind;
        match word {
            "<" => text.push('('),
            ">" => text.push(')'),
            _ if first.is_ascii_lowercase() => {
                text.push('<');
                text.push_str(word.split(':').next().unwrap_or(word));
                text.push('>');
            }
            _ => text.push_str(word),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_follows_the_notation() {
        let of = |syntax| usage(&Command::new("set", 2, help).doc("", syntax));
        assert_eq!(of(""), "SET");
        assert_eq!(of("key"), "SET <key>");
        assert_eq!(of("key [count:integer]"), "SET <key> [<count>]");
        assert_eq!(of("<ON|OFF> [ID client-id ...]"), "SET (ON|OFF) [ID <client-id> ...]");
    }
}
