//! The extensions that a server may announce.

/// An extension of the IANA registry, or one that is as widely known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extension {
    /// RFC 2920.
    Pipelining,
    /// RFC 1870.
    Size,
    /// RFC 6152.
    EightBitMime,
    /// RFC 2034.
    EnhancedStatusCodes,
    /// RFC 3030, without BINARYMIME.
    Chunking,
    /// RFC 6531.
    SmtpUtf8,
    /// RFC 3461.
    Dsn,
    /// RFC 3207.
    StartTls,
    /// RFC 4954.
    Auth,
    /// RFC 9422.
    Limits,
    /// RFC 5321 §3.5.
    Expn,
    /// Postfix's XCLIENT.
    Xclient,
}

impl Extension {
    /// All of them, in the order in which EHLO names them.
    pub const ALL: [Self; 12] = [
        Self::Pipelining,
        Self::Size,
        Self::EightBitMime,
        Self::EnhancedStatusCodes,
        Self::Chunking,
        Self::SmtpUtf8,
        Self::Dsn,
        Self::StartTls,
        Self::Auth,
        Self::Limits,
        Self::Expn,
        Self::Xclient,
    ];

    /// Its keyword in EHLO.
    pub const fn keyword(self) -> &'static str {
        match self {
            Self::Pipelining => "PIPELINING",
            Self::Size => "SIZE",
            Self::EightBitMime => "8BITMIME",
            Self::EnhancedStatusCodes => "ENHANCEDSTATUSCODES",
            Self::Chunking => "CHUNKING",
            Self::SmtpUtf8 => "SMTPUTF8",
            Self::Dsn => "DSN",
            Self::StartTls => "STARTTLS",
            Self::Auth => "AUTH",
            Self::Limits => "LIMITS",
            Self::Expn => "EXPN",
            Self::Xclient => "XCLIENT",
        }
    }

    /// The extension with this keyword, in any case.
    pub fn parse(keyword: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.keyword().eq_ignore_ascii_case(keyword))
    }
}

/// A set of extensions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExtensionSet(u16);

impl ExtensionSet {
    /// None.
    pub const EMPTY: Self = Self(0);

    /// These.
    pub fn of(extensions: &[Extension]) -> Self {
        extensions.iter().fold(Self::EMPTY, |set, extension| set.with(*extension))
    }

    /// With one more.
    #[must_use]
    pub const fn with(self, extension: Extension) -> Self {
        Self(self.0 | 1 << extension as u16)
    }

    /// Those that are in either.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Those that are in this one only.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Those that are in both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Whether it is in the set.
    pub const fn contains(self, extension: Extension) -> bool {
        self.0 & 1 << extension as u16 != 0
    }

    /// Its members, in the order of [`Extension::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Extension> {
        Extension::ALL.into_iter().filter(move |extension| self.contains(*extension))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_keyword_names_its_extension_and_sets_know_their_members() {
        for extension in Extension::ALL {
            assert_eq!(Extension::parse(&extension.keyword().to_lowercase()), Some(extension));
            let set = ExtensionSet::EMPTY.with(extension);
            assert_eq!(set.iter().collect::<Vec<_>>(), [extension]);
            assert_eq!(set.without(set), ExtensionSet::EMPTY);
        }
        assert_eq!(Extension::parse("BINARYMIME"), None);
    }
}
