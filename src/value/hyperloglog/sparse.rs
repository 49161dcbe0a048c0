//! Sparse registers: runs of zeros (`00` and 6 bits, or `01` and 14 bits, of the length less one) and runs of one to
//! four equal values from 1 to 32 (`1`, 5 bits of the value less one, 2 bits of the length less one).

use super::registers::{self, VALUES};
use super::{Error, HEADER, REGISTERS, invalidate, make_dense};

/// What a run can hold at most.
const LARGEST: u8 = 32;
const LONGEST_VALUE: usize = 4;
const LONGEST_SHORT_ZEROS: usize = 64;

/// Equal registers side by side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub value: u8,
    pub len: usize,
    /// Bytes that encode it: 1 or 2.
    pub bytes: usize,
}

impl Run {
    /// The run that `bytes` begin with.
    fn decode(bytes: &[u8]) -> Option<Self> {
        let first = *bytes.first()?;
        let low = usize::from(first & 0x3f);
        Some(match first >> 6 {
            0 => Run { value: 0, len: low + 1, bytes: 1 },
            1 => Run { value: 0, len: (low << 8 | usize::from(*bytes.get(1)?)) + 1, bytes: 2 },
            _ => Run { value: (first >> 2 & 0x1f) + 1, len: usize::from(first & 3) + 1, bytes: 1 },
        })
    }
}

/// The runs of a value, each within the registers. Ends with an error where one is cut off or reaches too far; whether
/// they cover all registers is for the caller to see.
pub(super) struct Runs<'a> {
    rest: &'a [u8],
    index: usize,
}

impl<'a> Runs<'a> {
    pub(super) fn of(bytes: &'a [u8]) -> Self {
        Runs { rest: bytes, index: 0 }
    }
}

impl Iterator for Runs<'_> {
    type Item = Result<Run, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let run = Run::decode(self.rest).filter(|run| self.index + run.len <= REGISTERS);
        let Some(run) = run else {
            self.rest = &[];
            return Some(Err(Error::Corrupted));
        };
        self.rest = &self.rest[run.bytes..];
        self.index += run.len;
        Some(Ok(run))
    }
}

/// Counts how many registers hold each value. O(length).
pub(super) fn count(bytes: &[u8], histogram: &mut [u32; VALUES]) -> Result<(), Error> {
    let mut index = 0;
    for run in Runs::of(bytes) {
        let run = run?;
        histogram[usize::from(run.value)] += run.len as u32;
        index += run.len;
    }
    if index == REGISTERS { Ok(()) } else { Err(Error::Corrupted) }
}

/// Appends a run of zeros.
pub(super) fn put_zeros(bytes: &mut Vec<u8>, len: usize) {
    let Some(less) = len.checked_sub(1) else { return };
    if len <= LONGEST_SHORT_ZEROS {
        bytes.push(less as u8);
    } else {
        bytes.extend([0x40 | (less >> 8) as u8, less as u8]);
    }
}

fn value_byte(value: u8, len: usize) -> u8 {
    0x80 | (value.saturating_sub(1) & 0x1f) << 2 | (len.saturating_sub(1) & 3) as u8
}

/// A place in a sparse value. Registers are raised in ascending order, so that a merge does not begin at the start for
/// each of them; one `raise` may follow a fresh [`Cursor::start`] at any index.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor {
    /// The run that the next search begins with.
    here: Place,
    /// The run before it, if there is one.
    before: Option<Place>,
}

/// Where a run begins, and its first register.
#[derive(Clone, Copy, Debug)]
struct Place {
    at: usize,
    index: usize,
}

impl Cursor {
    pub(super) fn start() -> Self {
        Cursor { here: Place { at: HEADER, index: 0 }, before: None }
    }

    /// Raises a register to `count`; tells whether it was lower. Makes the value dense where Redis does.
    /// O(length from the cursor on).
    pub(super) fn raise(&mut self, value: &mut Vec<u8>, index: usize, count: u8, max: usize) -> Result<bool, Error> {
        if count > LARGEST {
            return promote(value, index, count);
        }
        let Cursor { mut here, mut before } = *self;
        let run = loop {
            let run = value.get(here.at..).and_then(Run::decode).ok_or(Error::Corrupted)?;
            if index < here.index + run.len {
                break run;
            }
            // The cursor stays one run behind, because a change may join its run with the one before it.
            *self = Cursor { here, before };
            before = Some(here);
            here = Place { at: here.at + run.bytes, index: here.index + run.len };
        };
        if run.value >= count {
            return Ok(false);
        }
        let (parts, len) = split(run, index - here.index, count);
        if len > run.bytes && value.len() + len - run.bytes > max {
            return promote(value, index, count);
        }
        value.splice(here.at..here.at + run.bytes, parts.into_iter().take(len));
        join(value, before.map_or(HEADER, |before| before.at));
        invalidate(value);
        Ok(true)
    }
}

/// Joins neighbouring runs of the same value, from the run at `at` on, over at most five runs: what a change can have
/// brought together.
fn join(value: &mut Vec<u8>, mut at: usize) {
    for _ in 0..5 {
        let Some(run) = value.get(at..).and_then(Run::decode) else { break };
        let next = value.get(at + run.bytes..).and_then(Run::decode);
        match next.filter(|next| run.value > 0 && next.value == run.value && run.len + next.len <= LONGEST_VALUE) {
            Some(next) => {
                value.remove(at);
                value[at] = value_byte(run.value, run.len + next.len);
            }
            None => at += run.bytes,
        }
    }
}

/// The bytes that replace a run when the register at `offset` inside it is raised to `count`.
fn split(run: Run, offset: usize, count: u8) -> ([u8; 5], usize) {
    let (mut parts, mut len) = ([0; 5], 0);
    let mut put = |value: u8, run: usize| {
        match (value, run) {
            (_, 0) => return,
            (0, ..=LONGEST_SHORT_ZEROS) => parts[len] = (run - 1) as u8,
            (0, _) => {
                parts[len] = 0x40 | ((run - 1) >> 8) as u8;
                len += 1;
                parts[len] = (run - 1) as u8;
            }
            _ => parts[len] = value_byte(value, run),
        }
        len += 1;
    };
    put(run.value, offset);
    put(count, 1);
    put(run.value, run.len - offset - 1);
    (parts, len)
}

fn promote(value: &mut Vec<u8>, index: usize, count: u8) -> Result<bool, Error> {
    make_dense(value)?;
    let raised = registers::raise(&mut value[HEADER..], index, count);
    invalidate(value);
    Ok(raised)
}
