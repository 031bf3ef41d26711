//! The small languages inside strings: durations, sizes, rates.

use std::time::Duration;

/// Whether a text switches something off.
pub(crate) fn is_off(text: &str) -> bool {
    matches!(text, "off" | "0" | "")
}

/// Reads `500ms`, `30s`, `5m`, `4h`, `5d`.
pub fn duration(text: &str) -> Option<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let number: u64 = text[..digits].parse().ok()?;
    let milliseconds = match &text[digits..] {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    number.checked_mul(milliseconds).map(Duration::from_millis)
}

/// `5d` for five days: the shortest form that [`duration`] reads back.
pub(crate) fn show_duration(duration: Duration) -> String {
    let milliseconds = duration.as_millis();
    for (unit, size) in [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)] {
        if milliseconds >= size && milliseconds.is_multiple_of(size) {
            return format!("{}{unit}", milliseconds / size);
        }
    }
    format!("{milliseconds}ms")
}

/// `512B`, `64KiB`, `35MiB`, `2GiB`, `1TiB`.
pub(crate) fn size(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let number: u64 = text[..digits].parse().ok()?;
    let bytes: u64 = match &text[digits..] {
        "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "TiB" => 1 << 40,
        _ => return None,
    };
    number.checked_mul(bytes)
}

/// The largest unit that divides `bytes`.
pub(crate) fn show_size(bytes: u64) -> String {
    for (unit, size) in [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)] {
        if bytes >= size && bytes.is_multiple_of(size) {
            return format!("{}{unit}", bytes / size);
        }
    }
    format!("{bytes}B")
}

/// `5%`.
pub(crate) fn percent(text: &str) -> Option<u8> {
    text.strip_suffix('%')?.parse().ok().filter(|percent| *percent <= 100)
}

/// `100/1s`: so many in so much time.
pub(crate) fn rate(text: &str) -> Option<(u32, Duration)> {
    let (count, per) = text.split_once('/')?;
    let count = count.parse().ok().filter(|count| *count > 0)?;
    let per = duration(per).filter(|per| !per.is_zero())?;
    Some((count, per))
}

/// `1KiB/s`: bytes a second.
pub(crate) fn byte_rate(text: &str) -> Option<u64> {
    size(text.strip_suffix("/s")?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_read_back() {
        for text in ["500ms", "30s", "5m", "4h", "5d", "90s"] {
            let read = duration(text).expect(text);
            assert_eq!(duration(&show_duration(read)), Some(read), "{text}");
        }
        for text in ["512B", "64KiB", "35MiB", "3TiB"] {
            assert_eq!(show_size(size(text).expect(text)), text);
        }
    }

    #[test]
    fn what_is_no_value_is_refused() {
        for text in ["", "5", "5 s", "-5s", "5w", "1.5h", "99999999999999999999s"] {
            assert_eq!(duration(text), None, "{text}");
        }
        for text in ["", "5", "5KB", "5k", "-1B", "99999999999TiB"] {
            assert_eq!(size(text), None, "{text}");
        }
        assert_eq!(rate("600/1m"), Some((600, Duration::from_secs(60))));
        for text in ["600", "0/1m", "600/0s", "x/1m"] {
            assert_eq!(rate(text), None, "{text}");
        }
        assert_eq!(byte_rate("1KiB/s"), Some(1024));
    }
}
