//! Messages that can be told apart, and told from damaged ones.

use mail::{BodyKind, ForwardPath, ReversePath};
use reactor::sim::Chance;
use smtp::Transaction;

/// Where the mail goes, by what awaits it there.
pub(crate) const DOMAINS: [&str; 4] = [
    // By a route to one host.
    "smart.example",
    // By MX, two hosts.
    "mx.example",
    // By MX, to a host that is away until the end.
    "away.example",
    // Does not exist: bounces.
    "nowhere.example",
];

/// Where nobody relays to.
const STRANGERS: &str = "stranger.example";

/// The domain of the senders, where reports go.
pub(crate) const SENDERS: &str = "sender.example";

/// Larger bodies are streamed to the spool while they come (96 KiB): some are.
const LARGE_BYTES: u64 = 300 << 10;

/// Bytes of a line at most, CRLF aside.
const LINE_BYTES: usize = 128;

/// What is wrong with a message that must be refused: no byte sequence may be one message here and
/// two messages downstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spoilt {
    /// A NUL.
    Nul,
    /// A line that ends with LF alone.
    BareLf,
    /// A CR in a line.
    BareCr,
    /// `LF . CRLF`, which some take for the end.
    FalseEnd,
}

/// A message of the workload.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    /// Its number, unique in a run.
    pub(crate) number: u32,
    /// Nobody, now and then.
    pub(crate) has_sender: bool,
    /// Indexes into [`DOMAINS`], one a recipient.
    pub(crate) domains: Vec<usize>,
    /// It also names a stranger, for whom nothing is relayed.
    pub(crate) stranger: bool,
    /// It must be refused.
    pub(crate) spoilt: Option<Spoilt>,
    /// In wire form: dot-stuffed, lines end with CRLF, without the terminator.
    pub(crate) body: Vec<u8>,
}

impl Message {
    /// Message `number` of the run of `seed`.
    #[cfg(test)]
    pub(crate) fn new(seed: u64, number: u32) -> Self {
        Self::of_size(seed, number, 0)
    }

    /// Message `number` of the run of `seed`, with a body of about `bytes` at least.
    pub(crate) fn of_size(seed: u64, number: u32, bytes: u64) -> Self {
        let mut chance = Chance::new(seed.rotate_left(32) ^ u64::from(number));
        let has_sender = !chance.hits(0.1);
        // A bounce of a message without a sender could not be told from a loss.
        let domains = if has_sender { DOMAINS.len() } else { DOMAINS.len() - 1 };
        let count = if chance.hits(0.3) { 2 + chance.below(4) } else { 1 };
        let domains = (0..count).map(|_| chance.below(domains as u64) as usize).collect();
        let stranger = chance.hits(0.1);
        let spoilt = chance.hits(0.04).then(|| spoilt(&mut chance));
        let mut body = body(number, bytes, &mut chance);
        spoilt.into_iter().for_each(|spoilt| spoilt.spoil(&mut body));
        Self { number, has_sender, domains, stranger, spoilt, body }
    }

    /// The address of a recipient.
    pub(crate) fn recipient(&self, index: usize) -> String {
        format!("r{index}.{}@{}", self.number, DOMAINS[self.domains[index]])
    }

    /// What the client asks for.
    pub(crate) fn transaction(&self) -> Transaction {
        let good = "the workload writes good addresses";
        let sender = format!("s{}@{SENDERS}", self.number);
        let reverse_path = if self.has_sender { sender.as_str() } else { "" };
        let recipients = (0..self.domains.len()).map(|index| self.recipient(index));
        let stranger = self.stranger.then(|| format!("x{}@{STRANGERS}", self.number));
        let recipients = recipients.chain(stranger);
        let recipients = recipients.map(|text| ForwardPath::parse(&text).expect(good)).collect();
        let reverse_path = ReversePath::parse(reverse_path).expect(good);
        let transaction = Transaction::new(reverse_path, recipients, self.body.len() as u64);
        let stuffed = self.body.windows(2).any(|pair| pair == b"\n.");
        Transaction { body: BodyKind::EightBitMime, plain: !stuffed, ..transaction }
    }
}

/// The number of the message and the index of the recipient that an address was made for.
pub(crate) fn read_recipient(address: &str) -> Option<(u32, usize)> {
    let (index, rest) = address.strip_prefix('r')?.split_once('.')?;
    let (number, domain) = rest.split_once('@')?;
    DOMAINS.contains(&domain).then_some(())?;
    Some((number.parse().ok()?, index.parse().ok()?))
}

/// The number of the message that an address of a sender was made for.
pub(crate) fn read_sender(address: &str) -> Option<u32> {
    let (number, domain) = address.strip_prefix('s')?.split_once('@')?;
    (domain == SENDERS).then_some(())?;
    number.parse().ok()
}

/// A body as `received` by a next hop, without the field that the relay put above it.
pub(crate) fn without_trace(received: &[u8]) -> &[u8] {
    let mut rest = received;
    let mut first = true;
    loop {
        let end = rest.windows(2).position(|pair| pair == b"\r\n").map_or(rest.len(), |at| at + 2);
        let folded = rest.starts_with(b"\t") || rest.starts_with(b" ");
        let is_trace = if first { rest.starts_with(b"Received:") } else { folded };
        if !is_trace || end == 0 {
            return rest;
        }
        first = false;
        rest = &rest[end..];
    }
}

impl Spoilt {
    /// Puts it into the middle of `body`.
    fn spoil(self, body: &mut Vec<u8>) {
        let bytes: &[u8] = match self {
            Self::Nul => b"\0",
            Self::BareLf => b"x\ny",
            Self::BareCr => b"x\ry",
            Self::FalseEnd => b"x\n.\r\n",
        };
        let at = body.len() / 2;
        // Not between a CR and its LF, which would spoil it in another way.
        let at = if body[at - 1] == b'\r' { at + 1 } else { at };
        body.splice(at..at, bytes.iter().copied());
    }
}

fn spoilt(chance: &mut Chance) -> Spoilt {
    [Spoilt::Nul, Spoilt::BareLf, Spoilt::BareCr, Spoilt::FalseEnd][chance.below(4) as usize]
}

fn body(number: u32, least: u64, chance: &mut Chance) -> Vec<u8> {
    let length = match chance.below(10) {
        0 => 0,
        1 => 96 * 1024 - 200 + chance.below(400),
        2 => chance.below(LARGE_BYTES),
        _ => chance.below(8000),
    };
    let mut body = format!("Subject: simulated {number}\r\n\r\n").into_bytes();
    let end = body.len() + length.max(least) as usize;
    body.reserve(end + LINE_BYTES + 4 - body.len());
    while body.len() < end {
        let bits = chance.bits();
        if bits.is_multiple_of(20) {
            body.extend_from_slice(b"..");
        }
        line(bits, &mut body);
        body.extend_from_slice(b"\r\n");
    }
    body
}

/// A line of letters that depends on `bits`, and no other bits give.
fn line(mut bits: u64, body: &mut Vec<u8>) {
    const LETTERS: &[u8; 16] = b"abcdefghijklmnop";
    for _ in 0..1 + (bits >> 8) % (LINE_BYTES as u64 / 16) {
        let mut word = [0; 16];
        for (place, letter) in word.iter_mut().enumerate() {
            *letter = LETTERS[(bits >> (4 * place) & 15) as usize];
        }
        body.extend_from_slice(&word);
        bits = bits.rotate_left(7) ^ 0x55;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_the_same_each_time_and_unlike_any_other() {
        let body = |seed, number| Message::new(seed, number).body;
        assert_eq!(body(1, 2), body(1, 2));
        assert_ne!(body(1, 2), body(1, 3));
        assert_ne!(Message::new(1, 2).body, Message::new(2, 2).body);
    }

    #[test]
    fn a_spoilt_message_has_a_byte_that_no_message_may_have() {
        let whole = Message::new(1, 2).body;
        for spoilt in [Spoilt::Nul, Spoilt::BareLf, Spoilt::BareCr, Spoilt::FalseEnd] {
            let mut body = whole.clone();
            spoilt.spoil(&mut body);
            let lines = String::from_utf8(body).expect("letters").replace("\r\n", "");
            assert!(lines.contains(['\0', '\r', '\n']), "{spoilt:?}");
        }
    }

    #[test]
    fn an_address_tells_message_and_recipient() {
        let message = Message { domains: vec![0, 2], ..Message::new(1, 77) };
        assert_eq!(read_recipient(&message.recipient(1)), Some((77, 1)));
        assert_eq!(read_recipient("s77@sender.example"), None);
        assert_eq!(read_sender("s77@sender.example"), Some(77));
        assert_eq!(read_recipient("r1.77@other.example"), None);
    }

    #[test]
    fn only_the_first_received_field_is_taken_off() {
        let received = b"Received: from a\r\n\tby b;\r\n now\r\nReceived: older\r\nSubject: x\r\n";
        assert_eq!(without_trace(received), b"Received: older\r\nSubject: x\r\n");
        assert_eq!(without_trace(b"Subject: x\r\n"), b"Subject: x\r\n");
        assert_eq!(without_trace(b""), b"");
    }
}
