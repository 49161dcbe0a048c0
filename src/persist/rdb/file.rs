//! The parts of a file, or of the transfer to a replica, one after the other.

use std::fmt;
use std::io::BufRead;

use super::code::part;
use super::{Bounds, Damage, Dialect, Input, REDIS_LATEST, SHARED_LATEST, VALKEY};
use crate::store::Parcel;

/// The first version that ends with a checksum.
const SUMMED: u16 = 5;

/// What a file holds.
#[derive(Debug)]
pub enum Part {
    /// A text with a name: who wrote the file, when, at which offset of the replication.
    Aux {
        /// The name.
        name: Vec<u8>,
        /// The text.
        text: Vec<u8>,
    },
    /// The keys that follow are of this database.
    Database(u64),
    /// How many keys the database has; a hint, which may be wrong.
    Sizes {
        /// Keys.
        keys: u64,
        /// Those that expire.
        volatile: u64,
    },
    /// The source text of a library of functions.
    Function(Vec<u8>),
    /// A key with its value.
    Key(Box<Keyed>),
}

/// A key with its value.
#[derive(Debug)]
pub struct Keyed {
    /// The key.
    pub key: Vec<u8>,
    /// The value, and when it expires.
    pub parcel: Parcel,
    /// Seconds since the last access.
    pub idle: Option<u64>,
    /// The access frequency, as `OBJECT FREQ` tells it.
    pub frequency: Option<u8>,
}

/// What a file begins with.
#[derive(Clone, Copy, Debug)]
pub struct Head {
    /// The version.
    pub version: u16,
    /// Whose types it has.
    pub dialect: Dialect,
}

impl Head {
    /// Bytes of a head.
    pub const LEN: usize = 9;

    /// Reads the head of a file.
    ///
    /// # Errors
    /// [`Damage::Version`] if it is no RDB, or of a version that is not read.
    pub fn read(head: [u8; Head::LEN]) -> Result<Head, Damage> {
        let digits = head.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
        let (magic, number) = head.split_at(head.len() - digits);
        let number = number.iter().fold(0, |number, digit| number * 10 + u32::from(digit - b'0'));
        // Nine digits fit 32 bits.
        let version = u16::try_from(number).unwrap_or(0);
        let dialect = match (magic, version) {
            (b"REDIS", 1..=REDIS_LATEST) => Dialect::Redis,
            (b"VALKEY", SHARED_LATEST..=VALKEY) => Dialect::Valkey,
            _ => return Err(Damage::Version(head.into())),
        };
        Ok(Head { version, dialect })
    }

    /// Whether a checksum ends the file.
    pub fn is_summed(self) -> bool {
        self.version >= SUMMED
    }
}

/// Why a file is not read, and where.
#[derive(Debug)]
pub struct LoadError {
    /// Bytes before the place.
    pub position: u64,
    /// What is wrong there.
    pub damage: Damage,
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at byte {}: {}", self.position, self.damage)
    }
}

impl std::error::Error for LoadError {}

/// Reads a file.
#[derive(Debug)]
pub struct Reader<R> {
    input: Input<R>,
    version: u16,
    ended: bool,
    /// Whether the source has parts only, and ends with one of them.
    is_excerpt: bool,
    /// Keys without elements, which were skipped: Redis once saved some by mistake.
    pub empty_keys: u64,
}

impl<R: BufRead> Reader<R> {
    /// Reads the head of a file.
    ///
    /// # Errors
    /// [`Damage::Version`] if it is no RDB, or of a version that is not read.
    pub fn new(source: R, bounds: Bounds) -> Result<Self, LoadError> {
        let mut reader = Reader {
            input: Input::summing(source, bounds),
            version: 0,
            ended: false,
            is_excerpt: false,
            empty_keys: 0,
        };
        match reader.head() {
            Ok(()) => Ok(reader),
            Err(damage) => Err(reader.fail(damage)),
        }
    }

    /// Reads parts that [`super::extent`] cut out of a file, and nothing behind them.
    pub fn of_parts(source: R, head: Head, bounds: Bounds) -> Self {
        let input = Input::new(source, head.dialect, bounds);
        Reader { input, version: head.version, ended: false, is_excerpt: true, empty_keys: 0 }
    }

    /// The version that the file says.
    pub fn version(&self) -> u16 {
        self.version
    }

    /// Bytes that were read. O(1).
    pub fn position(&self) -> u64 {
        self.input.position()
    }

    /// The next part; `None` at the end, once the checksum is found right. O(bytes of the part).
    ///
    /// # Errors
    /// Where the file is damaged, and how. It cannot be read on.
    pub fn part(&mut self) -> Result<Option<Part>, LoadError> {
        if self.ended {
            return Ok(None);
        }
        self.read().map_err(|damage| self.fail(damage))
    }

    fn fail(&self, damage: Damage) -> LoadError {
        LoadError { position: self.input.position(), damage }
    }

    fn head(&mut self) -> Result<(), Damage> {
        let head = Head::read(self.input.array()?)?;
        (self.version, self.input.dialect) = (head.version, head.dialect);
        Ok(())
    }

    fn read(&mut self) -> Result<Option<Part>, Damage> {
        let (mut expiry, mut idle, mut frequency) = (None, None, None);
        if self.is_excerpt && self.input.is_at_end()? {
            return Ok(None);
        }
        loop {
            let kind = self.input.byte()?;
            match kind {
                part::EXPIRY => {
                    let seconds = i32::from_le_bytes(self.input.array()?);
                    expiry = Some(u64::try_from(seconds).unwrap_or(0) * 1000);
                }
                part::EXPIRY_MS => expiry = Some(self.input.time()?),
                part::IDLE => idle = Some(self.input.length()?),
                part::FREQUENCY => frequency = Some(self.input.byte()?),
                part::DATABASE => return Ok(Some(Part::Database(self.input.length()?))),
                part::SIZES => {
                    let (keys, volatile) = (self.input.length()?, self.input.length()?);
                    return Ok(Some(Part::Sizes { keys, volatile }));
                }
                part::AUX => {
                    let (name, text) = (self.text()?, self.text()?);
                    return Ok(Some(Part::Aux { name, text }));
                }
                part::FUNCTION => return Ok(Some(Part::Function(self.text()?))),
                part::SLOT_INFO => {
                    for _ in 0..3 {
                        self.input.length()?;
                    }
                }
                part::SLOT_IMPORT if self.input.dialect == Dialect::Valkey => self.skip_slot_import()?,
                part::MODULE => self.skip_module()?,
                part::FUNCTION_EARLY => {
                    return Err(Damage::Corrupt("functions in the format of a release candidate of Redis 7.0"));
                }
                part::END => {
                    self.end()?;
                    return Ok(None);
                }
                kind => {
                    let key = self.text()?;
                    let value = match self.input.value(kind) {
                        Ok(value) => value,
                        Err(Damage::Empty) => {
                            self.empty_keys += 1;
                            if self.is_excerpt && self.input.is_at_end()? {
                                return Ok(None);
                            }
                            (expiry, idle, frequency) = (None, None, None);
                            continue;
                        }
                        Err(damage) => return Err(damage),
                    };
                    let parcel = Parcel { value, expiry };
                    return Ok(Some(Part::Key(Box::new(Keyed { key, parcel, idle, frequency }))));
                }
            }
        }
    }

    fn text(&mut self) -> Result<Vec<u8>, Damage> {
        let mut text = Vec::new();
        self.input.string(&mut text)?;
        Ok(text)
    }

    /// Skips the name of an import and the ranges of its slots.
    fn skip_slot_import(&mut self) -> Result<(), Damage> {
        self.text()?;
        for _ in 0..self.input.length()? {
            self.input.length()?;
            self.input.length()?;
        }
        Ok(())
    }

    /// Skips what a module keeps beside its values: the module, when it is to be loaded, and marked pieces.
    fn skip_module(&mut self) -> Result<(), Damage> {
        const BROKEN: Damage = Damage::Corrupt("a module's data of no known form");
        self.input.length()?;
        let (mark, _when) = (self.input.length()?, self.input.length()?);
        // The time is an unsigned number, which is mark 2.
        if mark != 2 {
            return Err(BROKEN);
        }
        loop {
            match self.input.length()? {
                0 => return Ok(()),
                1 | 2 => _ = self.input.length()?,
                3 => _ = self.input.array::<4>()?,
                4 => _ = self.input.array::<8>()?,
                5 => _ = self.text()?,
                _ => return Err(BROKEN),
            }
        }
    }

    fn end(&mut self) -> Result<(), Damage> {
        self.ended = true;
        if self.version < SUMMED {
            return Ok(());
        }
        let sum = self.input.sum()?;
        // 0 is that the writer had none.
        match u64::from_le_bytes(self.input.array()?) {
            written if written == 0 || written == sum => Ok(()),
            _ => Err(Damage::Checksum),
        }
    }
}
