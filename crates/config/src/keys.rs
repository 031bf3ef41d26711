//! The table of keys: every section, every key, its kind, bounds, default, meaning, example.
//!
//! Reading, the refusal of unknown keys and the documentation all come from here, so they agree.
// tidy: table

/// The form of a value, with its bounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    /// A text.
    Text,
    /// A duration between so many seconds.
    Duration(u64, u64),
    /// A size between so many bytes.
    Size(u64, u64),
    /// A size, or a share in percent.
    SizeOrPercent,
    /// Bytes a second.
    ByteRate,
    /// So many in so much time.
    Rate,
    /// A whole number between these.
    Count(u64, u64),
    /// A number between these.
    Number(f64, f64),
    /// One of these words.
    Choice(&'static [&'static str]),
    /// `ADDRESS:PORT`.
    Address,
    /// A list of `ADDRESS:PORT`.
    Addresses,
    /// A list of addresses without a port.
    LocalAddresses,
    /// A list of networks.
    Networks,
    /// A list of domain patterns.
    Domains,
    /// A list of recipient patterns.
    Recipients,
    /// A list of words out of these.
    Words(&'static [&'static str]),
    /// A list of file patterns.
    Files,
}

impl Kind {
    /// What a value is, for a message: `a duration between 1s and 7d`.
    pub(crate) fn what(self) -> String {
        use crate::value::{show_duration, show_size};
        use std::time::Duration;
        match self {
            Self::Text => "a text in quotes".into(),
            Self::Duration(low, high) => format!(
                "a duration from {} to {}: \"500ms\", \"30s\", \"5m\", \"4h\", \"5d\"",
                show_duration(Duration::from_secs(low)),
                show_duration(Duration::from_secs(high))
            ),
            Self::Size(low, high) => format!(
                "a size from {} to {}: \"64KiB\", \"35MiB\", \"2GiB\"",
                show_size(low),
                show_size(high)
            ),
            Self::SizeOrPercent => {
                "a size (\"2GiB\") or a share of the file system (\"5%\")".into()
            }
            Self::ByteRate => "a size a second: \"1KiB/s\"".into(),
            Self::Rate => "a rate: \"600/1m\"".into(),
            Self::Count(low, high) => format!("a whole number from {low} to {high}"),
            Self::Number(low, high) => format!("a number from {low} to {high}"),
            Self::Choice(words) => format!("one of \"{}\"", words.join("\", \"")),
            Self::Address => "an address with a port: \"127.0.0.1:25\", \"[::1]:25\"".into(),
            Self::Addresses => "one address with a port, or a list of them".into(),
            Self::LocalAddresses => "a list of addresses: \"192.0.2.10\", \"2001:db8::10\"".into(),
            Self::Networks => "a list of networks: \"192.0.2.0/24\", \"2001:db8::/32\"".into(),
            Self::Domains => "a list of domains: \"example.org\", \"*.example.org\"".into(),
            Self::Recipients => {
                "a list of \"example.org\", \"*.example.org\", \"user@example.org\", \"*\"".into()
            }
            Self::Words(words) => format!("a list out of \"{}\"", words.join("\", \"")),
            Self::Files => "a list of files, by name".into(),
        }
    }

    /// What one element of a list is.
    pub(crate) fn element(self) -> &'static str {
        match self {
            Self::Addresses => "an address with a port",
            Self::LocalAddresses => "an address",
            Self::Networks => "a network",
            Self::Domains => "a domain or \"*.\" and a domain",
            Self::Recipients => "a domain, \"*.\" and a domain, an address or \"*\"",
            Self::Words(_) => "one of the words of this key",
            Self::Text | Self::Files => "a text",
            Self::Duration(..)
            | Self::Size(..)
            | Self::SizeOrPercent
            | Self::ByteRate
            | Self::Rate
            | Self::Count(..)
            | Self::Number(..)
            | Self::Choice(_)
            | Self::Address => "a value of this key",
        }
    }
}

/// One key.
#[derive(Debug)]
pub(crate) struct Key {
    /// The section; empty at the top of the file.
    pub(crate) section: &'static str,
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// As it would be written.
    pub(crate) default: &'static str,
    pub(crate) meaning: &'static str,
    /// A whole line.
    pub(crate) example: &'static str,
}

/// A section, with what it is about.
pub(crate) struct SectionNote {
    pub(crate) name: &'static str,
    /// Whether it is written `[[name]]`, as often as wanted.
    pub(crate) repeated: bool,
    pub(crate) meaning: &'static str,
}

const fn key(
    section: &'static str,
    name: &'static str,
    kind: Kind,
    default: &'static str,
    meaning: &'static str,
    example: &'static str,
) -> Key {
    Key { section, name, kind, default, meaning, example }
}

const DAY: u64 = 86_400;

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

/// The keys, in the order of the documentation.
pub(crate) const KEYS: &[Key] = &[
    key(
        "",
        "hostname",
        Kind::Text,
        "\"\"",
        "The relay's name, in greeting, EHLO and trace headers; default: the machine's full name. Restart to change.",
        "hostname = \"relay.example.org\"",
    ),
    key(
        "",
        "spool",
        Kind::Text,
        "\"/var/lib/ringpost\"",
        "The directory of the spool. Restart to change.",
        "spool = \"/var/lib/ringpost\"",
    ),
    key(
        "",
        "user",
        Kind::Text,
        "\"off\"",
        "Become this user once the ports are bound. Restart to change.",
        "user = \"ringpost\"",
    ),
    key(
        "",
        "include",
        Kind::Files,
        "[]",
        "More files, relative to this one, by name; lists append, and a key set twice is an error.",
        "include = [\"conf.d/*.toml\"]",
    ),
    key(
        "runtime",
        "threads",
        Kind::Count(0, 1024),
        "0",
        "Shards, each a thread with its own reactor; 0 is one per core that this process may use.",
        "threads = 4",
    ),
    key(
        "runtime",
        "reactor",
        Kind::Choice(&["auto", "ring", "poll"]),
        "\"auto\"",
        "io_uring (ring), epoll (poll), or the ring where it works.",
        "reactor = \"poll\"",
    ),
    key(
        "runtime",
        "drain",
        Kind::Duration(0, DAY),
        "\"30s\"",
        "How long a stopping relay waits for transfers under way.",
        "drain = \"1m\"",
    ),
    key(
        "listener",
        "name",
        Kind::Text,
        "\"\"",
        "The metrics' label; default: its first address.",
        "name = \"mx\"",
    ),
    key(
        "listener",
        "address",
        Kind::Addresses,
        "[]",
        "Where to listen; v6 sockets are v6 only.",
        "address = [\"0.0.0.0:25\", \"[::]:25\"]",
    ),
    key(
        "listener",
        "kind",
        Kind::Choice(&["relay"]),
        "\"relay\"",
        "What the listener is for.",
        "kind = \"relay\"",
    ),
    key(
        "listener",
        "tls",
        Kind::Choice(&["off"]),
        "\"off\"",
        "STARTTLS is not there yet.",
        "tls = \"off\"",
    ),
    key(
        "relay",
        "networks",
        Kind::Networks,
        "[\"127.0.0.0/8\", \"::1/128\"]",
        "Trusted clients: they may send to anyone.",
        "networks = [\"192.0.2.0/24\"]",
    ),
    key(
        "relay",
        "domains",
        Kind::Domains,
        "[]",
        "Recipient domains that anyone may send to.",
        "domains = [\"example.org\", \"*.example.org\"]",
    ),
    key(
        "smtp",
        "banner",
        Kind::Text,
        "\"ESMTP\"",
        "What the greeting says after the hostname.",
        "banner = \"ESMTP no spam please\"",
    ),
    key(
        "smtp",
        "message_bytes",
        Kind::Size(64 << 10, 1 << 40),
        "\"35MiB\"",
        "The largest message; larger ones get 552 5.3.4.",
        "message_bytes = \"50MiB\"",
    ),
    key(
        "smtp",
        "recipients_per_message",
        Kind::Count(100, 100_000),
        "1000",
        "Recipients of one message; more get 452 4.5.3.",
        "recipients_per_message = 200",
    ),
    key(
        "smtp",
        "hops",
        Kind::Count(1, 1000),
        "100",
        "Received fields; more get 554 5.4.6.",
        "hops = 50",
    ),
    key(
        "smtp",
        "line_bytes",
        Kind::Size(998, 1 << 40),
        "\"off\"",
        "The longest text line; a longer one gets 550 5.6.0. Off: any length passes unchanged.",
        "line_bytes = \"64KiB\"",
    ),
    key(
        "smtp",
        "command_timeout",
        Kind::Duration(1, DAY),
        "\"5m\"",
        "How long a client may take for a command (RFC 5321 4.5.3.2.7).",
        "command_timeout = \"5m\"",
    ),
    key(
        "smtp",
        "data_timeout",
        Kind::Duration(1, DAY),
        "\"3m\"",
        "How long between two reads of a body (RFC 5321 4.5.3.2.5).",
        "data_timeout = \"3m\"",
    ),
    key(
        "smtp",
        "data_rate",
        Kind::ByteRate,
        "\"1KiB/s\"",
        "The mean rate of a body after 30 s; the clock stops while we do not read.",
        "data_rate = \"4KiB/s\"",
    ),
    key(
        "smtp",
        "data_total",
        Kind::Duration(60, 7 * DAY),
        "\"1h\"",
        "How long a body may take in all.",
        "data_total = \"30m\"",
    ),
    key(
        "smtp",
        "stress_timeout",
        Kind::Duration(1, DAY),
        "\"10s\"",
        "Replaces command_timeout for strangers while sessions are over 80% of the limit.",
        "stress_timeout = \"5s\"",
    ),
    key(
        "smtp",
        "errors",
        Kind::Count(1, 1_000_000),
        "20",
        "Wrong or refused commands of a stranger since its last accepted message; then 421 4.7.0. May be \"off\".",
        "errors = 10",
    ),
    key(
        "limits",
        "exempt",
        Kind::Networks,
        "[]",
        "Strangers without per-client limits, such as load balancers.",
        "exempt = [\"192.0.2.7/32\"]",
    ),
    key(
        "limits",
        "sessions",
        Kind::Count(1, 1_000_000),
        "20000",
        "Sessions at a time; then 421 4.7.0. Default: as many as the descriptors allow, at most 20000; a number of yours that they do not allow is refused.",
        "sessions = 5000",
    ),
    key(
        "limits",
        "sessions_per_client",
        Kind::Count(1, 1_000_000),
        "50",
        "Sessions of one IPv4 address or IPv6 /64; then 421 4.7.0. May be \"off\".",
        "sessions_per_client = 100",
    ),
    key(
        "limits",
        "connections_per_client",
        Kind::Rate,
        "\"600/1m\"",
        "Connections of one client; then 421. May be \"off\".",
        "connections_per_client = \"60/1m\"",
    ),
    key(
        "limits",
        "queue_messages",
        Kind::Count(1, 1_000_000_000),
        "5000000",
        "Messages in the queue; then 452 4.3.1.",
        "queue_messages = 100000",
    ),
    key(
        "limits",
        "spool_free",
        Kind::SizeOrPercent,
        "\"5%\"",
        "Below this much free space: 452 4.3.1.",
        "spool_free = \"2GiB\"",
    ),
    key(
        "route",
        "to",
        Kind::Recipients,
        "[]",
        "Which recipients.",
        "to = [\"example.org\", \"*.example.net\"]",
    ),
    key(
        "route",
        "via",
        Kind::Text,
        "\"mx\"",
        "smtp://HOST[:PORT] (its addresses, no MX), mx, mx://DOMAIN, or discard.",
        "via = \"smtp://192.0.2.25:25\"",
    ),
    key(
        "route",
        "tls",
        Kind::Choice(&["off"]),
        "\"off\"",
        "STARTTLS is not there yet.",
        "tls = \"off\"",
    ),
    key(
        "route",
        "source",
        Kind::LocalAddresses,
        "[]",
        "Local addresses to send from, one of each family.",
        "source = [\"192.0.2.10\"]",
    ),
    key(
        "route",
        "hello",
        Kind::Text,
        "\"\"",
        "The name in EHLO; default: hostname.",
        "hello = \"out.example.org\"",
    ),
    key(
        "route",
        "ip",
        Kind::Choice(&["any", "v4", "v6"]),
        "\"any\"",
        "Which addresses of the next hop are used.",
        "ip = \"v4\"",
    ),
    key(
        "route",
        "without",
        Kind::Words(&["PIPELINING"]),
        "[]",
        "Extensions not used with this next hop.",
        "without = [\"PIPELINING\"]",
    ),
    key(
        "route",
        "sessions",
        Kind::Count(1, 10_000),
        "20",
        "Sessions to this next hop at a time, over all shards.",
        "sessions = 50",
    ),
    key(
        "route",
        "messages_per_session",
        Kind::Count(1, 1_000_000_000),
        "1000",
        "Messages on one session before it is ended.",
        "messages_per_session = 100",
    ),
    key(
        "delivery",
        "port",
        Kind::Count(1, 65_535),
        "25",
        "Where MX hosts are called.",
        "port = 25",
    ),
    key(
        "delivery",
        "tls",
        Kind::Choice(&["off"]),
        "\"off\"",
        "STARTTLS is not there yet.",
        "tls = \"off\"",
    ),
    key(
        "delivery",
        "sessions",
        Kind::Count(1, 100_000),
        "2000",
        "Sessions to all next hops together.",
        "sessions = 500",
    ),
    key(
        "delivery",
        "sessions_per_destination",
        Kind::Count(1, 10_000),
        "20",
        "Sessions to one destination found by MX.",
        "sessions_per_destination = 10",
    ),
    key(
        "delivery",
        "idle",
        Kind::Duration(0, DAY),
        "\"10s\"",
        "How long an idle session is kept for the next message.",
        "idle = \"30s\"",
    ),
    key(
        "delivery",
        "connect_timeout",
        Kind::Duration(1, DAY),
        "\"30s\"",
        "How long a connection may take.",
        "connect_timeout = \"15s\"",
    ),
    key(
        "delivery",
        "greeting_timeout",
        Kind::Duration(1, DAY),
        "\"5m\"",
        "How long the greeting may take (RFC 5321 4.5.3.2.1).",
        "greeting_timeout = \"1m\"",
    ),
    key(
        "delivery",
        "command_timeout",
        Kind::Duration(1, DAY),
        "\"5m\"",
        "How long a reply to a command may take.",
        "command_timeout = \"5m\"",
    ),
    key(
        "delivery",
        "data_timeout",
        Kind::Duration(1, DAY),
        "\"3m\"",
        "How long a block of the body may take to be sent.",
        "data_timeout = \"3m\"",
    ),
    key(
        "delivery",
        "end_of_data_timeout",
        Kind::Duration(1, DAY),
        "\"10m\"",
        "How long the reply to the end of data may take; shorter makes duplicates.",
        "end_of_data_timeout = \"10m\"",
    ),
    key(
        "retry",
        "first",
        Kind::Duration(1, 7 * DAY),
        "\"2m\"",
        "The wait after the first deferral.",
        "first = \"5m\"",
    ),
    key(
        "retry",
        "factor",
        Kind::Number(1.0, 10.0),
        "2.0",
        "By how much the wait grows with each deferral.",
        "factor = 1.5",
    ),
    key(
        "retry",
        "max",
        Kind::Duration(1, 7 * DAY),
        "\"1h\"",
        "The longest wait; all waits vary by 20%.",
        "max = \"4h\"",
    ),
    key(
        "retry",
        "give_up",
        Kind::Duration(1, 100 * DAY),
        "\"5d\"",
        "When a recipient is given up.",
        "give_up = \"2d\"",
    ),
    key(
        "retry",
        "give_up_bounces",
        Kind::Duration(1, 100 * DAY),
        "\"2d\"",
        "The same for messages with a null reverse-path.",
        "give_up_bounces = \"1d\"",
    ),
    key(
        "dsn",
        "return_bytes",
        Kind::Size(0, 1 << 40),
        "\"64KiB\"",
        "A message above this size is returned as headers only.",
        "return_bytes = \"16KiB\"",
    ),
    key(
        "dns",
        "servers",
        Kind::Addresses,
        "[]",
        "Resolvers; default: the system's. No search domains.",
        "servers = [\"127.0.0.1:53\"]",
    ),
    key(
        "dns",
        "timeout",
        Kind::Duration(1, 600),
        "\"5s\"",
        "How long one question may take.",
        "timeout = \"3s\"",
    ),
    key(
        "metrics",
        "listen",
        Kind::Address,
        "\"127.0.0.1:9465\"",
        "GET /metrics, /healthz, /readyz. May be \"off\".",
        "listen = \"[::1]:9465\"",
    ),
    key(
        "control",
        "socket",
        Kind::Text,
        "\"/run/ringpost/control.sock\"",
        "The unix socket of the other commands.",
        "socket = \"/run/ringpost/control.sock\"",
    ),
    key(
        "control",
        "group",
        Kind::Text,
        "\"ringpost\"",
        "The group that may use it (mode 0660); one that does not exist leaves it to the user alone.",
        "group = \"adm\"",
    ),
    key(
        "log",
        "target",
        Kind::Text,
        "\"stderr\"",
        "stderr, or file:/PATH.",
        "target = \"file:/var/log/ringpost.log\"",
    ),
    key(
        "log",
        "format",
        Kind::Choice(&["text", "json"]),
        "\"text\"",
        "For people, or for programs.",
        "format = \"json\"",
    ),
    key(
        "log",
        "level",
        Kind::Choice(&["error", "warn", "info", "debug"]),
        "\"info\"",
        "session.* events are debug.",
        "level = \"debug\"",
    ),
];

/// The key called `name` in `section`.
pub(crate) fn find(section: &str, name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.section == section && key.name == name)
}

/// The names of the keys of `section`.
pub(crate) fn names(section: &str) -> impl Iterator<Item = &'static str> {
    KEYS.iter().filter(move |key| key.section == section).map(|key| key.name)
}

/// The names of the sections.
pub(crate) fn sections() -> impl Iterator<Item = &'static str> {
    SECTIONS.iter().map(|section| section.name)
}

/// Whether `name` is a section.
pub(crate) fn is_section(name: &str) -> bool {
    sections().any(|section| section == name)
}
