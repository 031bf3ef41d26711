//! Looks at the header of a message as it passes: what it has, what it lacks, its hops.

use super::utf8::Utf8Watch;
use mail::Domain;

/// Names longer than this are none that we look for.
const NAME_BYTES_MAX: usize = 16;

/// A From field of more than this is not read to its end.
const FROM_BYTES_MAX: usize = 2048;

/// What a header has and lacks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeaderFacts {
    /// Whether it has a Date field (RFC 5322 §3.6.1 wants one).
    pub has_date: bool,
    /// Whether it has a Message-ID field (RFC 5322 §3.6.4 would like one).
    pub has_message_id: bool,
    /// Received fields (RFC 5321 §6.3).
    pub hops: u32,
    /// Whether it has other than ASCII characters, so that it needs SMTPUTF8 onward (RFC 6532).
    pub non_ascii: bool,
    /// The domain of the first mailbox of the first From field, where it can be read.
    pub from_domain: Option<Domain>,
}

/// A reader that is fed a body in wire form, in any chunks.
#[derive(Clone, Debug)]
pub(super) struct HeaderReader {
    facts: HeaderFacts,
    place: Place,
    /// The name of the field under way, in lower case.
    name: [u8; NAME_BYTES_MAX],
    /// Whether the lines under way belong to the first From field.
    in_from: bool,
    /// Its value so far; `None` until it comes.
    from: Option<Vec<u8>>,
    utf8: Utf8Watch,
}

/// Where in the header the reader is.
#[derive(Clone, Copy, Debug)]
enum Place {
    /// At the beginning of a line, behind the dot of transparency if `dotted`.
    LineStart { dotted: bool },
    /// In the name of a field, so many bytes of which are known.
    Name(usize),
    /// In the rest of a line.
    Line,
    /// Behind the empty line.
    Content,
}

impl HeaderReader {
    pub(super) fn new() -> Self {
        Self {
            facts: HeaderFacts::default(),
            place: Place::LineStart { dotted: false },
            name: [0; NAME_BYTES_MAX],
            in_from: false,
            from: None,
            utf8: Utf8Watch::default(),
        }
    }

    /// Received fields so far.
    pub(super) fn hops(&self) -> u32 {
        self.facts.hops
    }

    /// The room of its buffers.
    pub(super) fn buffer_bytes(&self) -> usize {
        self.from.as_ref().map_or(0, Vec::capacity) + self.utf8.buffer_bytes()
    }

    /// Whether something in it so far is not UTF-8.
    pub(super) fn is_not_utf8(&self) -> bool {
        self.utf8.is_broken()
    }

    /// All that is known once the body has ended.
    pub(super) fn facts(&self) -> HeaderFacts {
        let from_domain = self.from.as_deref().and_then(first_domain);
        HeaderFacts { from_domain, ..self.facts.clone() }
    }

    /// Looks at the next bytes of the body.
    pub(super) fn feed(&mut self, mut bytes: &[u8]) {
        while let Some(&byte) = bytes.first() {
            let taken = match self.place {
                Place::Content => return,
                Place::LineStart { dotted } => {
                    self.begin_line(byte, dotted);
                    1
                }
                Place::Name(known) => {
                    self.go_on_with_name(byte, known);
                    1
                }
                Place::Line => self.pass_line(bytes),
            };
            self.watch(&bytes[..taken]);
            bytes = &bytes[taken..];
        }
    }

    fn watch(&mut self, bytes: &[u8]) {
        self.facts.non_ascii |= !bytes.is_ascii();
        self.utf8.feed(bytes);
    }

    fn begin_line(&mut self, byte: u8, dotted: bool) {
        self.place = match byte {
            b'\r' if !dotted => Place::Content,
            // Dot-stuffing hides no field.
            b'.' if !dotted => Place::LineStart { dotted: true },
            // A folded line belongs to the field before it (RFC 5322 §2.2.3).
            b' ' | b'\t' | b'\r' => Place::Line,
            _ => {
                self.in_from = false;
                self.name[0] = byte.to_ascii_lowercase();
                Place::Name(1)
            }
        };
    }

    fn go_on_with_name(&mut self, byte: u8, known: usize) {
        self.place = match byte {
            b':' => {
                self.name_field(known);
                Place::Line
            }
            // Only the end of a line can be told by its LF.
            b'\n' => Place::LineStart { dotted: false },
            _ if known == NAME_BYTES_MAX => Place::Line,
            _ => {
                self.name[known] = byte.to_ascii_lowercase();
                Place::Name(known + 1)
            }
        };
    }

    /// RFC 5322 §4.5: blanks before the colon were allowed once.
    fn name_field(&mut self, known: usize) {
        match self.name[..known].trim_ascii_end() {
            b"received" => self.facts.hops = self.facts.hops.saturating_add(1),
            b"date" => self.facts.has_date = true,
            b"message-id" => self.facts.has_message_id = true,
            b"from" if self.from.is_none() => {
                self.from = Some(Vec::new());
                self.in_from = true;
            }
            _ => {}
        }
    }

    /// Passes the rest of a line, as far as it is here; how many bytes of it that is.
    fn pass_line(&mut self, bytes: &[u8]) -> usize {
        let line = scan::first_line(bytes);
        let taken = line.map_or(bytes.len(), |line| line.consumed);
        if line.is_some() {
            self.place = Place::LineStart { dotted: false };
        }
        if let (true, Some(from)) = (self.in_from, &mut self.from) {
            let room = FROM_BYTES_MAX.saturating_sub(from.len());
            from.extend_from_slice(&bytes[..taken.min(room)]);
        }
        taken
    }
}

/// The domain of the first mailbox in the value of a From field (RFC 5322 §3.4): of what stands in
/// the first angle brackets, or else of all up to the first comma.
fn first_domain(value: &[u8]) -> Option<Domain> {
    let value = std::str::from_utf8(value).ok()?;
    let mut address = String::new();
    let (mut quoted, mut escaped, mut depth) = (false, false, 0u32);
    for c in value.chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted || depth > 0 => escaped = true,
            '"' if depth == 0 => quoted = !quoted,
            _ if quoted => {}
            '(' => depth += 1,
            ')' if depth > 0 => depth -= 1,
            _ if depth > 0 => {}
            '<' => address.clear(),
            '>' | ',' => break,
            _ if c.is_whitespace() => {}
            _ => address.push(c),
        }
    }
    let (_, domain) = address.rsplit_once('@')?;
    Domain::parse(domain).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &[u8] = b"Received: a\r\n\tReceived: folded\r\nRECEIVED:b\r\n.Received: dot\r\n\
        ReceivedX: c\r\nX: Received: d\r\nrec\r\nreceived : e\r\nFrom: \"x@y\" (<c@d>)\r\n \
        <a@B.example>, e@f\r\nFrom: g@h\r\nX-Date: no\r\nDATE: today\r\n.. not the end\r\n\
        A-very-long-name-of-a-field: x\r\nMessage-Id: <i@j>\r\n\r\nReceived: body \xff\r\n";

    fn read(pieces: &[&[u8]]) -> HeaderFacts {
        let mut reader = HeaderReader::new();
        pieces.iter().for_each(|piece| reader.feed(piece));
        assert!(!reader.is_not_utf8());
        reader.facts()
    }

    #[test]
    fn a_header_is_read_the_same_however_it_is_cut() {
        let expected = HeaderFacts {
            has_date: true,
            has_message_id: true,
            hops: 4,
            non_ascii: false,
            from_domain: Some(Domain::parse("b.example").expect("a domain")),
        };
        for cut in 0..HEADER.len() {
            let (one, other) = HEADER.split_at(cut);
            assert_eq!(read(&[one, other]), expected, "cut at {cut}");
        }
        let bytes: Vec<&[u8]> = HEADER.chunks(1).collect();
        assert_eq!(read(&bytes), expected);
    }

    #[test]
    fn letters_are_seen_in_the_header_only() {
        assert!(!read(&[b"Subject: x\r\n\r\n\xc3\xa4\r\n"]).non_ascii);
        let facts = read(&[b"Subject: \xc3", b"\xa4\r\n\r\nx\r\n"]);
        assert!(facts.non_ascii && !facts.has_date && !facts.has_message_id);
        let mut reader = HeaderReader::new();
        reader.feed(b"Subject: \xc3\r\n");
        assert!(reader.is_not_utf8(), "half a character at the end of a line");
    }

    #[test]
    fn the_domain_of_from_is_that_of_its_first_mailbox() {
        let domain = |value: &str| first_domain(value.as_bytes()).map(|d| d.to_string());
        assert_eq!(domain(" a@b.example\r\n").as_deref(), Some("b.example"));
        assert_eq!(domain(" a@b, c@d").as_deref(), Some("b"));
        assert_eq!(domain(" \"q\\\"@x\" <\"@y\"@z>").as_deref(), Some("z"));
        assert_eq!(domain(" (c@d (e)) a@b").as_deref(), Some("b"));
        assert_eq!(domain(" a @ b (x)\r\n").as_deref(), Some("b"));
        for none in ["", "nobody", "<>", "a@", "\"a@b\"", "a@b c d@e f"] {
            assert_eq!(domain(none), (none == "a@b c d@e f").then(|| "ef".to_owned()), "{none}");
        }
    }
}
