//! The random numbers of scripts: the generator of `drand48`, begun at the same place in each virtual machine.

use std::cell::Cell;

use mlua::{Lua, Value};

use super::failure::bad_argument;

const MULTIPLIER: u64 = 0x5_DEEC_E66D;
const INCREMENT: u64 = 0xB;
const MASK: u64 = (1 << 48) - 1;
/// Where every machine begins.
const FIRST: u64 = 0x1234_ABCD_330E;
/// The greatest number that is drawn.
const MOST: u64 = i32::MAX as u64;

/// A generator.
#[derive(Debug)]
pub(super) struct Random(Cell<u64>);

impl Random {
    pub(super) fn new() -> Self {
        Random(Cell::new(FIRST))
    }

    pub(super) fn seed(&self, seed: i32) {
        self.0.set((u64::from(seed as u32) << 16) + 0x330E);
    }

    fn draw(&self) -> u64 {
        let next = self.0.get().wrapping_mul(MULTIPLIER).wrapping_add(INCREMENT) & MASK;
        self.0.set(next);
        next >> 17
    }

    /// `math.random([m [, n]])`.
    pub(super) fn random(&self, lua: &Lua, args: &[Value]) -> mlua::Result<f64> {
        let share = (self.draw() % MOST) as f64 / MOST as f64;
        let integer = |index: usize| match lua.coerce_number(args[index].clone())? {
            Some(number) => Ok(super::number::cast(number)),
            None => bad_argument(lua, index + 1, format!("number expected, got {}", args[index].type_name())),
        };
        let (low, high) = match args.len() {
            0 => return Ok(share),
            1 => (1, integer(0)?),
            2 => (integer(0)?, integer(1)?),
            _ => return super::failure::complain(lua, "wrong number of arguments"),
        };
        if low > high {
            return bad_argument(lua, args.len(), "interval is empty");
        }
        Ok((share * (high as f64 - low as f64 + 1.0)).floor() + low as f64)
    }
}
