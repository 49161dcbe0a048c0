//! JSON to the values of a script.

use mlua::{Lua, Value};

use super::cjson::Settings;
use super::failure::complain;
use crate::protocol::number;

/// Reads a whole text.
///
/// # Errors
/// Raised in the script: what is wrong, and at which character.
pub(super) fn decode(lua: &Lua, settings: &Settings, text: &[u8], depth_limit: usize) -> mlua::Result<Value> {
    if text.len() >= 2 && (text[0] == 0 || text[1] == 0) {
        return complain(lua, "JSON parser does not support UTF-16 or UTF-32");
    }
    let depth_limit = depth_limit.min(settings.decode_depth);
    let mut decoder = Decoder { lua, text, at: 0, depth: 0, depth_limit, lenient: settings.decode_invalid };
    let token = decoder.token();
    let value = decoder.value(token)?;
    let (end, start) = decoder.token();
    if !matches!(end, Token::End) {
        return decoder.wrong("the end", &end, start);
    }
    Ok(value)
}

enum Token {
    ObjectBegin,
    ObjectEnd,
    ArrayBegin,
    ArrayEnd,
    Text(Vec<u8>),
    Number(f64),
    True,
    False,
    Null,
    Colon,
    Comma,
    End,
    Wrong(&'static str),
}

impl Token {
    fn name(&self) -> &'static str {
        match self {
            Token::ObjectBegin => "T_OBJ_BEGIN",
            Token::ObjectEnd => "T_OBJ_END",
            Token::ArrayBegin => "T_ARR_BEGIN",
            Token::ArrayEnd => "T_ARR_END",
            Token::Text(_) => "T_STRING",
            Token::Number(_) => "T_NUMBER",
            Token::True | Token::False => "T_BOOLEAN",
            Token::Null => "T_NULL",
            Token::Colon => "T_COLON",
            Token::Comma => "T_COMMA",
            Token::End => "T_END",
            Token::Wrong(what) => what,
        }
    }
}

struct Decoder<'a> {
    lua: &'a Lua,
    text: &'a [u8],
    at: usize,
    depth: usize,
    depth_limit: usize,
    lenient: bool,
}

impl Decoder<'_> {
    fn wrong<T>(&self, wanted: &str, found: &Token, start: usize) -> mlua::Result<T> {
        complain(self.lua, format!("Expected {wanted} but found {} at character {}", found.name(), start + 1))
    }

    /// The next token, and where it begins.
    fn token(&mut self) -> (Token, usize) {
        while matches!(self.text.get(self.at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
        let start = self.at;
        let Some(&byte) = self.text.get(start) else { return (Token::End, start) };
        let single = match byte {
            b'{' => Some(Token::ObjectBegin),
            b'}' => Some(Token::ObjectEnd),
            b'[' => Some(Token::ArrayBegin),
            b']' => Some(Token::ArrayEnd),
            b':' => Some(Token::Colon),
            b',' => Some(Token::Comma),
            _ => None,
        };
        if let Some(token) = single {
            self.at += 1;
            return (token, start);
        }
        match byte {
            b'"' => self.string(start),
            b'-' | b'0'..=b'9' => (self.number_token(), start),
            _ => (self.word(), start),
        }
    }

    fn word(&mut self) -> Token {
        let rest = &self.text[self.at..];
        for (word, token) in [(&b"true"[..], Token::True), (b"false", Token::False), (b"null", Token::Null)] {
            if rest.starts_with(word) {
                self.at += word.len();
                return token;
            }
        }
        let is_number = [&b"inf"[..], b"nan", b"+"]
            .iter()
            .any(|word| rest.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word)));
        if self.lenient && is_number { self.number_token() } else { Token::Wrong("invalid token") }
    }

    fn number_token(&mut self) -> Token {
        let rest = &self.text[self.at..];
        let unsigned = rest.strip_prefix(b"-").unwrap_or(rest);
        let invalid = match unsigned {
            [b'0', b'x' | b'X' | b'0'..=b'9', ..] => true,
            [first, ..] => !first.is_ascii_digit(),
            [] => true,
        };
        if invalid && !self.lenient {
            return Token::Wrong("invalid number");
        }
        match number_prefix(rest) {
            Some((value, len)) => {
                self.at += len;
                Token::Number(value)
            }
            None => Token::Wrong("invalid number"),
        }
    }

    fn string(&mut self, start: usize) -> (Token, usize) {
        let mut out = Vec::new();
        self.at += 1;
        loop {
            let Some(&byte) = self.text.get(self.at) else {
                return (Token::Wrong("unexpected end of string"), self.at);
            };
            match byte {
                b'"' => {
                    self.at += 1;
                    return (Token::Text(out), start);
                }
                b'\\' => {
                    if let Err(what) = self.escape(&mut out) {
                        return (Token::Wrong(what), self.at);
                    }
                }
                byte => {
                    out.push(byte);
                    self.at += 1;
                }
            }
        }
    }

    fn escape(&mut self, out: &mut Vec<u8>) -> Result<(), &'static str> {
        let byte = match self.text.get(self.at + 1) {
            Some(byte @ (b'"' | b'\\' | b'/')) => *byte,
            Some(b'b') => 8,
            Some(b't') => b'\t',
            Some(b'n') => b'\n',
            Some(b'f') => 12,
            Some(b'r') => b'\r',
            Some(b'u') => {
                let (code, len) = self.code_point().ok_or("invalid unicode escape code")?;
                out.extend_from_slice(code.encode_utf8(&mut [0; 4]).as_bytes());
                self.at += len;
                return Ok(());
            }
            _ => return Err("invalid escape code"),
        };
        out.push(byte);
        self.at += 2;
        Ok(())
    }

    /// The character of `\uXXXX`, or of a pair of them, and how long that is.
    fn code_point(&self) -> Option<(char, usize)> {
        let unit = |at: usize| {
            let digits = self.text.get(at..at + 6).filter(|text| text.starts_with(b"\\u"))?;
            let digits = std::str::from_utf8(&digits[2..]).ok().filter(|text| !text.starts_with('+'))?;
            u32::from_str_radix(digits, 16).ok()
        };
        let first = unit(self.at)?;
        if first & 0xF800 != 0xD800 {
            return Some((char::from_u32(first)?, 6));
        }
        let second = unit(self.at + 6).filter(|second| first < 0xDC00 && second & 0xFC00 == 0xDC00)?;
        let code = 0x10000 + ((first & 0x3FF) << 10 | (second & 0x3FF));
        Some((char::from_u32(code)?, 12))
    }

    fn value(&mut self, (token, start): (Token, usize)) -> mlua::Result<Value> {
        Ok(match token {
            Token::Text(text) => Value::String(self.lua.create_string(text)?),
            Token::Number(number) => Value::Number(number),
            Token::True => Value::Boolean(true),
            Token::False => Value::Boolean(false),
            Token::Null => Value::NULL,
            Token::ObjectBegin => return self.object(),
            Token::ArrayBegin => return self.array(),
            token => return self.wrong("value", &token, start),
        })
    }

    fn descend(&mut self) -> mlua::Result<()> {
        self.depth += 1;
        if self.depth > self.depth_limit {
            let text = format!("Found too many nested data structures ({}) at character {}", self.depth, self.at);
            return complain(self.lua, text);
        }
        Ok(())
    }

    fn object(&mut self) -> mlua::Result<Value> {
        self.descend()?;
        let table = self.lua.create_table()?;
        let mut next = self.token();
        if !matches!(next.0, Token::ObjectEnd) {
            loop {
                let (token, start) = next;
                let Token::Text(key) = token else { return self.wrong("object key string", &token, start) };
                let (colon, start) = self.token();
                if !matches!(colon, Token::Colon) {
                    return self.wrong("colon", &colon, start);
                }
                let token = self.token();
                let value = self.value(token)?;
                table.raw_set(self.lua.create_string(key)?, value)?;
                match self.token() {
                    (Token::ObjectEnd, _) => break,
                    (Token::Comma, _) => next = self.token(),
                    (token, start) => return self.wrong("comma or object end", &token, start),
                }
            }
        }
        self.depth -= 1;
        Ok(Value::Table(table))
    }

    fn array(&mut self) -> mlua::Result<Value> {
        self.descend()?;
        let table = self.lua.create_table()?;
        let mut next = self.token();
        if !matches!(next.0, Token::ArrayEnd) {
            for index in 1.. {
                let value = self.value(next)?;
                table.raw_set(index, value)?;
                match self.token() {
                    (Token::ArrayEnd, _) => break,
                    (Token::Comma, _) => next = self.token(),
                    (token, start) => return self.wrong("comma or array end", &token, start),
                }
            }
        }
        self.depth -= 1;
        Ok(Value::Table(table))
    }
}

/// The longest beginning that C's `strtod` reads, and its length.
fn number_prefix(text: &[u8]) -> Option<(f64, usize)> {
    let signed = usize::from(matches!(text.first(), Some(b'+' | b'-')));
    let digits_from = |at: usize| text[at.min(text.len())..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let body = &text[signed..];
    let sign = if text.first() == Some(&b'-') { -1.0 } else { 1.0 };
    for (word, value) in [(&b"infinity"[..], f64::INFINITY), (b"inf", f64::INFINITY), (b"nan", f64::NAN)] {
        if body.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word)) {
            return Some((sign * value, signed + word.len()));
        }
    }
    if let [b'0', b'x' | b'X', rest @ ..] = body {
        let digits = rest.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        if digits > 0 {
            let value = rest[..digits]
                .iter()
                .fold(0.0, |value, &digit| value * 16.0 + f64::from(char::from(digit).to_digit(16).unwrap_or(0)));
            return Some((sign * value, signed + 2 + digits));
        }
    }
    let mut end = signed + digits_from(signed);
    let mut digits = end - signed;
    if text.get(end) == Some(&b'.') {
        let decimals = digits_from(end + 1);
        digits += decimals;
        end += 1 + decimals;
    }
    if digits == 0 {
        return None;
    }
    if matches!(text.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(text.get(end + 1), Some(b'+' | b'-')));
        let exponent = digits_from(end + 1 + sign);
        if exponent > 0 {
            end += 1 + sign + exponent;
        }
    }
    let number = std::str::from_utf8(&text[..end]).ok()?;
    let value = number.trim_end_matches('.').parse().ok().or_else(|| number::parse_f64(number.as_bytes()))?;
    Some((value, end))
}
