//! The verbs of the protocol, as replies are counted by.

/// What a reply answers: a command, or one of the two moments that are answered without one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verb {
    /// The connection itself: the greeting, and replies that end a session unasked.
    Connect,
    /// HELO.
    Helo,
    /// EHLO.
    Ehlo,
    /// MAIL.
    Mail,
    /// RCPT.
    Rcpt,
    /// DATA, up to its 354.
    Data,
    /// The line with a single dot, and the last chunk.
    EndOfData,
    /// BDAT, but the last chunk of a message.
    Bdat,
    /// STARTTLS.
    StartTls,
    /// AUTH, and each turn of its exchange.
    Auth,
    /// XCLIENT.
    Xclient,
    /// RSET.
    Rset,
    /// NOOP.
    Noop,
    /// VRFY.
    Vrfy,
    /// EXPN.
    Expn,
    /// HELP.
    Help,
    /// QUIT.
    Quit,
    /// Anything else that came as a line.
    Unknown,
}

impl Verb {
    /// The value of the metrics' `verb` label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "CONNECT",
            Self::Helo => "HELO",
            Self::Ehlo => "EHLO",
            Self::Mail => "MAIL",
            Self::Rcpt => "RCPT",
            Self::Data => "DATA",
            Self::EndOfData => "END_OF_DATA",
            Self::Bdat => "BDAT",
            Self::StartTls => "STARTTLS",
            Self::Auth => "AUTH",
            Self::Xclient => "XCLIENT",
            Self::Rset => "RSET",
            Self::Noop => "NOOP",
            Self::Vrfy => "VRFY",
            Self::Expn => "EXPN",
            Self::Help => "HELP",
            Self::Quit => "QUIT",
            Self::Unknown => "UNKNOWN",
        }
    }
}
