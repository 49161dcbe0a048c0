//! The notation in which rows write their arguments, as the tree that `COMMAND DOCS` returns.
//!
//! Words are separated by spaces. `name` is an argument, whose type follows from the name or stands behind a colon
//! (`count:integer`); `WORD` (or a sign such as `*`) is a token, and takes the names and `<…>` behind it as its
//! arguments; `[…]` is optional; `<…>` groups; `|` separates alternatives in either; `...` repeats what is before it.
//! Repeating a bracket with a token repeats the token, `[GET pattern] ...`; `[GET pattern ...]` has it once.

/// What an argument is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    String,
    Integer,
    Double,
    Key,
    Pattern,
    UnixTime,
    PureToken,
    OneOf,
    Block,
}

impl Kind {
    const NAMES: [(&'static str, Kind); 9] = [
        ("string", Kind::String),
        ("integer", Kind::Integer),
        ("double", Kind::Double),
        ("key", Kind::Key),
        ("pattern", Kind::Pattern),
        ("unix-time", Kind::UnixTime),
        ("pure-token", Kind::PureToken),
        ("oneof", Kind::OneOf),
        ("block", Kind::Block),
    ];

    /// The name that `COMMAND DOCS` gives it.
    pub(super) fn name(self) -> &'static str {
        Kind::NAMES.iter().find(|(_, kind)| *kind == self).map_or("string", |(name, _)| name)
    }

    /// Whether it has arguments of its own.
    pub(super) fn is_group(self) -> bool {
        matches!(self, Kind::OneOf | Kind::Block)
    }
}

/// One argument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Argument {
    pub(super) name: String,
    pub(super) kind: Kind,
    /// The word that announces it.
    pub(super) token: Option<String>,
    pub(super) optional: bool,
    pub(super) multiple: bool,
    /// Whether each repetition repeats the token.
    pub(super) multiple_token: bool,
    /// The parts of a block, or the alternatives.
    pub(super) arguments: Vec<Argument>,
}

impl Argument {
    fn new(name: impl Into<String>, kind: Kind, arguments: Vec<Argument>) -> Argument {
        let (token, optional, multiple, multiple_token) = (None, false, false, false);
        Argument { name: name.into(), kind, token, optional, multiple, multiple_token, arguments }
    }

    /// Several arguments as one.
    fn group(kind: Kind, mut arguments: Vec<Argument>) -> Option<Argument> {
        if arguments.len() <= 1 {
            return arguments.pop();
        }
        let names: Vec<&str> = arguments.iter().map(|argument| argument.name.as_str()).collect();
        let name = names.join(if kind == Kind::OneOf { "-or-" } else { "-" });
        Some(Argument::new(name, kind, arguments))
    }

    /// The fewest words that it is given by, and whether there may be more.
    #[cfg(test)]
    fn extent(&self) -> (usize, bool) {
        let parts = self.arguments.iter().map(Argument::extent);
        let (own, varies) = match self.kind {
            Kind::PureToken => (0, false),
            Kind::Block => sum(parts),
            Kind::OneOf => {
                let extents: Vec<_> = parts.collect();
                let least = extents.iter().map(|(words, _)| *words).min().unwrap_or_default();
                (least, extents.iter().any(|&(words, varies)| varies || words != least))
            }
            _ => (1, false),
        };
        let words = own + usize::from(self.token.is_some());
        if self.optional { (0, true) } else { (words, varies || self.multiple) }
    }
}

#[cfg(test)]
fn sum(extents: impl Iterator<Item = (usize, bool)>) -> (usize, bool) {
    extents.fold((0, false), |(words, varies), (more, vary)| (words + more, varies || vary))
}

/// The fewest words of a command's arguments, and whether there may be more.
#[cfg(test)]
pub(super) fn extent(arguments: &[Argument]) -> (usize, bool) {
    sum(arguments.iter().map(Argument::extent))
}

/// Reads the notation; the error says what is wrong with it.
pub(super) fn parse(notation: &str) -> Result<Vec<Argument>, String> {
    let words = words(notation);
    let mut parser = Parser { words: &words, depth: 0 };
    let arguments = parser.sequence()?;
    match parser.words {
        [] => Ok(arguments),
        [stray, ..] => Err(format!("'{stray}' closes nothing in '{notation}'")),
    }
}

/// Splits into words, brackets and bars.
fn words(notation: &str) -> Vec<&str> {
    let mut words = Vec::new();
    for part in notation.split_whitespace() {
        let mut rest = part;
        while let Some(first) = rest.chars().next() {
            let is_mark = |c: char| "[]<>|".contains(c);
            let dots = rest.find("...").filter(|&at| at > 0);
            let end = match first {
                '.' if rest.starts_with("...") => 3,
                mark if is_mark(mark) => 1,
                _ => rest.find(is_mark).unwrap_or(rest.len()).min(dots.unwrap_or(rest.len())),
            };
            let (word, behind) = rest.split_at(end);
            words.push(word);
            rest = behind;
        }
    }
    words
}

/// Brackets in brackets that a notation may have.
const DEEPEST: usize = 16;

struct Parser<'a> {
    words: &'a [&'a str],
    depth: usize,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<&'a str> {
        self.words.first().copied()
    }

    fn take(&mut self) -> Option<&'a str> {
        let (first, rest) = self.words.split_first()?;
        self.words = rest;
        Some(first)
    }

    /// Arguments up to a closing bracket, a bar, or the end.
    fn sequence(&mut self) -> Result<Vec<Argument>, String> {
        let mut arguments = Vec::new();
        while let Some(word) = self.peek().filter(|word| !["]", ">", "|"].contains(word)) {
            let argument = if is_token(word) { self.announced()? } else { self.item()? };
            arguments.push(argument);
        }
        Ok(arguments)
    }

    /// A token with the names and groups that follow it.
    fn announced(&mut self) -> Result<Argument, String> {
        let token = self.take().unwrap_or_default();
        let mut arguments = Vec::new();
        while self.peek().is_some_and(|word| word == "<" || (!is_mark(word) && !is_token(word))) {
            arguments.push(self.item()?);
        }
        let mut argument = match arguments.len() {
            0 => Argument::new(token_name(token), Kind::PureToken, Vec::new()),
            1 if arguments[0].token.is_none() => arguments.remove(0),
            _ => Argument::new(token_name(token), Kind::Block, arguments),
        };
        argument.token = Some(token.to_owned());
        // `WORD ...`, which no name carries.
        if argument.kind == Kind::PureToken {
            self.repeat(&mut argument);
        }
        Ok(argument)
    }

    /// A name or a group, and whether it repeats.
    fn item(&mut self) -> Result<Argument, String> {
        let mut argument = match self.take() {
            Some("[") => {
                let mut argument = self.choice("]")?;
                argument.optional = true;
                argument
            }
            Some("<") => self.choice(">")?,
            Some("...") | None => return Err("'...' has nothing before it".to_owned()),
            Some(name) => {
                let (name, kind) = typed(name);
                Argument::new(name, kind, Vec::new())
            }
        };
        self.repeat(&mut argument);
        Ok(argument)
    }

    fn repeat(&mut self, argument: &mut Argument) {
        if self.peek() == Some("...") {
            self.take();
            argument.multiple = true;
            argument.multiple_token = argument.token.is_some();
        }
    }

    /// Alternatives up to `close`.
    fn choice(&mut self, close: &str) -> Result<Argument, String> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(format!("more than {DEEPEST} brackets in one another"));
        }
        let mut alternatives = Vec::new();
        loop {
            let sequence = self.sequence()?;
            alternatives.push(Argument::group(Kind::Block, sequence).ok_or("an alternative is empty")?);
            match self.take() {
                Some("|") => (),
                Some(word) if word == close => break,
                Some(word) => return Err(format!("'{word}' where '{close}' was due")),
                None => return Err(format!("'{close}' is missing")),
            }
        }
        self.depth -= 1;
        Argument::group(Kind::OneOf, alternatives).ok_or_else(|| "nothing to choose from".to_owned())
    }
}

fn is_mark(word: &str) -> bool {
    matches!(word, "[" | "]" | "<" | ">" | "|" | "...")
}

/// Whether a word stands for itself: capitals or signs, no small letter.
fn is_token(word: &str) -> bool {
    !is_mark(word) && !word.contains(|c: char| c.is_ascii_lowercase())
}

fn token_name(token: &str) -> String {
    let name = match token {
        "*" => "any",
        "=" => "equal",
        "~" => "approximately",
        "$" => "last",
        "+" => "greatest",
        "-" => "least",
        _ => return token.to_ascii_lowercase(),
    };
    name.to_owned()
}

/// A name and its type: what stands behind a colon, else what the name tells.
fn typed(word: &str) -> (&str, Kind) {
    if let Some((name, suffix)) = word.rsplit_once(':') {
        let known = Kind::NAMES.iter().find(|(known, kind)| *known == suffix && !kind.is_group());
        if let Some((_, kind)) = known {
            return (name, *kind);
        }
    }
    (word, implied(word))
}

fn implied(name: &str) -> Kind {
    const INTEGERS: &[&str] = &[
        "seconds",
        "milliseconds",
        "count",
        "offset",
        "start",
        "end",
        "stop",
        "index",
        "cursor",
        "increment",
        "decrement",
        "timeout",
        "db",
        "numkeys",
        "weight",
        "version",
        "length",
    ];
    match name {
        "source" | "destination" => Kind::Key,
        // A number of keys is a number.
        _ if INTEGERS.contains(&name) => Kind::Integer,
        _ if name.contains("key") => Kind::Key,
        "pattern" => Kind::Pattern,
        _ if name.starts_with("unix-time") => Kind::UnixTime,
        _ => Kind::String,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::every;

    /// The tree in one line: `name:type`, tokens before it, marks behind it.
    fn show(arguments: &[Argument]) -> String {
        let one = |argument: &Argument| {
            let token = argument.token.as_ref().map_or(String::new(), |token| format!("{token} "));
            let inner =
                if argument.kind.is_group() { format!("({})", show(&argument.arguments)) } else { String::new() };
            let marks = [(argument.optional, "?"), (argument.multiple, "+"), (argument.multiple_token, "t")];
            let marks: String = marks.iter().filter(|(is, _)| *is).map(|(_, mark)| *mark).collect();
            format!("{token}{}:{}{inner}{marks}", argument.name, argument.kind.name())
        };
        arguments.iter().map(one).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn notations_become_trees() {
        for (notation, tree) in [
            ("", ""),
            ("key value", "key:key value:string"),
            ("key [count]", "key:key count:integer?"),
            ("numkeys key ...", "numkeys:integer key:key+"),
            ("<key value> ...", "key-value:block(key:key value:string)+"),
            ("<ON|OFF>", "on-or-off:oneof(ON on:pure-token OFF off:pure-token)"),
            (
                "key [NX|XX] [EX seconds|KEEPTTL]",
                "key:key nx-or-xx:oneof(NX nx:pure-token XX xx:pure-token)? seconds-or-keepttl:oneof(EX seconds:integer \
                 KEEPTTL keepttl:pure-token)?",
            ),
            ("[LIMIT offset count]", "LIMIT limit:block(offset:integer count:integer)?"),
            ("[BY by-pattern:pattern] [GET pattern] ...", "BY by-pattern:pattern? GET pattern:pattern?+t"),
            ("[GET pattern ...]", "GET pattern:pattern?+"),
            (
                "GROUP group consumer STREAMS <key ...> <id ...>",
                "GROUP group:block(group:string consumer:string) STREAMS streams:block(key:key+ id:string+)",
            ),
            ("[TYPE <A|B>]", "TYPE a-or-b:oneof(A a:pure-token B b:pure-token)?"),
            (
                "[MAXLEN [=|~] threshold [LIMIT count]] <*|id>",
                "maxlen-equal-or-approximately-threshold-count:block(MAXLEN maxlen:pure-token equal-or-approximately:\
                 oneof(= equal:pure-token ~ approximately:pure-token)? threshold:string LIMIT count:integer?)? \
                 any-or-id:oneof(* any:pure-token id:string)",
            ),
            (
                "ip:port x:double PXAT unix-time-milliseconds",
                "ip:port:string x:double PXAT unix-time-milliseconds:unix-time",
            ),
        ] {
            assert_eq!(parse(notation).map(|tree| show(&tree)).as_deref(), Ok(tree), "{notation}");
        }
    }

    #[test]
    fn mistakes_are_told() {
        for notation in ["[a", "a]", "<a|>", "a | b", "...", "[]", "<a]", "[... a]", &"[".repeat(100)] {
            assert!(parse(notation).is_err(), "{notation}");
        }
    }

    #[test]
    fn every_row_is_documented_and_its_arity_fits_its_syntax() {
        for handle in every() {
            let (row, name) = (handle.command(), handle.full_name());
            let arguments = parse(row.syntax).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert!(row.summary.ends_with('.') && row.summary.len() < 120, "{name}: a summary is one sentence");
            if !row.subcommands.is_empty() {
                assert_eq!(row.syntax, "", "{name}: the arguments of a container are its subcommands'");
                continue;
            }
            let (least, varies) = extent(&arguments);
            let least = least + 1 + usize::from(handle.container().is_some());
            let given = row.arity.unsigned_abs() as usize;
            // Some commands of Redis check less by their arity than they need, never more.
            assert!(given <= least, "{name}: arity {}, but {least} words suffice", row.arity);
            if row.arity > 0 {
                assert_eq!((given, false), (least, varies), "{name}: arity {} is exact", row.arity);
            } else if given == least {
                // QUIT takes any words for the sake of old clients.
                assert!(varies || name == "quit", "{name}: nothing varies, yet arity is {}", row.arity);
            }
        }
    }

    #[test]
    fn key_arguments_agree_with_key_specifications() {
        fn keys(arguments: &[Argument]) -> usize {
            arguments.iter().map(|argument| usize::from(argument.kind == Kind::Key) + keys(&argument.arguments)).sum()
        }
        for handle in every() {
            let row = handle.command();
            let named = keys(&parse(row.syntax).expect("tested above"));
            assert_eq!(
                named > 0,
                row.keys.iter().any(|spec| !spec.access.contains(super::super::Access::NOT_KEY)),
                "{}: keys in the syntax and none specified, or the reverse",
                handle.full_name()
            );
        }
    }
}
