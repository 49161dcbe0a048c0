//! The formats of the library `struct`.

use mlua::Lua;

use super::failure::{bad_argument, complain};

/// The longest integer.
const INTEGER_MAX: usize = 32;
/// The alignment of `!` alone.
const ALIGN: usize = 8;

/// One option of a format, with its size in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Item {
    pub option: u8,
    pub size: usize,
    /// Bytes to skip before it.
    pub padding: usize,
}

/// Reads a format.
pub(super) struct Format<'a> {
    lua: &'a Lua,
    text: &'a [u8],
    align: usize,
    pub big_endian: bool,
}

impl<'a> Format<'a> {
    /// A format in native order, without alignment.
    pub(super) fn new(lua: &'a Lua, text: &'a [u8]) -> Self {
        // The text is that of C: it ends at its first NUL.
        let end = text.iter().position(|&byte| byte == 0).unwrap_or(text.len());
        Format { lua, text: &text[..end], align: 1, big_endian: false }
    }

    /// The next option that stands for data, `at` bytes after the start.
    pub(super) fn next(&mut self, at: usize) -> mlua::Result<Option<Item>> {
        while let Some((&option, rest)) = self.text.split_first() {
            self.text = rest;
            let size = match option {
                b'b' | b'B' | b'x' => 1,
                b'h' | b'H' => 2,
                b'l' | b'L' | b'T' | b'd' => 8,
                b'f' => 4,
                b's' => 0,
                b'c' => self.number(1)?,
                b'i' | b'I' => self.integer_size()?,
                b' ' => continue,
                b'>' | b'<' => {
                    self.big_endian = option == b'>';
                    continue;
                }
                b'!' => {
                    let align = self.number(ALIGN)?;
                    if !align.is_power_of_two() {
                        return complain(self.lua, format!("alignment {align} is not a power of 2"));
                    }
                    self.align = align;
                    continue;
                }
                other => {
                    return bad_argument(self.lua, 1, [b"invalid format option '", &[other][..], b"'"].concat());
                }
            };
            let unit = if option == b'c' { 0 } else { size.min(self.align) };
            // An integer of three bytes, say, is aligned by the bits of its size, as in C.
            let padding = if unit == 0 { 0 } else { unit.wrapping_sub(at & (unit - 1)) & (unit - 1) };
            return Ok(Some(Item { option, size, padding }));
        }
        Ok(None)
    }

    fn integer_size(&mut self) -> mlua::Result<usize> {
        let size = self.number(4)?;
        if size > INTEGER_MAX {
            let text = format!("integral size {size} is larger than limit of {INTEGER_MAX}");
            return complain(self.lua, text);
        }
        Ok(size)
    }

    fn number(&mut self, default: usize) -> mlua::Result<usize> {
        let digits = self.text.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if digits == 0 {
            return Ok(default);
        }
        let (number, rest) = self.text.split_at(digits);
        self.text = rest;
        match std::str::from_utf8(number).ok().and_then(|number| number.parse::<i32>().ok()) {
            Some(number) => Ok(number as usize),
            None => complain(self.lua, "integral size overflow"),
        }
    }
}
