//! As much of DER as two questions need: when a certificate ends, and nothing more.

/// The content of the element at the beginning of `bytes` and what follows it; `None` when it is
/// cut short or its length is not one that a certificate has.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x83 => {
            let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (digits.iter().fold(0, |sum, digit| sum << 8 | usize::from(*digit)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

/// `notAfter` of a certificate in seconds since 1970 (RFC 5280 §4.1.2.5); `None` when it cannot be
/// found.
pub(crate) fn not_after(certificate: &[u8]) -> Option<i64> {
    let (_, certificate, _) = element(certificate)?;
    let (_, mut fields, _) = element(certificate)?;
    // The version is there from X.509 v2 on, and says so by its tag.
    if fields.first() == Some(&0xa0) {
        fields = element(fields)?.2;
    }
    // Serial number, signature algorithm, issuer.
    for _ in 0..3 {
        fields = element(fields)?.2;
    }
    let (_, validity, _) = element(fields)?;
    let (_, _, rest) = element(validity)?;
    let (tag, text, _) = element(rest)?;
    let text = std::str::from_utf8(text).ok()?;
    // UTCTime has two digits of the year: 50 and above are of the last century.
    match tag {
        0x17 => {
            let year: i64 = text.get(..2)?.parse().ok()?;
            seconds(if year < 50 { 2000 + year } else { 1900 + year }, text.get(2..)?)
        }
        0x18 => seconds(text.get(..4)?.parse().ok()?, text.get(4..)?),
        _ => None,
    }
}

/// Seconds since 1970 of `MMDDHHMMSSZ` in a year of the Gregorian calendar.
fn seconds(year: i64, rest: &str) -> Option<i64> {
    let number = |at: usize| rest.get(at..at + 2)?.parse::<i64>().ok();
    let (month, day) = (number(0)?, number(2)?);
    let (hour, minute, second) = (number(4)?, number(6)?, number(8)?);
    // Days before a date, counted in years that begin in March, so that leap days come last.
    let (years, months) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = years.div_euclid(4) - years.div_euclid(100) + years.div_euclid(400);
    let days = years * 365 + leap_days + (months * 153 + 2) / 5 + day - 1;
    /// Days from 1 March of the year 0 to 1 January 1970.
    const EPOCH: i64 = 719_468;
    Some((days - EPOCH) * 86_400 + hour * 3_600 + minute * 60 + second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_become_seconds() {
        assert_eq!(seconds(1970, "0101000000Z"), Some(0));
        assert_eq!(seconds(2000, "0229235959Z"), Some(951_868_799));
        assert_eq!(seconds(2026, "1124120000Z"), Some(1_795_521_600));
        assert_eq!(seconds(2026, "1124"), None);
    }

    #[test]
    fn the_end_of_a_certificate_is_found_in_both_forms_of_time() {
        for (year, expected) in [(2030, 1_893_456_000), (2075, 3_313_526_400)] {
            let mut parameters =
                rcgen::CertificateParams::new(vec!["a.example".into()]).expect("a good name");
            parameters.not_after = rcgen::date_time_ymd(year, 1, 1);
            let key = rcgen::KeyPair::generate().expect("a key");
            let certificate = parameters.self_signed(&key).expect("a certificate");
            assert_eq!(not_after(certificate.der()), Some(expected));
        }
    }

    #[test]
    fn what_is_no_certificate_has_no_end() {
        for bytes in [&b""[..], b"0", &[0x30, 0x84, 1, 1, 1, 1], &[0x30, 2, 0x30, 0]] {
            assert_eq!(not_after(bytes), None);
        }
    }
}
