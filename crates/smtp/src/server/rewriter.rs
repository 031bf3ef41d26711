//! The slow way of a body: byte by byte into wire form.
//!
//! Nearly every body takes the fast way, where the scanner looks for what must not be there and the
//! bytes pass as they came. Here come those bytes of which others must be made: lines of a chunk
//! that begin with a dot (which DATA would have sent stuffed), and bare newlines where the operator
//! has them normalised. LF becomes CRLF, a lone CR a space. Neither is ever part of an end of data:
//! a line that is a single dot only for having a bare newline before or behind it becomes `..`.

/// Where in a line the next byte stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// At its beginning, behind CRLF (or nothing) if `truly`, else behind a bare LF.
    LineStart { truly: bool },
    /// Likewise, behind a dot line that was no end of data: its sender may think that it was.
    FalseEnd { truly: bool },
    /// Behind the dot at its beginning, which is not in the output yet.
    Dot { truly: bool },
    /// Behind such a dot and a CR, neither of which is in the output yet.
    DotCr { truly: bool },
    /// Behind a CR that is not in the output yet.
    Cr,
    /// Anywhere else.
    Middle,
}

/// How bytes are to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Manner {
    /// By DATA: dot-stuffed, up to the terminator. Otherwise content as it is, to be stuffed.
    pub(super) dotted: bool,
    /// Whether bare CR and LF are normalised. If not, they are strays.
    pub(super) normalise: bool,
}

/// What became of some bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Rewritten {
    /// How many were used up.
    pub(super) consumed: usize,
    /// The terminator ended them.
    pub(super) ended: bool,
    /// Something among them may not be in a message.
    pub(super) stray: bool,
    /// Bare newlines normalised.
    pub(super) mended: u64,
}

/// Goes over `bytes`, appending their wire form to `out`; stops behind a terminator.
pub(super) fn rewrite(
    place: &mut Place,
    manner: Manner,
    bytes: &[u8],
    out: &mut Vec<u8>,
) -> Rewritten {
    let mut walk = Walk { manner, out, done: Rewritten::default() };
    for &byte in bytes {
        walk.done.consumed += 1;
        *place = walk.step(*place, byte);
        if walk.done.ended {
            break;
        }
    }
    walk.done
}

/// Ends content that came by chunks: what was held back goes out, and its last line gets an end,
/// without which DATA could not carry it (RFC 5321 §4.1.1.4).
pub(super) fn finish(place: &mut Place, manner: Manner, out: &mut Vec<u8>) -> Rewritten {
    let mut walk = Walk { manner, out, done: Rewritten::default() };
    if *place == Place::Cr {
        walk.lone_cr();
        *place = Place::Middle;
    }
    if *place == Place::Middle {
        walk.out.extend_from_slice(b"\r\n");
        *place = Place::LineStart { truly: true };
    }
    walk.done
}

struct Walk<'a> {
    manner: Manner,
    out: &'a mut Vec<u8>,
    done: Rewritten,
}

impl Walk<'_> {
    fn step(&mut self, place: Place, byte: u8) -> Place {
        match (place, byte) {
            (Place::DotCr { truly: true }, b'\n') => {
                self.done.ended = true;
                Place::LineStart { truly: true }
            }
            // CRLF ends the line, whatever it began with.
            (Place::DotCr { truly: false }, b'\n') => {
                self.out.extend_from_slice(b"..\r\n");
                Place::FalseEnd { truly: true }
            }
            (Place::Dot { .. }, b'\n') => {
                self.out.extend_from_slice(b"..");
                self.bare(b"\r\n");
                Place::FalseEnd { truly: false }
            }
            (Place::FalseEnd { truly }, _) => self.step(Place::LineStart { truly }, byte),
            (Place::Dot { truly }, b'\r') => Place::DotCr { truly },
            (Place::Dot { .. }, _) => {
                self.out.push(b'.');
                self.step(Place::Middle, byte)
            }
            (Place::DotCr { .. }, _) => {
                self.out.push(b'.');
                self.step(Place::Cr, byte)
            }
            (Place::Cr, b'\n') => {
                self.out.extend_from_slice(b"\r\n");
                Place::LineStart { truly: true }
            }
            (Place::Cr, _) => {
                self.lone_cr();
                self.step(Place::Middle, byte)
            }
            (Place::LineStart { truly }, b'.') if self.manner.dotted => Place::Dot { truly },
            (Place::LineStart { .. }, b'.') => {
                self.out.extend_from_slice(b"..");
                Place::Middle
            }
            (_, b'\r') => Place::Cr,
            (_, b'\n') => {
                self.bare(b"\r\n");
                Place::LineStart { truly: false }
            }
            (_, _) => {
                self.done.stray |= byte == 0;
                self.out.push(byte);
                Place::Middle
            }
        }
    }

    fn lone_cr(&mut self) {
        self.bare(b" ");
    }

    fn bare(&mut self, replacement: &[u8]) {
        self.out.extend_from_slice(replacement);
        if self.manner.normalise {
            self.done.mended += 1;
        } else {
            self.done.stray = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEND: Manner = Manner { dotted: true, normalise: true };
    const PLAIN: Manner = Manner { dotted: false, normalise: true };

    /// The wire form of `bytes` from a line's beginning, and what is said of them.
    fn wire_form(manner: Manner, bytes: &[u8]) -> (String, Rewritten) {
        let (mut place, mut out) = (Place::LineStart { truly: true }, Vec::new());
        let done = rewrite(&mut place, manner, bytes, &mut out);
        (String::from_utf8(out).expect("ASCII"), done)
    }

    #[test]
    fn a_bare_newline_never_makes_an_end_of_data() {
        for (bytes, expected) in [
            (&b"a\n.\nb\r\n"[..], "a\r\n..\r\nb\r\n"),
            (b"a\r.\rb\r\n", "a . b\r\n"),
            (b"a\n.\r\nb\r\n", "a\r\n..\r\nb\r\n"),
            (b"a\r\n.\nb\r\n", "a\r\n..\r\nb\r\n"),
            (b"a\r\n.\rb\r\n", "a\r\n. b\r\n"),
            (b"a\r\n.\r\r\nb\r\n", "a\r\n. \r\nb\r\n"),
            (b"a\n..b\n.c\n", "a\r\n..b\r\n.c\r\n"),
            (b"\n\r\r\r\n", "\r\n  \r\n"),
        ] {
            let (out, done) = wire_form(MEND, bytes);
            assert_eq!(out, expected, "{}", bytes.escape_ascii());
            assert!(!done.ended && !done.stray && done.mended > 0);
        }
    }

    #[test]
    fn only_the_true_end_ends() {
        let (out, done) = wire_form(MEND, b"a\n.\r\n.\r\nQUIT\r\n");
        assert_eq!((out.as_str(), done.ended, done.consumed), ("a\r\n..\r\n", true, 8));
    }

    #[test]
    fn content_is_stuffed_and_may_hold_what_would_be_an_end() {
        let (out, done) = wire_form(PLAIN, b".\r\na\r\n.\r\n.b\n.\r\n");
        assert_eq!(out, "..\r\na\r\n..\r\n..b\r\n..\r\n");
        assert!(!done.ended && !done.stray);
        assert_eq!(done.mended, 1);
    }

    #[test]
    fn a_nul_is_always_a_stray_and_a_bare_newline_is_one_where_it_is_not_mended() {
        assert!(wire_form(MEND, b"a\0b").1.stray);
        let strict = Manner { normalise: false, ..PLAIN };
        for stray in [&b"a\nb"[..], b"a\rb", b"\0"] {
            assert!(wire_form(strict, stray).1.stray, "{}", stray.escape_ascii());
        }
        assert!(!wire_form(strict, b"a\r\n.b\r\n").1.stray);
    }

    #[test]
    fn the_last_line_of_content_gets_its_end() {
        for (bytes, expected) in [("", ""), ("a", "a\r\n"), ("a\r\n", "a\r\n"), ("a\r", "a \r\n")] {
            let (mut place, mut out) = (Place::LineStart { truly: true }, Vec::new());
            rewrite(&mut place, PLAIN, bytes.as_bytes(), &mut out);
            finish(&mut place, PLAIN, &mut out);
            assert_eq!(out, expected.as_bytes());
        }
    }
}
