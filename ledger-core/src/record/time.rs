//! Times and durations as records write them: RFC 3339 in UTC to the second, and whole units.
//!
//! One instant has one spelling: capital `T` and `Z`, no fraction, no offset, no leap second.

use crate::index::parse_decimal;

/// The last second that a record can write: 9999-12-31T23:59:59Z.
pub const MAX_TIME: u64 = 253_402_300_799;

/// The longest duration: 36,500 days, about a century.
pub const MAX_DURATION: u64 = 36_500 * DAY;

pub(crate) const DAY: u64 = 86_400;

/// Reads `YYYY-MM-DDTHH:MM:SSZ`, years 1970 to 9999, as POSIX seconds.
///
/// Fractions, offsets and second 60 are refused.
// SPEC rfc3339/5.6, narrowed: full-date "T" time-hour ":" time-minute ":" time-second "Z"
pub fn parse_time(text: &str) -> Option<u64> {
    let text = text.as_bytes();
    let (date, time) = text.split_first_chunk::<10>()?;
    let [b'T', h1, h2, b':', m1, m2, b':', s1, s2, b'Z'] = *time else { return None };
    let (hour, minute, second) = (number(&[h1, h2])?, number(&[m1, m2])?, number(&[s1, s2])?);
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    Some(days(date)? * DAY + hour * 3600 + minute * 60 + second)
}

/// Reads `YYYY-MM-DD`, years 1970 to 9999, as the POSIX second in which the day begins.
pub fn parse_date(text: &str) -> Option<u64> {
    Some(days(text.as_bytes().try_into().ok()?)? * DAY)
}

/// Writes POSIX seconds as [`parse_time`] reads them. Later than [`MAX_TIME`] is written as it.
pub fn format_time(seconds: u64) -> String {
    let seconds = seconds.min(MAX_TIME);
    let (days, rest) = (seconds / DAY, seconds % DAY);
    // civil date from days, with years that begin in March so that leap days come last
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Reads `P<n>D`, `PT<n>H`, `PT<n>M` or `PT<n>S` as seconds, at most [`MAX_DURATION`].
pub fn parse_duration(text: &str) -> Option<u64> {
    let rest = text.strip_prefix('P')?;
    let (number, unit) = if let Some(days) = rest.strip_suffix('D') {
        (days, DAY)
    } else {
        let rest = rest.strip_prefix('T')?;
        let unit = match rest.as_bytes().last()? {
            b'H' => 3600,
            b'M' => 60,
            b'S' => 1,
            _ => return None,
        };
        (&rest[..rest.len() - 1], unit)
    };
    let seconds = parse_decimal(number).ok()?.checked_mul(unit)?;
    (seconds <= MAX_DURATION).then_some(seconds)
}

fn number(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0, |sum, digit| {
        digit.is_ascii_digit().then(|| sum * 10 + u64::from(digit - b'0'))
    })
}

/// Days from 1970-01-01 to the date, which must exist.
fn days(date: &[u8; 10]) -> Option<u64> {
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = *date else { return None };
    let (year, month, day) = (number(&[y1, y2, y3, y4])?, number(&[m1, m2])?, number(&[d1, d2])?);
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 => 28 + u64::from(leap),
        _ => return None,
    };
    if year < 1970 || day == 0 || day > length {
        return None;
    }
    let years = if month <= 2 { year - 1 } else { year };
    let from_march = (month + 9) % 12;
    let day_of_year = (153 * from_march + 2) / 5 + day - 1;
    Some(years * 365 + years / 4 - years / 100 + years / 400 + day_of_year - 719_468)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_round_trip_over_leap_days_and_centuries() {
        let known = [
            ("1970-01-01T00:00:00Z", 0),
            ("2000-02-29T12:00:00Z", 951_825_600),
            ("2026-11-23T11:23:20Z", 1_795_433_000),
            ("2100-03-01T00:00:00Z", 4_107_542_400),
            ("9999-12-31T23:59:59Z", MAX_TIME),
        ];
        for (text, seconds) in known {
            assert_eq!(parse_time(text), Some(seconds), "{text}");
            assert_eq!(format_time(seconds), text);
        }
        for day in (0..MAX_TIME / DAY).step_by(17) {
            let text = format_time(day * DAY + 86_399);
            assert_eq!(parse_time(&text), Some(day * DAY + 86_399), "{text}");
            assert_eq!(parse_date(&text[..10]), Some(day * DAY));
        }
        assert_eq!(format_time(u64::MAX), "9999-12-31T23:59:59Z");
    }

    #[test]
    fn other_spellings_of_times_are_refused() {
        for bad in [
            "",
            "2026-01-31",
            "2026-01-31T09:30:00",
            "2026-01-31T09:30:00z",
            "2026-01-31t09:30:00Z",
            "2026-01-31 09:30:00Z",
            "2026-01-31T09:30:00.0Z",
            "2026-01-31T09:30:00+00:00",
            "2026-01-31T24:00:00Z",
            "2026-01-31T09:60:00Z",
            "2016-12-31T23:59:60Z",
            "2026-02-29T00:00:00Z",
            "2100-02-29T00:00:00Z",
            "2026-04-31T00:00:00Z",
            "2026-00-10T00:00:00Z",
            "2026-13-10T00:00:00Z",
            "2026-01-00T00:00:00Z",
            "1969-12-31T23:59:59Z",
            "+2026-1-31T09:30:00Z",
            "2026-01-31T09:30:0\u{660}Z",
        ] {
            assert_eq!(parse_time(bad), None, "{bad}");
        }
    }

    #[test]
    fn durations_are_one_whole_unit() {
        for (text, seconds) in
            [("P0D", 0), ("P30D", 30 * DAY), ("PT1H", 3600), ("PT90M", 5400), ("PT5S", 5)]
        {
            assert_eq!(parse_duration(text), Some(seconds), "{text}");
        }
        for bad in [
            "",
            "P",
            "P1",
            "PD",
            "PT",
            "PTH",
            "P1H",
            "PT1D",
            "P01D",
            "P-1D",
            "P1.5D",
            "P1Y",
            "P1DT1H",
            "p1D",
            "P36501D",
            "P99999999999999999999D",
            "PT\u{661}H",
            "PT1\u{e9}",
        ] {
            assert_eq!(parse_duration(bad), None, "{bad}");
        }
    }
}
