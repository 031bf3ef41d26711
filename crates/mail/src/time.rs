//! Wall-clock time as a plain number.

use std::time::Duration;

/// A point of wall-clock time: microseconds since 1970-01-01T00:00:00Z.
///
/// Due times in the spool are of this kind, since they must mean the same after a restart. Timers
/// are not: they run on the reactor's monotonic clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixTime(pub u64);

impl UnixTime {
    /// The time `since_epoch` after 1970; saturates in the year 586,524.
    pub fn from_epoch(since_epoch: Duration) -> Self {
        Self(u64::try_from(since_epoch.as_micros()).unwrap_or(u64::MAX))
    }

    /// Whole seconds since 1970.
    pub fn seconds(self) -> u64 {
        self.0 / 1_000_000
    }

    /// This time plus `delay`, saturating.
    #[must_use]
    pub fn plus(self, delay: Duration) -> Self {
        Self(self.0.saturating_add(Self::from_epoch(delay).0))
    }

    /// How long after `earlier` this is; zero when it is not after it.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }

    /// RFC 3339 in UTC with microseconds, as the log writes it.
    pub fn rfc3339(self) -> String {
        let c = civil(self.seconds());
        format!(
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}Z",
            c.year,
            c.month,
            c.day,
            c.hour,
            c.minute,
            c.second,
            self.0 % 1_000_000
        )
    }

    /// RFC 5322 §3.3 date-time in UTC, as trace headers and DSNs write it.
    pub fn rfc5322(self) -> String {
        const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
        const MONTHS: [&str; 12] =
            ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
        let c = civil(self.seconds());
        format!(
            "{}, {} {} {:04} {:02}:{:02}:{:02} +0000",
            DAYS[(self.seconds() / 86_400 % 7) as usize],
            c.day,
            MONTHS[c.month as usize - 1],
            c.year,
            c.hour,
            c.minute,
            c.second
        )
    }
}

struct Civil {
    year: u64,
    month: u64,
    day: u64,
    hour: u64,
    minute: u64,
    second: u64,
}

/// Days to a Gregorian date: years are counted from March, so that the leap day comes last.
fn civil(seconds: u64) -> Civil {
    let days = seconds / 86_400 + 719_468;
    let era = days / 146_097;
    let day_of_era = days % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    Civil {
        year: year_of_era + era * 400 + u64::from(month <= 2),
        month,
        day: day_of_year - (153 * march_month + 2) / 5 + 1,
        hour: seconds / 3_600 % 24,
        minute: seconds / 60 % 60,
        second: seconds % 60,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_dates_are_written_as_the_standards_say() {
        let cases = [
            (0, "1970-01-01T00:00:00.000000Z", "Thu, 1 Jan 1970 00:00:00 +0000"),
            (951_782_400, "2000-02-29T00:00:00.000000Z", "Tue, 29 Feb 2000 00:00:00 +0000"),
            (1_795_564_799, "2026-11-24T23:59:59.000000Z", "Tue, 24 Nov 2026 23:59:59 +0000"),
        ];
        for (seconds, rfc3339, rfc5322) in cases {
            let time = UnixTime(seconds * 1_000_000);
            assert_eq!(time.rfc3339(), rfc3339);
            assert_eq!(time.rfc5322(), rfc5322);
        }
    }
}
