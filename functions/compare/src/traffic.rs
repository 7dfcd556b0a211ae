//! The champion's traffic before the canary, from which its plan is made. It is frozen with the other inputs of the report.

use jiff::{SignedDuration, Timestamp};
use seatrial_domain::promotion::PromotionRecord;
use seatrial_evidence::observation::Tally;
use seatrial_evidence::plan::Traffic;
use seatrial_evidence::shadow_tally::SHADOW_ARM;
use seatrial_runtime::Failure;
use seatrial_stats::Merge;

use crate::Ports;

/// The most seconds that are read whole. Of a longer time so many windows are read, evenly spread, so that a shadow of days is
/// read as fast as one of an hour and tells of day and night.
const WHOLE_SECONDS: i64 = 3_600;
const WINDOWS: i64 = 60;

/// The traffic of the shadow's time, or of the promotion's until now where there was no shadow; none without a champion.
pub(crate) async fn traffic(
    ports: &Ports<'_>,
    record: &PromotionRecord,
    now: Timestamp,
) -> Result<Option<Traffic>, Failure> {
    if record.champion.is_none() {
        return Ok(None);
    }
    let (from, to, epoch) = match &record.shadow {
        Some(shadow) => (shadow.opened_at, shadow.closed_at.unwrap_or(now), record.epoch),
        // Without a shadow servers still report under the epoch of the route that the champion got.
        None => {
            let head = ports.registry.head(&record.model).await?;
            (record.started_at, now, head.map_or(record.epoch, |head| head.route.epoch))
        }
    };
    let mut all = Traffic::default();
    for (from, to) in windows(from.as_second(), to.as_second()) {
        let items = ports.tallies.tallies(&record.model, epoch, from.max(0)..to.max(0)).await?;
        let served = items.iter().filter(|item| item.arm != SHADOW_ARM);
        let tallies = served
            .map(|item| serde_json::from_str::<Tally>(&item.body))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|e| Failure::internal("reading a tally", e))?;
        all.merge(&Traffic::of(tallies, second(from), second(to)));
    }
    Ok(Some(all))
}

fn windows(from: i64, to: i64) -> Vec<(i64, i64)> {
    if to - from <= WHOLE_SECONDS {
        return vec![(from, to)];
    }
    let each = WHOLE_SECONDS / WINDOWS;
    let begins = |n: i64| from + (to - from - each) * n / (WINDOWS - 1);
    (0..WINDOWS).map(|n| (begins(n), begins(n) + each)).collect()
}

fn second(at: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH.saturating_add(SignedDuration::from_secs(at)).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_time_is_sampled_evenly_and_a_short_one_read_whole() {
        assert_eq!(windows(1_000, 2_000), [(1_000, 2_000)]);
        let day = windows(1_000, 87_400);
        assert_eq!((day.len(), day[0], day[59]), (60, (1_000, 1_060), (87_340, 87_400)));
        assert!(day.windows(2).all(|w| w[0].1 < w[1].0));
    }
}
