//! What a peer's EHLO offered.

/// The extensions of a peer that we know how to use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extensions {
    /// Whether the peer took EHLO (or LHLO); all else is absent after HELO.
    pub esmtp: bool,
    /// PIPELINING (RFC 2920).
    pub pipelining: bool,
    /// 8BITMIME (RFC 6152).
    pub eight_bit_mime: bool,
    /// ENHANCEDSTATUSCODES (RFC 2034).
    pub enhanced_status_codes: bool,
    /// SIZE (RFC 1870): the largest message in bytes, 0 when the peer names no limit.
    pub size: Option<u64>,
}

impl Extensions {
    /// Reads the lines of an EHLO reply; the first, with the peer's name, says nothing.
    pub(super) fn parse(text: &str) -> Self {
        let mut found = Self { esmtp: true, ..Self::default() };
        for line in text.split('\n').skip(1) {
            let mut words = line.split_ascii_whitespace();
            let keyword = words.next().unwrap_or_default();
            if keyword.eq_ignore_ascii_case("PIPELINING") {
                found.pipelining = true;
            } else if keyword.eq_ignore_ascii_case("8BITMIME") {
                found.eight_bit_mime = true;
            } else if keyword.eq_ignore_ascii_case("ENHANCEDSTATUSCODES") {
                found.enhanced_status_codes = true;
            } else if keyword.eq_ignore_ascii_case("SIZE") {
                // An unreadable limit is as none: the peer says 552 when it must.
                found.size = Some(words.next().and_then(|limit| limit.parse().ok()).unwrap_or(0));
            }
        }
        found
    }
}
