//! What a peer's EHLO offered.

use super::options::ClientOptions;

/// The extensions of a peer that we know how to use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extensions {
    /// Whether the peer took EHLO (or LHLO); all else is absent after HELO.
    pub esmtp: bool,
    /// PIPELINING (RFC 2920).
    pub pipelining: bool,
    /// 8BITMIME (RFC 6152).
    pub eight_bit_mime: bool,
    /// ENHANCEDSTATUSCODES (RFC 2034).
    pub enhanced_status_codes: bool,
    /// SIZE (RFC 1870): the largest message in bytes, 0 when the peer names no limit.
    pub size: Option<u64>,
    /// CHUNKING (RFC 3030).
    pub chunking: bool,
    /// STARTTLS (RFC 3207).
    pub starttls: bool,
    /// DSN (RFC 3461).
    pub dsn: bool,
    /// SMTPUTF8 (RFC 6531).
    pub utf8: bool,
    /// AUTH (RFC 4954), with these mechanisms.
    pub auth: Option<Mechanisms>,
    /// LIMITS RCPTMAX (RFC 9422): recipients of one message.
    pub recipients_max: Option<u32>,
    /// LIMITS MAILMAX (RFC 9422): messages of one session.
    pub messages_max: Option<u32>,
}

/// SASL mechanisms that we know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mechanisms {
    /// PLAIN (RFC 4616).
    pub plain: bool,
    /// LOGIN (draft-murchison-sasl-login).
    pub login: bool,
    /// SCRAM-SHA-256 (RFC 7677).
    pub scram_sha_256: bool,
    /// XOAUTH2 (Google, Microsoft).
    pub xoauth2: bool,
}

impl Extensions {
    /// Reads the lines of an EHLO reply; the first, with the peer's name, says nothing.
    pub(super) fn parse(text: &str) -> Self {
        let mut found = Self { esmtp: true, ..Self::default() };
        for line in text.split('\n').skip(1) {
            let mut words = line.split_ascii_whitespace();
            let keyword = words.next().unwrap_or_default();
            found.note(&keyword.to_ascii_uppercase(), words);
        }
        found
    }

    /// Only what may be used with this peer.
    pub(super) fn within(self, options: &ClientOptions) -> Self {
        Self {
            pipelining: self.pipelining && options.pipelining,
            chunking: self.chunking && options.chunking,
            dsn: self.dsn && options.dsn,
            utf8: self.utf8 && options.utf8,
            ..self
        }
    }

    fn note<'a>(&mut self, keyword: &str, mut words: impl Iterator<Item = &'a str>) {
        match keyword {
            "PIPELINING" => self.pipelining = true,
            "8BITMIME" => self.eight_bit_mime = true,
            "ENHANCEDSTATUSCODES" => self.enhanced_status_codes = true,
            // An unreadable limit is as none: the peer says 552 when it must.
            "SIZE" => self.size = Some(words.next().and_then(|n| n.parse().ok()).unwrap_or(0)),
            "CHUNKING" => self.chunking = true,
            "STARTTLS" => self.starttls = true,
            "DSN" => self.dsn = true,
            "SMTPUTF8" => self.utf8 = true,
            "AUTH" => words.for_each(|name| self.auth.get_or_insert_default().note(name)),
            "LIMITS" => words.for_each(|limit| self.note_limit(limit)),
            // The old form of AUTH, `AUTH=PLAIN LOGIN`, is still said beside the new one.
            _ => {}
        }
    }

    /// A limit of zero, or one that is no number, is none.
    fn note_limit(&mut self, limit: &str) {
        let Some((name, number)) = limit.split_once('=') else { return };
        let number = number.parse().ok().filter(|number| *number > 0);
        match name.to_ascii_uppercase().as_str() {
            "RCPTMAX" => self.recipients_max = number,
            "MAILMAX" => self.messages_max = number,
            _ => {}
        }
    }
}

impl Mechanisms {
    fn note(&mut self, name: &str) {
        match name.to_ascii_uppercase().as_str() {
            "PLAIN" => self.plain = true,
            "LOGIN" => self.login = true,
            "SCRAM-SHA-256" => self.scram_sha_256 = true,
            "XOAUTH2" => self.xoauth2 = true,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_offered_is_read_whatever_stands_beside_it() {
        let found = Extensions::parse(
            "mx.example hello\npipelining\nSIZE 1000\nCHUNKING\nSTARTTLS\nDSN\nSMTPUTF8\n\
             AUTH PLAIN X-NEW login\nAUTH=CRAM-MD5\nLIMITS MAILMAX=10 rcptmax=0 X=1\nXYZZY",
        );
        let auth = Mechanisms { plain: true, login: true, ..Mechanisms::default() };
        let expected = Extensions {
            esmtp: true,
            pipelining: true,
            size: Some(1000),
            chunking: true,
            starttls: true,
            dsn: true,
            utf8: true,
            auth: Some(auth),
            messages_max: Some(10),
            ..Extensions::default()
        };
        assert_eq!(found, expected);
    }
}
