//! The PROXY header, versions 1 and 2 (HAProxy, `proxy-protocol.txt`). Pure.

use reactor::Hangup;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Whom a proxy speaks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyHeader {
    /// A client at `source` that connected to `destination`.
    Client {
        /// The client's address and port.
        source: SocketAddr,
        /// Where it connected to.
        destination: SocketAddr,
    },
    /// The proxy itself (a health check), or a client that it knows nothing of.
    Unknown,
}

/// Why there is no header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProxyError {
    /// The connection went, or time did.
    Hangup(Hangup),
    /// What came is no header; the text says why.
    Invalid(&'static str),
}

impl fmt::Display for ProxyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hangup(hangup) => write!(f, "no PROXY header: {hangup}"),
            Self::Invalid(reason) => write!(f, "no PROXY header: {reason}"),
        }
    }
}

impl std::error::Error for ProxyError {}

/// What the bytes so far come to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// More must come.
    Incomplete,
    /// A header, and its length in bytes.
    Whole(ProxyHeader, usize),
    /// No header will come of it.
    Invalid(&'static str),
}

/// The longest header of version 1 (§2.1), with its line end.
const V1_BYTES_MAX: usize = 107;

/// How version 2 begins (§2.2).
const V2_SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// Bytes of version 2 before the addresses.
const V2_FIXED: usize = 16;

/// The most that addresses and extensions may take: far above what proxies send, far below what
/// could fill the memory.
const V2_BYTES_MAX: usize = 4096;

/// Looks for a header at the beginning of `bytes`.
pub(crate) fn parse(bytes: &[u8]) -> Progress {
    let begins = |prefix: &[u8]| {
        let length = bytes.len().min(prefix.len());
        bytes[..length] == prefix[..length]
    };
    if begins(V2_SIGNATURE) {
        return if bytes.len() < V2_FIXED { Progress::Incomplete } else { parse_v2(bytes) };
    }
    if !begins(b"PROXY ") {
        return Progress::Invalid("the client does not begin with one");
    }
    let end = bytes.iter().take(V1_BYTES_MAX).position(|byte| *byte == b'\n');
    match end {
        Some(end) => parse_v1(&bytes[..=end]),
        None if bytes.len() < V1_BYTES_MAX => Progress::Incomplete,
        None => Progress::Invalid("its line is longer than 107 bytes"),
    }
}

fn parse_v1(line: &[u8]) -> Progress {
    let text = line.strip_suffix(b"\r\n").and_then(|line| std::str::from_utf8(line).ok());
    let Some(text) = text else { return Progress::Invalid("its line does not end in CRLF") };
    let words: Vec<&str> = text.split(' ').collect();
    let header = match *words.as_slice() {
        ["PROXY", "UNKNOWN", ..] => Some(ProxyHeader::Unknown),
        ["PROXY", family @ ("TCP4" | "TCP6"), source, destination, from, to] => {
            let both = address(family, source, from).zip(address(family, destination, to));
            both.map(|(source, destination)| ProxyHeader::Client { source, destination })
        }
        _ => None,
    };
    match header {
        Some(header) => Progress::Whole(header, line.len()),
        None => Progress::Invalid("its words are not those of version 1"),
    }
}

fn address(family: &str, address: &str, port: &str) -> Option<SocketAddr> {
    let address: IpAddr = address.parse().ok()?;
    let plain = port.bytes().all(|byte| byte.is_ascii_digit());
    (plain && address.is_ipv4() == (family == "TCP4"))
        .then(|| port.parse().ok().map(|port| SocketAddr::new(address, port)))?
}

fn parse_v2(bytes: &[u8]) -> Progress {
    let (version, command) = (bytes[12] >> 4, bytes[12] & 15);
    let length = usize::from(u16::from_be_bytes([bytes[14], bytes[15]]));
    if version != 2 || command > 1 {
        return Progress::Invalid("its version or command is not known");
    }
    if length > V2_BYTES_MAX {
        return Progress::Invalid("it is longer than 4 KiB");
    }
    let end = V2_FIXED + length;
    if bytes.len() < end {
        return Progress::Incomplete;
    }
    let body = &bytes[V2_FIXED..end];
    // Command 0 is LOCAL: the addresses are to be ignored.
    let header = match (command, bytes[13]) {
        (0, _) | (1, 0x00 | 0x31 | 0x32) => Some(ProxyHeader::Unknown),
        (1, 0x11) => addresses::<4>(body, |octets| Ipv4Addr::from(octets).into()),
        (1, 0x21) => addresses::<16>(body, |octets| Ipv6Addr::from(octets).into()),
        _ => None,
    };
    match header {
        Some(header) => Progress::Whole(header, end),
        None => Progress::Invalid("its addresses are not those of TCP"),
    }
}

/// Two addresses of `N` bytes, then two ports.
fn addresses<const N: usize>(body: &[u8], make: fn([u8; N]) -> IpAddr) -> Option<ProxyHeader> {
    let (source, rest) = body.split_first_chunk::<N>()?;
    let (destination, rest) = rest.split_first_chunk::<N>()?;
    let (from, rest) = rest.split_first_chunk::<2>()?;
    let (to, _) = rest.split_first_chunk::<2>()?;
    let socket =
        |octets: &[u8; N], port: &[u8; 2]| (make(*octets), u16::from_be_bytes(*port)).into();
    Some(ProxyHeader::Client { source: socket(source, from), destination: socket(destination, to) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v2(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
        let mut bytes = V2_SIGNATURE.to_vec();
        bytes.extend([0x20 | command, family]);
        bytes.extend((body.len() as u16).to_be_bytes());
        bytes.extend(body);
        bytes
    }

    fn client(source: &str, destination: &str) -> ProxyHeader {
        ProxyHeader::Client {
            source: source.parse().expect("an address"),
            destination: destination.parse().expect("an address"),
        }
    }

    #[test]
    fn headers_are_read_and_every_beginning_of_one_is_incomplete() {
        let four = [192, 0, 2, 1, 198, 51, 100, 2, 0x10, 0, 0, 25];
        let expected = client("192.0.2.1:4096", "198.51.100.2:25");
        let v1 = b"PROXY TCP4 192.0.2.1 198.51.100.2 4096 25\r\n".to_vec();
        for bytes in [v1, v2(1, 0x11, &four)] {
            for length in 0..bytes.len() {
                assert_eq!(parse(&bytes[..length]), Progress::Incomplete);
            }
            let mut longer = bytes.clone();
            longer.extend(b"EHLO x\r\n");
            assert_eq!(parse(&longer), Progress::Whole(expected, bytes.len()));
        }
        let six = b"PROXY TCP6 2001:db8::1 2001:db8::2 1 25\r\n";
        let expected = client("[2001:db8::1]:1", "[2001:db8::2]:25");
        assert_eq!(parse(six), Progress::Whole(expected, six.len()));
    }

    #[test]
    fn what_the_proxy_does_not_know_is_unknown() {
        let unknown = |bytes: &[u8]| {
            assert_eq!(parse(bytes), Progress::Whole(ProxyHeader::Unknown, bytes.len()))
        };
        unknown(b"PROXY UNKNOWN\r\n");
        unknown(b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n");
        unknown(&v2(0, 0x11, &[1, 2, 3]));
        unknown(&v2(1, 0, &[]));
    }

    #[test]
    fn what_is_no_header_is_refused_as_soon_as_that_is_clear() {
        let long = [b"PROXY TCP4 ".to_vec(), vec![b'1'; 200]].concat();
        let foreign: [&[u8]; 6] = [
            b"EHLO x",
            b"PROXY TCP4 192.0.2.1 198.51.100.2 4096\r\n",
            b"PROXY TCP4 2001:db8::1 198.51.100.2 4096 25\r\n",
            b"PROXY TCP4 192.0.2.1 198.51.100.2 +409 25\r\n",
            b"PROXY TCP4 192.0.2.1 198.51.100.2 4096 25\n",
            &long,
        ];
        for bytes in foreign {
            assert!(matches!(parse(bytes), Progress::Invalid(_)), "{bytes:?}");
        }
        assert!(matches!(parse(&v2(1, 0x11, &[0; 11])), Progress::Invalid(_)));
        assert!(matches!(parse(&v2(2, 0x11, &[0; 12])), Progress::Invalid(_)));
        assert!(matches!(parse(&v2(1, 0x12, &[0; 12])), Progress::Invalid(_)));
    }
}
