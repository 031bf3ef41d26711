//! Counts the Received fields of a header as the body passes (RFC 5321 §6.3).

/// What is counted, in lower case.
const NAME: &[u8] = b"received:";

/// A counter that is fed a body in wire form, in any chunks.
#[derive(Clone, Debug)]
pub(super) struct HopCounter {
    hops: u32,
    place: Place,
}

/// Where in the header the counter is.
#[derive(Clone, Copy, Debug)]
enum Place {
    /// At the beginning of a line.
    LineStart,
    /// So many bytes of a line are those of [`NAME`].
    Name(usize),
    /// In a line that is decided.
    Line,
    /// Behind the empty line.
    Content,
}

impl HopCounter {
    pub(super) fn new() -> Self {
        Self { hops: 0, place: Place::LineStart }
    }

    /// Received fields so far.
    pub(super) fn hops(&self) -> u32 {
        self.hops
    }

    /// Looks at the next bytes of the body.
    pub(super) fn feed(&mut self, mut bytes: &[u8]) {
        while let Some((&byte, rest)) = bytes.split_first() {
            self.place = match self.place {
                Place::Content => return,
                Place::Line => match scan::first_line(bytes) {
                    Some(line) => {
                        bytes = &bytes[line.consumed..];
                        self.place = Place::LineStart;
                        continue;
                    }
                    None => return,
                },
                Place::LineStart => match byte {
                    b'\r' => Place::Content,
                    // Dot-stuffing hides no field.
                    b'.' => Place::Name(0),
                    _ => Self::matched(0, byte),
                },
                // Left for the arm above: the byte may be the end of the line.
                Place::Name(n) if NAME[n] != byte.to_ascii_lowercase() => {
                    self.place = Place::Line;
                    continue;
                }
                Place::Name(n) => Self::matched(n, byte),
            };
            if let Place::Name(n) = self.place
                && n == NAME.len()
            {
                self.hops = self.hops.saturating_add(1);
                self.place = Place::Line;
            }
            bytes = rest;
        }
    }

    /// The place behind `byte`, when `n` bytes of the name stand before it.
    fn matched(n: usize, byte: u8) -> Place {
        if NAME[n] == byte.to_ascii_lowercase() { Place::Name(n + 1) } else { Place::Line }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &[u8] = b"Received: a\r\n\tReceived: folded\r\nRECEIVED:b\r\n.Received: dot\r\n\
        ReceivedX: c\r\nX: Received: d\r\nrec\r\nreceived: e\r\n\r\nReceived: body\r\n";

    #[test]
    fn received_fields_are_counted_in_the_header_only_however_it_is_cut() {
        for cut in 0..HEADER.len() {
            let mut counter = HopCounter::new();
            counter.feed(&HEADER[..cut]);
            counter.feed(&HEADER[cut..]);
            assert_eq!(counter.hops(), 4, "cut at {cut}");
        }
        let mut counter = HopCounter::new();
        HEADER.iter().for_each(|byte| counter.feed(std::slice::from_ref(byte)));
        assert_eq!(counter.hops(), 4);
    }
}
