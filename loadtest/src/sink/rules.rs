//! How a sink misbehaves.

use std::str::FromStr;

/// A share of all recipients, and the reply that they get.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    /// 0 to 1.
    pub share: f64,
    /// The reply, without its CRLF.
    pub reply: String,
}

impl FromStr for Refusal {
    type Err = String;

    /// Reads `0.1:550 5.1.1 no`.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "SHARE:REPLY, as in 0.1:\"550 5.1.1 no\"".to_owned();
        let (share, reply) = text.split_once(':').ok_or_else(wrong)?;
        let code = reply.as_bytes().get(..3).unwrap_or_default();
        let is_refusal = code.iter().all(u8::is_ascii_digit)
            && matches!(code.first(), Some(b'4' | b'5'))
            && matches!(reply.as_bytes().get(3), None | Some(b' '));
        if !is_refusal || reply.bytes().any(|byte| byte.is_ascii_control()) {
            return Err(wrong());
        }
        Ok(Self { share: share_of(share)?, reply: reply.to_owned() })
    }
}

/// Reads a number from 0 to 1.
pub(super) fn share_of(text: &str) -> Result<f64, String> {
    let share = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| "a share from 0 to 1".into())
}

/// An extension that a sink may hide.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Extension {
    /// RFC 2920.
    #[value(name = "PIPELINING")]
    Pipelining,
    /// RFC 1870.
    #[value(name = "SIZE")]
    Size,
    /// RFC 6152.
    #[value(name = "8BITMIME")]
    EightBitMime,
}

/// The reply to EHLO.
pub(super) fn extensions(without: &[Extension]) -> String {
    let all = [
        (Extension::Pipelining, "PIPELINING"),
        (Extension::Size, "SIZE"),
        (Extension::EightBitMime, "8BITMIME"),
    ];
    let mut lines = vec!["sink.ringpost.test"];
    lines.extend(all.iter().filter(|(one, _)| !without.contains(one)).map(|(_, name)| *name));
    let last = lines.len() - 1;
    let line = |(number, line): (usize, &&str)| {
        format!("250{}{line}\r\n", if number == last { ' ' } else { '-' })
    };
    lines.iter().enumerate().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_a_share_and_a_negative_reply() {
        let refusal: Refusal = "0.1:550 5.1.1 no".parse().unwrap();
        assert_eq!(refusal, Refusal { share: 0.1, reply: "550 5.1.1 no".into() });
        for wrong in ["550 no", "2:550 no", "0.1:250 ok", "0.1:55", "0.1:550-no", "0.1:550 a\rb"] {
            assert!(wrong.parse::<Refusal>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_hidden_is_not_announced() {
        let all = extensions(&[]);
        assert!(all.contains("250-PIPELINING\r\n") && all.ends_with("250 8BITMIME\r\n"), "{all}");
        let some = extensions(&[Extension::Pipelining, Extension::EightBitMime]);
        assert_eq!(some, "250-sink.ringpost.test\r\n250 SIZE\r\n");
    }
}
