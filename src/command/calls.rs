//! The sections of `INFO` about what commands cost.

use super::sections::Page;
use super::survey::Survey;
use super::{Error, every};

/// `cmdstat_get`: calls and times of each command that was called.
pub(super) fn commands(cx: &Survey<'_>, page: &mut Page) -> Result<(), Error> {
    for handle in every() {
        let totals = cx.node.stats.calls_of(handle.index());
        if totals.calls + totals.rejected == 0 {
            continue;
        }
        let micros = totals.nanos / 1000;
        // The mean is of nanoseconds, because most commands take less than a microsecond.
        let mean = totals.nanos as f64 / 1000.0 / totals.calls.max(1) as f64;
        let (calls, rejected, failed) = (totals.calls, totals.rejected, totals.failed);
        page.put(
            &format!("cmdstat_{}", handle.full_name()),
            format_args!(
                "calls={calls},usec={micros},usec_per_call={mean:.2},rejected_calls={rejected},failed_calls={failed}"
            ),
        );
    }
    Ok(())
}

/// `latency_percentiles_usec_get`: the percentiles of `latency-tracking-info-percentiles`.
pub(super) fn latencies(cx: &Survey<'_>, page: &mut Page) -> Result<(), Error> {
    if !cx.settings().latency_tracking {
        return Ok(());
    }
    for handle in every() {
        let durations = cx.node.stats.durations_of(handle.index());
        if durations.total == 0 {
            continue;
        }
        let shown = cx.settings().latency_tracking_info_percentiles.0.iter().map(|&percentile| {
            let micros = durations.percentile(percentile) as f64 / 1000.0;
            format!("p{percentile}={micros:.3}")
        });
        let shown = shown.collect::<Vec<_>>().join(",");
        page.put(&format!("latency_percentiles_usec_{}", handle.full_name()), shown);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::command::testing::Rig;

    #[test]
    fn commands_that_were_called_have_a_line() {
        let mut rig = Rig::new();
        for request in ["GET k", "GET k", "CLIENT ID", "LPUSH", "SET k v", "INCR k"] {
            rig.run(request);
        }
        let reply = rig.run("INFO commandstats");
        let field = |command: &str, name: &str| {
            let line = reply.split('|').find_map(|line| line.strip_prefix(&format!("cmdstat_{command}:")));
            let value = line.and_then(|line| line.split(',').find_map(|field| field.strip_prefix(&format!("{name}="))));
            value.and_then(|value| value.parse::<f64>().ok()).unwrap_or_else(|| panic!("{command} {name}: {reply}"))
        };
        assert_eq!((field("get", "calls"), field("lpush", "calls"), field("lpush", "rejected_calls")), (2.0, 0.0, 1.0));
        assert_eq!((field("incr", "failed_calls"), field("set", "failed_calls")), (1.0, 0.0));
        assert!(field("get", "usec_per_call") >= 0.0 && !reply.contains("cmdstat_del"));
        let set = [&b"CONFIG"[..], b"SET", b"latency-tracking-info-percentiles", b"50 99.5"];
        assert_eq!(rig.args(&set), "+OK");
        rig.worker.refresh();
        let reply = rig.run("INFO latencystats");
        let line = reply.split('|').find(|line| line.starts_with("latency_percentiles_usec_get:p50=")).expect(&reply);
        assert!(line.contains(",p99.5=") && !line.contains(",p99.9="), "{line}");
        assert_eq!(rig.run("CONFIG RESETSTAT"), "+OK");
        assert!(!rig.run("INFO commandstats").contains("cmdstat_get"));
    }
}
