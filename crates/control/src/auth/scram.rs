//! The server's side of SCRAM-SHA-256 (RFC 5802, RFC 7677), without channel binding. Pure but for
//! the nonce, which is passed in.

use super::secret::{ScramKeys, hmac_sha256, sha256};
use aws_lc_rs::constant_time;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// What the client's first message says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct First {
    /// The user's name.
    pub(crate) user: String,
    /// `n,,` or `y,,`, which must come again in base64.
    header: String,
    /// The message without it.
    bare: String,
    nonce: String,
}

/// An exchange whose challenge is out.
#[derive(Debug)]
pub(crate) struct Challenged {
    /// `None`: there is no such user, which the client learns only at the end.
    keys: ScramKeys,
    known: bool,
    header: String,
    nonce: String,
    /// What both sides sign, up to the client's last message.
    signed: String,
}

impl First {
    /// Reads the client's first message; `None` when it is none, or asks for channel binding.
    pub(crate) fn parse(message: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(message).ok()?;
        let mut parts = text.splitn(3, ',');
        let (flag, authorize, bare) = (parts.next()?, parts.next()?, parts.next()?);
        // Somebody else's name to act as: nobody here may.
        if !matches!(flag, "n" | "y") || !authorize.is_empty() {
            return None;
        }
        let mut fields = bare.split(',');
        let user = unescape(fields.next()?.strip_prefix("n=")?)?;
        let nonce = fields.next()?.strip_prefix("r=")?.to_owned();
        let printable = |byte: u8| (0x21..=0x7e).contains(&byte);
        (!nonce.is_empty() && nonce.bytes().all(printable)).then_some(())?;
        Some(Self { user, header: format!("{flag},,"), bare: bare.to_owned(), nonce })
    }

    /// The challenge, with our part of the nonce. `known` is false where `keys` are made up for a
    /// user that does not exist.
    pub(crate) fn challenge(
        self,
        keys: ScramKeys,
        known: bool,
        ours: &str,
    ) -> (Vec<u8>, Challenged) {
        let nonce = format!("{}{ours}", self.nonce);
        let salt = STANDARD.encode(&keys.salt);
        let first = format!("r={nonce},s={salt},i={}", keys.iterations);
        let signed = format!("{},{first}", self.bare);
        (first.into_bytes(), Challenged { keys, known, header: self.header, nonce, signed })
    }
}

impl Challenged {
    /// Judges the client's last message; ours proves that we know the user too.
    pub(crate) fn finish(self, message: &[u8]) -> Option<Vec<u8>> {
        let text = std::str::from_utf8(message).ok()?;
        let (without_proof, proof) = text.rsplit_once(",p=")?;
        let mut fields = without_proof.split(',');
        let binding = STANDARD.decode(fields.next()?.strip_prefix("c=")?).ok()?;
        let nonce = fields.next()?.strip_prefix("r=")?;
        if binding != self.header.as_bytes() || nonce != self.nonce {
            return None;
        }
        let signed = format!("{},{without_proof}", self.signed);
        let signature = hmac_sha256(&self.keys.stored, signed.as_bytes());
        let proof: [u8; 32] = STANDARD.decode(proof).ok()?.try_into().ok()?;
        let mut key = [0; 32];
        for (index, byte) in key.iter_mut().enumerate() {
            *byte = proof[index] ^ signature[index];
        }
        let good = constant_time::verify_slices_are_equal(&sha256(&key), &self.keys.stored).is_ok();
        let ours = STANDARD.encode(hmac_sha256(&self.keys.server, signed.as_bytes()));
        (good && self.known).then(|| format!("v={ours}").into_bytes())
    }
}

/// A name with `=2C` and `=3D` as comma and equals sign (RFC 5802 §5.1).
fn unescape(name: &str) -> Option<String> {
    let mut parts = name.split('=');
    let mut plain = parts.next()?.to_owned();
    for part in parts {
        let (sign, rest) = match part.get(..2)? {
            "2C" => (',', &part[2..]),
            "3D" => ('=', &part[2..]),
            _ => return None,
        };
        plain.push(sign);
        plain.push_str(rest);
    }
    (!plain.is_empty()).then_some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::num::NonZeroU32;

    /// The exchange of RFC 7677 §3.
    const CLIENT_FIRST: &[u8] = b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
    const OURS: &str = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
    const SERVER_FIRST: &[u8] = b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
        s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
    const CLIENT_FINAL: &[u8] = b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
        p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
    const SERVER_FINAL: &[u8] = b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";

    fn challenged(known: bool) -> Challenged {
        let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").expect("good");
        let iterations = NonZeroU32::new(4096).expect("not zero");
        let keys = ScramKeys::of(b"pencil", &salt, iterations);
        let first = First::parse(CLIENT_FIRST).expect("good");
        assert_eq!(first.user, "user");
        let (message, challenged) = first.challenge(keys, known, OURS);
        assert_eq!(message, SERVER_FIRST);
        challenged
    }

    #[test]
    fn the_exchange_of_rfc_7677_succeeds() {
        assert_eq!(challenged(true).finish(CLIENT_FINAL).as_deref(), Some(SERVER_FINAL));
    }

    #[test]
    fn a_wrong_proof_nonce_or_binding_and_an_unknown_user_fail() {
        assert_eq!(challenged(false).finish(CLIENT_FINAL), None);
        let change = |from: &str, to: &str| {
            let text = std::str::from_utf8(CLIENT_FINAL).expect("ASCII").replace(from, to);
            challenged(true).finish(text.as_bytes())
        };
        assert_eq!(change("p=dH", "p=eH"), None);
        assert_eq!(change("r=rO", "r=rP"), None);
        assert_eq!(change("c=biws", "c=eSws"), None);
        assert_eq!(change(",p=", ",q="), None);
    }

    #[test]
    fn first_messages_that_make_no_sense_are_refused() {
        for message in [
            "",
            "n,,",
            "n,,n=user",
            "p=tls-unique,,n=user,r=x",
            "n,a=other,n=user,r=x",
            "n,,n=us=er,r=x",
            "n,,n=,r=x",
            "n,,n=user,r=",
        ] {
            assert_eq!(First::parse(message.as_bytes()), None, "{message}");
        }
        let first = First::parse(b"y,,n=a=2Cb=3Dc,r=x").expect("good");
        assert_eq!(first.user, "a,b=c");
    }
}
