//! Whatever comes on the port, the relay answers or closes, and lives.

use crate::peers::{Client, sent};
use crate::relay::{Port, Setup, Site, with_each_reactor};
use crate::sink::Sink;
use std::net::Shutdown;

/// Connections that talk nonsense.
const CONNECTIONS: u64 = 60;

#[test]
fn random_bytes_get_replies_or_a_close_and_the_relay_lives() {
    with_each_reactor(|reactor| {
        let next = Port::free();
        let sink = Sink::start(&next);
        let site = Site::new(&Setup::new(reactor, &next));
        let relay = site.start();
        for seed in 1..=CONNECTIONS {
            let mut client = Client::connect(site.smtp()).expect("a connection");
            // The relay may have had enough before all is said.
            drop(client.say(&noise(seed)));
            drop(client.stream().shutdown(Shutdown::Write));
            let said = client.rest().expect("replies or a close, no silence");
            let lines: Vec<&str> = said.lines().collect();
            for line in &lines {
                let code = line.get(..3).is_some_and(|code| code.parse::<u16>().is_ok());
                assert!(code, "seed {seed}: no reply: {line:?}");
            }
        }
        sent(site.smtp(), "a@client.example", "b@example.net", "Subject: calm\r\n\r\n");
        let received = sink.until_count(1);
        assert!(received.iter().any(|message| message.text().contains("Subject: calm")));
        assert!(!relay.said().contains("panicked"), "a thread died");
        relay.stop();
    });
}

/// Up to 40,000 bytes that are a function of `seed`: every third begins as mail does, every other
/// has line ends in it.
fn noise(seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut random = move || {
        // xorshift64 (Marsaglia 2003)
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut bytes = match seed % 3 {
        0 => b"EHLO x\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n".to_vec(),
        1 => b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc".to_vec(),
        _ => Vec::new(),
    };
    let length = random() % 40_000;
    while (bytes.len() as u64) < length {
        bytes.extend_from_slice(&random().to_le_bytes());
        if seed.is_multiple_of(2) && random().is_multiple_of(16) {
            bytes.extend_from_slice(b"\r\n");
        }
    }
    bytes
}
