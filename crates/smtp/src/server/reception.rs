//! A body on its way in, by DATA or by chunks.
//!
//! Whichever way it comes, it leaves in one wire form: dot-stuffed lines that end with CRLF. The
//! fast way gives the bytes on as they came; what it cannot do is [`rewriter`](super::rewriter)'s.

use super::header::{HeaderFacts, HeaderReader};
use super::options::{BareNewline, ServerOptions};
use super::pace::Pace;
use super::rewriter::{self, Manner, Place, Rewritten};
use super::state::Transaction;
use crate::reply;
use mail::Reply;
use scan::{BodyScanner, Scanned, StrayByte};
use std::time::Duration;

/// How long a peer may be silent behind a dot line that ended otherwise than with CRLF: it most
/// likely waits for its reply, and would wait for ever.
const FALSE_END_SILENCE: Duration = Duration::from_secs(10);

/// Bytes that are rewritten at a time: they are copied.
const REWRITTEN_BYTES_MAX: usize = 64 << 10;

/// The state between the first byte of a body and the last.
pub(super) struct Reception {
    pub(super) transaction: Transaction,
    pub(super) pace: Pace,
    course: Course,
    manner: Manner,
    /// Where the next byte stands; kept while the scanner alone would not know.
    place: Place,
    /// The fast way has met a newline to mend.
    mending: bool,
    /// Counts what the draft gets, and what it would get.
    scanner: BodyScanner,
    header: HeaderReader,
    /// What the last piece was rewritten to.
    edited: Vec<u8>,
    /// Bytes of the client so far.
    bytes: u64,
    /// Bare newlines mended so far.
    mended: u64,
    /// The slow way has met what may not be there.
    stray: bool,
    refusal: Option<Refusal>,
    /// Whether the corridor has been told to throw the draft away.
    discarded: bool,
    /// Whether the terminator or the end of the chunk has come, or we want no more.
    over: bool,
}

/// How the body comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Course {
    /// By DATA, up to its terminator.
    Data,
    /// By BDAT.
    Chunk {
        /// Bytes of the chunk under way that have not come yet.
        left: u64,
        /// All of its bytes.
        size: u64,
        /// Whether the message ends with it.
        last: bool,
    },
}

/// Why a body that is still coming will be refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal {
    BareByte,
    TooBig,
    LongLine,
    Hops,
    NotUtf8,
}

/// What goes into the draft.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// Nothing, this time.
    Nothing,
    /// So many bytes of the chunk, from its beginning.
    AsCame(usize),
    /// What [`Reception::edited`] gives.
    Edited,
}

/// What was made of some input.
#[derive(Clone, Copy, Debug)]
pub(super) struct Taken {
    pub(super) piece: Piece,
    /// Bytes of the input that are used up.
    pub(super) consumed: usize,
}

/// What a body is that is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Over {
    /// The whole message.
    Message,
    /// A chunk of so many bytes, with more to come.
    Chunk(u64),
}

impl Reception {
    /// Behind a 354.
    pub(super) fn by_data(transaction: Transaction, bare_newline: BareNewline) -> Self {
        Self::new(transaction, bare_newline, Course::Data)
    }

    /// At the first chunk; [`begin_chunk`](Self::begin_chunk) comes next.
    pub(super) fn by_chunks(transaction: Transaction, bare_newline: BareNewline) -> Self {
        let course = Course::Chunk { left: 0, size: 0, last: false };
        Self::new(transaction, bare_newline, course)
    }

    fn new(transaction: Transaction, bare_newline: BareNewline, course: Course) -> Self {
        let normalise = bare_newline == BareNewline::Normalise;
        Self {
            transaction,
            pace: Pace::default(),
            course,
            manner: Manner { dotted: course == Course::Data, normalise },
            place: Place::LineStart { truly: true },
            mending: false,
            scanner: BodyScanner::new(),
            header: HeaderReader::new(),
            edited: Vec::new(),
            bytes: 0,
            mended: 0,
            stray: false,
            refusal: None,
            discarded: false,
            over: false,
        }
    }

    /// BDAT has been said.
    pub(super) fn begin_chunk(&mut self, size: u64, last: bool) {
        self.course = Course::Chunk { left: size, size, last };
        self.over = false;
    }

    /// Takes what belongs to the body out of `input`, and judges it.
    pub(super) fn take(&mut self, input: &[u8], options: &ServerOptions) -> Taken {
        self.edited.clear();
        let taken = match self.course {
            Course::Data => self.take_any(input),
            Course::Chunk { left: 0, last, .. } => {
                self.over = true;
                if last { self.finish() } else { Taken { piece: Piece::Nothing, consumed: 0 } }
            }
            Course::Chunk { left, size, last } => {
                let within = usize::try_from(left).unwrap_or(usize::MAX).min(input.len());
                let taken = self.take_any(&input[..within]);
                let left = left - taken.consumed as u64;
                self.course = Course::Chunk { left, size, last };
                taken
            }
        };
        self.bytes += taken.consumed as u64;
        match taken.piece {
            Piece::Nothing => {}
            Piece::AsCame(length) => self.header.feed(&input[..length]),
            Piece::Edited => self.header.feed(&self.edited),
        }
        self.judge(options);
        self.over |= self.is_overrun(options);
        let piece = if self.refusal.is_some() { Piece::Nothing } else { taken.piece };
        Taken { piece, ..taken }
    }

    /// What the last piece was rewritten to.
    pub(super) fn edited(&self) -> &[u8] {
        &self.edited
    }

    fn take_any(&mut self, input: &[u8]) -> Taken {
        let lost = self.stray || (!self.manner.dotted && self.scanner.stray().is_some());
        if lost && !self.manner.dotted {
            // The chunk's size says where it ends.
            return Taken { piece: Piece::Nothing, consumed: input.len() };
        }
        let fast = if self.manner.dotted { self.scans() } else { !self.needs_stuffing(input) };
        match (fast, self.manner.dotted) {
            (false, _) => self.take_slowly(input),
            (true, true) => self.scan(input),
            (true, false) => self.scan_chunk(input),
        }
    }

    /// Whether the scanner alone may go on with a body by DATA.
    fn scans(&self) -> bool {
        let plain = matches!(self.place, Place::LineStart { truly: true } | Place::Middle);
        plain && !self.mending && !self.stray
    }

    /// Whether something must be put between the bytes of a chunk.
    fn needs_stuffing(&self, input: &[u8]) -> bool {
        let mut begins = match self.place {
            Place::LineStart { .. } | Place::FalseEnd { .. } => true,
            Place::Middle => false,
            Place::Cr | Place::Dot { .. } | Place::DotCr { .. } => return true,
        };
        let mut rest = input;
        while !(begins && rest.first() == Some(&b'.')) {
            let Some(line) = scan::first_line(rest) else { return false };
            rest = &rest[line.consumed..];
            begins = true;
        }
        true
    }

    /// The fast way, by DATA: bytes pass as they came.
    fn scan(&mut self, input: &[u8]) -> Taken {
        let before = self.manner.normalise.then(|| self.scanner.clone());
        let (length, consumed, ended) = match self.scanner.scan(input) {
            Scanned::More { body } => (body, body, false),
            Scanned::End { body, consumed } => (body, consumed, true),
        };
        let first = self.scanner.stray().filter(|stray| stray.byte != StrayByte::Nul);
        if let (Some(before), Some(stray)) = (before, first)
            && before.stray().is_none()
        {
            // What stands before the newline passes; the rest goes the slow way.
            let good = (stray.at - before.bytes()) as usize;
            self.scanner = before;
            self.mending = true;
            let length = match self.scanner.scan(&input[..good]) {
                Scanned::More { body } => body,
                Scanned::End { .. } => unreachable!("the scanner has passed this as body"),
            };
            self.advance(&input[..length]);
            return if length == 0 {
                self.take_slowly(input)
            } else {
                Taken { piece: Piece::AsCame(length), consumed: length }
            };
        }
        self.advance(&input[..length]);
        self.over |= ended;
        let piece = if length == 0 { Piece::Nothing } else { Piece::AsCame(length) };
        Taken { piece, consumed }
    }

    /// The fast way, by chunks: no line of `input` begins with a dot.
    fn scan_chunk(&mut self, input: &[u8]) -> Taken {
        // A CR at the end may be half a line end: it is held back.
        let length = input.len() - usize::from(input.ends_with(b"\r"));
        if input[..length].ends_with(b"\r") {
            // Two of them: the scanner would hold the first one back as well.
            return self.take_slowly(input);
        }
        let before = self.scanner.clone();
        self.scanner.scan(&input[..length]);
        if let Some(stray) = self.scanner.stray() {
            if !self.manner.normalise || stray.byte == StrayByte::Nul {
                return Taken { piece: Piece::Nothing, consumed: input.len() };
            }
            self.scanner = before;
            return self.take_slowly(input);
        }
        self.advance(&input[..length]);
        if length < input.len() {
            self.place = Place::Cr;
        }
        let piece = if length == 0 { Piece::Nothing } else { Piece::AsCame(length) };
        Taken { piece, consumed: input.len() }
    }

    /// Where the next byte stands behind `passed`.
    fn advance(&mut self, passed: &[u8]) {
        if passed.ends_with(b"\r\n") {
            self.place = Place::LineStart { truly: true };
        } else if !passed.is_empty() {
            self.place = Place::Middle;
        }
    }

    /// The slow way.
    fn take_slowly(&mut self, input: &[u8]) -> Taken {
        self.mending = false;
        let input = &input[..input.len().min(REWRITTEN_BYTES_MAX)];
        let done = rewriter::rewrite(&mut self.place, self.manner, input, &mut self.edited);
        self.over |= done.ended;
        self.count(done)
    }

    /// Ends content that came by chunks.
    fn finish(&mut self) -> Taken {
        let done = rewriter::finish(&mut self.place, self.manner, &mut self.edited);
        self.count(done)
    }

    fn count(&mut self, done: Rewritten) -> Taken {
        self.mended += done.mended;
        self.stray |= done.stray;
        if !self.stray {
            self.scanner.scan(&self.edited);
        }
        let piece = if self.edited.is_empty() { Piece::Nothing } else { Piece::Edited };
        Taken { piece, consumed: done.consumed }
    }

    /// What is wrong by now. The order is one of weight, not of time, so that a body gets the same
    /// reply however it was cut. A stray byte comes first: only it says that the end is disputed.
    fn judge(&mut self, options: &ServerOptions) {
        self.refusal = if self.stray || self.scanner.stray().is_some() {
            Some(Refusal::BareByte)
        } else if self.header.hops() > options.hops {
            Some(Refusal::Hops)
        } else if self.size() > options.message_bytes {
            Some(Refusal::TooBig)
        } else if options.line_bytes.is_some_and(|most| self.scanner.longest_line() > most) {
            Some(Refusal::LongLine)
        } else if self.transaction.utf8 && self.header.is_not_utf8() {
            Some(Refusal::NotUtf8)
        } else {
            None
        };
    }

    /// The size of the message as RFC 1870 §5 counts it: without the dots of transparency.
    fn size(&self) -> u64 {
        self.scanner.bytes() - self.scanner.stuffed_lines()
    }

    /// A refused body is read to its end, so that its sender hears why, but not for ever.
    fn is_overrun(&self, options: &ServerOptions) -> bool {
        self.refusal.is_some() && self.bytes > options.message_bytes.saturating_mul(2)
    }

    /// Whether no more of the body, or of the chunk, will be read.
    pub(super) fn is_over(&self) -> bool {
        self.over
    }

    /// What is over.
    pub(super) fn what_is_over(&self) -> Over {
        match self.course {
            Course::Data | Course::Chunk { last: true, .. } => Over::Message,
            Course::Chunk { size, .. } => Over::Chunk(size),
        }
    }

    /// Whether the client may wait for what we have said before it sends any of the body.
    pub(super) fn waits_for_us(&self) -> bool {
        self.manner.dotted
    }

    /// Whether the draft has become worthless, and nobody was told. True once.
    pub(super) fn must_discard(&mut self) -> bool {
        let must = self.refusal.is_some() && !self.discarded;
        self.discarded |= must;
        must
    }

    /// Whether there is a draft to throw away when the session ends now.
    pub(super) fn has_draft(&self) -> bool {
        !self.discarded
    }

    /// The reply to a body that is over, and whether the session may go on behind it. `None`: the
    /// body is good.
    pub(super) fn refusal(&self, options: &ServerOptions) -> Option<(Reply, bool)> {
        let (reply, goes_on) = match self.refusal? {
            // Who disputes where a message ends may take what follows for anything; a chunk's end
            // is beyond dispute.
            Refusal::BareByte => (reply::BARE_BYTE, !self.manner.dotted),
            Refusal::TooBig => (reply::TOO_BIG, true),
            Refusal::LongLine => (reply::LONG_TEXT_LINE, true),
            Refusal::Hops => (reply::TOO_MANY_HOPS, true),
            Refusal::NotUtf8 => (reply::NOT_UTF8, true),
        };
        Some((reply, goes_on && !self.is_overrun(options)))
    }

    /// Whether a byte that may not be there is what it is refused for.
    pub(super) fn is_stray(&self) -> bool {
        self.refusal == Some(Refusal::BareByte)
    }

    /// The reply to silence.
    pub(super) fn timed_out(&self) -> Reply {
        if self.waits_behind_false_end() { reply::BARE_BYTE } else { reply::TIMED_OUT }
    }

    /// Whether the client seems to take the body for ended. Where newlines are mended, only a dot
    /// line at the very end says so: there may have been others for good.
    fn waits_behind_false_end(&self) -> bool {
        let behind_dot = matches!(self.place, Place::FalseEnd { .. } | Place::DotCr { .. });
        self.manner.dotted && (behind_dot || self.scanner.has_false_end())
    }

    /// Wire bytes so far, and how many lines were stuffed.
    pub(super) fn count_of_wire(&self) -> (u64, u64) {
        (self.scanner.bytes(), self.scanner.stuffed_lines())
    }

    /// The room of its buffers.
    pub(super) fn buffer_bytes(&self) -> usize {
        self.edited.capacity() + self.header.buffer_bytes()
    }

    /// Bare newlines mended so far.
    pub(super) fn mended(&self) -> u64 {
        self.mended
    }

    /// What its header has and lacks.
    pub(super) fn header(&self) -> HeaderFacts {
        self.header.facts()
    }

    /// Whether the bytes so far came too slowly.
    pub(super) fn is_too_slow(&self, options: &ServerOptions) -> bool {
        self.pace.is_too_slow(self.bytes, options)
    }

    /// How long to wait for the next bytes.
    pub(super) fn patience(&self, options: &ServerOptions) -> Duration {
        let silence = if self.waits_behind_false_end() {
            options.data_timeout.min(FALSE_END_SILENCE)
        } else {
            options.data_timeout
        };
        self.pace.patience(silence, options)
    }
}
