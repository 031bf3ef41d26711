//! What a users table keeps of a password.

use argon2::Argon2;
use argon2::password_hash::PasswordVerifier;
use aws_lc_rs::{constant_time, digest, hmac, pbkdf2};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::num::NonZeroU32;

/// What is kept of a password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Secret {
    /// An argon2id hash in PHC form, `$argon2id$v=19$m=…,t=…,p=…$salt$hash`.
    Argon2(Box<str>),
    /// Keys for SCRAM-SHA-256 (RFC 5803), `SCRAM-SHA-256$iterations:salt$stored:server`.
    Scram(ScramKeys),
}

/// The keys of RFC 5802 §3.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ScramKeys {
    pub(crate) iterations: NonZeroU32,
    pub(crate) salt: Box<[u8]>,
    pub(crate) stored: [u8; 32],
    pub(crate) server: [u8; 32],
}

/// A hash takes this much memory at most: one that wants more is a mistake, or an attack.
const ARGON2_MEMORY_KIB_MAX: u32 = 1 << 20;

/// RFC 7677 §4 wants 4,096 iterations at least; these are above any in use.
const ITERATIONS_MAX: u32 = 10_000_000;

impl Secret {
    /// The secret that `text` is, or what is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        if let Some(keys) = text.strip_prefix("SCRAM-SHA-256$") {
            let keys = ScramKeys::parse(keys);
            return keys.map(Self::Scram).ok_or("its SCRAM keys are not those of RFC 5803");
        }
        if !text.starts_with("$argon2id$") {
            return Err("its hash is neither `$argon2id$…` nor `SCRAM-SHA-256$…`");
        }
        let memory = text.split(['$', ',']).find_map(|part| part.strip_prefix("m="));
        let memory: Option<u32> = memory.and_then(|memory| memory.parse().ok());
        match memory {
            Some(memory) if memory <= ARGON2_MEMORY_KIB_MAX => Ok(Self::Argon2(text.into())),
            Some(_) => Err("its argon2id hash wants over 1 GiB of memory"),
            None => Err("its argon2id hash does not say how much memory it wants"),
        }
    }

    /// Whether `password` is the one. Takes long: not for a thread that others wait for.
    pub(crate) fn verify(&self, password: &[u8]) -> bool {
        match self {
            Self::Argon2(hash) => Argon2::default().verify_password(password, &**hash).is_ok(),
            Self::Scram(keys) => keys.verify(password),
        }
    }
}

impl ScramKeys {
    fn parse(text: &str) -> Option<Self> {
        let (how, keys) = text.split_once('$')?;
        let (iterations, salt) = how.split_once(':')?;
        let (stored, server) = keys.split_once(':')?;
        let iterations: NonZeroU32 = iterations.parse().ok()?;
        let key = |text: &str| STANDARD.decode(text).ok()?.try_into().ok();
        let salt: Box<[u8]> = STANDARD.decode(salt).ok()?.into();
        (iterations.get() <= ITERATIONS_MAX && !salt.is_empty()).then_some(())?;
        Some(Self { iterations, salt, stored: key(stored)?, server: key(server)? })
    }

    fn verify(&self, password: &[u8]) -> bool {
        let theirs = Self::of(password, &self.salt, self.iterations);
        constant_time::verify_slices_are_equal(&theirs.stored, &self.stored).is_ok()
    }

    /// The keys of `password`. Takes long.
    pub(crate) fn of(password: &[u8], salt: &[u8], iterations: NonZeroU32) -> Self {
        let mut salted = [0; 32];
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, iterations, salt, password, &mut salted);
        Self {
            iterations,
            salt: salt.into(),
            stored: sha256(&hmac_sha256(&salted, b"Client Key")),
            server: hmac_sha256(&salted, b"Server Key"),
        }
    }
}

pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    digest::digest(&digest::SHA256, bytes).as_ref().try_into().expect("SHA-256 has 32 bytes")
}

pub(crate) fn hmac_sha256(key: &[u8], bytes: &[u8]) -> [u8; 32] {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    hmac::sign(&key, bytes).as_ref().try_into().expect("HMAC-SHA-256 has 32 bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keys_of_rfc_7677_are_those_of_its_password() {
        let keys = "4096:W22ZaJ0SNY7soEsUEjb6gQ==$\
            WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:\
            wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";
        let secret = Secret::parse(&format!("SCRAM-SHA-256${keys}")).expect("good");
        assert!(secret.verify(b"pencil"));
        assert!(!secret.verify(b"Pencil"));
    }

    #[test]
    fn an_argon2id_hash_is_that_of_its_password() {
        // echo -n secret | argon2 saltsalt -id -m 8 -t 1 -p 1 -e
        let mut out = [0; 32];
        let parameters = argon2::Params::new(256, 1, 1, Some(32)).expect("good");
        let argon2 = Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, parameters);
        argon2.hash_password_into(b"secret", b"saltsalt", &mut out).expect("good");
        let base64 = base64::engine::general_purpose::STANDARD_NO_PAD;
        let (salt, hash) = (base64.encode(b"saltsalt"), base64.encode(out));
        let text = format!("$argon2id$v=19$m=256,t=1,p=1${salt}${hash}");
        let secret = Secret::parse(&text).expect("good");
        assert!(secret.verify(b"secret"));
        assert!(!secret.verify(b"public"));
    }

    #[test]
    fn what_is_no_secret_is_refused_with_a_reason() {
        for text in [
            "secret",
            "$argon2i$v=19$m=256,t=1,p=1$c2FsdA$aGFzaA",
            "$argon2id$v=19$m=9999999,t=1,p=1$c2FsdA$aGFzaA",
            "SCRAM-SHA-256$0:c2FsdA==$x:y",
            "SCRAM-SHA-256$4096:c2FsdA==$c2hvcnQ=:c2hvcnQ=",
        ] {
            assert!(Secret::parse(text).is_err(), "{text}");
        }
    }
}
