//! Dialogues as text: the file format, and nothing about who speaks.
//!
//! A file has a head and a course. Lines beginning with `#` are comments, empty ones mean nothing.
//!
//! ```text
//! @set KEY VALUE        a setting for whoever runs the dialogue (see there)
//! C: TEXT               the client says TEXT and CRLF
//! C+ TEXT               the client says TEXT, no CRLF
//! S: TEXT               the server says TEXT and CRLF; S+ as above. In what is expected, a `*` at
//!                       the end stands for any rest
//! ! EVENT               something happens to the session under test
//! = EFFECT              the session under test does something that is not said on the wire
//! ```
//!
//! In TEXT, `\r \n \0 \\ \xHH` are bytes, and `\*N(text)` repeats text N times.

/// A line of the course.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// The client's bytes.
    Client(Vec<u8>),
    /// The server's bytes.
    Server(Vec<u8>),
    /// What happens to the session.
    Event(String),
    /// What the session does.
    Effect(String),
}

/// A dialogue, as read from its file.
#[derive(Clone, Debug)]
pub(crate) struct Dialogue {
    /// For messages.
    pub(crate) name: String,
    /// The head.
    pub(crate) settings: Vec<(String, String)>,
    /// The course.
    pub(crate) entries: Vec<Entry>,
}

impl Dialogue {
    /// Reads a dialogue. Panics, naming the line, at what is none.
    pub(crate) fn parse(name: &str, text: &str) -> Self {
        let mut dialogue =
            Self { name: name.to_owned(), settings: Vec::new(), entries: Vec::new() };
        for (number, line) in text.lines().enumerate() {
            let wrong = format!("{name}:{}: not a line of a dialogue: {line}", number + 1);
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (mark, rest) = line.split_at_checked(2).expect(&wrong);
            let rest = rest.strip_prefix(' ').unwrap_or(rest);
            match mark {
                "C:" => dialogue.entries.push(Entry::Client(unescape(rest, b"\r\n"))),
                "C+" => dialogue.entries.push(Entry::Client(unescape(rest, b""))),
                "S:" => dialogue.entries.push(Entry::Server(unescape(rest, b"\r\n"))),
                "S+" => dialogue.entries.push(Entry::Server(unescape(rest, b""))),
                "! " => dialogue.entries.push(Entry::Event(rest.to_owned())),
                "= " => dialogue.entries.push(Entry::Effect(rest.to_owned())),
                _ if line.starts_with("@set ") => {
                    let setting = &line["@set ".len()..];
                    let (key, value) = setting.split_once(' ').unwrap_or((setting, ""));
                    dialogue.settings.push((key.to_owned(), value.to_owned()));
                }
                _ => panic!("{wrong}"),
            }
        }
        dialogue
    }

    /// All dialogues of a directory, by name.
    pub(crate) fn all(directory: &str) -> Vec<Self> {
        let mut dialogues: Vec<Self> = std::fs::read_dir(directory)
            .unwrap_or_else(|error| panic!("{directory}: {error}"))
            .map(|entry| entry.expect("a readable directory").path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "smtp"))
            .map(|path| {
                let text = std::fs::read_to_string(&path).expect("a readable dialogue");
                Self::parse(&path.file_stem().expect("a name").to_string_lossy(), &text)
            })
            .collect();
        dialogues.sort_by(|a, b| a.name.cmp(&b.name));
        dialogues
    }

    /// The values of a setting, in order.
    pub(crate) fn values<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        self.settings.iter().filter(move |(k, _)| k == key).map(|(_, value)| value.as_str())
    }
}

/// Text with its escapes resolved, and an end.
pub(crate) fn unescape(text: &str, end: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some((plain, escaped)) = rest.split_once('\\') {
        bytes.extend_from_slice(plain.as_bytes());
        let (kind, after) = escaped.split_at(1);
        rest = after;
        match kind {
            "r" => bytes.push(b'\r'),
            "n" => bytes.push(b'\n'),
            "0" => bytes.push(0),
            "\\" => bytes.push(b'\\'),
            "x" => {
                bytes.push(u8::from_str_radix(&after[..2], 16).expect("two hexadecimal digits"));
                rest = &after[2..];
            }
            "*" => {
                let (count, tail) = after.split_once('(').expect("\\*N(text)");
                let (repeated, tail) = tail.split_once(')').expect("\\*N(text)");
                let repeated = unescape(repeated, b"");
                bytes.extend(repeated.repeat(count.parse().expect("a number")));
                rest = tail;
            }
            _ => panic!("no such escape: \\{kind}"),
        }
    }
    bytes.extend_from_slice(rest.as_bytes());
    bytes.extend_from_slice(end);
    bytes
}

/// The inverse, without repetition.
pub(crate) fn escape(bytes: &[u8]) -> String {
    bytes
        .iter()
        .map(|&byte| match byte {
            b'\r' => "\\r".to_owned(),
            b'\n' => "\\n".to_owned(),
            0 => "\\0".to_owned(),
            b'\\' => "\\\\".to_owned(),
            32..=126 => char::from(byte).to_string(),
            _ => format!("\\x{byte:02x}"),
        })
        .collect()
}
