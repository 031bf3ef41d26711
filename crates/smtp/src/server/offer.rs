//! What this client is offered in reply to EHLO.

use super::options::Disclosure;
use super::peer::{ListenerKind, StartTls};
use super::session::ServerSession;
use super::{Extension, ExtensionSet, legality};
use crate::Verb;
use crate::command;
use mail::Protocol;

/// Parameters that clients use without having asked, and that do no harm.
const AFTER_HELO: [Extension; 2] = [Extension::Size, Extension::EightBitMime];

impl ServerSession {
    /// The extensions that this client may use, once it has said EHLO.
    pub(super) fn available(&self) -> ExtensionSet {
        let options = &self.options;
        let peer = &self.peer;
        let mut set = options.offers;
        if peer.start_tls != StartTls::Off && peer.tls.is_none() {
            set = set.with(Extension::StartTls);
        }
        if self.authenticates() && (peer.tls.is_some() || options.auth_in_clear) {
            set = set.with(Extension::Auth);
        }
        if self.discloses(options.expn) && !options.privacy.expn_off {
            set = set.with(Extension::Expn);
        }
        if peer.xclient {
            set = set.with(Extension::Xclient);
        }
        set.without(options.without).without(peer.without)
    }

    /// Whether users prove here who they are.
    pub(super) fn authenticates(&self) -> bool {
        self.peer.kind == ListenerKind::Submission && !self.options.mechanisms.is_empty()
    }

    /// Whether `verb` must wait for TLS.
    pub(super) fn needs_tls(&self, verb: Verb) -> bool {
        let required = self.peer.start_tls == StartTls::Required && self.peer.tls.is_none();
        required && !legality::allows_in_the_clear(verb)
    }

    /// Whether this client is told who exists.
    pub(super) fn discloses(&self, disclosure: Disclosure) -> bool {
        disclosure == Disclosure::Answer && self.is_trusted()
    }

    /// What a client may use from now on, having said HELO or EHLO.
    pub(super) fn offer(&self, protocol: Protocol) -> ExtensionSet {
        match protocol {
            Protocol::Esmtp => self.available(),
            Protocol::Smtp | Protocol::Local => self.available().and(ExtensionSet::of(&AFTER_HELO)),
        }
    }

    /// The lines of EHLO's reply behind our name.
    pub(super) fn extension_lines(&self) -> Vec<String> {
        let line = |extension: Extension| {
            let keyword = extension.keyword();
            match extension {
                Extension::Size => format!("{keyword} {}", self.options.message_bytes),
                Extension::Auth => format!("{keyword} {}", self.options.mechanisms.join(" ")),
                // RFC 9422 §4: of its limits only this one is ours.
                Extension::Limits => {
                    format!("{keyword} RCPTMAX={}", self.options.recipients_per_message)
                }
                Extension::Xclient => format!("{keyword} {}", command::ATTRIBUTES),
                Extension::Pipelining
                | Extension::EightBitMime
                | Extension::EnhancedStatusCodes
                | Extension::Chunking
                | Extension::SmtpUtf8
                | Extension::Dsn
                | Extension::StartTls
                | Extension::Expn => keyword.to_owned(),
            }
        };
        self.available().iter().map(line).collect()
    }
}
