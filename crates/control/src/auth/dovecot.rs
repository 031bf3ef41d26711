//! Dovecot's auth socket: its client protocol, version 1 (`doc/auth-protocol.txt` of Dovecot).
//!
//! One connection an exchange: exchanges are rare, and a connection that is closed ends its own.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lookup::Mechanism;
use std::net::IpAddr;
use std::path::Path;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;

/// The longest line that is read: a SASL challenge in base64 is far below.
const LINE_BYTES_MAX: u64 = 16 << 10;

/// Lines of the greeting at most.
const GREETING_LINES_MAX: usize = 200;

/// An exchange with Dovecot.
pub(super) struct Exchange {
    stream: BufReader<UnixStream>,
}

/// What Dovecot says to a step.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// The client must answer this.
    Challenge(Vec<u8>),
    /// The client is this user.
    Accepted(String),
    /// It is not.
    Refused,
    /// Dovecot cannot say now.
    Unavailable(String),
}

impl Exchange {
    /// Connects and greets.
    pub(super) async fn begin(socket: &Path) -> Result<Self, String> {
        let failed = |error: std::io::Error| format!("{}: {error}", socket.display());
        let stream = UnixStream::connect(socket).await.map_err(failed)?;
        let mut exchange = Self { stream: BufReader::new(stream) };
        let hello = format!("VERSION\t1\t1\nCPID\t{}\n", std::process::id());
        exchange.stream.write_all(hello.as_bytes()).await.map_err(failed)?;
        for _ in 0..GREETING_LINES_MAX {
            let line = exchange.line().await?;
            let mut words = line.split('\t');
            match (words.next(), words.next()) {
                (Some("VERSION"), Some(version)) if version != "1" => {
                    return Err(format!("Dovecot speaks version {version} of its auth protocol"));
                }
                (Some("DONE"), _) => return Ok(exchange),
                _ => {}
            }
        }
        Err("Dovecot's greeting does not end".into())
    }

    /// The first step.
    pub(super) async fn start(
        &mut self,
        mechanism: Mechanism,
        initial: Option<&[u8]>,
        client: IpAddr,
    ) -> Said {
        // `resp=` must come last. The relay lets nobody authenticate in the clear.
        let mut line = format!("AUTH\t1\t{mechanism}\tservice=smtp\tsecured\trip={client}");
        if let Some(initial) = initial {
            line.push_str("\tresp=");
            line.push_str(&STANDARD.encode(initial));
        }
        self.ask(&line).await
    }

    /// A further step.
    pub(super) async fn go_on(&mut self, response: &[u8]) -> Said {
        self.ask(&format!("CONT\t1\t{}", STANDARD.encode(response))).await
    }

    async fn ask(&mut self, line: &str) -> Said {
        if let Err(error) = self.stream.write_all(format!("{line}\n").as_bytes()).await {
            return Said::Unavailable(error.to_string());
        }
        match self.line().await {
            Ok(line) => understand(&line),
            Err(why) => Said::Unavailable(why),
        }
    }

    async fn line(&mut self) -> Result<String, String> {
        let mut line = String::new();
        let mut limited = (&mut self.stream).take(LINE_BYTES_MAX);
        match limited.read_line(&mut line).await {
            Ok(_) if line.ends_with('\n') => {
                line.pop();
                Ok(line)
            }
            Ok(_) => Err("Dovecot has closed its auth socket, or its line is too long".into()),
            Err(error) => Err(format!("Dovecot's auth socket: {error}")),
        }
    }
}

fn understand(line: &str) -> Said {
    let mut words = line.split('\t');
    let (verb, id) = (words.next().unwrap_or_default(), words.next());
    if id != Some("1") {
        return Said::Unavailable("Dovecot answered another request".into());
    }
    match verb {
        "OK" => match words.find_map(|word| word.strip_prefix("user=")) {
            Some(user) => Said::Accepted(user.to_owned()),
            None => Said::Unavailable("Dovecot accepted nobody".into()),
        },
        "CONT" => match STANDARD.decode(words.next().unwrap_or_default()) {
            Ok(challenge) => Said::Challenge(challenge),
            Err(_) => Said::Unavailable("Dovecot's challenge is not base64".into()),
        },
        "FAIL" => {
            let words: Vec<&str> = words.collect();
            let reason = words.iter().find_map(|word| word.strip_prefix("reason="));
            let code = words.iter().find_map(|word| word.strip_prefix("code="));
            if words.contains(&"temp") || code == Some("temp_fail") {
                Said::Unavailable(reason.unwrap_or("Dovecot has a temporary failure").to_owned())
            } else {
                Said::Refused
            }
        }
        _ => Said::Unavailable("Dovecot's answer is not understood".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_understood_and_strange_ones_are_no_refusal() {
        assert_eq!(understand("OK\t1\tuser=ann\tx"), Said::Accepted("ann".into()));
        assert_eq!(understand("CONT\t1\tYQ=="), Said::Challenge(b"a".to_vec()));
        assert_eq!(understand("FAIL\t1\tuser=ann"), Said::Refused);
        for line in ["FAIL\t1\tuser=a\ttemp", "OK\t2\tuser=a", "OK\t1", "CONT\t1\t!", "", "X\t1"] {
            assert!(matches!(understand(line), Said::Unavailable(_)), "{line}");
        }
    }
}
