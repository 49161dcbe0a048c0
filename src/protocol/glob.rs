//! Glob patterns as Redis reads them in KEYS, SCAN, PSUBSCRIBE, CONFIG GET and ACL rules.
//!
//! The language: `*` any run of bytes, `?` one byte, `[abc]`, `[^abc]` and `[a-c]` one byte of a class, `\x` the byte
//! `x` itself. Its odd corners are those of `stringmatchlen` of Redis 7: a class that is not closed ends with the
//! pattern, a range may be written backwards, a backslash at the end stands for itself, and an escaped byte
//! inside a class is compared with its case even when the rest is not.

/// Whether `text` as a whole is matched by `pattern`; `nocase` compares ASCII letters without their case.
///
/// As in Redis, no pattern but the empty one matches an empty text. KEYS and SCAN never ask when their pattern is
/// just `*`, and so return the key with the empty name all the same: their callers must do likewise.
///
/// The time is bounded by the product of both lengths and no memory is taken: every element of a pattern except `*`
/// stands for exactly one byte, so only the latest `*` ever has to be tried again.
pub fn matches(pattern: &[u8], text: &[u8], nocase: bool) -> bool {
    if text.is_empty() {
        // Redis leaves its loop before the first element is read, so not even `*` matches an empty text.
        return pattern.is_empty();
    }
    let (mut at, mut position) = (0, 0);
    // Where to resume when an element fails: the element after the latest star, and the first byte that it may take.
    let mut retry: Option<(usize, usize)> = None;
    while position < text.len() {
        if pattern.get(at) == Some(&b'*') {
            at += 1;
            retry = Some((at, position));
            continue;
        }
        if at < pattern.len() {
            let (accepted, next) = element(pattern, at, text[position], nocase);
            if accepted {
                at = next;
                position += 1;
                continue;
            }
        }
        let Some((after_star, start)) = retry else {
            return false;
        };
        if after_star == pattern.len() {
            return true;
        }
        at = after_star;
        position = start + 1;
        retry = Some((after_star, position));
    }
    pattern[at..].iter().all(|&byte| byte == b'*')
}

/// Compares one byte with the element of `pattern` at `at`, and tells where the following element begins.
fn element(pattern: &[u8], at: usize, byte: u8, nocase: bool) -> (bool, usize) {
    match pattern[at] {
        b'?' => (true, at + 1),
        b'[' => class(pattern, at + 1, byte, nocase),
        b'\\' if at + 1 < pattern.len() => (same(pattern[at + 1], byte, nocase), at + 2),
        literal => (same(literal, byte, nocase), at + 1),
    }
}

/// Compares one byte with the class whose first byte (after the bracket) is at `at`.
fn class(pattern: &[u8], mut at: usize, byte: u8, nocase: bool) -> (bool, usize) {
    let negated = pattern.get(at) == Some(&b'^');
    if negated {
        at += 1;
    }
    let mut found = false;
    loop {
        match pattern[at.min(pattern.len())..] {
            [] => break,
            [b'\\', escaped, ..] => {
                found |= escaped == byte;
                at += 2;
            }
            [b']', ..] => {
                at += 1;
                break;
            }
            [first, b'-', last, ..] => {
                found |= within(first, last, byte, nocase);
                at += 3;
            }
            [literal, ..] => {
                found |= same(literal, byte, nocase);
                at += 1;
            }
        }
    }
    (found != negated, at)
}

/// Whether `byte` lies in a range whose ends may come in either order.
fn within(first: u8, last: u8, byte: u8, nocase: bool) -> bool {
    let (low, high) = (first.min(last), first.max(last));
    if nocase {
        // The ends are ordered before they are folded, as Redis does: `[Z-a]` is then an empty range.
        let folded = byte.to_ascii_lowercase();
        (low.to_ascii_lowercase()..=high.to_ascii_lowercase()).contains(&folded)
    } else {
        (low..=high).contains(&byte)
    }
}

fn same(one: u8, other: u8, nocase: bool) -> bool {
    if nocase { one.eq_ignore_ascii_case(&other) } else { one == other }
}

#[cfg(test)]
mod tests {
    use super::matches;

    fn case(pattern: &str, text: &str) -> bool {
        matches(pattern.as_bytes(), text.as_bytes(), false)
    }

    #[test]
    fn stars_take_any_run() {
        for (pattern, text, expected) in [
            ("*", "anything", true),
            ("h*llo", "hello", true),
            ("h*llo", "heeeello", true),
            ("h*llo", "hllo", true),
            ("h*llo", "hell", false),
            ("*a*b*c*", "xxaxxbxxcxx", true),
            ("*a*b*c*", "xxbxxaxxcxx", false),
            ("**", "x", true),
            ("a**", "a", true),
            ("*ab", "aab", true),
            ("*aab", "aaaaab", true),
            ("", "", true),
            ("", "x", false),
            ("x", "", false),
            ("*", "", false),
        ] {
            assert_eq!(case(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn classes_and_escapes() {
        for (pattern, text, expected) in [
            ("h?llo", "hallo", true),
            ("h?llo", "hllo", false),
            ("h[ae]llo", "hallo", true),
            ("h[ae]llo", "hillo", false),
            ("h[^e]llo", "hallo", true),
            ("h[^e]llo", "hello", false),
            ("h[a-c]llo", "hbllo", true),
            ("h[c-a]llo", "hbllo", true),
            ("h[a-c]llo", "hdllo", false),
            (r"h\?llo", "h?llo", true),
            (r"h\?llo", "hallo", false),
            (r"h[\]]llo", "h]llo", true),
            (r"h[\^]llo", "h^llo", true),
            ("a\\", "a\\", true),
            ("h[z", "hz", true),
            ("h[^z", "ha", true),
            ("h[", "h", false),
            ("[a-", "-", true),
            ("[]", "]", false),
            ("[^]", "x", true),
        ] {
            assert_eq!(case(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn case_is_folded_except_after_a_backslash_in_a_class() {
        assert!(matches(b"TIMEOUT", b"timeout", true));
        assert!(matches(b"[S-U]imeout", b"timeout", true));
        assert!(matches(b"\\Timeout", b"timeout", true));
        assert!(!matches(b"[\\T]imeout", b"timeout", true));
        assert!(!matches(b"TIMEOUT", b"timeout", false));
    }

    #[test]
    fn a_hostile_pattern_costs_no_more_than_the_product_of_the_lengths() {
        let pattern = [b"a*".repeat(10_000), b"b".to_vec()].concat();
        let text = b"a".repeat(30_000);
        let started = std::time::Instant::now();
        assert!(!matches(&pattern, &text, false));
        assert!(started.elapsed().as_secs() < 5);
    }
}
