//! The memory part: resident bytes per key above those of key and value.

use std::thread::sleep;
use std::time::Duration;

use crate::Outcome;
use crate::loader;
use crate::machine;
use crate::options::Options;
use crate::process::Running;
use crate::servers::Server;

/// Bytes of every key: `key:` and twelve digits.
const KEY: u64 = 16;

/// Keys that are set and deleted before the empty server is weighed, so that code and buffers which the first command
/// brings into memory count as the server's, not as the keys'.
const WARM_UP: u64 = 128;

/// One measurement. All figures are bytes.
#[derive(Clone, Debug)]
pub(crate) struct Weight {
    pub(crate) server: String,
    pub(crate) keys: u64,
    pub(crate) size: usize,
    /// Resident memory of the empty server.
    pub(crate) empty: u64,
    /// Resident memory with all keys.
    pub(crate) full: u64,
}

impl Weight {
    /// Bytes per key that are neither key nor value.
    pub(crate) fn overhead(&self) -> f64 {
        (self.full as f64 - self.empty as f64) / self.keys as f64 - KEY as f64 - self.size as f64
    }
}

/// Weighs every server at every number of keys and every value size.
pub(crate) fn measure(servers: &[Server], options: &Options) -> Outcome<Vec<Weight>> {
    let mut weights = Vec::new();
    for &keys in &options.keys {
        for &size in &options.memory_sizes {
            eprintln!("memory: {keys} keys with values of {size} B");
            for server in servers {
                let weight = weigh(server, keys, size, options);
                weights.push(weight.map_err(|error| format!("{}, {keys} keys of {size} B: {error}", server.name))?);
            }
        }
    }
    Ok(weights)
}

fn weigh(server: &Server, keys: u64, size: usize, options: &Options) -> Outcome<Weight> {
    let running = Running::start(server, &[options.server_core], 1)?;
    let load = |text: &str, count| {
        let words: Vec<String> = text.split(' ').map(str::to_owned).collect();
        machine::on_cores(&[options.generator_core], || loader::load(running.address(), &words, count, size))
    };
    load("SET key:__key__ __data__", WARM_UP)?;
    load("DEL key:__key__", WARM_UP)?;
    let empty = settled(&running)?;
    load("SET key:__key__ __data__", keys)?;
    let full = settled(&running)?;
    let found = loader::integer(running.address(), "DBSIZE")?;
    if found != keys {
        return Err(format!("the server has {found} keys after {keys} were set"));
    }
    Ok(Weight { server: server.name.clone(), keys, size, empty, full })
}

/// Resident memory once it changes no more: servers go on moving entries into a grown table and giving pages back for
/// a while. Whatever still moves after five seconds is taken as it is.
fn settled(running: &Running) -> Outcome<u64> {
    let mut last = running.resident()?;
    let mut quiet = 0;
    for _ in 0..20 {
        sleep(Duration::from_millis(250));
        let now = running.resident()?;
        quiet = if now.abs_diff(last) <= last / 1000 { quiet + 1 } else { 0 };
        last = now;
        if quiet == 3 {
            break;
        }
    }
    Ok(last)
}
