//! The scanner against a naive twin, over every way to cut the bytes.

use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use scan::{BodyScanner, Scanned, StrayByte};

/// What is known about a body once all its bytes have been scanned.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Findings {
    /// Body and consumed bytes where a terminator was found; the body is exact only without stray.
    end: Option<usize>,
    body: Option<Vec<u8>>,
    stray: Option<(StrayByte, u64)>,
    stuffed_lines: u64,
    longest_line: u64,
}

/// The twin: looks at one position after the other, with all bytes at hand.
fn naive(bytes: &[u8]) -> Findings {
    let starts_line = |at: usize| at == 0 || (at >= 2 && &bytes[at - 2..at] == b"\r\n");
    let terminator =
        (0..bytes.len()).find(|&at| starts_line(at) && bytes[at..].starts_with(b".\r\n"));
    let body = &bytes[..terminator.unwrap_or(bytes.len())];
    let stray_at = |at: usize| match bytes[at] {
        b'\r' if at + 1 < bytes.len() && bytes[at + 1] != b'\n' => Some(StrayByte::Cr),
        b'\n' if at == 0 || bytes[at - 1] != b'\r' => Some(StrayByte::Lf),
        0 => Some(StrayByte::Nul),
        _ => None,
    };
    let stray = (0..body.len()).find_map(|at| stray_at(at).map(|byte| (byte, at as u64)));
    let clean = &body[..stray.map_or(body.len(), |(_, at)| at as usize)];
    let stuffed = |at: &usize| {
        // A dot with nothing decisive behind it may yet be the terminator.
        let decided = bytes[*at..].len() > 2 || (bytes[*at..].len() == 2 && bytes[at + 1] != b'\r');
        clean[*at] == b'.' && starts_line(*at) && decided
    };
    Findings {
        end: terminator.map(|at| at + 3),
        body: stray.is_none().then(|| body.to_vec()),
        stray,
        stuffed_lines: (0..clean.len()).filter(stuffed).count() as u64,
        longest_line: longest(clean),
    }
}

fn longest(clean: &[u8]) -> u64 {
    let text: String = clean.iter().map(|&byte| char::from(byte)).collect();
    text.split("\r\n").map(str::chars).map(|line| line.count() as u64).max().unwrap_or(0)
}

/// The scanner, fed `bytes` in chunks that end at `cuts`.
fn scanned(bytes: &[u8], cuts: &[usize]) -> Findings {
    let mut scanner = BodyScanner::new();
    let (mut left, mut body, mut end) = (Vec::new(), Vec::new(), None);
    let mut from = 0;
    for to in cuts.iter().copied().chain([bytes.len()]) {
        left.extend_from_slice(&bytes[from..to]);
        from = to;
        match scanner.scan(&left) {
            Scanned::More { body: n } => {
                body.extend(left.drain(..n));
                assert!(left.len() <= 2, "left {left:?}");
            }
            Scanned::End { body: n, consumed } => {
                body.extend_from_slice(&left[..n]);
                end = Some(to - left.len() + consumed);
                break;
            }
        }
    }
    if end.is_none() {
        // The twin takes what is undecided for body.
        body.extend_from_slice(&left);
    }
    let stray = scanner.stray().map(|stray| (stray.byte, stray.at));
    Findings {
        end,
        body: stray.is_none().then_some(body),
        stray,
        stuffed_lines: scanner.stuffed_lines(),
        longest_line: if end.is_none() && stray.is_none() && !left.is_empty() {
            // The scanner has not counted the undecided bytes yet.
            let all = longest(bytes);
            assert!((all.saturating_sub(2)..=all).contains(&scanner.longest_line()), "{scanner:?}");
            all
        } else {
            scanner.longest_line()
        },
    }
}

/// Bytes in which the interesting ones are frequent.
fn bodies() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        4 => Just(&b"\r\n"[..]), 3 => Just(&b"."[..]), 2 => Just(&b"a"[..]), 1 => Just(&b"\r"[..]),
        1 => Just(&b"\n"[..]), 1 => Just(&b"\0"[..]), 1 => Just(&b"..\r\n"[..]),
        1 => Just(&b"QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVo\r\n"[..]),
    ];
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(3),
        ..ProptestConfig::with_cases(512)
    })]

    #[test]
    fn whole_byte_by_byte_and_at_every_cut_the_scanner_agrees_with_its_twin(bytes in bodies()) {
        let expected = naive(&bytes);
        prop_assert_eq!(&scanned(&bytes, &[]), &expected);
        let every: Vec<usize> = (0..bytes.len()).collect();
        prop_assert_eq!(&scanned(&bytes, &every), &expected);
        for cut in 0..bytes.len() {
            prop_assert_eq!(&scanned(&bytes, &[cut]), &expected, "cut at {}", cut);
        }
    }

    #[test]
    fn any_chunking_gives_the_same(
        bytes in bodies(),
        mut cuts in prop::collection::vec(0usize..400, 0..8),
    ) {
        cuts.retain(|&cut| cut < bytes.len());
        cuts.sort_unstable();
        prop_assert_eq!(scanned(&bytes, &cuts), naive(&bytes));
    }
}

#[test]
fn only_crlf_dot_crlf_ends_a_body() {
    for false_end in ["\n.\n", "\r.\r", "\n.\r\n", "\r\n.\n", "\r\n.\r", "\r.\r\n", "\r\n.\0\r\n"] {
        let body = format!("a{false_end}b\r\n.\r\n");
        let mut scanner = BodyScanner::new();
        let result = scanner.scan(body.as_bytes());
        let Scanned::End { consumed, .. } = result else { panic!("{body:?}: {result:?}") };
        assert_eq!(consumed, body.len(), "{body:?}");
        assert!(scanner.stray().is_some(), "{body:?}");
    }
}

#[test]
fn a_dot_line_that_ended_otherwise_is_noted() {
    let noted = |body: &str| {
        let mut scanner = BodyScanner::new();
        assert!(matches!(scanner.scan(body.as_bytes()), Scanned::More { .. }), "{body:?}");
        scanner.has_false_end()
    };
    for body in
        ["a\n.\n", "a\r.\r", "a\n.\r\n", "a\r\n.\n", ".\n", "a\n.\nQUIT\n", "a\nb\r\n.\r", "a\r.\n"]
    {
        assert!(noted(body), "{body:?}");
    }
    for body in ["a\r\n.\r", "a\nb\n", "a\n..\n", "a\nb.\n", "a\n.b\n", "a\n\r\n"] {
        assert!(!noted(body), "{body:?}");
    }
}
