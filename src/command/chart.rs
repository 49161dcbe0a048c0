//! A chart of letters: the samples of an event, one column each.

use std::fmt::Write as _;

use crate::telemetry::latency::Spikes;

/// Columns at most: the newest samples.
const COLUMNS: usize = 80;
/// Rows of bars.
const ROWS: u64 = 4;

/// The samples of an event with their ages, as seen at `now` in seconds of Unix time.
pub(super) fn draw(kind: &str, spikes: &Spikes, now: u64) -> String {
    let (low, high) = spikes.range();
    let worst = spikes.worst;
    let mut text = format!("{kind} - high {high} ms, low {low} ms (all time high {worst} ms)\n");
    text.push_str(&"-".repeat(COLUMNS));
    text.push('\n');
    let from = spikes.samples.len().saturating_sub(COLUMNS);
    let samples: Vec<_> = spikes.samples.iter().skip(from).collect();
    // Three letters for each row: a full block, half of one, and the foot of one.
    let steps = ROWS * 3;
    let height = |ms: u64| if high == low { 1 } else { 1 + (ms - low) * (steps - 1) / (high - low) };
    for row in (0..ROWS).rev() {
        let letter = |ms: u64| match height(ms).saturating_sub(row * 3) {
            0 => ' ',
            1 => '_',
            2 => 'o',
            _ => '#',
        };
        text.extend(samples.iter().map(|sample| letter(sample.ms)));
        text.push('\n');
    }
    text.push('\n');
    // The ages stand below their columns, from top to bottom.
    let ages: Vec<Vec<char>> =
        samples.iter().map(|sample| age(now.saturating_sub(sample.at)).chars().collect()).collect();
    for line in 0..ages.iter().map(Vec::len).max().unwrap_or_default() {
        text.extend(ages.iter().map(|age| age.get(line).copied().unwrap_or(' ')));
        text.push('\n');
    }
    text
}

/// An age in its largest unit: `12s`, `5m`, `3h`, `2d`.
fn age(seconds: u64) -> String {
    let (unit, length) = match seconds {
        0..60 => ('s', 1),
        60..3600 => ('m', 60),
        3600..86_400 => ('h', 3600),
        _ => ('d', 86_400),
    };
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = write!(text, "{}{unit}", seconds / length);
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::latency::Latencies;

    #[test]
    fn bars_grow_with_the_samples() {
        let latencies = Latencies::default();
        for (at, ms) in [(10, 50), (100, 5), (7200, 27)] {
            latencies.note("command", at, ms);
        }
        let (kind, spikes) = latencies.of(b"command").expect("noted");
        let text = draw(kind, &spikes, 7205);
        let rule = "-".repeat(COLUMNS);
        let expected =
            format!("command - high 50 ms, low 5 ms (all time high 50 ms)\n{rule}\n#  \n#  \n# #\n#_#\n\n115\nhhs\n");
        assert_eq!(text.replace(" \n", "\n"), expected.replace(" \n", "\n"), "{text}");
        (0..200).for_each(|at| latencies.note("same", at, 3));
        let (kind, spikes) = latencies.of(b"same").expect("noted");
        assert!(draw(kind, &spikes, 200).contains(&format!("\n{}\n", "_".repeat(COLUMNS))));
        assert_eq!([age(59), age(3599), age(86_399), age(200_000)], ["59s", "59m", "23h", "2d"]);
    }
}
