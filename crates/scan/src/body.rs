//! The scanner of message bodies.
//!
//! A body is what follows a 354, up to a line that is a single dot. Only CR LF ends a line, so only
//! CR LF `.` CR LF ends a body (or `.` CR LF at its very beginning): everything else that some
//! server somewhere takes for an end is how one message becomes two (RFC 5321 §4.1.1.4).
//!
//! The scanner keeps no bytes. Up to two bytes at the end of a chunk may be undecided (`.`, `.` CR,
//! or CR): it leaves these, and the caller presents them again in front of what comes next. The
//! rest of its state is whether a line begins here.
//!
//! Once a stray byte has been seen the body is lost, and only its end matters. From there a second,
//! plain automaton walks byte by byte: it still ends only at the true terminator, and notes dot
//! lines that ended otherwise, behind which the peer may be waiting.

/// What [`BodyScanner::scan`] found in a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scanned {
    /// The body goes on. What is behind its first `body` bytes must be presented again.
    More {
        /// Bytes of the chunk that belong to the body.
        body: usize,
    },
    /// The terminator is in the chunk.
    End {
        /// Bytes of the chunk that belong to the body.
        body: usize,
        /// Bytes of the chunk up to the end of the terminator.
        consumed: usize,
    },
}

/// A byte that no body may contain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StrayByte {
    /// A CR without LF behind it.
    Cr,
    /// An LF without CR before it.
    Lf,
    /// A NUL.
    Nul,
}

/// The first stray byte of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stray {
    /// Which.
    pub byte: StrayByte,
    /// Where: bytes of the body before it.
    pub at: u64,
}

/// Finds the end of a body, its first stray byte, and how many lines are dot-stuffed.
#[derive(Clone, Debug)]
pub struct BodyScanner {
    /// Body bytes seen so far.
    bytes: u64,
    /// Where in the body the current line began.
    line_start: u64,
    longest_line: u64,
    stuffed_lines: u64,
    stray: Option<Stray>,
    walker: Walker,
}

impl Default for BodyScanner {
    fn default() -> Self {
        Self::new()
    }
}

impl BodyScanner {
    /// A scanner at the beginning of a body, just behind the 354.
    pub fn new() -> Self {
        Self {
            bytes: 0,
            line_start: 0,
            longest_line: 0,
            stuffed_lines: 0,
            stray: None,
            walker: Walker { place: Place::LineStart, false_dot_line: false },
        }
    }

    /// Scans the next chunk, which begins with what the last call left.
    pub fn scan(&mut self, chunk: &[u8]) -> Scanned {
        if self.stray.is_some() {
            return self.walk(chunk, 0);
        }
        let mut at = 0;
        loop {
            if chunk.get(at) == Some(&b'.') && self.line_begins_at(at) {
                match chunk[at + 1..] {
                    [] | [b'\r'] => return self.more(chunk, at),
                    [b'\r', b'\n', ..] => return self.end(at, at + 3),
                    _ => self.stuffed_lines += 1,
                }
            }
            let Some(found) = memchr::memchr3(b'\r', b'\n', 0, &chunk[at..]) else {
                return self.more(chunk, chunk.len());
            };
            let found = at + found;
            match chunk[found..] {
                [b'\r'] => return self.more(chunk, found),
                [b'\r', b'\n', ..] => {
                    self.line_ends_at(found);
                    at = found + 2;
                    self.line_start = self.bytes + at as u64;
                }
                _ => return self.strayed(chunk, found),
            }
        }
    }

    /// The first stray byte so far.
    pub fn stray(&self) -> Option<Stray> {
        self.stray
    }

    /// Body bytes so far, as on the wire.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Lines that begin with a dot, the terminator not counted. Counted up to a stray byte.
    pub fn stuffed_lines(&self) -> u64 {
        self.stuffed_lines
    }

    /// The longest line so far in bytes, without its CRLF. Measured up to a stray byte.
    pub fn longest_line(&self) -> u64 {
        match self.stray {
            Some(_) => self.longest_line,
            None => self.longest_line.max(self.bytes - self.line_start),
        }
    }

    /// Whether a dot has stood alone on a line that ended otherwise than with CRLF on both sides:
    /// who sent that may think that the body is over. Only ever true behind a stray byte.
    pub fn has_false_end(&self) -> bool {
        self.stray.is_some()
            && (self.walker.false_dot_line || matches!(self.walker.place, Place::DotCr { .. }))
    }

    /// Whether the line of `chunk[at]` begins there.
    fn line_begins_at(&self, at: usize) -> bool {
        self.line_start == self.bytes + at as u64
    }

    fn line_ends_at(&mut self, at: usize) {
        let length = self.bytes + at as u64 - self.line_start;
        self.longest_line = self.longest_line.max(length);
    }

    fn more(&mut self, chunk: &[u8], body: usize) -> Scanned {
        debug_assert!(chunk.len() - body <= 2, "at most two bytes can be undecided");
        self.bytes += body as u64;
        Scanned::More { body }
    }

    fn end(&mut self, body: usize, consumed: usize) -> Scanned {
        self.bytes += body as u64;
        Scanned::End { body, consumed }
    }

    /// Notes the stray byte at `found` and walks on behind it.
    fn strayed(&mut self, chunk: &[u8], found: usize) -> Scanned {
        self.line_ends_at(found);
        let byte = match chunk[found] {
            b'\r' => StrayByte::Cr,
            b'\n' => StrayByte::Lf,
            _ => StrayByte::Nul,
        };
        self.stray = Some(Stray { byte, at: self.bytes + found as u64 });
        // Where the walker stands before the stray byte: the line so far is empty, a dot, or more.
        self.walker.place = match self.bytes + found as u64 - self.line_start {
            0 => Place::LineStart,
            1 if found > 0 && chunk[found - 1] == b'.' => Place::Dot { true_start: true },
            _ => Place::Middle,
        };
        self.walk(chunk, found)
    }

    /// The slow way, behind a stray byte: every byte of the chunk is consumed.
    fn walk(&mut self, chunk: &[u8], from: usize) -> Scanned {
        for (at, &byte) in chunk.iter().enumerate().skip(from) {
            if self.walker.step(byte) {
                // What belongs to a body that is thrown away anyway is not worth an exact count.
                return self.end(at + 1, at + 1);
            }
        }
        self.more(chunk, chunk.len())
    }
}

/// Where in a line the walker is.
#[derive(Clone, Copy, Debug)]
enum Place {
    /// Behind CRLF, or at the beginning of the body.
    LineStart,
    /// Behind a bare LF.
    FalseLineStart,
    /// Behind a CR that may yet become CRLF.
    Cr,
    /// Behind a dot at the beginning of a line, which began truly or falsely.
    Dot { true_start: bool },
    /// Behind such a dot and a CR.
    DotCr { true_start: bool },
    /// Anywhere else.
    Middle,
}

#[derive(Clone, Debug)]
struct Walker {
    place: Place,
    false_dot_line: bool,
}

impl Walker {
    /// Walks over one byte; true when it ends the body.
    fn step(&mut self, byte: u8) -> bool {
        if let Place::DotCr { true_start } = self.place {
            if byte == b'\n' && true_start {
                return true;
            }
            self.false_dot_line = true;
        }
        self.place = match (self.place, byte) {
            (Place::Cr | Place::DotCr { .. }, b'\n') => Place::LineStart,
            (Place::Dot { .. }, b'\n') => {
                self.false_dot_line = true;
                Place::FalseLineStart
            }
            (_, b'\n') => Place::FalseLineStart,
            (Place::Dot { true_start }, b'\r') => Place::DotCr { true_start },
            (_, b'\r') => Place::Cr,
            (Place::LineStart, b'.') => Place::Dot { true_start: true },
            (Place::FalseLineStart | Place::Cr | Place::DotCr { .. }, b'.') => {
                Place::Dot { true_start: false }
            }
            _ => Place::Middle,
        };
        false
    }
}
