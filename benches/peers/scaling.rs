//! The scaling part: what a second worker costs.
//!
//! On two cores the generator and two workers cannot have a core each, so throughput says little. What can be compared
//! is CPU per operation: a server that scales spends the same on an operation with two workers as with one, and
//! whatever it spends more goes into locks, wake-ups and cache lines that move between cores. The generator runs on
//! both cores with one and with two workers, so that those two points differ in nothing but the workers; the point
//! with the generator apart ties them to the speed part.

use crate::Outcome;
use crate::cases;
use crate::options::Options;
use crate::servers::{Kind, Server};
use crate::speed::{self, Placement, Point};

/// A placement by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    /// One worker on its core, the generator on the other.
    Apart,
    /// One worker on its core, the generator on both.
    One,
    /// Two workers and the generator on both cores.
    Two,
}

/// All layouts, in the order in which they are measured and shown.
pub(crate) const LAYOUTS: [Layout; 3] = [Layout::Apart, Layout::One, Layout::Two];

impl Layout {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Apart => "1 worker, generator apart",
            Self::One => "1 worker, generator on both",
            Self::Two => "2 workers, generator on both",
        }
    }
}

/// Whether the server has something to show here: Roster's workers, or the I/O threads of the newest Valkey, which are
/// how it uses a second core.
pub(crate) fn scales(server: &Server) -> bool {
    server.kind == Kind::Roster || server.name == "valkey-9"
}

/// Measures the three layouts of every server that scales.
pub(crate) fn measure(servers: &[Server], options: &Options) -> Outcome<Vec<(Layout, Point)>> {
    let [one, other] = [options.server_core, options.generator_core];
    let both = [one, other];
    let mut points = Vec::new();
    for round in 0..options.rounds {
        for case in &cases::scaling(options) {
            eprintln!("scaling: round {} of {}, {}", round + 1, options.rounds, case.name);
            for server in servers.iter().filter(|server| scales(server)) {
                for layout in LAYOUTS {
                    let placement = match layout {
                        Layout::Apart => Placement { server: &[one], workers: 1, generator: &[other] },
                        Layout::One => Placement { server: &[one], workers: 1, generator: &both },
                        Layout::Two => Placement { server: &both, workers: 2, generator: &both },
                    };
                    points.push((layout, speed::point(server, case, round, placement, options)?));
                }
            }
        }
    }
    Ok(points)
}
