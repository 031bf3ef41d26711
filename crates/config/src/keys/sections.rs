//! The sections of the file.
// tidy: table

use super::SectionNote;

/// The sections, in the order of the documentation.
pub(crate) const SECTIONS: &[SectionNote] = &[
    SectionNote {
        name: "runtime",
        repeated: false,
        meaning: "Threads and kernel. Restart to change.",
    },
    SectionNote {
        name: "listener",
        repeated: true,
        meaning: "Where clients connect. At least one.",
    },
    SectionNote {
        name: "tls",
        repeated: false,
        meaning: "The certificate that clients are shown. Its files are read again when they change; a pair that cannot be read or does not fit leaves the old one in force.",
    },
    SectionNote {
        name: "tls.name",
        repeated: true,
        meaning: "Further certificates, for clients that ask for these names.",
    },
    SectionNote {
        name: "auth",
        repeated: false,
        meaning: "Who may authenticate: on submission listeners, under TLS only.",
    },
    SectionNote {
        name: "relay",
        repeated: false,
        meaning: "Who may send where: nothing else opens the relay.",
    },
    SectionNote { name: "smtp", repeated: false, meaning: "The conversation with clients." },
    SectionNote {
        name: "limits",
        repeated: false,
        meaning: "Per-client limits apply to strangers only.",
    },
    SectionNote {
        name: "route",
        repeated: true,
        meaning: "Where recipients go: the first match wins, looked up at each attempt; without a match, MX.",
    },
    SectionNote { name: "delivery", repeated: false, meaning: "The conversation with next hops." },
    SectionNote {
        name: "retry",
        repeated: false,
        meaning: "When a deferred recipient is tried again, and when it is given up.",
    },
    SectionNote { name: "dsn", repeated: false, meaning: "Reports of failure." },
    SectionNote { name: "dns", repeated: false, meaning: "The resolver." },
    SectionNote { name: "metrics", repeated: false, meaning: "The Prometheus endpoint." },
    SectionNote {
        name: "control",
        repeated: false,
        meaning: "The socket of the other commands. Restart to change.",
    },
    SectionNote { name: "log", repeated: false, meaning: "The log." },
];
